//! What the SQLite stores share: opening a database, running blocking work, classifying errors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{StoreError, StoreErrorKind, StoreResult};

/// Longest wait for another process that writes to the same database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// One SQLite database: a connection for writing, and new ones for each long read.
#[derive(Clone)]
pub struct SqliteDatabase {
    store: Arc<str>,
    path: Arc<Path>,
    writer: Arc<Mutex<Connection>>,
    /// Held while this process writes. SQLite itself lets writers sleep and try again, which takes
    /// longer than to wait for one's turn.
    turn: Arc<Mutex<()>>,
}

impl SqliteDatabase {
    /// Opens (and creates) the database at `path`. `store` names it in messages, such as
    /// `warehouse`.
    ///
    /// Write-ahead log, so that readers never wait; synchronous FULL, because a transaction here
    /// is a commit point.
    pub fn open(store: &str, path: &Path) -> StoreResult<Self> {
        let store: Arc<str> = format!("{store} ({})", path.display()).into();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| StoreError::io(&store, "create its folder", error))?;
        }
        let writer = connect(&store, path)?;
        writer
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(|error| sqlite_error(&store, "switch to the write-ahead log", error))?;
        Ok(Self {
            store,
            path: path.into(),
            writer: Arc::new(Mutex::new(writer)),
            turn: Arc::default(),
        })
    }

    /// How messages name this database.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }

    /// A connection of its own, for a long read or for temporary tables.
    pub fn connect(&self) -> StoreResult<Connection> {
        connect(&self.store, &self.path)
    }

    /// Waits until no other connection of this process writes. A transaction that writes over a
    /// connection of its own holds the turn until it has ended.
    pub fn write_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `work` with the shared connection on a thread where blocking is allowed.
    pub async fn with_writer<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let database = self.clone();
        run_blocking(&self.store, operation, move || {
            let _turn = database.write_turn();
            let mut connection =
                database.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            work(&mut connection)
        })
        .await
    }

    /// Runs `work` with a connection of its own on a thread where blocking is allowed: readers wait
    /// neither for the writer nor for each other.
    pub async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let database = self.clone();
        run_blocking(&self.store, operation, move || {
            let connection = database.connect()?;
            work(&connection).map_err(|error| database.error(operation, error))
        })
        .await
    }

    /// An error of this database.
    pub fn error(&self, operation: &str, error: rusqlite::Error) -> StoreError {
        sqlite_error(&self.store, operation, error)
    }
}

/// Runs blocking work off the runtime's own threads.
pub async fn run_blocking<T: Send + 'static>(
    store: &str,
    operation: &str,
    work: impl FnOnce() -> StoreResult<T> + Send + 'static,
) -> StoreResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::new(store, operation, StoreErrorKind::Internal, error)),
    }
}

fn connect(store: &str, path: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| sqlite_error(store, "open the database", error))?;
    let settings = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // 64 MiB of page cache: indexes of a few million keys stay in memory.
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // Pages that every batch dirties are copied into the database once per 64 MiB of log.
        connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    };
    settings().map_err(|error| sqlite_error(store, "set the connection up", error))?;
    Ok(connection)
}

/// Classifies an SQLite error and adds what to do.
pub fn sqlite_error(store: &str, operation: &str, error: rusqlite::Error) -> StoreError {
    let (kind, advice) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            StoreErrorKind::Unavailable,
            Some("another process holds the database; wait for it or end it, then try again"),
        ),
        Some(ErrorCode::DiskFull) => {
            (StoreErrorKind::Full, Some("free some disk space and run the command again"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            StoreErrorKind::Corrupt,
            Some("the file is damaged or is not an SQLite database; restore it from a backup"),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            StoreErrorKind::Unavailable,
            Some("check that the folder exists and that its owner and permissions allow writing"),
        ),
        Some(ErrorCode::SystemIoFailure) => (StoreErrorKind::Unavailable, Some("check the disk")),
        _ => (StoreErrorKind::Internal, None),
    };
    let error = StoreError::new(store, operation, kind, error);
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

//! What the SQLite stores share: opening a database, running blocking work, classifying errors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::{StoreError, StoreErrorKind, StoreResult};

/// Longest wait for another process that writes to the same database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// Readers' connections that are kept for the next reader. Whoever opens a database parses its whole
/// schema, which takes longer than most reads.
const MOST_IDLE: usize = 8;

/// One SQLite database: a connection for writing, and one for each reader.
#[derive(Clone)]
pub struct SqliteDatabase {
    store: Arc<str>,
    path: Arc<Path>,
    writer: Arc<Mutex<Connection>>,
    /// Held while this process writes. SQLite itself lets writers sleep and try again, which takes
    /// longer than to wait for one's turn.
    turn: Arc<Mutex<()>>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl SqliteDatabase {
    /// Opens (and creates) the database at `path`. `store` names it in messages, such as
    /// `warehouse`; `version` is that of its tables, 1 or more, and a database whose tables have
    /// another one is refused.
    ///
    /// Write-ahead log, so that readers never wait; synchronous FULL, because a transaction here
    /// is a commit point.
    pub fn open(store: &str, path: &Path, version: i32) -> StoreResult<Self> {
        let store: Arc<str> = format!("{store} ({})", path.display()).into();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| StoreError::io(&store, "create its folder", error))?;
        }
        let mut writer = connect(&store, path)?;
        check_version(&store, &mut writer, version)?;
        writer
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(|error| sqlite_error(&store, "switch to the write-ahead log", error))?;
        Ok(Self {
            store,
            path: path.into(),
            writer: Arc::new(Mutex::new(writer)),
            turn: Arc::default(),
            idle: Arc::default(),
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

    /// A connection of its own, for temporary tables.
    pub fn connect(&self) -> StoreResult<Connection> {
        connect(&self.store, &self.path)
    }

    /// A connection that nobody else reads over meanwhile.
    pub fn reader(&self) -> StoreResult<Reader> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(Reader { connection, idle: Arc::clone(&self.idle) })
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

    /// Runs `work` with a reader's connection on a thread where blocking is allowed: readers wait
    /// neither for the writer nor for each other.
    pub async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let database = self.clone();
        run_blocking(&self.store, operation, move || {
            let reader = database.reader()?;
            reader.look(work).map_err(|error| database.error(operation, error))
        })
        .await
    }

    /// An error of this database.
    pub fn error(&self, operation: &str, error: rusqlite::Error) -> StoreError {
        sqlite_error(&self.store, operation, error)
    }
}

/// A connection that is lent to one reader, and kept for the next one if the read succeeds.
pub struct Reader {
    connection: Connection,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Reader {
    /// Reads.
    pub fn look<T, E>(self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let found = work(&self.connection)?;
        self.keep();
        Ok(found)
    }

    fn keep(self) {
        // Neither a snapshot nor pages are kept, which may be many.
        let is_free = self.connection.is_autocommit()
            && self.connection.execute_batch("PRAGMA shrink_memory").is_ok();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if is_free && idle.len() < MOST_IDLE {
            idle.push(self.connection);
        }
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
        // A column that is not there is a mistake, not a text of its own name.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
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

/// Marks an empty database with the version of the tables that it will have, and refuses one with
/// other tables than this program's.
fn check_version(store: &str, connection: &mut Connection, version: i32) -> StoreResult<()> {
    const OPERATION: &str = "check the version of its tables";
    let read = |connection: &Connection| -> rusqlite::Result<i32> {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0))
    };
    let mut mark = || -> rusqlite::Result<i32> {
        let found = read(connection)?;
        if found != 0 {
            return Ok(found);
        }
        // Another process may be about to do the same.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = read(&transaction)?;
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if found != 0 || tables > 0 {
            return Ok(found);
        }
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
        Ok(version)
    };
    let found = mark().map_err(|error| sqlite_error(store, OPERATION, error))?;
    let refused = |what: String, advice: &str| {
        let kind = StoreErrorKind::Incompatible;
        Err(StoreError::new(store, OPERATION, kind, what).with_advice(advice))
    };
    match found {
        _ if found == version => Ok(()),
        0 => refused(
            "its tables have no version".to_owned(),
            "it is another program's, or of a Questlake before the first release: name another \
             file or data folder, and take the events in again",
        ),
        _ if found > version => refused(
            format!("its tables have version {found}, and this Questlake knows {version}"),
            "use the newer Questlake that made them",
        ),
        _ => refused(
            format!("its tables have version {found}, and this Questlake wants {version}"),
            "name another file or data folder, and take the events in again",
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, version: i32) -> String {
        let refused = SqliteDatabase::open("warehouse", path, version).err().unwrap();
        assert_eq!(refused.kind, StoreErrorKind::Incompatible);
        refused.to_string()
    }

    #[test]
    fn a_connection_serves_one_reader_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open("w", &folder.path().join("a.db"), 1).unwrap();
        let idle = || database.idle.lock().unwrap().len();
        let count = |reader: Reader| {
            reader.look(|it| it.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)))
        };
        // What fails leaves nothing to the next one.
        assert!(count(database.reader().unwrap()).is_err());
        assert_eq!(idle(), 0);
        let write = |sql| database.writer.lock().unwrap().execute_batch(sql).unwrap();
        write("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
        let readers = [(); MOST_IDLE + 1].map(|()| database.reader().unwrap());
        assert!(readers.into_iter().all(|reader| count(reader) == Ok(1)));
        assert_eq!(idle(), MOST_IDLE);
        // It sees what others have written, and changed of the tables, since it was used.
        write("ALTER TABLE t RENAME TO u; CREATE TABLE t (a, b)");
        assert_eq!(count(database.reader().unwrap()), Ok(0));
        let open = |it: &Connection| it.execute_batch("BEGIN; SELECT count(*) FROM t");
        database.reader().unwrap().look(open).unwrap();
        assert_eq!(idle(), MOST_IDLE - 1);
    }

    #[test]
    fn tables_of_another_version_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        for _ in 0..2 {
            SqliteDatabase::open("warehouse", &path, 2).unwrap();
        }
        let newer = refusal(&path, 1);
        assert!(newer.contains("have version 2") && newer.contains("newer"), "{newer}");
        let older = refusal(&path, 3);
        assert!(older.contains("wants 3") && older.contains("take the events in"), "{older}");
        let strange = folder.path().join("b.db");
        Connection::open(&strange).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let unknown = refusal(&strange, 1);
        assert!(unknown.contains("no version"), "{unknown}");
    }
}

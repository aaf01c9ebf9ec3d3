//! Landing in a local folder.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::buffer::Buffer;
use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{Landing, RESTORE, pass};
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::sqlite::run_blocking;

/// Folder for files that are being written; on the same file system, so that a rename is atomic.
const TEMPORARY: &str = ".tmp";

/// Sealed files in a local folder.
#[derive(Clone)]
pub struct LocalLanding {
    root: PathBuf,
    store: String,
}

impl LocalLanding {
    /// Opens (and creates) the folder. What an ended process left half-written stays in a folder of
    /// its own, where nobody reads it, until it is removed as unfinished.
    pub fn open(root: &Path) -> StoreResult<Self> {
        let store = format!("landing ({})", root.display());
        std::fs::create_dir_all(root.join(TEMPORARY))
            .map_err(|error| StoreError::io(&store, "create its folder", error))?;
        Ok(Self { root: root.to_path_buf(), store })
    }

    fn error(&self, operation: String, error: std::io::Error) -> StoreError {
        StoreError::io(&self.store, operation, error)
    }

    fn seal_blocking(&self, name: &str, parts: &[Bytes]) -> StoreResult<()> {
        let target = self.root.join(name);
        // Of its own, whoever else may write the same name.
        let temporary = format!("{}.{}", name.replace('/', "_"), Uuid::new_v4());
        let temporary = self.root.join(TEMPORARY).join(temporary);
        let write = || -> std::io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
            for part in parts {
                file.write_all(part)?;
            }
            file.sync_all()
        };
        write().map_err(|error| self.error(format!("write segment {name}"), error))?;
        pass(&self.store, "landing.after_temporary_write")?;
        let folder = target.parent().unwrap_or(&self.root).to_path_buf();
        let publish = || -> std::io::Result<()> {
            create_folders_durably(&self.root, &folder)?;
            // A hard link fails if the name is taken, where a rename would overwrite.
            std::fs::hard_link(&temporary, &target)?;
            std::fs::remove_file(&temporary)?;
            File::open(&folder)?.sync_all()
        };
        publish().map_err(|error| {
            // It will not be tried again under this name.
            let _ = std::fs::remove_file(&temporary);
            self.error(format!("publish segment {name}"), error)
        })?;
        pass(&self.store, "landing.after_rename")
    }

    fn read_blocking(&self, name: &str, range: &Range<u64>) -> StoreResult<Buffer> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let read = || -> std::io::Result<Buffer> {
            let mut file = File::open(self.root.join(name))?;
            file.seek(SeekFrom::Start(range.start))?;
            // Into memory that is not cleared first: clearing took as long as reading.
            let mut bytes = Vec::with_capacity(length);
            file.take(length as u64).read_to_end(&mut bytes)?;
            if bytes.len() < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Ok(Buffer::from(bytes))
        };
        read().map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => StoreError::new(
                &self.store,
                format!("read segment {name}"),
                StoreErrorKind::Corrupt,
                error,
            )
            .with_advice(RESTORE),
            _ => self.error(format!("read segment {name}"), error),
        })
    }
}

/// Creates `folder` below `root`, and makes each new entry durable in its parent.
fn create_folders_durably(root: &Path, folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let mut parent = folder.parent();
    while let Some(path) = parent {
        File::open(path)?.sync_all()?;
        if path == root {
            break;
        }
        parent = path.parent();
    }
    Ok(())
}

#[async_trait]
impl Landing for LocalLanding {
    async fn seal(&self, name: &str, parts: Vec<Bytes>) -> StoreResult<()> {
        let (landing, name) = (self.clone(), name.to_owned());
        run_blocking(&self.store, "seal a segment", move || landing.seal_blocking(&name, &parts))
            .await
    }

    async fn read(&self, name: &str, range: Range<u64>) -> StoreResult<Buffer> {
        let (landing, name) = (self.clone(), name.to_owned());
        run_blocking(&self.store, "read a segment", move || landing.read_blocking(&name, &range))
            .await
    }

    async fn list(&self) -> StoreResult<Vec<(String, u64)>> {
        let landing = self.clone();
        run_blocking(&self.store, "list segments", move || {
            let mut files = Vec::new();
            collect_files(&landing.root, &landing.root, &mut files)
                .map_err(|error| landing.error("list segments".to_owned(), error))?;
            files.sort();
            Ok(files)
        })
        .await
    }

    async fn remove(&self, name: &str) -> StoreResult<()> {
        let (landing, name) = (self.clone(), name.to_owned());
        run_blocking(&self.store, "remove a segment", move || {
            match std::fs::remove_file(landing.root.join(&name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(landing.error(format!("remove segment {name}"), error))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    async fn remove_unfinished(&self, age: Duration) -> StoreResult<u64> {
        let landing = self.clone();
        run_blocking(&self.store, "remove unfinished files", move || {
            remove_older(&landing.root.join(TEMPORARY), age)
                .map_err(|error| landing.error("remove unfinished files".to_owned(), error))
        })
        .await
    }

    async fn ask(&self) -> StoreResult<()> {
        let landing = self.clone();
        run_blocking(&self.store, "look for its folder", move || {
            let looked = std::fs::read_dir(&landing.root);
            looked.map_err(|error| landing.error("look for its folder".to_owned(), error))?;
            Ok(())
        })
        .await
    }

    fn name(&self) -> String {
        self.store.clone()
    }
}

/// Removes the files in a folder that were last written to longer ago than `age`.
fn remove_older(folder: &Path, age: Duration) -> std::io::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Another process may have finished or removed it meanwhile.
        let Ok(modified) = std::fs::metadata(&path).and_then(|file| file.modified()) else {
            continue;
        };
        // A time ahead of the clock is not old.
        if !modified.elapsed().is_ok_and(|elapsed| elapsed > age) {
            continue;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

fn collect_files(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(String, u64)>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect_files(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push((relative.to_string_lossy().into_owned(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

//! Local files that last: written aside, synced, and then named.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::{MultipartUpload, PutMode, PutPayload, PutResult, Result, UploadPart};
use uuid::Uuid;

/// Writes a whole file. With [`PutMode::Create`] it fails if the name is taken.
pub(super) async fn put(path: PathBuf, payload: PutPayload, mode: PutMode) -> Result<PutResult> {
    if matches!(mode, PutMode::Update(_)) {
        return Err(object_store::Error::NotSupported {
            source: "local files have no versions to update".into(),
        });
    }
    blocking(move || {
        let (staged, mut file) = stage(&path)?;
        let written = payload
            .iter()
            .try_for_each(|chunk| file.write_all(chunk))
            .and_then(|()| file.sync_all())
            .and_then(|()| match mode {
                // Linking fails where renaming would replace.
                PutMode::Create => std::fs::hard_link(&staged, &path),
                _ => std::fs::rename(&staged, &path),
            });
        if written.is_err() || matches!(mode, PutMode::Create) {
            // Best effort: vacuum removes what stays behind.
            drop(std::fs::remove_file(&staged));
        }
        written.map_err(|error| failure(&path, error))?;
        sync_folder(&path)
    })
    .await?;
    Ok(PutResult { e_tag: None, version: None })
}

/// A file that is written in parts and appears as a whole.
#[derive(Debug)]
pub(super) struct LocalUpload {
    target: PathBuf,
    staged: PathBuf,
    file: Arc<File>,
    /// Where the next part begins.
    offset: u64,
}

impl LocalUpload {
    pub(super) async fn create(target: PathBuf) -> Result<Self> {
        blocking(move || {
            let (staged, file) = stage(&target)?;
            Ok(Self { target, staged, file: Arc::new(file), offset: 0 })
        })
        .await
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.offset;
        self.offset += data.content_length() as u64;
        let (file, path) = (Arc::clone(&self.file), self.staged.clone());
        Box::pin(blocking(move || {
            for chunk in &data {
                file.write_all_at(chunk, offset).map_err(|error| failure(&path, error))?;
                offset += chunk.len() as u64;
            }
            // Part by part: syncing all at the end could take longer than a call may.
            file.sync_data().map_err(|error| failure(&path, error))
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, staged, target) =
            (Arc::clone(&self.file), self.staged.clone(), self.target.clone());
        blocking(move || {
            file.sync_all()
                .and_then(|()| std::fs::rename(&staged, &target))
                .map_err(|error| failure(&target, error))?;
            sync_folder(&target)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.clone();
        blocking(move || std::fs::remove_file(&staged).map_err(|error| failure(&staged, error)))
            .await
    }
}

/// Opens a hidden file beside `path`, creating the folders on the way.
fn stage(path: &Path) -> Result<(PathBuf, File)> {
    let folder = path.parent().unwrap_or(path);
    create_folders(folder).map_err(|error| failure(folder, error))?;
    let staged = folder.join(format!(".{}{}", Uuid::new_v4(), super::STAGED_SUFFIX));
    let file = File::create_new(&staged).map_err(|error| failure(&staged, error))?;
    Ok((staged, file))
}

/// Creates a folder and those above it, each entry synced in its parent.
fn create_folders(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes the file's entry in its folder last.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failure(folder, error))
}

fn failure(path: &Path, error: std::io::Error) -> object_store::Error {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::AlreadyExists => {
            object_store::Error::AlreadyExists { path, source: Box::new(error) }
        }
        ErrorKind::NotFound => object_store::Error::NotFound { path, source: Box::new(error) },
        ErrorKind::PermissionDenied => {
            object_store::Error::PermissionDenied { path, source: Box::new(error) }
        }
        _ => object_store::Error::Generic { store: "local", source: Box::new(error) },
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

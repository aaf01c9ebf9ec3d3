//! Files that are written to HDFS in parts.
//!
//! The parts are kept in a local file, and go out when the last of them is there: whoever writes them
//! could not give them again, and a write to HDFS that hangs has to begin anew.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use uuid::Uuid;

use super::publish::{Content, Publication};
use super::{HdfsFailure, HdfsStore};

/// A file in parts.
#[derive(Debug)]
pub(super) struct HdfsUpload {
    store: HdfsStore,
    target: String,
    file: Arc<File>,
    /// Where the next part begins.
    offset: u64,
}

impl HdfsUpload {
    pub(super) async fn begin(store: HdfsStore, target: String) -> Result<Self> {
        let folder = Arc::clone(&store.spool);
        let file = tokio::task::spawn_blocking(move || nameless_file(&folder))
            .await?
            .map_err(|error| HdfsFailure::Spool(error).about(&target))?;
        Ok(Self { store, target, file: Arc::new(file), offset: 0 })
    }
}

#[async_trait]
impl MultipartUpload for HdfsUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.offset;
        self.offset += data.content_length() as u64;
        let (file, target) = (Arc::clone(&self.file), self.target.clone());
        Box::pin(async move {
            let write = move || -> std::io::Result<()> {
                for chunk in &data {
                    file.write_all_at(chunk, offset)?;
                    offset += chunk.len() as u64;
                }
                Ok(())
            };
            tokio::task::spawn_blocking(write)
                .await?
                .map_err(|error| HdfsFailure::Spool(error).about(&target))
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let content = Content::Spooled(Arc::clone(&self.file), self.offset);
        self.store
            .publish(&self.target, &content, Publication::ReplaceUnread)
            .await
            .map_err(|failure| failure.about(&self.target))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        // The local file has no name, and is gone with the last that holds it.
        Ok(())
    }
}

/// A local file that nobody else can open, and that ends with this process at the latest.
fn nameless_file(folder: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.part", Uuid::new_v4()));
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("spill/hdfs");
        let file = nameless_file(&spool).unwrap();
        file.write_all_at(b"part", 0).unwrap();
        let mut read = [0; 4];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"part");
        assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
    }
}

//! Stores of the `object_store` crate whose every call ends, whose files last, and whose errors people
//! can read.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};

use super::local::{self, LocalUpload};
use super::s3;

/// Longest wait for one call to the local file system, or for the next part of an answer.
const LOCAL_LIMIT: Duration = Duration::from_secs(60);

/// The same for a store that makes its requests again by itself: longer than it does so.
const REMOTE_LIMIT: Duration = Duration::from_secs(180);

/// A store whose calls are bounded in time; local files are synced before a call returns.
#[derive(Debug)]
pub(super) struct BoundedStore {
    inner: Arc<dyn ObjectStore>,
    /// Set for `file://`, whose writes `object_store` leaves in the page cache.
    local: Option<LocalFileSystem>,
    limit: Duration,
}

/// A call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} seconds", .0.as_secs())]
struct TimedOut(Duration);

impl BoundedStore {
    /// The local file system.
    pub(super) fn local() -> Self {
        let local = LocalFileSystem::new();
        Self { inner: Arc::new(local.clone()), local: Some(local), limit: LOCAL_LIMIT }
    }

    /// A store behind a network.
    pub(super) fn remote(store: impl ObjectStore) -> Self {
        Self { inner: Arc::new(store), local: None, limit: REMOTE_LIMIT }
    }
}

impl std::fmt::Display for BoundedStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "BoundedStore({})", self.inner)
    }
}

async fn bounded<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(s3::readable),
        Err(_) => Err(timed_out(limit)),
    }
}

fn timed_out(limit: Duration) -> object_store::Error {
    object_store::Error::Generic { store: "store", source: Box::new(TimedOut(limit)) }
}

/// The stream with a bounded wait for each item; it ends with the first time-out. Readers of Delta's
/// log ask once more behind its end.
fn bounded_stream<T: Send + 'static>(
    limit: Duration,
    stream: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    futures::stream::unfold(Some(stream), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(limit, stream.next()).await {
            Ok(Some(item)) => Some((item.map_err(s3::readable), Some(stream))),
            Ok(None) => None,
            Err(_) => Some((Err(timed_out(limit)), None)),
        }
    })
    .fuse()
    .boxed()
}

#[async_trait]
impl ObjectStore for BoundedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match &self.local {
            Some(local) => {
                let path = local.path_to_filesystem(location)?;
                bounded(self.limit, local::put(path, payload, options.mode)).await
            }
            None => bounded(self.limit, self.inner.put_opts(location, payload, options)).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload: Box<dyn MultipartUpload> = match &self.local {
            Some(local) => {
                let path = local.path_to_filesystem(location)?;
                Box::new(bounded(self.limit, LocalUpload::create(path)).await?)
            }
            None => bounded(self.limit, self.inner.put_multipart_opts(location, options)).await?,
        };
        Ok(Box::new(BoundedUpload { upload, limit: self.limit }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = bounded(self.limit, self.inner.get_opts(location, options)).await?;
        result.payload = match result.payload {
            GetResultPayload::Stream(stream) => {
                GetResultPayload::Stream(bounded_stream(self.limit, stream))
            }
            file => file,
        };
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        bounded(self.limit, self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        bounded_stream(self.limit, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        bounded_stream(self.limit, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        bounded_stream(self.limit, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        bounded(self.limit, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        bounded(self.limit, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        bounded(self.limit, self.inner.rename_opts(from, to, options)).await
    }
}

/// An upload whose parts and end are bounded in time.
#[derive(Debug)]
struct BoundedUpload {
    upload: Box<dyn MultipartUpload>,
    limit: Duration,
}

#[async_trait]
impl MultipartUpload for BoundedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        Box::pin(bounded(self.limit, self.upload.put_part(data)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        bounded(self.limit, self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        bounded(self.limit, self.upload.abort()).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, PutMode};
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn path(folder: &tempfile::TempDir, name: &str) -> Path {
        Path::from_absolute_path(folder.path().join(name)).unwrap()
    }

    #[tokio::test]
    async fn an_entry_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = BoundedStore::local();
        let entry = path(&folder, "log/entry");
        let create = PutOptions::from(PutMode::Create);
        store.put_opts(&entry, "first".into(), create.clone()).await.unwrap();
        let second = store.put_opts(&entry, "second".into(), create).await;
        assert!(matches!(second, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(store.get(&entry).await.unwrap().bytes().await.unwrap(), "first");
        store.put(&entry, "third".into()).await.unwrap();
        assert_eq!(store.get(&entry).await.unwrap().bytes().await.unwrap(), "third");
        // Nothing is left of the temporary files.
        assert_eq!(std::fs::read_dir(folder.path().join("log")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_stream_may_be_asked_again_behind_its_end() {
        let items = futures::stream::iter([Ok(1)]).boxed();
        let mut stream = bounded_stream(LOCAL_LIMIT, items);
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
        let mut silent =
            bounded_stream(Duration::ZERO, futures::stream::pending::<Result<i32>>().boxed());
        assert!(silent.next().await.unwrap().is_err());
        assert!(silent.next().await.is_none());
        assert!(silent.next().await.is_none());
    }

    #[tokio::test]
    async fn parts_of_an_upload_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(BoundedStore::local());
        let file = path(&folder, "day/file");
        let mut writer = object_store::buffered::BufWriter::with_capacity(
            Arc::clone(&store),
            file.clone(),
            1000,
        );
        let mut expected = Vec::new();
        for number in 0..5000_u32 {
            writer.write_all(&number.to_le_bytes()).await.unwrap();
            expected.extend(number.to_le_bytes());
        }
        assert!(store.head(&file).await.is_err(), "it must not be seen before it is whole");
        writer.shutdown().await.unwrap();
        assert_eq!(store.get(&file).await.unwrap().bytes().await.unwrap(), expected);
    }
}

//! Files on HDFS.
//!
//! Each call has a limit in time, is tried again while what failed may pass, and says at last which
//! cluster did not answer. Reading fails after [`READ_RETRIES`], since somebody may wait for it;
//! writing goes on for [`WRITE_RETRIES`], longer than a NameNode needs to come back, or another one to
//! take its place.

mod active;
mod connection;
mod failure;
mod hadoop_files;
mod name_service;
mod publish;
mod read;
mod upload;

use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, coalesce_ranges,
};

use crate::settings::HdfsUrl;
use crate::stores::retry::RetryPolicy;
use connection::Connection;
pub(super) use failure::HdfsFailure;
use publish::{Content, Publication};
use read::meta_of;
use upload::HdfsUpload;

/// Longest wait for an answer of the NameNode.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Longest wait for a DataNode to take or to give another piece.
const STALL_LIMIT: Duration = Duration::from_secs(15);

/// Bytes a second that a call moves at least; one that is slower is taken for one that hangs.
const LEAST_BYTES_PER_SECOND: u64 = 512 * 1024;

/// How often, and for how long, reading is tried again.
const READ_RETRIES: RetryPolicy = RetryPolicy {
    attempts: 8,
    first_wait: Duration::from_millis(200),
    longest_wait: Duration::from_secs(8),
    // Room for three copies of a block of which one answers, where DataNodes hang.
    deadline: Duration::from_secs(45),
};

/// How often, and for how long, writing is tried again.
const WRITE_RETRIES: RetryPolicy = RetryPolicy {
    attempts: 24,
    first_wait: Duration::from_millis(200),
    longest_wait: Duration::from_secs(8),
    deadline: Duration::from_secs(120),
};

/// The files of a cluster. Clones share their client.
#[derive(Debug, Clone)]
pub(super) struct HdfsStore {
    connection: Arc<Connection>,
    name: Arc<str>,
    /// Local folder for files that are written in parts.
    spool: Arc<LocalPath>,
}

impl HdfsStore {
    /// Opens the cluster at this URL, from its root on. Reads Hadoop's configuration files
    /// (`HADOOP_CONF_DIR`, else `HADOOP_HOME`); asks no server.
    pub(super) fn open(url: &HdfsUrl, spool: &LocalPath) -> Result<Self> {
        let name = format!("hdfs://{}", url.authority());
        let connection = Connection::open(url).map_err(|failure| failure.about(&name))?;
        Ok(Self { connection: Arc::new(connection), name: name.into(), spool: spool.into() })
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What log lines call an operation.
    fn doing(&self, operation: &str, path: &str) -> String {
        format!("{operation} {}{path}", self.name)
    }

    async fn remove_location(&self, location: Path) -> Result<Path> {
        let path = absolute(&location)?;
        self.remove(&path, READ_RETRIES).await.map_err(|failure| failure.about(&path))?;
        Ok(location)
    }

    async fn read_location(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let path = absolute(location)?;
        self.read(&path, range).await.map_err(|failure| failure.about(&path))
    }

    fn not_implemented(operation: &str) -> Error {
        Error::NotImplemented {
            operation: operation.to_owned(),
            implementer: "HdfsStore".to_owned(),
        }
    }
}

impl std::fmt::Display for HdfsStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HdfsStore({})", self.name)
    }
}

#[async_trait]
impl ObjectStore for HdfsStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let publication = match options.mode {
            PutMode::Create => Publication::Create,
            PutMode::Overwrite => Publication::Replace,
            PutMode::Update(_) => return Err(Self::not_implemented("update a version of a file")),
        };
        let path = absolute(location)?;
        self.publish(&path, &Content::Memory(payload), publication)
            .await
            .map_err(|failure| failure.about(&path))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(HdfsUpload::begin(self.clone(), absolute(location)?).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = absolute(location)?;
        let status = self.status(&path).await.map_err(|failure| failure.about(&path))?;
        let missing = |source: &str| Error::NotFound { path: path.clone(), source: source.into() };
        if status.isdir {
            return Err(missing("it is a folder"));
        }
        let meta = meta_of(&status).ok_or_else(|| missing("its name or time is none of ours"))?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|error| Error::Generic { store: "HDFS", source: error.into() })?,
            None => 0..meta.size,
        };
        let payload = if options.head {
            futures::stream::empty().boxed()
        } else {
            self.pieces(path, range.clone())
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(
            ranges,
            |range| self.read_location(location, range),
            OBJECT_STORE_COALESCE_DEFAULT,
        )
        .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |location| {
                let store = store.clone();
                async move { store.remove_location(location).await }
            })
            .boxed()
    }

    /// By name, which readers of Delta logs count on.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, folder) = (self.clone(), prefix.cloned().unwrap_or_default());
        futures::stream::once(async move {
            let folder = absolute(&folder)?;
            let files = store.files_below(&folder).await.map_err(|error| error.about(&folder))?;
            Ok::<_, Error>(futures::stream::iter(files.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(Self::not_implemented("list one folder alone"))
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Self::not_implemented("copy a file"))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(Self::not_implemented("rename a file"))
    }
}

/// The path on HDFS. What needs escaping there is refused: files of such names get lost.
fn absolute(location: &Path) -> Result<String> {
    let path = location.as_ref();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=/".contains(&byte);
    if !path.bytes().all(is_safe) {
        return Err(Error::NotSupported {
            source: format!("`{path}` has characters that names on HDFS should not have").into(),
        });
    }
    Ok(format!("/{path}"))
}

/// The longest time of a call that moves so many bytes.
fn limit_for(bytes: u64) -> Duration {
    CALL_LIMIT + STALL_LIMIT + Duration::from_secs(bytes / LEAST_BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_names_are_used() {
        let safe = "questlake/landing/2026-01-31/event_date=2026-01-31/a.qls";
        assert_eq!(absolute(&Path::from(safe)).unwrap(), format!("/{safe}"));
        assert_eq!(absolute(&Path::default()).unwrap(), "/");
        for name in ["a?b", "a#b", "a%b", "a b", "ä"] {
            assert!(absolute(&Path::from(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_large_call_has_more_time() {
        assert_eq!(limit_for(0), Duration::from_secs(30));
        assert_eq!(limit_for(64 << 20), Duration::from_secs(30 + 128));
    }
}

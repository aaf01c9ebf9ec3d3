//! Landing in an object store: HDFS, or a bucket.

use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;
use std::time::Duration;

use arrow::buffer::Buffer;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use xxhash_rust::xxh3::Xxh3;

use super::{Landing, RESTORE, pass};
use crate::clock::now_millis;
use crate::settings::StoreUrl;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::objects::{self, ObjectFolder, STAGED_SUFFIX, store_error};
use crate::stores::retry::{RetryPolicy, retry};

/// How often a segment is put into a bucket whose store did not say what became of it. Its client
/// does not put again what may be there; but our names are ours alone, so that we may.
const SEAL_RETRIES: RetryPolicy = RetryPolicy {
    attempts: 3,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(4),
    deadline: Duration::from_secs(60),
};

/// Sealed files in a folder of an object store.
#[derive(Debug, Clone)]
pub struct ObjectLanding {
    folder: Arc<ObjectFolder>,
    name: Arc<str>,
}

impl ObjectLanding {
    /// Opens the folder at this URL, which need not exist yet. No server is asked.
    pub fn open(url: &StoreUrl, spool: &LocalPath) -> StoreResult<Self> {
        let name = format!("landing ({url})");
        let folder = Arc::new(objects::open(&name, url, spool)?);
        Ok(Self { folder, name: name.into() })
    }

    fn store(&self) -> &dyn ObjectStore {
        &*self.folder.store
    }

    fn location(&self, name: &str) -> Path {
        self.folder.root.parts().chain(Path::from(name).parts()).collect()
    }

    fn failed(&self, operation: String, error: Error) -> StoreError {
        store_error(&self.name, operation, error)
    }

    async fn put(&self, location: &Path, content: &PutPayload) -> Result<(), Error> {
        match self.store().put_opts(location, content.clone(), PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(error @ Error::AlreadyExists { .. }) => match self.holds(location, content).await {
                // It is ours, if the answer to an earlier request was lost.
                Ok(true) => Ok(()),
                Ok(false) => Err(error),
                // A bucket says so too of a name that another request is about to take. That one may
                // be ours as well, and may still fail.
                Err(Error::NotFound { .. }) => {
                    Err(Error::Generic { store: "landing", source: error.into() })
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the file has these bytes.
    async fn holds(&self, location: &Path, content: &PutPayload) -> Result<bool, Error> {
        let length = content.content_length() as u64;
        if self.store().head(location).await?.size != length {
            return Ok(false);
        }
        let mut wanted = Box::new(Xxh3::new());
        content.iter().for_each(|part| wanted.update(part));
        let mut found = Box::new(Xxh3::new());
        let mut parts = self.store().get(location).await?.into_stream();
        while let Some(part) = parts.try_next().await? {
            found.update(&part);
        }
        Ok(found.digest() == wanted.digest())
    }

    /// All files in the folder, with their names in it.
    async fn files(&self, operation: &str) -> StoreResult<Vec<(String, ObjectMeta)>> {
        let found: Result<Vec<ObjectMeta>, Error> =
            self.store().list(Some(&self.folder.root)).try_collect().await;
        let found = found.map_err(|error| self.failed(operation.to_owned(), error))?;
        let named = found.into_iter().filter_map(|meta| {
            let parts = meta.location.prefix_match(&self.folder.root)?;
            Some((parts.collect::<Path>().to_string(), meta))
        });
        Ok(named.collect())
    }
}

/// Whether the file has not been finished, or lies in a folder that is not for sealed files.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// Whether the file is being written, or was when its process ended.
fn is_staged(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.starts_with('.') && file.ends_with(STAGED_SUFFIX)
}

#[async_trait]
impl Landing for ObjectLanding {
    async fn seal(&self, name: &str, parts: Vec<Bytes>) -> StoreResult<()> {
        let location = self.location(name);
        let content: PutPayload = parts.into_iter().collect();
        let operation = format!("write segment {name}");
        let described = format!("{operation} in {}", self.name);
        let may_pass =
            |error: &Error| matches!(error, Error::Generic { store, .. } if *store != "HDFS");
        retry(SEAL_RETRIES, &described, may_pass, || self.put(&location, &content))
            .await
            .map_err(|error| self.failed(operation, error))?;
        pass(&self.name, "landing.after_rename")
    }

    async fn read(&self, name: &str, range: Range<u64>) -> StoreResult<Buffer> {
        let operation = || format!("read segment {name}");
        let damaged = |error: StoreError| error.with_advice(RESTORE);
        if range.is_empty() {
            return Ok(Buffer::default());
        }
        let wanted = range.end - range.start;
        let read = self.store().get_ranges(&self.location(name), &[range]).await;
        let read = read.map_err(|error| {
            let error = self.failed(operation(), error);
            if error.kind == StoreErrorKind::Corrupt { damaged(error) } else { error }
        })?;
        let bytes = read.into_iter().next().unwrap_or_default();
        if (bytes.len() as u64) < wanted {
            let reason = format!("it ends {} bytes early", wanted - bytes.len() as u64);
            return Err(damaged(StoreError::new(
                &*self.name,
                operation(),
                StoreErrorKind::Corrupt,
                reason,
            )));
        }
        Ok(Buffer::from(bytes))
    }

    async fn list(&self) -> StoreResult<Vec<(String, u64)>> {
        let files = self.files("list segments").await?;
        let sealed = files.into_iter().filter(|(name, _)| !is_hidden(name));
        let mut sealed: Vec<_> = sealed.map(|(name, meta)| (name, meta.size)).collect();
        sealed.sort();
        Ok(sealed)
    }

    async fn remove(&self, name: &str) -> StoreResult<()> {
        let Err(error) = self.store().delete(&self.location(name)).await else { return Ok(()) };
        let is_missing = matches!(error, Error::NotFound { .. });
        let error = self.failed(format!("remove segment {name}"), error);
        // A bucket that is not there is told by the same error.
        if is_missing && error.kind == StoreErrorKind::Corrupt { Ok(()) } else { Err(error) }
    }

    async fn remove_unfinished(&self, age: Duration) -> StoreResult<u64> {
        let operation = "remove unfinished files";
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let latest = now_millis().saturating_sub(age);
        let mut removed = 0;
        for (name, meta) in self.files(operation).await? {
            // The store's clock may be ahead of ours.
            if !is_staged(&name) || meta.last_modified.timestamp_millis() >= latest {
                continue;
            }
            match self.store().delete(&meta.location).await {
                Ok(()) => removed += 1,
                // Its writer, or another process, was faster.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(operation.to_owned(), error)),
            }
        }
        Ok(removed)
    }

    async fn ask(&self) -> StoreResult<()> {
        // A folder that is not there is an answer; a bucket that is not there is an error.
        let nowhere = self.location("none");
        let first = self.store().list(Some(&nowhere)).next().await.transpose();
        first.map_err(|error| self.failed("look for a file".to_owned(), error))?;
        Ok(())
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_written_are_told_from_sealed_ones() {
        for (name, hidden, staged) in [
            ("2026-01-31/a.qls", false, false),
            ("2026-01-31/.0b1c.tmp", true, true),
            ("2026-01-31/.nfs", true, false),
            (".trash/a.tmp", true, false),
            ("2026-01-31/a.tmp", false, false),
        ] {
            assert_eq!((is_hidden(name), is_staged(name)), (hidden, staged), "{name}");
        }
    }

    #[test]
    fn names_lie_in_the_folder() {
        let url = StoreUrl::File("/data/landing".into());
        let landing = ObjectLanding::open(&url, LocalPath::new("/spool")).unwrap();
        let location = landing.location("2026-01-31/a.qls");
        assert_eq!(location.as_ref(), "data/landing/2026-01-31/a.qls");
    }
}

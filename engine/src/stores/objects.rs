//! Object stores under landing and archive: local files, HDFS and S3 behind one interface.
//!
//! Whatever the store: every call ends, a file appears whole or not at all, a file that was written
//! lasts, and of two that write the same name with [`object_store::PutMode::Create`] one succeeds.
//!
//! | scheme | written by | appears by |
//! |---|---|---|
//! | `file://` | [`local`]: aside, synced | a link or a rename |
//! | `hdfs://` | [`hdfs`]: aside, closed, verified | a rename on the NameNode |
//! | `s3://` | [`s3`]: one request, or a multipart upload | the end of the request |

mod bounded;
mod error;
mod hdfs;
mod local;
mod s3;

use std::path::Path as LocalPath;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::error::{StoreError, StoreErrorKind, StoreResult};
use crate::settings::StoreUrl;
use bounded::BoundedStore;
pub(super) use error::{meaning_of, store_error};
use hdfs::HdfsStore;

/// Ending of a file that is not whole yet. Its name begins with a dot.
pub(super) const STAGED_SUFFIX: &str = ".tmp";

/// A folder in an object store.
#[derive(Debug)]
pub(super) struct ObjectFolder {
    /// The store, from its own root on.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The folder in the store.
    pub(super) root: Path,
    /// The folder as a URL that ends with a slash.
    pub(super) url: Url,
}

/// Opens the folder at this URL. It need not exist; no server is asked yet. `name` is what messages
/// call it, and `spool` a local folder for what cannot be sent at once.
pub(super) fn open(name: &str, url: &StoreUrl, spool: &LocalPath) -> StoreResult<ObjectFolder> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(name, "open the store", StoreErrorKind::Incompatible, error)
    };
    let misfit = |reason: String| unusable(reason.into());
    let location = |text: String| {
        Url::parse(&text).map_err(|error| misfit(format!("{text} is not a URL: {error}")))
    };
    match url {
        StoreUrl::File(folder) => {
            let absolute = |()| misfit(format!("{} is not an absolute path", folder.display()));
            Ok(ObjectFolder {
                store: Arc::new(BoundedStore::local()),
                root: Path::from_absolute_path(folder).map_err(|error| unusable(error.into()))?,
                url: Url::from_directory_path(folder).map_err(absolute)?,
            })
        }
        StoreUrl::Hdfs(hdfs) => Ok(ObjectFolder {
            store: Arc::new(
                HdfsStore::open(hdfs, spool)
                    .map_err(|error| store_error(name, "open the store", error))?,
            ),
            root: Path::from(hdfs.path()),
            url: location(format!("{hdfs}/"))?,
        }),
        StoreUrl::S3(bucket) => {
            let root = Path::from(bucket.path());
            let folder = match root.as_ref() {
                "" => format!("s3://{}/", bucket.bucket()),
                path => format!("s3://{}/{path}/", bucket.bucket()),
            };
            let store = s3::open(bucket).map_err(|error| unusable(error.into()))?;
            Ok(ObjectFolder {
                store: Arc::new(BoundedStore::remote(store)),
                root,
                url: location(folder)?,
            })
        }
        _ => Err(misfit(format!("{url} is none of file://, hdfs:// and s3://"))),
    }
}

//! Landing: sealed, immutable, checksummed files of Arrow record batches.
//!
//! A segment becomes real only by its entry in the ledger; a sealed file without one is an orphan
//! that nobody reads.

pub mod local;
pub mod objects;
pub mod segment;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::buffer::Buffer;
use async_trait::async_trait;
use bytes::Bytes;

use super::error::{StoreError, StoreErrorKind, StoreResult};
use crate::failpoint;
use crate::settings::StoreUrl;

/// Opens the landing at this URL. `spool` is a local folder for what cannot be sent at once.
pub fn open(url: &StoreUrl, spool: &Path) -> StoreResult<Arc<dyn Landing>> {
    match url {
        StoreUrl::File(folder) => Ok(Arc::new(local::LocalLanding::open(folder)?)),
        other => Ok(Arc::new(objects::ObjectLanding::open(other, spool)?)),
    }
}

/// What to do about a segment that is not as the ledger has it.
const RESTORE: &str = "the ledger lists this file but it is missing or short; if `questlake archive` has moved its \
     events meanwhile, run this again, with a longer archive.grace; else restore it from a backup";

/// Where segments lie. Names are relative paths of letters, digits, `-`, `_`, `.` and `/` only.
#[async_trait]
pub trait Landing: Send + Sync {
    /// Writes `parts` one after the other as the file `name`, durably: when it returns, the file
    /// is there whole, and it is never there in part. A file of that name is never overwritten:
    /// that is an error.
    async fn seal(&self, name: &str, parts: Vec<Bytes>) -> StoreResult<()>;

    /// Reads a range of bytes of the file `name`.
    async fn read(&self, name: &str, range: Range<u64>) -> StoreResult<Buffer>;

    /// Names and sizes of all sealed files.
    async fn list(&self) -> StoreResult<Vec<(String, u64)>>;

    /// Removes the file `name`; it is no error if it is not there.
    async fn remove(&self, name: &str) -> StoreResult<()>;

    /// Removes what ended processes have begun to write and never finished, where it was last
    /// written to longer ago than `age`. Returns the number of files.
    async fn remove_unfinished(&self, age: Duration) -> StoreResult<u64>;

    /// Whether it answers at all: asks for something that every store of its kind can say at once.
    async fn ask(&self) -> StoreResult<()>;

    /// How messages name this store.
    fn name(&self) -> String;
}

fn pass(store: &str, failpoint: &'static str) -> StoreResult<()> {
    failpoint::pass(failpoint).map_err(|failure| {
        StoreError::new(store, "seal a segment", StoreErrorKind::Unavailable, failure)
    })
}

//! Landing: sealed, immutable, checksummed files of Arrow record batches.
//!
//! A segment becomes real only by its entry in the ledger; a sealed file without one is an orphan
//! that nobody reads.

pub mod local;
pub mod segment;

use std::ops::Range;
use std::time::Duration;

use arrow::buffer::Buffer;
use async_trait::async_trait;
use bytes::Bytes;

use super::error::StoreResult;

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

    /// How messages name this store.
    fn name(&self) -> String;
}

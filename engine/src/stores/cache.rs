//! The cache of answers: what was computed before, for a time.
//!
//! The cache is never authoritative. A key says all that its value follows from, the version of the
//! data included, so that a value is right as long as it is there, and nothing has to be removed when
//! data changes. Whatever fails is a miss: the caller computes the answer again.

pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// As good as for ever, and no clock overflows.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A cache of answers. No method takes longer than the cache's time-out.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value of a key; `None` if there is none, if it is too old, or if the cache does not
    /// answer.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps a value for this long at most; it replaces one that is there. A cache may forget it
    /// earlier, or not keep it at all.
    async fn set(&self, key: &str, value: Bytes, time_to_live: Duration);

    /// Why the cache does not answer; `None` if it does.
    async fn fault(&self) -> Option<String>;

    /// How messages name this cache.
    fn name(&self) -> String;
}

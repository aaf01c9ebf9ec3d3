//! The embedded cache: a bounded number of bytes of this process.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::policy::EvictionPolicy;

use super::{Cache, LONGEST_TIME};
use crate::settings::ByteSize;

/// Bytes that an entry takes beside key and value, roughly.
const ENTRY_BYTES: usize = 200;

/// An entry larger than this part of the cache would drive out too many others.
const LARGEST_PART: u64 = 8;

/// The cache in this process. What was not used for longest goes first.
pub struct MemoryCache {
    entries: moka::sync::Cache<String, Entry>,
    limit: ByteSize,
}

/// Clones share the bytes.
#[derive(Clone)]
struct Entry {
    value: Bytes,
    time_to_live: Duration,
}

/// Each entry has a time of its own.
struct OwnTime;

impl Expiry<String, Entry> for OwnTime {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.time_to_live)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.time_to_live)
    }
}

impl MemoryCache {
    /// An empty cache of this many bytes; one of 0 bytes keeps nothing.
    pub fn new(limit: ByteSize) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(limit.bytes())
            .weigher(|key: &String, entry: &Entry| {
                u32::try_from(size(key, &entry.value)).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(OwnTime)
            .build();
        Self { entries, limit }
    }

    /// Bytes that the entries take, as far as that is known.
    pub fn bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

fn size(key: &str, value: &Bytes) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.entries.get(key).map(|entry| entry.value)
    }

    async fn set(&self, key: &str, value: Bytes, time_to_live: Duration) {
        let is_small = size(key, &value) as u64 <= self.limit.bytes() / LARGEST_PART;
        if !is_small || time_to_live.is_zero() {
            // What was there is older.
            self.entries.invalidate(key);
            return;
        }
        // A part of a larger buffer would keep all of it in memory.
        let value = Bytes::copy_from_slice(&value);
        let time_to_live = time_to_live.min(LONGEST_TIME);
        self.entries.insert(key.to_owned(), Entry { value, time_to_live });
    }

    async fn fault(&self) -> Option<String> {
        None
    }

    fn name(&self) -> String {
        format!("cache (memory, {})", self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_bytes_are_bounded_and_the_least_used_go_first() {
        let cache = MemoryCache::new(ByteSize::from_bytes(64 << 10));
        let value = Bytes::from(vec![1; 1000]);
        let hour = Duration::from_secs(3600);
        for number in 0..1000 {
            cache.set(&format!("key {number}"), value.clone(), hour).await;
            assert!(cache.get("key 0").await.is_some(), "used all the time, gone at {number}");
            assert!(cache.bytes() <= 64 << 10);
        }
        assert_eq!(cache.get("key 1").await, None);
        assert_eq!(cache.get("key 999").await, Some(value));
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_kept_and_replaces_what_was() {
        let cache = MemoryCache::new(ByteSize::from_bytes(64 << 10));
        let hour = Duration::from_secs(3600);
        cache.set("key", Bytes::from_static(b"small"), hour).await;
        cache.set("key", Bytes::from(vec![1; 10_000]), hour).await;
        assert_eq!(cache.get("key").await, None);
        let nothing = MemoryCache::new(ByteSize::from_bytes(0));
        nothing.set("key", Bytes::from_static(b"small"), hour).await;
        assert_eq!(nothing.get("key").await, None);
    }
}

//! How often a key may ask: a bucket of one second's requests that fills up again all the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use questlake_engine::stores::keys::ApiKey;

use crate::problem::{Kind, Problem};

/// Buckets of keys that have asked.
pub(super) struct RateLimits {
    default: Option<u32>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    requests: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Takes a request out; the seconds to wait where there is none.
    fn take(&mut self, limit: f64, now: Instant) -> Result<(), f64> {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.requests = (self.requests + elapsed * limit).min(limit);
        self.filled_at = now;
        if self.requests < 1.0 {
            return Err((1.0 - self.requests) / limit);
        }
        self.requests -= 1.0;
        Ok(())
    }
}

impl RateLimits {
    pub(super) fn new(default: Option<u32>) -> Self {
        Self { default, buckets: Mutex::default() }
    }

    /// Counts a request of a key.
    pub(super) fn take(&self, key: &ApiKey) -> Result<(), Problem> {
        let Some(limit) = key.rate_limit.or(self.default).filter(|limit| *limit > 0) else {
            return Ok(());
        };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { requests: f64::from(limit), filled_at: now };
        let taken = match buckets.get_mut(&key.id) {
            Some(bucket) => bucket.take(f64::from(limit), now),
            None => buckets.entry(key.id.clone()).or_insert(full).take(f64::from(limit), now),
        };
        taken.map_err(|seconds| {
            let detail = format!("this key may ask {limit} times a second");
            let mut problem = Problem::new(Kind::TooManyRequests, detail);
            problem.retry_after = Some(seconds.ceil().max(1.0) as u64);
            problem
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::keys::NewKey;
    use super::*;

    #[test]
    fn a_bucket_fills_up_again() {
        let begun = Instant::now();
        let mut bucket = Bucket { requests: 2.0, filled_at: begun };
        assert!(bucket.take(2.0, begun).is_ok());
        assert!(bucket.take(2.0, begun).is_ok());
        let wait = bucket.take(2.0, begun).unwrap_err();
        assert!((wait - 0.5).abs() < 1e-9, "{wait}");
        assert!(bucket.take(2.0, begun + Duration::from_millis(600)).is_ok());
        assert!(bucket.take(2.0, begun + Duration::from_millis(700)).is_err());
        // However long nobody asks, there is no more than one second's worth.
        let later = begun + Duration::from_secs(100);
        assert!(bucket.take(2.0, later).is_ok() && bucket.take(2.0, later).is_ok());
        assert!(bucket.take(2.0, later).is_err());
    }

    #[test]
    fn each_key_has_its_own() {
        let limits = RateLimits::new(Some(1));
        let key = |limit| NewKey::generate("k", vec![], limit, None).unwrap().key;
        let (slow, other, free) = (key(None), key(Some(2)), key(Some(0)));
        assert!(limits.take(&slow).is_ok());
        let problem = limits.take(&slow).unwrap_err();
        assert_eq!((problem.kind, problem.retry_after), (Kind::TooManyRequests, Some(1)));
        assert!(limits.take(&other).is_ok() && limits.take(&other).is_ok());
        assert!((0..100).all(|_| limits.take(&free).is_ok()));
    }
}

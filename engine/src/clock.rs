//! This machine's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, in milliseconds since 1970 (UTC); 0 on a clock that stands before.
pub fn now_millis() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

/// The time now, in microseconds since 1970 (UTC); 0 on a clock that stands before.
pub fn now_micros() -> i64 {
    i64::try_from(since_1970().as_micros()).unwrap_or(i64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

//! Small things that are written alike everywhere.

use chrono::{DateTime, SecondsFormat, Utc};

/// A time in milliseconds since 1970 as RFC 3339 in UTC.
pub(crate) fn rfc3339(millis: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time in microseconds since 1970 as RFC 3339 in UTC.
pub(crate) fn rfc3339_micros(micros: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

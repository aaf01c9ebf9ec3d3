//! Values as PostgreSQL takes and gives them.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use super::Failure;
use chrono::{DateTime, Utc};

/// A list of parameters.
pub(crate) type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// A time in milliseconds since 1970.
pub(crate) fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH)
}

/// A count or size, which never comes near the largest BIGINT.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count or size back from a BIGINT.
pub(crate) fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::Corrupt(format!("{number} is no count")))
}

/// A hash back from its 16 bytes.
pub(crate) fn hash(bytes: &[u8]) -> Result<u128, Failure> {
    match bytes.try_into() {
        Ok(bytes) => Ok(u128::from_be_bytes(bytes)),
        Err(_) => Err(Failure::Corrupt(format!("a hash has {} bytes, not 16", bytes.len()))),
    }
}

/// A text without the one character that PostgreSQL's texts cannot hold: U+0000 becomes U+FFFD.
/// One such character in one event must not keep all others from being loaded.
pub(crate) fn storable_text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        assert_eq!(time(1_767_225_600_123).timestamp_millis(), 1_767_225_600_123);
        assert_eq!(hash(&u128::MAX.to_be_bytes()).unwrap(), u128::MAX);
        assert!(hash(&[1, 2]).is_err());
        assert_eq!(storable_text("a\0b"), "a\u{fffd}b");
    }
}

//! By what a topic is known again: the last record that was committed of each partition.
//!
//! A topic that was deleted and made anew has the same name and, once it is long enough, the same
//! offsets. The client goes on in it as if nothing had happened. So the last record is read once
//! more on assignment, and must be what it was.

use questlake_engine::stores::ledger::ContentMark;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The mark of a record: its offset, and a hash of its bytes and its time (milliseconds since 1970).
pub(super) fn mark_of(offset: i64, timestamp: Option<i64>, payload: &[u8]) -> ContentMark {
    let seed = timestamp.unwrap_or(-1).cast_unsigned();
    ContentMark {
        head_hash: u128::from(offset.cast_unsigned()),
        prefix_hash: xxh3_128_with_seed(payload, seed),
    }
}

/// Offset of the record that a mark was made of.
pub(super) fn marked_offset(mark: &ContentMark) -> i64 {
    (mark.head_hash as u64).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_its_record_alone() {
        let mark = mark_of(7, Some(1_000), b"{}");
        assert_eq!(mark, mark_of(7, Some(1_000), b"{}"));
        for other in [
            mark_of(8, Some(1_000), b"{}"),
            mark_of(7, Some(1_001), b"{}"),
            mark_of(7, None, b"{}"),
            mark_of(7, Some(1_000), b"{ }"),
        ] {
            assert_ne!(mark, other);
        }
        for offset in [0, 1, i64::MAX] {
            assert_eq!(marked_offset(&mark_of(offset, None, b"")), offset);
        }
    }
}

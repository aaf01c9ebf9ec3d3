//! Checksums of keys: what shows that the same events are here and there.
//!
//! A digest does not depend on the order of the rows or on how they are cut into files, so the
//! rows of a day can be compared between segments of the landing and files of the archive.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type};
use arrow::error::ArrowError;
use xxhash_rust::xxh3::xxh3_128;

use crate::project::contract::envelope;

/// Number and keys of some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayDigest {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the XXH3-128 of each `event_id`, modulo 2¹²⁸.
    pub key_sum: u128,
}

/// Digests by day (days since 1970).
pub type DayDigests = BTreeMap<i32, DayDigest>;

impl DayDigest {
    /// Adds one row.
    pub fn add(&mut self, event_id: &str) {
        self.rows += 1;
        self.key_sum = self.key_sum.wrapping_add(xxh3_128(event_id.as_bytes()));
    }

    /// Adds every row of a column of event identifiers.
    pub fn add_all(&mut self, event_ids: &StringArray) {
        for event_id in event_ids.iter().flatten() {
            self.add(event_id);
        }
    }

    /// Adds the rows of another digest.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.key_sum = self.key_sum.wrapping_add(other.key_sum);
    }
}

/// Adds the rows of a batch with the columns `event_id` and `event_date` to the digests of their
/// days.
pub fn digest_rows(rows: &RecordBatch, digests: &mut DayDigests) -> Result<(), ArrowError> {
    let event_ids = column(rows, envelope::EVENT_ID, &DataType::Utf8)?.as_string::<i32>();
    let days = column(rows, envelope::EVENT_DATE, &DataType::Date32)?.as_primitive::<Date32Type>();
    let mut row = 0;
    // Neighbours are mostly of the same day: look a day up once per run of rows.
    while row < rows.num_rows() {
        let day = days.value(row);
        let digest = digests.entry(day).or_default();
        while row < rows.num_rows() && days.value(row) == day {
            digest.add(event_ids.value(row));
            row += 1;
        }
    }
    Ok(())
}

/// A column of a batch, with the type that it must have.
pub(super) fn column<'a>(
    rows: &'a RecordBatch,
    name: &str,
    data_type: &DataType,
) -> Result<&'a dyn Array, ArrowError> {
    let column = rows
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{name}`")))?;
    if column.data_type() != data_type {
        return Err(ArrowError::SchemaError(format!(
            "column `{name}` is {} instead of {data_type}",
            column.data_type()
        )));
    }
    Ok(column)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array};
    use proptest::prelude::*;

    use super::*;

    fn rows(events: &[(u16, i32)]) -> RecordBatch {
        let ids: StringArray = events.iter().map(|(id, _)| Some(format!("event-{id}"))).collect();
        let days: Date32Array = events.iter().map(|(_, day)| Some(*day)).collect();
        RecordBatch::try_from_iter([
            (envelope::EVENT_ID, Arc::new(ids) as ArrayRef),
            (envelope::EVENT_DATE, Arc::new(days) as ArrayRef),
        ])
        .unwrap()
    }

    fn digest(events: &[(u16, i32)]) -> DayDigests {
        let mut digests = DayDigests::new();
        digest_rows(&rows(events), &mut digests).unwrap();
        digests
    }

    #[test]
    fn a_missing_a_doubled_and_another_event_are_seen() {
        let whole = digest(&[(1, 7), (2, 7), (3, 7)]);
        assert_ne!(whole, digest(&[(1, 7), (2, 7)]));
        assert_ne!(whole, digest(&[(1, 7), (2, 7), (2, 7)]));
        assert_ne!(whole, digest(&[(1, 7), (2, 7), (4, 7)]));
        assert_ne!(whole, digest(&[(1, 7), (2, 7), (3, 8)]));
        assert_eq!(whole[&7].rows, 3);
    }

    #[test]
    fn rows_without_keys_are_refused() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([(envelope::EVENT_DATE, days)]).unwrap();
        assert!(digest_rows(&rows, &mut DayDigests::new()).is_err());
    }

    proptest! {
        #[test]
        fn order_and_cuts_do_not_matter(
            events in prop::collection::vec((any::<u16>(), 0_i32..4), 0..80),
            cut in 0_usize..80,
            seed in any::<u64>(),
        ) {
            let whole = digest(&events);
            // Some other order, given by the seed.
            let mut shuffled = events.clone();
            shuffled.sort_by_key(|(id, day)| {
                (u64::from(*id) * 31 + u64::from(day.unsigned_abs())).wrapping_mul(seed | 1)
            });
            let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
            let mut merged = digest(left);
            for (day, other) in digest(right) {
                merged.entry(day).or_default().merge(other);
            }
            prop_assert_eq!(merged, whole);
        }
    }
}

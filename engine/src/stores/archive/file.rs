//! One data file of an archive table, as the Delta log describes it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate};
use deltalake_core::kernel::{Add, LogicalFileView};
use object_store::path::Path;
use serde::Deserialize;

use super::error::ArchiveError;
use crate::project::contract::envelope;

/// Tag of a file with the XXH3-64 of its bytes, in hexadecimal digits.
pub(super) const CHECKSUM_TAG: &str = "questlake.xxh3";

/// A data file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    /// The event type whose rows it holds.
    pub event_type: String,
    /// Path below the table's folder, such as `event_date=2026-01-31/part-….zstd.parquet`.
    pub path: String,
    /// Path in the object store.
    pub location: Path,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// Day of its rows (days since 1970).
    pub day: i32,
    /// When it was written, in milliseconds since 1970.
    pub modified: i64,
    /// XXH3-64 of its bytes, if the archive itself wrote it.
    pub checksum: Option<u64>,
}

#[derive(Deserialize)]
struct FileStatistics {
    #[serde(rename = "numRecords")]
    rows: u64,
}

impl ArchiveFile {
    /// Reads a file's entry in the log of the table in the folder `root`.
    pub(super) fn from_log(
        event_type: &str,
        root: &Path,
        view: &LogicalFileView,
    ) -> Result<Self, ArchiveError> {
        let add = add_action(view);
        let damaged = |what: &str| ArchiveError::Damaged {
            file: format!("the entry of {event_type}/{}", add.path),
            what: what.to_owned(),
        };
        let statistics: Option<FileStatistics> =
            add.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
        let statistics = statistics.ok_or_else(|| damaged("it has no number of rows"))?;
        let day = add
            .partition_values
            .get(envelope::EVENT_DATE)
            .and_then(|value| value.as_deref())
            .and_then(parse_day)
            .ok_or_else(|| damaged("it has no event_date"))?;
        if add.deletion_vector.is_some() {
            return Err(damaged("it has a deletion vector, which is not supported"));
        }
        let relative = Path::parse(&add.path).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self {
            event_type: event_type.to_owned(),
            location: root.parts().chain(relative.parts()).collect(),
            bytes: u64::try_from(add.size).map_err(|_| damaged("its size is negative"))?,
            rows: statistics.rows,
            day,
            modified: add.modification_time,
            checksum: add.tags.as_ref().and_then(checksum_tag),
            path: add.path,
        })
    }

    /// Path below the archive, for messages.
    pub fn name(&self) -> String {
        format!("{}/{}", self.event_type, self.path)
    }
}

/// The whole entry: its tags are nowhere else.
pub(super) fn add_action(view: &LogicalFileView) -> Add {
    #[expect(deprecated, reason = "the only way to a file's tags")]
    view.add_action()
}

fn checksum_tag(tags: &HashMap<String, Option<String>>) -> Option<u64> {
    u64::from_str_radix(tags.get(CHECKSUM_TAG)?.as_deref()?, 16).ok()
}

/// `YYYY-MM-DD` of a day (days since 1970).
pub(super) fn day_name(day: i32) -> String {
    match DateTime::from_timestamp(i64::from(day) * 86_400, 0) {
        Some(time) => time.format("%Y-%m-%d").to_string(),
        None => format!("day {day}"),
    }
}

fn parse_day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        for (day, name) in [(0, "1970-01-01"), (20_484, "2026-01-31"), (-1, "1969-12-31")] {
            assert_eq!(day_name(day), name);
            assert_eq!(parse_day(name), Some(day));
        }
    }
}

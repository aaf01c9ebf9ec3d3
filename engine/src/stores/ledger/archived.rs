//! What the ledger knows of the archive.
//!
//! Delivery semantics: rows move from landing to the archive in one transaction of the ledger, after
//! they were written there, read back and committed in each type's Delta table. A reader takes the
//! versions of the tables and the segments that are left from one snapshot, so that it sees each row
//! exactly once while rows move. What a crash leaves between a Delta commit and the ledger's is not
//! seen by anybody, and the next move finds it by its transaction identifier.

use std::collections::BTreeMap;

use super::SegmentEntry;
use crate::stores::archive::DayDigests;

/// What is in the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveState {
    /// Commits up to this one are in the archive, 0 if none is.
    pub through: i64,
    /// How far a move goes that was announced and has not ended.
    pub under_way: Option<i64>,
    /// The table of each event type.
    pub tables: BTreeMap<String, ArchivedTable>,
}

impl ArchiveState {
    /// Rows of all types.
    pub fn rows(&self) -> u64 {
        self.tables.values().flat_map(|table| table.days.values()).map(|day| day.rows).sum()
    }
}

/// The archive of one event type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchivedTable {
    /// Version of the Delta table that readers use.
    pub version: i64,
    /// Delta transaction identifier of the last move that had rows of this type.
    pub transaction: i64,
    /// When readers were last let to a version that had been there for a while (milliseconds since
    /// 1970, UTC), 0 if never. Until then they used files that the table had replaced long before.
    pub caught_up_at: i64,
    /// What it holds.
    pub days: DayDigests,
}

/// All commits up to one, as of one instant.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What is in the archive.
    pub archive: ArchiveState,
    /// The segments that are not, in commit order.
    pub segments: Vec<SegmentEntry>,
}

/// A move to the archive.
#[derive(Debug, Clone, Default)]
pub struct ArchiveCommit {
    /// Commits up to this one were in the archive before: what the ledger must say.
    pub after: i64,
    /// Commits up to this one are in the archive now.
    pub through: i64,
    /// Version of each event type's table that has new rows, and the digests of the new rows.
    pub tables: BTreeMap<String, (i64, DayDigests)>,
}

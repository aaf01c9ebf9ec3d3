//! The ledger: the commit point of ingestion.
//!
//! Delivery semantics: a micro-batch becomes real in one transaction, which records its sealed
//! segment, its quarantined records and its counts, and moves each partition's `next_offset` by
//! compare-and-set. A partition is claimed before it is read; each claim raises its epoch, so the
//! commit of a process that has lost the partition finds no row to move and writes nothing
//! ([`StoreErrorKind::Fenced`](super::error::StoreErrorKind)). Commits are numbered in the order in
//! which they become visible: a reader that has seen number n never meets a smaller one later.

pub mod archived;
pub mod gap;
pub mod postgres;
pub mod sqlite;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreResult;
use super::hot::PhysicalKey;
use super::landing::segment::Section;
use archived::{ArchiveCommit, ArchiveState, History};
use gap::{Gap, GapEntry};

/// The right to read one partition, until somebody else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Raised by each claim: the fence.
    pub epoch: i64,
    /// Offset of the first record that is not committed yet.
    pub next_offset: i64,
}

/// How many records took which way. `consumed = landed + duplicates + quarantined`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read from the source.
    pub consumed: u64,
    /// Rows in landing.
    pub landed: u64,
    /// True duplicates, dropped.
    pub duplicates: u64,
    /// Records in quarantine.
    pub quarantined: u64,
}

impl Counts {
    /// Whether the accounting adds up.
    pub fn adds_up(&self) -> bool {
        self.consumed == self.landed + self.duplicates + self.quarantined
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.consumed += other.consumed;
        self.landed += other.landed;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
    }
}

/// How far a file's content has been read: identifies the file by what is in it. A partition of
/// Kafka keeps its last record here, by which the topic is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentMark {
    /// XXH3-128 of the first [`HEAD_BYTES`] bytes of the content, or of all of it if shorter.
    pub head_hash: u128,
    /// XXH3-128 of the content up to `next_offset`.
    pub prefix_hash: u128,
}

/// Length of the head that [`ContentMark::head_hash`] covers.
pub const HEAD_BYTES: usize = 4096;

/// A partition's move in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionAdvance {
    /// The claim that the records were read under; its `next_offset` is what the ledger must say.
    pub claim: Claim,
    /// Where the partition stands after the commit.
    pub next_offset: i64,
    /// What became of the records in between.
    pub counts: Counts,
    /// For a source whose identity is its content.
    pub content: Option<ContentMark>,
}

/// A record that did not fit its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedRecord {
    /// Where it came from.
    pub key: PhysicalKey,
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// Code of the reason, such as `missing_field`.
    pub reason: String,
    /// What is wrong, for a person.
    pub detail: String,
    /// Event type, if it could be read.
    pub event_type: Option<String>,
    /// Version of the contract that refused it, if it has one.
    pub contract_version: Option<u64>,
}

/// What became of a quarantined record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineState {
    /// Waiting to be mended.
    Open,
    /// Replayed: it landed, or was found to be a duplicate.
    Replayed,
}

impl QuarantineState {
    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
        }
    }
}

/// A quarantined record as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Number of the record in the quarantine.
    pub id: i64,
    /// The record.
    pub record: QuarantinedRecord,
    /// When it was quarantined (milliseconds since 1970, UTC).
    pub quarantined_at: i64,
    /// What became of it.
    pub state: QuarantineState,
    /// How often a replay was tried.
    pub attempts: u32,
}

/// Which quarantined records to list.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// Only these numbers; empty for all.
    pub ids: Vec<i64>,
    /// Only records with this reason code.
    pub reason: Option<String>,
    /// Only records of this event type.
    pub event_type: Option<String>,
    /// Also replayed records.
    pub include_replayed: bool,
    /// Only records with a larger number than this.
    pub after_id: i64,
    /// At most so many.
    pub limit: usize,
}

/// A group of quarantined records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineGroup {
    /// Reason code.
    pub reason: String,
    /// Event type, if it could be read.
    pub event_type: Option<String>,
    /// Records that wait.
    pub open: u64,
    /// Records that were replayed.
    pub replayed: u64,
}

/// How a replay of a quarantined record ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// The record's number in the quarantine.
    pub quarantine_id: i64,
    /// `None` if it is done with; otherwise why it was refused again (reason code, detail).
    pub refused: Option<(String, String)>,
}

/// One commit.
#[derive(Debug, Clone, Default)]
pub struct BatchCommit {
    /// The sealed segment, if any row landed: its name, size and sections.
    pub segment: Option<SealedSegment>,
    /// The partitions that move.
    pub advances: Vec<PositionAdvance>,
    /// New quarantined records.
    pub quarantined: Vec<QuarantinedRecord>,
    /// Outcomes of replayed records.
    pub replays: Vec<ReplayOutcome>,
}

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// Name in the landing store.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// What it holds.
    pub sections: Vec<Section>,
}

/// A segment as the ledger lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Number of the commit, in commit order.
    pub sequence: i64,
    /// The segment.
    pub segment: SealedSegment,
}

/// A partition as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The latest claim, with the committed position.
    pub claim: Claim,
    /// Totals since the beginning.
    pub counts: Counts,
    /// For a source whose identity is its content.
    pub content: Option<ContentMark>,
    /// Time of the last commit (milliseconds since 1970, UTC), 0 if none.
    pub updated_at: i64,
}

/// The ledger as of one instant, while others go on committing.
#[derive(Debug, Clone, Default)]
pub struct LedgerSnapshot {
    /// Number of the latest commit that has a segment, 0 if there is none.
    pub latest_sequence: i64,
    /// Every segment that is not in the archive, in commit order.
    pub segments: Vec<SegmentEntry>,
    /// What is in the archive.
    pub archive: ArchiveState,
    /// Every partition.
    pub partitions: Vec<PartitionStatus>,
    /// Quarantined records by reason and event type, most frequent first.
    pub quarantine: Vec<QuarantineGroup>,
}

/// The ledger. Every method ends within the store's time-outs.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Claims a partition: raises its epoch and returns its position (0 if it is new).
    async fn claim(&self, topic: &str, partition: i32) -> StoreResult<Claim>;

    /// Commits a batch: all of it or nothing. Returns the number of the commit.
    async fn commit(&self, batch: BatchCommit) -> StoreResult<i64>;

    /// The committed position of a partition, if it is known.
    async fn position(&self, topic: &str, partition: i32) -> StoreResult<Option<i64>>;

    /// Every partition.
    async fn partitions(&self) -> StoreResult<Vec<PartitionStatus>>;

    /// Number of the latest commit that has a segment, 0 if there is none.
    async fn latest_sequence(&self) -> StoreResult<i64>;

    /// Whether it answers within this time, where other calls are made again.
    async fn ask(&self, patience: Duration) -> StoreResult<()>;

    /// The segments with `after < sequence <= through` that are not in the archive, in commit order.
    async fn segments(&self, after: i64, through: i64) -> StoreResult<Vec<SegmentEntry>>;

    /// The event types of the segments with `after < sequence <= through` that are not in the archive,
    /// each with the versions of its contract that their rows were decoded by.
    async fn contract_versions(
        &self,
        after: i64,
        through: i64,
    ) -> StoreResult<BTreeSet<(String, u64)>>;

    /// All commits up to `through` (or the latest), as of one instant: what is in the archive, and
    /// the segments that are not. Each row is in one of the two.
    async fn history(&self, through: Option<i64>) -> StoreResult<History>;

    /// What is in the archive.
    async fn archive_state(&self) -> StoreResult<ArchiveState>;

    /// Announces that all commits up to `through` will be moved to the archive, and returns how far
    /// that goes: a move that was announced before and has not ended is gone on with first.
    async fn begin_archive(&self, through: i64) -> StoreResult<i64>;

    /// Makes a move to the archive real: from now on its rows are read there.
    async fn commit_archive(&self, commit: ArchiveCommit) -> StoreResult<()>;

    /// Lets readers use another version of a type's table, which holds the same rows. `late` says
    /// that the version is older than the moment: a crash has kept readers from it. Returns whether
    /// the table still holds what it did at the last move with the identifier `transaction`.
    async fn set_archive_version(
        &self,
        event_type: &str,
        transaction: i64,
        version: i64,
        late: bool,
    ) -> StoreResult<bool>;

    /// The segments that are in the archive since `before` (milliseconds since 1970, UTC) or
    /// earlier, and whose files are not removed yet.
    async fn archived_segments(&self, before: i64) -> StoreResult<Vec<SegmentEntry>>;

    /// When the latest commit up to this one was made (milliseconds since 1970, UTC); `None` if it
    /// is forgotten.
    async fn committed_at(&self, sequence: i64) -> StoreResult<Option<i64>>;

    /// When the oldest segment that is not forgotten was committed (milliseconds since 1970, UTC).
    async fn oldest_segment_at(&self) -> StoreResult<Option<i64>>;

    /// Forgets archived segments, whose files are about to be removed.
    async fn forget_segments(&self, sequences: Vec<i64>) -> StoreResult<()>;

    /// Those of these segments that no commit lists, by name, in the given order.
    async fn unlisted(&self, names: Vec<String>) -> StoreResult<Vec<String>>;

    /// Quarantined records by number.
    async fn quarantine(&self, filter: &QuarantineFilter) -> StoreResult<Vec<QuarantineEntry>>;

    /// Lists a gap. One that is known by topic, partition, position and reason is not listed twice:
    /// it keeps when it was found, and whether it was accepted.
    async fn record_gap(&self, gap: Gap) -> StoreResult<()>;

    /// Moves a claimed partition behind a gap that begins at its position, without any record
    /// consumed, and lists the gap as accepted. Fenced like a commit.
    async fn accept_gap(&self, claim: &Claim, gap: Gap) -> StoreResult<()>;

    /// All gaps, by topic, partition and position.
    async fn gaps(&self) -> StoreResult<Vec<GapEntry>>;

    /// All that the accounting is made of, as of one instant.
    async fn snapshot(&self) -> StoreResult<LedgerSnapshot>;

    /// How messages name this store.
    fn name(&self) -> String;
}

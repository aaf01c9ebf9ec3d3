//! The hot store: raw documents for per-player look-ups, and the dedup index.
//!
//! Delivery semantics: a document's `_id` is its `event_id`, and each document carries the physical
//! key (topic, partition, offset) of the record it came from, and the epoch of the latest claim
//! under which that record was read. An insert whose `_id` is there already reports what is stored,
//! so that the caller can tell its own replay (keep the row) from a true duplicate (drop and count
//! it). An insert is durable when it returns.

pub mod mongo;
pub mod sqlite;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;

use super::error::StoreResult;

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhysicalKey {
    /// Topic, or the name of a file or queue.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

impl std::fmt::Display for PhysicalKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}:{}", self.topic, self.partition, self.offset)
    }
}

/// Whose a document is: the record that it came from, as read under a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The record.
    pub key: PhysicalKey,
    /// Epoch of the latest claim of the record's partition under which it was inserted.
    pub epoch: i64,
}

/// The rows of one event type in a [`HotBatch`].
#[derive(Debug, Clone)]
pub struct HotTable {
    /// The event type.
    pub event_type: Arc<str>,
    /// Rows with the landed schema of the type.
    pub rows: RecordBatch,
}

/// One document of a [`HotBatch`].
#[derive(Debug, Clone, Copy)]
pub struct HotRow {
    /// Index into [`HotBatch::tables`].
    pub table: u32,
    /// Row in that table.
    pub row: u32,
    /// First byte of the raw document in [`HotBatch::data`].
    pub start: u32,
    /// Bytes of the raw document.
    pub length: u32,
    /// Partition of the physical key.
    pub partition: i32,
    /// Offset of the physical key.
    pub offset: i64,
    /// Epoch of the claim under which the record was read.
    pub epoch: i64,
}

/// A batch of events to insert, in the order of their records.
#[derive(Debug, Clone)]
pub struct HotBatch {
    /// Topic of every physical key in the batch.
    pub topic: Arc<str>,
    /// Decoded rows by event type.
    pub tables: Vec<HotTable>,
    /// The documents, in record order.
    pub rows: Vec<HotRow>,
    /// The raw bytes that the documents lie in.
    pub data: Bytes,
}

/// A document that was there already under another physical key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotConflict {
    /// Index into [`HotBatch::rows`].
    pub row: usize,
    /// Whose the stored document is.
    pub stored: Owner,
}

/// A document that the store does not take, and never will as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotRefusal {
    /// Index into [`HotBatch::rows`].
    pub row: usize,
    /// What the store says.
    pub reason: String,
}

/// What became of the rows of an insert that are neither new nor replays, each by ascending row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HotInserted {
    /// Those that were there already under another physical key.
    pub conflicts: Vec<HotConflict>,
    /// Those that are not there and cannot be.
    pub refused: Vec<HotRefusal>,
}

/// A document that is to change hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// The document.
    pub event_id: String,
    /// Whose it must be for that.
    pub from: Owner,
    /// Whose it becomes.
    pub to: Owner,
}

/// An event as the hot store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotEvent {
    /// Logical key.
    pub event_id: String,
    /// Event type.
    pub event_type: String,
    /// Microseconds since 1970, UTC.
    pub event_time: i64,
    /// The player.
    pub player_id: String,
    /// Physical key.
    pub key: PhysicalKey,
    /// The raw JSON; empty where a scan was not asked for it.
    pub document: String,
}

/// Which events a scan reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HotFilter {
    /// Only of this player.
    pub player_id: Option<String>,
    /// Only of these types.
    pub event_types: Option<Vec<String>>,
    /// Only from this time on (microseconds since 1970, UTC).
    pub from: Option<i64>,
    /// Only up to this time, itself included.
    pub through: Option<i64>,
    /// Whether the documents are read too.
    pub with_documents: bool,
}

/// A part of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HotPage {
    /// Its events; there may be none although there are more pages.
    pub events: Vec<HotEvent>,
    /// Where the next page begins, `None` after the last one. Only the store understands it.
    pub next: Option<String>,
}

/// The hot store. Every method ends within the store's time-outs.
#[async_trait]
pub trait HotStore: Send + Sync {
    /// Inserts every document that is not there yet, durably, and returns those that are there
    /// under another physical key, and those that the store refuses. A document that is there under
    /// its own key is a replay and is not reported; its epoch is raised to that of the row, and never
    /// lowered, unless it has changed hands in between, and then it is reported.
    async fn insert(&self, batch: Arc<HotBatch>) -> StoreResult<HotInserted>;

    /// Gives each document to its new owner if it is still exactly the old one's, key and epoch.
    /// Durable when it returns. Returns for each, in order, whether it changed hands; one that did
    /// not does not keep the others from it.
    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>>;

    /// Forgets every document that was inserted before this time (milliseconds since 1970, UTC), and
    /// returns how many these were. A replay does not make a document younger. Inserts need not wait
    /// for the end; what a crash leaves, the next call removes.
    async fn prune(&self, before: i64) -> StoreResult<u64>;

    /// The events of one player, latest first; no more than `limit`.
    async fn player_timeline(&self, player_id: &str, limit: usize) -> StoreResult<Vec<HotEvent>>;

    /// One page of the events that fit the filter, in no particular order; `after` is where the page
    /// before said to go on. A page takes a bounded time and a few megabytes, however few events fit.
    /// What is inserted after the first page was read is not part of the scan; of an insert that was
    /// under way then, a part may be.
    async fn scan(&self, filter: &HotFilter, after: Option<String>) -> StoreResult<HotPage>;

    /// Those of these events that no document is of, in the given order. A thousand at most are asked
    /// for at a time.
    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>>;

    /// Number of documents, as the store keeps count of them: on a server that has crashed, about.
    async fn count(&self) -> StoreResult<u64>;

    /// Number of documents, counted one by one where the store's own count may be off.
    async fn count_exactly(&self) -> StoreResult<u64> {
        self.count().await
    }

    /// Whether it answers now, and takes writes: asked once, where other calls are made again.
    async fn ask(&self) -> StoreResult<()>;

    /// How messages name this store.
    fn name(&self) -> String;
}

//! The ledger on SQLite, in the same file as the embedded warehouse.

mod archive;
mod gaps;
mod quarantine;
mod segments;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use super::archived::{ArchiveCommit, ArchiveState, History};
use super::gap::{Gap, GapEntry};
use super::{
    BatchCommit, Claim, ContentMark, Counts, Ledger, LedgerSnapshot, PartitionStatus,
    PositionAdvance, QuarantineEntry, QuarantineFilter, SegmentEntry,
};
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::sqlite::SqliteDatabase;

const SCHEMA: &str = include_str!("schema.sql");

/// The ledger on SQLite.
#[derive(Clone)]
pub struct SqliteLedger {
    database: SqliteDatabase,
}

/// Why a commit was not made.
enum CommitFailure {
    Sqlite(rusqlite::Error),
    Fenced(String),
    Injected(failpoint::InjectedFailure),
}

impl From<rusqlite::Error> for CommitFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<failpoint::InjectedFailure> for CommitFailure {
    fn from(failure: failpoint::InjectedFailure) -> Self {
        Self::Injected(failure)
    }
}

impl SqliteLedger {
    /// Creates the ledger's tables in `database` where they are missing.
    pub fn open(database: SqliteDatabase) -> StoreResult<Self> {
        let connection = database.connect()?;
        connection
            .execute_batch(SCHEMA)
            .map_err(|error| database.error("create the ledger's tables", error))?;
        Ok(Self { database })
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, CommitFailure> + Send + 'static,
    ) -> StoreResult<T> {
        let database = self.database.clone();
        self.database
            .with_writer(operation, move |connection| {
                work(connection).map_err(|failure| match failure {
                    CommitFailure::Sqlite(error) => database.error(operation, error),
                    CommitFailure::Fenced(what) => {
                        StoreError::new(database.store(), operation, StoreErrorKind::Fenced, what)
                            .with_advice(
                                "nothing was written; another process goes on from its position",
                            )
                    }
                    CommitFailure::Injected(failure) => StoreError::new(
                        database.store(),
                        operation,
                        StoreErrorKind::Unavailable,
                        failure,
                    ),
                })
            })
            .await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn claim(&self, topic: &str, partition: i32) -> StoreResult<Claim> {
        let (database, topic) = (self.database.clone(), topic.to_owned());
        self.database
            .with_writer("claim a partition", move |connection| {
                claim(connection, &topic, partition)
                    .map_err(|error| database.error("claim a partition", error))
            })
            .await
    }

    async fn commit(&self, batch: BatchCommit) -> StoreResult<i64> {
        self.write("commit a batch", move |connection| commit(connection, &batch)).await
    }

    async fn position(&self, topic: &str, partition: i32) -> StoreResult<Option<i64>> {
        let topic = topic.to_owned();
        self.database
            .read("read a position", move |connection| {
                connection
                .prepare_cached(
                    "SELECT next_offset FROM meta_partitions WHERE topic = ?1 AND partition = ?2",
                )?
                .query_row((topic, partition), |row| row.get(0))
                .optional()
            })
            .await
    }

    async fn partitions(&self) -> StoreResult<Vec<PartitionStatus>> {
        self.database.read("read the partitions", read_partitions).await
    }

    async fn latest_sequence(&self) -> StoreResult<i64> {
        self.database.read("read the latest commit", segments::latest_sequence).await
    }

    async fn ask(&self, _patience: Duration) -> StoreResult<()> {
        // It has time-outs of its own, and is not asked again.
        self.latest_sequence().await.map(|_| ())
    }

    async fn segments(&self, after: i64, through: i64) -> StoreResult<Vec<SegmentEntry>> {
        self.database
            .read("list segments", move |connection| segments::read(connection, after, through))
            .await
    }

    async fn contract_versions(
        &self,
        after: i64,
        through: i64,
    ) -> StoreResult<BTreeSet<(String, u64)>> {
        self.database
            .read("list contract versions", move |connection| {
                segments::contract_versions(connection, after, through)
            })
            .await
    }

    async fn unlisted(&self, names: Vec<String>) -> StoreResult<Vec<String>> {
        self.database
            .read("look segments up", move |connection| {
                let mut query =
                    connection.prepare("SELECT 1 FROM meta_segments WHERE name = ?1")?;
                let mut unlisted = Vec::new();
                for name in names {
                    if !query.exists([&name])? {
                        unlisted.push(name);
                    }
                }
                Ok(unlisted)
            })
            .await
    }

    async fn history(&self, through: Option<i64>) -> StoreResult<History> {
        self.database
            .read("read the history", move |connection| {
                let transaction = connection.unchecked_transaction()?;
                let through = match through {
                    Some(through) => through,
                    None => segments::latest_sequence(&transaction)?,
                };
                Ok(History {
                    archive: archive::read_state(&transaction)?,
                    segments: segments::read(&transaction, 0, through)?,
                })
            })
            .await
    }

    async fn archive_state(&self) -> StoreResult<ArchiveState> {
        self.database
            .read("read the state of the archive", |connection| {
                let transaction = connection.unchecked_transaction()?;
                archive::read_state(&transaction)
            })
            .await
    }

    async fn begin_archive(&self, through: i64) -> StoreResult<i64> {
        self.write("announce a move to the archive", move |connection| {
            archive::begin(connection, through).map_err(CommitFailure::from)
        })
        .await
    }

    async fn commit_archive(&self, commit: ArchiveCommit) -> StoreResult<()> {
        self.write("commit a move to the archive", move |connection| {
            archive::commit(connection, &commit)
        })
        .await
    }

    async fn set_archive_version(
        &self,
        event_type: &str,
        transaction: i64,
        version: i64,
        late: bool,
    ) -> StoreResult<bool> {
        let event_type = event_type.to_owned();
        self.write("set the version of an archived table", move |connection| {
            archive::set_version(connection, &event_type, transaction, version, late)
                .map_err(CommitFailure::from)
        })
        .await
    }

    async fn archived_segments(&self, before: i64) -> StoreResult<Vec<SegmentEntry>> {
        self.database
            .read("list archived segments", move |connection| {
                segments::select(connection, "archived_at <= ?1", [before])
            })
            .await
    }

    async fn committed_at(&self, sequence: i64) -> StoreResult<Option<i64>> {
        self.database
            .read("find the time of a commit", move |connection| {
                connection
                    .query_row(
                        "SELECT committed_at FROM meta_segments WHERE sequence <= ?1 \
                         ORDER BY sequence DESC LIMIT 1",
                        [sequence],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .await
    }

    async fn oldest_segment_at(&self) -> StoreResult<Option<i64>> {
        self.database
            .read("find the oldest segment", |connection| {
                connection
                    .query_row("SELECT min(committed_at) FROM meta_segments", [], |row| row.get(0))
            })
            .await
    }

    async fn forget_segments(&self, sequences: Vec<i64>) -> StoreResult<()> {
        self.write("forget archived segments", move |connection| {
            archive::forget(connection, &sequences).map_err(CommitFailure::from)
        })
        .await
    }

    async fn quarantine(&self, filter: &QuarantineFilter) -> StoreResult<Vec<QuarantineEntry>> {
        let filter = filter.clone();
        self.database
            .read("read the quarantine", move |connection| quarantine::read(connection, &filter))
            .await
    }

    async fn record_gap(&self, gap: Gap) -> StoreResult<()> {
        self.write("list a gap", move |connection| {
            gaps::record(connection, &gap).map_err(CommitFailure::from)
        })
        .await
    }

    async fn accept_gap(&self, claim: &Claim, gap: Gap) -> StoreResult<()> {
        let claim = claim.clone();
        self.write("go on behind a gap", move |connection| gaps::accept(connection, &claim, &gap))
            .await
    }

    async fn gaps(&self) -> StoreResult<Vec<GapEntry>> {
        self.database.read("read the gaps", gaps::read).await
    }

    async fn snapshot(&self) -> StoreResult<LedgerSnapshot> {
        self.database
            .read("read the accounts", |connection| {
                // One transaction: all of its reads see the same commits.
                let transaction = connection.unchecked_transaction()?;
                let latest_sequence = segments::latest_sequence(&transaction)?;
                Ok(LedgerSnapshot {
                    latest_sequence,
                    segments: segments::read(&transaction, 0, latest_sequence)?,
                    archive: archive::read_state(&transaction)?,
                    partitions: read_partitions(&transaction)?,
                    quarantine: quarantine::read_groups(&transaction)?,
                })
            })
            .await
    }

    fn name(&self) -> String {
        self.database.store().replacen("warehouse", "ledger", 1)
    }
}

fn claim(connection: &mut Connection, topic: &str, partition: i32) -> rusqlite::Result<Claim> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (epoch, next_offset) = transaction.query_row(
        "INSERT INTO meta_partitions (topic, partition, epoch, next_offset) VALUES (?1, ?2, 1, 0) \
         ON CONFLICT (topic, partition) DO UPDATE SET epoch = epoch + 1 \
         RETURNING epoch, next_offset",
        (topic, partition),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    transaction.commit()?;
    Ok(Claim { topic: topic.into(), partition, epoch, next_offset })
}

fn commit(connection: &mut Connection, batch: &BatchCommit) -> Result<i64, CommitFailure> {
    let now = now_millis();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for advance in &batch.advances {
        advance_position(&transaction, advance, now)?;
    }
    quarantine::insert(&transaction, &batch.quarantined, now)?;
    quarantine::finish_replays(&transaction, &batch.replays)?;
    let sequence = match &batch.segment {
        Some(segment) => segments::insert(&transaction, segment, now)?,
        None => 0,
    };
    failpoint::pass("ledger.before_commit")?;
    transaction.commit()?;
    failpoint::pass("ledger.after_commit")?;
    Ok(sequence)
}

fn advance_position(
    transaction: &Transaction<'_>,
    advance: &PositionAdvance,
    now: i64,
) -> Result<(), CommitFailure> {
    let claim = &advance.claim;
    let moved = transaction
        .prepare_cached(
            "UPDATE meta_partitions SET next_offset = ?1, consumed = consumed + ?2, \
             landed = landed + ?3, duplicates = duplicates + ?4, quarantined = quarantined + ?5, \
             head_hash = coalesce(?6, head_hash), prefix_hash = coalesce(?7, prefix_hash), \
             updated_at = ?8 \
             WHERE topic = ?9 AND partition = ?10 AND epoch = ?11 AND next_offset = ?12",
        )?
        .execute((
            advance.next_offset,
            advance.counts.consumed,
            advance.counts.landed,
            advance.counts.duplicates,
            advance.counts.quarantined,
            advance.content.as_ref().map(|content| content.head_hash.to_be_bytes()),
            advance.content.as_ref().map(|content| content.prefix_hash.to_be_bytes()),
            now,
            &*claim.topic,
            claim.partition,
            claim.epoch,
            claim.next_offset,
        ))?;
    if moved == 1 {
        return Ok(());
    }
    Err(CommitFailure::Fenced(format!(
        "{}/{} was taken over since it was claimed with epoch {} at offset {}",
        claim.topic, claim.partition, claim.epoch, claim.next_offset
    )))
}

fn read_partitions(connection: &Connection) -> rusqlite::Result<Vec<PartitionStatus>> {
    connection
        .prepare(
            "SELECT topic, partition, epoch, next_offset, consumed, landed, duplicates, \
             quarantined, head_hash, prefix_hash, updated_at \
             FROM meta_partitions ORDER BY topic, partition",
        )?
        .query_map([], partition_from_row)?
        .collect()
}

fn partition_from_row(row: &Row<'_>) -> rusqlite::Result<PartitionStatus> {
    let topic: String = row.get(0)?;
    let head: Option<[u8; 16]> = row.get(8)?;
    let prefix: Option<[u8; 16]> = row.get(9)?;
    Ok(PartitionStatus {
        claim: Claim {
            topic: topic.into(),
            partition: row.get(1)?,
            epoch: row.get(2)?,
            next_offset: row.get(3)?,
        },
        counts: Counts {
            consumed: row.get(4)?,
            landed: row.get(5)?,
            duplicates: row.get(6)?,
            quarantined: row.get(7)?,
        },
        content: head.zip(prefix).map(|(head, prefix)| ContentMark {
            head_hash: u128::from_be_bytes(head),
            prefix_hash: u128::from_be_bytes(prefix),
        }),
        updated_at: row.get(10)?,
    })
}

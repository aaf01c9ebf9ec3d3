//! The ledger on SQLite, in the same file as the embedded warehouse.

mod archive;

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use super::archived::{ArchiveCommit, ArchiveState, History};
use super::{
    BatchCommit, Claim, ContentMark, Counts, Ledger, LedgerSnapshot, PartitionStatus,
    PositionAdvance, QuarantineEntry, QuarantineFilter, QuarantineGroup, QuarantineState,
    QuarantinedRecord, ReplayOutcome, SealedSegment, SegmentEntry,
};
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::hot::PhysicalKey;
use crate::stores::landing::segment::Section;
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
        self.database.read("read the latest commit", read_latest_sequence).await
    }

    async fn segments(&self, after: i64, through: i64) -> StoreResult<Vec<SegmentEntry>> {
        self.database
            .read("list segments", move |connection| read_segments(connection, after, through))
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
                    None => read_latest_sequence(&transaction)?,
                };
                Ok(History {
                    archive: archive::read_state(&transaction)?,
                    segments: read_segments(&transaction, 0, through)?,
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
                select_segments(connection, "archived_at <= ?1", [before])
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
            .read("read the quarantine", move |connection| read_quarantine(connection, &filter))
            .await
    }

    async fn snapshot(&self) -> StoreResult<LedgerSnapshot> {
        self.database
            .read("read the accounts", |connection| {
                // One transaction: all of its reads see the same commits.
                let transaction = connection.unchecked_transaction()?;
                let latest_sequence = read_latest_sequence(&transaction)?;
                Ok(LedgerSnapshot {
                    latest_sequence,
                    segments: read_segments(&transaction, 0, latest_sequence)?,
                    archive: archive::read_state(&transaction)?,
                    partitions: read_partitions(&transaction)?,
                    quarantine: read_quarantine_groups(&transaction)?,
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
    insert_quarantined(&transaction, &batch.quarantined, now)?;
    finish_replays(&transaction, &batch.replays)?;
    let sequence = match &batch.segment {
        Some(segment) => insert_segment(&transaction, segment, now)?,
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

fn insert_segment(
    transaction: &Transaction<'_>,
    segment: &SealedSegment,
    now: i64,
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO meta_segments (name, bytes, committed_at) VALUES (?1, ?2, ?3)",
        )?
        .execute((&segment.name, segment.bytes, now))?;
    let sequence = transaction.last_insert_rowid();
    let mut insert_section = transaction.prepare_cached(
        "INSERT INTO meta_sections (sequence, event_type, contract_version, \"offset\", length, \
         checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut insert_day = transaction.prepare_cached(
        "INSERT INTO meta_section_days (sequence, event_type, event_date, \"rows\") \
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for section in &segment.sections {
        insert_section.execute((
            sequence,
            &section.event_type,
            section.contract_version.cast_signed(),
            section.offset,
            section.length,
            section.checksum.cast_signed(),
        ))?;
        for (day, rows) in &section.rows_by_date {
            insert_day.execute((sequence, &section.event_type, day, rows))?;
        }
    }
    Ok(sequence)
}

fn insert_quarantined(
    transaction: &Transaction<'_>,
    records: &[QuarantinedRecord],
    now: i64,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO meta_quarantine (topic, partition, \"offset\", raw, reason, detail, \
         event_type, contract_version, quarantined_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for record in records {
        insert.execute((
            &*record.key.topic,
            record.key.partition,
            record.key.offset,
            &record.raw,
            &record.reason,
            &record.detail,
            &record.event_type,
            record.contract_version.map(u64::cast_signed),
            now,
        ))?;
    }
    Ok(())
}

fn finish_replays(
    transaction: &Transaction<'_>,
    replays: &[ReplayOutcome],
) -> Result<(), CommitFailure> {
    for replay in replays {
        // A record that is refused again stays open with its newest reason.
        let changed = match &replay.refused {
            None => transaction
                .prepare_cached(
                    "UPDATE meta_quarantine SET state = 'replayed', attempts = attempts + 1 \
                     WHERE id = ?1 AND state = 'open'",
                )?
                .execute([replay.quarantine_id])?,
            Some((reason, detail)) => transaction
                .prepare_cached(
                    "UPDATE meta_quarantine SET reason = ?2, detail = ?3, attempts = attempts + 1 \
                     WHERE id = ?1 AND state = 'open'",
                )?
                .execute((replay.quarantine_id, reason, detail))?,
        };
        if changed != 1 {
            return Err(CommitFailure::Fenced(format!(
                "quarantined record {} was replayed by another process",
                replay.quarantine_id
            )));
        }
    }
    Ok(())
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

fn read_latest_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    // Archived segments are forgotten in the end.
    connection.query_row(
        "SELECT max(through, (SELECT coalesce(max(sequence), 0) FROM meta_segments)) \
         FROM meta_archive",
        [],
        |row| row.get(0),
    )
}

fn read_quarantine_groups(connection: &Connection) -> rusqlite::Result<Vec<QuarantineGroup>> {
    connection
        .prepare(
            "SELECT reason, event_type, sum(state = 'open'), sum(state = 'replayed') \
             FROM meta_quarantine GROUP BY reason, event_type \
             ORDER BY count(*) DESC, reason, event_type",
        )?
        .query_map([], |row| {
            Ok(QuarantineGroup {
                reason: row.get(0)?,
                event_type: row.get(1)?,
                open: row.get(2)?,
                replayed: row.get(3)?,
            })
        })?
        .collect()
}

fn read_segments(
    connection: &Connection,
    after: i64,
    through: i64,
) -> rusqlite::Result<Vec<SegmentEntry>> {
    select_segments(
        connection,
        "sequence > ?1 AND sequence <= ?2 AND archived_at IS NULL",
        (after, through),
    )
}

fn select_segments(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<SegmentEntry>> {
    let mut segments: BTreeMap<i64, SegmentEntry> = BTreeMap::new();
    // One statement, so that all of it comes from one snapshot.
    let mut query = connection.prepare(&format!(
        "SELECT sequence, name, bytes, event_type, contract_version, s.\"offset\", length, \
         checksum, event_date, d.\"rows\" \
         FROM meta_segments JOIN meta_sections s USING (sequence) \
         JOIN meta_section_days d USING (sequence, event_type) \
         WHERE {condition} ORDER BY sequence, s.\"offset\""
    ))?;
    let mut rows = query.query(values)?;
    while let Some(row) = rows.next()? {
        let sequence: i64 = row.get(0)?;
        let entry = match segments.entry(sequence) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => vacant.insert(SegmentEntry {
                sequence,
                segment: SealedSegment {
                    name: row.get(1)?,
                    bytes: row.get(2)?,
                    sections: Vec::new(),
                },
            }),
        };
        let offset: u64 = row.get(5)?;
        let sections = &mut entry.segment.sections;
        if sections.last().is_none_or(|section| section.offset != offset) {
            sections.push(Section {
                event_type: row.get(3)?,
                contract_version: row.get::<_, i64>(4)?.cast_unsigned(),
                offset,
                length: row.get(6)?,
                checksum: row.get::<_, i64>(7)?.cast_unsigned(),
                rows_by_date: BTreeMap::new(),
            });
        }
        if let Some(section) = sections.last_mut() {
            section.rows_by_date.insert(row.get(8)?, row.get(9)?);
        }
    }
    Ok(segments.into_values().collect())
}

fn read_quarantine(
    connection: &Connection,
    filter: &QuarantineFilter,
) -> rusqlite::Result<Vec<QuarantineEntry>> {
    let mut sql = String::from(
        "SELECT id, topic, partition, \"offset\", raw, reason, detail, event_type, \
         contract_version, quarantined_at, state, attempts FROM meta_quarantine WHERE id > ?",
    );
    let mut values = vec![Value::Integer(filter.after_id)];
    if !filter.include_replayed {
        sql.push_str(" AND state = 'open'");
    }
    if let Some(reason) = &filter.reason {
        sql.push_str(" AND reason = ?");
        values.push(Value::Text(reason.clone()));
    }
    if let Some(event_type) = &filter.event_type {
        sql.push_str(" AND event_type = ?");
        values.push(Value::Text(event_type.clone()));
    }
    if !filter.ids.is_empty() {
        let marks = vec!["?"; filter.ids.len()].join(", ");
        sql.push_str(&format!(" AND id IN ({marks})"));
        values.extend(filter.ids.iter().map(|id| Value::Integer(*id)));
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(Value::Integer(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    connection
        .prepare(&sql)?
        .query_map(rusqlite::params_from_iter(values), quarantine_from_row)?
        .collect()
}

fn quarantine_from_row(row: &Row<'_>) -> rusqlite::Result<QuarantineEntry> {
    let topic: String = row.get(1)?;
    let state: String = row.get(10)?;
    Ok(QuarantineEntry {
        id: row.get(0)?,
        record: QuarantinedRecord {
            key: PhysicalKey { topic: topic.into(), partition: row.get(2)?, offset: row.get(3)? },
            raw: row.get(4)?,
            reason: row.get(5)?,
            detail: row.get(6)?,
            event_type: row.get(7)?,
            contract_version: row.get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
        },
        quarantined_at: row.get(9)?,
        state: if state == "open" { QuarantineState::Open } else { QuarantineState::Replayed },
        attempts: row.get(11)?,
    })
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

//! The ledger on PostgreSQL, in the same database as the warehouse.
//!
//! **Commits are numbered in the order in which they become visible.** A commit with a segment takes
//! its number by updating the one row of `latest_commit`, and holds that row's lock until it has
//! ended. Whoever commits beside it waits there, and gets the next number only when this one is
//! visible or undone (the server shows a commit to others before it lets go of its locks, and a
//! number that is undone is given again). So no reader sees commit n + 1 before commit n. All that
//! takes time is done before the number is taken.
//!
//! **A commit that is not sure** is made again: see [`crate::stores::postgres`]. Each partition's
//! position is compared and set under its row's lock, so the second attempt waits for the first to
//! end, and finds its own `commit_id` if it took place.

mod archive;
mod gaps;
mod partitions;
mod quarantine;
mod segments;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_postgres::{IsolationLevel, Transaction};
use uuid::Uuid;

use super::archived::{ArchiveCommit, ArchiveState, History};
use super::gap::{Gap, GapEntry};
use super::{
    BatchCommit, Claim, Ledger, LedgerSnapshot, PartitionStatus, PositionAdvance, QuarantineEntry,
    QuarantineFilter, SegmentEntry,
};
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::error::StoreResult;
use crate::stores::postgres::values::{Parameters, storable_text, time};
use crate::stores::postgres::{Failure, PostgresDatabase, Session};

/// What a fenced process is told.
const TAKEN_OVER: &str = "nothing was written; another process goes on from its position";

/// The ledger on PostgreSQL.
#[derive(Clone)]
pub struct PostgresLedger {
    database: PostgresDatabase,
}

impl PostgresLedger {
    /// The ledger in `database`, which the warehouse shares.
    pub fn new(database: PostgresDatabase) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn claim(&self, topic: &str, partition: i32) -> StoreResult<Claim> {
        let topic_text = &storable_text(topic);
        self.database
            .attempt("claim a partition", |session| async move {
                // Done twice, it raises the epoch twice, and the later claim is the one that counts.
                let parameters: &Parameters<'_> = &[topic_text, &partition];
                let row = session
                    .query_one(
                        "INSERT INTO questlake.partitions AS p \
                         (topic, partition, epoch, next_offset) VALUES ($1, $2, 1, 0) \
                         ON CONFLICT (topic, partition) DO UPDATE SET epoch = p.epoch + 1 \
                         RETURNING epoch, next_offset",
                        parameters,
                    )
                    .await?;
                let (epoch, next_offset) = (row.try_get(0)?, row.try_get(1)?);
                session.end(Claim { topic: topic.into(), partition, epoch, next_offset })
            })
            .await
    }

    async fn commit(&self, batch: BatchCommit) -> StoreResult<i64> {
        let commit_id = &Uuid::new_v4().to_string();
        let batch = &batch;
        self.database
            .attempt("commit a batch", |mut session| async move {
                let transaction = session.transaction().await?;
                let sequence = match write_batch(&transaction, batch, commit_id).await? {
                    Written::Now(sequence) => sequence,
                    Written::Before(sequence) => {
                        transaction.rollback().await?;
                        return session.end(sequence);
                    }
                };
                failpoint::pass("ledger.before_commit")?;
                transaction.commit().await?;
                failpoint::pass("ledger.after_commit")?;
                session.end(sequence)
            })
            .await
    }

    async fn position(&self, topic: &str, partition: i32) -> StoreResult<Option<i64>> {
        let topic = &storable_text(topic);
        self.database
            .attempt("read a position", |session| async move {
                let parameters: &Parameters<'_> = &[topic, &partition];
                let row = session
                    .query_opt(
                        "SELECT next_offset FROM questlake.partitions \
                         WHERE topic = $1 AND partition = $2",
                        parameters,
                    )
                    .await?;
                let position = match row {
                    Some(row) => Some(row.try_get(0)?),
                    None => None,
                };
                session.end(position)
            })
            .await
    }

    async fn partitions(&self) -> StoreResult<Vec<PartitionStatus>> {
        self.database
            .attempt("read the partitions", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let partitions = partitions::read(&transaction).await?;
                transaction.commit().await?;
                session.end(partitions)
            })
            .await
    }

    async fn latest_sequence(&self) -> StoreResult<i64> {
        self.database
            .attempt("read the latest commit", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let sequence = segments::latest_sequence(&transaction).await?;
                transaction.commit().await?;
                session.end(sequence)
            })
            .await
    }

    async fn ask(&self, patience: Duration) -> StoreResult<()> {
        self.database.ask(patience).await
    }

    async fn segments(&self, after: i64, through: i64) -> StoreResult<Vec<SegmentEntry>> {
        self.database
            .attempt("list segments", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let segments = segments::read(&transaction, after, through).await?;
                transaction.commit().await?;
                session.end(segments)
            })
            .await
    }

    async fn contract_versions(
        &self,
        after: i64,
        through: i64,
    ) -> StoreResult<BTreeSet<(String, u64)>> {
        self.database
            .attempt("list contract versions", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let versions = segments::contract_versions(&transaction, after, through).await?;
                transaction.commit().await?;
                session.end(versions)
            })
            .await
    }

    async fn unlisted(&self, names: Vec<String>) -> StoreResult<Vec<String>> {
        let names = &names;
        self.database
            .attempt("look segments up", |session| async move {
                let parameters: &Parameters<'_> = &[names];
                let rows = session
                    .query(
                        "SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place) \
                         WHERE NOT EXISTS (SELECT FROM questlake.segments s \
                                           WHERE s.name = wanted.name) \
                         ORDER BY place",
                        parameters,
                    )
                    .await?;
                let mut unlisted = Vec::with_capacity(rows.len());
                for row in rows {
                    unlisted.push(row.try_get(0)?);
                }
                session.end(unlisted)
            })
            .await
    }

    async fn history(&self, through: Option<i64>) -> StoreResult<History> {
        self.database
            .attempt("read the history", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let through = match through {
                    Some(through) => through,
                    None => segments::latest_sequence(&transaction).await?,
                };
                let history = History {
                    archive: archive::read_state(&transaction).await?,
                    segments: segments::read(&transaction, 0, through).await?,
                };
                transaction.commit().await?;
                session.end(history)
            })
            .await
    }

    async fn archive_state(&self) -> StoreResult<ArchiveState> {
        self.database
            .attempt("read the state of the archive", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let state = archive::read_state(&transaction).await?;
                transaction.commit().await?;
                session.end(state)
            })
            .await
    }

    async fn begin_archive(&self, through: i64) -> StoreResult<i64> {
        self.database
            .attempt("announce a move to the archive", |session| async move {
                let through = archive::begin(&session, through).await?;
                session.end(through)
            })
            .await
    }

    async fn commit_archive(&self, commit: ArchiveCommit) -> StoreResult<()> {
        let commit_id = &Uuid::new_v4().to_string();
        let commit = &commit;
        self.database
            .attempt("commit a move to the archive", |mut session| async move {
                let transaction = session.transaction().await?;
                archive::write(&transaction, commit, commit_id).await?;
                failpoint::pass("archive.before_ledger_commit")?;
                transaction.commit().await?;
                failpoint::pass("archive.after_ledger_commit")?;
                session.end(())
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
        self.database
            .attempt("set the version of an archived table", |session| async move {
                let still_the_same =
                    archive::set_version(&session, event_type, transaction, version, late).await?;
                session.end(still_the_same)
            })
            .await
    }

    async fn archived_segments(&self, before: i64) -> StoreResult<Vec<SegmentEntry>> {
        let before = &time(before);
        self.database
            .attempt("list archived segments", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let segments =
                    segments::select(&transaction, "archived_at <= $1", &[before]).await?;
                transaction.commit().await?;
                session.end(segments)
            })
            .await
    }

    async fn committed_at(&self, sequence: i64) -> StoreResult<Option<i64>> {
        let sequence = &sequence;
        self.database
            .attempt("find the time of a commit", |session| async move {
                let parameters: &Parameters<'_> = &[sequence];
                let row = session
                    .query_opt(
                        "SELECT committed_at FROM questlake.segments WHERE sequence <= $1 \
                         ORDER BY sequence DESC LIMIT 1",
                        parameters,
                    )
                    .await?;
                let at: Option<DateTime<Utc>> = row.map(|row| row.try_get(0)).transpose()?;
                session.end(at.map(|at| at.timestamp_millis()))
            })
            .await
    }

    async fn oldest_segment_at(&self) -> StoreResult<Option<i64>> {
        self.database
            .attempt("find the oldest segment", |session| async move {
                let row = session
                    .query_one("SELECT min(committed_at) FROM questlake.segments", &[])
                    .await?;
                let oldest: Option<DateTime<Utc>> = row.try_get(0)?;
                session.end(oldest.map(|oldest| oldest.timestamp_millis()))
            })
            .await
    }

    async fn forget_segments(&self, sequences: Vec<i64>) -> StoreResult<()> {
        let sequences = &sequences;
        self.database
            .attempt("forget archived segments", |mut session| async move {
                let transaction = session.transaction().await?;
                archive::forget(&transaction, sequences).await?;
                transaction.commit().await?;
                session.end(())
            })
            .await
    }

    async fn quarantine(&self, filter: &QuarantineFilter) -> StoreResult<Vec<QuarantineEntry>> {
        self.database
            .attempt("read the quarantine", |session| async move {
                let entries = quarantine::read(&session, filter).await?;
                session.end(entries)
            })
            .await
    }

    async fn record_gap(&self, gap: Gap) -> StoreResult<()> {
        let gap = &gap;
        self.database
            .attempt("list a gap", |session| async move {
                gaps::record(&session, gap).await?;
                session.end(())
            })
            .await
    }

    async fn accept_gap(&self, claim: &Claim, gap: Gap) -> StoreResult<()> {
        let commit_id = &Uuid::new_v4().to_string();
        let gap = &gap;
        self.database
            .attempt("accept a gap", |mut session| async move {
                let transaction = session.transaction().await?;
                gaps::accept(&transaction, claim, gap, commit_id).await?;
                transaction.commit().await?;
                session.end(())
            })
            .await
    }

    async fn gaps(&self) -> StoreResult<Vec<GapEntry>> {
        self.database
            .attempt("list the gaps", |session| async move {
                let gaps = gaps::read(&session).await?;
                session.end(gaps)
            })
            .await
    }

    async fn snapshot(&self) -> StoreResult<LedgerSnapshot> {
        self.database
            .attempt("read the accounts", |mut session| async move {
                let transaction = snapshot(&mut session).await?;
                let latest_sequence = segments::latest_sequence(&transaction).await?;
                let accounts = LedgerSnapshot {
                    latest_sequence,
                    segments: segments::read(&transaction, 0, latest_sequence).await?,
                    archive: archive::read_state(&transaction).await?,
                    partitions: partitions::read(&transaction).await?,
                    quarantine: quarantine::read_groups(&transaction).await?,
                };
                transaction.commit().await?;
                session.end(accounts)
            })
            .await
    }

    fn name(&self) -> String {
        self.database.store().replacen("warehouse", "ledger", 1)
    }
}

/// A transaction all of whose reads see the same commits.
async fn snapshot(session: &mut Session) -> Result<Transaction<'_>, Failure> {
    let builder = session.build_transaction();
    let builder = builder.isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(builder.start().await?)
}

/// What became of a batch.
enum Written {
    /// It is in this transaction, with this number.
    Now(i64),
    /// An earlier attempt, whose answer was lost, has committed it with this number.
    Before(i64),
}

async fn write_batch(
    transaction: &Transaction<'_>,
    batch: &BatchCommit,
    commit_id: &str,
) -> Result<Written, Failure> {
    let now = now_millis();
    // In one order, so that two commits never wait for each other.
    let mut advances: Vec<&PositionAdvance> = batch.advances.iter().collect();
    advances.sort_by(|left, right| {
        let (left, right) = (&left.claim, &right.claim);
        (&*left.topic, left.partition).cmp(&(&*right.topic, right.partition))
    });
    for advance in advances {
        if partitions::advance(transaction, advance, commit_id, now).await? {
            continue;
        }
        if let Some(sequence) =
            partitions::own_commit(transaction, advance, batch, commit_id).await?
        {
            return Ok(Written::Before(sequence));
        }
        return Err(fenced(&advance.claim));
    }
    quarantine::insert(transaction, &batch.quarantined, now).await?;
    quarantine::finish_replays(transaction, &batch.replays).await?;
    // Last, since from here on others wait for us.
    Ok(Written::Now(match &batch.segment {
        Some(segment) => segments::insert(transaction, segment, now).await?,
        None => 0,
    }))
}

/// A partition that does not stand where the claim says, by no commit of ours.
fn fenced(claim: &Claim) -> Failure {
    let what = format!(
        "{}/{} was taken over since it was claimed with epoch {} at offset {}",
        claim.topic, claim.partition, claim.epoch, claim.next_offset
    );
    Failure::Fenced { what, advice: TAKEN_OVER }
}

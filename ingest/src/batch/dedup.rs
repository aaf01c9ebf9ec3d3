//! Step 2: the hot store as the dedup index.
//!
//! A document that is there already carries the physical key of the record it came from.
//!
//! - It is this record's own key: a replay after a crash. Keep the row.
//! - It is the key under which this record was quarantined: a replay of the quarantine. Take the
//!   document over and keep the row.
//! - It is a record of the same batch: a duplicate, for that record keeps its row.
//! - It is a smaller offset of the same partition: a duplicate. That record is committed, or stands
//!   before this one in line.
//! - It is a larger offset of the same partition, behind this batch: an ended process got further
//!   than the ledger. Take the document over; the other record will find it and be the duplicate.
//! - It lies in a gap that somebody has accepted ([`GapEntry`]): its record was never committed and
//!   will never be read again. Take the document over.
//! - It belongs to another partition and is committed there: a duplicate.
//! - It belongs to another partition and is not committed: in doubt, for that record may never be
//!   read again. Give its reader a moment to commit (`owners.rs`), and then fence the other partition
//!   by claiming it. If the record is committed now, this one is a duplicate; else take the document
//!   over.
//!
//! Why an event lands once, whoever crashes when: a reader lands a record only after the hot store
//! has noted the document as that record's, under the epoch of the reader's claim. A document
//! changes hands by comparing both, after its owner's partition was fenced under a later epoch. A
//! reader of the old owner that claimed before the fence can no longer commit. One that claimed
//! after it and met its own document first has raised the epoch, so the comparison fails, and the
//! conflict is judged anew. One that comes later finds the document to be somebody else's, and
//! judges in its turn. Nothing is left to be done after the document has changed hands, so a crash
//! there leaves no doubt either.
//!
//! What the hot store refuses for good is quarantined: without its document, the event could land a
//! second time.

pub(crate) mod owners;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray;
use questlake_engine::failpoint;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::hot::{
    HotBatch, HotConflict, HotRefusal, HotRow, Owner, PhysicalKey, TakeOver,
};
use questlake_engine::stores::ledger::Claim;
use questlake_engine::stores::ledger::gap::GapEntry;
use tokio::time::Instant;

use self::owners::{Partition, taken_over};
use super::Ingester;
use super::prepare::Prepared;
use crate::decode::{RejectReason, Rejection};
use crate::error::IngestError;

/// Times that the documents are inserted and judged; each but the first takes another reader that
/// claims its partition and meets the same documents between two steps of ours.
const MAX_ROUNDS: u32 = 8;

/// A batch without its duplicates.
#[derive(Debug)]
pub struct Deduplicated {
    pub(crate) prepared: Prepared,
    /// Records that were duplicates, ascending.
    pub(crate) duplicates: Vec<u32>,
}

impl Ingester {
    /// Inserts the documents, removes the rows of true duplicates, and rejects those that the hot
    /// store refuses.
    pub async fn deduplicate(&self, mut prepared: Prepared) -> Result<Deduplicated, IngestError> {
        let hot_batch = Arc::new(prepared.hot_batch());
        let mut duplicates = Vec::new();
        if !hot_batch.rows.is_empty() {
            let settled = self.insert_and_settle(&hot_batch, &prepared).await?;
            let mut dropped = Vec::new();
            for row in settled.duplicates {
                duplicates.push(record_of(&prepared, &row));
                dropped.push((row.table, row.row));
            }
            for refusal in settled.refused {
                let row = hot_batch.rows[refusal.row];
                dropped.push((row.table, row.row));
                let rejection = rejection_of(&prepared, &row, refusal);
                prepared.rejected.push(rejection);
            }
            prepared.rejected.sort_by_key(|rejection| rejection.record);
            prepared.drop_rows(dropped)?;
            duplicates.sort_unstable();
        }
        failpoint::pass("ingest.after_hot_insert")?;
        Ok(Deduplicated { prepared, duplicates })
    }

    /// Inserts the documents, and makes those of all rows ours but of the duplicates and of what is
    /// refused, which it returns.
    async fn insert_and_settle(
        &self,
        batch: &Arc<HotBatch>,
        prepared: &Prepared,
    ) -> Result<Settled, IngestError> {
        let deadline = self.patience.deadline();
        for _ in 0..MAX_ROUNDS {
            let inserted = self.stores.hot.insert(Arc::clone(batch)).await?;
            let Judgement { duplicates, take_over } =
                self.judge_all(batch, &inserted.conflicts, prepared, deadline).await?;
            let settled = Settled { duplicates, refused: inserted.refused };
            if take_over.is_empty() {
                return Ok(settled);
            }
            let changed = self.stores.hot.take_over(take_over).await?;
            if changed.iter().all(|changed| *changed) {
                return Ok(settled);
            }
            // Another reader was at a document first. What is ours by now is no conflict any more.
        }
        Err(StoreError::new(
            self.stores.hot.name(),
            "take events over",
            StoreErrorKind::Unavailable,
            format!("other processes claimed the same events {MAX_ROUNDS} times in between"),
        )
        .with_advice("end the other processes that read the same events, or try again")
        .into())
    }

    async fn judge_all(
        &self,
        batch: &HotBatch,
        conflicts: &[HotConflict],
        prepared: &Prepared,
        deadline: Instant,
    ) -> Result<Judgement, IngestError> {
        let mut judgement = Judgement::default();
        let mut in_doubt = Vec::new();
        let mut seen = HashSet::new();
        let mut known = Known::default();
        for conflict in conflicts {
            let row = batch.rows[conflict.row];
            let verdict = self.judge(batch, conflict, prepared, &mut known).await?;
            // All rows of an event meet the same document; the first one may become its owner.
            if verdict == Verdict::Duplicate || !seen.insert(event_id(batch, &row)) {
                judgement.duplicates.push(row);
            } else if verdict == Verdict::Ours {
                judgement.take_over.push(take_over(batch, conflict));
            } else {
                in_doubt.push(conflict);
            }
        }
        if !in_doubt.is_empty() {
            let own = prepared.batch.advances.iter().map(|advance| &advance.claim).collect();
            let doubts = Doubts { conflicts: in_doubt, own, deadline };
            self.settle(batch, doubts, &mut known, &mut judgement).await?;
        }
        Ok(judgement)
    }

    async fn judge(
        &self,
        batch: &HotBatch,
        conflict: &HotConflict,
        prepared: &Prepared,
        known: &mut Known,
    ) -> Result<Verdict, IngestError> {
        let row = batch.rows[conflict.row];
        let stored = &conflict.stored.key;
        let origin = prepared.batch.origins.get(record_of(prepared, &row) as usize);
        if origin.is_some_and(|origin| origin.key == *stored) {
            return Ok(Verdict::Ours);
        }
        if stored.topic == batch.topic {
            let mut claims = prepared.batch.advances.iter().map(|advance| &advance.claim);
            if let Some(claim) = claims.find(|claim| claim.partition == stored.partition) {
                if stored.offset < claim.next_offset && self.is_given_up(stored, known).await? {
                    return Ok(Verdict::Ours);
                }
                return self.judge_claimed(batch, conflict, claim, known);
            }
        }
        let partition = (Arc::clone(&stored.topic), stored.partition);
        let committed = match known.positions.get(&partition) {
            Some(position) => *position,
            None => {
                // Gaps that were looked at before it say nothing of how it came there.
                known.gaps = None;
                let position = self.stores.ledger.position(&stored.topic, stored.partition).await?;
                let position = position.unwrap_or(0);
                known.positions.insert(partition, position);
                position
            }
        };
        Ok(if stored.offset >= committed {
            Verdict::InDoubt
        } else if self.is_given_up(stored, known).await? {
            Verdict::Ours
        } else {
            Verdict::Duplicate
        })
    }

    /// Whether the record of this key, which the position has passed, was never committed.
    async fn is_given_up(&self, key: &PhysicalKey, known: &mut Known) -> Result<bool, IngestError> {
        let gaps = match &mut known.gaps {
            Some(gaps) => gaps,
            None => known.gaps.insert(self.stores.ledger.gaps().await?),
        };
        Ok(gaps.iter().filter(|entry| entry.accepted_at.is_some()).any(|entry| {
            let gap = &entry.gap;
            gap.topic == *key.topic
                && gap.partition == key.partition
                && (gap.from_offset..gap.to_offset).contains(&key.offset)
        }))
    }

    /// Judges a conflict with a record of a partition that this batch moves, and that is therefore
    /// fenced by our own claim.
    fn judge_claimed(
        &self,
        batch: &HotBatch,
        conflict: &HotConflict,
        claim: &Claim,
        known: &mut Known,
    ) -> Result<Verdict, IngestError> {
        let row = batch.rows[conflict.row];
        let stored = &conflict.stored.key;
        let first_in_line =
            if stored.partition == row.partition { row.offset } else { claim.next_offset };
        // What was inserted under our claim and is not in this batch is in one before it.
        if stored.offset < first_in_line
            || known.batch_has(batch, stored)
            || conflict.stored.epoch == claim.epoch
        {
            return Ok(Verdict::Duplicate);
        }
        if conflict.stored.epoch < claim.epoch {
            return Ok(Verdict::Ours);
        }
        Err(self.fenced(claim))
    }

    /// What is said when others have claimed a partition that this batch moves.
    fn fenced(&self, claim: &Claim) -> IngestError {
        StoreError::new(
            self.stores.ledger.name(),
            "take events in",
            StoreErrorKind::Fenced,
            format!(
                "{}/{} was taken over since it was claimed with epoch {} at offset {}",
                claim.topic, claim.partition, claim.epoch, claim.next_offset
            ),
        )
        .with_advice("nothing was committed; another process goes on from its position")
        .into()
    }

    /// Decides the conflicts with records of other partitions that were not committed.
    async fn settle(
        &self,
        batch: &HotBatch,
        doubts: Doubts<'_>,
        known: &mut Known,
        judgement: &mut Judgement,
    ) -> Result<(), IngestError> {
        let Doubts { conflicts, own, deadline } = doubts;
        let ledger = &*self.stores.ledger;
        let mut ends: HashMap<Partition, i64> = HashMap::new();
        for conflict in &conflicts {
            let PhysicalKey { topic, partition, offset } = &conflict.stored.key;
            let end = ends.entry((Arc::clone(topic), *partition)).or_default();
            *end = (*end).max(offset + 1);
        }
        let mut positions = self.patience.wait(ledger, ends, &own, deadline).await?;
        // It may have been given up since.
        known.gaps = None;
        let mut fenced = HashSet::new();
        for conflict in conflicts {
            let PhysicalKey { topic, partition, offset } = &conflict.stored.key;
            let owner = (Arc::clone(topic), *partition);
            let mut position = positions.get(&owner).copied().unwrap_or(0);
            if *offset >= position && !fenced.contains(&owner) {
                if let Some(claim) = taken_over(ledger, &own).await? {
                    return Err(self.fenced(claim));
                }
                let fence = ledger.claim(topic, *partition).await?;
                // As before: gaps that were looked at before a position say nothing of it.
                known.gaps = None;
                self.patience.has_fenced(&fence);
                position = fence.next_offset;
                positions.insert(owner.clone(), position);
                fenced.insert(owner);
            }
            if *offset < position && !self.is_given_up(&conflict.stored.key, known).await? {
                judgement.duplicates.push(batch.rows[conflict.row]);
            } else {
                judgement.take_over.push(take_over(batch, conflict));
            }
        }
        Ok(())
    }
}

/// The conflicts with records of other partitions that were not committed.
struct Doubts<'a> {
    conflicts: Vec<&'a HotConflict>,
    /// The claims of the batch.
    own: Vec<&'a Claim>,
    /// When their owners have been waited for long enough.
    deadline: Instant,
}

/// The rows of a batch that do not land.
struct Settled {
    duplicates: Vec<HotRow>,
    refused: Vec<HotRefusal>,
}

/// What the conflicts of a batch mean.
#[derive(Default)]
struct Judgement {
    /// Rows that are dropped.
    duplicates: Vec<HotRow>,
    /// Documents that become ours.
    take_over: Vec<TakeOver>,
}

/// What has been looked up for the conflicts of one batch.
#[derive(Default)]
struct Known {
    /// Committed positions by topic and partition.
    positions: HashMap<(Arc<str>, i32), i64>,
    /// All gaps.
    gaps: Option<Vec<GapEntry>>,
    /// Partition and offset of each row of the batch, once they are needed.
    rows: Option<HashSet<(i32, i64)>>,
}

impl Known {
    /// Whether a key of the batch's topic is that of one of its rows.
    fn batch_has(&mut self, batch: &HotBatch, key: &PhysicalKey) -> bool {
        let keys = || batch.rows.iter().map(|row| (row.partition, row.offset)).collect();
        self.rows.get_or_insert_with(keys).contains(&(key.partition, key.offset))
    }
}

/// What a conflict means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The row is dropped.
    Duplicate,
    /// The row is kept, and its document becomes ours.
    Ours,
    /// The document belongs to a record of another partition that was not committed.
    InDoubt,
}

fn record_of(prepared: &Prepared, row: &HotRow) -> u32 {
    prepared.tables[row.table as usize].records[row.row as usize]
}

fn rejection_of(prepared: &Prepared, row: &HotRow, refusal: HotRefusal) -> Rejection {
    let contract = &prepared.tables[row.table as usize].contract;
    Rejection {
        record: record_of(prepared, row),
        reason: RejectReason::RefusedByHotStore,
        detail: refusal.reason,
        event_type: Some(contract.event_type.clone()),
    }
}

fn event_id<'a>(batch: &'a HotBatch, row: &HotRow) -> &'a str {
    batch.tables[row.table as usize].rows.column(0).as_string::<i32>().value(row.row as usize)
}

fn take_over(batch: &HotBatch, conflict: &HotConflict) -> TakeOver {
    let row = &batch.rows[conflict.row];
    let key = PhysicalKey {
        topic: Arc::clone(&batch.topic),
        partition: row.partition,
        offset: row.offset,
    };
    TakeOver {
        event_id: event_id(batch, row).to_owned(),
        from: conflict.stored.clone(),
        to: Owner { key, epoch: row.epoch },
    }
}

#[cfg(test)]
pub(super) mod tests;

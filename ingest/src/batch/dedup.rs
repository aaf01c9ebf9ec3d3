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
//! - It belongs to another partition and is committed there: a duplicate.
//! - It belongs to another partition and is not committed: in doubt, for that record may never be
//!   read again. Fence the other partition by claiming it. If the record is committed now, this one
//!   is a duplicate; else nobody can commit it under the old claim, so take the document over. A
//!   reader that is still alive claims its partition again and finds the document taken; if it did
//!   so before the document was taken, a second claim tells, and fences it once more.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray;
use questlake_engine::failpoint;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::hot::{HotBatch, HotConflict, HotRow, PhysicalKey};
use questlake_engine::stores::ledger::Claim;

use super::Ingester;
use super::prepare::Prepared;
use crate::error::IngestError;

/// A batch without its duplicates.
#[derive(Debug)]
pub struct Deduplicated {
    pub(crate) prepared: Prepared,
    /// Records that were duplicates, ascending.
    pub(crate) duplicates: Vec<u32>,
}

impl Ingester {
    /// Inserts the documents and removes the rows of true duplicates.
    pub async fn deduplicate(&self, mut prepared: Prepared) -> Result<Deduplicated, IngestError> {
        let hot_batch = Arc::new(prepared.hot_batch());
        let mut duplicates = Vec::new();
        if !hot_batch.rows.is_empty() {
            let conflicts = self.stores.hot.insert(Arc::clone(&hot_batch)).await?;
            let mut dropped = Vec::new();
            for row in self.duplicate_rows(&hot_batch, &conflicts, &prepared).await? {
                duplicates.push(record_of(&prepared, &row));
                dropped.push((row.table, row.row));
            }
            prepared.drop_rows(dropped)?;
            duplicates.sort_unstable();
        }
        failpoint::pass("ingest.after_hot_insert")?;
        Ok(Deduplicated { prepared, duplicates })
    }

    /// The conflicting rows that are duplicates. The documents of the others become ours.
    async fn duplicate_rows(
        &self,
        batch: &HotBatch,
        conflicts: &[HotConflict],
        prepared: &Prepared,
    ) -> Result<Vec<HotRow>, IngestError> {
        let mut duplicates = Vec::new();
        let mut in_doubt = Vec::new();
        let mut seen = HashSet::new();
        let mut known = Known::default();
        for conflict in conflicts {
            let row = batch.rows[conflict.row];
            let record = record_of(prepared, &row);
            let origin = prepared.batch.origins.get(record as usize).map(|origin| &origin.key);
            let verdict = self.judge(batch, conflict, origin, &mut known).await?;
            // All rows of an event meet the same document; the first one may become its owner.
            if verdict == Verdict::Duplicate || !seen.insert(event_id(batch, &row)) {
                duplicates.push(row);
            } else if verdict == Verdict::Ours {
                self.take_over(batch, &row, &conflict.stored).await?;
            } else {
                in_doubt.push(conflict);
            }
        }
        duplicates.extend(self.settle(batch, &in_doubt).await?);
        Ok(duplicates)
    }

    async fn judge(
        &self,
        batch: &HotBatch,
        conflict: &HotConflict,
        origin: Option<&PhysicalKey>,
        known: &mut Known,
    ) -> Result<Verdict, IngestError> {
        let row = batch.rows[conflict.row];
        let stored = &conflict.stored;
        if origin == Some(stored) {
            return Ok(Verdict::Ours);
        }
        if stored.topic == batch.topic {
            let same_partition = stored.partition == row.partition;
            if same_partition && stored.offset < row.offset {
                return Ok(Verdict::Duplicate);
            }
            if known.batch_has(batch, stored) {
                return Ok(Verdict::Duplicate);
            }
            if same_partition {
                return Ok(Verdict::Ours);
            }
        }
        let partition = (Arc::clone(&stored.topic), stored.partition);
        let committed = match known.positions.get(&partition) {
            Some(position) => *position,
            None => {
                let position = self.stores.ledger.position(&stored.topic, stored.partition).await?;
                let position = position.unwrap_or(0);
                known.positions.insert(partition, position);
                position
            }
        };
        Ok(if stored.offset < committed { Verdict::Duplicate } else { Verdict::InDoubt })
    }

    /// Decides the conflicts with records of other partitions that were not committed. Returns the
    /// rows that are duplicates.
    async fn settle(
        &self,
        batch: &HotBatch,
        in_doubt: &[&HotConflict],
    ) -> Result<Vec<HotRow>, IngestError> {
        let mut fences: HashMap<(&str, i32), Claim> = HashMap::new();
        for conflict in in_doubt {
            let PhysicalKey { topic, partition, .. } = &conflict.stored;
            if let Entry::Vacant(fence) = fences.entry((&**topic, *partition)) {
                fence.insert(self.stores.ledger.claim(topic, *partition).await?);
            }
        }
        let mut duplicates = Vec::new();
        let mut taken: HashMap<(&str, i32), Vec<&HotConflict>> = HashMap::new();
        for conflict in in_doubt {
            let (row, stored) = (batch.rows[conflict.row], &conflict.stored);
            let partition = (&*stored.topic, stored.partition);
            if fences.get(&partition).is_some_and(|claim| stored.offset < claim.next_offset) {
                duplicates.push(row);
            } else {
                self.take_over(batch, &row, stored).await?;
                taken.entry(partition).or_default().push(conflict);
            }
        }
        for (partition, conflicts) in taken {
            let again = self.stores.ledger.claim(partition.0, partition.1).await?;
            let undisturbed =
                fences.get(&partition).is_some_and(|first| again.epoch == first.epoch + 1);
            if undisturbed {
                continue;
            }
            // A reader claimed the partition meanwhile, and may have met its own documents before
            // they were taken. What it has committed since is its own.
            for conflict in conflicts {
                if conflict.stored.offset < again.next_offset {
                    let row = batch.rows[conflict.row];
                    let own = key_of(batch, &row);
                    self.move_document(event_id(batch, &row), &own, &conflict.stored).await?;
                    duplicates.push(row);
                }
            }
        }
        Ok(duplicates)
    }

    /// Makes the document of a row ours.
    async fn take_over(
        &self,
        batch: &HotBatch,
        row: &HotRow,
        stored: &PhysicalKey,
    ) -> Result<(), IngestError> {
        self.move_document(event_id(batch, row), stored, &key_of(batch, row)).await
    }

    async fn move_document(
        &self,
        event_id: &str,
        from: &PhysicalKey,
        to: &PhysicalKey,
    ) -> Result<(), IngestError> {
        if self.stores.hot.take_over(event_id, from, to).await? {
            return Ok(());
        }
        Err(StoreError::new(
            self.stores.hot.name(),
            format!("take event {event_id} over from {from}"),
            StoreErrorKind::Unavailable,
            "another process took it over at the same time",
        )
        .with_advice("run the command again")
        .into())
    }
}

/// What has been looked up for the conflicts of one batch.
#[derive(Default)]
struct Known {
    /// Committed positions by topic and partition.
    positions: HashMap<(Arc<str>, i32), i64>,
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

fn event_id<'a>(batch: &'a HotBatch, row: &HotRow) -> &'a str {
    batch.tables[row.table as usize].rows.column(0).as_string::<i32>().value(row.row as usize)
}

fn key_of(batch: &HotBatch, row: &HotRow) -> PhysicalKey {
    PhysicalKey { topic: Arc::clone(&batch.topic), partition: row.partition, offset: row.offset }
}

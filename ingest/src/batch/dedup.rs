//! Step 2: the hot store as the dedup index.
//!
//! A document that is there already carries the physical key of the record it came from.
//!
//! - It is this record's own key: a replay after a crash. Keep the row.
//! - It is the key under which this record was quarantined: a replay of the quarantine. Take the
//!   document over and keep the row.
//! - It is a smaller offset of the same partition: a duplicate. That record is committed, or stands
//!   before this one in line.
//! - It is a larger offset of the same partition: an ended process got further than the ledger. Take
//!   the document over; the other record will find it and be the duplicate.
//! - It belongs to another partition and is committed there: a duplicate.
//! - It belongs to another partition and is not committed: in doubt, for that record may never be
//!   read again. Fence the other partition by claiming it. If the record is committed now, this one
//!   is a duplicate; else nobody can commit it under the old claim, so take the document over. A
//!   reader that is still alive claims its partition again and finds the document taken.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use questlake_engine::failpoint;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::hot::{HotBatch, HotConflict, HotRow, PhysicalKey};

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
            let mut positions = HashMap::new();
            for conflict in conflicts {
                let row = hot_batch.rows[conflict.row];
                let record = prepared.tables[row.table as usize].records[row.row as usize];
                let origin = prepared.batch.origins.get(record as usize).map(|origin| &origin.key);
                if self.is_duplicate(&hot_batch, &conflict, origin, &mut positions).await? {
                    duplicates.push(record);
                    dropped.push((row.table, row.row));
                }
            }
            prepared.drop_rows(dropped)?;
            duplicates.sort_unstable();
        }
        failpoint::pass("ingest.after_hot_insert")?;
        Ok(Deduplicated { prepared, duplicates })
    }

    async fn is_duplicate(
        &self,
        batch: &HotBatch,
        conflict: &HotConflict,
        origin: Option<&PhysicalKey>,
        positions: &mut HashMap<(Arc<str>, i32), i64>,
    ) -> Result<bool, IngestError> {
        let row = batch.rows[conflict.row];
        let stored = &conflict.stored;
        if origin == Some(stored) {
            return self.take_over(batch, &row, stored).await;
        }
        if stored.topic == batch.topic && stored.partition == row.partition {
            if stored.offset < row.offset {
                return Ok(true);
            }
            return self.take_over(batch, &row, stored).await;
        }
        let partition = (Arc::clone(&stored.topic), stored.partition);
        let committed = match positions.get(&partition) {
            Some(position) => *position,
            None => {
                let position = self.stores.ledger.position(&stored.topic, stored.partition).await?;
                let position = position.unwrap_or(0);
                positions.insert(partition.clone(), position);
                position
            }
        };
        if stored.offset < committed {
            return Ok(true);
        }
        let claim = self.stores.ledger.claim(&stored.topic, stored.partition).await?;
        positions.insert(partition, claim.next_offset);
        if stored.offset < claim.next_offset {
            return Ok(true);
        }
        self.take_over(batch, &row, stored).await
    }

    /// Makes the document ours; then the row is no duplicate.
    async fn take_over(
        &self,
        batch: &HotBatch,
        row: &HotRow,
        stored: &PhysicalKey,
    ) -> Result<bool, IngestError> {
        let event_id = batch.tables[row.table as usize]
            .rows
            .column(0)
            .as_string::<i32>()
            .value(row.row as usize);
        let own = PhysicalKey {
            topic: Arc::clone(&batch.topic),
            partition: row.partition,
            offset: row.offset,
        };
        if self.stores.hot.take_over(event_id, stored, &own).await? {
            return Ok(false);
        }
        Err(StoreError::new(
            self.stores.hot.name(),
            format!("take event {event_id} over from {stored}"),
            StoreErrorKind::Unavailable,
            "another process took it over at the same time",
        )
        .with_advice("run the command again")
        .into())
    }
}

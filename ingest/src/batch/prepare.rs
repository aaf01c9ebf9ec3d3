//! Step 1: from raw records to typed rows that fulfil their contracts.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use questlake_engine::clock::now_micros;
use questlake_engine::failpoint;
use questlake_engine::project::contract::{CheckConstraint, EventContract};
use questlake_engine::stores::hot::{HotBatch, HotRow, HotTable};

use super::{Batch, Ingester, PartitionAdvance};
use crate::decode::{DecodedBatch, DecodedTable, RejectReason, Rejection, decode_parallel};
use crate::error::IngestError;

/// The rows of one event type.
#[derive(Debug)]
pub(crate) struct PreparedTable {
    pub(crate) contract: Arc<EventContract>,
    pub(crate) rows: RecordBatch,
    /// For each row the index of its record, ascending.
    pub(crate) records: Vec<u32>,
}

impl PreparedTable {
    /// Removes the rows that are not to be kept.
    fn keep(&mut self, keep: &BooleanArray) -> Result<(), IngestError> {
        let mut kept = keep.values().iter();
        self.records.retain(|_| kept.next().unwrap_or(true));
        self.rows = filter_record_batch(&self.rows, keep)?;
        Ok(())
    }
}

/// A decoded batch.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) batch: Batch,
    pub(crate) tables: Vec<PreparedTable>,
    /// By record, ascending.
    pub(crate) rejected: Vec<Rejection>,
}

impl Ingester {
    /// Decodes a batch and evaluates the constraints. Uses all decoders; blocks.
    pub fn prepare(&self, batch: Batch) -> Result<Prepared, IngestError> {
        let parts = {
            let mut decoders =
                self.decoders.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            decode_parallel(&mut decoders, &batch.records, now_micros())
        };
        let (mut tables, mut rejected) = self.merge_parts(parts)?;
        for (contract, checks) in self.contracts.iter().zip(self.checks.iter()) {
            let Some(table) =
                tables.iter_mut().find(|table| table.contract.event_type == contract.event_type)
            else {
                continue;
            };
            for check in checks {
                let broken = check.broken_rows(&table.rows);
                if broken.rows.is_empty() {
                    continue;
                }
                let mut keep = vec![true; table.records.len()];
                for row in broken.rows {
                    keep[row] = false;
                    let CheckConstraint { name, condition, .. } = &check.constraint;
                    let what = match broken.failures.get(&row) {
                        Some(why) => format!("could not be evaluated: {why}"),
                        None => "is not fulfilled".to_owned(),
                    };
                    rejected.push(Rejection {
                        record: table.records[row],
                        reason: RejectReason::CheckViolated,
                        detail: format!("{name}: CHECK ({condition}) {what}"),
                        event_type: Some(contract.event_type.clone()),
                    });
                }
                table.keep(&BooleanArray::from(keep))?;
            }
        }
        tables.retain(|table| table.rows.num_rows() > 0);
        rejected.sort_by_key(|rejection| rejection.record);
        failpoint::pass("ingest.after_decode")?;
        Ok(Prepared { batch, tables, rejected })
    }

    /// One table per event type, whatever part of the batch its rows were in.
    fn merge_parts(
        &self,
        parts: Vec<DecodedBatch>,
    ) -> Result<(Vec<PreparedTable>, Vec<Rejection>), IngestError> {
        let mut rejected = Vec::new();
        let mut by_type: Vec<Vec<DecodedTable>> = Vec::new();
        by_type.resize_with(self.contracts.len(), Vec::new);
        for part in parts {
            rejected.extend(part.rejected);
            for table in part.tables {
                let index = self
                    .contracts
                    .iter()
                    .position(|contract| contract.event_type == table.contract.event_type);
                if let Some(index) = index {
                    by_type[index].push(table);
                }
            }
        }
        let mut merged = Vec::new();
        for tables in by_type {
            let Some(first) = tables.first() else { continue };
            let contract = Arc::clone(&first.contract);
            let rows = match tables.as_slice() {
                [only] => only.batch.clone(),
                several => {
                    concat_batches(&contract.schema, several.iter().map(|table| &table.batch))?
                }
            };
            let records = tables.into_iter().flat_map(|table| table.records).collect();
            merged.push(PreparedTable { contract, rows, records });
        }
        Ok((merged, rejected))
    }
}

impl Prepared {
    /// The documents to insert into the hot store, in record order.
    pub(crate) fn hot_batch(&self) -> HotBatch {
        let records = &self.batch.records;
        let epoch_of = |partition| {
            let of_partition = |advance: &&PartitionAdvance| advance.claim.partition == partition;
            self.batch.advances.iter().find(of_partition).map_or(0, |advance| advance.claim.epoch)
        };
        let mut rows: Vec<(u32, HotRow)> = Vec::with_capacity(records.records.len());
        for (table_index, table) in self.tables.iter().enumerate() {
            for (row, record) in table.records.iter().enumerate() {
                let span = &records.records[*record as usize];
                let hot = HotRow {
                    table: table_index as u32,
                    row: row as u32,
                    start: span.start,
                    length: span.length,
                    partition: span.partition,
                    offset: span.offset,
                    epoch: epoch_of(span.partition),
                };
                rows.push((*record, hot));
            }
        }
        rows.sort_unstable_by_key(|(record, _)| *record);
        let tables = self.tables.iter().map(|table| HotTable {
            event_type: table.contract.event_type.as_str().into(),
            rows: table.rows.clone(),
        });
        HotBatch {
            topic: Arc::clone(&records.topic),
            tables: tables.collect(),
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            data: records.data.clone(),
        }
    }

    /// Removes rows, given as (table, row).
    pub(crate) fn drop_rows(&mut self, mut dropped: Vec<(u32, u32)>) -> Result<(), IngestError> {
        dropped.sort_unstable();
        for (table_index, table) in self.tables.iter_mut().enumerate() {
            let mut gone = vec![false; table.records.len()];
            let mut any = false;
            for (_, row) in dropped.iter().filter(|(index, _)| *index as usize == table_index) {
                gone[*row as usize] = true;
                any = true;
            }
            if !any {
                continue;
            }
            table.keep(&gone.iter().map(|gone| Some(!gone)).collect())?;
        }
        self.tables.retain(|table| table.rows.num_rows() > 0);
        Ok(())
    }
}

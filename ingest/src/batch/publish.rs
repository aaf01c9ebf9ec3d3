//! Steps 3 and 4: seal the rows as a segment, and commit it in the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, Utc};
use questlake_engine::failpoint;
use questlake_engine::stores::hot::PhysicalKey;
use questlake_engine::stores::landing::segment::{SegmentTable, encode};
use questlake_engine::stores::ledger::{
    BatchCommit, Counts, PositionAdvance, QuarantinedRecord, ReplayOutcome, SealedSegment,
};

use super::dedup::Deduplicated;
use super::prepare::Prepared;
use super::{BatchOutcome, Ingester, PartitionAdvance, aborted};
use crate::decode::Rejection;
use crate::error::IngestError;

/// Most bytes of a bad record that are kept; a longer one is cut, and its detail says so.
pub(super) const MAX_QUARANTINED_BYTES: usize = 8 << 20;

impl Ingester {
    /// Seals and commits a batch.
    pub async fn publish(&self, batch: Deduplicated) -> Result<BatchOutcome, IngestError> {
        let Deduplicated { prepared, duplicates } = batch;
        let prepared = Arc::new(prepared);
        let segment = self.seal(Arc::clone(&prepared)).await?;
        failpoint::pass("ingest.after_seal")?;
        let commit = BatchCommit {
            segment,
            advances: advances(&prepared, &duplicates),
            quarantined: quarantined(self, &prepared),
            replays: replays(&prepared),
        };
        let mut counts = Counts::default();
        for advance in &commit.advances {
            counts.add(&advance.counts);
        }
        self.stores.ledger.commit(commit).await?;
        failpoint::pass("ingest.after_commit")?;
        Ok(BatchOutcome { counts, rejected: prepared.rejected.clone(), duplicates })
    }

    async fn seal(&self, prepared: Arc<Prepared>) -> Result<Option<SealedSegment>, IngestError> {
        if prepared.tables.is_empty() {
            return Ok(None);
        }
        let compression = self.compression;
        let shared = Arc::clone(&prepared);
        let encoded = tokio::task::spawn_blocking(move || {
            let tables: Vec<SegmentTable<'_>> = shared
                .tables
                .iter()
                .map(|table| SegmentTable {
                    event_type: &table.contract.event_type,
                    contract_version: table.contract.version,
                    rows: &table.rows,
                })
                .collect();
            encode(&tables, compression)
        })
        .await
        .map_err(|error| aborted("encoding a segment", &error))??;
        let name = segment_name()?;
        self.stores.landing.seal(&name, encoded.parts).await?;
        Ok(Some(SealedSegment { name, bytes: encoded.bytes, sections: encoded.sections }))
    }
}

/// A name that no other process and no other batch of this one chooses, in a folder per day.
pub(super) fn segment_name() -> Result<String, IngestError> {
    let random = getrandom::u64().map_err(|error| IngestError::Aborted {
        step: "naming a segment",
        reason: format!("the system gives no random numbers: {error}"),
    })?;
    let now = Utc::now();
    Ok(format!("{}/{}-{random:016x}.qls", now.format("%Y-%m-%d"), now.format("%H%M%S%6f")))
}

/// When a segment of this name was sealed (UTC); `None` if it is no name of ours.
pub(super) fn named_at(name: &str) -> Option<NaiveDateTime> {
    let (day, file) = name.split_once('/')?;
    let (time, random) = file.strip_suffix(".qls")?.split_once('-')?;
    let is_own = time.len() == 12
        && time.bytes().all(|byte| byte.is_ascii_digit())
        && random.len() == 16
        && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_own {
        return None;
    }
    let part = |from: usize| time[from..from + 2].parse().ok();
    day.parse::<NaiveDate>().ok()?.and_hms_opt(part(0)?, part(2)?, part(4)?)
}

/// Per partition, how far it moves and what became of its records.
fn advances(prepared: &Prepared, duplicates: &[u32]) -> Vec<PositionAdvance> {
    let batch = &prepared.batch;
    let mut counts: HashMap<i32, Counts> = HashMap::new();
    for span in &batch.records.records {
        counts.entry(span.partition).or_default().consumed += 1;
    }
    let partition_of = |record: u32| batch.records.records[record as usize].partition;
    let landed = prepared.tables.iter().flat_map(|table| table.records.iter());
    for record in landed {
        counts.entry(partition_of(*record)).or_default().landed += 1;
    }
    for record in duplicates {
        counts.entry(partition_of(*record)).or_default().duplicates += 1;
    }
    for rejection in &prepared.rejected {
        counts.entry(partition_of(rejection.record)).or_default().quarantined += 1;
    }
    let advance = |advance: &PartitionAdvance| PositionAdvance {
        claim: advance.claim.clone(),
        next_offset: advance.next_offset,
        counts: counts.get(&advance.claim.partition).copied().unwrap_or_default(),
        content: advance.content.clone(),
    };
    batch.advances.iter().map(advance).collect()
}

fn quarantined(ingester: &Ingester, prepared: &Prepared) -> Vec<QuarantinedRecord> {
    // A replayed record that is refused again stays where it is.
    if !prepared.batch.origins.is_empty() {
        return Vec::new();
    }
    prepared.rejected.iter().map(|rejection| record_of(ingester, prepared, rejection)).collect()
}

fn record_of(ingester: &Ingester, prepared: &Prepared, rejection: &Rejection) -> QuarantinedRecord {
    let records = &prepared.batch.records;
    let span = &records.records[rejection.record as usize];
    let raw = records.record_bytes(rejection.record as usize).unwrap_or_default();
    let mut detail = rejection.detail.clone();
    if raw.len() > MAX_QUARANTINED_BYTES {
        detail.push_str(&format!("; only the first {MAX_QUARANTINED_BYTES} bytes are kept"));
    }
    let contract = rejection.event_type.as_ref().and_then(|event_type| {
        ingester.contracts.iter().find(|contract| contract.event_type == *event_type)
    });
    QuarantinedRecord {
        key: PhysicalKey {
            topic: Arc::clone(&records.topic),
            partition: span.partition,
            offset: span.offset,
        },
        raw: raw[..raw.len().min(MAX_QUARANTINED_BYTES)].to_vec(),
        reason: rejection.reason.code().to_owned(),
        detail,
        event_type: rejection.event_type.clone(),
        contract_version: contract.map(|contract| contract.version),
    }
}

fn replays(prepared: &Prepared) -> Vec<ReplayOutcome> {
    prepared
        .batch
        .origins
        .iter()
        .enumerate()
        .map(|(record, origin)| {
            let rejection =
                prepared.rejected.iter().find(|rejection| rejection.record as usize == record);
            ReplayOutcome {
                quarantine_id: origin.quarantine_id,
                refused: rejection
                    .map(|found| (found.reason.code().to_owned(), found.detail.clone())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_segments_name_says_when_it_was_sealed() {
        let named = named_at(&segment_name().unwrap()).unwrap();
        assert!((Utc::now().naive_utc() - named).abs() < TimeDelta::minutes(1), "{named}");
        let named = named_at("2026-01-31/235958999999-0123456789abcdef.qls").unwrap();
        assert_eq!(named.to_string(), "2026-01-31 23:59:58");
        for other in [
            "orphan.qls",
            "2026-01-31/orphan.qls",
            "2026-02-31/235958999999-0123456789abcdef.qls",
            "2026-01-31/245958999999-0123456789abcdef.qls",
            "2026-01-31/235958999999-0123456789abcdef.qls.bak",
            "2026-01-31/235958999999-0123456789abcde.qls",
        ] {
            assert_eq!(named_at(other), None, "{other}");
        }
    }
}

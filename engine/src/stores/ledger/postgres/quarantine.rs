//! The ledger's side of the quarantine.

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Row, Transaction};

use super::TAKEN_OVER;
use crate::stores::hot::PhysicalKey;
use crate::stores::ledger::{
    QuarantineEntry, QuarantineFilter, QuarantineGroup, QuarantineState, QuarantinedRecord,
    ReplayOutcome,
};
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::{Parameters, storable_text, time, unsigned};

/// Bytes of raw records in one statement, unless one record alone is longer.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// Records in one statement.
const CHUNK_RECORDS: usize = 10_000;

/// Keeps the records that a batch has refused.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    records: &[QuarantinedRecord],
    now: i64,
) -> Result<(), Failure> {
    let mut rest = records;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(CHUNK_RECORDS).take_while(|record| {
            bytes += record.raw.len();
            bytes <= CHUNK_BYTES
        });
        let (chunk, others) = rest.split_at(fitting.count().max(1));
        insert_chunk(transaction, chunk, now).await?;
        rest = others;
    }
    Ok(())
}

async fn insert_chunk(
    transaction: &Transaction<'_>,
    records: &[QuarantinedRecord],
    now: i64,
) -> Result<(), Failure> {
    let topics: Vec<_> = records.iter().map(|record| storable_text(&record.key.topic)).collect();
    let partitions: Vec<i32> = records.iter().map(|record| record.key.partition).collect();
    let offsets: Vec<i64> = records.iter().map(|record| record.key.offset).collect();
    let raw: Vec<&[u8]> = records.iter().map(|record| record.raw.as_slice()).collect();
    let reasons: Vec<_> = records.iter().map(|record| storable_text(&record.reason)).collect();
    let details: Vec<_> = records.iter().map(|record| storable_text(&record.detail)).collect();
    let types: Vec<_> =
        records.iter().map(|record| record.event_type.as_deref().map(storable_text)).collect();
    let versions: Vec<Option<i64>> =
        records.iter().map(|record| record.contract_version.map(u64::cast_signed)).collect();
    let parameters: &Parameters<'_> =
        &[&topics, &partitions, &offsets, &raw, &reasons, &details, &types, &versions, &time(now)];
    transaction
        .execute(
            "INSERT INTO questlake.quarantine (topic, partition, \"offset\", raw, reason, detail, \
             event_type, contract_version, quarantined_at) \
             SELECT r.*, $9::timestamptz FROM unnest($1::text[], $2::integer[], $3::bigint[], \
             $4::bytea[], $5::text[], $6::text[], $7::text[], $8::bigint[]) AS r",
            parameters,
        )
        .await?;
    Ok(())
}

/// Notes what became of the records that a batch has taken in again.
pub(super) async fn finish_replays(
    transaction: &Transaction<'_>,
    replays: &[ReplayOutcome],
) -> Result<(), Failure> {
    if replays.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = replays.iter().map(|replay| replay.quarantine_id).collect();
    let refused = |replay: &ReplayOutcome| replay.refused.clone();
    let reasons: Vec<Option<String>> =
        replays.iter().map(|replay| refused(replay).map(|(reason, _)| reason)).collect();
    let details: Vec<_> = replays
        .iter()
        .map(|replay| refused(replay).map(|(_, detail)| storable_text(&detail).into_owned()))
        .collect();
    let parameters: &Parameters<'_> = &[&ids, &reasons, &details];
    // A record that is refused again stays open with its newest reason.
    let rows = transaction
        .query(
            "UPDATE questlake.quarantine q SET attempts = q.attempts + 1, \
             state = CASE WHEN r.reason IS NULL THEN 'replayed' ELSE 'open' END, \
             reason = coalesce(r.reason, q.reason), detail = coalesce(r.detail, q.detail) \
             FROM unnest($1::bigint[], $2::text[], $3::text[]) AS r (id, reason, detail) \
             WHERE q.id = r.id AND q.state = 'open' RETURNING q.id",
            parameters,
        )
        .await?;
    if rows.len() == replays.len() {
        return Ok(());
    }
    let mut changed = Vec::with_capacity(rows.len());
    for row in rows {
        changed.push(row.try_get::<_, i64>(0)?);
    }
    let missing = ids.into_iter().find(|id| !changed.contains(id)).unwrap_or_default();
    Err(Failure::Fenced {
        what: format!("quarantined record {missing} was replayed by another process"),
        advice: TAKEN_OVER,
    })
}

/// How many records are open and replayed, by reason and event type.
pub(super) async fn read_groups(
    transaction: &Transaction<'_>,
) -> Result<Vec<QuarantineGroup>, Failure> {
    let rows = transaction
        .query(
            "SELECT reason, event_type, count(*) FILTER (WHERE state = 'open'), \
             count(*) FILTER (WHERE state = 'replayed') \
             FROM questlake.quarantine GROUP BY reason, event_type \
             ORDER BY count(*) DESC, reason, event_type NULLS FIRST",
            &[],
        )
        .await?;
    let mut groups = Vec::with_capacity(rows.len());
    for row in rows {
        groups.push(QuarantineGroup {
            reason: row.try_get(0)?,
            event_type: row.try_get(1)?,
            open: unsigned(row.try_get(2)?)?,
            replayed: unsigned(row.try_get(3)?)?,
        });
    }
    Ok(groups)
}

/// The records of a selection, by their numbers.
pub(super) async fn read(
    client: &Client,
    filter: &QuarantineFilter,
) -> Result<Vec<QuarantineEntry>, Failure> {
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let parameters: &Parameters<'_> = &[
        &filter.after_id,
        &filter.include_replayed,
        &filter.reason,
        &filter.event_type,
        &filter.ids,
        &limit,
    ];
    let rows = client
        .query(
            "SELECT id, topic, partition, \"offset\", raw, reason, detail, event_type, \
             contract_version, quarantined_at, state, attempts FROM questlake.quarantine \
             WHERE id > $1 AND ($2::boolean OR state = 'open') \
             AND ($3::text IS NULL OR reason = $3) AND ($4::text IS NULL OR event_type = $4) \
             AND (cardinality($5::bigint[]) = 0 OR id = ANY ($5)) ORDER BY id LIMIT $6",
            parameters,
        )
        .await?;
    rows.iter().map(entry_from_row).collect()
}

fn entry_from_row(row: &Row) -> Result<QuarantineEntry, Failure> {
    let topic: &str = row.try_get(1)?;
    let quarantined_at: DateTime<Utc> = row.try_get(9)?;
    let state: &str = row.try_get(10)?;
    let attempts: i32 = row.try_get(11)?;
    Ok(QuarantineEntry {
        id: row.try_get(0)?,
        record: QuarantinedRecord {
            key: PhysicalKey {
                topic: topic.into(),
                partition: row.try_get(2)?,
                offset: row.try_get(3)?,
            },
            raw: row.try_get(4)?,
            reason: row.try_get(5)?,
            detail: row.try_get(6)?,
            event_type: row.try_get(7)?,
            contract_version: row.try_get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
        },
        quarantined_at: quarantined_at.timestamp_millis(),
        state: if state == "open" { QuarantineState::Open } else { QuarantineState::Replayed },
        attempts: u32::try_from(attempts).unwrap_or(0),
    })
}

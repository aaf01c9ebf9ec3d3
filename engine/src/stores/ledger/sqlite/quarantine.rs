//! The ledger's side of the quarantine.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction};

use super::CommitFailure;
use crate::stores::hot::PhysicalKey;
use crate::stores::ledger::{
    QuarantineEntry, QuarantineFilter, QuarantineGroup, QuarantineState, QuarantinedRecord,
    ReplayOutcome,
};

/// Keeps the records that a batch has refused.
pub(super) fn insert(
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

/// Notes what became of the records that a batch has taken in again.
pub(super) fn finish_replays(
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

/// How many records are open and replayed, by reason and event type.
pub(super) fn read_groups(connection: &Connection) -> rusqlite::Result<Vec<QuarantineGroup>> {
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

/// The records of a selection, by their numbers.
pub(super) fn read(
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
        .query_map(rusqlite::params_from_iter(values), entry_from_row)?
        .collect()
}

fn entry_from_row(row: &Row<'_>) -> rusqlite::Result<QuarantineEntry> {
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

//! The ledger's list of gaps.

use rusqlite::{Connection, TransactionBehavior};

use super::{CommitFailure, advance_position};
use crate::clock::now_millis;
use crate::stores::ledger::gap::{Gap, GapEntry, GapReason};
use crate::stores::ledger::{Claim, Counts, PositionAdvance};

/// Lists a gap; one that is found again keeps the time at which it was found first.
pub(super) fn record(connection: &Connection, gap: &Gap) -> rusqlite::Result<()> {
    write(connection, gap, now_millis(), None)
}

/// Moves a partition behind a gap and lists the gap as accepted, both or none.
pub(super) fn accept(
    connection: &mut Connection,
    claim: &Claim,
    gap: &Gap,
) -> Result<(), CommitFailure> {
    let now = now_millis();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let advance = PositionAdvance {
        claim: claim.clone(),
        next_offset: gap.to_offset,
        counts: Counts::default(),
        content: None,
    };
    advance_position(&transaction, &advance, now)?;
    write(&transaction, gap, now, Some(now))?;
    transaction.commit()?;
    Ok(())
}

fn write(
    connection: &Connection,
    gap: &Gap,
    now: i64,
    accepted_at: Option<i64>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta_gaps (topic, partition, from_offset, to_offset, reason, detail, \
             found_at, accepted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (topic, partition, from_offset, reason) DO UPDATE SET \
             to_offset = excluded.to_offset, detail = excluded.detail, \
             accepted_at = coalesce(excluded.accepted_at, accepted_at)",
        )?
        .execute((
            &gap.topic,
            gap.partition,
            gap.from_offset,
            gap.to_offset,
            gap.reason.name(),
            &gap.detail,
            now,
            accepted_at,
        ))?;
    Ok(())
}

/// All gaps, by topic and partition.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<GapEntry>> {
    connection
        .prepare(
            "SELECT topic, partition, from_offset, to_offset, reason, detail, found_at, \
             accepted_at FROM meta_gaps ORDER BY topic, partition, from_offset, reason",
        )?
        .query_map([], |row| {
            let reason: String = row.get(4)?;
            Ok(GapEntry {
                gap: Gap {
                    topic: row.get(0)?,
                    partition: row.get(1)?,
                    from_offset: row.get(2)?,
                    to_offset: row.get(3)?,
                    // The table admits no other name.
                    reason: GapReason::from_name(&reason).unwrap_or(GapReason::Recreated),
                    detail: row.get(5)?,
                },
                found_at: row.get(6)?,
                accepted_at: row.get(7)?,
            })
        })?
        .collect()
}

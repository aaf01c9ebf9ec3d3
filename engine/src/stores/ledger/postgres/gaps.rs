//! The ledger's list of gaps.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::{fenced, partitions};
use crate::clock::now_millis;
use crate::stores::ledger::gap::{Gap, GapEntry, GapReason};
use crate::stores::ledger::{BatchCommit, Claim, Counts, PositionAdvance};
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::{Parameters, storable_text, time};

/// Lists a gap; one that is found again keeps the time at which it was found first.
pub(super) async fn record(client: &Client, gap: &Gap) -> Result<(), Failure> {
    client.execute(WRITE, &written(gap, now_millis(), None).as_parameters()).await?;
    Ok(())
}

/// Moves a partition behind a gap and lists the gap as accepted. An earlier attempt that took place
/// and whose answer was lost is known by `commit_id`, and nothing is written then.
pub(super) async fn accept(
    transaction: &Transaction<'_>,
    claim: &Claim,
    gap: &Gap,
    commit_id: &str,
) -> Result<(), Failure> {
    let now = now_millis();
    let advance = PositionAdvance {
        claim: claim.clone(),
        next_offset: gap.to_offset,
        counts: Counts::default(),
        content: None,
    };
    if partitions::advance(transaction, &advance, commit_id, now).await? {
        transaction.execute(WRITE, &written(gap, now, Some(now)).as_parameters()).await?;
        return Ok(());
    }
    let nothing = BatchCommit::default();
    match partitions::own_commit(transaction, &advance, &nothing, commit_id).await? {
        Some(_) => Ok(()),
        None => Err(fenced(claim)),
    }
}

const WRITE: &str = "INSERT INTO questlake.gaps AS g \
     (topic, partition, from_offset, to_offset, reason, detail, found_at, accepted_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (topic, partition, from_offset, reason) DO UPDATE SET \
     to_offset = excluded.to_offset, detail = excluded.detail, \
     accepted_at = coalesce(excluded.accepted_at, g.accepted_at)";

/// A gap as its columns.
struct Written<'a> {
    topic: Cow<'a, str>,
    gap: &'a Gap,
    reason: &'static str,
    detail: Cow<'a, str>,
    found_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
}

fn written(gap: &Gap, found_at: i64, accepted_at: Option<i64>) -> Written<'_> {
    Written {
        topic: storable_text(&gap.topic),
        gap,
        reason: gap.reason.name(),
        detail: storable_text(&gap.detail),
        found_at: time(found_at),
        accepted_at: accepted_at.map(time),
    }
}

impl Written<'_> {
    fn as_parameters(&self) -> [&(dyn ToSql + Sync); 8] {
        [
            &self.topic,
            &self.gap.partition,
            &self.gap.from_offset,
            &self.gap.to_offset,
            &self.reason,
            &self.detail,
            &self.found_at,
            &self.accepted_at,
        ]
    }
}

/// All gaps, by topic and partition.
pub(super) async fn read(client: &Client) -> Result<Vec<GapEntry>, Failure> {
    let nothing: &Parameters<'_> = &[];
    let rows = client
        .query(
            "SELECT topic, partition, from_offset, to_offset, reason, detail, found_at, accepted_at \
             FROM questlake.gaps ORDER BY topic, partition, from_offset, reason",
            nothing,
        )
        .await?;
    rows.iter().map(gap_from_row).collect()
}

fn gap_from_row(row: &Row) -> Result<GapEntry, Failure> {
    let reason: &str = row.try_get(4)?;
    let Some(reason) = GapReason::from_name(reason) else {
        return Err(Failure::Corrupt(format!("{reason} is no reason of a gap")));
    };
    let found_at: DateTime<Utc> = row.try_get(6)?;
    let accepted_at: Option<DateTime<Utc>> = row.try_get(7)?;
    Ok(GapEntry {
        gap: Gap {
            topic: row.try_get(0)?,
            partition: row.try_get(1)?,
            from_offset: row.try_get(2)?,
            to_offset: row.try_get(3)?,
            reason,
            detail: row.try_get(5)?,
        },
        found_at: found_at.timestamp_millis(),
        accepted_at: accepted_at.map(|time| time.timestamp_millis()),
    })
}

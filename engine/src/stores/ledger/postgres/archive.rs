//! The ledger's side of the archive.

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Transaction};

use super::TAKEN_OVER;
use crate::clock::now_millis;
use crate::stores::archive::{DayDigest, DayDigests};
use crate::stores::ledger::archived::{ArchiveCommit, ArchiveState, ArchivedTable};
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::{Parameters, bigint, hash, time, unsigned};

/// Done twice, it gives the same.
pub(super) async fn begin(client: &Client, through: i64) -> Result<i64, Failure> {
    let parameters: &Parameters<'_> = &[&through];
    let row = client
        .query_one(
            "UPDATE questlake.archive SET under_way = \
             coalesce(under_way, nullif(greatest(through, $1::bigint), through)) \
             RETURNING coalesce(under_way, through)",
            parameters,
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Makes a move real. An earlier attempt that took place and whose answer was lost is known by
/// `commit_id`, and nothing is written then.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    commit: &ArchiveCommit,
    commit_id: &str,
) -> Result<(), Failure> {
    let parameters: &Parameters<'_> = &[&commit.after, &commit.through, &commit_id];
    let moved = transaction
        .execute(
            "UPDATE questlake.archive SET through = $2, under_way = NULL, \
             commit_id = $3::text::uuid WHERE through = $1 AND under_way = $2",
            parameters,
        )
        .await?;
    if moved != 1 {
        let parameters: &Parameters<'_> = &[&commit_id];
        let own = transaction
            .query_opt("SELECT FROM questlake.archive WHERE commit_id = $1::text::uuid", parameters)
            .await?;
        if own.is_some() {
            return Ok(());
        }
        let what =
            format!("another process has moved the commits after {} to the archive", commit.after);
        return Err(Failure::Fenced { what, advice: TAKEN_OVER });
    }
    for (event_type, (version, days)) in &commit.tables {
        let parameters: &Parameters<'_> = &[event_type, version, &commit.through];
        transaction
            .execute(
                "INSERT INTO questlake.archive_tables (event_type, version, \"transaction\") \
                 VALUES ($1, $2, $3) ON CONFLICT (event_type) DO UPDATE \
                 SET version = excluded.version, \"transaction\" = excluded.\"transaction\"",
                parameters,
            )
            .await?;
        add_days(transaction, event_type, days).await?;
    }
    let parameters: &Parameters<'_> = &[&commit.through, &time(now_millis())];
    transaction
        .execute(
            "UPDATE questlake.segments SET archived_at = $2 \
             WHERE sequence <= $1 AND archived_at IS NULL",
            parameters,
        )
        .await?;
    Ok(())
}

async fn add_days(
    transaction: &Transaction<'_>,
    event_type: &str,
    added: &DayDigests,
) -> Result<(), Failure> {
    let mut digests = read_days(transaction, event_type).await?;
    let (mut days, mut rows, mut key_sums) = (Vec::new(), Vec::new(), Vec::new());
    for (day, added) in added {
        let digest = digests.entry(*day).or_default();
        digest.merge(*added);
        days.push(*day);
        rows.push(bigint(digest.rows));
        key_sums.push(digest.key_sum.to_be_bytes().to_vec());
    }
    let parameters: &Parameters<'_> = &[&event_type, &days, &rows, &key_sums];
    transaction
        .execute(
            "INSERT INTO questlake.archive_days (event_type, event_date, \"rows\", key_sum) \
             SELECT $1::text, DATE '1970-01-01' + d.day, d.row_count, d.key_sum \
             FROM unnest($2::integer[], $3::bigint[], $4::bytea[]) AS d (day, row_count, key_sum) \
             ON CONFLICT (event_type, event_date) DO UPDATE \
             SET \"rows\" = excluded.\"rows\", key_sum = excluded.key_sum",
            parameters,
        )
        .await?;
    Ok(())
}

async fn read_days(transaction: &Transaction<'_>, event_type: &str) -> Result<DayDigests, Failure> {
    let parameters: &Parameters<'_> = &[&event_type];
    let rows = transaction
        .query(
            "SELECT event_date - DATE '1970-01-01', \"rows\", key_sum \
             FROM questlake.archive_days WHERE event_type = $1",
            parameters,
        )
        .await?;
    let mut days = DayDigests::new();
    for row in &rows {
        let digest =
            DayDigest { rows: unsigned(row.try_get(1)?)?, key_sum: hash(row.try_get(2)?)? };
        days.insert(row.try_get(0)?, digest);
    }
    Ok(days)
}

pub(super) async fn read_state(transaction: &Transaction<'_>) -> Result<ArchiveState, Failure> {
    let row =
        transaction.query_one("SELECT through, under_way FROM questlake.archive", &[]).await?;
    let mut state = ArchiveState {
        through: row.try_get(0)?,
        under_way: row.try_get(1)?,
        ..ArchiveState::default()
    };
    let rows = transaction
        .query(
            "SELECT event_type, version, \"transaction\", caught_up_at \
             FROM questlake.archive_tables",
            &[],
        )
        .await?;
    for row in rows {
        let event_type: String = row.try_get(0)?;
        let caught_up_at: Option<DateTime<Utc>> = row.try_get(3)?;
        let table = ArchivedTable {
            version: row.try_get(1)?,
            transaction: row.try_get(2)?,
            caught_up_at: caught_up_at.map_or(0, |time| time.timestamp_millis()),
            days: read_days(transaction, &event_type).await?,
        };
        state.tables.insert(event_type, table);
    }
    Ok(state)
}

/// Done twice, it leaves and gives the same.
pub(super) async fn set_version(
    client: &Client,
    event_type: &str,
    transaction: i64,
    version: i64,
    late: bool,
) -> Result<bool, Failure> {
    let parameters: &Parameters<'_> =
        &[&event_type, &transaction, &version, &late, &time(now_millis())];
    let changed = client
        .execute(
            "UPDATE questlake.archive_tables SET version = greatest(version, $3::bigint), \
             caught_up_at = CASE WHEN $4::boolean AND version < $3 THEN $5::timestamptz \
             ELSE caught_up_at END \
             WHERE event_type = $1 AND \"transaction\" = $2",
            parameters,
        )
        .await?;
    Ok(changed == 1)
}

/// A segment that is not in the archive is never forgotten.
pub(super) async fn forget(
    transaction: &Transaction<'_>,
    sequences: &[i64],
) -> Result<(), Failure> {
    let parameters: &Parameters<'_> = &[&sequences];
    for table in ["section_days", "sections"] {
        transaction
            .execute(
                &format!(
                    "DELETE FROM questlake.{table} d USING questlake.segments s \
                     WHERE d.sequence = s.sequence AND s.sequence = ANY ($1) \
                     AND s.archived_at IS NOT NULL"
                ),
                parameters,
            )
            .await?;
    }
    transaction
        .execute(
            "DELETE FROM questlake.segments WHERE sequence = ANY ($1) AND archived_at IS NOT NULL",
            parameters,
        )
        .await?;
    Ok(())
}

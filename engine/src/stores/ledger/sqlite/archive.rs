//! The ledger's side of the archive.

use rusqlite::{Connection, TransactionBehavior};

use super::CommitFailure;
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::archive::{DayDigest, DayDigests};
use crate::stores::ledger::archived::{ArchiveCommit, ArchiveState, ArchivedTable};

pub(super) fn begin(connection: &mut Connection, through: i64) -> rusqlite::Result<i64> {
    connection.query_row(
        "UPDATE meta_archive SET under_way = coalesce(under_way, nullif(max(through, ?1), through)) \
         RETURNING coalesce(under_way, through)",
        [through],
        |row| row.get(0),
    )
}

pub(super) fn commit(
    connection: &mut Connection,
    commit: &ArchiveCommit,
) -> Result<(), CommitFailure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moved = transaction.execute(
        "UPDATE meta_archive SET through = ?2, under_way = NULL \
         WHERE through = ?1 AND under_way = ?2",
        (commit.after, commit.through),
    )?;
    if moved != 1 {
        return Err(CommitFailure::Fenced(format!(
            "another process has moved the commits after {} to the archive",
            commit.after
        )));
    }
    for (event_type, (version, days)) in &commit.tables {
        transaction.execute(
            "INSERT INTO meta_archive_tables (event_type, version, \"transaction\") \
             VALUES (?1, ?2, ?3) ON CONFLICT (event_type) DO UPDATE \
             SET version = excluded.version, \"transaction\" = excluded.\"transaction\"",
            (event_type, version, commit.through),
        )?;
        add_days(&transaction, event_type, days)?;
    }
    transaction.execute(
        "UPDATE meta_segments SET archived_at = ?2 WHERE sequence <= ?1 AND archived_at IS NULL",
        (commit.through, now_millis()),
    )?;
    failpoint::pass("archive.before_ledger_commit")?;
    transaction.commit()?;
    failpoint::pass("archive.after_ledger_commit")?;
    Ok(())
}

fn add_days(connection: &Connection, event_type: &str, days: &DayDigests) -> rusqlite::Result<()> {
    let known = read_days(connection, event_type)?;
    let mut put = connection.prepare_cached(
        "INSERT INTO meta_archive_days (event_type, event_date, \"rows\", key_sum) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (event_type, event_date) DO UPDATE \
         SET \"rows\" = excluded.\"rows\", key_sum = excluded.key_sum",
    )?;
    for (day, added) in days {
        let mut digest = known.get(day).copied().unwrap_or_default();
        digest.merge(*added);
        put.execute((event_type, day, digest.rows, digest.key_sum.to_be_bytes()))?;
    }
    Ok(())
}

fn read_days(connection: &Connection, event_type: &str) -> rusqlite::Result<DayDigests> {
    connection
        .prepare_cached(
            "SELECT event_date, \"rows\", key_sum FROM meta_archive_days WHERE event_type = ?1",
        )?
        .query_map([event_type], |row| {
            let key_sum: [u8; 16] = row.get(2)?;
            let digest = DayDigest { rows: row.get(1)?, key_sum: u128::from_be_bytes(key_sum) };
            Ok((row.get(0)?, digest))
        })?
        .collect()
}

pub(super) fn read_state(connection: &Connection) -> rusqlite::Result<ArchiveState> {
    let (through, under_way) =
        connection.query_row("SELECT through, under_way FROM meta_archive", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut state = ArchiveState { through, under_way, ..ArchiveState::default() };
    let mut query = connection.prepare_cached(
        "SELECT event_type, version, \"transaction\", caught_up_at FROM meta_archive_tables",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let event_type: String = row.get(0)?;
        let days = read_days(connection, &event_type)?;
        let table = ArchivedTable {
            version: row.get(1)?,
            transaction: row.get(2)?,
            caught_up_at: row.get(3)?,
            days,
        };
        state.tables.insert(event_type, table);
    }
    Ok(state)
}

pub(super) fn set_version(
    connection: &mut Connection,
    event_type: &str,
    transaction: i64,
    version: i64,
    late: bool,
) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE meta_archive_tables SET version = max(version, ?3), \
         caught_up_at = CASE WHEN ?4 AND version < ?3 THEN ?5 ELSE caught_up_at END \
         WHERE event_type = ?1 AND \"transaction\" = ?2",
        (event_type, transaction, version, late, now_millis()),
    )?;
    Ok(changed == 1)
}

pub(super) fn forget(connection: &mut Connection, sequences: &[i64]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for table in ["meta_section_days", "meta_sections", "meta_segments"] {
        // A segment that is not in the archive is never forgotten.
        let mut delete = transaction.prepare(&format!(
            "DELETE FROM {table} WHERE sequence = ?1 AND EXISTS (SELECT 1 FROM meta_segments s \
             WHERE s.sequence = ?1 AND s.archived_at IS NOT NULL)"
        ))?;
        for sequence in sequences {
            delete.execute([sequence])?;
        }
    }
    transaction.commit()
}

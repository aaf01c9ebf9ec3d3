//! Forgets documents that were inserted long ago, a bounded number in each transaction, so that
//! inserts come in between.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// Most documents that one transaction removes.
const ROWS_PER_TRANSACTION: i64 = 10_000;

/// Notes when the rows of a batch were inserted; a batch without new rows leaves no note.
pub(super) fn note_batch(
    transaction: &Transaction<'_>,
    rows: Option<(i64, i64)>,
    inserted_at: i64,
) -> rusqlite::Result<()> {
    let Some((first_row, last_row)) = rows else { return Ok(()) };
    transaction
        .prepare_cached(
            "INSERT INTO batches (first_row, last_row, inserted_at) VALUES (?1, ?2, ?3)",
        )?
        .execute((first_row, last_row, inserted_at))?;
    Ok(())
}

/// Removes the first documents of a batch that was inserted before this time (milliseconds since
/// 1970); returns how many, or `None` if there is no such batch.
pub(super) fn prune_some(
    connection: &mut Connection,
    before: i64,
) -> rusqlite::Result<Option<u64>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let batch: Option<(i64, i64)> = transaction
        .prepare_cached(
            "SELECT first_row, last_row FROM batches WHERE inserted_at < ?1 \
             ORDER BY first_row LIMIT 1",
        )?
        .query_row([before], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((first, last)) = batch else { return Ok(None) };
    let end = last.min(first.saturating_add(ROWS_PER_TRANSACTION - 1));
    forget_runs(&transaction, first, end)?;
    let removed = transaction
        .prepare_cached("DELETE FROM events WHERE row_id BETWEEN ?1 AND ?2")?
        .execute((first, end))?;
    if end == last {
        transaction.execute("DELETE FROM batches WHERE first_row = ?1", [first])?;
    } else {
        transaction
            .execute("UPDATE batches SET first_row = ?2 WHERE first_row = ?1", (first, end + 1))?;
    }
    transaction.commit()?;
    Ok(Some(removed as u64))
}

/// Forgets the players' runs that end in these rows; one that goes on beyond them is still needed.
fn forget_runs(transaction: &Transaction<'_>, first: i64, end: i64) -> rusqlite::Result<()> {
    let mut players = transaction
        .prepare_cached("SELECT DISTINCT player_id FROM events WHERE row_id BETWEEN ?1 AND ?2")?;
    let mut forget = transaction.prepare_cached(
        "DELETE FROM player_runs WHERE player_id = ?1 AND last_row BETWEEN ?2 AND ?3",
    )?;
    let players: rusqlite::Result<Vec<String>> =
        players.query_map((first, end), |row| row.get(0))?.collect();
    for player in players? {
        forget.execute((player, first, end))?;
    }
    Ok(())
}

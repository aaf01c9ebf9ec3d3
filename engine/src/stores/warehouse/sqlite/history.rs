//! The history of checks.

use rusqlite::{Connection, Row, TransactionBehavior};

use crate::stores::warehouse::{CHECK_HISTORY, CheckRecord};

/// The columns of an entry, in the order of [`read`].
const COLUMNS: &str = "run, finished_at, name, model, severity, status, \"rows\", sample, detail, \
                       description, file, millis";

/// Appends entries and drops old ones.
pub(super) fn insert_checks(
    connection: &mut Connection,
    checks: &[CheckRecord],
    oldest: i64,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(&format!(
            "INSERT INTO meta_checks ({COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ))?;
        for check in checks {
            insert.execute((
                check.run,
                check.finished_at,
                &check.name,
                &check.model,
                &check.severity,
                &check.status,
                check.rows,
                &check.sample,
                &check.detail,
                &check.description,
                &check.file,
                check.millis,
            ))?;
        }
        transaction.execute(
            "DELETE FROM meta_checks WHERE (finished_at < ?1 OR check_id <= \
             (SELECT max(check_id) FROM meta_checks) - ?2) AND check_id NOT IN \
             (SELECT max(check_id) FROM meta_checks WHERE status <> 'skipped' GROUP BY model, name)",
            (oldest, CHECK_HISTORY),
        )?;
    }
    transaction.commit()
}

/// The latest entries, newest first.
pub(super) fn checks(connection: &Connection, limit: i64) -> rusqlite::Result<Vec<CheckRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM meta_checks ORDER BY check_id DESC LIMIT ?1");
    connection.prepare(&sql)?.query_map([limit], read)?.collect()
}

/// The latest entry of each check.
pub(super) fn latest_checks(connection: &Connection) -> rusqlite::Result<Vec<CheckRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM meta_checks WHERE check_id IN \
         (SELECT max(check_id) FROM meta_checks WHERE status <> 'skipped' GROUP BY model, name) \
         ORDER BY model IS NULL, model, name"
    );
    connection.prepare(&sql)?.query_map([], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<CheckRecord> {
    Ok(CheckRecord {
        run: row.get(0)?,
        finished_at: row.get(1)?,
        name: row.get(2)?,
        model: row.get(3)?,
        severity: row.get(4)?,
        status: row.get(5)?,
        rows: row.get(6)?,
        sample: row.get(7)?,
        detail: row.get(8)?,
        description: row.get(9)?,
        file: row.get(10)?,
        millis: row.get(11)?,
    })
}

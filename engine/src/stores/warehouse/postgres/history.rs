//! The history of checks.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::stores::error::StoreResult;
use crate::stores::postgres::values::{Parameters, bigint, storable_text, time, unsigned};
use crate::stores::postgres::{Failure, PostgresDatabase};
use crate::stores::warehouse::{CHECK_HISTORY, CheckRecord};

/// The columns of an entry, in the order of [`read`].
const COLUMNS: &str = "run, finished_at, name, model, severity, status, \"rows\", sample, detail, \
                       description, file, millis";

/// Appends entries and drops old ones.
pub(super) async fn record_checks(
    database: &PostgresDatabase,
    checks: &[CheckRecord],
    oldest: i64,
) -> StoreResult<()> {
    let runs: Vec<_> = checks.iter().map(|check| time(check.run)).collect();
    let ended: Vec<_> = checks.iter().map(|check| time(check.finished_at)).collect();
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let models: Vec<_> = checks.iter().map(|check| check.model.as_deref()).collect();
    let severities: Vec<&str> = checks.iter().map(|check| check.severity.as_str()).collect();
    let states: Vec<&str> = checks.iter().map(|check| check.status.as_str()).collect();
    let counts: Vec<i64> = checks.iter().map(|check| bigint(check.rows)).collect();
    let samples: Vec<_> = checks.iter().map(|check| text(&check.sample)).collect();
    let details: Vec<_> = checks.iter().map(|check| text(&check.detail)).collect();
    let descriptions: Vec<_> = checks.iter().map(|check| text(&check.description)).collect();
    let files: Vec<&str> = checks.iter().map(|check| check.file.as_str()).collect();
    let millis: Vec<i64> = checks.iter().map(|check| bigint(check.millis)).collect();
    let commit_id = Uuid::new_v4().to_string();
    let oldest = time(oldest);
    let entries: &Parameters<'_> = &[
        &runs,
        &ended,
        &names,
        &models,
        &severities,
        &states,
        &counts,
        &samples,
        &details,
        &descriptions,
        &files,
        &millis,
        &commit_id,
    ];
    database
        .attempt("record the checks of a run", |mut session| async move {
            let transaction = session.transaction().await?;
            // Done twice, the second time finds the rows of the first, or waits for them.
            let insert = format!(
                "INSERT INTO questlake.checks ({COLUMNS}, commit_id, place) \
                 SELECT c.run, c.finished_at, c.name, c.model, c.severity, c.status, c.row_count, \
                 c.sample, c.detail, c.description, c.file, c.millis, $13::text::uuid, \
                 c.place::integer \
                 FROM unnest($1::timestamptz[], $2::timestamptz[], $3::text[], $4::text[], \
                 $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], \
                 $11::text[], $12::bigint[]) WITH ORDINALITY AS c (run, finished_at, name, model, \
                 severity, status, row_count, sample, detail, description, file, millis, place) \
                 ORDER BY c.place ON CONFLICT (commit_id, place) DO NOTHING"
            );
            transaction.execute(&insert, entries).await?;
            let bounds: &Parameters<'_> = &[&oldest, &CHECK_HISTORY];
            transaction
                .execute(
                    "DELETE FROM questlake.checks WHERE (finished_at < $1 OR check_id <= \
                     (SELECT max(check_id) FROM questlake.checks) - $2) AND check_id NOT IN \
                     (SELECT max(check_id) FROM questlake.checks WHERE status <> 'skipped' \
                     GROUP BY model, name)",
                    bounds,
                )
                .await?;
            transaction.commit().await?;
            session.end(())
        })
        .await
}

/// The latest entries, newest first.
pub(super) async fn checks(
    database: &PostgresDatabase,
    limit: usize,
) -> StoreResult<Vec<CheckRecord>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    database
        .attempt("read the history of checks", |session| async move {
            let parameters: &Parameters<'_> = &[&limit];
            let sql =
                format!("SELECT {COLUMNS} FROM questlake.checks ORDER BY check_id DESC LIMIT $1");
            let rows = session.query(&sql, parameters).await?;
            let checks = rows.iter().map(read).collect::<Result<_, Failure>>()?;
            session.end(checks)
        })
        .await
}

/// The latest entry of each check.
pub(super) async fn latest_checks(database: &PostgresDatabase) -> StoreResult<Vec<CheckRecord>> {
    database
        .attempt("read the latest checks", |session| async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM questlake.checks WHERE check_id IN \
                 (SELECT max(check_id) FROM questlake.checks WHERE status <> 'skipped' \
                 GROUP BY model, name) ORDER BY model NULLS LAST, name"
            );
            let rows = session.query(&sql, &[]).await?;
            let checks = rows.iter().map(read).collect::<Result<_, Failure>>()?;
            session.end(checks)
        })
        .await
}

fn text(value: &Option<String>) -> Option<Cow<'_, str>> {
    value.as_deref().map(storable_text)
}

fn read(row: &Row) -> Result<CheckRecord, Failure> {
    Ok(CheckRecord {
        run: row.try_get::<_, DateTime<Utc>>(0)?.timestamp_millis(),
        finished_at: row.try_get::<_, DateTime<Utc>>(1)?.timestamp_millis(),
        name: row.try_get(2)?,
        model: row.try_get(3)?,
        severity: row.try_get(4)?,
        status: row.try_get(5)?,
        rows: unsigned(row.try_get(6)?)?,
        sample: row.try_get(7)?,
        detail: row.try_get(8)?,
        description: row.try_get(9)?,
        file: row.try_get(10)?,
        millis: unsigned(row.try_get(11)?)?,
    })
}

//! The warehouse on PostgreSQL: the star schema in the schema `star`, the pipeline's own tables in
//! `questlake`.
//!
//! A load's rows come by binary COPY: into a temporary table, from which one statement merges them,
//! or straight into the table where nothing is merged (`load.rs`). Tables are read by binary COPY
//! too, with columns, conditions, limits and plain aggregates left to the server (`scan.rs`,
//! [`aggregate`]).
//!
//! Texts have the collation "C", decimals are `numeric`, times `timestamptz`: what the server
//! compares, sorts and adds up is what DataFusion would have got.

pub mod aggregate;
mod changes;
mod condition;
mod copy;
mod history;
mod load;
mod rows;
mod scan;
mod statements;
mod tables;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CheckRecord, Load, LoadMode, ModelProgress, RunRecord, StaleMark, TableDefinition,
    TableDifference, Warehouse,
};
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::postgres::PostgresDatabase;
use crate::stores::postgres::values::{Parameters, bigint, storable_text, time, unsigned};
use load::PostgresLoad;
use scan::PostgresTable;

/// Entries kept in the history of runs.
const RUN_HISTORY: i64 = 1000;

/// How long a lock is asked for, and the pause in between.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The warehouse on PostgreSQL.
#[derive(Clone)]
pub struct PostgresWarehouse {
    database: PostgresDatabase,
}

impl PostgresWarehouse {
    /// The warehouse in `database`, which the ledger shares.
    pub fn new(database: PostgresDatabase) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Warehouse for PostgresWarehouse {
    async fn prepare(
        &self,
        tables: &[TableDefinition],
        rebuilt: &BTreeSet<String>,
    ) -> StoreResult<Vec<String>> {
        const OPERATION: &str = "prepare the star schema";
        // An index of a large table takes its time.
        self.database
            .attempt_long(OPERATION, |mut session| async move {
                let transaction = session.transaction().await?;
                let changes = tables::prepare(&transaction, tables, rebuilt).await?;
                transaction.commit().await?;
                session.end(changes)
            })
            .await
    }

    /// The lock is the server's, and lasts as long as a connection of its own. Should that break,
    /// each publication is fenced by the model's progress all the same. A server notices only after a
    /// while that a process has ended, so whoever comes next waits for a moment.
    async fn lock(&self, activity: &'static str) -> StoreResult<Box<dyn Send + Sync>> {
        const OPERATION: &str = "take a lock";
        let key = lock_key("activity", activity);
        let (session, taken) = self
            .database
            .attempt(OPERATION, |session| async move {
                let parameters: &Parameters<'_> = &[&key];
                let deadline = Instant::now() + LOCK_PATIENCE;
                loop {
                    let sql = "SELECT pg_try_advisory_lock($1)";
                    let taken: bool = session.query_one(sql, parameters).await?.try_get(0)?;
                    if taken || Instant::now() >= deadline {
                        return Ok((session, taken));
                    }
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
            })
            .await?;
        if taken {
            // Not handed back for others to use: the lock ends with the connection.
            return Ok(Box::new(session));
        }
        Err(StoreError::new(
            self.database.store(),
            OPERATION,
            StoreErrorKind::Unavailable,
            format!("another {activity} run is under way"),
        )
        .with_advice("wait until it has ended, then try again"))
    }

    async fn begin_load(
        &self,
        table: &TableDefinition,
        mode: &LoadMode,
    ) -> StoreResult<Box<dyn Load>> {
        Ok(Box::new(PostgresLoad::begin(&self.database, table, mode).await?))
    }

    fn table(&self, table: &TableDefinition) -> Arc<dyn TableProvider> {
        Arc::new(PostgresTable::new(self.database.clone(), table))
    }

    async fn latest_partition(&self, table: &TableDefinition) -> StoreResult<Option<i32>> {
        self.database
            .attempt("read the latest day", |session| async move {
                let latest = changes::latest_day(&session, table).await?;
                session.end(latest)
            })
            .await
    }

    async fn difference(&self, table: &TableDefinition) -> StoreResult<Option<TableDifference>> {
        self.database
            .attempt("look at a table", |session| async move {
                let existing = tables::existing_columns(&session, &table.name).await?;
                let found =
                    (!existing.is_empty()).then(|| tables::table_difference(table, &existing));
                session.end(found)
            })
            .await
    }

    async fn estimate_rows(
        &self,
        table: &TableDefinition,
        days: Option<(i32, i32)>,
    ) -> StoreResult<Option<u64>> {
        self.database
            .attempt("estimate rows", |session| async move {
                let rows = tables::estimate_rows(&session, table, days).await?;
                session.end(rows)
            })
            .await
    }

    async fn progress(&self) -> StoreResult<Vec<ModelProgress>> {
        self.database
            .attempt("read the models' progress", |session| async move {
                let rows = session
                    .query(
                        "SELECT model, ledger_sequence, definition_hash, updated_at \
                         FROM questlake.models ORDER BY model",
                        &[],
                    )
                    .await?;
                let mut models = Vec::with_capacity(rows.len());
                for row in rows {
                    models.push(ModelProgress {
                        model: row.try_get(0)?,
                        ledger_sequence: row.try_get(1)?,
                        definition_hash: row.try_get::<_, i64>(2)?.cast_unsigned(),
                        updated_at: row.try_get::<_, DateTime<Utc>>(3)?.timestamp_millis(),
                    });
                }
                session.end(models)
            })
            .await
    }

    async fn forget_models_except(&self, models: &[String]) -> StoreResult<()> {
        let models = &models;
        self.database
            .attempt("forget removed models", |session| async move {
                let parameters: &Parameters<'_> = &[models];
                session
                    .execute(
                        "WITH gone AS (DELETE FROM questlake.models \
                                       WHERE model <> ALL ($1) RETURNING model) \
                         DELETE FROM questlake.stale USING gone WHERE consumer = gone.model",
                        parameters,
                    )
                    .await?;
                session.end(())
            })
            .await
    }

    async fn stale_marks(&self) -> StoreResult<Vec<StaleMark>> {
        self.database
            .attempt("read the stale days", |session| async move {
                let rows = session
                    .query(
                        "SELECT sequence, consumer, source, day - DATE '1970-01-01', exact \
                         FROM questlake.stale ORDER BY sequence",
                        &[],
                    )
                    .await?;
                let mut marks = Vec::with_capacity(rows.len());
                for row in rows {
                    marks.push(StaleMark {
                        sequence: row.try_get(0)?,
                        consumer: row.try_get(1)?,
                        source: row.try_get(2)?,
                        day: row.try_get(3)?,
                        exact: row.try_get(4)?,
                    });
                }
                session.end(marks)
            })
            .await
    }

    async fn record_runs(&self, runs: &[RunRecord]) -> StoreResult<()> {
        let started: Vec<_> = runs.iter().map(|run| time(run.started_at)).collect();
        let finished: Vec<_> = runs.iter().map(|run| time(run.finished_at)).collect();
        let models: Vec<&str> = runs.iter().map(|run| run.model.as_str()).collect();
        let states: Vec<&str> = runs.iter().map(|run| run.state.as_str()).collect();
        let modes: Vec<&str> = runs.iter().map(|run| run.mode.as_str()).collect();
        let counts: Vec<i64> = runs.iter().map(|run| bigint(run.rows)).collect();
        let errors: Vec<_> =
            runs.iter().map(|run| run.error.as_deref().map(storable_text)).collect();
        let commit_id = Uuid::new_v4().to_string();
        let parameters: &Parameters<'_> =
            &[&started, &finished, &models, &states, &modes, &counts, &errors, &commit_id];
        self.database
            .attempt("record a run", |mut session| async move {
                let transaction = session.transaction().await?;
                // Done twice, the second time finds the rows of the first, or waits for them.
                transaction
                    .execute(
                        "INSERT INTO questlake.runs (started_at, finished_at, model, state, mode, \
                         \"rows\", error, commit_id, place) \
                         SELECT r.started_at, r.finished_at, r.model, r.state, r.mode, \
                         r.row_count, r.error, $8::text::uuid, r.place::integer \
                         FROM unnest($1::timestamptz[], $2::timestamptz[], $3::text[], \
                         $4::text[], $5::text[], $6::bigint[], $7::text[]) WITH ORDINALITY \
                         AS r (started_at, finished_at, model, state, mode, row_count, error, place) \
                         ORDER BY r.place ON CONFLICT (commit_id, place) DO NOTHING",
                        parameters,
                    )
                    .await?;
                let parameters: &Parameters<'_> = &[&RUN_HISTORY];
                transaction
                    .execute(
                        "DELETE FROM questlake.runs \
                         WHERE run_id <= (SELECT max(run_id) FROM questlake.runs) - $1",
                        parameters,
                    )
                    .await?;
                transaction.commit().await?;
                session.end(())
            })
            .await
    }

    async fn runs(&self, limit: usize) -> StoreResult<Vec<RunRecord>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .attempt("read the history of runs", |session| async move {
                let parameters: &Parameters<'_> = &[&limit];
                let rows = session
                    .query(
                        "SELECT started_at, finished_at, model, state, mode, \"rows\", error \
                         FROM questlake.runs ORDER BY run_id DESC LIMIT $1",
                        parameters,
                    )
                    .await?;
                let mut runs = Vec::with_capacity(rows.len());
                for row in rows {
                    runs.push(RunRecord {
                        started_at: row.try_get::<_, DateTime<Utc>>(0)?.timestamp_millis(),
                        finished_at: row.try_get::<_, DateTime<Utc>>(1)?.timestamp_millis(),
                        model: row.try_get(2)?,
                        state: row.try_get(3)?,
                        mode: row.try_get(4)?,
                        rows: unsigned(row.try_get(5)?)?,
                        error: row.try_get(6)?,
                    });
                }
                session.end(runs)
            })
            .await
    }

    async fn record_checks(&self, checks: &[CheckRecord], oldest: i64) -> StoreResult<()> {
        history::record_checks(&self.database, checks, oldest).await
    }

    async fn checks(&self, limit: usize) -> StoreResult<Vec<CheckRecord>> {
        history::checks(&self.database, limit).await
    }

    async fn latest_checks(&self) -> StoreResult<Vec<CheckRecord>> {
        history::latest_checks(&self.database).await
    }

    fn name(&self) -> String {
        self.database.store().to_owned()
    }
}

/// The number of an advisory lock: of its kind and name, so that no two are likely to meet.
fn lock_key(kind: &str, name: &str) -> i64 {
    xxh3_64(format!("questlake {kind} {name}").as_bytes()).cast_signed()
}

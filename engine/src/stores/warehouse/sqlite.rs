//! The embedded warehouse: the star schema in one SQLite file.

mod changes;
mod history;
mod load;
mod scan;
mod statements;
mod tables;
mod values;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use rusqlite::{Connection, TransactionBehavior};

use super::{
    CheckRecord, Load, LoadMode, ModelProgress, RunRecord, StaleMark, TableDefinition,
    TableDifference, Warehouse,
};
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::sqlite::{SqliteDatabase, run_blocking};
use load::SqliteLoad;
use scan::SqliteTable;
use statements::quote;
use tables::{existing_columns, prepare_tables, table_difference};

const SCHEMA: &str = include_str!("sqlite/schema.sql");

/// Version of the tables of warehouse and ledger; a change of either raises it.
const VERSION: i32 = 1;

/// Entries kept in the history of runs.
const RUN_HISTORY: i64 = 1000;

/// The warehouse on SQLite.
#[derive(Clone)]
pub struct SqliteWarehouse {
    database: SqliteDatabase,
}

impl SqliteWarehouse {
    /// Opens the warehouse database at `path`, which the ledger shares.
    pub fn open_database(path: &Path) -> StoreResult<SqliteDatabase> {
        SqliteDatabase::open("warehouse", path, VERSION)
    }

    /// Creates the warehouse's own tables in `database` where they are missing.
    pub fn open(database: SqliteDatabase) -> StoreResult<Self> {
        let connection = database.connect()?;
        connection
            .execute_batch(SCHEMA)
            .map_err(|error| database.error("create the warehouse's tables", error))?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Warehouse for SqliteWarehouse {
    async fn prepare(
        &self,
        tables: &[TableDefinition],
        rebuilt: &BTreeSet<String>,
    ) -> StoreResult<Vec<String>> {
        const OPERATION: &str = "prepare the star schema";
        let (database, tables, rebuilt) = (self.database.clone(), tables.to_vec(), rebuilt.clone());
        self.database
            .with_writer(OPERATION, move |connection| {
                prepare_tables(connection, &tables, &rebuilt)
                    .map_err(|error| database.error(OPERATION, error))?
                    .map_err(|(what, way_out)| {
                        StoreError::new(
                            database.store(),
                            OPERATION,
                            StoreErrorKind::Incompatible,
                            what,
                        )
                        .with_advice(way_out)
                    })
            })
            .await
    }

    async fn lock(&self, activity: &'static str) -> StoreResult<Box<dyn Send + Sync>> {
        const OPERATION: &str = "take a lock";
        let mut path = self.database.path().into_os_string();
        path.push(format!("-{activity}.lock"));
        let store = self.database.store().to_owned();
        run_blocking(self.database.store(), OPERATION, move || {
            let file =
                File::create(&path).map_err(|error| StoreError::io(&store, OPERATION, error))?;
            match file.try_lock() {
                Ok(()) => Ok(Box::new(file) as Box<dyn Send + Sync>),
                Err(TryLockError::WouldBlock) => Err(StoreError::new(
                    &store,
                    OPERATION,
                    StoreErrorKind::Unavailable,
                    format!("another {activity} run is under way"),
                )
                .with_advice("wait until it has ended, then try again")),
                Err(TryLockError::Error(error)) => Err(StoreError::io(&store, OPERATION, error)),
            }
        })
        .await
    }

    async fn begin_load(
        &self,
        table: &TableDefinition,
        _mode: &LoadMode,
    ) -> StoreResult<Box<dyn Load>> {
        // Rows are staged whatever becomes of them: an insert from one table into another is cheap.
        let (database, definition) = (self.database.clone(), table.clone());
        let load = run_blocking(self.database.store(), "begin a load", move || {
            SqliteLoad::begin(database, definition)
        })
        .await?;
        Ok(Box::new(load))
    }

    fn table(&self, table: &TableDefinition) -> Arc<dyn TableProvider> {
        Arc::new(SqliteTable::new(self.database.clone(), table))
    }

    async fn latest_partition(&self, table: &TableDefinition) -> StoreResult<Option<i32>> {
        let table = table.clone();
        self.database
            .read("read the latest day", move |connection| changes::latest_day(connection, &table))
            .await
    }

    async fn difference(&self, table: &TableDefinition) -> StoreResult<Option<TableDifference>> {
        let table = table.clone();
        self.database
            .read("look at a table", move |connection| {
                let existing = existing_columns(connection, &table.name)?;
                Ok((!existing.is_empty()).then(|| table_difference(&table, &existing)))
            })
            .await
    }

    async fn estimate_rows(
        &self,
        table: &TableDefinition,
        days: Option<(i32, i32)>,
    ) -> StoreResult<Option<u64>> {
        let table = table.clone();
        self.database
            .read("count rows", move |connection| {
                if existing_columns(connection, &table.name)?.is_empty() {
                    return Ok(None);
                }
                let mut sql = format!("SELECT count(*) FROM main.{}", quote(&table.name));
                let row = match (&table.partition, days) {
                    (Some(partition), Some((first, last))) => {
                        let range = format!(" WHERE {} BETWEEN ?1 AND ?2", quote(partition));
                        sql.push_str(&range);
                        let days = [values::date_text(first), values::date_text(last)];
                        connection.query_row(&sql, days, |row| row.get(0))
                    }
                    _ => connection.query_row(&sql, [], |row| row.get(0)),
                };
                row.map(Some)
            })
            .await
    }

    async fn progress(&self) -> StoreResult<Vec<ModelProgress>> {
        self.database
            .read("read the models' progress", |connection| {
                connection
                    .prepare(
                        "SELECT model, ledger_sequence, definition_hash, updated_at \
                     FROM meta_models ORDER BY model",
                    )?
                    .query_map([], |row| {
                        Ok(ModelProgress {
                            model: row.get(0)?,
                            ledger_sequence: row.get(1)?,
                            definition_hash: row.get::<_, i64>(2)?.cast_unsigned(),
                            updated_at: row.get(3)?,
                        })
                    })?
                    .collect()
            })
            .await
    }

    async fn forget_models_except(&self, models: &[String]) -> StoreResult<()> {
        const OPERATION: &str = "forget removed models";
        let (database, models) = (self.database.clone(), models.to_vec());
        self.database
            .with_writer(OPERATION, move |connection| {
                forget_except(connection, &models).map_err(|error| database.error(OPERATION, error))
            })
            .await
    }

    async fn stale_marks(&self) -> StoreResult<Vec<StaleMark>> {
        self.database
            .read("read the stale days", |connection| {
                connection
                    .prepare(
                        "SELECT sequence, consumer, source, day, exact FROM meta_stale \
                         ORDER BY sequence",
                    )?
                    .query_map([], |row| {
                        let day: Option<String> = row.get(3)?;
                        Ok(StaleMark {
                            sequence: row.get(0)?,
                            consumer: row.get(1)?,
                            source: row.get(2)?,
                            day: day.and_then(|day| values::parse_date(day.as_bytes())),
                            exact: row.get(4)?,
                        })
                    })?
                    .collect()
            })
            .await
    }

    async fn record_runs(&self, runs: &[RunRecord]) -> StoreResult<()> {
        const OPERATION: &str = "record a run";
        let (database, runs) = (self.database.clone(), runs.to_vec());
        self.database
            .with_writer(OPERATION, move |connection| {
                insert_runs(connection, &runs).map_err(|error| database.error(OPERATION, error))
            })
            .await
    }

    async fn runs(&self, limit: usize) -> StoreResult<Vec<RunRecord>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read("read the history of runs", move |connection| {
                connection
                    .prepare(
                        "SELECT started_at, finished_at, model, state, mode, \"rows\", error \
                     FROM meta_runs ORDER BY run_id DESC LIMIT ?1",
                    )?
                    .query_map([limit], |row| {
                        Ok(RunRecord {
                            started_at: row.get(0)?,
                            finished_at: row.get(1)?,
                            model: row.get(2)?,
                            state: row.get(3)?,
                            mode: row.get(4)?,
                            rows: row.get(5)?,
                            error: row.get(6)?,
                        })
                    })?
                    .collect()
            })
            .await
    }

    async fn record_checks(&self, checks: &[CheckRecord], oldest: i64) -> StoreResult<()> {
        const OPERATION: &str = "record the checks of a run";
        let (database, checks) = (self.database.clone(), checks.to_vec());
        self.database
            .with_writer(OPERATION, move |connection| {
                history::insert_checks(connection, &checks, oldest)
                    .map_err(|error| database.error(OPERATION, error))
            })
            .await
    }

    async fn checks(&self, limit: usize) -> StoreResult<Vec<CheckRecord>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read("read the history of checks", move |connection| {
                history::checks(connection, limit)
            })
            .await
    }

    async fn latest_checks(&self) -> StoreResult<Vec<CheckRecord>> {
        self.database.read("read the latest checks", history::latest_checks).await
    }

    fn name(&self) -> String {
        self.database.store().to_owned()
    }
}

fn forget_except(connection: &mut Connection, models: &[String]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known: Vec<String> = {
        let mut query = transaction.prepare("SELECT model FROM meta_models")?;
        let names = query.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<_>>()?
    };
    for model in known.iter().filter(|model| !models.contains(model)) {
        transaction.execute("DELETE FROM meta_models WHERE model = ?1", [model])?;
        transaction.execute("DELETE FROM meta_stale WHERE consumer = ?1", [model])?;
    }
    transaction.commit()
}

fn insert_runs(connection: &mut Connection, runs: &[RunRecord]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO meta_runs (started_at, finished_at, model, state, mode, \"rows\", error) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for run in runs {
            insert.execute((
                run.started_at,
                run.finished_at,
                &run.model,
                &run.state,
                &run.mode,
                run.rows,
                &run.error,
            ))?;
        }
        transaction.execute(
            "DELETE FROM meta_runs WHERE run_id <= (SELECT max(run_id) FROM meta_runs) - ?1",
            [RUN_HISTORY],
        )?;
    }
    transaction.commit()
}

//! A load: rows staged in a temporary table of their own connection, published in one transaction.

use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};

use super::changes::{latest_day, mark_all, mark_stale, remember_old_rows};
use super::scan::read_query;
use super::statements::{
    append, create_partition_index, create_stage, create_stage_key, create_table,
    drop_partition_index, find_duplicate, insert_stage, preview, quote, upsert,
};
use super::tables::{existing_columns, has_same_columns, table_difference};
use super::values::{ValueError, date_text, execute_rows};
use crate::failpoint;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::sqlite::{SqliteDatabase, run_blocking};
use crate::stores::warehouse::difference::{comparable, kept_columns};
use crate::stores::warehouse::key::{
    DUPLICATE_ADVICE, NULL_ADVICE, describe_key, duplicate_key, null_in_key,
};
use crate::stores::warehouse::{
    Load, LoadMode, LoadOutcome, ModelProgress, Preview, PreviewSender, Publication,
    TableDefinition, TableDifference,
};

/// Pages of a staged table that are kept in memory, in KiB as SQLite counts them; without it, it keeps
/// hardly any.
const STAGE_CACHE_KIB: i32 = -16_384;

/// A load into one table.
pub(super) struct SqliteLoad {
    database: SqliteDatabase,
    table: Arc<TableDefinition>,
    /// Its temporary tables are seen by this connection alone, and end with it.
    connection: Arc<Mutex<Connection>>,
    rows_staged: u64,
    /// Whether all rows are staged, and their key is there.
    is_complete: bool,
}

/// Why a publication was not made.
enum PublishFailure {
    Sqlite(rusqlite::Error),
    Fenced(String),
    Injected(failpoint::InjectedFailure),
}

impl From<rusqlite::Error> for PublishFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<failpoint::InjectedFailure> for PublishFailure {
    fn from(failure: failpoint::InjectedFailure) -> Self {
        Self::Injected(failure)
    }
}

impl SqliteLoad {
    pub(super) fn begin(database: SqliteDatabase, table: TableDefinition) -> StoreResult<Self> {
        let connection = database.connect()?;
        let stage = || -> rusqlite::Result<()> {
            // Staged rows go to a file: they may be more than memory should hold.
            connection.pragma_update(None, "temp_store", "FILE")?;
            connection.pragma_update(Some("temp"), "cache_size", STAGE_CACHE_KIB)?;
            connection.execute_batch(&create_stage(&table))
        };
        stage().map_err(|error| database.error(&format!("stage {}", table.name), error))?;
        Ok(Self {
            database,
            table: Arc::new(table),
            connection: Arc::new(Mutex::new(connection)),
            rows_staged: 0,
            is_complete: false,
        })
    }
}

#[async_trait]
impl Load for SqliteLoad {
    async fn write(&mut self, rows: RecordBatch) -> StoreResult<()> {
        self.rows_staged += rows.num_rows() as u64;
        let (database, table) = (self.database.clone(), Arc::clone(&self.table));
        let connection = Arc::clone(&self.connection);
        run_blocking(self.database.store(), "stage rows", move || {
            let mut connection = connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let operation = format!("stage rows of {}", table.name);
            let transaction =
                connection.transaction().map_err(|error| database.error(&operation, error))?;
            let inserted = {
                let mut insert = transaction
                    .prepare_cached(&insert_stage(&table))
                    .map_err(|error| database.error(&operation, error))?;
                execute_rows(&mut insert, &rows)
            };
            inserted.map_err(|(row, error)| {
                stage_error(&database, &table, &operation, &rows, row, error)
            })?;
            transaction.commit().map_err(|error| database.error(&operation, error))
        })
        .await
    }

    async fn preview(&mut self, wanted: &Preview, rows: PreviewSender) -> StoreResult<()> {
        let (database, table) = (self.database.clone(), Arc::clone(&self.table));
        let (connection, wanted) = (Arc::clone(&self.connection), wanted.clone());
        let is_complete = std::mem::replace(&mut self.is_complete, true);
        run_blocking(self.database.store(), "read staged rows", move || {
            let connection = connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !is_complete {
                complete(&connection, &database, &table)?;
            }
            let sql = preview(&table, &wanted);
            let schema = wanted.schema(&table);
            let send = |batch| rows.blocking_send(Ok(batch)).is_ok();
            read_query(&connection, &sql, &[], &schema, send).map_err(|error| {
                let operation = format!("read the staged rows of {}", table.name);
                StoreError::new(database.store(), operation, StoreErrorKind::Internal, error)
            })
        })
        .await
    }

    async fn publish(self: Box<Self>, publication: Publication) -> StoreResult<LoadOutcome> {
        let (database, table) = (self.database.clone(), Arc::clone(&self.table));
        let (connection, rows_staged) = (Arc::clone(&self.connection), self.rows_staged);
        let is_complete = self.is_complete;
        run_blocking(self.database.store(), "publish a model", move || {
            let mut connection = connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !is_complete {
                complete(&connection, &database, &table)?;
            }
            let operation = format!("publish {}", table.name);
            let outcome = {
                let _turn = database.write_turn();
                publish(&mut connection, &table, &publication, rows_staged)
            };
            outcome.map_err(|failure| match failure {
                PublishFailure::Sqlite(error) => database.error(&operation, error),
                PublishFailure::Fenced(what) => {
                    StoreError::new(database.store(), operation, StoreErrorKind::Fenced, what)
                        .with_advice("nothing was written; let one run end before the next begins")
                }
                PublishFailure::Injected(failure) => StoreError::new(
                    database.store(),
                    operation,
                    StoreErrorKind::Unavailable,
                    failure,
                ),
            })
        })
        .await
    }
}

/// Says which row could not be staged, and why.
fn stage_error(
    database: &SqliteDatabase,
    table: &TableDefinition,
    operation: &str,
    rows: &RecordBatch,
    row: usize,
    error: ValueError,
) -> StoreError {
    let ValueError::Sqlite(error) = error else {
        return StoreError::new(database.store(), operation, StoreErrorKind::InvalidData, error)
            .with_advice("cast the column in the model's SQL to a type that fits");
    };
    if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
        return database.error(operation, error);
    }
    // The stage has no other constraint.
    let what = null_in_key(&describe_key(table, rows, row));
    StoreError::new(database.store(), operation, StoreErrorKind::InvalidData, what)
        .with_advice(NULL_ADVICE)
}

/// Gives the staged rows their key. Says which one is there twice, if any is.
fn complete(
    connection: &Connection,
    database: &SqliteDatabase,
    table: &TableDefinition,
) -> StoreResult<()> {
    let Some(create_key) = create_stage_key(table) else { return Ok(()) };
    let operation = format!("stage rows of {}", table.name);
    let error = match connection.execute_batch(&create_key) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let find = || connection.query_row(&find_duplicate(table), [], |row| row.get::<_, String>(0));
    let twice = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => find().optional(),
        _ => Ok(None),
    };
    match twice {
        Ok(Some(key)) => {
            let what = duplicate_key(&key);
            Err(StoreError::new(database.store(), operation, StoreErrorKind::InvalidData, what)
                .with_advice(DUPLICATE_ADVICE))
        }
        Ok(None) => Err(database.error(&operation, error)),
        Err(error) => Err(database.error(&operation, error)),
    }
}

fn publish(
    connection: &mut Connection,
    table: &TableDefinition,
    publication: &Publication,
    rows_staged: u64,
) -> Result<LoadOutcome, PublishFailure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    check_fence(&transaction, publication)?;
    let existing = existing_columns(&transaction, &table.name)?;
    let recreate = publication.mode == LoadMode::ReplaceAll && !has_same_columns(table, &existing);
    if let LoadMode::ReplacePartitions(days) = &publication.mode {
        transaction.execute_batch("CREATE TEMP TABLE replaced (day DATE PRIMARY KEY)")?;
        let mut insert = transaction.prepare("INSERT INTO temp.replaced VALUES (?1)")?;
        for day in days {
            insert.execute([date_text(*day)])?;
        }
    }
    // Before a first load there is nothing to compare with: all of what is downstream is stale.
    let stale_marks = if publication.expected.is_none() {
        if recreate {
            recreate_table(&transaction, table)?;
        }
        put_staged_rows(&transaction, table, &publication.mode)?;
        mark_all(&transaction, table, &publication.watches)?
    } else if recreate {
        let difference = table_difference(table, &existing);
        publish_recreated(&transaction, table, publication, &difference)?
    } else {
        let latest_before = latest_day(&transaction, table)?;
        remember_old_rows(&transaction, table, &publication.mode)?;
        put_staged_rows(&transaction, table, &publication.mode)?;
        mark_stale(&transaction, table, &publication.watches, latest_before)?
    };
    save_progress(&transaction, publication)?;
    failpoint::pass("etl.before_publish")?;
    transaction.commit()?;
    failpoint::pass("etl.after_publish")?;
    Ok(LoadOutcome { rows_staged, stale_marks })
}

fn recreate_table(transaction: &Transaction<'_>, table: &TableDefinition) -> rusqlite::Result<()> {
    transaction.execute_batch(&format!("DROP TABLE main.{}", quote(&table.name)))?;
    transaction.execute_batch(&create_table(table))?;
    match create_partition_index(table) {
        Some(index) => transaction.execute_batch(&index),
        None => Ok(()),
    }
}

/// Replaces a table by one with other columns. Consumers that read only what both have are told of
/// the days that changed; for the others there is nothing to compare with.
fn publish_recreated(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    publication: &Publication,
    difference: &TableDifference,
) -> rusqlite::Result<u64> {
    let kept = kept_columns(table, difference).unwrap_or_default();
    let (same, others) = comparable(&publication.watches, &kept);
    let old = TableDefinition {
        columns: table
            .columns
            .iter()
            .filter(|c| kept.contains(&c.name.as_str()))
            .cloned()
            .collect(),
        partition: table.partition.clone().filter(|day| kept.contains(&day.as_str())),
        ..table.clone()
    };
    let compares = !kept.is_empty() && !same.is_empty();
    let latest_before = if compares { latest_day(transaction, &old)? } else { None };
    if compares {
        remember_old_rows(transaction, &old, &publication.mode)?;
    }
    recreate_table(transaction, table)?;
    put_staged_rows(transaction, table, &publication.mode)?;
    let mut marks = mark_all(transaction, table, &others)?;
    if compares {
        marks += mark_stale(transaction, table, &same, latest_before)?;
    }
    Ok(marks)
}

fn check_fence(
    transaction: &Transaction<'_>,
    publication: &Publication,
) -> Result<(), PublishFailure> {
    let model = &publication.progress.model;
    let current: Option<i64> = transaction
        .query_row("SELECT ledger_sequence FROM meta_models WHERE model = ?1", [model], |row| {
            row.get(0)
        })
        .optional()?;
    if current == publication.expected {
        return Ok(());
    }
    Err(PublishFailure::Fenced(format!(
        "another run has loaded {model} since this one began (its progress is {current:?}, \
         expected {:?})",
        publication.expected
    )))
}

fn put_staged_rows(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    mode: &LoadMode,
) -> rusqlite::Result<()> {
    let name = quote(&table.name);
    match mode {
        LoadMode::Append => transaction.execute_batch(&append(table)),
        LoadMode::Upsert => transaction.execute_batch(&upsert(table)),
        LoadMode::ReplaceAll => {
            // An index is made in half the time when all rows are there.
            if let Some(drop_index) = drop_partition_index(table) {
                transaction.execute_batch(&drop_index)?;
            }
            transaction.execute_batch(&format!("DELETE FROM main.{name}"))?;
            transaction.execute_batch(&append(table))?;
            match create_partition_index(table) {
                Some(create_index) => transaction.execute_batch(&create_index),
                None => Ok(()),
            }
        }
        LoadMode::ReplacePartitions(_) => {
            if let Some(partition) = &table.partition {
                transaction.execute_batch(&format!(
                    "DELETE FROM main.{name} WHERE {} IN (SELECT day FROM temp.replaced)",
                    quote(partition)
                ))?;
            }
            transaction.execute_batch(&append(table))
        }
    }
}

fn save_progress(transaction: &Transaction<'_>, publication: &Publication) -> rusqlite::Result<()> {
    let ModelProgress { model, ledger_sequence, definition_hash, updated_at } =
        &publication.progress;
    transaction.execute(
        "INSERT INTO meta_models (model, ledger_sequence, definition_hash, updated_at) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (model) DO UPDATE SET \
         ledger_sequence = excluded.ledger_sequence, definition_hash = excluded.definition_hash, \
         updated_at = excluded.updated_at",
        (model, ledger_sequence, definition_hash.cast_signed(), updated_at),
    )?;
    transaction.execute(
        "DELETE FROM meta_stale WHERE consumer = ?1 AND sequence <= ?2",
        (model, publication.mended_through),
    )?;
    Ok(())
}

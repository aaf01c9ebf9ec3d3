//! The warehouse: the star schema, and how far each model has got.
//!
//! Delivery semantics: a model's rows are staged where nobody sees them, and published in one
//! transaction together with the model's progress, the days that the change makes stale for the
//! models downstream, and the removal of the stale days that the load itself has mended. A crash
//! before the publication leaves nothing behind; after it, nothing is repeated.

mod difference;
pub(crate) mod key;
pub mod postgres;
pub mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use tokio::sync::mpsc::Sender;

use super::error::StoreResult;
pub use difference::{ColumnDifference, TableDifference};

/// Entries kept in the history of checks.
const CHECK_HISTORY: i64 = 20_000;

/// How a column of an existing row takes the value of a new row with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Combine {
    /// The new value (the default).
    Replace,
    /// The old value.
    Keep,
    /// Their sum; NULL counts as nothing.
    Sum,
    /// The smaller one that is not NULL.
    Min,
    /// The larger one that is not NULL.
    Max,
    /// The value of the row in which the named column is smaller; equal: the smaller value.
    First(String),
    /// The value of the row in which the named column is larger; equal: the larger value.
    Last(String),
}

/// One column of a warehouse table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Name.
    pub name: String,
    /// Type; one of those that [`storable`] accepts.
    pub data_type: DataType,
    /// How an upsert combines it; `Replace` elsewhere.
    pub combine: Combine,
    /// What it means.
    pub comment: Option<String>,
}

/// One table of the star schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Name, the model's.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<TableColumn>,
    /// Columns that identify a row; empty if rows are only ever appended or replaced.
    pub key: Vec<String>,
    /// The DATE column by which rows are replaced or backfilled.
    pub partition: Option<String>,
    /// What the table holds.
    pub comment: Option<String>,
}

impl TableDefinition {
    /// The table's schema, every column nullable but the key.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| {
                let nullable = !self.key.contains(&column.name);
                Field::new(&column.name, column.data_type.clone(), nullable)
            })
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// The names of all columns, in order.
    pub fn column_names(&self) -> Arc<[String]> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The type under which the warehouse keeps values of `data_type`, or `None` if it cannot.
pub fn storable(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Boolean => Some(DataType::Boolean),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => Some(DataType::Int64),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(DataType::Float64),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::Dictionary(_, values) => storable(values),
        DataType::Date32 | DataType::Date64 => Some(DataType::Date32),
        DataType::Timestamp(..) => Some(crate::project::contract::timestamp_type()),
        _ => None,
    }
}

/// How staged rows become part of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadMode {
    /// They are added.
    Append,
    /// They are merged by the table's key.
    Upsert,
    /// They replace the rows of these partitions (days since 1970).
    ReplacePartitions(BTreeSet<i32>),
    /// They replace all rows; the table is made anew if its columns have changed.
    ReplaceAll,
}

/// A model downstream, and what of this table's changes makes it stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The model downstream.
    pub consumer: String,
    /// The columns that it reads: changes elsewhere do not matter to it.
    pub used_columns: Vec<String>,
    /// DATE columns of this table whose old and new values name its stale days; empty if a change
    /// makes all of it stale.
    pub date_columns: Vec<String>,
    /// Whether a change of a day touches the consumer's partition of that very day only.
    pub exact: bool,
}

/// The watches of each consumer, which may read a table in several ways.
fn watches_by_consumer(watches: &[Watch]) -> BTreeMap<&str, Vec<&Watch>> {
    let mut consumers: BTreeMap<&str, Vec<&Watch>> = BTreeMap::new();
    for watch in watches {
        consumers.entry(&watch.consumer).or_default().push(watch);
    }
    consumers
}

/// A mark that a model is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleMark {
    /// Number of the mark.
    pub sequence: i64,
    /// The model that is stale.
    pub consumer: String,
    /// The table that changed.
    pub source: String,
    /// The day that changed (days since 1970), or `None` if all of the model is stale.
    pub day: Option<i32>,
    /// Whether the change touches the partition of that very day only, not those that are made of
    /// several days.
    pub exact: bool,
}

/// How far a model has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelProgress {
    /// The model.
    pub model: String,
    /// Commit of the ledger up to which it has read its events.
    pub ledger_sequence: i64,
    /// Hash of the SQL and header that its table was built with.
    pub definition_hash: u64,
    /// Time of its latest publication (milliseconds since 1970, UTC).
    pub updated_at: i64,
}

/// What a load publishes besides its rows.
#[derive(Debug, Clone)]
pub struct Publication {
    /// How the staged rows become part of the table.
    pub mode: LoadMode,
    /// The progress that the model had when its load began, `None` if it was never loaded: the
    /// fence against a second run.
    pub expected: Option<i64>,
    /// The progress after it.
    pub progress: ModelProgress,
    /// Stale marks of this model up to this number are removed.
    pub mended_through: i64,
    /// The models downstream.
    pub watches: Vec<Watch>,
}

/// What a load did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Rows staged.
    pub rows_staged: u64,
    /// Days marked stale for the models downstream.
    pub stale_marks: u64,
}

/// What is to be seen of a table as it will be once a load is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// How the staged rows will become part of the table.
    pub mode: LoadMode,
    /// The columns, at least one.
    pub columns: Vec<String>,
    /// Partitions (days since 1970) of which the rows are seen that the load leaves as they are; none
    /// where the table has no partition.
    pub days: BTreeSet<i32>,
}

impl Preview {
    /// The schema of the rows. Every column is nullable.
    pub fn schema(&self, table: &TableDefinition) -> SchemaRef {
        let columns = self.columns.iter().filter_map(|name| table.column(name));
        let fields: Vec<Field> = columns
            .map(|column| Field::new(&column.name, column.data_type.clone(), true))
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// Takes the rows of a preview.
pub type PreviewSender = Sender<Result<RecordBatch>>;

/// One load under way. Dropping it discards what was staged.
#[async_trait]
pub trait Load: Send {
    /// Stages rows, whose columns are the table's in its order and types. A row that cannot be kept
    /// is an error here or when the load is published.
    async fn write(&mut self, rows: RecordBatch) -> StoreResult<()>;

    /// Sends the rows that the load writes as they will be once it is published (merged with those
    /// that are there), and those of the wanted partitions that it leaves as they are. Nobody else
    /// sees a change, and nobody is kept waiting. No rows can be staged after it.
    async fn preview(&mut self, preview: &Preview, rows: PreviewSender) -> StoreResult<()>;

    /// Publishes everything staged, in one transaction.
    async fn publish(self: Box<Self>, publication: Publication) -> StoreResult<LoadOutcome>;
}

/// A run of the pipeline, for the history.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// When it began (milliseconds since 1970, UTC).
    pub started_at: i64,
    /// When it ended.
    pub finished_at: i64,
    /// The model.
    pub model: String,
    /// `loaded`, `up to date`, `failed` or `skipped`.
    pub state: String,
    /// How it was loaded, such as `upsert` or `3 days replaced`.
    pub mode: String,
    /// Rows staged.
    pub rows: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a check ended, for the history.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRecord {
    /// When the run began that it is a part of (milliseconds since 1970, UTC).
    pub run: i64,
    /// When the check ended.
    pub finished_at: i64,
    /// Name of the check.
    pub name: String,
    /// The model whose rows it is about, if it is about one.
    pub model: Option<String>,
    /// `error` or `warn`.
    pub severity: String,
    /// `passed`, `failed`, `broken` or `skipped`.
    pub status: String,
    /// Rows that are wrong.
    pub rows: u64,
    /// The first of them, one per line.
    pub sample: Option<String>,
    /// Why it is broken or was skipped.
    pub detail: Option<String>,
    /// What is wrong with such rows.
    pub description: Option<String>,
    /// Where it is written, such as `sql/checks/orphans.sql`.
    pub file: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The warehouse. Every method ends within the store's time-outs.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Creates missing tables and adds missing nullable columns. Tables in `rebuilt` are about to
    /// be replaced as a whole, so that their columns may differ. Returns what was changed, in
    /// words; anything else that differs is an error that names the way out.
    async fn prepare(
        &self,
        tables: &[TableDefinition],
        rebuilt: &BTreeSet<String>,
    ) -> StoreResult<Vec<String>>;

    /// Keeps every other run of `activity`, such as `pipeline`, out until the returned guard is
    /// dropped; an error if one is under way.
    async fn lock(&self, activity: &'static str) -> StoreResult<Box<dyn Send + Sync>>;

    /// Begins to load a table. `mode` is the one with which the load will be published.
    async fn begin_load(
        &self,
        table: &TableDefinition,
        mode: &LoadMode,
    ) -> StoreResult<Box<dyn Load>>;

    /// The table for SQL, with filters and projections pushed down.
    fn table(&self, table: &TableDefinition) -> Arc<dyn TableProvider>;

    /// The latest day of the table's partition column; `None` if it has none, or no rows.
    async fn latest_partition(&self, table: &TableDefinition) -> StoreResult<Option<i32>>;
    /// How the table differs from what its model wants; `None` if there is no such table.
    async fn difference(&self, table: &TableDefinition) -> StoreResult<Option<TableDifference>>;

    /// About how many rows the table has, of partitions between two days (days since 1970, both
    /// included) if given; `None` if there is no such table. Cheap rather than exact.
    async fn estimate_rows(
        &self,
        table: &TableDefinition,
        days: Option<(i32, i32)>,
    ) -> StoreResult<Option<u64>>;

    /// The progress of every model.
    async fn progress(&self) -> StoreResult<Vec<ModelProgress>>;

    /// Forgets models that the project no longer has, so that they are built anew if they return.
    async fn forget_models_except(&self, models: &[String]) -> StoreResult<()>;

    /// All stale marks.
    async fn stale_marks(&self) -> StoreResult<Vec<StaleMark>>;

    /// Appends to the history of runs, and drops what is beyond the last thousand.
    async fn record_runs(&self, runs: &[RunRecord]) -> StoreResult<()>;

    /// The latest entries of the history, newest first.
    async fn runs(&self, limit: usize) -> StoreResult<Vec<RunRecord>>;

    /// Appends to the history of checks, and drops what ended before `oldest` (milliseconds since 1970,
    /// UTC) or is beyond the last twenty thousand, but for the latest entry of each check.
    async fn record_checks(&self, checks: &[CheckRecord], oldest: i64) -> StoreResult<()>;

    /// The latest entries of the history of checks, newest first.
    async fn checks(&self, limit: usize) -> StoreResult<Vec<CheckRecord>>;

    /// The latest entry of each check that was not skipped, by model and name.
    async fn latest_checks(&self) -> StoreResult<Vec<CheckRecord>>;

    /// How messages name this store.
    fn name(&self) -> String;
}

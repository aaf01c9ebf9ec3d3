//! Proves that the warehouse equals the truth of a simulation, cell by cell.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::SecondsFormat;
use datafusion::common::DataFusionError;
use futures::future::BoxFuture;
use questlake_engine::pipeline::{Engine, PipelineError};
use questlake_engine::query::collect;

use crate::simulate::{Truth, TruthKind, TruthTable, TruthValue};

/// Largest relative difference of shares and other fractions.
const TOLERANCE: f64 = 1e-9;

/// Differences that are told of each table.
const MAX_TOLD: usize = 10;

/// One cell that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The row, such as `date = 2026-01-01, platform = all`.
    pub row: String,
    /// The column, or `row` if the whole row is missing or too much.
    pub column: String,
    /// What the truth says.
    pub expected: String,
    /// What the warehouse says.
    pub found: String,
}

/// How one table compares.
#[derive(Debug, Clone, Default)]
pub struct TableReport {
    /// The table.
    pub table: String,
    /// Rows of the truth.
    pub rows: u64,
    /// Cells compared.
    pub cells: u64,
    /// Cells that differ.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// How everything compares.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Each table of the truth, then events by type and day, then the accounting.
    pub tables: Vec<TableReport>,
}

impl VerifyReport {
    /// Whether nothing differs.
    pub fn holds(&self) -> bool {
        self.tables.iter().all(|table| table.differing == 0)
    }

    /// Cells compared in all.
    pub fn cells(&self) -> u64 {
        self.tables.iter().map(|table| table.cells).sum()
    }
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The stores could not be read.
    #[error(transparent)]
    Engine(#[from] PipelineError),
    /// A table could not be read.
    #[error("could not read star.{table}: {source}; did `questlake etl run` load it?")]
    Table {
        /// The table.
        table: String,
        /// The cause.
        source: Box<DataFusionError>,
    },
    /// The events could not be read.
    #[error("could not count the events: {0}")]
    Events(Box<DataFusionError>),
}

/// Compares the warehouse and the ledger with the truth.
pub fn verify<'a>(
    engine: &'a Engine,
    truth: &'a Truth,
) -> BoxFuture<'a, Result<VerifyReport, VerifyError>> {
    Box::pin(async move {
        let session = engine.session().await?;
        let mut report = VerifyReport::default();
        for (name, table) in &truth.tables {
            let columns: Vec<String> =
                table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
            let sql = format!("SELECT {} FROM star.\"{name}\"", columns.join(", "));
            let rows = collect(&session, &sql).await.map_err(|source| VerifyError::Table {
                table: name.clone(),
                source: source.into(),
            })?;
            report.tables.push(compare_table(name, table, &rows));
        }
        report.tables.push(compare_events(engine, truth).await?);
        report.tables.push(compare_accounting(engine, truth).await?);
        Ok(report)
    })
}

/// A found cell, as it is compared.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

fn compare_table(name: &str, truth: &TruthTable, batches: &[RecordBatch]) -> TableReport {
    let mut report = TableReport { table: name.to_owned(), ..TableReport::default() };
    let key: Vec<usize> = truth
        .key
        .iter()
        .filter_map(|key| truth.columns.iter().position(|column| column.name == *key))
        .collect();
    let mut found: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<Cell> = batch.columns().iter().map(|column| cell(column, row)).collect();
            let label = describe(truth, &key, |index| show(&cells[index]));
            if found.insert(label.clone(), cells).is_some() {
                report.differ(label, "row", "one row".to_owned(), "two rows".to_owned());
            }
        }
    }
    for expected in &truth.rows {
        report.rows += 1;
        let label = describe(truth, &key, |index| show_truth(&expected[index]));
        let Some(cells) = found.remove(&label) else {
            report.cells += expected.len() as u64;
            report.differ(label, "row", "a row".to_owned(), "no row".to_owned());
            continue;
        };
        for (index, value) in expected.iter().enumerate() {
            report.cells += 1;
            if !same(truth.columns[index].kind, value, &cells[index]) {
                let column = &truth.columns[index].name;
                report.differ(label.clone(), column, show_truth(value), show(&cells[index]));
            }
        }
    }
    for label in found.into_keys() {
        report.differ(label, "row", "no row".to_owned(), "a row".to_owned());
    }
    report
}

impl TableReport {
    fn differ(&mut self, row: String, column: &str, expected: String, found: String) {
        self.differing += 1;
        if self.differences.len() < MAX_TOLD {
            self.differences.push(Difference { row, column: column.to_owned(), expected, found });
        }
    }
}

fn describe(truth: &TruthTable, key: &[usize], value: impl Fn(usize) -> String) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|&index| format!("{} = {}", truth.columns[index].name, value(index)))
        .collect();
    parts.join(", ")
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        DataType::Timestamp(..) => Cell::Text(point_in_time(column, row).unwrap_or_default()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Number(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => {
            Cell::Text(column.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::Date32 => {
            let day = column.as_primitive::<Date32Type>().value_as_date(row);
            Cell::Text(day.map(|day| day.to_string()).unwrap_or_default())
        }
        _ => {
            let options = FormatOptions::new();
            let text = ArrayFormatter::try_new(column, &options)
                .map(|formatter| formatter.value(row).to_string());
            Cell::Text(text.unwrap_or_default())
        }
    }
}

/// A point in time as `YYYY-MM-DDThh:mm:ssZ`, with a fraction of a second only if there is one.
fn point_in_time(column: &ArrayRef, row: usize) -> Option<String> {
    let unit = DataType::Timestamp(TimeUnit::Microsecond, None);
    let micros = cast(&column.slice(row, 1), &unit).ok()?;
    let time = micros.as_primitive::<TimestampMicrosecondType>().value_as_datetime(0)?;
    Some(time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn same(kind: TruthKind, expected: &TruthValue, found: &Cell) -> bool {
    match (expected, found) {
        (TruthValue::Null, Cell::Null) => true,
        (TruthValue::Boolean(expected), Cell::Boolean(found)) => expected == found,
        (TruthValue::Integer(expected), Cell::Integer(found)) => expected == found,
        (TruthValue::Text(expected), Cell::Text(found)) => {
            **expected == **found || (kind == TruthKind::Decimal && same_decimal(expected, found))
        }
        (TruthValue::Number(expected), Cell::Number(found)) => close(*expected, *found),
        (TruthValue::Integer(expected), Cell::Number(found)) => close(*expected as f64, *found),
        _ => false,
    }
}

/// Equal but for trailing zeros.
fn same_decimal(left: &str, right: &str) -> bool {
    fn trimmed(text: &str) -> &str {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
    }
    trimmed(left) == trimmed(right)
}

fn close(expected: f64, found: f64) -> bool {
    let scale = expected.abs().max(found.abs()).max(f64::MIN_POSITIVE);
    (expected - found).abs() <= TOLERANCE * scale
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Number(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
    }
}

fn show_truth(value: &TruthValue) -> String {
    match value {
        TruthValue::Null => "NULL".to_owned(),
        TruthValue::Boolean(value) => value.to_string(),
        TruthValue::Integer(value) => value.to_string(),
        TruthValue::Number(value) => value.to_string(),
        TruthValue::Text(text) => text.to_string(),
    }
}

/// Rows of `events.*` by event type and day.
async fn compare_events(engine: &Engine, truth: &Truth) -> Result<TableReport, VerifyError> {
    let mut report =
        TableReport { table: "events by type and day".to_owned(), ..TableReport::default() };
    // By SQL over the archive and landing, as anybody would ask.
    let session = engine.session().await?;
    let sql = "SELECT event_type, event_date, count(*) FROM events.envelope \
               GROUP BY event_type, event_date";
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for batch in
        collect(&session, sql).await.map_err(|source| VerifyError::Events(Box::new(source)))?
    {
        let types = batch.column(0).as_string::<i32>();
        let days = batch.column(1).as_primitive::<Date32Type>();
        let counts = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let date = days.value_as_date(row).map(|date| date.to_string()).unwrap_or_default();
            let label = format!("{}, {date}", types.value(row));
            found.insert(label, counts.value(row).unsigned_abs());
        }
    }
    for expected in &truth.events {
        report.rows += 1;
        report.cells += 1;
        let label = format!("{}, {}", expected.event_type, expected.event_date);
        let rows = found.remove(&label).unwrap_or(0);
        if rows != expected.rows {
            report.differ(label, "rows", expected.rows.to_string(), rows.to_string());
        }
    }
    for (label, rows) in found {
        report.differ(label, "rows", "0".to_owned(), rows.to_string());
    }
    Ok(report)
}

async fn compare_accounting(engine: &Engine, truth: &Truth) -> Result<TableReport, VerifyError> {
    let mut report = TableReport { table: "accounting".to_owned(), ..TableReport::default() };
    let status = engine.status().await?;
    let found = &status.accounting;
    report.rows = 1;
    for (column, expected, found) in [
        ("consumed", truth.accounting.lines, found.consumed),
        ("landed", truth.accounting.landed, found.landed),
        ("duplicates", truth.accounting.duplicates, found.duplicates),
        ("quarantined", truth.accounting.quarantined, found.quarantined),
    ] {
        report.cells += 1;
        if expected != found {
            report.differ("totals".to_owned(), column, expected.to_string(), found.to_string());
        }
    }
    for mismatch in &found.mismatches {
        let balanced = "a balanced ledger".to_owned();
        report.differ("totals".to_owned(), "balance", balanced, mismatch.clone());
    }
    Ok(report)
}

#[cfg(test)]
mod tests;

//! Which days a load makes stale for the models downstream.
//!
//! The rules are those of the embedded warehouse: a row counts as changed for a consumer only if a
//! column that the consumer reads differs, and the stale days are the old and the new values of its
//! DATE columns in those rows. When the latest day of the partition column advances, the former
//! latest day and the days between are stale too. Of rows that came straight into the table there
//! are no old ones: their days are gathered while they come.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type};
use tokio_postgres::Client;

use super::statements::{OLD, STAGE, all_columns, key_equality, star, touched_rows};
use crate::stores::postgres::values::Parameters;
use crate::stores::postgres::{Failure, quote};
use crate::stores::warehouse::{LoadMode, TableDefinition, Watch, watches_by_consumer};

/// Longest run of empty days that is marked one by one when the latest day advances.
const MAX_GAP_DAYS: i32 = 4000;

/// The values of each DATE column in rows that came.
#[derive(Debug, Default)]
pub(super) struct DaysSeen {
    by_column: BTreeMap<String, BTreeSet<i32>>,
}

impl DaysSeen {
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            if *field.data_type() != DataType::Date32 {
                continue;
            }
            let days = self.by_column.entry(field.name().clone()).or_default();
            // Rows of a day tend to come one after the other.
            let mut last = None;
            for day in column.as_primitive::<Date32Type>().iter().flatten() {
                if last != Some(day) {
                    days.insert(day);
                    last = Some(day);
                }
            }
        }
    }

    /// The days in this column.
    pub(super) fn of(&self, column: &str) -> Vec<i32> {
        self.by_column.get(column).map(|days| days.iter().copied().collect()).unwrap_or_default()
    }
}

/// Keeps the rows that the load will change or remove, as they were.
pub(super) async fn remember_old_rows(
    client: &Client,
    table: &TableDefinition,
    mode: &LoadMode,
) -> Result<(), Failure> {
    let columns = all_columns(table, "t.");
    let rows = touched_rows(table, mode);
    let sql = format!(
        "CREATE TEMPORARY TABLE old ON COMMIT DROP AS SELECT {columns} FROM {rows}; ANALYZE {OLD}"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// The latest value of the partition column.
pub(super) async fn latest_day(
    client: &Client,
    table: &TableDefinition,
) -> Result<Option<i32>, Failure> {
    let Some(partition) = &table.partition else { return Ok(None) };
    let sql =
        format!("SELECT max({}) - DATE '1970-01-01' FROM {}", quote(partition), star(&table.name));
    Ok(client.query_one(&sql, &[]).await?.try_get(0)?)
}

/// Marks what the staged rows have made stale. Returns the number of marks.
pub(super) async fn mark_stale(
    client: &Client,
    table: &TableDefinition,
    watches: &[Watch],
    latest_before: Option<i32>,
) -> Result<u64, Failure> {
    let latest_after = latest_day(client, table).await?;
    let mut marks = 0;
    for (consumer, watches) in watches_by_consumer(watches) {
        // A consumer that watches the table in several ways is told of a day once.
        let changed: Vec<String> = watches.iter().flat_map(|watch| changes(table, watch)).collect();
        let sql = format!(
            "INSERT INTO questlake.stale (consumer, source, day, exact) \
             SELECT DISTINCT $1::text, $2::text, day, exact FROM ({}) AS changed",
            changed.join(" UNION ALL ")
        );
        let parameters: &Parameters<'_> = &[&consumer, &table.name];
        marks += client.execute(&sql, parameters).await?;
        if let Some(watch) = advancing(table, &watches) {
            marks += mark_advance(client, table, watch, latest_before, latest_after).await?;
        }
    }
    Ok(marks)
}

/// Queries for the days that changed rows make stale for a watch, and whether each is exact. A watch
/// without DATE columns cannot tell days: all is stale if anything has changed.
fn changes(table: &TableDefinition, watch: &Watch) -> Vec<String> {
    if watch.date_columns.is_empty() {
        let changed = changed_values(table, watch, None);
        return vec![format!("SELECT NULL::date AS day, false AS exact WHERE EXISTS ({changed})")];
    }
    let days = |column: &String| {
        let changed = changed_values(table, watch, Some(column));
        format!(
            "SELECT day, {} AS exact FROM ({changed}) AS changed WHERE day IS NOT NULL",
            watch.exact
        )
    };
    watch.date_columns.iter().map(days).collect()
}

/// Marks what rows that were only added have made stale. Returns the number of marks.
pub(super) async fn mark_added(
    client: &Client,
    table: &TableDefinition,
    watches: &[Watch],
    days: &DaysSeen,
    rows: u64,
    latest_before: Option<i32>,
) -> Result<u64, Failure> {
    if rows == 0 {
        return Ok(0);
    }
    let latest_after = latest_day(client, table).await?;
    let mut marks = 0;
    for watches in watches_by_consumer(watches).into_values() {
        if let Some(watch) = watches.iter().find(|watch| watch.date_columns.is_empty()) {
            marks += mark_all(client, table, std::slice::from_ref(*watch)).await?;
            continue;
        }
        for exact in [false, true] {
            let alike = || watches.iter().filter(|watch| watch.exact == exact);
            let Some(watch) = alike().next() else { continue };
            let columns = alike().flat_map(|watch| &watch.date_columns);
            let seen: BTreeSet<i32> = columns.flat_map(|column| days.of(column)).collect();
            let seen: Vec<i32> = seen.into_iter().collect();
            marks += mark_days(client, table, watch, &seen).await?;
        }
        if let Some(watch) = advancing(table, &watches) {
            marks += mark_advance(client, table, watch, latest_before, latest_after).await?;
        }
    }
    Ok(marks)
}

/// The watch of a consumer to which it matters that the latest day advances. What is not exact takes
/// in what is.
fn advancing<'a>(table: &TableDefinition, watches: &[&'a Watch]) -> Option<&'a Watch> {
    let partition = table.partition.as_ref()?;
    let advancing = watches.iter().filter(|watch| watch.date_columns.contains(partition));
    advancing.min_by_key(|watch| watch.exact).copied()
}

/// Marks all of every consumer stale. Returns the number of marks.
pub(super) async fn mark_all(
    client: &Client,
    table: &TableDefinition,
    watches: &[Watch],
) -> Result<u64, Failure> {
    let consumers: Vec<&str> = watches_by_consumer(watches).into_keys().collect();
    let parameters: &Parameters<'_> = &[&consumers, &table.name];
    let marks = client
        .execute(
            "INSERT INTO questlake.stale (consumer, source, day, exact) \
             SELECT consumer, $2::text, NULL::date, false FROM unnest($1::text[]) AS consumer",
            parameters,
        )
        .await?;
    Ok(marks)
}

async fn mark_days(
    client: &Client,
    table: &TableDefinition,
    watch: &Watch,
    days: &[i32],
) -> Result<u64, Failure> {
    let parameters: &Parameters<'_> = &[&watch.consumer, &table.name, &watch.exact, &days];
    let marks = client
        .execute(
            "INSERT INTO questlake.stale (consumer, source, day, exact) \
             SELECT $1::text, $2::text, DATE '1970-01-01' + day, $3::boolean \
             FROM unnest($4::integer[]) AS day",
            parameters,
        )
        .await?;
    Ok(marks)
}

async fn mark_advance(
    client: &Client,
    table: &TableDefinition,
    watch: &Watch,
    before: Option<i32>,
    after: Option<i32>,
) -> Result<u64, Failure> {
    let (Some(before), Some(after)) = (before, after) else { return Ok(0) };
    if after <= before {
        return Ok(0);
    }
    if after - before > MAX_GAP_DAYS {
        return mark_all(client, table, std::slice::from_ref(watch)).await;
    }
    let days: Vec<i32> = (before..after).collect();
    mark_days(client, table, watch, &days).await
}

/// A query for the old and new values of `column` (NULL without one) in changed rows.
fn changed_values(table: &TableDefinition, watch: &Watch, column: Option<&str>) -> String {
    let value = |row: &str| match column {
        Some(column) => format!("{row}.{} AS day", quote(column)),
        None => "NULL::date AS day".to_owned(),
    };
    if table.key.is_empty() {
        // Without a key rows cannot be paired: all that went and all that came has changed.
        return format!(
            "SELECT {} FROM {OLD} o UNION ALL SELECT {} FROM {STAGE} s",
            value("o"),
            value("s")
        );
    }
    let differs: Vec<String> = watch
        .used_columns
        .iter()
        .filter(|used| !table.key.contains(used))
        .map(|used| format!("o.{0} IS DISTINCT FROM t.{0}", quote(used)))
        .collect();
    let differs = if differs.is_empty() { "false".to_owned() } else { differs.join(" OR ") };
    let star = star(&table.name);
    let pair = key_equality(table, "o", "t");
    let staged = key_equality(table, "s", "t");
    let first_key = table.key.first().map(|key| quote(key)).unwrap_or_default();
    format!(
        "SELECT {old} FROM {OLD} o JOIN {star} t ON {pair} WHERE {differs} \
         UNION ALL SELECT {new} FROM {OLD} o JOIN {star} t ON {pair} WHERE {differs} \
         UNION ALL SELECT {old} FROM {OLD} o LEFT JOIN {star} t ON {pair} \
                   WHERE t.{first_key} IS NULL \
         UNION ALL SELECT {new} FROM {STAGE} s JOIN {star} t ON {staged} \
                   LEFT JOIN {OLD} o ON {pair} WHERE o.{first_key} IS NULL",
        old = value("o"),
        new = value("t"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array};

    use super::*;

    #[test]
    fn days_are_gathered_by_column() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(3), Some(3), None, Some(1)]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let rows = RecordBatch::try_from_iter([("day", days), ("number", numbers)]).unwrap();
        let mut seen = DaysSeen::default();
        seen.add(&rows);
        assert_eq!(seen.of("day"), [1, 3]);
        assert_eq!(seen.of("number"), Vec::<i32>::new());
    }
}

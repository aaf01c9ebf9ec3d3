//! Which days a load makes stale for the models downstream.
//!
//! A row counts as changed for a consumer only if a column that the consumer reads differs. A
//! consumer that reads the table in several ways watches it in each of them on its own. The stale
//! days are the old and the new values of its DATE columns in those rows, so that a row that
//! moves from one day to another makes both stale. When the latest day of the partition column
//! advances, the former latest day (it is over now) and the days between (on which nothing
//! happened) are stale too.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::statements::{all_columns, key_equality, quote};
use super::values::{date_text, parse_date};
use crate::stores::warehouse::{LoadMode, TableDefinition, Watch, watches_by_consumer};

/// Longest run of empty days that is marked one by one when the latest day advances.
const MAX_GAP_DAYS: i32 = 4000;

/// Keeps the rows that the load will change or remove, as they were: `temp.old`.
pub(super) fn remember_old_rows(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    mode: &LoadMode,
) -> rusqlite::Result<()> {
    let columns = all_columns(table, "t.");
    let name = quote(&table.name);
    let rows = match mode {
        LoadMode::Append => format!("main.{name} t WHERE false"),
        // CROSS JOIN keeps the order: a staged row is looked up in the table, which may be large.
        LoadMode::Upsert => {
            let pair = key_equality(table, "t", "s");
            format!("temp.stage s CROSS JOIN main.{name} t ON {pair}")
        }
        LoadMode::ReplacePartitions(_) if table.partition.is_some() => {
            let partition = quote(table.partition.as_deref().unwrap_or_default());
            format!("main.{name} t WHERE t.{partition} IN (SELECT day FROM temp.replaced)")
        }
        LoadMode::ReplaceAll | LoadMode::ReplacePartitions(_) => format!("main.{name} t"),
    };
    transaction.execute_batch(&format!("CREATE TEMP TABLE old AS SELECT {columns} FROM {rows}"))
}

/// The latest value of the partition column.
pub(super) fn latest_day(
    connection: &Connection,
    table: &TableDefinition,
) -> rusqlite::Result<Option<i32>> {
    let Some(partition) = &table.partition else { return Ok(None) };
    let text: Option<String> = connection
        .query_row(
            &format!("SELECT max({}) FROM main.{}", quote(partition), quote(&table.name)),
            [],
            |row| row.get(0),
        )
        .optional()?
        .flatten();
    Ok(text.and_then(|text| parse_date(text.as_bytes())))
}

/// Marks what the published rows make stale. Returns the number of marks.
pub(super) fn mark_stale(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    watches: &[Watch],
    latest_before: Option<i32>,
) -> rusqlite::Result<u64> {
    let latest_after = latest_day(transaction, table)?;
    let mut marks = 0;
    for (consumer, watches) in watches_by_consumer(watches) {
        // A consumer that watches the table in several ways is told of a day once.
        let changed: Vec<String> = watches.iter().flat_map(|watch| changes(table, watch)).collect();
        marks += transaction.execute(
            &format!(
                "INSERT INTO meta_stale (consumer, source, day, exact) \
                 SELECT DISTINCT ?1, ?2, day, exact FROM ({})",
                changed.join(" UNION ALL ")
            ),
            (consumer, &table.name),
        )? as u64;
        let advancing = |watch: &&&Watch| {
            table.partition.as_ref().is_some_and(|day| watch.date_columns.contains(day))
        };
        // What is not exact takes in what is.
        let watch = watches.iter().filter(advancing).min_by_key(|watch| watch.exact);
        if let Some(watch) = watch {
            marks += mark_advance(transaction, table, watch, latest_before, latest_after)?;
        }
    }
    Ok(marks)
}

/// Marks all of every consumer stale. Returns the number of marks.
pub(super) fn mark_all(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    watches: &[Watch],
) -> rusqlite::Result<u64> {
    let mut insert = transaction.prepare(
        "INSERT INTO meta_stale (consumer, source, day, exact) VALUES (?1, ?2, NULL, false)",
    )?;
    let consumers = watches_by_consumer(watches);
    for consumer in consumers.keys() {
        insert.execute((consumer, &table.name))?;
    }
    Ok(consumers.len() as u64)
}

/// Queries for the days that changed rows make stale for a watch, and whether each is exact. A watch
/// without DATE columns cannot tell days: all is stale if anything has changed.
fn changes(table: &TableDefinition, watch: &Watch) -> Vec<String> {
    if watch.date_columns.is_empty() {
        let changed = changed_values(table, watch, "");
        return vec![format!("SELECT NULL AS day, false AS exact WHERE EXISTS ({changed})")];
    }
    let days = |column: &String| {
        let changed = changed_values(table, watch, column);
        format!("SELECT day, {} AS exact FROM ({changed}) WHERE day IS NOT NULL", watch.exact)
    };
    watch.date_columns.iter().map(days).collect()
}

/// A query for the old and new values of `column` (NULL if it is empty) in changed rows.
fn changed_values(table: &TableDefinition, watch: &Watch, column: &str) -> String {
    let value = |row: &str| {
        if column.is_empty() {
            "NULL AS day".to_owned()
        } else {
            format!("{row}.{} AS day", quote(column))
        }
    };
    if table.key.is_empty() {
        // Without a key rows cannot be paired: all that went and all that came has changed.
        return format!(
            "SELECT {} FROM temp.old o UNION ALL SELECT {} FROM temp.stage s",
            value("o"),
            value("s")
        );
    }
    let differs: Vec<String> = watch
        .used_columns
        .iter()
        .filter(|used| !table.key.contains(used))
        .map(|used| format!("o.{0} IS NOT t.{0}", quote(used)))
        .collect();
    let differs = if differs.is_empty() { "false".to_owned() } else { differs.join(" OR ") };
    let name = quote(&table.name);
    let pair = key_equality(table, "o", "t");
    let staged = key_equality(table, "s", "t");
    let first_key = table.key.first().map(|key| quote(key)).unwrap_or_default();
    format!(
        "SELECT {old} FROM temp.old o CROSS JOIN main.{name} t ON {pair} WHERE {differs} \
         UNION ALL SELECT {new} FROM temp.old o CROSS JOIN main.{name} t ON {pair} WHERE {differs} \
         UNION ALL SELECT {old} FROM temp.old o LEFT JOIN main.{name} t ON {pair} \
                   WHERE t.{first_key} IS NULL \
         UNION ALL SELECT {new} FROM temp.stage s CROSS JOIN main.{name} t ON {staged} \
                   LEFT JOIN temp.old o ON {pair} WHERE o.{first_key} IS NULL",
        old = value("o"),
        new = value("t"),
    )
}

fn mark_advance(
    transaction: &Transaction<'_>,
    table: &TableDefinition,
    watch: &Watch,
    before: Option<i32>,
    after: Option<i32>,
) -> rusqlite::Result<u64> {
    let (Some(before), Some(after)) = (before, after) else { return Ok(0) };
    if after <= before {
        return Ok(0);
    }
    let mut insert = transaction
        .prepare("INSERT INTO meta_stale (consumer, source, day, exact) VALUES (?1, ?2, ?3, ?4)")?;
    if after - before > MAX_GAP_DAYS {
        insert.execute((&watch.consumer, &table.name, None::<String>, false))?;
        return Ok(1);
    }
    for day in before..after {
        insert.execute((&watch.consumer, &table.name, date_text(day), watch.exact))?;
    }
    Ok(u64::from((after - before).unsigned_abs()))
}

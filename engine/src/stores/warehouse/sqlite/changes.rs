//! Which days a load makes stale for the models downstream.
//!
//! A row counts as changed for a consumer only if a column that the consumer reads differs. A
//! consumer that reads the table in several ways watches it in each of them on its own. The stale
//! days are the old and the new values of its DATE columns in those rows, so that a row that
//! moves from one day to another makes both stale. When the latest day of the partition column
//! advances, the former latest day (it is over now) and the days between (on which nothing
//! happened) are stale too.

use std::collections::BTreeSet;

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
    if watches.is_empty() {
        return Ok(marks);
    }
    let watched = Watched::by(table, watches);
    watched.compare(transaction, table)?;
    for (consumer, watches) in watches_by_consumer(watches) {
        // A consumer that watches the table in several ways is told of a day once.
        let changed: Vec<String> =
            watches.iter().flat_map(|watch| watched.stale_days(watch)).collect();
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

/// Bits of a mask; columns beyond share the last one, which can only mark too much.
const MASK_BITS: usize = 63;

/// The mask of a row that came or went: whoever reads the table reads another row.
const CAME_OR_WENT: i64 = -1;

/// What the consumers of a table look at.
struct Watched<'a> {
    /// Columns beside the key whose values matter to anybody; each has a bit of the mask.
    columns: Vec<&'a str>,
    /// DATE columns of which the days are marked.
    days: Vec<&'a str>,
}

impl<'a> Watched<'a> {
    fn by(table: &TableDefinition, watches: &'a [Watch]) -> Self {
        let sorted = |names: BTreeSet<&'a str>| names.into_iter().collect();
        let used = watches.iter().flat_map(|watch| &watch.used_columns);
        let days = watches.iter().flat_map(|watch| &watch.date_columns);
        Self {
            columns: sorted(
                used.filter(|name| !table.key.contains(name)).map(|it| &**it).collect(),
            ),
            days: sorted(days.map(|name| &**name).collect()),
        }
    }

    fn bit(&self, column: &str) -> i64 {
        let place = self.columns.iter().position(|name| *name == column);
        place.map_or(0, |place| 1 << place.min(MASK_BITS - 1))
    }

    /// Compares the rows once for all consumers: `temp.changed` has, of each kind of change, the columns
    /// that differ as a mask, and the days of the row before (`o0`, `o1` …) and after (`n0` …).
    fn compare(
        &self,
        transaction: &Transaction<'_>,
        table: &TableDefinition,
    ) -> rusqlite::Result<()> {
        let days = |old: &str, new: &str| -> String {
            let value = |row: &str, name: &str| match row {
                "" => "NULL".to_owned(),
                row => format!("{row}.{}", quote(name)),
            };
            let both = |(place, name): (usize, &&str)| {
                format!(", {} AS o{place}, {} AS n{place}", value(old, name), value(new, name))
            };
            self.days.iter().enumerate().map(both).collect()
        };
        let rows = if table.key.is_empty() {
            // Without a key rows cannot be paired: all that went and all that came has changed.
            format!(
                "SELECT {CAME_OR_WENT} AS mask{} FROM temp.old o \
                 UNION ALL SELECT {CAME_OR_WENT}{} FROM temp.stage s",
                days("o", ""),
                days("", "s")
            )
        } else {
            let bit =
                |name: &&str| format!("(o.{0} IS NOT t.{0}) * {1}", quote(name), self.bit(name));
            let bits: Vec<String> = self.columns.iter().map(bit).collect();
            let bits = if bits.is_empty() { "0".to_owned() } else { bits.join(" | ") };
            let first_key = table.key.first().map(|key| quote(key)).unwrap_or_default();
            // What came is in the table as it was staged.
            format!(
                "SELECT CASE WHEN t.{first_key} IS NULL THEN {CAME_OR_WENT} ELSE {bits} END AS mask{} \
                 FROM temp.old o LEFT JOIN main.{} t ON {} \
                 UNION ALL SELECT {CAME_OR_WENT}{} \
                 FROM temp.stage s LEFT JOIN temp.old o ON {} WHERE o.{first_key} IS NULL",
                days("o", "t"),
                quote(&table.name),
                key_equality(table, "o", "t"),
                days("", "s"),
                key_equality(table, "o", "s"),
            )
        };
        transaction.execute_batch(&format!(
            "CREATE TEMP TABLE changed AS SELECT DISTINCT * FROM ({rows}) WHERE mask <> 0"
        ))
    }

    /// Queries for the days that changed rows make stale for a watch, and whether each is exact. A
    /// watch without DATE columns cannot tell days: all is stale if anything has changed.
    fn stale_days(&self, watch: &Watch) -> Vec<String> {
        let bits = watch.used_columns.iter().fold(0, |bits, column| bits | self.bit(column));
        let changed = format!("temp.changed WHERE (mask = {CAME_OR_WENT} OR mask & {bits})");
        if watch.date_columns.is_empty() {
            let any = format!("EXISTS (SELECT 1 FROM {changed})");
            return vec![format!("SELECT NULL AS day, false AS exact WHERE {any}")];
        }
        let watched =
            |(_, name): &(usize, &&str)| watch.date_columns.iter().any(|own| own == **name);
        let places = self.days.iter().enumerate().filter(watched).map(|(place, _)| place);
        let columns = places.flat_map(|place| [format!("o{place}"), format!("n{place}")]);
        let exact = watch.exact;
        let days = |day: String| {
            format!("SELECT {day} AS day, {exact} AS exact FROM {changed} AND {day} IS NOT NULL")
        };
        columns.map(days).collect()
    }
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

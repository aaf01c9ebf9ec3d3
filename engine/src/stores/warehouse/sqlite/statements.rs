//! The SQL statements that define and load a table.

use std::fmt::Write;

use arrow::datatypes::DataType;

use super::values::date_text;
use crate::stores::warehouse::{Combine, LoadMode, Preview, TableColumn, TableDefinition};

/// `name` as an SQL identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A list of identifiers, each with the given prefix (such as `t.`).
pub(super) fn column_list<'a>(names: impl IntoIterator<Item = &'a str>, prefix: &str) -> String {
    let names: Vec<String> =
        names.into_iter().map(|name| format!("{prefix}{}", quote(name))).collect();
    names.join(", ")
}

/// All columns of a table, each with the given prefix.
pub(super) fn all_columns(table: &TableDefinition, prefix: &str) -> String {
    column_list(table.columns.iter().map(|column| column.name.as_str()), prefix)
}

/// The declared type of a column, readable for people and tools.
pub(super) fn declared_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        _ => "TEXT".to_owned(),
    }
}

/// `CREATE TABLE`, with the columns' meanings as comments, which SQLite keeps.
pub(super) fn create_table(table: &TableDefinition) -> String {
    let mut sql = format!("CREATE TABLE {} (\n", quote(&table.name));
    let last = table.columns.len().saturating_sub(1);
    for (index, column) in table.columns.iter().enumerate() {
        let not_null = if table.key.contains(&column.name) { " NOT NULL" } else { "" };
        let comma = if index < last || !table.key.is_empty() { "," } else { "" };
        let _ = write!(
            sql,
            "    {} {}{not_null}{comma}",
            quote(&column.name),
            declared_type(&column.data_type)
        );
        if let Some(comment) = &column.comment {
            let _ = write!(sql, " -- {}", comment.replace(['\n', '\r'], " "));
        }
        sql.push('\n');
    }
    if !table.key.is_empty() {
        let key = column_list(table.key.iter().map(String::as_str), "");
        let _ = writeln!(sql, "    PRIMARY KEY ({key})");
    }
    sql.push(')');
    sql
}

/// The index on the partition column, if there is one.
pub(super) fn create_partition_index(table: &TableDefinition) -> Option<String> {
    let partition = table.partition.as_ref()?;
    Some(format!(
        "CREATE INDEX IF NOT EXISTS {} ON {} ({})",
        partition_index(table, partition),
        quote(&table.name),
        quote(partition)
    ))
}

/// Removes it.
pub(super) fn drop_partition_index(table: &TableDefinition) -> Option<String> {
    let partition = table.partition.as_ref()?;
    Some(format!("DROP INDEX IF EXISTS main.{}", partition_index(table, partition)))
}

fn partition_index(table: &TableDefinition, partition: &str) -> String {
    quote(&format!("{}_by_{partition}", table.name))
}

/// The temporary table that a load stages its rows in. Its key comes when all of them are there: see
/// [`create_stage_key`].
pub(super) fn create_stage(table: &TableDefinition) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let not_null = if table.key.contains(&column.name) { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quote(&column.name), declared_type(&column.data_type))
        })
        .collect();
    format!("CREATE TEMP TABLE stage ({})", columns.join(", "))
}

/// The key of the staged rows, if the table has one. To sort all keys once takes half as long as to
/// put each where it belongs.
pub(super) fn create_stage_key(table: &TableDefinition) -> Option<String> {
    if table.key.is_empty() {
        return None;
    }
    let key = column_list(table.key.iter().map(String::as_str), "");
    Some(format!("CREATE UNIQUE INDEX temp.stage_key ON stage ({key})"))
}

/// The key of one staged row that is there twice, in the words of
/// [`describe_key`](crate::stores::warehouse::key::describe_key).
pub(super) fn find_duplicate(table: &TableDefinition) -> String {
    let parts: Vec<String> = table
        .key
        .iter()
        .map(|key| format!("'{} = ' || {}", key.replace('\'', "''"), quote(key)))
        .collect();
    let key = column_list(table.key.iter().map(String::as_str), "");
    format!(
        "SELECT {} FROM temp.stage GROUP BY {key} HAVING count(*) > 1 LIMIT 1",
        parts.join(" || ', ' || ")
    )
}

/// `INSERT` of one staged row.
pub(super) fn insert_stage(table: &TableDefinition) -> String {
    let marks = vec!["?"; table.columns.len()].join(", ");
    format!("INSERT INTO temp.stage ({}) VALUES ({marks})", all_columns(table, ""))
}

/// The staged rows into the table, which has none with the same key.
pub(super) fn append(table: &TableDefinition) -> String {
    let columns = all_columns(table, "");
    format!("INSERT INTO main.{} ({columns}) {}", quote(&table.name), staged_by_day(table))
}

/// The staged rows, day by day: aggregates give theirs in no order, and a few days of them would lie on
/// nearly every page of a long table. Only days and row numbers are sorted.
fn staged_by_day(table: &TableDefinition) -> String {
    match &table.partition {
        None => format!("SELECT {} FROM temp.stage s", all_columns(table, "s.")),
        // Without the LIMIT, the order of a subquery would be left out.
        Some(partition) => format!(
            "SELECT {} FROM (SELECT _rowid_ AS place FROM temp.stage ORDER BY {} LIMIT -1) o \
             CROSS JOIN temp.stage s ON s._rowid_ = o.place",
            all_columns(table, "s."),
            quote(partition)
        ),
    }
}

/// The staged rows merged into the table by its key.
pub(super) fn upsert(table: &TableDefinition) -> String {
    let columns = all_columns(table, "");
    let key = column_list(table.key.iter().map(String::as_str), "");
    let updates: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !table.key.contains(&column.name) && column.combine != Combine::Keep)
        .map(|column| format!("{} = {}", quote(&column.name), combined(column)))
        .collect();
    // `WHERE true` keeps SQLite from reading ON CONFLICT as a join condition.
    let mut sql = format!(
        "INSERT INTO main.{} AS t ({columns}) {} WHERE true ON CONFLICT ({key}) DO ",
        quote(&table.name),
        staged_by_day(table)
    );
    if updates.is_empty() {
        sql.push_str("NOTHING");
    } else {
        let _ = write!(sql, "UPDATE SET {}", updates.join(", "));
    }
    sql
}

/// The table's rows as they will be once the staged ones are part of it: those that are written, and
/// those of the wanted partitions that stay.
pub(super) fn preview(table: &TableDefinition, preview: &Preview) -> String {
    let names = || preview.columns.iter().map(String::as_str);
    let name = quote(&table.name);
    let mut sql = match &preview.mode {
        LoadMode::Upsert => {
            let columns: Vec<String> = names()
                .filter_map(|name| table.column(name))
                .map(|column| merged(table, column))
                .collect();
            format!(
                "SELECT {} FROM temp.stage AS excluded LEFT JOIN main.{name} AS t ON {}",
                columns.join(", "),
                key_equality(table, "t", "excluded")
            )
        }
        _ => format!("SELECT {} FROM temp.stage", column_list(names(), "")),
    };
    let Some(partition) = &table.partition else { return sql };
    let stay = preview.days.iter().filter(|day| match &preview.mode {
        LoadMode::Append | LoadMode::Upsert => true,
        LoadMode::ReplacePartitions(replaced) => !replaced.contains(day),
        LoadMode::ReplaceAll => false,
    });
    let days: Vec<String> =
        stay.filter_map(|day| date_text(*day)).map(|day| format!("'{day}'")).collect();
    if days.is_empty() {
        return sql;
    }
    let _ = write!(
        sql,
        " UNION ALL SELECT {} FROM main.{name} AS t WHERE t.{} IN ({})",
        column_list(names(), "t."),
        quote(partition),
        days.join(", ")
    );
    if preview.mode == LoadMode::Upsert {
        let pair = key_equality(table, "s", "t");
        let _ = write!(sql, " AND NOT EXISTS (SELECT 1 FROM temp.stage AS s WHERE {pair})");
    }
    sql
}

/// The value of a column where staged row `excluded` is merged with `t`, if there is such a row.
fn merged(table: &TableDefinition, column: &TableColumn) -> String {
    let new = format!("excluded.{}", quote(&column.name));
    let first_key = table.key.first().filter(|_| !table.key.contains(&column.name));
    match first_key {
        Some(key) => {
            format!("CASE WHEN t.{} IS NULL THEN {new} ELSE {} END", quote(key), combined(column))
        }
        None => new,
    }
}

/// The value of `column` after old row `t` and new row `excluded` are combined.
fn combined(column: &TableColumn) -> String {
    let old = format!("t.{}", quote(&column.name));
    let new = format!("excluded.{}", quote(&column.name));
    match &column.combine {
        Combine::Replace => new,
        Combine::Keep => old,
        Combine::Sum => {
            // Rounding to the scale keeps a sum of decimals at the double nearest to the decimal.
            let sum = match &column.data_type {
                DataType::Decimal128(_, scale) => format!("round({old} + {new}, {scale})"),
                _ => format!("{old} + {new}"),
            };
            format!(
                "CASE WHEN {old} IS NULL THEN {new} WHEN {new} IS NULL THEN {old} ELSE {sum} END"
            )
        }
        Combine::Min => {
            format!("CASE WHEN {old} IS NULL OR {new} < {old} THEN {new} ELSE {old} END")
        }
        Combine::Max => {
            format!("CASE WHEN {old} IS NULL OR {new} > {old} THEN {new} ELSE {old} END")
        }
        Combine::First(order) => by_order(&old, &new, order, "<"),
        Combine::Last(order) => by_order(&old, &new, order, ">"),
    }
}

fn by_order(old: &str, new: &str, order: &str, comparison: &str) -> String {
    let old_order = format!("t.{}", quote(order));
    let new_order = format!("excluded.{}", quote(order));
    // A tie goes to the smaller (or larger) value, so that the order of loads does not matter.
    format!(
        "CASE WHEN ({old_order} IS NULL AND {new_order} IS NOT NULL) \
         OR {new_order} {comparison} {old_order} \
         OR ({new_order} = {old_order} AND ({old} IS NULL OR {new} {comparison} {old})) \
         THEN {new} ELSE {old} END"
    )
}

/// Joins the rows of `left` and `right` by the table's key.
pub(super) fn key_equality(table: &TableDefinition, left: &str, right: &str) -> String {
    let terms: Vec<String> =
        table.key.iter().map(|column| format!("{left}.{0} = {right}.{0}", quote(column))).collect();
    terms.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
    }
}

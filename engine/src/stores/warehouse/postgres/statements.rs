//! The SQL statements that define and load a table.

use std::fmt::Write;

use arrow::datatypes::DataType;

use crate::stores::postgres::{STAR_SCHEMA, quote};
use crate::stores::warehouse::{Combine, LoadMode, Preview, TableColumn, TableDefinition};

/// The temporary table that a load stages its rows in.
pub(super) const STAGE: &str = "pg_temp.stage";
/// The temporary table with the rows that a load changes, as they were.
pub(super) const OLD: &str = "pg_temp.old";

/// A model's table, with its schema.
pub(super) fn star(table: &str) -> String {
    format!("{STAR_SCHEMA}.{}", quote(table))
}

/// A text as an SQL literal; `standard_conforming_strings` is on.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', "\u{fffd}"))
}

/// A day (days since 1970) as an SQL expression.
pub(super) fn date(day: i32) -> String {
    format!("DATE '1970-01-01' + ({day})")
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

/// A column's type, in the words of the server's `format_type`.
pub(super) fn declared_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp with time zone".to_owned(),
        _ => "text".to_owned(),
    }
}

/// A column's type with its collation.
fn full_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text COLLATE \"C\"".to_owned(),
        other => declared_type(other),
    }
}

fn column_definitions(table: &TableDefinition) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let not_null = if table.key.contains(&column.name) { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quote(&column.name), full_type(&column.data_type))
        })
        .collect();
    columns.join(", ")
}

/// `CREATE TABLE` with the key.
pub(super) fn create_table(table: &TableDefinition) -> String {
    let mut sql = format!("CREATE TABLE {} ({}", star(&table.name), column_definitions(table));
    if !table.key.is_empty() {
        let key = column_list(table.key.iter().map(String::as_str), "");
        let _ = write!(sql, ", PRIMARY KEY ({key})");
    }
    sql.push(')');
    sql
}

/// `CREATE TABLE` without the key, which [`add_key`] makes when the rows are there.
pub(super) fn create_heap(table: &TableDefinition) -> String {
    format!("CREATE TABLE {} ({})", star(&table.name), column_definitions(table))
}

/// The key of a table that was created without it, if it has one.
pub(super) fn add_key(table: &TableDefinition) -> Option<String> {
    if table.key.is_empty() {
        return None;
    }
    let key = column_list(table.key.iter().map(String::as_str), "");
    Some(format!("ALTER TABLE {} ADD PRIMARY KEY ({key})", star(&table.name)))
}

/// `ALTER TABLE` with a new column.
pub(super) fn add_column(table: &TableDefinition, column: &TableColumn) -> String {
    format!(
        "ALTER TABLE {} ADD COLUMN {} {}",
        star(&table.name),
        quote(&column.name),
        full_type(&column.data_type)
    )
}

/// The index on the partition column. Its name is the server's: ours could be too long.
pub(super) fn create_partition_index(table: &TableDefinition, partition: &str) -> String {
    format!("CREATE INDEX ON {} ({})", star(&table.name), quote(partition))
}

/// What a table means.
pub(super) fn comment_table(table: &TableDefinition) -> String {
    format!("COMMENT ON TABLE {} IS {}", star(&table.name), comment_value(&table.comment))
}

/// What a column means.
pub(super) fn comment_column(table: &TableDefinition, column: &TableColumn) -> String {
    format!(
        "COMMENT ON COLUMN {}.{} IS {}",
        star(&table.name),
        quote(&column.name),
        comment_value(&column.comment)
    )
}

fn comment_value(comment: &Option<String>) -> String {
    comment.as_deref().map_or_else(|| "NULL".to_owned(), literal)
}

/// The temporary table for staged rows. It has no key: the merge finds rows that are there twice.
pub(super) fn create_stage(table: &TableDefinition) -> String {
    format!("CREATE TEMPORARY TABLE stage ({})", column_definitions(table))
}

/// `COPY` into a table. Rows of a table that its own transaction has created may be written as if
/// they had been there for long (`freeze`): nobody ever has to touch them again.
pub(super) fn copy_in(target: &str, table: &TableDefinition, freeze: bool) -> String {
    let freeze = if freeze { ", FREEZE" } else { "" };
    format!("COPY {target} ({}) FROM STDIN (FORMAT binary{freeze})", all_columns(table, ""))
}

/// One staged key that is there twice, in words.
pub(super) fn find_duplicate(table: &TableDefinition) -> String {
    let parts: Vec<String> = table
        .key
        .iter()
        .map(|key| format!("{} || {}::text", literal(&format!("{key} = ")), quote(key)))
        .collect();
    let key = column_list(table.key.iter().map(String::as_str), "");
    format!(
        "SELECT concat_ws(', ', {}) FROM {STAGE} GROUP BY {key} HAVING count(*) > 1 LIMIT 1",
        parts.join(", ")
    )
}

/// The rows of a table that a load replaces or may change, as the rest of a `FROM`.
pub(super) fn touched_rows(table: &TableDefinition, mode: &LoadMode) -> String {
    let star = star(&table.name);
    match (mode, &table.partition) {
        (LoadMode::Append, _) => format!("{star} t WHERE false"),
        (LoadMode::Upsert, _) => {
            format!("{STAGE} s JOIN {star} t ON {}", key_equality(table, "t", "s"))
        }
        (LoadMode::ReplacePartitions(days), Some(partition)) => {
            let days: Vec<String> = days.iter().map(|day| date(*day)).collect();
            let days = days.join(", ");
            format!("{star} t WHERE t.{} = ANY (ARRAY[{days}]::date[])", quote(partition))
        }
        (LoadMode::ReplaceAll | LoadMode::ReplacePartitions(_), _) => format!("{star} t"),
    }
}

/// The staged rows into the table, which has none with the same key.
pub(super) fn append(table: &TableDefinition) -> String {
    let columns = all_columns(table, "");
    format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {STAGE}", star(&table.name))
}

/// Whether an upsert changes existing rows: if not, the server does not see keys that are there
/// twice.
pub(super) fn updates_rows(table: &TableDefinition) -> bool {
    updated_columns(table).next().is_some()
}

fn updated_columns(table: &TableDefinition) -> impl Iterator<Item = &TableColumn> {
    table
        .columns
        .iter()
        .filter(|column| !table.key.contains(&column.name) && column.combine != Combine::Keep)
}

/// The staged rows merged into the table by its key.
pub(super) fn upsert(table: &TableDefinition) -> String {
    let columns = all_columns(table, "");
    let key = column_list(table.key.iter().map(String::as_str), "");
    let updates: Vec<String> = updated_columns(table)
        .map(|column| format!("{} = {}", quote(&column.name), combined(column)))
        .collect();
    let mut sql = format!(
        "INSERT INTO {} AS t ({columns}) SELECT {columns} FROM {STAGE} ON CONFLICT ({key}) DO ",
        star(&table.name)
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
pub(super) fn preview_staged(table: &TableDefinition, preview: &Preview) -> String {
    let names = || preview.columns.iter().map(String::as_str);
    let star = star(&table.name);
    let mut sql = match &preview.mode {
        LoadMode::Upsert => {
            let columns: Vec<String> = names()
                .filter_map(|name| table.column(name))
                .map(|column| merged(table, column))
                .collect();
            format!(
                "SELECT {} FROM {STAGE} AS excluded LEFT JOIN {star} AS t ON {}",
                columns.join(", "),
                key_equality(table, "t", "excluded")
            )
        }
        _ => format!("SELECT {} FROM {STAGE}", column_list(names(), "")),
    };
    let Some(partition) = &table.partition else { return sql };
    let stay = preview.days.iter().filter(|day| match &preview.mode {
        LoadMode::Append | LoadMode::Upsert => true,
        LoadMode::ReplacePartitions(replaced) => !replaced.contains(day),
        LoadMode::ReplaceAll => false,
    });
    let days: Vec<String> = stay.map(|day| date(*day)).collect();
    if days.is_empty() {
        return sql;
    }
    let _ = write!(
        sql,
        " UNION ALL SELECT {} FROM {star} AS t WHERE t.{} = ANY (ARRAY[{}]::date[])",
        column_list(names(), "t."),
        quote(partition),
        days.join(", ")
    );
    if preview.mode == LoadMode::Upsert {
        let pair = key_equality(table, "s", "t");
        let _ = write!(sql, " AND NOT EXISTS (SELECT FROM {STAGE} AS s WHERE {pair})");
    }
    sql
}

/// The same where they are all in a table of their own.
pub(super) fn preview_new(new: &str, preview: &Preview) -> String {
    format!("SELECT {} FROM {new}", column_list(preview.columns.iter().map(String::as_str), ""))
}

/// The same where this transaction has written the rows into the table itself, with these days in
/// the partition column.
pub(super) fn preview_written(
    table: &TableDefinition,
    preview: &Preview,
    written: &[i32],
) -> String {
    let columns = column_list(preview.columns.iter().map(String::as_str), "");
    let star = star(&table.name);
    // Rows tell which transaction has written them; there is no index of that.
    const OURS: &str = "xmin = pg_current_xact_id()::xid";
    let Some(partition) = &table.partition else {
        return format!("SELECT {columns} FROM {star} WHERE {OURS}");
    };
    let partition = quote(partition);
    let array = |days: &mut dyn Iterator<Item = &i32>| {
        let days: Vec<String> = days.map(|day| date(*day)).collect();
        format!("ARRAY[{}]::date[]", days.join(", "))
    };
    format!(
        "SELECT {columns} FROM {star} WHERE ({partition} = ANY ({}) AND {OURS}) \
         OR ({partition} IS NULL AND {OURS}) OR {partition} = ANY ({})",
        array(&mut written.iter()),
        array(&mut preview.days.iter())
    )
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
        Combine::Sum => format!(
            "CASE WHEN {old} IS NULL THEN {new} WHEN {new} IS NULL THEN {old} \
             ELSE {old} + {new} END"
        ),
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

    fn table() -> TableDefinition {
        let column = |name: &str, data_type, combine| TableColumn {
            name: name.to_owned(),
            data_type,
            combine,
            comment: None,
        };
        TableDefinition {
            name: "fact_day".to_owned(),
            columns: vec![
                column("player_id", DataType::Utf8, Combine::Replace),
                column("day", DataType::Date32, Combine::Keep),
                column("revenue", DataType::Decimal128(12, 2), Combine::Sum),
            ],
            key: vec!["player_id".to_owned()],
            partition: Some("day".to_owned()),
            comment: Some("A player's day".to_owned()),
        }
    }

    #[test]
    fn tables_are_declared_with_their_key_and_collation() {
        assert_eq!(
            create_table(&table()),
            "CREATE TABLE star.\"fact_day\" (\"player_id\" text COLLATE \"C\" NOT NULL, \
             \"day\" date, \"revenue\" numeric(12,2), PRIMARY KEY (\"player_id\"))"
        );
        assert_eq!(
            comment_table(&table()),
            "COMMENT ON TABLE star.\"fact_day\" IS 'A player''s day'"
        );
    }

    #[test]
    fn an_upsert_combines_what_it_does_not_keep() {
        let sql = upsert(&table());
        assert!(
            sql.contains("ON CONFLICT (\"player_id\") DO UPDATE SET \"revenue\" = CASE"),
            "{sql}"
        );
        assert!(!sql.contains("\"day\" ="), "{sql}");
        let mut kept = table();
        kept.columns.pop();
        assert!(upsert(&kept).ends_with("DO NOTHING") && !updates_rows(&kept));
    }

    #[test]
    fn replaced_partitions_are_named_one_by_one() {
        let mode = LoadMode::ReplacePartitions([-1, 3].into());
        assert_eq!(
            touched_rows(&table(), &mode),
            "star.\"fact_day\" t WHERE t.\"day\" = ANY (ARRAY[DATE '1970-01-01' + (-1), \
             DATE '1970-01-01' + (3)]::date[])"
        );
    }
}

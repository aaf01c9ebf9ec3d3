//! The models' tables: made, widened by nullable columns, described by comments.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Transaction};

use super::statements::{
    add_column, comment_column, comment_table, create_partition_index, create_table, date,
    declared_type, star,
};
use crate::stores::postgres::values::Parameters;
use crate::stores::postgres::{Failure, quote};
use crate::stores::warehouse::difference::{Stored, difference};
use crate::stores::warehouse::{TableDefinition, TableDifference};

/// Longest name in bytes that the server keeps whole.
const NAME_BYTES: usize = 63;

/// A column of a table that exists.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExistingColumn {
    name: String,
    declared: String,
    in_key: bool,
    comment: Option<String>,
}

/// Makes missing tables and adds missing nullable columns. Returns what was changed, in words.
pub(super) async fn prepare(
    transaction: &Transaction<'_>,
    tables: &[TableDefinition],
    rebuilt: &BTreeSet<String>,
) -> Result<Vec<String>, Failure> {
    // Two processes that begin at the same time make each table once.
    let parameters: &Parameters<'_> = &[&super::lock_key("tables", "star")];
    transaction.execute("SELECT pg_advisory_xact_lock($1)", parameters).await?;
    let mut changes = Vec::new();
    for table in tables {
        check_names(table)?;
        let existing = existing_columns(transaction.client(), &table.name).await?;
        if existing.is_empty() {
            create(transaction.client(), table).await?;
            changes.push(format!("created table {}", table.name));
            continue;
        }
        if rebuilt.contains(&table.name) {
            continue;
        }
        let added = added_columns(table, &existing)?;
        for index in added {
            let column = &table.columns[index];
            transaction.batch_execute(&add_column(table, column)).await?;
            changes.push(format!("added column {}.{}", table.name, column.name));
        }
        ensure_partition_index(transaction.client(), table).await?;
        describe(transaction.client(), table, &existing).await?;
    }
    Ok(changes)
}

/// Makes a table with its index and its comments.
pub(super) async fn create(client: &Client, table: &TableDefinition) -> Result<(), Failure> {
    client.batch_execute(&create_table(table)).await?;
    ensure_partition_index(client, table).await?;
    describe(client, table, &[]).await
}

/// The columns of a model's table; none if it does not exist.
pub(super) async fn existing_columns(
    client: &Client,
    table: &str,
) -> Result<Vec<ExistingColumn>, Failure> {
    let parameters: &Parameters<'_> = &[&star(table)];
    let rows = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
             coalesce(a.attnum = ANY (i.indkey), false), col_description(a.attrelid, a.attnum) \
             FROM pg_attribute a \
             LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attnum",
            parameters,
        )
        .await?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in rows {
        columns.push(ExistingColumn {
            name: row.try_get(0)?,
            declared: row.try_get(1)?,
            in_key: row.try_get(2)?,
            comment: row.try_get(3)?,
        });
    }
    Ok(columns)
}

/// Whether the table in the warehouse has exactly the columns that the model wants.
pub(super) fn has_same_columns(table: &TableDefinition, existing: &[ExistingColumn]) -> bool {
    existing.len() == table.columns.len()
        && existing.iter().zip(&table.columns).all(|(old, new)| {
            old.name == new.name
                && old.declared == declared_type(&new.data_type)
                && old.in_key == table.key.contains(&new.name)
        })
}

/// How the table in the warehouse differs from what the model wants.
pub(super) fn table_difference(
    table: &TableDefinition,
    existing: &[ExistingColumn],
) -> TableDifference {
    let stored: Vec<Stored<'_>> = existing
        .iter()
        .map(|old| Stored { name: &old.name, declared: &old.declared, in_key: old.in_key })
        .collect();
    difference(table, &stored, declared_type)
}

/// About how many rows the server expects to find, by its statistics.
pub(super) async fn estimate_rows(
    client: &Client,
    table: &TableDefinition,
    days: Option<(i32, i32)>,
) -> Result<Option<u64>, Failure> {
    if existing_columns(client, &table.name).await?.is_empty() {
        return Ok(None);
    }
    let mut sql = format!("EXPLAIN SELECT FROM {}", star(&table.name));
    if let (Some(partition), Some((first, last))) = (&table.partition, days) {
        let range =
            format!(" WHERE {} BETWEEN {} AND {}", quote(partition), date(first), date(last));
        sql.push_str(&range);
    }
    let lines = client.query(&sql, &[]).await?;
    let Some(first) = lines.first() else { return Ok(None) };
    let line: String = first.try_get(0)?;
    Ok(planned_rows(&line))
}

/// The rows of a plan's line such as `Seq Scan on t  (cost=0.00..1.01 rows=42 width=0)`.
fn planned_rows(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("rows=")?;
    rest.split(' ').next()?.parse().ok()
}

/// What every table of the server has by itself.
const SYSTEM_COLUMNS: &[&str] = &["xmin", "xmax", "cmin", "cmax", "ctid", "tableoid"];

/// The server would cut longer names off, and two of them could become one.
fn check_names(table: &TableDefinition) -> Result<(), Failure> {
    let columns = table.columns.iter().map(|column| &column.name);
    if let Some(name) = columns.clone().find(|name| SYSTEM_COLUMNS.contains(&name.as_str())) {
        return Err(Failure::Incompatible {
            what: format!("PostgreSQL has a column `{name}` of its own in {}", table.name),
            advice: format!("rename it in the model's SQL, such as `AS {name}_value`"),
        });
    }
    match std::iter::once(&table.name).chain(columns).find(|name| name.len() > NAME_BYTES) {
        None => Ok(()),
        Some(name) => Err(Failure::Incompatible {
            what: format!("the name `{name}` of {} is too long for PostgreSQL", table.name),
            advice: format!("give it a name of at most {NAME_BYTES} bytes"),
        }),
    }
}

/// Partitions are replaced and looked up by their day, and the latest day is asked for by each load:
/// all of it is quick with a b-tree that begins with the day.
pub(super) async fn ensure_partition_index(
    client: &Client,
    table: &TableDefinition,
) -> Result<(), Failure> {
    let Some(partition) = &table.partition else { return Ok(()) };
    let parameters: &Parameters<'_> = &[&star(&table.name), partition];
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a \
             ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
             WHERE i.indrelid = to_regclass($1) AND a.attname = $2::text)",
            parameters,
        )
        .await?;
    if !row.try_get::<_, bool>(0)? {
        client.batch_execute(&create_partition_index(table, partition)).await?;
    }
    Ok(())
}

/// Writes the comments that have changed.
pub(super) async fn describe(
    client: &Client,
    table: &TableDefinition,
    existing: &[ExistingColumn],
) -> Result<(), Failure> {
    let parameters: &Parameters<'_> = &[&star(&table.name)];
    let row = client
        .query_one("SELECT obj_description(to_regclass($1)::oid, 'pg_class')", parameters)
        .await?;
    let mut statements = Vec::new();
    if row.try_get::<_, Option<String>>(0)? != table.comment {
        statements.push(comment_table(table));
    }
    for column in &table.columns {
        let old = existing.iter().find(|old| old.name == column.name);
        if old.and_then(|old| old.comment.as_ref()) != column.comment.as_ref() {
            statements.push(comment_column(table, column));
        }
    }
    if statements.is_empty() {
        return Ok(());
    }
    client.batch_execute(&statements.join("; ")).await?;
    Ok(())
}

/// Indexes of the columns that the model has and the table has not; an error if the table cannot
/// become the model's by adding nullable columns.
fn added_columns(
    table: &TableDefinition,
    existing: &[ExistingColumn],
) -> Result<Vec<usize>, Failure> {
    let refuse = |what: String| Failure::Incompatible {
        what,
        advice: format!(
            "adding a nullable column is done by itself; anything else rebuilds the table: \
             questlake etl run --full-refresh --select {}",
            table.name
        ),
    };
    for old in existing {
        let Some(new) = table.column(&old.name) else {
            return Err(refuse(format!(
                "table {} has a column `{}` that its model no longer has",
                table.name, old.name
            )));
        };
        let declared = declared_type(&new.data_type);
        if declared != old.declared {
            return Err(refuse(format!(
                "column {}.{} is {} in the warehouse and {declared} in its model",
                table.name, old.name, old.declared
            )));
        }
        if old.in_key != table.key.contains(&old.name) {
            return Err(refuse(format!("the key of {} has changed", table.name)));
        }
    }
    let is_new = |name: &str| existing.iter().all(|old| old.name != name);
    let mut added = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        if !is_new(&column.name) {
            continue;
        }
        if table.key.contains(&column.name) {
            return Err(refuse(format!("the key of {} has changed", table.name)));
        }
        added.push(index);
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_plan_are_found() {
        let line = "Index Only Scan using t_date_idx on t  (cost=0.29..8.31 rows=42 width=0)";
        assert_eq!(planned_rows(line), Some(42));
        assert_eq!(planned_rows("Result"), None);
    }
}

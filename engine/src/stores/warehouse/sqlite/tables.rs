//! The models' tables: made, and widened by nullable columns.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use super::statements::{create_partition_index, create_table, declared_type, quote};
use crate::stores::warehouse::difference::{Stored, difference};
use crate::stores::warehouse::{TableDefinition, TableDifference};

/// An SQLite error outside; inside, what does not fit and the way out of it.
pub(super) type PrepareResult = rusqlite::Result<Result<Vec<String>, (String, String)>>;

pub(super) fn prepare_tables(
    connection: &mut Connection,
    tables: &[TableDefinition],
    rebuilt: &BTreeSet<String>,
) -> PrepareResult {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changes = Vec::new();
    for table in tables {
        let existing = existing_columns(&transaction, &table.name)?;
        if existing.is_empty() {
            transaction.execute_batch(&create_table(table))?;
            changes.push(format!("created table {}", table.name));
        } else if !rebuilt.contains(&table.name) {
            match added_columns(table, &existing) {
                Err(problem) => return Ok(Err(problem)),
                Ok(added) => {
                    for index in added {
                        let column = &table.columns[index];
                        transaction.execute_batch(&format!(
                            "ALTER TABLE {} ADD COLUMN {} {}",
                            quote(&table.name),
                            quote(&column.name),
                            declared_type(&column.data_type)
                        ))?;
                        changes.push(format!("added column {}.{}", table.name, column.name));
                    }
                }
            }
        }
        if let Some(index) = create_partition_index(table)
            && (existing.is_empty() || !rebuilt.contains(&table.name))
        {
            transaction.execute_batch(&index)?;
        }
    }
    transaction.commit()?;
    Ok(Ok(changes))
}

/// A column of a table that exists: name, declared type, whether it is part of the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExistingColumn {
    name: String,
    declared: String,
    in_key: bool,
}

pub(super) fn existing_columns(
    connection: &Connection,
    table: &str,
) -> rusqlite::Result<Vec<ExistingColumn>> {
    connection
        .prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?
        .query_map([table], |row| {
            Ok(ExistingColumn {
                name: row.get(0)?,
                declared: row.get(1)?,
                in_key: row.get::<_, i64>(2)? > 0,
            })
        })?
        .collect()
}

/// Indexes of the columns that the model has and the table has not; an error if the table cannot
/// become the model's by adding nullable columns.
fn added_columns(
    table: &TableDefinition,
    existing: &[ExistingColumn],
) -> Result<Vec<usize>, (String, String)> {
    let way_out = format!(
        "adding a nullable column is done by itself; anything else rebuilds the table: \
         questlake etl run --full-refresh --select {}",
        table.name
    );
    for old in existing {
        let Some(new) = table.column(&old.name) else {
            let what = format!(
                "table {} has a column `{}` that its model no longer has",
                table.name, old.name
            );
            return Err((what, way_out));
        };
        let declared = declared_type(&new.data_type);
        if declared != old.declared {
            let what = format!(
                "column {}.{} is {} in the warehouse and {declared} in its model",
                table.name, old.name, old.declared
            );
            return Err((what, way_out));
        }
        if old.in_key != table.key.contains(&old.name) {
            return Err((format!("the key of {} has changed", table.name), way_out));
        }
    }
    let is_new = |name: &str| existing.iter().all(|old| old.name != name);
    let mut added = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        if !is_new(&column.name) {
            continue;
        }
        if table.key.contains(&column.name) {
            return Err((format!("the key of {} has changed", table.name), way_out));
        }
        added.push(index);
    }
    Ok(added)
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

/// Whether the table in the warehouse has exactly the columns that the model wants.
pub(super) fn has_same_columns(table: &TableDefinition, existing: &[ExistingColumn]) -> bool {
    existing.len() == table.columns.len()
        && existing.iter().zip(&table.columns).all(|(old, new)| {
            old.name == new.name
                && old.declared == declared_type(&new.data_type)
                && old.in_key == table.key.contains(&new.name)
        })
}

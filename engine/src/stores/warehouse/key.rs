//! Rows whose key is wrong: every warehouse tells them in the same words.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::TableDefinition;
use crate::stores::error::{StoreError, StoreErrorKind};

/// What to do about NULL in a key.
pub(super) const NULL_ADVICE: &str =
    "a key cannot be NULL: filter such rows out or use coalesce(column, 'unknown')";

/// What to do about two rows with one key.
pub(super) const DUPLICATE_ADVICE: &str =
    "group by the key, or add the columns that tell these rows apart to the key";

/// Says that a row has NULL in its key.
pub(super) fn null_in_key(key: &str) -> String {
    format!("a row has NULL in the key ({key})")
}

/// Says that there are two rows with this key.
pub(super) fn duplicate_key(key: &str) -> String {
    format!("the model gives more than one row for the key ({key})")
}

/// Whether a load was refused because of a row's key.
pub(crate) fn is_key_violation(error: &StoreError) -> bool {
    let advice = error.advice.as_deref();
    error.kind == StoreErrorKind::InvalidData
        && (advice == Some(NULL_ADVICE) || advice == Some(DUPLICATE_ADVICE))
}

/// The key of a row, such as `player_id = q, day = 2026-01-01`.
pub(super) fn describe_key(table: &TableDefinition, rows: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::new().with_null("NULL");
    let mut parts = Vec::new();
    for key in &table.key {
        let value = rows
            .column_by_name(key)
            .and_then(|column| ArrayFormatter::try_new(column, &options).ok())
            .map_or_else(String::new, |formatter| formatter.value(row).to_string());
        parts.push(format!("{key} = {value}"));
    }
    parts.join(", ")
}

/// The first row with NULL in its key.
pub(super) fn row_with_null_key(table: &TableDefinition, rows: &RecordBatch) -> Option<usize> {
    let columns = table.key.iter().filter_map(|key| rows.column_by_name(key));
    let nulls = columns.filter(|column| column.null_count() > 0);
    nulls.filter_map(|column| (0..column.len()).find(|row| column.is_null(*row))).min()
}

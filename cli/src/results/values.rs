//! Values as people read them.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use questlake_engine::query::QueryError;

use crate::terminal::printable;

/// A row's values; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

/// What stands for NULL.
pub(super) const NULL: &str = "NULL";

/// The rows of a batch as texts that cannot steer the terminal; `None` is NULL.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Row>, QueryError> {
    let options = FormatOptions::default()
        .with_display_error(true)
        // Inside of lists and structs; a value that is NULL as a whole is `None` below.
        .with_null(NULL)
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let encode = |error: arrow::error::ArrowError| QueryError::Encode(error.to_string());
    let mut formatters = Vec::with_capacity(batch.num_columns());
    for column in batch.columns() {
        formatters.push(ArrayFormatter::try_new(column, &options).map_err(encode)?);
    }
    let cell = |row: usize, column: usize| {
        let is_null = batch.column(column).is_null(row);
        (!is_null).then(|| printable(&formatters[column].value(row).to_string()))
    };
    Ok((0..batch.num_rows())
        .map(|row| (0..formatters.len()).map(|column| cell(row, column)).collect())
        .collect())
}

/// How a column's values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the right and never shortened: a part of a number is another number.
    Number,
    /// Never shortened: dates, times, truth values.
    Whole,
    /// Shortened where the terminal is too narrow.
    Text,
}

/// How the columns are shown.
pub(super) fn kinds(schema: &SchemaRef) -> Vec<Kind> {
    let kind = |data_type: &DataType| match data_type {
        number if number.is_numeric() => Kind::Number,
        time if time.is_temporal() => Kind::Whole,
        DataType::Boolean => Kind::Whole,
        _ => Kind::Text,
    };
    schema.fields().iter().map(|field| kind(field.data_type())).collect()
}

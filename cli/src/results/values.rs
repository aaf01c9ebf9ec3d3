//! Values as people read them.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use questlake_engine::query::QueryError;

use crate::terminal::printable;

/// What stands for NULL.
pub(super) const NULL: &str = "NULL";

/// The rows of a batch as texts that cannot steer the terminal; `None` is NULL.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, QueryError> {
    let options = FormatOptions::default()
        .with_display_error(true)
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

/// Which columns hold numbers, and are aligned to the right.
pub(super) fn numeric(schema: &SchemaRef) -> Vec<bool> {
    let is_number = |data_type: &DataType| data_type.is_numeric();
    schema.fields().iter().map(|field| is_number(field.data_type())).collect()
}

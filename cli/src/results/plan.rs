//! Plans of `EXPLAIN`: their texts have lines of their own.

use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use questlake_engine::query::QueryError;

use crate::terminal::{Output, Style, printable};

/// Writes each plan under its kind.
pub(super) struct PlanWriter {
    output: Output,
}

impl PlanWriter {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        sink: &mut dyn Write,
    ) -> Result<(), QueryError> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            let texts = cast(column, &DataType::Utf8)
                .map_err(|error| QueryError::Encode(error.to_string()))?;
            columns.push(texts);
        }
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                let column = column.as_string::<i32>();
                let text = if column.is_null(row) { "" } else { column.value(row) };
                // The last column is the plan, those before say which.
                if index + 1 < columns.len() {
                    writeln!(sink, "{}", self.output.style(Style::Bold, &printable(text)))?;
                    continue;
                }
                for line in text.lines() {
                    writeln!(sink, "  {}", printable(line))?;
                }
            }
        }
        Ok(())
    }
}

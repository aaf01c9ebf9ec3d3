//! One line per value: for rows that are wider than any terminal.

use std::io::Write;

use arrow::array::RecordBatch;
use questlake_engine::query::QueryError;
use unicode_width::UnicodeWidthStr;

use super::values::{NULL, Row, rows};
use crate::terminal::numbers::thousands;
use crate::terminal::{Output, Style};

/// Writes each row as a block.
pub(super) struct ExpandedWriter {
    names: Vec<String>,
    name_width: usize,
    output: Output,
    written: u64,
}

impl ExpandedWriter {
    /// A writer for columns of these names, which are printable.
    pub(super) fn new(names: Vec<String>, output: Output) -> Self {
        let name_width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        Self { names, name_width, output, written: 0 }
    }

    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        sink: &mut dyn Write,
    ) -> Result<(), QueryError> {
        self.write_rows(rows(batch)?, sink)
    }

    pub(super) fn write_rows(
        &mut self,
        rows: Vec<Row>,
        sink: &mut dyn Write,
    ) -> Result<(), QueryError> {
        for row in rows {
            self.written += 1;
            let heading = format!("─ row {} ─", thousands(self.written));
            writeln!(sink, "{}", self.output.style(Style::Dim, &heading))?;
            for (name, value) in self.names.iter().zip(row) {
                let gap = " ".repeat(self.name_width - name.width());
                let name = self.output.style(Style::Bold, name);
                let value = value.unwrap_or_else(|| self.output.style(Style::Dim, NULL));
                writeln!(sink, "{name}{gap}  {value}")?;
            }
        }
        Ok(())
    }
}

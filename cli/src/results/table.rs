//! Tables that begin before all rows are there: the first rows decide the widths.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use questlake_engine::query::QueryError;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::values::{NULL, numeric, rows};
use crate::terminal::{Output, Style, printable};

/// Rows whose widths decide those of the columns.
const SAMPLED_ROWS: usize = 1_000;

/// Narrowest that a column becomes for others to fit.
const LEAST_WIDTH: usize = 6;

/// Spaces between columns.
const GAP: usize = 2;

/// A row's values; `None` is NULL.
type Row = Vec<Option<String>>;

/// Writes rows as a table.
pub(super) struct TableWriter {
    names: Vec<String>,
    numeric: Vec<bool>,
    output: Output,
    /// Rows that wait until the widths are known.
    sample: Vec<Row>,
    /// Widths of the columns, once they are known.
    widths: Option<Vec<usize>>,
}

impl TableWriter {
    pub(super) fn new(schema: &SchemaRef, output: Output) -> Self {
        let names = schema.fields().iter().map(|field| printable(field.name())).collect();
        Self { names, numeric: numeric(schema), output, sample: Vec::new(), widths: None }
    }

    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        sink: &mut dyn Write,
    ) -> Result<(), QueryError> {
        let rows = rows(batch)?;
        let Some(widths) = &self.widths else {
            self.sample.extend(rows);
            if self.sample.len() >= SAMPLED_ROWS {
                self.begin(sink)?;
            }
            return Ok(());
        };
        for row in &rows {
            writeln!(sink, "{}", self.line(row, widths))?;
        }
        Ok(())
    }

    /// Writes what waits. An empty table has its heading, unless the query failed.
    pub(super) fn finish(&mut self, sink: &mut dyn Write, ended: bool) -> Result<(), QueryError> {
        if self.widths.is_none() && (ended || !self.sample.is_empty()) {
            self.begin(sink)?;
        }
        Ok(())
    }

    fn begin(&mut self, sink: &mut dyn Write) -> Result<(), QueryError> {
        let sample = std::mem::take(&mut self.sample);
        let widths = self.fit(&sample);
        let heading: Row = self.names.iter().cloned().map(Some).collect();
        let heading = self.plain_line(&heading, &widths);
        writeln!(sink, "{}", self.output.style(Style::Bold, &heading))?;
        let rule_width = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        writeln!(sink, "{}", self.output.style(Style::Dim, &"─".repeat(rule_width)))?;
        for row in &sample {
            writeln!(sink, "{}", self.line(row, &widths))?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// The width of each column: as wide as its values, unless the terminal is too narrow; then the
    /// widest give way first.
    fn fit(&self, sample: &[Row]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| name.width()).collect();
        for row in sample {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = (*width).max(value.as_deref().unwrap_or(NULL).width());
            }
        }
        let Some(available) = self.output.width() else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
        while excess > 0 {
            let widest = widths.iter().copied().max().unwrap_or(0);
            if widest <= LEAST_WIDTH {
                break;
            }
            // Down to the next narrower ones at once, but no further than needed.
            let sharing = widths.iter().filter(|width| **width == widest).count();
            let next = widths
                .iter()
                .copied()
                .filter(|width| *width < widest)
                .max()
                .unwrap_or(0)
                .max(LEAST_WIDTH);
            let step = (widest - next).min(excess.div_ceil(sharing)).max(1);
            for width in widths.iter_mut().filter(|width| **width == widest) {
                let cut = step.min(excess);
                *width -= cut;
                excess -= cut;
            }
        }
        widths
    }

    fn line(&self, row: &Row, widths: &[usize]) -> String {
        let plain = row.iter().all(Option::is_some);
        if plain {
            return self.plain_line(row, widths);
        }
        let mut line = String::new();
        for (index, (value, width)) in row.iter().zip(widths).enumerate() {
            let cell = self.cell(value.as_deref().unwrap_or(NULL), *width, index);
            let cell = match value {
                Some(_) => cell,
                None => {
                    // Only the word is dim, so that padding can be cut off.
                    cell.replace(NULL, &self.output.style(Style::Dim, NULL))
                }
            };
            line.push_str(&cell);
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }

    fn plain_line(&self, row: &Row, widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, (value, width)) in row.iter().zip(widths).enumerate() {
            line.push_str(&self.cell(value.as_deref().unwrap_or(NULL), *width, index));
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }

    /// A value in its column, elided where it does not fit. Where no width limits the table, a long
    /// value pushes the rest of its line to the right instead.
    fn cell(&self, value: &str, width: usize, index: usize) -> String {
        let value = match self.output.width() {
            Some(_) => elide(value, width),
            None => value.to_owned(),
        };
        let padding = " ".repeat(width.saturating_sub(value.width()));
        match self.numeric.get(index) {
            Some(true) => format!("{padding}{value}"),
            _ => format!("{value}{padding}"),
        }
    }
}

/// The beginning of a text that is too wide, and an ellipsis.
fn elide(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let next = character.width().unwrap_or(0);
        if used + next + 1 > width {
            break;
        }
        used += next;
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("player", DataType::Utf8, true),
            Field::new("spent", DataType::Int64, true),
        ]);
        let names = StringArray::from(vec![Some("anna\x1b[1m"), None, Some("a rather long name")]);
        let numbers = Int64Array::from(vec![Some(1), Some(12_345), None]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(numbers)]).unwrap()
    }

    fn written(output: Output) -> String {
        let mut writer = TableWriter::new(&batch().schema(), output);
        let mut sink = Vec::new();
        writer.write(&batch(), &mut sink).unwrap();
        writer.finish(&mut sink, true).unwrap();
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn numbers_stand_right_and_null_is_seen() {
        assert_eq!(
            written(Output::plain()),
            "player              spent\n\
             ─────────────────────────\n\
             anna␛[1m                1\n\
             NULL                12345\n\
             a rather long name   NULL\n"
        );
    }

    #[test]
    fn the_widest_column_gives_way() {
        let narrow = written(Output::of_width(16));
        assert!(narrow.lines().all(|line| line.width() <= 16), "{narrow}");
        assert!(narrow.contains("a rather…"), "{narrow}");
        assert!(narrow.contains("12345"), "{narrow}");
    }

    #[test]
    fn wide_characters_are_not_cut_in_two() {
        assert_eq!(elide("日本語です", 5), "日本…");
        assert_eq!(elide("abc", 3), "abc");
    }
}

//! Tables that begin before all rows are there: the first rows decide the widths.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use questlake_engine::query::QueryError;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::expanded::ExpandedWriter;
use super::names;
use super::values::{Kind, NULL, Row, kinds, rows};
use crate::terminal::widths::{GAP, line_width, narrow};
use crate::terminal::{Output, Style};

/// Rows whose widths decide those of the columns.
const SAMPLED_ROWS: usize = 1_000;

/// Narrowest that a column of text becomes for others to fit: less says nothing any more.
const LEAST_TEXT: usize = 10;

/// Fewest characters of a name at the head of its column.
const LEAST_NAME: usize = 6;

/// Writes rows as a table, or as blocks where the terminal is too narrow for a table that says
/// anything.
pub(super) struct TableWriter {
    names: Vec<String>,
    kinds: Vec<Kind>,
    output: Output,
    state: State,
}

enum State {
    /// Rows wait until the widths are known.
    Sampling(Vec<Row>),
    /// One line per row, in columns of these widths.
    Lines(Vec<usize>),
    /// One line per value.
    Blocks(ExpandedWriter),
}

impl TableWriter {
    pub(super) fn new(schema: &SchemaRef, output: Output) -> Self {
        Self {
            names: names(schema),
            kinds: kinds(schema),
            output,
            state: State::Sampling(Vec::new()),
        }
    }

    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        sink: &mut dyn Write,
    ) -> Result<(), QueryError> {
        self.write_rows(rows(batch)?, sink)
    }

    /// Writes what waits. An empty table has its heading, unless the query failed.
    pub(super) fn finish(&mut self, sink: &mut dyn Write, ended: bool) -> Result<(), QueryError> {
        if let State::Sampling(sample) = &self.state
            && (ended || !sample.is_empty())
        {
            self.begin(sink)?;
        }
        Ok(())
    }

    fn write_rows(&mut self, rows: Vec<Row>, sink: &mut dyn Write) -> Result<(), QueryError> {
        match &mut self.state {
            State::Sampling(sample) => {
                sample.extend(rows);
                if sample.len() >= SAMPLED_ROWS {
                    self.begin(sink)?;
                }
            }
            State::Lines(widths) => {
                let widths = std::mem::take(widths);
                for row in &rows {
                    writeln!(sink, "{}", self.line(row, &widths))?;
                }
                self.state = State::Lines(widths);
            }
            State::Blocks(blocks) => blocks.write_rows(rows, sink)?,
        }
        Ok(())
    }

    /// Decides on the layout and writes the rows that have waited for it.
    fn begin(&mut self, sink: &mut dyn Write) -> Result<(), QueryError> {
        let empty = State::Sampling(Vec::new());
        let State::Sampling(sample) = std::mem::replace(&mut self.state, empty) else {
            return Ok(());
        };
        let (widths, fits) = self.fit(&sample);
        if fits || sample.is_empty() {
            let heading: Row = self.names.iter().cloned().map(Some).collect();
            let heading = self.plain_line(&heading, &widths, true);
            writeln!(sink, "{}", self.output.style(Style::Bold, &heading))?;
            // Without rows there is nothing to show but the names, however long their line is.
            let rule = self.output.width().unwrap_or(usize::MAX).min(line_width(&widths));
            writeln!(sink, "{}", self.output.style(Style::Dim, &"─".repeat(rule)))?;
            self.state = State::Lines(widths);
        } else {
            self.state = State::Blocks(ExpandedWriter::new(self.names.clone(), self.output));
        }
        self.write_rows(sample, sink)
    }

    /// The width of each column: as wide as its values, unless the terminal is too narrow; then the
    /// widest give way first. And whether all fit so.
    fn fit(&self, sample: &[Row]) -> (Vec<usize>, bool) {
        let mut values = vec![0; self.names.len()];
        for row in sample {
            for (width, value) in values.iter_mut().zip(row) {
                *width = (*width).max(value.as_deref().unwrap_or(NULL).width());
            }
        }
        let mut widths = Vec::with_capacity(values.len());
        let mut floors = Vec::with_capacity(values.len());
        for ((name, kind), values) in self.names.iter().zip(&self.kinds).zip(values) {
            let least = match kind {
                Kind::Number | Kind::Whole => values,
                Kind::Text => values.min(LEAST_TEXT),
            };
            widths.push(values.max(name.width()));
            floors.push(least.max(name.width().min(LEAST_NAME)));
        }
        let fits = match self.output.width() {
            Some(available) => narrow(&mut widths, &floors, available),
            None => true,
        };
        (widths, fits)
    }

    fn line(&self, row: &Row, widths: &[usize]) -> String {
        if row.iter().all(Option::is_some) {
            return self.plain_line(row, widths, false);
        }
        let mut line = String::new();
        for (index, (value, width)) in row.iter().zip(widths).enumerate() {
            let cell = self.cell(value.as_deref().unwrap_or(NULL), *width, index, false);
            let cell = match value {
                Some(_) => cell,
                // Only the word is dim, so that padding can be cut off.
                None => cell.replace(NULL, &self.output.style(Style::Dim, NULL)),
            };
            line.push_str(&cell);
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }

    fn plain_line(&self, row: &Row, widths: &[usize], is_heading: bool) -> String {
        let mut line = String::new();
        for (index, (value, width)) in row.iter().zip(widths).enumerate() {
            let value = value.as_deref().unwrap_or(NULL);
            line.push_str(&self.cell(value, *width, index, is_heading));
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }

    /// A value or heading in its column, elided where it does not fit. Numbers and times, and all
    /// values where no width limits the table, push the rest of their line to the right instead.
    fn cell(&self, value: &str, width: usize, index: usize, is_heading: bool) -> String {
        let kind = self.kinds.get(index).copied().unwrap_or(Kind::Text);
        let may_elide = is_heading || kind == Kind::Text;
        let value = match self.output.width() {
            Some(_) if may_elide => elide(value, width),
            _ => value.to_owned(),
        };
        let padding = " ".repeat(width.saturating_sub(value.width()));
        match kind {
            Kind::Number => format!("{padding}{value}"),
            Kind::Whole | Kind::Text => format!("{value}{padding}"),
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
        let narrow = written(Output::of_width(17));
        assert!(narrow.lines().all(|line| line.width() <= 17), "{narrow}");
        assert!(narrow.contains("a rather …  "), "{narrow}");
        assert!(narrow.contains("12345"), "{narrow}");
    }

    #[test]
    fn what_does_not_fit_is_written_one_value_a_line() {
        let narrow = written(Output::of_width(12));
        assert!(narrow.starts_with("─ row 1 ─\nplayer  anna"), "{narrow}");
        assert!(narrow.contains("player  a rather long name\nspent   NULL\n"), "{narrow}");
        let mut writer = TableWriter::new(&batch().schema(), Output::of_width(12));
        let mut sink = Vec::new();
        writer.finish(&mut sink, true).unwrap();
        assert_eq!(String::from_utf8(sink).unwrap(), "player  spent\n────────────\n");
    }

    #[test]
    fn numbers_are_never_cut() {
        let mut writer = TableWriter::new(&batch().schema(), Output::of_width(17));
        writer.state = State::Lines(vec![6, 3]);
        let mut sink = Vec::new();
        writer.write(&batch(), &mut sink).unwrap();
        assert!(String::from_utf8(sink).unwrap().contains("NULL    12345\n"));
    }

    #[test]
    fn wide_characters_are_not_cut_in_two() {
        assert_eq!(elide("日本語です", 5), "日本…");
        assert_eq!(elide("abc", 3), "abc");
    }
}

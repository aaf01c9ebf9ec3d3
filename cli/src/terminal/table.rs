//! Tables that fit the terminal.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::{Output, Style, printable};

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    heading: &'a str,
    alignment: CellAlignment,
}

impl<'a> Column<'a> {
    /// A column of words, aligned to the left.
    pub(crate) fn text(heading: &'a str) -> Self {
        Self { heading, alignment: CellAlignment::Left }
    }

    /// A column of numbers, aligned to the right.
    pub(crate) fn number(heading: &'a str) -> Self {
        Self { heading, alignment: CellAlignment::Right }
    }
}

impl Output {
    /// A table without a line break at its end. On a terminal too narrow for it, long cells are
    /// wrapped; elsewhere each row is one line. Control characters in cells are made visible.
    pub(crate) fn table(&self, columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
        let mut table = Table::new();
        // Two spaces between columns, a line under the headings, no frame.
        table.load_preset("     ─             ");
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let cell = |text: &str, column: &Column<'_>| {
            Cell::new(printable(text)).set_alignment(column.alignment)
        };
        table.set_header(columns.iter().map(|column| cell(column.heading, column)));
        for row in rows {
            table.add_row(row.iter().zip(columns).map(|(text, column)| cell(text, column)));
        }
        let last = columns.len().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index < last { 2 } else { 0 }));
        }
        let mut in_heading = true;
        let lines: Vec<String> = table
            .lines()
            .map(|line| {
                let line = line.trim_end();
                let is_rule = line.starts_with('─');
                let styled = match (in_heading, is_rule) {
                    (true, true) => self.style(Style::Dim, line),
                    (true, false) => self.style(Style::Bold, line),
                    (false, _) => line.to_string(),
                };
                in_heading &= !is_rule;
                styled
            })
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let columns = [Column::text("model"), Column::number("rows")];
        let table = Output::plain()
            .table(&columns, &rows(&[&["dim_player", "12"], &["x\x1b[1m", "1,234,567"]]));
        assert_eq!(
            table,
            "model            rows\n\
             ─────────────────────\n\
             dim_player         12\n\
             x␛[1m       1,234,567"
        );
    }

    #[test]
    fn a_narrow_terminal_wraps_and_a_pipe_does_not() {
        let columns = [Column::text("name"), Column::text("what it means to those who read it")];
        let rows = rows(&[&["a", "one long explanation that does not fit into thirty columns"]]);
        let narrow = Output { width: Some(30), ..Output::plain() }.table(&columns, &rows);
        assert!(narrow.lines().count() > 4, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        let piped = Output::plain().table(&columns, &rows);
        assert_eq!(piped.lines().count(), 3);
    }

    #[test]
    fn headings_are_bold_on_a_terminal() {
        let output = Output { colours: true, width: Some(80) };
        let table = output.table(&[Column::text("day")], &rows(&[&["today"]]));
        assert!(table.starts_with("\x1b[1mday\x1b[0m\n\x1b[2m──"), "{table:?}");
        assert!(table.ends_with("\ntoday"), "{table:?}");
    }
}

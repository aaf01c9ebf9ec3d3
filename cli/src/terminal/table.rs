//! Tables that fit the terminal.

use unicode_width::UnicodeWidthStr;

use super::widths::{GAP, line_width, narrow};
use super::wrap::wrap;
use super::{Output, Style, printable};

/// Narrowest that a column of text becomes before columns that can be missed are left out.
const COMFORTABLE_WIDTH: usize = 18;

/// Narrowest that a column of text becomes at all.
const LEAST_WIDTH: usize = 6;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    heading: &'a str,
    /// Whether values stand at the right.
    is_right: bool,
    /// Whether values may be broken into several lines.
    wraps: bool,
    /// Whether the column is left out where the terminal is too narrow.
    is_optional: bool,
}

impl<'a> Column<'a> {
    /// A column of words, aligned to the left; long ones are wrapped on a narrow terminal.
    pub(crate) fn text(heading: &'a str) -> Self {
        Self { heading, is_right: false, wraps: true, is_optional: false }
    }

    /// A column of what is read in one piece, such as a time or a state: never wrapped.
    pub(crate) fn word(heading: &'a str) -> Self {
        Self { wraps: false, ..Self::text(heading) }
    }

    /// A column of numbers, aligned to the right and never wrapped.
    pub(crate) fn number(heading: &'a str) -> Self {
        Self { is_right: true, ..Self::word(heading) }
    }

    /// The column, left out where the terminal is too narrow for all.
    pub(crate) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// The narrowest that it becomes, if text is to keep `text_width`.
    fn floor(&self, cells: usize, text_width: usize) -> usize {
        let heading = self.heading.split(' ').map(|word| word.width()).max().unwrap_or(0);
        let widest = cells.max(heading);
        if self.wraps { widest.min(text_width) } else { widest }
    }
}

/// What stands in one row of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// A text with this emphasis.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Some(style) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: None }
    }
}

/// A column that is shown, with its place in the rows.
struct Shown<'a> {
    column: Column<'a>,
    index: usize,
    width: usize,
}

impl Output {
    /// A table without a line break at its end. On a terminal too narrow for it, long texts are
    /// wrapped and optional columns left out; elsewhere each row is one line. Control characters in
    /// cells are made visible.
    pub(crate) fn table(&self, columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<Cell>> =
            rows.iter().map(|row| row.iter().cloned().map(Cell::from).collect()).collect();
        self.styled_table(columns, &rows)
    }

    /// As [`Output::table`], with emphasis in cells.
    pub(crate) fn styled_table(&self, columns: &[Column<'_>], rows: &[Vec<Cell>]) -> String {
        let rows: Vec<Vec<Cell>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| Cell { text: printable(&cell.text), ..cell.clone() })
                    .collect()
            })
            .collect();
        let shown = self.fit(columns, &rows);
        let heading = |shown: &Shown<'_>| Cell::styled(Style::Bold, shown.column.heading);
        let mut lines = self.row_lines(&shown, &shown.iter().map(heading).collect::<Vec<_>>());
        let widths: Vec<usize> = shown.iter().map(|column| column.width).collect();
        lines.push(self.style(Style::Dim, &"─".repeat(line_width(&widths))));
        for row in &rows {
            let cells: Vec<Cell> =
                shown.iter().filter_map(|column| row.get(column.index).cloned()).collect();
            lines.extend(self.row_lines(&shown, &cells));
        }
        lines.join("\n")
    }

    /// Which columns are shown, and how wide.
    fn fit<'a>(&self, columns: &[Column<'a>], rows: &[Vec<Cell>]) -> Vec<Shown<'a>> {
        let cells: Vec<usize> = (0..columns.len())
            .map(|index| {
                let widths = rows.iter().filter_map(|row| row.get(index)).map(|c| c.text.width());
                widths.max().unwrap_or(0)
            })
            .collect();
        let mut shown: Vec<Shown<'a>> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let width = cells[index].max(column.heading.width());
                Shown { column: *column, index, width }
            })
            .collect();
        let Some(available) = self.width() else { return shown };
        let mut text_width = COMFORTABLE_WIDTH;
        loop {
            let mut widths: Vec<usize> = shown.iter().map(|column| column.width).collect();
            let floors: Vec<usize> = shown
                .iter()
                .map(|column| column.column.floor(cells[column.index], text_width))
                .collect();
            let fits = narrow(&mut widths, &floors, available);
            if fits || text_width == LEAST_WIDTH {
                for (column, width) in shown.iter_mut().zip(widths) {
                    column.width = width;
                }
                return shown;
            }
            match shown.iter().rposition(|column| column.column.is_optional) {
                Some(missed) => {
                    shown.remove(missed);
                }
                None => text_width = LEAST_WIDTH,
            }
        }
    }

    /// One row, which takes as many lines as its tallest cell.
    fn row_lines(&self, shown: &[Shown<'_>], cells: &[Cell]) -> Vec<String> {
        let wrapped: Vec<Vec<String>> =
            shown.iter().zip(cells).map(|(column, cell)| wrap(&cell.text, column.width)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let mut lines = Vec::with_capacity(height);
        for at in 0..height {
            let mut line = String::new();
            // Spaces that are written when something follows them.
            let mut pending = 0;
            for ((column, cell), pieces) in shown.iter().zip(cells).zip(&wrapped) {
                let piece = pieces.get(at).map_or("", String::as_str);
                let padding = column.width.saturating_sub(piece.width());
                let (before, after) =
                    if column.column.is_right { (padding, 0) } else { (0, padding) };
                pending += before;
                if !piece.is_empty() {
                    line.push_str(&" ".repeat(pending));
                    pending = 0;
                    match cell.style {
                        Some(style) => line.push_str(&self.style(style, piece)),
                        None => line.push_str(piece),
                    }
                }
                pending += after + GAP;
            }
            lines.push(line);
        }
        lines
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
        let narrow = Output::of_width(30).table(&columns, &rows);
        assert!(narrow.lines().count() > 4, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        let piped = Output::plain().table(&columns, &rows);
        assert_eq!(piped.lines().count(), 3);
        let rule = piped.lines().nth(1).unwrap();
        let widest = piped.lines().map(|line| line.chars().count()).max();
        assert_eq!(Some(rule.chars().count()), widest, "{piped}");
    }

    #[test]
    fn numbers_stay_whole_and_what_can_be_missed_goes_first() {
        let columns = [
            Column::text("from"),
            Column::number("next offset"),
            Column::word("last commit").optional(),
        ];
        let rows = rows(&[&[
            "file:events.ndjson:fcd12f21f0233531/0",
            "460,319,421",
            "2026-11-22 16:42:15",
        ]]);
        let table = Output::of_width(34).table(&columns, &rows);
        assert_eq!(
            table,
            "from                   next offset\n\
             ──────────────────────────────────\n\
             file:events.ndjson:    460,319,421\n\
             fcd12f21f0233531/0"
        );
        assert!(Output::of_width(80).table(&columns, &rows).contains("last commit"));
    }

    #[test]
    fn headings_and_cells_are_styled_on_a_terminal() {
        let output = Output { colours: true, width: Some(80) };
        let table = output.styled_table(
            &[Column::text("day"), Column::number("n")],
            &[vec![Cell::styled(Style::Good, "today"), "1".to_owned().into()]],
        );
        assert!(table.starts_with("\x1b[1mday\x1b[0m    \x1b[1mn\x1b[0m\n\x1b[2m──"), "{table:?}");
        assert!(table.ends_with("\n\x1b[32mtoday\x1b[0m  1"), "{table:?}");
        let plain = Output::plain()
            .styled_table(&[Column::text("x")], &[vec![Cell::styled(Style::Bad, "no")]]);
        assert_eq!(plain, "x\n──\nno");
    }
}

//! The rustc-like rendering of diagnostics.

use std::fmt;

use super::{Diagnostic, Diagnostics, Severity, Style};

/// Columns of a terminal between two tab stops.
const TAB_WIDTH: usize = 4;
/// Widest excerpt of a source line, in terminal columns.
const EXCERPT_WIDTH: usize = 96;
/// How much of a long line is shown before the caret, in terminal columns.
const CONTEXT_BEFORE_CARET: usize = 40;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

pub(super) struct RenderedDiagnostic<'a> {
    pub(super) diagnostic: &'a Diagnostic,
    pub(super) style: Style,
}

impl RenderedDiagnostic<'_> {
    fn painted(&self, colour: &str, text: &str) -> String {
        match self.style {
            Style::Plain => text.to_owned(),
            Style::Ansi => format!("{colour}{text}{RESET}"),
        }
    }
}

impl fmt::Display for RenderedDiagnostic<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let diagnostic = self.diagnostic;
        let colour = match diagnostic.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
        };
        let mut place = printable(&diagnostic.file);
        if diagnostic.line > 0 {
            place.push_str(&format!(":{}:{}", diagnostic.line, diagnostic.column));
        }
        write!(
            formatter,
            "{}: {}: {}",
            self.painted(BOLD, &place),
            self.painted(colour, &diagnostic.severity.to_string()),
            printable(&diagnostic.message)
        )?;
        if let (Some(source_line), true) = (&diagnostic.source_line, diagnostic.line > 0) {
            let excerpt = Excerpt::new(source_line, diagnostic.column, diagnostic.length);
            let caret = self.painted(colour, &"^".repeat(excerpt.caret_width));
            write!(formatter, "\n{:>5} | {}", diagnostic.line, excerpt.text)?;
            write!(formatter, "\n{:>5} | {}{caret}", "", " ".repeat(excerpt.caret_start))?;
        }
        if let Some(hint) = &diagnostic.hint {
            write!(formatter, "\n   {} {}", self.painted(CYAN, "hint:"), printable(hint))?;
        }
        Ok(())
    }
}

pub(super) struct RenderedDiagnostics<'a> {
    pub(super) diagnostics: &'a Diagnostics,
    pub(super) style: Style,
}

impl fmt::Display for RenderedDiagnostics<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.diagnostics {
            writeln!(formatter, "{}\n", diagnostic.display(self.style))?;
        }
        formatter.write_str(&self.diagnostics.summary())
    }
}

/// The shown part of a source line, and where under it the caret stands (in terminal columns).
struct Excerpt {
    text: String,
    caret_start: usize,
    caret_width: usize,
}

impl Excerpt {
    fn new(source_line: &str, column: u64, length: u64) -> Self {
        let first = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let after = first.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        // Terminal column of each character; a place past the end is the end of the line.
        let mut cells = Vec::new();
        let mut width = 0;
        let mut caret_start = None;
        let mut caret_end = None;
        for (index, character) in source_line.chars().enumerate() {
            if index == first {
                caret_start = Some(width);
            }
            if index == after {
                caret_end = Some(width);
            }
            let cell_width = match character {
                '\t' => TAB_WIDTH - width % TAB_WIDTH,
                _ => terminal_width(character),
            };
            cells.push((width, cell_width, character));
            width += cell_width;
        }
        let caret_start = caret_start.unwrap_or(width);
        let caret_end = caret_end.unwrap_or(width).max(caret_start + 1);

        let (window_start, window_end) = window(width, caret_start);
        // A wide character that the window would cut in two is left out.
        let window_start = cells
            .iter()
            .map(|(start, _, _)| *start)
            .find(|start| *start >= window_start)
            .unwrap_or(window_start);
        let mut text = String::new();
        for (start, cell_width, character) in cells {
            if start < window_start || start + cell_width > window_end {
                continue;
            }
            match character {
                '\t' => text.push_str(&" ".repeat(cell_width)),
                other => text.push(printable_character(other)),
            }
        }
        let mut shift = 0;
        if window_start > 0 {
            text.insert(0, '…');
            shift = 1;
        }
        if window_end < width {
            text.push('…');
        }
        let caret_end = caret_end.clamp(caret_start + 1, window_end.max(caret_start + 1));
        Self {
            text,
            caret_start: caret_start - window_start + shift,
            caret_width: caret_end - caret_start,
        }
    }
}

/// The terminal columns of a line `width` wide that are shown around a caret.
fn window(width: usize, caret_start: usize) -> (usize, usize) {
    if width <= EXCERPT_WIDTH {
        return (0, width);
    }
    let latest_start = width - EXCERPT_WIDTH;
    let start = caret_start.saturating_sub(CONTEXT_BEFORE_CARET).min(latest_start);
    (start, start + EXCERPT_WIDTH)
}

/// Text that is safe on a terminal: control characters, which could be escape sequences, are
/// replaced.
fn printable(text: &str) -> String {
    text.chars().map(printable_character).collect()
}

fn printable_character(character: char) -> char {
    // Bidirectional overrides reorder what follows them on the screen.
    let reorders = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || reorders { '\u{fffd}' } else { character }
}

/// Terminal columns that a character takes: 2 for East Asian wide characters and emoji, 0 for
/// combining marks, 1 for all others.
fn terminal_width(character: char) -> usize {
    match character as u32 {
        0x0300..=0x036f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff01..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

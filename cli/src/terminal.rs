//! What commands show to people: text and tables on standard output, progress on standard error.
//!
//! Colours, bars and widths depend on what is at the other end: a terminal, a file or a pipe.

pub(crate) mod charts;
pub(crate) mod numbers;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod widths;
mod wrap;

use std::io::{self, IsTerminal, Write};

use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthStr;

/// Standard output: its width and whether it takes colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    colours: bool,
    /// Columns of the terminal; absent when the output goes elsewhere.
    width: Option<u16>,
}

/// Emphasis of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Headings.
    Bold,
    /// What can be overlooked.
    Dim,
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Something is wrong.
    Bad,
}

impl Style {
    /// The ANSI code that turns it on.
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// Narrowest that wrapped text becomes.
const LEAST_TEXT_WIDTH: usize = 20;

/// The ANSI code that turns every emphasis off.
const RESET: &str = "\x1b[0m";

impl Output {
    /// Standard output of this process.
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let width = terminal_size_of(&stdout).map(|(Width(columns), _)| columns);
        Self {
            colours: takes_colours(is_terminal),
            width: width.filter(|columns| is_terminal && *columns > 0),
        }
    }

    /// Output to a file or pipe: no colours and no limit of width.
    pub(crate) fn plain() -> Self {
        Self { colours: false, width: None }
    }

    /// A terminal of this width, without colours.
    #[cfg(test)]
    pub(crate) fn of_width(width: u16) -> Self {
        Self { colours: false, width: Some(width) }
    }

    /// Columns of the terminal, if it is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width.map(usize::from)
    }

    /// The text with this emphasis, where colours are shown.
    pub(crate) fn style(&self, style: Style, text: &str) -> String {
        if self.colours && !text.is_empty() {
            return format!("{}{text}{RESET}", style.code());
        }
        text.to_string()
    }

    /// A text behind a label. Where the terminal is too narrow for it, it goes on in further lines
    /// that begin where it began; elsewhere it is one line.
    pub(crate) fn labelled(&self, label: &str, style: Option<Style>, text: &str) -> String {
        let indent = label.width();
        let lines = match self.width() {
            // Hardly any room is left beside the label: the terminal breaks the line as it can.
            Some(width) if width >= indent + LEAST_TEXT_WIDTH => wrap::wrap(text, width - indent),
            _ => vec![text.to_owned()],
        };
        let styled: Vec<String> = lines
            .iter()
            .map(|line| match style {
                Some(style) => self.style(style, line),
                None => line.clone(),
            })
            .collect();
        format!("{label}{}", styled.join(&format!("\n{}", " ".repeat(indent))))
    }

    /// A sentence, broken between words where the terminal is too narrow for it.
    pub(crate) fn sentence(&self, text: &str) -> String {
        self.labelled("", None, text)
    }

    /// Writes a text and a line break. A reader that has seen enough (`| head`) is no failure.
    ///
    /// # Errors
    /// Any other failure to write.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Whether colours are shown at an end that is a terminal or is not: not with `NO_COLOR`, nor at a
/// terminal that knows none.
pub(crate) fn takes_colours(is_terminal: bool) -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !no_colour && !is_dumb_terminal()
}

/// A terminal that can neither colour nor move its cursor.
pub(crate) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// The text with control characters replaced by visible ones, so that data cannot steer the
/// terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            // The pictures of the 32 control characters stand in their order.
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(' '),
            '\x7f' => '\u{2421}',
            '\u{80}'..='\u{9f}' => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_show_only_with_colours() {
        let plain = Output::plain();
        assert_eq!(plain.style(Style::Bad, "no"), "no");
        let coloured = Output { colours: true, width: Some(80) };
        assert_eq!(coloured.style(Style::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(coloured.style(Style::Bold, ""), "");
    }

    #[test]
    fn text_goes_on_beside_its_label() {
        let text = "so many words that they need lines";
        let wrapped = Output::of_width(30).labelled("  why  ", None, text);
        assert_eq!(wrapped, "  why  so many words that they\n       need lines");
        assert_eq!(Output::plain().labelled("  why  ", None, text), format!("  why  {text}"));
        assert_eq!(Output::of_width(80).sentence("all is well"), "all is well");
    }

    #[test]
    fn a_pipe_takes_no_colours() {
        assert!(!takes_colours(false));
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\n\u{9b}c\x7f"), "a␛[31mb␊\u{fffd}c␡");
        assert_eq!(printable("żółw 🐢"), "żółw 🐢");
    }
}

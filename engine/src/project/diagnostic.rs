//! Mistakes in project files, each at its exact place.
//!
//! Reading a project never stops at the first mistake: every stage adds its [`Diagnostic`]s to
//! one [`Diagnostics`], and the user mends them all in one go.

use std::collections::BTreeSet;
use std::fmt;

mod render;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The project cannot be used.
    Error,
    /// The project can be used, but probably not as its author thinks.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Whether a rendered diagnostic carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Plain text.
    #[default]
    Plain,
    /// Text with ANSI escape sequences.
    Ansi,
}

/// One mistake in one project file.
///
/// Its `Display` is the plain rendering:
///
/// ```text
/// sql/facts/fact_session.sql:12:9: error: unknown column `sesion_id` in events.session_start
///    12 |     min(sesion_id) AS x,
///       |         ^^^^^^^^^
///    hint: did you mean `session_id`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// Path of the file relative to the project, with `/` between its parts.
    pub file: String,
    /// Line in the file, from 1; 0 when the mistake concerns the file as a whole.
    pub line: u64,
    /// Column in the line in characters, from 1; 0 when there is no line.
    pub column: u64,
    /// Number of characters that are wrong; the caret is at least one character wide.
    pub length: u64,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Text of the line, without its end.
    pub source_line: Option<String>,
}

impl Diagnostic {
    /// An error that concerns the file as a whole.
    pub fn error(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: 0,
            column: 0,
            length: 0,
            message: message.into(),
            hint: None,
            source_line: None,
        }
    }

    /// A warning that concerns the file as a whole.
    pub fn warning(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean …?" when there is a nearest name, and leaves the hint alone otherwise.
    #[must_use]
    pub fn with_nearest(mut self, nearest_name: Option<&str>) -> Self {
        if let Some(name) = nearest_name {
            self.hint = Some(format!("did you mean `{name}`?"));
        }
        self
    }

    /// The rendering in a given style; ends without a line break.
    pub fn display(&self, style: Style) -> impl fmt::Display + '_ {
        render::RenderedDiagnostic { diagnostic: self, style }
    }

    /// Order in a report: by place, the graver first where two share a place.
    fn sort_key(&self) -> (&str, u64, u64, Severity, &str) {
        (&self.file, self.line, self.column, self.severity, &self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Style::Plain).fmt(formatter)
    }
}

/// All mistakes found in a project, in the order of files and lines.
///
/// As an error it prints each of them and a closing count, such as "3 errors in 2 files".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Sorted by [`Diagnostic::sort_key`], without repetitions.
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; a repetition of one that is there is dropped.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let position = self.items.partition_point(|item| item.sort_key() < diagnostic.sort_key());
        if self.items.get(position).is_some_and(|item| item.sort_key() == diagnostic.sort_key()) {
            return;
        }
        self.items.insert(position, diagnostic);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of diagnostics of any severity.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether at least one is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Number of diagnostics of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|item| item.severity == severity).count()
    }

    /// The diagnostics by file, line and column.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    /// `value` when there is no error (warnings are let go: print them first), else `self`.
    ///
    /// # Errors
    /// The diagnostics, when one of them is an error.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.has_errors() { Err(self) } else { Ok(value) }
    }

    /// The rendering in a given style, with the closing count; ends without a line break.
    pub fn display(&self, style: Style) -> impl fmt::Display + '_ {
        render::RenderedDiagnostics { diagnostics: self, style }
    }

    /// The closing count: "1 error, 2 warnings in 2 files".
    pub fn summary(&self) -> String {
        let files: BTreeSet<&str> = self.items.iter().map(|item| item.file.as_str()).collect();
        let mut parts = Vec::new();
        for severity in [Severity::Error, Severity::Warning] {
            let count = self.count(severity);
            if count > 0 {
                parts.push(counted(count, &severity.to_string()));
            }
        }
        if parts.is_empty() {
            return "no errors".to_owned();
        }
        format!("{} in {}", parts.join(", "), counted(files.len(), "file"))
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.items.extend(diagnostics);
        self.items.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
        self.items.dedup_by(|later, earlier| later.sort_key() == earlier.sort_key());
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut collected = Self::new();
        collected.extend(diagnostics);
        collected
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Style::Plain).fmt(formatter)
    }
}

impl std::error::Error for Diagnostics {}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Names longer than this are not compared: nobody mistypes them, and comparing is quadratic.
const LONGEST_COMPARED_NAME: usize = 64;

/// The candidate that `name` was probably meant to be, whatever its case.
///
/// A candidate is near when at most a third of the longer name's characters (at least one) were
/// mistyped, swapped, left out or added; failing that, when it is the only one that continues
/// `name`, as `price_usd` continues `price`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let wanted_length = wanted.chars().count();
    if wanted_length == 0 || wanted_length > LONGEST_COMPARED_NAME {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    let mut continuations = Vec::new();
    for candidate in candidates {
        let compared = candidate.to_lowercase();
        let length = compared.chars().count();
        if length > LONGEST_COMPARED_NAME {
            continue;
        }
        let threshold = (wanted_length.max(length) / 3).max(1);
        let distance = strsim::damerau_levenshtein(&wanted, &compared);
        // A distance of the whole length shares no character with the name.
        let near = distance <= threshold && distance < wanted_length.max(length);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
        let continues = compared.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with('_'))
            || compared.strip_suffix(&wanted).is_some_and(|rest| rest.ends_with('_'));
        if continues {
            continuations.push(candidate);
        }
    }
    match (best, continuations.as_slice()) {
        (Some((_, candidate)), _) => Some(candidate),
        (None, [only]) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! The SQL files of a project folder, and places in their text.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Largest accepted project file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Longest accepted file stem, in bytes: PostgreSQL's limit for the name of a table.
pub const MAX_NAME_BYTES: usize = 63;

/// Diagnostics do not repeat a line that is longer than this, in bytes.
const MAX_QUOTED_LINE_BYTES: usize = 16 << 10;

/// A place in a text: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// A value together with the place in the file that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Line in the file, from 1.
    pub line: u64,
    /// Column in the line in characters, from 1.
    pub column: u64,
    /// Number of characters that the value was written with.
    pub length: u64,
}

impl<T> Located<T> {
    /// Another value read from the same place.
    pub fn with<U>(&self, value: U) -> Located<U> {
        Located { value, line: self.line, column: self.column, length: self.length }
    }
}

/// The text of one project file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    path: String,
    text: String,
    /// Byte offset of each line's first character; never empty.
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// A file with a path relative to the project (`/` between its parts) and its text. A byte
    /// order mark at the start of the text is dropped.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(offset, _)| offset + 1));
        Self { path: path.into(), text, line_starts }
    }

    /// Path relative to the project.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's name without folder and `.sql`: the name of the event type, model, check or
    /// query.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.strip_suffix(".sql").unwrap_or(name)
    }

    /// Number of lines; a text that ends with a line break has an empty last line.
    pub fn line_count(&self) -> u64 {
        self.line_starts.len() as u64
    }

    /// Text of a line (from 1) without its end.
    pub fn line_text(&self, line: u64) -> Option<&str> {
        let index = usize::try_from(line.checked_sub(1)?).ok()?;
        let start = *self.line_starts.get(index)?;
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        let line_text = self.text.get(start..end)?;
        let line_text = line_text.strip_suffix('\n').unwrap_or(line_text);
        Some(line_text.strip_suffix('\r').unwrap_or(line_text))
    }

    /// The place of a byte offset. An offset past the end is the end; one inside a character is
    /// that character's place.
    pub fn position(&self, byte_offset: usize) -> Position {
        let mut offset = byte_offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = self.line_starts[line - 1];
        let column = self.text[line_start..offset].chars().count() + 1;
        Position { line: line as u64, column: column as u64 }
    }

    /// The byte offset of a place, or `None` when the file has no such line or the line is
    /// shorter. The place just after a line's last character counts as part of the line.
    pub fn offset(&self, position: Position) -> Option<usize> {
        let line_text = self.line_text(position.line)?;
        let line_start = self.line_starts[usize::try_from(position.line - 1).ok()?];
        let wanted = usize::try_from(position.column.checked_sub(1)?).ok()?;
        let mut characters = line_text.char_indices();
        for _ in 0..wanted {
            characters.next()?;
        }
        Some(line_start + characters.next().map_or(line_text.len(), |(offset, _)| offset))
    }

    /// The place, or the end of its line where that is shorter: parsers count the `\r` at a line's
    /// end, which is no part of it here.
    pub fn within_line(&self, position: Position) -> Position {
        if self.offset(position).is_some() {
            return position;
        }
        let characters = self.line_text(position.line).map_or(0, |line| line.chars().count());
        Position { column: characters as u64 + 1, ..position }
    }

    /// A diagnostic at a place of this file, `length` characters long, with the text of the line.
    pub fn diagnostic(
        &self,
        severity: Severity,
        position: Position,
        length: u64,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            file: self.path.clone(),
            line: position.line,
            column: position.column,
            length,
            message: message.into(),
            hint: None,
            source_line: self
                .line_text(position.line)
                .filter(|line| line.len() <= MAX_QUOTED_LINE_BYTES)
                .map(str::to_owned),
        }
    }

    /// An error at a place of this file, `length` characters long.
    pub fn error_at(
        &self,
        position: Position,
        length: u64,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.diagnostic(Severity::Error, position, length, message)
    }

    /// An error at the place that a value was read from.
    pub fn error_for<T>(&self, located: &Located<T>, message: impl Into<String>) -> Diagnostic {
        let position = Position { line: located.line, column: located.column };
        self.error_at(position, located.length, message)
    }
}

/// The folders of a project that hold SQL files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceFolder {
    /// Contracts of event types.
    Events,
    /// Models of dimensions.
    Dimensions,
    /// Models of facts.
    Facts,
    /// Models of marts.
    Marts,
    /// Checks: the rows that are wrong.
    Checks,
    /// Saved queries.
    Queries,
}

impl SourceFolder {
    /// Every folder, in the order in which they are read.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Dimensions, Self::Facts, Self::Marts, Self::Checks, Self::Queries];

    /// Path relative to the project.
    pub fn path(self) -> &'static str {
        match self {
            Self::Events => "sql/events",
            Self::Dimensions => "sql/dimensions",
            Self::Facts => "sql/facts",
            Self::Marts => "sql/marts",
            Self::Checks => "sql/checks",
            Self::Queries => "queries",
        }
    }
}

/// The SQL files of a project, each kind sorted by name. A folder that is missing has no files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSources {
    /// Files of `sql/events`.
    pub events: Vec<SourceFile>,
    /// Files of `sql/dimensions`.
    pub dimensions: Vec<SourceFile>,
    /// Files of `sql/facts`.
    pub facts: Vec<SourceFile>,
    /// Files of `sql/marts`.
    pub marts: Vec<SourceFile>,
    /// Files of `sql/checks`.
    pub checks: Vec<SourceFile>,
    /// Files of `queries`.
    pub queries: Vec<SourceFile>,
}

impl ProjectSources {
    /// The files of one folder.
    pub fn folder(&self, folder: SourceFolder) -> &[SourceFile] {
        match folder {
            SourceFolder::Events => &self.events,
            SourceFolder::Dimensions => &self.dimensions,
            SourceFolder::Facts => &self.facts,
            SourceFolder::Marts => &self.marts,
            SourceFolder::Checks => &self.checks,
            SourceFolder::Queries => &self.queries,
        }
    }

    fn folder_mut(&mut self, folder: SourceFolder) -> &mut Vec<SourceFile> {
        match folder {
            SourceFolder::Events => &mut self.events,
            SourceFolder::Dimensions => &mut self.dimensions,
            SourceFolder::Facts => &mut self.facts,
            SourceFolder::Marts => &mut self.marts,
            SourceFolder::Checks => &mut self.checks,
            SourceFolder::Queries => &mut self.queries,
        }
    }
}

/// Reads every SQL file of the project in `project_directory`.
///
/// Hidden files, editors' backups and files of other kinds are passed over. A file that cannot be
/// read, is not UTF-8, is larger than [`MAX_FILE_BYTES`] or whose name is no identifier is an
/// error in the returned diagnostics and missing from the sources.
pub fn read_sources(project_directory: &Path) -> (ProjectSources, Diagnostics) {
    let mut sources = ProjectSources::default();
    let mut diagnostics = Diagnostics::new();
    for folder in SourceFolder::ALL {
        *sources.folder_mut(folder) = read_folder(project_directory, folder, &mut diagnostics);
    }
    (sources, diagnostics)
}

fn read_folder(
    project_directory: &Path,
    folder: SourceFolder,
    diagnostics: &mut Diagnostics,
) -> Vec<SourceFile> {
    let directory = project_directory.join(folder.path());
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("cannot list the folder: {error}");
            diagnostics.push(Diagnostic::error(folder.path(), message));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let message = format!("cannot list the folder: {error}");
                diagnostics.push(Diagnostic::error(folder.path(), message));
                break;
            }
        };
        // A name that is not UTF-8 cannot be an identifier: its lossy form is reported as such.
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = sql_file_stem(&name) else { continue };
        let path = format!("{}/{name}", folder.path());
        if let Some(diagnostic) = wrong_stem(&path, stem) {
            diagnostics.push(diagnostic);
            continue;
        }
        match read_file(&entry.path()) {
            Ok(text) => files.push(SourceFile::new(path, text)),
            Err(message) => diagnostics.push(Diagnostic::error(path, message)),
        }
    }
    files.sort_by(|left, right| left.path().cmp(right.path()));
    files
}

/// The stem of a file that belongs to a project. Hidden files, and with them the lock files of
/// editors, begin with a dot; their backups end otherwise or are wrapped in `#`.
fn sql_file_stem(name: &str) -> Option<&str> {
    if name.starts_with(['.', '#', '~']) {
        return None;
    }
    name.strip_suffix(".sql")
}

fn wrong_stem(path: &str, stem: &str) -> Option<Diagnostic> {
    if stem.len() > MAX_NAME_BYTES {
        let message = format!("the file's name is longer than {MAX_NAME_BYTES} bytes");
        let hint = "the name becomes the name of a table: shorten it";
        return Some(Diagnostic::error(path, message).with_hint(hint));
    }
    if is_identifier(stem) {
        return None;
    }
    let hint = match suggested_identifier(stem) {
        Some(name) => format!("rename it to `{name}.sql`"),
        None => "use letters a to z, digits and `_`, not beginning with a digit".to_owned(),
    };
    let message = "the file's name is not a lower-case SQL identifier";
    Some(Diagnostic::error(path, message).with_hint(hint))
}

pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let cannot_read = |error: io::Error| format!("cannot read the file: {error}");
    let metadata = fs::metadata(path).map_err(cannot_read)?;
    if !metadata.is_file() {
        // Opening a named pipe would wait for ever.
        return Err("this is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    // The file may grow between the two calls, so the limit is on what is read.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file is larger than {} KiB", MAX_FILE_BYTES / 1024));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("the file is not UTF-8: invalid byte at offset {offset}, in line {line}")
    })
}

/// Whether `name` is a lower-case SQL identifier: `[a-z_][a-z0-9_]*`.
pub fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The identifier that somebody who wrote `name` probably wants: `levelId` and `Level-ID` become
/// `level_id`. `None` when too little of it can be kept.
pub fn suggested_identifier(name: &str) -> Option<String> {
    let mut suggestion = String::new();
    let mut previous_was_lower = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && previous_was_lower {
            suggestion.push('_');
        }
        previous_was_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        let kept =
            if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' };
        if kept != '_' || !suggestion.ends_with('_') {
            suggestion.push(kept);
        }
    }
    let trimmed = suggestion.trim_matches('_');
    (is_identifier(trimmed) && trimmed.len() <= MAX_NAME_BYTES).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests;

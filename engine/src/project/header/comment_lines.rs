//! The lines of a header: which are prose, and which are settings.

use crate::project::diagnostic::{Diagnostic, Severity, nearest};
use crate::project::source::{Located, Position, SourceFile};

/// More lines than the header of a well-meant file has.
const MAX_LINES: usize = 2_000;

/// More mistyped characters than a name of a setting can have and still be one.
const MAX_MISTYPED: usize = 2;

/// Which settings a kind of file has.
pub(super) struct Grammar {
    /// Names of settings, of which each may stand once.
    pub(super) settings: &'static [&'static str],
    /// Names of other tools, the setting that each stands for (if any), and what to write instead.
    pub(super) foreign: &'static [(&'static str, &'static str, &'static str)],
    /// Words that a name follows before the colon: `@` or `param`.
    pub(super) subjects: &'static [&'static str],
}

/// A piece of a setting's value: one line of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) start: Position,
    pub(super) text: &'a str,
}

impl<'a> Fragment<'a> {
    /// The part of this fragment from byte `start` to byte `end`, without space around it.
    pub(super) fn part(&self, start: usize, end: usize) -> Fragment<'a> {
        let text = &self.text[start..end];
        let trimmed = text.trim_start();
        let skipped = &self.text[..end - trimmed.len()];
        let column = self.start.column + skipped.chars().count() as u64;
        Fragment { start: Position { column, ..self.start }, text: trimmed.trim_end() }
    }

    /// The value with this fragment's place.
    pub(super) fn locate<T>(&self, value: T) -> Located<T> {
        let length = self.text.chars().count() as u64;
        Located { value, line: self.start.line, column: self.start.column, length }
    }
}

/// One `name: value` of a header.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// Name of the setting, or the subject word.
    pub(super) name: Located<&'static str>,
    /// The name after a subject word.
    pub(super) subject: Option<Fragment<'a>>,
    /// The lines of the value, without remarks; none is empty.
    pub(super) value: Vec<Fragment<'a>>,
    /// The remark after the value's last line.
    pub(super) remark: Option<&'a str>,
}

/// A header taken apart.
#[derive(Debug, Default)]
pub(super) struct HeaderText<'a> {
    pub(super) description: Option<String>,
    pub(super) settings: Vec<Setting<'a>>,
    /// Settings that the author meant to make by lines that were refused.
    pub(super) attempted: Vec<&'static str>,
}

impl HeaderText<'_> {
    /// Whether the header has the setting, or a failed attempt at it: reporting that it is
    /// missing would only repeat that.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attempted.contains(&name)
            || self.settings.iter().any(|setting| setting.name.value == name)
    }
}

/// Takes the header of a file apart, and reports lines that look like settings and are none.
pub(super) fn read_header<'a>(
    file: &'a SourceFile,
    grammar: &Grammar,
    diagnostics: &mut Vec<Diagnostic>,
) -> HeaderText<'a> {
    let (mut lines, body_line) = comment_lines(file);
    if lines.len() > MAX_LINES {
        let at = lines[MAX_LINES].content.locate(());
        let message = format!("the header has more than {MAX_LINES} lines");
        diagnostics.push(file.error_for(&at, message));
        lines.truncate(MAX_LINES);
    }
    let mut header = HeaderText::default();
    let mut description: Vec<&str> = Vec::new();
    let mut description_ended = false;
    let mut index = 0;
    while index < lines.len() {
        let line = &lines[index];
        index += 1;
        let Some(found) = recognise(&line.content, grammar) else {
            if line.content.text.is_empty() {
                description_ended |= !description.is_empty();
            } else if !description_ended {
                description.push(line.content.text);
            }
            continue;
        };
        description_ended |= !description.is_empty();
        match found {
            Recognised::Setting { name, subject, value } => {
                let (value, remark, next) = match name.value {
                    "@" => read_text(value, &lines, index, grammar),
                    _ => read_value(value, &lines, index, grammar),
                };
                index = next;
                let repeated = subject.is_none()
                    && header.settings.iter().any(|setting| setting.name.value == name.value);
                if repeated {
                    let message = format!("`{}` is set twice", name.value);
                    diagnostics.push(
                        file.error_for(&name, message)
                            .with_hint("keep one of the two lines; a value can go on in the next line after a comma"),
                    );
                    continue;
                }
                if value.is_empty() {
                    header.attempted.push(name.value);
                    let message = format!("`{}` has no value", name.value);
                    diagnostics.push(file.error_for(&name, message));
                    continue;
                }
                header.settings.push(Setting { name, subject, value, remark });
            }
            Recognised::WithEquals { name } => {
                header.attempted.push(name.value);
                let message = format!("`{}` is followed by `=`", name.value);
                let hint = format!("write `{}: …`", name.value);
                diagnostics.push(file.error_for(&name, message).with_hint(hint));
            }
            Recognised::Nearly { word, meant } => {
                header.attempted.push(meant);
                let message = format!("unknown setting `{}`", word.value);
                diagnostics.push(file.error_for(&word, message).with_nearest(Some(meant)));
            }
            Recognised::Foreign { word, meant, hint } => {
                header.attempted.push(meant);
                let message = format!("unknown setting `{}`", word.value);
                diagnostics.push(file.error_for(&word, message).with_hint(hint));
            }
        }
    }
    warn_of_settings_in_body(file, body_line, grammar, diagnostics);
    if !description.is_empty() {
        header.description = Some(description.join(" "));
    }
    header
}

/// A comment line of the header, without its comment marks and the space around it.
struct CommentLine<'a> {
    content: Fragment<'a>,
    /// Whether it is indented deeper than the one space that usually follows `--`.
    indented: bool,
}

/// The header's lines, and the number of the first line that is not one of them.
fn comment_lines(file: &SourceFile) -> (Vec<CommentLine<'_>>, u64) {
    let mut lines = Vec::new();
    let mut in_block_comment = false;
    for number in 1..=file.line_count() {
        let whole = file.line_text(number).unwrap_or_default();
        let line = Fragment { start: Position { line: number, column: 1 }, text: whole };
        let trimmed = line.part(0, whole.len());
        let marks = if in_block_comment {
            trimmed.text.len() - trimmed.text.trim_start_matches('*').len()
        } else if trimmed.text.is_empty() {
            0
        } else if trimmed.text.starts_with("--") {
            trimmed.text.len() - trimmed.text.trim_start_matches('-').len()
        } else if trimmed.text.starts_with("/*") {
            in_block_comment = true;
            2 + trimmed.text[2..].len() - trimmed.text[2..].trim_start_matches('*').len()
        } else {
            return (lines, number);
        };
        let mut end = trimmed.text.len();
        if in_block_comment {
            // `*/` may begin among the stars that were just taken for decoration.
            let search_start = if trimmed.text.starts_with("/*") { 2 } else { 0 };
            if let Some(found) = trimmed.text[search_start..].find("*/") {
                end = search_start + found;
                in_block_comment = false;
                let after = trimmed.text[end + 2..].trim_start();
                if !after.is_empty() && !after.starts_with("--") {
                    return (lines, number);
                }
            }
        }
        let marks = marks.min(end);
        let content = trimmed.part(marks, end);
        let marks_end = trimmed.start.column + trimmed.text[..marks].chars().count() as u64;
        lines.push(CommentLine { indented: content.start.column > marks_end + 1, content });
    }
    (lines, file.line_count() + 1)
}

enum Recognised<'a> {
    Setting { name: Located<&'static str>, subject: Option<Fragment<'a>>, value: Fragment<'a> },
    WithEquals { name: Located<&'static str> },
    Nearly { word: Located<&'a str>, meant: &'static str },
    Foreign { word: Located<&'a str>, meant: &'static str, hint: &'static str },
}

/// What a line is if it is no prose.
fn recognise<'a>(line: &Fragment<'a>, grammar: &Grammar) -> Option<Recognised<'a>> {
    if let Some(with_subject) = recognise_subject(line, grammar) {
        return Some(with_subject);
    }
    let word_end = line.text.find(|c: char| !is_word_character(c))?;
    let word = line.part(0, word_end);
    if word.text.is_empty() {
        return None;
    }
    let after_word = line.text[word_end..].trim_start();
    let separator_end = line.text.len() - after_word.len() + 1;
    let known = grammar.settings.iter().find(|known| known.eq_ignore_ascii_case(word.text));
    if after_word.starts_with('=') && known.is_some_and(|known| *known == word.text) {
        return known.map(|known| Recognised::WithEquals { name: word.locate(*known) });
    }
    if !after_word.starts_with(':') || after_word.starts_with("::") {
        return None;
    }
    if let Some(known) = known {
        let value = line.part(separator_end, line.text.len());
        return Some(Recognised::Setting { name: word.locate(*known), subject: None, value });
    }
    if let Some((_, meant, hint)) = grammar.foreign.iter().find(|(name, ..)| *name == word.text) {
        return Some(Recognised::Foreign { word: word.locate(word.text), meant, hint });
    }
    // Prose begins with a capital letter; a mistyped setting does not.
    if word.text.starts_with(|first: char| first.is_ascii_lowercase()) {
        let meant = nearest(word.text, grammar.settings.iter().copied())?;
        if strsim::damerau_levenshtein(word.text, meant) > MAX_MISTYPED {
            return None;
        }
        return Some(Recognised::Nearly { word: word.locate(word.text), meant });
    }
    None
}

/// `@name: text` and `param name: text`.
fn recognise_subject<'a>(line: &Fragment<'a>, grammar: &Grammar) -> Option<Recognised<'a>> {
    for word in grammar.subjects {
        let Some(rest) = line.text.strip_prefix(word) else { continue };
        if *word != "@" && !rest.starts_with([' ', '\t']) {
            continue;
        }
        let Some(colon) = rest.find(':') else { continue };
        let colon = word.len() + colon;
        let subject = line.part(word.len(), colon);
        if subject.text.is_empty() || subject.text.contains(char::is_whitespace) {
            continue;
        }
        let name = line.part(0, word.len()).locate(*word);
        let value = line.part(colon + 1, line.text.len());
        return Some(Recognised::Setting { name, subject: Some(subject), value });
    }
    None
}

fn is_word_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

/// A value, its remark, and the index of the line after it.
type ReadValue<'a> = (Vec<Fragment<'a>>, Option<&'a str>, usize);

/// Collects a value, which goes on in the next line after a comma.
fn read_value<'a>(
    first: Fragment<'a>,
    lines: &[CommentLine<'a>],
    mut index: usize,
    grammar: &Grammar,
) -> ReadValue<'a> {
    let (mut last, mut remark) = split_remark(first);
    let mut fragments = vec![last];
    while last.text.is_empty() || last.text.ends_with(',') {
        let Some(content) = continuation(lines, index, grammar) else { break };
        (last, remark) = split_remark(content.content);
        fragments.push(last);
        index += 1;
    }
    fragments.retain(|fragment| !fragment.text.is_empty());
    (fragments, remark, index)
}

/// Collects a text, which goes on in the next line when that is indented.
fn read_text<'a>(
    first: Fragment<'a>,
    lines: &[CommentLine<'a>],
    mut index: usize,
    grammar: &Grammar,
) -> ReadValue<'a> {
    let mut fragments = vec![first];
    while let Some(line) = continuation(lines, index, grammar).filter(|line| line.indented) {
        fragments.push(line.content);
        index += 1;
    }
    fragments.retain(|fragment| !fragment.text.is_empty());
    (fragments, None, index)
}

/// The line at `index`, if it can belong to the value above it.
fn continuation<'a, 'b>(
    lines: &'b [CommentLine<'a>],
    index: usize,
    grammar: &Grammar,
) -> Option<&'b CommentLine<'a>> {
    let line = lines.get(index)?;
    let ends_value = line.content.text.is_empty() || recognise(&line.content, grammar).is_some();
    (!ends_value).then_some(line)
}

/// Cuts a value off where ` --` begins a remark.
fn split_remark(value: Fragment<'_>) -> (Fragment<'_>, Option<&str>) {
    if value.text.starts_with("--") {
        return (value.part(0, 0), Some(value.text[2..].trim()));
    }
    match value.text.find(" --") {
        Some(start) => (value.part(0, start), Some(value.text[start + 3..].trim())),
        None => (value, None),
    }
}

/// A setting below the first line of SQL has no effect: say so, rather than load the model in a
/// way that its author did not mean.
fn warn_of_settings_in_body(
    file: &SourceFile,
    body_line: u64,
    grammar: &Grammar,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for number in body_line..=file.line_count() {
        let whole = file.line_text(number).unwrap_or_default();
        let line = Fragment { start: Position { line: number, column: 1 }, text: whole };
        let trimmed = line.part(0, whole.len());
        if !trimmed.text.starts_with("--") {
            continue;
        }
        let content = trimmed.part(2, trimmed.text.len());
        if let Some(Recognised::Setting { name, subject: None, .. }) = recognise(&content, grammar)
        {
            let message = format!("`{}` has no effect here", name.value);
            let position = Position { line: name.line, column: name.column };
            diagnostics.push(
                file.diagnostic(Severity::Warning, position, name.length, message).with_hint(
                    "settings stand in the comment at the top of the file, above the SQL",
                ),
            );
        }
    }
}

//! Errors of the SQL parser and planner as places in a file.

use datafusion::common::diagnostic::Diagnostic as SqlDiagnostic;
use datafusion::common::{DataFusionError, Span as SqlSpan};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::project::contract_parser::friendly;
use crate::project::diagnostic::Diagnostic;
use crate::project::source::{Position, SourceFile};

/// The start of a span, unless it is empty.
pub(crate) fn span_position(span: Span) -> Option<Position> {
    (span.start.line > 0).then_some(Position { line: span.start.line, column: span.start.column })
}

/// The first diagnostic for an error of the SQL parser or planner.
pub(crate) fn locate(file: &SourceFile, error: &DataFusionError) -> Diagnostic {
    locate_all(file, error).into_iter().next().unwrap_or_else(|| {
        file.error_at(Position { line: 1, column: 1 }, 1, tidy(&error.to_string()))
    })
}

/// Every diagnostic for an error of the SQL parser or planner.
pub(crate) fn locate_all(file: &SourceFile, error: &DataFusionError) -> Vec<Diagnostic> {
    if let DataFusionError::Collection(errors) = error {
        return errors.iter().flat_map(|error| locate_all(file, error)).collect();
    }
    if let Some(diagnostic) = error.diagnostic()
        && let Some(span) = diagnostic.span
    {
        return vec![from_sql_diagnostic(file, diagnostic, span, &error.find_root().to_string())];
    }
    let message = error.find_root().to_string();
    if let Some((message, position)) = split_position(&message) {
        return vec![file.error_at(position, 1, tidy(&message))];
    }
    let position = quoted_name_position(file, &message);
    vec![file.error_at(position, 1, tidy(&message))]
}

fn from_sql_diagnostic(
    file: &SourceFile,
    diagnostic: &SqlDiagnostic,
    span: SqlSpan,
    full_message: &str,
) -> Diagnostic {
    let position = Position { line: span.start.line, column: span.start.column };
    let length = if span.end.line == span.start.line {
        span.end.column.saturating_sub(span.start.column).max(1)
    } else {
        1
    };
    let mut located = file.error_at(position, length, tidy(&diagnostic.message));
    let mut hints: Vec<String> =
        diagnostic.notes.iter().map(|note| rephrase_hint(&note.message)).collect();
    hints.extend(diagnostic.helps.iter().map(|help| rephrase_hint(&help.message)));
    if hints.is_empty()
        && let Some((_, fields)) = full_message.split_once("Valid fields are ")
    {
        hints.push(known_columns(fields.trim_end_matches('.')));
    }
    if !hints.is_empty() {
        located = located.with_hint(hints.join("; "));
    }
    located
}

/// Names as in `p.name, p.country`, without the table if all are of the same, and not all of very
/// many.
fn known_columns(fields: &str) -> String {
    const MOST: usize = 12;
    let names: Vec<&str> = fields.split(", ").collect();
    let table_of = |name: &str| name.rsplit_once('.').map(|(table, _)| table.to_owned());
    let first_table = names.first().and_then(|name| table_of(name));
    let is_one_table = names.iter().all(|name| table_of(name) == first_table);
    let shown: Vec<&str> = names
        .iter()
        .take(MOST)
        .map(|name| match name.rsplit_once('.') {
            Some((_, column)) if is_one_table => column,
            _ => *name,
        })
        .collect();
    let more = match names.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("known columns: {}{more}", shown.join(", "))
}

/// A planner's suggestion in the words of ours.
fn rephrase_hint(message: &str) -> String {
    match message.strip_prefix("Possible function ").and_then(quoted) {
        Some((name, "")) => format!("did you mean `{name}`?"),
        _ => message.to_owned(),
    }
}

/// What the quotes at the beginning hold, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('\'')?.split_once('\'')
}

/// The parser's and planner's most frequent messages in the words of ours.
fn rephrase(message: &str) -> String {
    if message.starts_with("Expected: ") {
        let message = message.split_once(" at Line: ").map_or(message, |(message, _)| message);
        return friendly(message);
    }
    // A function says itself what it takes; what its types look like inside is of no use.
    if let Some((_, reason)) = message.split_once(" user-defined coercion failed with: ") {
        let reason = reason.strip_prefix("Error during planning: ").unwrap_or(reason);
        let end = reason.find(". No function matches").unwrap_or(reason.len());
        return reason[..end].to_owned();
    }
    if let Some((name, "")) = message.strip_prefix("Invalid function ").and_then(quoted) {
        return format!("there is no function `{name}`");
    }
    match message.strip_prefix("column ").and_then(quoted) {
        Some((column, " not found")) => format!("there is no column `{column}`"),
        Some((column, rest)) => match rest.strip_prefix(" not found in ").and_then(quoted) {
            Some((table, "")) => format!("there is no column `{column}` in `{table}`"),
            _ => message.to_owned(),
        },
        None => message.to_owned(),
    }
}

/// Splits `… at Line: 3, Column: 8` off a parser's message.
fn split_position(message: &str) -> Option<(String, Position)> {
    let (text, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    let position = Position { line: line.parse().ok()?, column: digits.parse().ok()? };
    Some((text.to_owned(), position))
}

/// Where the file has the first name that the message quotes; else its first line of SQL.
fn quoted_name_position(file: &SourceFile, message: &str) -> Position {
    for name in message.split(['\'', '`', '"']).skip(1).step_by(2) {
        let short = name.rsplit('.').next().unwrap_or(name);
        if short.len() > 1
            && let Some(offset) = sql_offset(file, short)
        {
            return file.position(offset);
        }
    }
    let mut line = 1;
    while file.line_text(line).is_some_and(|text| {
        let text = text.trim_start();
        text.is_empty() || text.starts_with("--")
    }) {
        line += 1;
    }
    Position { line: line.min(file.line_count()), column: 1 }
}

/// Byte offset of `name` in the file, outside of comment lines.
fn sql_offset(file: &SourceFile, name: &str) -> Option<usize> {
    let mut offset = 0;
    for line in file.text().split_inclusive('\n') {
        if !line.trim_start().starts_with("--")
            && let Some(found) = line.find(name)
        {
            return Some(offset + found);
        }
        offset += line.len();
    }
    None
}

/// A planner's message without the prefixes that only its developers need.
pub(crate) fn tidy(message: &str) -> String {
    let mut text = message;
    for prefix in [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "ParserError(\"",
        "sql parser error: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Arrow error: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.trim_end_matches("\")").replace("\\\"", "\"");
    let first_line = text.lines().next().unwrap_or_default();
    rephrase(first_line.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_in_our_words() {
        assert_eq!(
            tidy(
                "SQL error: ParserError(\"Expected: end of statement, found: x at Line: 1, Column: 4\")"
            ),
            "expected end of statement, found `x`"
        );
        assert_eq!(tidy("Expected: ), found: EOF"), "expected )");
        assert_eq!(tidy("column 'pric' not found"), "there is no column `pric`");
        assert_eq!(tidy("column 'pric' not found in 'p'"), "there is no column `pric` in `p`");
        assert_eq!(tidy("column 'x' is ambiguous"), "column 'x' is ambiguous");
        assert_eq!(
            tidy("Error during planning: Invalid function 'coun'."),
            "there is no function `coun`"
        );
        assert_eq!(
            tidy(
                "Execution error: Function 'min_by' user-defined coercion failed with: Error during \
                 planning: min_by takes a value and a key. No function matches the given name and \
                 argument types 'min_by(Int64)'. You might need to add explicit type casts."
            ),
            "min_by takes a value and a key"
        );
        assert_eq!(rephrase_hint("Possible function 'count'"), "did you mean `count`?");
        assert_eq!(rephrase_hint("cast it"), "cast it");
    }

    #[test]
    fn known_columns_are_few_and_short() {
        assert_eq!(known_columns("p.name, p.country"), "known columns: name, country");
        assert_eq!(known_columns("p.name, q.name"), "known columns: p.name, q.name");
        let many: Vec<String> = (0..14).map(|number| format!("p.c{number}")).collect();
        assert!(known_columns(&many.join(", ")).ends_with("c11 and 2 more"));
    }
}

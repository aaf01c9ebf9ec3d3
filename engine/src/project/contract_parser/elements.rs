//! What stands between the parentheses of a contract: columns and constraints.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::check::SourceCheck;
use super::tokens::{self, Mistakes, TokenCursor};
use super::{check_identifier, column_type, nearest_hint};
use crate::project::contract::ColumnType;
use crate::project::source::{Located, Position};

/// The tokens between two commas.
pub(super) struct Element<'t> {
    pub(super) start: Position,
    tokens: &'t [TokenWithSpan],
}

/// A column as the file has it.
pub(super) struct SourceColumn<'t> {
    pub(super) name: Located<String>,
    pub(super) name_token: &'t TokenWithSpan,
    /// `None` after the type was refused.
    pub(super) column_type: Option<ColumnType>,
    pub(super) nullable: bool,
    pub(super) comment: Option<String>,
}

impl SourceColumn<'_> {
    pub(super) fn start(&self) -> Position {
        Position { line: self.name.line, column: self.name.column }
    }
}

/// What a keyword that cannot stand in a contract means, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("AS", "an event has what its sender sent: compute the column in a model"),
    ("AUTO_INCREMENT", "events are identified by event_id: remove it"),
    ("AUTOINCREMENT", "events are identified by event_id: remove it"),
    ("CHARACTER", "text is always UTF-8: remove it"),
    ("COLLATE", "text is compared byte by byte: remove it"),
    ("DEFAULT", "a missing property is NULL: use coalesce(column, value) in the models"),
    ("ENCODE", "storage is not chosen in the contract: remove it"),
    ("EXCLUDE", "each event is accepted or refused by itself: write a check in sql/checks"),
    ("FOREIGN", "events arrive in any order: write a check in sql/checks"),
    ("GENERATED", "an event has what its sender sent: compute the column in a model"),
    ("IDENTITY", "events are identified by event_id: remove it"),
    ("INDEX", "storage is not chosen in the contract: remove it"),
    ("KEY", "events are identified by event_id: remove it"),
    ("LIKE", "a contract lists its columns"),
    ("ON", "events do not change: remove it"),
    ("PRIMARY", "events are identified by event_id: remove it"),
    ("REFERENCES", "events arrive in any order: write a check in sql/checks"),
    ("STORAGE", "storage is not chosen in the contract: remove it"),
    ("UNIQUE", "duplicates are recognised by event_id: remove it"),
];

/// The words that an option of a column begins with.
const OPTIONS: &[&str] = &["NOT", "NULL", "CHECK", "CONSTRAINT", "COMMENT"];

/// The words that end an option which is not supported.
const OPTIONS_AFTER_REFUSED: &[&str] =
    &["CHECK", "COMMENT", "CONSTRAINT", "DEFAULT", "PRIMARY", "REFERENCES", "UNIQUE"];

fn unsupported(token: &TokenWithSpan) -> Option<&'static str> {
    let found = UNSUPPORTED.iter().find(|(keyword, _)| tokens::is_word(token, keyword));
    found.map(|(_, hint)| *hint)
}

/// Passes the parenthesised list, and splits it at its commas.
pub(super) fn split<'t>(
    cursor: &mut TokenCursor<'t>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<Element<'t>>> {
    if !cursor.at_left_parenthesis() {
        let hint = match cursor.peek().is_some_and(|token| tokens::is_word(token, "AS")) {
            true => "a contract lists its columns: CREATE TABLE … AS has no meaning for events",
            false => "write the columns in parentheses",
        };
        mistakes.at_next(cursor, "expected `(` after the table's name", hint);
        return None;
    }
    let opening = cursor.peek()?;
    let inner = match cursor.take_parenthesised() {
        Some(inner) => inner,
        None => {
            mistakes.refuse(opening, "this parenthesis is never closed", "end the list with `);`");
            let rest = &cursor.rest()[1..];
            cursor.skip(rest.len() + 1);
            rest
        }
    };
    let mut elements = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (index, token) in inner.iter().enumerate() {
        depth += tokens::depth_change(token);
        if depth != 0 || token.token != Token::Comma {
            continue;
        }
        if index == start {
            mistakes.refuse(token, "nothing stands before this comma", "remove it");
        } else {
            push_element(&mut elements, &inner[start..index]);
        }
        start = index + 1;
    }
    if start < inner.len() {
        push_element(&mut elements, &inner[start..]);
    } else if let Some(comma) = inner.last() {
        mistakes.refuse(comma, "a comma after the last column", "remove it");
    }
    Some(elements)
}

fn push_element<'t>(elements: &mut Vec<Element<'t>>, tokens: &'t [TokenWithSpan]) {
    if let Some(first) = tokens.first() {
        let Located { line, column, .. } = tokens::locate(first, ());
        elements.push(Element { start: Position { line, column }, tokens });
    }
}

/// Reads an element into the columns or the checks.
pub(super) fn read<'t>(
    element: &Element<'t>,
    columns: &mut Vec<SourceColumn<'t>>,
    checks: &mut Vec<SourceCheck<'t>>,
    mistakes: &mut Mistakes<'_>,
) {
    let mut cursor = TokenCursor::new(element.tokens);
    if starts_constraint(&cursor) {
        read_constraint(&mut cursor, None, checks, mistakes);
        if let Some(token) = cursor.next() {
            let message = format!("`{}` is not expected here", token.token);
            mistakes.refuse(token, message, "a comma separates a constraint from what follows");
        }
        return;
    }
    // More than one column in an element means that a comma is missing between them.
    while cursor.peek().is_some() {
        read_column(&mut cursor, columns, checks, mistakes);
    }
}

/// Whether a table constraint comes next. Words such as `key` are good names of columns too, so
/// what follows them decides.
fn starts_constraint(cursor: &TokenCursor<'_>) -> bool {
    let Some(first) = cursor.peek() else { return false };
    let second_is = |keyword| cursor.peek_second().is_some_and(|t| tokens::is_word(t, keyword));
    let parenthesis = cursor.peek_second().is_some_and(|t| t.token == Token::LParen);
    let is = |keyword| tokens::is_word(first, keyword);
    is("CONSTRAINT") && !cursor.peek_second().is_some_and(column_type::is_type_name)
        || is("PRIMARY") && second_is("KEY")
        || is("FOREIGN") && second_is("KEY")
        || is("EXCLUDE") && (second_is("USING") || parenthesis)
        || is("LIKE") && cursor.rest().len() == 2
        || (is("CHECK") || is("UNIQUE") || is("KEY") || is("INDEX")) && parenthesis
}

/// Reads `[CONSTRAINT name] CHECK (condition)` of the table, or of a column.
fn read_constraint<'t>(
    cursor: &mut TokenCursor<'t>,
    column: Option<&str>,
    checks: &mut Vec<SourceCheck<'t>>,
    mistakes: &mut Mistakes<'_>,
) {
    let mut name = None;
    if cursor.take_word("CONSTRAINT") {
        let Some(token) = cursor.next_identifier() else {
            mistakes.at_next(
                cursor,
                "the constraint has no name",
                "write `CONSTRAINT name CHECK (…)`",
            );
            cursor.skip(cursor.rest().len());
            return;
        };
        check_identifier(token, "constraint's name", mistakes);
        name = tokens::word(token).map(|text| tokens::locate(token, text.to_owned()));
    }
    let Some(keyword) = cursor.peek() else {
        if let Some(name) = &name {
            let message = format!("constraint `{}` has no condition", name.value);
            mistakes.refuse_at(name, message, "write `CONSTRAINT name CHECK (…)`");
        }
        return;
    };
    if tokens::is_word(keyword, "CHECK") {
        cursor.next();
        match cursor.take_parenthesised() {
            Some(condition) => {
                let column = column.map(str::to_owned);
                checks.push(SourceCheck { name, column, keyword, condition });
            }
            None => {
                let hint = "write `CHECK (condition)`";
                mistakes.refuse(keyword, "CHECK needs a condition in parentheses", hint);
                cursor.skip(cursor.rest().len());
            }
        }
        return;
    }
    if column.is_some() && cursor.peek_words(&["NOT", "NULL"]) {
        // `CONSTRAINT name NOT NULL`: the caller reads the rest.
        return;
    }
    let message = format!("`{}` is not supported in a contract", keyword.token);
    let hint = unsupported(keyword).unwrap_or("a constraint is a CHECK (…)");
    mistakes.refuse(keyword, message, hint);
    cursor.next();
    match column {
        Some(_) => skip_option(cursor),
        None => cursor.skip(cursor.rest().len()),
    }
}

fn read_column<'t>(
    cursor: &mut TokenCursor<'t>,
    columns: &mut Vec<SourceColumn<'t>>,
    checks: &mut Vec<SourceCheck<'t>>,
    mistakes: &mut Mistakes<'_>,
) {
    let Some(name_token) = cursor.next_identifier() else {
        let hint =
            "a column is a name, a type and options, such as `price DECIMAL(10, 2) NOT NULL`";
        mistakes.at_next(cursor, "expected the name of a column", hint);
        cursor.skip(cursor.rest().len());
        return;
    };
    check_identifier(name_token, "column's name", mistakes);
    let written = tokens::word(name_token).unwrap_or_default().to_owned();
    let column_type = column_type::read(cursor, &written, name_token, mistakes);
    let mut column = SourceColumn {
        name: tokens::locate(name_token, written),
        name_token,
        column_type,
        nullable: true,
        comment: None,
    };
    read_options(cursor, &mut column, checks, mistakes);
    columns.push(column);
}

/// Reads the options of a column, up to the end of the element or the start of another column
/// (whose comma is missing).
fn read_options<'t>(
    cursor: &mut TokenCursor<'t>,
    column: &mut SourceColumn<'t>,
    checks: &mut Vec<SourceCheck<'t>>,
    mistakes: &mut Mistakes<'_>,
) {
    let mut explicit_null = false;
    while let Some(token) = cursor.peek() {
        if cursor.peek_words(&["NOT", "NULL"]) {
            cursor.skip(2);
            if explicit_null {
                mistakes.refuse(token, "the column is both NULL and NOT NULL", "keep one of them");
            }
            column.nullable = false;
        } else if cursor.take_word("NOT") {
            mistakes.refuse(token, "NOT is not followed by NULL", "write `NOT NULL`");
            skip_option(cursor);
        } else if cursor.take_word("NULL") {
            if !column.nullable {
                mistakes.refuse(token, "the column is both NULL and NOT NULL", "keep one of them");
            }
            explicit_null = true;
        } else if tokens::is_word(token, "CHECK") || tokens::is_word(token, "CONSTRAINT") {
            let name = column.name.value.clone();
            read_constraint(cursor, Some(&name), checks, mistakes);
        } else if cursor.take_word("COMMENT") {
            match cursor.take_string() {
                Some(text) => column.comment = Some(text.to_owned()),
                None => mistakes.refuse(token, "COMMENT needs a text", "write `COMMENT 'text'`"),
            }
        } else if let Some(hint) = unsupported(token) {
            let message = format!("`{}` is not supported in a contract", token.token);
            mistakes.refuse(token, message, hint);
            cursor.next();
            skip_option(cursor);
        } else if starts_column(cursor) {
            let message = format!("a comma is missing before `{}`", token.token);
            mistakes.refuse(token, message, "columns are separated by commas");
            return;
        } else {
            let message = format!("`{}` is not expected here", token.token);
            let written = tokens::word(token).unwrap_or_default();
            let otherwise = "options of a column are NOT NULL, NULL, CHECK (…) and COMMENT '…'";
            mistakes.refuse(token, message, nearest_hint(written, OPTIONS, otherwise));
            cursor.next();
            skip_option(cursor);
        }
    }
}

/// Whether another column begins here: a word that begins a line, before another word.
fn starts_column(cursor: &TokenCursor<'_>) -> bool {
    let (Some(token), Some(second)) = (cursor.peek(), cursor.peek_second()) else { return false };
    let second_is_option = OPTIONS.iter().any(|option| tokens::is_word(second, option));
    tokens::word(token).is_some()
        && tokens::word(second).is_some()
        && !second_is_option
        && token.span.start.line > cursor.previous_end().line
}

/// Passes the rest of an option that was refused: up to the next option, or the end.
fn skip_option(cursor: &mut TokenCursor<'_>) {
    let mut depth = 0;
    while let Some(token) = cursor.peek() {
        // `DEFAULT NULL` and `SET NULL` are values, not options; so is a NOT before another word.
        let next_option = cursor.peek_words(&["NOT", "NULL"])
            || OPTIONS_AFTER_REFUSED.iter().any(|option| tokens::is_word(token, option));
        if depth == 0 && next_option {
            return;
        }
        depth += tokens::depth_change(token);
        cursor.next();
    }
}

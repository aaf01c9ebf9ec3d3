//! Contract files: one `CREATE TABLE` statement with the properties of one event type.
//!
//! ```sql
//! -- A player finished a level.
//! CREATE TABLE level_completed (
//!     level_id     TEXT NOT NULL,                            -- Level as named in the editor.
//!     stars        SMALLINT CHECK (stars BETWEEN 0 AND 3),   -- Stars won.
//!     duration_ms  BIGINT NOT NULL                           -- Time from start to finish.
//! );
//! ```
//!
//! Only what has a meaning for events is accepted: column types, `NOT NULL`, `NULL`, `CHECK` (of a
//! column or of the table, named or not) and `COMMENT`. The statement is taken apart token by
//! token, so that all mistakes of a file are found at once, each at its exact place; conditions
//! are parsed by the SQL parser.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use xxhash_rust::xxh3::xxh3_64;

use super::contract::{
    CheckConstraint, ColumnType, ContractColumn, EventContract, envelope, landed_schema,
};
use super::diagnostic::{Diagnostic, nearest};
use super::source::{Located, MAX_NAME_BYTES, SourceFile, is_identifier, suggested_identifier};
use check::SourceCheck;
use elements::SourceColumn;
use tokens::{Mistakes, TokenCursor};

mod check;
mod column_type;
mod comments;
mod elements;
mod tokens;

pub(crate) use check::friendly;
pub(super) use column_type::parse_type_text;

/// Largest accepted contract file, in bytes.
const MAX_CONTRACT_BYTES: usize = 256 << 10;
/// Most columns of a contract: PostgreSQL's limit for a table, less the envelope's.
const MAX_COLUMNS: usize = 1_500;
/// Most conditions of a contract: each is evaluated for every event.
const MAX_CHECKS: usize = 500;
/// The table beside the event types that has the envelope of every event.
const ENVELOPE_TABLE: &str = "envelope";

/// Parses a contract file.
///
/// # Errors
/// All mistakes of the file. Text that cannot be taken apart at all (an unterminated string, a
/// statement other than `CREATE TABLE`) gives that one mistake.
pub fn parse_contract(file: &SourceFile) -> Result<EventContract, Vec<Diagnostic>> {
    let mut mistakes = Mistakes::new(file);
    let contract = read_contract(file, &mut mistakes);
    let diagnostics = mistakes.into_diagnostics();
    match contract {
        Some(contract) if diagnostics.is_empty() => Ok(contract),
        _ => Err(diagnostics),
    }
}

fn read_contract(file: &SourceFile, mistakes: &mut Mistakes<'_>) -> Option<EventContract> {
    if file.text().len() > MAX_CONTRACT_BYTES {
        let limit = MAX_CONTRACT_BYTES / 1024;
        mistakes.whole_file(
            format!("the contract is larger than {limit} KiB"),
            "an event type has a few dozen properties: put the rest into a JSON column",
        );
        return None;
    }
    let (tokens, comments) = tokens::tokenize(file, mistakes)?;
    let mut cursor = TokenCursor::new(&tokens);
    let create_line = read_create_table(file, &mut cursor, mistakes)?;
    let elements = elements::split(&mut cursor, mistakes)?;
    let end_of_columns = cursor.previous_end();
    let table_comment = read_rest(&mut cursor, mistakes);

    let mut columns = Vec::new();
    let mut checks = Vec::new();
    for element in &elements {
        elements::read(element, &mut columns, &mut checks, mistakes);
    }
    check_column_names(&columns, mistakes);
    comments::attach(&comments, &mut columns, &elements, end_of_columns);

    let event_type = file.stem().to_owned();
    let columns: Vec<ContractColumn> = columns
        .into_iter()
        .map(|column| ContractColumn {
            line: column.name.line,
            column: column.name.column,
            name: column.name.value,
            // A type that was refused is a mistake, so the contract is never used.
            column_type: column.column_type.unwrap_or(ColumnType::Json),
            nullable: column.nullable,
            comment: column.comment,
        })
        .collect();
    let schema = landed_schema(&columns);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let (checks, canonical) = read_checks(&event_type, checks, &names, mistakes);
    let version = contract_version(&event_type, &columns, &canonical);
    let comment = table_comment.or_else(|| comments::above(&comments, create_line));
    let file = file.path().to_owned();
    Some(EventContract { event_type, comment, columns, checks, version, file, schema })
}

/// Reads `CREATE TABLE name`, and returns the line where the statement begins.
fn read_create_table(
    file: &SourceFile,
    cursor: &mut TokenCursor<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<u64> {
    let example =
        format!("write `CREATE TABLE {} ( … );` with the event's properties", file.stem());
    let Some(first) = cursor.next() else {
        mistakes.whole_file("the file has no CREATE TABLE statement", example);
        return None;
    };
    if !tokens::is_word(first, "CREATE") {
        mistakes.refuse(first, "a contract is a CREATE TABLE statement", example);
        return None;
    }
    while let Some(modifier) = cursor.peek().filter(|token| !tokens::is_word(token, "TABLE")) {
        const MODIFIERS: &[&str] =
            &["OR", "REPLACE", "TEMP", "TEMPORARY", "EXTERNAL", "UNLOGGED", "GLOBAL", "LOCAL"];
        if !MODIFIERS.iter().any(|known| tokens::is_word(modifier, known)) {
            mistakes.refuse(modifier, "a contract is a CREATE TABLE statement", example);
            return None;
        }
        if !tokens::is_word(modifier, "REPLACE") {
            let message =
                format!("`{modifier}` has no meaning in a contract", modifier = modifier.token);
            mistakes.refuse(modifier, message, "write `CREATE TABLE`");
        }
        cursor.next();
    }
    if cursor.next().is_none() {
        mistakes.at_end("the statement ends after CREATE", example);
        return None;
    }
    if cursor.peek_words(&["IF", "NOT", "EXISTS"]) {
        cursor.skip(3);
    }
    let mut name = cursor.next_identifier();
    if let Some(schema) = name.filter(|_| cursor.take_period()) {
        if tokens::word(schema) != Some("events") {
            let hint = "the table of a contract is `events.<event type>`, or the event type alone";
            mistakes.refuse(schema, format!("unknown schema `{}`", schema.token), hint);
        }
        name = cursor.next_identifier();
    }
    let Some(name) = name else {
        mistakes.at_next(cursor, "the table has no name", example);
        return None;
    };
    let written = tokens::word(name).unwrap_or_default();
    if written == ENVELOPE_TABLE && file.stem() == ENVELOPE_TABLE {
        let message = "an event type cannot be called `envelope`";
        let hint = "events.envelope is the table with the envelope of every event";
        mistakes.refuse(name, message, hint);
    } else if written != file.stem() {
        let message = format!("the table is called `{written}`, the file `{}`", file.stem());
        let hint = format!("write `CREATE TABLE {}`, or rename the file", file.stem());
        mistakes.refuse(name, message, hint);
    } else if tokens::is_quoted(name) {
        mistakes.refuse(name, "names are written without quotes", format!("write `{written}`"));
    }
    Some(first.span.start.line)
}

/// Reads what follows the columns: `COMMENT 'text'`, the semicolon, and nothing else.
fn read_rest(cursor: &mut TokenCursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<String> {
    let mut comment = None;
    while let Some(token) = cursor.next() {
        if tokens::is_semicolon(token) {
            break;
        }
        if tokens::is_word(token, "COMMENT") {
            cursor.take_equals();
            if let Some(text) = cursor.take_string() {
                comment = Some(text.to_owned());
                continue;
            }
        }
        let what = &token.token;
        let hint = match tokens::is_word(token, "AS") {
            true => "a contract lists its columns: CREATE TABLE … AS has no meaning for events",
            false => "remove all between the closing parenthesis and the semicolon",
        };
        mistakes.refuse(token, format!("`{what}` is not supported in a contract"), hint);
        while cursor.next().is_some_and(|token| !tokens::is_semicolon(token)) {}
        break;
    }
    while let Some(token) = cursor.next() {
        if tokens::is_semicolon(token) {
            continue;
        }
        let hint = "a file holds the contract of one event type: put each into a file of its own";
        mistakes.refuse(token, "a second statement", hint);
        break;
    }
    comment
}

/// Refuses names of columns that an event already has, that are there twice or that are too many.
fn check_column_names(columns: &[SourceColumn<'_>], mistakes: &mut Mistakes<'_>) {
    let mut seen = BTreeMap::new();
    for column in columns {
        let name = column.name.value.as_str();
        if envelope::RESERVED.contains(&name) {
            let message = format!("every event has a column `{name}` already");
            let hint = match name {
                envelope::EXTRA | envelope::PROPERTIES => {
                    "properties that the contract does not name are kept in `extra` by themselves"
                }
                _ => "it comes from the envelope of the event: remove it from the contract",
            };
            mistakes.refuse(column.name_token, message, hint);
        } else if let Some(line) = seen.insert(name, column.name.line) {
            let message = format!("column `{name}` is there twice");
            mistakes.refuse(column.name_token, message, format!("it is also in line {line}"));
        }
    }
    if let Some(first_too_many) = columns.get(MAX_COLUMNS) {
        let message = format!("the contract has more than {MAX_COLUMNS} columns");
        let hint = "put properties that are seldom used into a JSON column";
        mistakes.refuse(first_too_many.name_token, message, hint);
    }
}

/// Parses the conditions, and names those that have no name as PostgreSQL does. Also returns
/// their canonical forms.
fn read_checks(
    event_type: &str,
    checks: Vec<SourceCheck<'_>>,
    column_names: &[&str],
    mistakes: &mut Mistakes<'_>,
) -> (Vec<CheckConstraint>, BTreeSet<String>) {
    if let Some(first_too_many) = checks.get(MAX_CHECKS) {
        let message = format!("the contract has more than {MAX_CHECKS} conditions");
        mistakes.refuse(first_too_many.keyword, message, "join some of them with AND");
        return (Vec::new(), BTreeSet::new());
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    for check in &checks {
        let Some(name) = check.name.as_ref() else { continue };
        if !names.insert(name.value.clone()) {
            let message = format!("two constraints are called `{}`", name.value);
            mistakes.refuse_at(name, message, "give each its own name: quarantine reports it");
        }
    }
    let mut constraints = Vec::new();
    let mut canonical = BTreeSet::new();
    for check in checks {
        let Some(condition) = check::read_condition(&check, event_type, column_names, mistakes)
        else {
            continue;
        };
        let name = match check.name {
            Some(name) => name.value,
            None => unused_name(check.column.as_deref().unwrap_or(event_type), &names),
        };
        names.insert(name.clone());
        canonical.insert(condition.canonical);
        let Located { value, line, column, .. } = condition.sql;
        constraints.push(CheckConstraint { name, condition: value, line, column });
    }
    (constraints, canonical)
}

/// `<stem>_check`, `<stem>_check1`, and so on.
fn unused_name(stem: &str, used: &BTreeSet<String>) -> String {
    let mut name = format!("{stem}_check");
    let mut number = 0;
    while used.contains(&name) {
        number += 1;
        name = format!("{stem}_check{number}");
    }
    name
}

/// Hash of what decides which events the contract accepts: neither comments nor layout, and not
/// the names or the order of conditions.
fn contract_version(
    event_type: &str,
    columns: &[ContractColumn],
    conditions: &BTreeSet<String>,
) -> u64 {
    let mut canonical = Vec::new();
    // Each part is preceded by its length, so that no two contracts have the same form.
    let mut push = |part: &str| {
        canonical.extend_from_slice(&(part.len() as u64).to_le_bytes());
        canonical.extend_from_slice(part.as_bytes());
    };
    push("contract 1");
    push(event_type);
    for column in columns {
        push(&column.name);
        push(&column_type::sql_name(column.column_type));
        push(if column.nullable { "NULL" } else { "NOT NULL" });
    }
    push("checks");
    for condition in conditions {
        push(condition);
    }
    xxh3_64(&canonical)
}

/// Refuses an identifier that is quoted or not lower-case; `true` when it is fine.
fn check_identifier(token: &TokenWithSpan, what: &str, mistakes: &mut Mistakes<'_>) -> bool {
    let name = tokens::word(token).unwrap_or_default();
    if is_identifier(name) && name.len() <= MAX_NAME_BYTES {
        if tokens::is_quoted(token) {
            let hint = format!("write `{name}`");
            mistakes.refuse(token, format!("the {what} is written in quotes"), hint);
        }
        return !tokens::is_quoted(token);
    }
    let message = match name.len() > MAX_NAME_BYTES {
        true => format!("the {what} is longer than {} bytes", MAX_NAME_BYTES),
        false => format!("`{name}` is not a lower-case SQL identifier"),
    };
    let hint = match suggested_identifier(name) {
        Some(suggestion) => format!("call it `{suggestion}`"),
        None => "use letters a to z, digits and `_`, not beginning with a digit".to_owned(),
    };
    mistakes.refuse(token, message, hint);
    false
}

/// "did you mean …?" for a mistyped word.
fn nearest_hint(name: &str, candidates: &[&str], otherwise: &str) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests;

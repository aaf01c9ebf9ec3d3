//! Conditions of `CHECK` constraints.
//!
//! A condition sees one event, so that a record is accepted or refused for good: subqueries,
//! aggregates, and functions whose result changes from one call to the next are refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, ObjectName, Query, Spanned, Value, Visitor,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::nearest_hint;
use super::tokens::{self, DIALECT, Mistakes};
use crate::project::contract::envelope;
use crate::project::source::{Located, SourceFile};
use crate::project::walk::walk;

/// Most tokens of one condition. It also bounds the depth of chains such as `a + a + …`, whose
/// tree is as deep as the chain is long.
const MAX_TOKENS: usize = 500;
/// Deepest nesting of parentheses and brackets. The parser tries several readings of what stands
/// in them, so that its time triples with each level.
const MAX_NESTING: i32 = 7;
/// Most periods in a condition: the parser's time doubles with each link of `a.b.c.…`.
const MAX_PERIODS: usize = 8;
/// Words that begin an expression without a parenthesis, which the parser takes for a name when
/// that expression fails: its time doubles with each of them.
const DOUBTFUL_WORDS: &[&str] =
    &["ARRAY", "CASE", "INTERVAL", "LAMBDA", "MAP", "PRIOR", "ROW", "STRUCT"];
/// Most of these words in one condition.
const MAX_DOUBTFUL_WORDS: usize = 8;
/// Deepest recursion of the SQL parser.
const PARSER_RECURSION_LIMIT: usize = 25;

/// Functions over many rows.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "every",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "nth_value",
    "percentile_cont",
    "percentile_disc",
    "rank",
    "row_number",
    "stddev",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// Functions whose result changes between two calls with the same event.
const VOLATILE: &[&str] = &[
    "clock_timestamp",
    "current_date",
    "current_time",
    "current_timestamp",
    "gen_random_uuid",
    "localtime",
    "localtimestamp",
    "now",
    "random",
    "today",
    "uuid",
];

/// A condition as the file has it.
pub(super) struct SourceCheck<'t> {
    /// Name given by `CONSTRAINT name`.
    pub(super) name: Option<Located<String>>,
    /// Column that the condition stands at.
    pub(super) column: Option<String>,
    /// The word `CHECK`.
    pub(super) keyword: &'t TokenWithSpan,
    /// The tokens between the parentheses.
    pub(super) condition: &'t [TokenWithSpan],
}

/// A condition that was found good.
pub(super) struct Condition {
    /// Its SQL as the author wrote it, on one line and without comments. (The SQL parser's own
    /// rendering is not used: it does not keep every text in quotes.)
    pub(super) sql: Located<String>,
    /// Its SQL without what does not matter: layout, and the case of keywords.
    pub(super) canonical: String,
}

/// Parses and reviews a condition.
pub(super) fn read_condition(
    check: &SourceCheck<'_>,
    event_type: &str,
    column_names: &[&str],
    mistakes: &mut Mistakes<'_>,
) -> Option<Condition> {
    let Some(first) = check.condition.first() else {
        mistakes.refuse(check.keyword, "the condition is empty", "write `CHECK (condition)`");
        return None;
    };
    if check.condition.len() > MAX_TOKENS {
        let message = format!("the condition has more than {MAX_TOKENS} words and signs");
        mistakes.refuse(first, message, "make several conditions of it");
        return None;
    }
    if let Some((token, message)) = too_complex(check.condition) {
        mistakes.refuse(token, message, "make several conditions of it");
        return None;
    }
    let expression = parse(check, mistakes)?;
    let mut review = Review { first, event_type, column_names, mistakes, accepted: true };
    let _ = walk(&expression, &mut review);
    if !review.accepted {
        return None;
    }
    let (sql, canonical) = rewritten(mistakes.file(), check.condition);
    Some(Condition { sql: tokens::locate(first, sql), canonical })
}

/// The text of a condition with one space where there was any space or comment; and with one
/// space between all tokens, unquoted words in lower case.
fn rewritten(file: &SourceFile, condition: &[TokenWithSpan]) -> (String, String) {
    let (mut sql, mut canonical) = (String::new(), String::new());
    let mut previous_end = 0;
    for (token, range) in condition.iter().zip(tokens::byte_ranges(file, condition)) {
        let text = file.text().get(range.clone()).unwrap_or_default();
        if !canonical.is_empty() {
            canonical.push(' ');
            if range.start > previous_end {
                sql.push(' ');
            }
        }
        sql.push_str(text);
        let is_plain_word = tokens::word(token).is_some() && !tokens::is_quoted(token);
        canonical.push_str(&if is_plain_word { text.to_lowercase() } else { text.to_owned() });
        previous_end = range.end;
    }
    (sql, canonical)
}

/// Where and why parsing a condition could take too long or too much stack.
fn too_complex(condition: &[TokenWithSpan]) -> Option<(&TokenWithSpan, String)> {
    let mut nesting = 0;
    let mut periods = 0;
    let mut doubtful_words = 0;
    for token in condition {
        nesting += tokens::depth_change(token);
        if nesting > MAX_NESTING {
            let message = format!("parentheses are nested deeper than {MAX_NESTING}");
            return Some((token, message));
        }
        periods += usize::from(token.token == Token::Period);
        if periods > MAX_PERIODS {
            return Some((token, format!("the condition has more than {MAX_PERIODS} periods")));
        }
        let is_doubtful = DOUBTFUL_WORDS.iter().any(|word| tokens::is_word(token, word));
        doubtful_words += usize::from(is_doubtful);
        if doubtful_words > MAX_DOUBTFUL_WORDS {
            let message = format!("`{}` and the like stand too often", token.token);
            return Some((token, message));
        }
    }
    None
}

fn parse(check: &SourceCheck<'_>, mistakes: &mut Mistakes<'_>) -> Option<Expr> {
    let mut parser = Parser::new(&DIALECT)
        .with_recursion_limit(PARSER_RECURSION_LIMIT)
        .with_tokens_with_locations(check.condition.to_vec());
    let error = match parser.parse_expr() {
        Ok(expression) => {
            let next = parser.peek_token();
            if next.token == Token::EOF {
                return Some(expression);
            }
            let message = format!("`{}` is not expected here", next.token);
            let hint = "a condition is one expression, such as `stars BETWEEN 0 AND 3`";
            mistakes.refuse(&next, message, hint);
            return None;
        }
        Err(error) => error,
    };
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            let hint = "make several conditions of it";
            mistakes.refuse(check.keyword, "the condition is nested too deeply", hint);
            return None;
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let (message, place) = split_location(&text);
    let place =
        place.and_then(|place| check.condition.iter().find(|token| token.span.start == place));
    let hint = "a condition is an expression, such as `stars BETWEEN 0 AND 3`; \
                a column whose name is a keyword is written in double quotes";
    match (place, check.condition.last()) {
        (Some(token), _) => mistakes.refuse(token, friendly(message), hint),
        (None, Some(last)) => {
            mistakes.refuse(last, format!("{} after this", friendly(message)), hint);
        }
        (None, None) => {}
    }
    None
}

/// Splits " at Line: 3, Column: 5" off a message of the parser.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
    });
    match location {
        Some(location) => (message, Some(location)),
        None => (text, None),
    }
}

/// The parser's "Expected: an expression, found: )" as a sentence.
pub(crate) fn friendly(message: &str) -> String {
    let found = message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: "));
    match found {
        Some((expected, "EOF")) => format!("expected {expected}"),
        Some((expected, found)) => format!("expected {expected}, found `{found}`"),
        None => message.to_owned(),
    }
}

/// Looks for what a condition must not have, and for names that are no columns.
struct Review<'r, 'm> {
    first: &'r TokenWithSpan,
    event_type: &'r str,
    column_names: &'r [&'r str],
    mistakes: &'r mut Mistakes<'m>,
    accepted: bool,
}

impl Review<'_, '_> {
    fn refuse(&mut self, span: Span, message: String, hint: &str) {
        self.accepted = false;
        // Some nodes of the tree have no place: the condition's stands in.
        let span = if span.start.line == 0 { self.first.span } else { span };
        let place = TokenWithSpan::new(Token::EOF, span);
        self.mistakes.refuse(&place, message, hint);
    }

    fn review_column(&mut self, identifier: &Ident) {
        let name = identifier.value.as_str();
        // Compared as written, capitals and all: the file should read as the event does.
        if self.column_names.contains(&name) {
            return;
        }
        let hint = match name {
            envelope::EVENT_TYPE => {
                format!("the event type is `{}` for every event of this contract", self.event_type)
            }
            envelope::PROPERTIES => "name the property itself".to_owned(),
            _ if identifier.quote_style == Some('"') => {
                let text = format!("text is written in single quotes: '{name}'");
                nearest_hint(name, self.column_names, &text)
            }
            _ => {
                let otherwise = "a condition sees the columns of this contract and the envelope";
                nearest_hint(name, self.column_names, otherwise)
            }
        };
        self.refuse(identifier.span, format!("unknown column `{name}`"), &hint);
    }

    fn review_function(&mut self, function: &Function) {
        let name = last_name(&function.name);
        let span = function.name.span();
        if function.over.is_some() || AGGREGATES.contains(&name.as_str()) {
            let message = format!("`{name}` looks at more than one event");
            self.refuse(span, message, "a condition sees one event: write a check in sql/checks");
        } else if VOLATILE.contains(&name.as_str()) {
            let message = format!("the result of `{name}` changes from one call to the next");
            let hint = "an event is accepted or refused for good: compare with `received_at`";
            self.refuse(span, message, hint);
        }
    }
}

fn last_name(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map(|identifier| identifier.value.to_ascii_lowercase()).unwrap_or_default()
}

impl Visitor for Review<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let hint = "a condition sees one event: write a check in sql/checks";
        self.refuse(query.span(), "a subquery in a condition".to_owned(), hint);
        // What stands in the subquery may name columns of other tables.
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(identifier) => self.review_column(identifier),
            Expr::CompoundIdentifier(parts) => {
                let written: Vec<String> = parts.iter().map(Ident::to_string).collect();
                let last = parts.last().map(|part| part.value.clone()).unwrap_or_default();
                let message = format!("unknown column `{}`", written.join("."));
                let hint = match self.column_names.contains(&last.as_str()) {
                    true => format!("write `{last}`"),
                    false => "a condition sees the columns of this contract and the envelope, \
                              written without a table"
                        .to_owned(),
                };
                self.refuse(expression.span(), message, &hint);
            }
            Expr::Function(function) => self.review_function(function),
            Expr::Value(value) => {
                if let Value::Placeholder(placeholder) = &value.value {
                    let message = format!("`{placeholder}` is a parameter");
                    self.refuse(value.span, message, "write the value itself");
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

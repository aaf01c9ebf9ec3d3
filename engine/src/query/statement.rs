//! One read-only statement: parsed, checked, its parameters typed.
//!
//! What is allowed is listed rather than what is not: a statement that nobody has thought of is
//! refused.

mod extent;
mod guard;

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr, Spanned, Statement as SqlStatement,
    TimezoneInfo, Value, ValueWithSpan, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use extent::{Extent, MAX_OPERATORS, is_operator};
use guard::Guard;

use super::error::QueryError;
use crate::models::errors::{locate, span_position};
use crate::models::parse::object_name;
use crate::project::contract::ColumnType;
use crate::project::diagnostic::{Severity, nearest};
use crate::project::header::{QueryHeader, parse_query_header};
use crate::project::source::{Located, Position, SourceFile};
use crate::project::walk::walk;

/// Deepest nesting of expressions and queries.
const RECURSION_LIMIT: usize = 64;

/// What a statement may begin with.
const FIRST_WORDS: &[&str] =
    &["SELECT", "WITH", "VALUES", "EXPLAIN", "SHOW", "DESCRIBE", "DESC", "TABLE"];

/// What is allowed, for messages.
const ALLOWED: &str = "allowed are SELECT, WITH, VALUES, EXPLAIN [ANALYZE] of these, SHOW TABLES, \
                       SHOW COLUMNS FROM …, SHOW FUNCTIONS and DESCRIBE …";

/// A statement that only reads.
#[derive(Debug, Clone)]
pub struct PreparedStatement {
    /// The text.
    pub file: SourceFile,
    /// Title, description and parameters from the comment at its top.
    pub header: QueryHeader,
    /// Mistakes in the header that are only warnings.
    pub(crate) warnings: Vec<crate::project::diagnostic::Diagnostic>,
    /// The statement; each `$name` is cast to its parameter's type.
    pub(crate) statement: Statement,
    /// Names of tables as they are written, in lower case where not quoted; names that `WITH`
    /// defines are not among them.
    pub(crate) tables: Vec<Located<String>>,
}

impl PreparedStatement {
    /// Reads the one statement of a text, and refuses all that does more than read.
    ///
    /// # Errors
    /// [`QueryError::Syntax`], [`QueryError::NotAllowed`], or [`QueryError::Plan`] for a mistake in
    /// the header or a parameter that the header does not declare.
    pub fn new(file: SourceFile) -> Result<Self, QueryError> {
        let (header, findings) = parse_query_header(&file);
        let (errors, mut warnings): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(QueryError::Plan(errors.into_iter().collect()));
        }
        check_first_words(&file)?;
        let mut statement = parse_one(&file)?;
        let mut guard = Guard::default();
        check_statement(&file, &statement, &mut guard)?;
        let mut mistakes = Vec::new();
        for placeholder in &guard.placeholders {
            let name = &placeholder.value;
            if header.parameters.iter().any(|parameter| parameter.value.name == *name) {
                continue;
            }
            let known = header.parameters.iter().map(|parameter| parameter.value.name.as_str());
            mistakes.push(
                file.error_for(placeholder, format!("the query declares no parameter `{name}`"))
                    .with_hint(format!(
                        "declare it in a comment above the query: -- param {name}: TEXT"
                    ))
                    .with_nearest(nearest(name, known)),
            );
        }
        if !mistakes.is_empty() {
            return Err(QueryError::Plan(mistakes.into_iter().collect()));
        }
        for parameter in &header.parameters {
            let name = &parameter.value.name;
            if !guard.placeholders.iter().any(|placeholder| placeholder.value == *name) {
                let mut warning =
                    file.error_for(parameter, format!("the query does not use `${name}`"));
                warning.severity = Severity::Warning;
                warnings.push(warning);
            }
        }
        let tables = tables_read(&file, &statement, &guard)?;
        type_placeholders(&mut statement, &header);
        Ok(Self { file, header, warnings, statement, tables })
    }

    /// Names of the tables that it reads, as they are written.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|table| table.value.as_str())
    }

    /// Whether it shows or measures a plan.
    pub fn is_explain(&self) -> bool {
        matches!(self.statement, Statement::Explain(_))
    }
}

/// Refuses statements by their first word, also those that the parser does not know.
fn check_first_words(file: &SourceFile) -> Result<(), QueryError> {
    let dialect = PostgreSqlDialect {};
    // The parser reports what cannot be cut into words.
    let Ok(tokens) = Tokenizer::new(&dialect, file.text()).tokenize_with_location() else {
        return Ok(());
    };
    let mut statements = 0;
    let mut operators = 0;
    let mut at_start = true;
    for token in tokens {
        operators += usize::from(is_operator(&token.token));
        if operators > MAX_OPERATORS {
            let position = span_position(token.span).unwrap_or(START);
            let message = format!("a query has at most {MAX_OPERATORS} operators");
            let diagnostic = file.error_at(position, 1, message);
            return Err(QueryError::NotAllowed(Box::new(diagnostic)));
        }
        match token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon => {
                at_start = true;
                continue;
            }
            _ if !at_start => continue,
            _ => at_start = false,
        }
        let position = span_position(token.span).unwrap_or(START);
        statements += 1;
        if let Token::Word(word) = &token.token {
            let upper = word.value.to_uppercase();
            if word.quote_style.is_none() && !FIRST_WORDS.contains(&upper.as_str()) {
                let length = word.value.chars().count() as u64;
                let begins_other = is_statement_word(&upper);
                if begins_other {
                    let message = format!("{upper} is not allowed: queries only read");
                    let diagnostic = file.error_at(position, length, message).with_hint(ALLOWED);
                    return Err(QueryError::NotAllowed(Box::new(diagnostic)));
                }
            }
        }
        if statements > 1 {
            let diagnostic = file
                .error_at(position, 1, "a query is one statement, but here a second one begins")
                .with_hint("run it by itself");
            return Err(QueryError::NotAllowed(Box::new(diagnostic)));
        }
    }
    if statements == 0 {
        let end = Position { line: file.line_count(), column: 1 };
        let diagnostic = file.error_at(end, 1, "there is no query").with_hint(ALLOWED);
        return Err(QueryError::Syntax(Box::new(diagnostic)));
    }
    Ok(())
}

/// Whether SQL somewhere has statements that begin with this word; anything else is a mistake in
/// writing, which the parser reports better.
fn is_statement_word(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "ALTER",
        "ANALYZE",
        "ATTACH",
        "BEGIN",
        "CALL",
        "CHECKPOINT",
        "CLOSE",
        "CLUSTER",
        "COMMENT",
        "COMMIT",
        "COPY",
        "CREATE",
        "DEALLOCATE",
        "DECLARE",
        "DELETE",
        "DETACH",
        "DISCARD",
        "DO",
        "DROP",
        "END",
        "EXECUTE",
        "EXPORT",
        "FETCH",
        "GRANT",
        "IMPORT",
        "INSERT",
        "INSTALL",
        "KILL",
        "LISTEN",
        "LOAD",
        "LOCK",
        "MERGE",
        "MOVE",
        "NOTIFY",
        "OPTIMIZE",
        "PRAGMA",
        "PREPARE",
        "REFRESH",
        "REINDEX",
        "RELEASE",
        "RENAME",
        "REPLACE",
        "RESET",
        "REVOKE",
        "ROLLBACK",
        "SAVEPOINT",
        "SECURITY",
        "SET",
        "START",
        "TRUNCATE",
        "UNLISTEN",
        "UNLOAD",
        "UPDATE",
        "UPSERT",
        "USE",
        "VACUUM",
    ];
    WORDS.contains(&word)
}

const START: Position = Position { line: 1, column: 1 };

fn parse_one(file: &SourceFile) -> Result<Statement, QueryError> {
    let parse = || {
        DFParserBuilder::new(file.text())
            .with_dialect(&PostgreSqlDialect {})
            .with_recursion_limit(RECURSION_LIMIT)
            .build()?
            .parse_statements()
    };
    let syntax = |error: &DataFusionError| QueryError::Syntax(Box::new(locate(file, error)));
    let mut statements = parse().map_err(|error| syntax(&error))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => {
            let diagnostic = file.error_at(START, 1, "a query is one statement");
            Err(QueryError::NotAllowed(Box::new(diagnostic)))
        }
    }
}

fn check_statement(
    file: &SourceFile,
    statement: &Statement,
    guard: &mut Guard,
) -> Result<(), QueryError> {
    let refuse = |position: Option<Position>, length: u64, message: &str| {
        let place = position.unwrap_or_else(|| first_sql(file));
        let diagnostic = file.error_at(place, length.max(1), message).with_hint(ALLOWED);
        Err(QueryError::NotAllowed(Box::new(diagnostic)))
    };
    let inner = match statement {
        Statement::Explain(explain) => return check_explained(file, &explain.statement, guard),
        Statement::Statement(inner) => &**inner,
        _ => return refuse(None, 1, "this statement is not allowed: queries only read"),
    };
    match inner {
        SqlStatement::Query(query) => {
            let looked_at = match walk(&**query, &mut Extent::default()) {
                ControlFlow::Continue(()) => walk(&**query, guard),
                too_much => too_much,
            };
            match looked_at {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(refusal) => {
                    refuse(refusal.position, refusal.length, &refusal.message)
                }
            }
        }
        SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowFunctions { .. } => Ok(()),
        SqlStatement::ExplainTable { table_name, .. } => {
            guard.described.push(object_name(table_name));
            Ok(())
        }
        SqlStatement::ShowVariable { .. } | SqlStatement::ShowVariables { .. } => {
            refuse(None, 4, "settings are not shown to queries")
        }
        other => {
            let position = span_position(other.span());
            refuse(position, 1, "this statement is not allowed: queries only read")
        }
    }
}

/// Only a query can be explained: `EXPLAIN ANALYZE` executes what it explains.
fn check_explained(
    file: &SourceFile,
    statement: &Statement,
    guard: &mut Guard,
) -> Result<(), QueryError> {
    if let Statement::Statement(inner) = statement
        && matches!(**inner, SqlStatement::Query(_))
    {
        return check_statement(file, statement, guard);
    }
    let diagnostic =
        file.error_at(first_sql(file), 7, "only queries can be explained").with_hint(ALLOWED);
    Err(QueryError::NotAllowed(Box::new(diagnostic)))
}

/// Where the first word of SQL stands.
fn first_sql(file: &SourceFile) -> Position {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, file.text()).tokenize_with_location().unwrap_or_default();
    tokens
        .iter()
        .find(|token| !matches!(token.token, Token::Whitespace(_)))
        .and_then(|token| span_position(token.span))
        .unwrap_or(START)
}

/// The tables that the statement reads, without those that `WITH` defines.
fn tables_read(
    file: &SourceFile,
    statement: &Statement,
    guard: &Guard,
) -> Result<Vec<Located<String>>, QueryError> {
    let query = match statement {
        Statement::Explain(explain) => &explain.statement,
        other => other,
    };
    let is_query =
        matches!(query, Statement::Statement(inner) if matches!(**inner, SqlStatement::Query(_)));
    if !is_query {
        let start = first_sql(file);
        return Ok(guard
            .described
            .iter()
            .map(|name| Located {
                value: name.clone(),
                line: start.line,
                column: start.column,
                length: 1,
            })
            .collect());
    }
    let (references, _) = datafusion::sql::resolve::resolve_table_references(query, true)
        .map_err(|error| QueryError::Syntax(Box::new(locate(file, &error))))?;
    let mut tables = Vec::new();
    for reference in references {
        let name = reference.to_string();
        if guard.table_functions.contains(&name) {
            continue;
        }
        let written = guard.relations.iter().find(|relation| relation.value == name);
        tables.push(written.cloned().unwrap_or(Located {
            value: name,
            line: 1,
            column: 1,
            length: 1,
        }));
    }
    Ok(tables)
}

/// Casts each `$name` to its declared type, so that the planner knows it before there is a value.
/// The value itself is bound to the plan, and never becomes a part of the text.
fn type_placeholders(statement: &mut Statement, header: &QueryHeader) {
    let inner = match statement {
        Statement::Explain(explain) => return type_placeholders(&mut explain.statement, header),
        Statement::Statement(inner) => &mut **inner,
        _ => return,
    };
    let SqlStatement::Query(query) = inner else { return };
    let _: ControlFlow<()> = visit_expressions_mut(&mut **query, |expression| {
        let Expr::Value(ValueWithSpan { value: Value::Placeholder(text), .. }) = &*expression
        else {
            return ControlFlow::Continue(());
        };
        let declared = header.parameters.iter().find(|parameter| text[1..] == parameter.value.name);
        if let Some(parameter) = declared {
            *expression = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expression.clone()),
                data_type: sql_type(parameter.value.parameter_type),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    });
}

/// The SQL type whose Arrow type is that of the parameter.
fn sql_type(parameter_type: ColumnType) -> SqlType {
    match parameter_type {
        ColumnType::Boolean => SqlType::Boolean,
        ColumnType::Int16 => SqlType::SmallInt(None),
        ColumnType::Int32 => SqlType::Integer(None),
        ColumnType::Int64 => SqlType::BigInt(None),
        ColumnType::Float64 => SqlType::DoublePrecision,
        ColumnType::Decimal { precision, scale } => SqlType::Decimal(
            ExactNumberInfo::PrecisionAndScale(u64::from(precision), i64::from(scale)),
        ),
        ColumnType::Text { .. } | ColumnType::Json => SqlType::Text,
        ColumnType::Timestamp => SqlType::Timestamp(Some(6), TimezoneInfo::WithTimeZone),
        ColumnType::Date => SqlType::Date,
    }
}

#[cfg(test)]
mod tests;

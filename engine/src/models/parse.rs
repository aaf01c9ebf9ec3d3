//! One model file: its header, its `SELECT`, and the tables that it names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{ObjectName, Spanned, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::errors::{locate, span_position};
use super::{Layer, ModelSource};
use crate::catalog::{CATALOG, CHANGED_DATES, EVENTS, RUN, STAR};
use crate::project::diagnostic::Diagnostic;
use crate::project::header::parse_model_header;
use crate::project::source::{Located, Position, SourceFile};
use crate::project::walk;

/// Deepest nesting of expressions and queries in a model.
const RECURSION_LIMIT: usize = 64;

/// Parses a model file. The model is `None` if its SQL cannot be read.
pub fn parse_model(file: &SourceFile, layer: Layer) -> (Option<ModelSource>, Vec<Diagnostic>) {
    let (header, mut diagnostics) = parse_model_header(file);
    let statement = match parse_select(file) {
        Ok(statement) => statement,
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            return (None, diagnostics);
        }
    };
    let mut model = ModelSource {
        name: file.stem().to_owned(),
        layer,
        file: file.clone(),
        header,
        statement,
        reads_events: Vec::new(),
        reads_star: Vec::new(),
    };
    diagnostics.extend(collect_reads(&mut model));
    (Some(model), diagnostics)
}

/// The one `SELECT` of a file.
fn parse_select(file: &SourceFile) -> Result<Statement, Box<Diagnostic>> {
    let parse = || {
        DFParserBuilder::new(file.text())
            .with_dialect(&PostgreSqlDialect {})
            .with_recursion_limit(RECURSION_LIMIT)
            .build()?
            .parse_statements()
    };
    let mut statements = parse().map_err(|error| Box::new(locate(file, &error)))?;
    let statement = statements.pop_front().ok_or_else(|| {
        let place = Position { line: file.line_count(), column: 1 };
        Box::new(file.error_at(place, 1, "the file has no SELECT"))
    })?;
    if let Some(second) = statements.front() {
        let place = statement_position(second).unwrap_or_else(|| second_statement(file));
        return Err(Box::new(
            file.error_at(place, 1, "a model is one SELECT, but here a second statement begins")
                .with_hint("move it to a file of its own"),
        ));
    }
    let is_query = matches!(&statement, Statement::Statement(inner) if matches!(**inner, SqlStatement::Query(_)));
    if !is_query {
        let place = statement_position(&statement).unwrap_or(Position { line: 1, column: 1 });
        return Err(Box::new(
            file.error_at(place, 1, "a model must be a SELECT")
                .with_hint("Questlake writes the rows of the SELECT into the table of that name"),
        ));
    }
    Ok(statement)
}

fn statement_position(statement: &Statement) -> Option<Position> {
    match statement {
        Statement::Statement(inner) => span_position(inner.span()),
        _ => None,
    }
}

/// Where the first word behind a semicolon stands. Not every statement knows where it begins.
fn second_statement(file: &SourceFile) -> Position {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, file.text()).tokenize_with_location();
    let tokens = tokens.unwrap_or_default();
    let mut behind = tokens.iter().skip_while(|token| token.token != Token::SemiColon);
    let word = behind.find(|token| !matches!(token.token, Token::SemiColon | Token::Whitespace(_)));
    word.and_then(|token| span_position(token.span)).unwrap_or(Position { line: 1, column: 1 })
}

/// Finds the tables that the model reads, and reports names that can be none.
fn collect_reads(model: &mut ModelSource) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let file = model.file.clone();
    let references = match resolve_table_references(&model.statement, true) {
        Ok((references, _)) => references,
        Err(error) => return vec![locate(&file, &error)],
    };
    for reference in references {
        let place = reference_place(model, &reference.to_string());
        let known_catalog = reference.catalog().is_none_or(|catalog| catalog == CATALOG);
        let table = reference.table().to_owned();
        match (known_catalog, reference.schema()) {
            (true, Some(EVENTS)) => model.reads_events.push(place.with(table)),
            (true, None | Some(STAR)) => model.reads_star.push(place.with(table)),
            (true, Some(RUN)) if table == CHANGED_DATES => {}
            _ => diagnostics.push(
                file.error_for(&place, format!("there is no table `{reference}`")).with_hint(
                    "a model reads events.<type>, events.envelope, star.<model> and \
                     run.changed_dates",
                ),
            ),
        }
    }
    diagnostics
}

/// Where the file names a table first.
fn reference_place(model: &ModelSource, name: &str) -> Located<String> {
    let mut found = None;
    if let Statement::Statement(statement) = &model.statement {
        walk::relations(&**statement, |relation| {
            if object_name(relation) == name
                && let Some(position) = span_position(relation.span())
            {
                found = Some(position);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
    }
    let position = found.unwrap_or(Position { line: 1, column: 1 });
    Located {
        value: name.to_owned(),
        line: position.line,
        column: position.column,
        length: name.chars().count() as u64,
    }
}

pub(crate) fn object_name(name: &ObjectName) -> String {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        })
        .collect();
    parts.join(".")
}

/// The names that a model reads, once each.
pub(super) fn distinct(reads: &[Located<String>]) -> BTreeSet<&str> {
    reads.iter().map(|read| read.value.as_str()).collect()
}

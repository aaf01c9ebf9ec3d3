//! Reads the checks of a project: those of the models' headers with each model, the files of
//! `sql/checks/` when all models are planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::hot::{HOT_SAMPLE, hot_sample_schema};
use super::session::{CLOCK, EVENT_COUNTS, LATEST_EVENTS, clock_schema, event_counts_schema};
use super::{ColumnCheck, ColumnRule, FileCheck, KEY_CHECK};
use crate::catalog::events::envelope_schema;
use crate::catalog::{CATALOG, CHANGED_DATES, EVENTS, RUN, STAR};
use crate::models::compile::planning_session;
use crate::models::errors::locate_all;
use crate::models::influence::scan_influences;
use crate::models::{CompiledProject, ModelSource};
use crate::project::diagnostic::{Diagnostic, Diagnostics, Severity, nearest};
use crate::project::header::{AcceptedValue, CheckHeader, CheckRule, parse_check_header};
use crate::project::source::{Located, Position, SourceFile};
use crate::query::PreparedStatement;
use crate::query::parameters::{parse_value, stand_ins};
use crate::query::plan::{logical_plan, schema_and_name};
use crate::query::tables::sql_type_name;
use crate::stores::warehouse::TableColumn;

/// Where a mistake is shown that is about a file as a whole.
const START: Position = Position { line: 1, column: 1 };

/// What a check may read, for messages.
const READS: &str = "a check reads events.<type>, events.envelope, star.<model>, \
                     run.changed_dates, run.event_counts, run.latest_events, run.hot_sample \
                     and run.clock";

/// The checks of a model's header. `tables` are the models that are planned already.
pub(crate) fn column_checks(
    source: &ModelSource,
    columns: &[TableColumn],
    names: &[&str],
    tables: &BTreeMap<String, SchemaRef>,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<ColumnCheck> {
    let file = &source.file;
    let mut checks = Vec::new();
    for written in &source.header.checks {
        let name = &written.value.column;
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            // A column that cannot be stored has been reported already.
            if !names.contains(&name.as_str()) {
                mistakes.push(
                    file.error_for(written, format!("the model has no column `{name}`"))
                        .with_nearest(nearest(name, names.iter().copied())),
                );
            }
            continue;
        };
        let rule = match &written.value.rule {
            CheckRule::NotNull => Some(ColumnRule::NotNull),
            CheckRule::Accepted(values) => accepted(file, column, values, mistakes),
            CheckRule::References { model, column: referenced } => {
                reference(source, column, (model, referenced), tables, mistakes)
            }
        };
        let Some(rule) = rule else { continue };
        let (severity, line) = (written.value.severity, written.line);
        checks.push(ColumnCheck { column: name.clone(), rule, severity, line });
    }
    checks
}

fn accepted(
    file: &SourceFile,
    column: &TableColumn,
    written: &[Located<AcceptedValue>],
    mistakes: &mut Vec<Diagnostic>,
) -> Option<ColumnRule> {
    let quoted_type =
        matches!(column.data_type, DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..));
    let mut values = Vec::new();
    for value in written {
        let text = value.value.text.clone();
        let fits = value.value.quoted == quoted_type;
        match ScalarValue::try_from_string(text, &column.data_type) {
            Ok(found) if fits && !found.is_null() => values.push(found),
            _ => {
                let type_name = sql_type_name(&column.data_type);
                let message =
                    format!("this is no value of `{}`, which is {type_name}", column.name);
                let hint = match quoted_type {
                    true => "write texts and dates in single quotes",
                    false => "write numbers, true and false without quotes",
                };
                mistakes.push(file.error_for(value, message).with_hint(hint));
            }
        }
    }
    (values.len() == written.len()).then_some(ColumnRule::Accepted(values))
}

fn reference(
    source: &ModelSource,
    column: &TableColumn,
    (model, referenced): (&Located<String>, &Located<String>),
    tables: &BTreeMap<String, SchemaRef>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<ColumnRule> {
    let file = &source.file;
    if model.value == source.name {
        mistakes.push(
            file.error_for(model, "a column cannot refer to its own model")
                .with_hint("write a SELECT in sql/checks"),
        );
        return None;
    }
    // That there is no such model has been reported with the order; one with mistakes is no table.
    let table = tables.get(&model.value)?;
    let Ok(field) = table.field_with_name(&referenced.value) else {
        let names = table.fields().iter().map(|field| field.name().as_str());
        let message = format!("{} has no column `{}`", model.value, referenced.value);
        mistakes.push(
            file.error_for(referenced, message).with_nearest(nearest(&referenced.value, names)),
        );
        return None;
    };
    if *field.data_type() != column.data_type {
        let message = format!(
            "`{}` is {}, and {}.{} is {}",
            column.name,
            sql_type_name(&column.data_type),
            model.value,
            referenced.value,
            sql_type_name(field.data_type())
        );
        mistakes.push(
            file.error_for(referenced, message).with_hint("cast one of them in its model's SQL"),
        );
        return None;
    }
    let (model, column) = (model.value.clone(), referenced.value.clone());
    Some(ColumnRule::References { model, column })
}

/// Reads the files of `sql/checks/` into the project. Where the rest of it has mistakes they are not
/// planned: what they read may be missing because of these.
pub(crate) async fn load(
    files: &[SourceFile],
    project: &mut CompiledProject,
    diagnostics: &mut Diagnostics,
) {
    let plan_them = !diagnostics.has_errors();
    let session = match check_session(project) {
        Ok(session) => plan_them.then_some(session),
        Err(error) => {
            diagnostics.push(Diagnostic::error("sql/checks", error.to_string()));
            None
        }
    };
    for file in files {
        let (header, findings) = parse_check_header(file);
        let has_mistakes = findings.iter().any(|finding| finding.severity == Severity::Error);
        diagnostics.extend(findings);
        let statement = match PreparedStatement::new(file.clone()) {
            Ok(statement) => statement,
            Err(error) => {
                diagnostics.extend(error.diagnostics().unwrap_or_default());
                continue;
            }
        };
        diagnostics.extend(statement.warnings.iter().cloned());
        let mistakes = check_statement(file, &statement);
        let (false, true, Some(session)) = (has_mistakes, mistakes.is_empty(), &session) else {
            diagnostics.extend(mistakes);
            continue;
        };
        match compile(file, header, statement, project, session).await {
            Ok(check) => match add_waits(project, &check) {
                Ok(()) => {
                    diagnostics.extend(keeps_nothing_back(file, &check));
                    project.checks.push(Arc::new(check));
                }
                Err(mistake) => diagnostics.push(*mistake),
            },
            Err(mistakes) => diagnostics.extend(mistakes),
        }
    }
}

/// What each model waits for: the models that it reads, and those that its columns refer to. Says of
/// each whether it is needed, rather than asked for a warning.
pub(crate) fn waits_of_models(
    project: &CompiledProject,
) -> BTreeMap<String, BTreeMap<String, bool>> {
    let mut waits = BTreeMap::new();
    for model in &project.models {
        let mut upstream: BTreeMap<String, bool> = BTreeMap::new();
        for check in &model.checks {
            if let ColumnRule::References { model: other, .. } = &check.rule
                && other != model.name()
            {
                *upstream.entry(other.clone()).or_default() |= check.severity == Severity::Error;
            }
        }
        upstream.extend(model.reads.iter().map(|read| (read.model.clone(), true)));
        waits.insert(model.name().to_owned(), upstream);
    }
    waits
}

/// A session whose tables have schemas but no rows.
fn check_session(project: &CompiledProject) -> datafusion::common::Result<SessionContext> {
    let tables: BTreeMap<String, SchemaRef> = project
        .models
        .iter()
        .map(|model| (model.name().to_owned(), model.table.schema()))
        .collect();
    let session = planning_session(&project.contracts, &tables)?;
    let schema = session.catalog(CATALOG).and_then(|catalog| catalog.schema(RUN));
    if let Some(schema) = schema {
        let tables = [
            (EVENT_COUNTS, event_counts_schema()),
            (LATEST_EVENTS, envelope_schema()),
            (HOT_SAMPLE, hot_sample_schema()),
            (CLOCK, clock_schema()),
        ];
        for (name, columns) in tables {
            schema.register_table(name.to_owned(), Arc::new(EmptyTable::new(columns)))?;
        }
    }
    Ok(session)
}

/// What is wrong with a check before it is planned.
fn check_statement(file: &SourceFile, statement: &PreparedStatement) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    if file.stem() == KEY_CHECK {
        let message = format!("`{KEY_CHECK}` is the check of each model's key");
        mistakes.push(file.error_at(START, 1, message).with_hint("rename the file"));
    }
    let is_select = matches!(&statement.statement, Statement::Statement(inner)
        if matches!(**inner, SqlStatement::Query(_)));
    if !is_select {
        mistakes.push(
            file.error_at(START, 1, "a check is a SELECT")
                .with_hint("it gives the rows that are wrong"),
        );
    }
    for table in &statement.tables {
        let may_be = match schema_and_name(&table.value) {
            Some((EVENTS | STAR, _)) => true,
            Some((RUN, name)) => {
                [CHANGED_DATES, EVENT_COUNTS, LATEST_EVENTS, HOT_SAMPLE, CLOCK].contains(&name)
            }
            _ => false,
        };
        if !may_be {
            let message = format!("a check cannot read `{}`", table.value);
            mistakes.push(file.error_for(table, message).with_hint(READS));
        }
    }
    for parameter in &statement.header.parameters {
        let value = &parameter.value;
        let Some(default) = &value.default else {
            mistakes.push(
                file.error_for(parameter, format!("parameter `{}` has no value", value.name))
                    .with_hint("nobody is asked for it: write `param name: TYPE = value`"),
            );
            continue;
        };
        if let Err(expected) = parse_value(value.parameter_type, default) {
            let message = format!("the default `{default}` is not {expected}");
            mistakes.push(file.error_for(parameter, message));
        }
    }
    mistakes
}

async fn compile(
    file: &SourceFile,
    header: CheckHeader,
    statement: PreparedStatement,
    project: &CompiledProject,
    session: &SessionContext,
) -> Result<FileCheck, Vec<Diagnostic>> {
    let state = session.state();
    let values = stand_ins(&statement.header);
    let plan = match logical_plan(&state, &statement, values).await {
        Ok(plan) => plan,
        Err(error) => {
            return Err(match error.diagnostics() {
                Some(diagnostics) => diagnostics.into_iter().collect(),
                None => vec![file.error_at(START, 1, error.to_string())],
            });
        }
    };
    let plan = state.optimize(&plan).map_err(|error| locate_all(file, &error))?;
    let scans = scan_influences(&plan, None).map_err(|error| locate_all(file, &error))?;
    let mut check = FileCheck {
        description: header.description.clone(),
        severity: header.severity,
        on: None,
        columns: BTreeSet::new(),
        reads_star: BTreeSet::new(),
        reads_events: BTreeSet::new(),
        reads_counts: false,
        reads_latest: false,
        reads_hot: false,
        lookback: i32::try_from(header.lookback_days).unwrap_or(i32::MAX / 4),
        lookahead: i32::try_from(header.lookahead_days).unwrap_or(i32::MAX / 4),
        statement,
    };
    for table in &check.statement.tables {
        match schema_and_name(&table.value) {
            Some((STAR, name)) => {
                check.reads_star.insert(name.to_owned());
            }
            Some((EVENTS, name)) => {
                check.reads_events.insert(name.to_owned());
            }
            Some((RUN, EVENT_COUNTS)) => check.reads_counts = true,
            Some((RUN, LATEST_EVENTS)) => check.reads_latest = true,
            Some((RUN, HOT_SAMPLE)) => check.reads_hot = true,
            _ => {}
        }
    }
    check.on = match &header.on {
        Some(on) => Some(about(file, on, &check, project)?),
        None if check.reads_star.len() == 1 => check.reads_star.first().cloned(),
        None => None,
    };
    let own = scans.iter().filter(|scan| {
        let name = schema_and_name(&scan.table);
        name.is_some_and(|(schema, name)| schema == STAR && check.on.as_deref() == Some(name))
    });
    check.columns = own.flat_map(|scan| scan.columns.iter().cloned()).collect();
    Ok(check)
}

/// A warning for a check that reads several models and is about none of them: it runs when all of them
/// are published. Whoever wants to be told and no more says so.
fn keeps_nothing_back(file: &SourceFile, check: &FileCheck) -> Option<Diagnostic> {
    if check.on.is_some() || check.severity == Severity::Warning || check.reads_star.len() < 2 {
        return None;
    }
    let models: Vec<&str> = check.reads_star.iter().map(String::as_str).collect();
    let is_star = |table: &&Located<String>| {
        schema_and_name(&table.value).is_some_and(|(schema, _)| schema == STAR)
    };
    let tables = check.statement.tables.iter().filter(is_star);
    let place = tables.min_by_key(|table| (table.line, table.column))?;
    let message = format!(
        "the check reads {} and says not whose rows it is about, so it keeps no row back: it only \
         fails the run when they are published",
        models.join(" and ")
    );
    let hint = format!(
        "write `-- on: {}` to check its rows before they are published, or `-- severity: warn`",
        models.first()?
    );
    let severity = Severity::Warning;
    Some(Diagnostic { severity, ..file.error_for(place, message).with_hint(hint) })
}

/// The model that `on:` names.
fn about(
    file: &SourceFile,
    on: &Located<String>,
    check: &FileCheck,
    project: &CompiledProject,
) -> Result<String, Vec<Diagnostic>> {
    if project.model(&on.value).is_none() {
        let names = project.models.iter().map(|model| model.name());
        let message = format!("there is no model `{}`", on.value);
        return Err(vec![file.error_for(on, message).with_nearest(nearest(&on.value, names))]);
    }
    if !check.reads_star.contains(&on.value) {
        let message = format!("the check does not read star.{}", on.value);
        return Err(vec![
            file.error_for(on, message).with_hint("it can say nothing about the model's rows"),
        ]);
    }
    Ok(on.value.clone())
}

/// Has the model that a check is about wait for the others that it reads.
fn add_waits(project: &mut CompiledProject, check: &FileCheck) -> Result<(), Box<Diagnostic>> {
    let Some(on) = &check.on else { return Ok(()) };
    for other in check.reads_star.iter().filter(|other| *other != on) {
        if waits_for(project, other, on) {
            let written =
                check.statement.tables.iter().find(|table| {
                    schema_and_name(&table.value).is_some_and(|(_, name)| name == other)
                });
            let message = format!(
                "star.{other} comes after star.{on}, and is not there when that is checked"
            );
            let file = &check.statement.file;
            let diagnostic = match written {
                Some(table) => file.error_for(table, message),
                None => file.error_at(START, 1, message),
            };
            return Err(Box::new(
                diagnostic.with_hint(
                    "without `on:` the check runs after both, and reports what it finds",
                ),
            ));
        }
        let needed = check.severity == Severity::Error;
        let waits = project.waits.entry(on.clone()).or_default();
        *waits.entry(other.clone()).or_default() |= needed;
    }
    Ok(())
}

/// Whether `model` waits for `other`, directly or not.
fn waits_for(project: &CompiledProject, model: &str, other: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![model];
    while let Some(name) = next.pop() {
        if name == other {
            return true;
        }
        if seen.insert(name) {
            let upstream = project.waits.get(name);
            next.extend(upstream.iter().flat_map(|upstream| upstream.keys().map(String::as_str)));
        }
    }
    false
}

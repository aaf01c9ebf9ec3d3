//! From a checked statement to a plan, with mistakes told in terms of the query's text.

use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::error::QueryError;
use super::statement::PreparedStatement;
use crate::catalog::{CATALOG, STAR};
use crate::models::errors::locate_all;
use crate::project::diagnostic::{Diagnostic, nearest};

/// Schema of DataFusion's own tables about tables.
const INFORMATION_SCHEMA: &str = "information_schema";

/// Plans the statement with these values for its parameters.
///
/// # Errors
/// [`QueryError::Plan`] with every mistake that the planner tells at once.
pub(crate) async fn logical_plan(
    state: &SessionState,
    prepared: &PreparedStatement,
    values: ParamValues,
) -> Result<LogicalPlan, QueryError> {
    let unknown = unknown_tables(state, prepared);
    if !unknown.is_empty() {
        return Err(QueryError::Plan(unknown.into_iter().collect()));
    }
    let plan = async {
        let plan = state.statement_to_plan(prepared.statement.clone()).await?;
        let plan = plan.with_param_values(values)?;
        // The statement was checked already; this is the planner's own opinion on it.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        // Types are checked here, so that mistakes show before anything is read.
        let options = Arc::clone(state.config_options());
        state.analyzer().execute_and_check(plan.clone(), &options, |_, _| {})?;
        Ok(plan)
    };
    match plan.await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(mistakes(state, prepared, &error).await),
    }
}

/// A planner's error as mistakes in the query's text.
pub(super) async fn mistakes(
    state: &SessionState,
    prepared: &PreparedStatement,
    error: &DataFusionError,
) -> QueryError {
    let mut columns = Vec::new();
    for table in &prepared.tables {
        let Some((schema, name)) = schema_and_name(&table.value) else { continue };
        let Some(schema) = catalog(state).and_then(|catalog| catalog.schema(schema)) else {
            continue;
        };
        if let Ok(Some(table)) = schema.table(name).await {
            let table_schema = table.schema();
            columns.extend(table_schema.fields().iter().map(|field| field.name().clone()));
        }
    }
    let diagnostics = locate_all(&prepared.file, error).into_iter().map(|diagnostic| {
        let nearest_column = missing_column(&diagnostic.message)
            .and_then(|name| nearest(name, columns.iter().map(String::as_str)));
        diagnostic.with_nearest(nearest_column)
    });
    QueryError::Plan(diagnostics.collect())
}

/// The column that a planner's message calls unknown.
fn missing_column(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("there is no column `") {
        let (name, _) = rest.split_once('`')?;
        return Some(name.rsplit('.').next().unwrap_or(name));
    }
    let (_, rest) = message.split_once("No field named ")?;
    let name = rest.split([' ', '\n']).next()?.trim_end_matches('.');
    Some(name.rsplit('.').next().unwrap_or(name).trim_matches('"'))
}

fn catalog(state: &SessionState) -> Option<Arc<dyn CatalogProvider>> {
    state.catalog_list().catalog(CATALOG)
}

/// Schema and table of a name as it is written, or `None` if it names another catalog.
pub(crate) fn schema_and_name(written: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = written.split('.').collect();
    match parts.as_slice() {
        [table] => Some((STAR, table)),
        [schema, table] => Some((schema, table)),
        [catalog, schema, table] if *catalog == CATALOG => Some((schema, table)),
        _ => None,
    }
}

/// A mistake for each table that is not there.
fn unknown_tables(state: &SessionState, prepared: &PreparedStatement) -> Vec<Diagnostic> {
    let Some(catalog) = catalog(state) else { return Vec::new() };
    let mut mistakes = Vec::new();
    for table in &prepared.tables {
        let resolved = schema_and_name(&table.value);
        let exists = resolved.is_some_and(|(schema, name)| {
            schema == INFORMATION_SCHEMA
                || catalog.schema(schema).is_some_and(|schema| schema.table_exist(name))
        });
        if exists {
            continue;
        }
        let mut known = Vec::new();
        for schema in catalog.schema_names() {
            let names = catalog.schema(&schema).map(|schema| schema.table_names());
            for name in names.unwrap_or_default() {
                if schema == STAR {
                    known.push(name.clone());
                }
                known.push(format!("{schema}.{name}"));
            }
        }
        // `purchase` is `events.purchase` to whoever forgets the schema.
        let bare = table.value.rsplit('.').next().unwrap_or(&table.value);
        let elsewhere =
            known.iter().find(|name| name.rsplit_once('.').is_some_and(|(_, table)| table == bare));
        let suggestion = elsewhere
            .map(String::as_str)
            .or_else(|| nearest(&table.value, known.iter().map(String::as_str)));
        mistakes.push(
            prepared
                .file
                .error_for(table, format!("there is no table `{}`", table.value))
                .with_hint("there are events.*, star.*, hot.events and meta.*: see SHOW TABLES")
                .with_nearest(suggestion),
        );
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_columns_are_found_in_messages() {
        assert_eq!(missing_column("there is no column `pric`"), Some("pric"));
        assert_eq!(missing_column("there is no column `pric` in `p`"), Some("pric"));
        assert_eq!(missing_column("No field named p.pric. Did you mean"), Some("pric"));
        assert_eq!(missing_column("column 'x' is ambiguous"), None);
    }

    #[test]
    fn names_are_resolved() {
        assert_eq!(schema_and_name("dim_item"), Some(("star", "dim_item")));
        assert_eq!(schema_and_name("events.purchase"), Some(("events", "purchase")));
        assert_eq!(schema_and_name("questlake.hot.events"), Some(("hot", "events")));
        assert_eq!(schema_and_name("other.hot.events"), None);
    }
}

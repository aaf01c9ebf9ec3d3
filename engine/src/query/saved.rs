//! Saved queries: the files of `queries/`, checked when the project is loaded.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::parameters::{parse_value, stand_ins};
use super::plan::logical_plan;
use super::statement::PreparedStatement;
use super::tables::extra_schemas;
use super::{HOT, META};
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::runtime::set_sql_options;
use crate::catalog::{CATALOG, Namespace};
use crate::models::CompiledProject;
use crate::project::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::project::header::Chart;
use crate::project::source::SourceFile;

/// One saved query.
#[derive(Debug, Clone)]
pub struct SavedQuery {
    /// Its statement, with header and file.
    pub statement: PreparedStatement,
    /// Names and types of its columns, as far as they are known before it runs.
    pub columns: Vec<(String, DataType)>,
    /// Whether its rows follow from the events and the star schema alone: then they are the same until
    /// one of these changes.
    pub reproducible: bool,
}

impl SavedQuery {
    /// Its name: the file's, without `.sql`.
    pub fn name(&self) -> &str {
        self.statement.file.stem()
    }

    /// The tables that it reads, as they are written.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.statement.tables.iter().map(|table| table.value.as_str())
    }

    /// How its rows are drawn.
    pub fn chart(&self) -> Chart {
        match &self.statement.header.chart {
            Some(chart) => chart.value.clone(),
            None => {
                let columns: Vec<(&str, &DataType)> =
                    self.columns.iter().map(|(name, kind)| (name.as_str(), kind)).collect();
                Chart::inferred(&columns, &[])
            }
        }
    }

    /// Its title, or its name where it has none.
    pub fn title(&self) -> &str {
        self.statement.header.title.as_deref().unwrap_or_else(|| self.name())
    }
}

/// Reads the saved queries. Where the rest of the project has mistakes they are not planned: what
/// they read may be missing because of these.
pub(crate) async fn load(
    files: &[SourceFile],
    project: &CompiledProject,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<SavedQuery>> {
    let plan_them = !diagnostics.has_errors() && !files.is_empty();
    let session = if plan_them { planning_session(project).ok() } else { None };
    let mut queries = Vec::new();
    for file in files {
        let statement = match PreparedStatement::new(file.clone()) {
            Ok(statement) => statement,
            Err(error) => {
                diagnostics.extend(error.diagnostics().unwrap_or_default());
                continue;
            }
        };
        diagnostics.extend(statement.warnings.iter().cloned());
        for parameter in &statement.header.parameters {
            let Some(default) = &parameter.value.default else { continue };
            if let Err(expected) = parse_value(parameter.value.parameter_type, default) {
                let message = format!("the default `{default}` is not {expected}");
                diagnostics.push(file.error_for(parameter, message));
            }
        }
        let mut query = SavedQuery { statement, columns: Vec::new(), reproducible: false };
        if let Some(session) = &session {
            let values = stand_ins(&query.statement.header);
            match logical_plan(&session.state(), &query.statement, values).await {
                Ok(plan) => {
                    query.columns = columns(&plan);
                    query.reproducible = is_reproducible(&query.statement, &plan);
                    diagnostics.extend(check_chart(&query));
                }
                Err(error) => diagnostics.extend(error.diagnostics().unwrap_or_default()),
            }
        }
        queries.push(Arc::new(query));
    }
    queries
}

fn columns(plan: &LogicalPlan) -> Vec<(String, DataType)> {
    let fields = plan.schema().fields().iter();
    fields.map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

/// A mistake for each column of the chart that the query does not give.
fn check_chart(query: &SavedQuery) -> Vec<Diagnostic> {
    let Some(chart) = &query.statement.header.chart else { return Vec::new() };
    let names = || query.columns.iter().map(|(name, _)| name.as_str());
    let missing = chart.value.columns().filter(|column| !names().any(|name| name == *column));
    missing
        .map(|column| {
            let message = format!("the query gives no column `{column}`");
            let diagnostic = query.statement.file.error_for(chart, message);
            diagnostic.with_nearest(nearest(column, names()))
        })
        .collect()
}

/// Whether nothing in the query depends on the clock, on chance, or on tables that change by
/// themselves.
fn is_reproducible(statement: &PreparedStatement, plan: &LogicalPlan) -> bool {
    let of_itself = |table: &str| {
        [HOT, META, "information_schema"]
            .iter()
            .any(|schema| table.split('.').rev().nth(1).is_some_and(|written| written == *schema))
    };
    if statement.is_explain() || statement.tables.iter().any(|table| of_itself(&table.value)) {
        return false;
    }
    let mut immutable = true;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part {
                    immutable &= call.func.signature().volatility == Volatility::Immutable;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    immutable && visited.is_ok()
}

/// A session in which every table of a project has its schema, but no rows.
pub fn planning_session(project: &CompiledProject) -> datafusion::common::Result<SessionContext> {
    let empty = |schema| -> Arc<dyn TableProvider> { Arc::new(EmptyTable::new(schema)) };
    let mut namespace = Namespace::default();
    for contract in &project.contracts {
        namespace.add_events(&contract.event_type, empty(Arc::clone(&contract.schema)));
    }
    namespace.add_events(ENVELOPE_TABLE, empty(envelope_schema()));
    for model in &project.models {
        namespace.add_star(model.name(), empty(model.table.schema()));
    }
    let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(true);
    set_sql_options(&mut config);
    super::set_query_options(&mut config);
    let session = namespace.into_session(config, Arc::new(RuntimeEnv::default()))?;
    if let Some(catalog) = session.catalog(CATALOG) {
        for (schema, tables) in extra_schemas() {
            let tables = tables.into_iter().map(|table| (table.name, empty(table.schema)));
            super::register(&*catalog, schema, tables.collect())?;
        }
    }
    Ok(session)
}

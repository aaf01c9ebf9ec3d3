//! Saved queries: the files of `queries/`, checked when the project is loaded.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::parameters::{parse_value, stand_ins};
use super::plan::logical_plan;
use super::statement::PreparedStatement;
use super::tables::extra_schemas;
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::runtime::set_sql_options;
use crate::catalog::{CATALOG, Namespace};
use crate::models::CompiledProject;
use crate::project::diagnostic::Diagnostics;
use crate::project::source::SourceFile;

/// One saved query.
#[derive(Debug, Clone)]
pub struct SavedQuery {
    /// Its statement, with header and file.
    pub statement: PreparedStatement,
}

impl SavedQuery {
    /// Its name: the file's, without `.sql`.
    pub fn name(&self) -> &str {
        self.statement.file.stem()
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
        if let Some(session) = &session {
            let values = stand_ins(&statement.header);
            if let Err(error) = logical_plan(&session.state(), &statement, values).await {
                diagnostics.extend(error.diagnostics().unwrap_or_default());
            }
        }
        queries.push(Arc::new(SavedQuery { statement }));
    }
    queries
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

//! The SQL namespace: what `events.*`, `star.*` and `run.*` mean in one session.
//!
//! | schema | holds |
//! |---|---|
//! | `events` | one table per event type, and `events.envelope`: the envelope of every event |
//! | `star` | the warehouse's tables; also what an unqualified name means |
//! | `run` | `changed_dates`: the days that this run touches; for checks also `event_counts`, `latest_events`, `hot_sample` and `clock` |

pub mod events;
pub(crate) mod headroom;
pub(crate) mod memory;
pub mod runtime;
pub mod spill;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::stores::warehouse::postgres::aggregate::optimizer_rules;

/// Name of the catalog that all schemas lie in.
pub const CATALOG: &str = "questlake";
/// Schema of the event types.
pub const EVENTS: &str = "events";
/// Schema of the warehouse's tables.
pub const STAR: &str = "star";
/// Schema of what one run is about.
pub const RUN: &str = "run";
/// The table of the days that a run touches.
pub const CHANGED_DATES: &str = "changed_dates";

/// The tables of one session.
#[derive(Debug, Default)]
pub struct Namespace {
    events: Vec<(String, Arc<dyn TableProvider>)>,
    star: Vec<(String, Arc<dyn TableProvider>)>,
    run: Vec<(String, Arc<dyn TableProvider>)>,
}

impl Namespace {
    /// Adds `events.<name>`.
    pub fn add_events(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.events.push((name.to_owned(), table));
    }

    /// Adds `star.<name>`.
    pub fn add_star(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.star.push((name.to_owned(), table));
    }

    /// Adds `run.changed_dates` with these days (days since 1970).
    pub fn add_changed_dates(&mut self, days: Vec<i32>) -> Result<()> {
        let schema = changed_dates_schema();
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Date32Array::from(days))])?;
        let table = MemTable::try_new(schema, vec![vec![batch]])?;
        self.run.push((CHANGED_DATES.to_owned(), Arc::new(table)));
        Ok(())
    }

    /// Adds `run.<name>`.
    pub fn add_run(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.run.push((name.to_owned(), table));
    }

    /// A session in which these tables can be queried.
    pub fn into_session(
        self,
        config: SessionConfig,
        runtime: Arc<RuntimeEnv>,
    ) -> Result<SessionContext> {
        // Without a default catalog: a state that is built from this one would put it in the place of ours.
        let config = config
            .with_default_catalog_and_schema(CATALOG, STAR)
            .with_create_default_catalog_and_schema(false);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(optimizer_rules())
            .build();
        let mut context = SessionContext::new_with_state(state);
        let catalog = Arc::new(MemoryCatalogProvider::new());
        for (schema, tables) in [(EVENTS, self.events), (STAR, self.star), (RUN, self.run)] {
            let provider = MemorySchemaProvider::new();
            for (name, table) in tables {
                provider.register_table(name, table)?;
            }
            catalog.register_schema(schema, Arc::new(provider))?;
        }
        context.register_catalog(CATALOG, catalog);
        datafusion_functions_json::register_all(&mut context)?;
        crate::functions::register_all(&context);
        Ok(context)
    }
}

/// The rows of a table with these days (days since 1970) in a DATE column.
pub(crate) fn on_days(
    table: Arc<dyn TableProvider>,
    column: &str,
    days: &BTreeSet<i32>,
) -> Result<Arc<dyn TableProvider>> {
    let scratch = SessionContext::new();
    Ok(scratch.read_table(table)?.filter(is_one_of(column, days))?.into_view())
}

/// The condition that a DATE column has one of these days: a range where they have no gap.
pub(crate) fn is_one_of(column: &str, days: &BTreeSet<i32>) -> Expr {
    let date = |day: i32| lit(ScalarValue::Date32(Some(day)));
    let column = Expr::Column(Column::from_name(column));
    match (days.first(), days.last()) {
        (Some(first), Some(last)) if (last - first) as usize + 1 == days.len() => {
            column.between(date(*first), date(*last))
        }
        _ => column.in_list(days.iter().map(|day| date(*day)).collect(), false),
    }
}

/// Schema of `run.changed_dates`.
pub fn changed_dates_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("date", DataType::Date32, false)]))
}

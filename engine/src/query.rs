//! Ad-hoc SQL over everything: all events, the star schema, the hot store and the ledger.
//!
//! | schema | holds |
//! |---|---|
//! | `events` | one table per event type, and `events.envelope` |
//! | `star` | the warehouse; also what a name without a schema means |
//! | `hot` | `hot.events`: the hot store's documents |
//! | `meta` | the ledger, runs, quarantine, and what tables, columns and saved queries there are |
//!
//! A query only reads ([`statement`]), stays within its [`limits`], and gives its rows as a
//! [`stream`]. Parameters are bound to the plan ([`parameters`]), never pasted into the text.

mod bounds;
mod cancellation;
pub mod error;
mod executor;
pub mod export;
mod give_way;
mod hot;
pub mod limits;
mod meta;
mod pages;
pub mod parameters;
pub(crate) mod plan;
pub mod reading;
mod resident;
pub mod saved;
pub mod statement;
pub mod stream;
pub mod tables;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::catalog::{CatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::BoxFuture;
use tracing::instrument;

use crate::catalog::events::{ArchiveSlice, ENVELOPE_TABLE, EventSlice, EventsTable};
use crate::catalog::runtime::session_config;
use crate::catalog::{CATALOG, Namespace};
use crate::pipeline::{Engine, PipelineError};
use crate::project::diagnostic::nearest;

use bounds::Bounds;
use cancellation::Cancellation;
use stream::Asked;

pub use bounds::Oversized;
pub use error::QueryError;
pub use saved::SavedQuery;
pub use statement::PreparedStatement;
pub use stream::{Overflow, QueryStream};

/// Schema of the hot store.
pub const HOT: &str = "hot";
/// Schema of the ledger and of what there is.
pub const META: &str = "meta";

impl Engine {
    /// A session with `events.*` and `star.*` as they are now.
    pub fn session(&self) -> BoxFuture<'_, Result<SessionContext, PipelineError>> {
        Box::pin(async move { self.session_over(|table| table).await })
    }

    /// The same with each table of events as `shown` gives it.
    async fn session_over(
        &self,
        shown: impl Fn(EventsTable) -> EventsTable,
    ) -> Result<SessionContext, PipelineError> {
        let history = self.stores.ledger.history(None).await?;
        let slice = EventSlice {
            landing: Arc::clone(&self.stores.landing),
            segments: history.segments.into(),
            archive: Some(ArchiveSlice {
                store: self.stores.archive.clone(),
                state: Arc::new(history.archive),
            }),
            days: None,
        };
        let mut namespace = Namespace::default();
        for contract in &self.project.contracts {
            let table = shown(EventsTable::of_type(contract, slice.clone()));
            namespace.add_events(&contract.event_type, Arc::new(table));
        }
        namespace.add_events(ENVELOPE_TABLE, Arc::new(shown(EventsTable::envelope(slice))));
        for model in &self.project.models {
            namespace.add_star(model.name(), self.stores.warehouse.table(&model.table));
        }
        namespace
            .into_session(session_config(&self.limits), Arc::clone(&self.runtime))
            .map_err(PipelineError::Setup)
    }
}

/// Runs one read-only query to its end.
pub fn collect<'a>(
    session: &'a SessionContext,
    sql: &'a str,
) -> BoxFuture<'a, Result<Vec<RecordBatch>, DataFusionError>> {
    Box::pin(async move {
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        session.sql_with_options(sql, read_only).await?.collect().await
    })
}

impl Engine {
    /// Starts a query. `given` are the values of its parameters.
    ///
    /// # Errors
    /// Mistakes in the text or the parameters. What goes wrong later is told by the stream.
    #[instrument(target = "span", name = "plan query", skip_all)]
    pub fn query<'a>(
        &'a self,
        statement: &'a PreparedStatement,
        given: &'a BTreeMap<String, String>,
        overflow: Overflow,
    ) -> BoxFuture<'a, Result<QueryStream, QueryError>> {
        Box::pin(async move {
            let cancellation = Cancellation::new(Instant::now(), self.queries.timeout);
            let values = parameters::bind(&statement.header, given)?;
            // What there is to be read is asked here; the rest is for the threads of queries.
            let state = match self.queries.timeout {
                None => self.query_state().await?,
                Some(limit) => tokio::time::timeout(cancellation.time_left(), self.query_state())
                    .await
                    .map_err(|_| QueryError::TimedOut { limit })??,
            };
            let bounds = Bounds::new(self.queries.memory.limit, Arc::clone(&cancellation));
            let state = bounds.apply(state);
            let asked = Asked::Statement(Box::new(statement.clone()), values.into());
            stream::start(state, asked, &self.queries, overflow, cancellation).await
        })
    }

    /// The saved query of that name.
    ///
    /// # Errors
    /// [`QueryError::UnknownQuery`] with the nearest name.
    pub fn saved_query(&self, name: &str) -> Result<&Arc<SavedQuery>, QueryError> {
        self.project.query(name).ok_or_else(|| {
            let names = self.project.queries.iter().map(|query| query.name());
            let nearest = nearest(name, names).map(str::to_owned);
            QueryError::UnknownQuery { name: name.to_owned(), nearest }
        })
    }

    /// [`Engine::session`] with what only queries see.
    async fn query_state(&self) -> Result<SessionState, QueryError> {
        let session = self.session_over(EventsTable::with_text_views).await?;
        if let Some(catalog) = session.catalog(CATALOG) {
            let registered = register(&*catalog, META, meta::tables(self))
                .and_then(|()| register(&*catalog, HOT, vec![hot::table(self)]));
            registered.map_err(PipelineError::Setup)?;
        }
        let state = session.state();
        let mut config = state.config().clone();
        set_query_options(&mut config);
        Ok(SessionStateBuilder::new_from_existing(state).with_config(config).build())
    }
}

/// How queries read SQL beyond what models do.
fn set_query_options(config: &mut SessionConfig) {
    let options = config.options_mut();
    // Casts to TEXT have the type of the columns, so that conditions on these reach the stores.
    options.sql_parser.map_string_types_to_utf8view = false;
}

/// Adds a schema with these tables.
fn register(
    catalog: &dyn CatalogProvider,
    schema: &str,
    tables: Vec<(&'static str, Arc<dyn TableProvider>)>,
) -> datafusion::common::Result<()> {
    let provider = MemorySchemaProvider::new();
    for (name, table) in tables {
        provider.register_table(name.to_owned(), table)?;
    }
    catalog.register_schema(schema, Arc::new(provider))?;
    Ok(())
}

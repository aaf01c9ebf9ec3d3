//! A session over everything: all events that have landed and all tables of the star schema.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;

use crate::catalog::Namespace;
use crate::catalog::events::{ENVELOPE_TABLE, EventSlice, EventsTable};
use crate::catalog::runtime::session_config;
use crate::pipeline::{Engine, PipelineError};

impl Engine {
    /// A session with `events.*` and `star.*` as they are now.
    pub async fn session(&self) -> Result<SessionContext, PipelineError> {
        let ledger = &self.stores.ledger;
        let through = ledger.latest_sequence().await?;
        let slice = EventSlice {
            landing: Arc::clone(&self.stores.landing),
            segments: ledger.segments(0, through).await?.into(),
            days: None,
        };
        let mut namespace = Namespace::default();
        for contract in &self.project.contracts {
            let table = EventsTable::of_type(contract, slice.clone());
            namespace.add_events(&contract.event_type, Arc::new(table));
        }
        namespace.add_events(ENVELOPE_TABLE, Arc::new(EventsTable::envelope(slice)));
        for model in &self.project.models {
            namespace.add_star(model.name(), self.stores.warehouse.table(&model.table));
        }
        namespace
            .into_session(session_config(&self.limits), Arc::clone(&self.runtime))
            .map_err(PipelineError::Setup)
    }
}

/// Runs one read-only query to its end.
pub async fn collect(
    session: &SessionContext,
    sql: &str,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    session.sql_with_options(sql, read_only).await?.collect().await
}

//! A warehouse table for DataFusion: columns, conditions and limits are left to the server, and the
//! rows come by binary COPY.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio_postgres::CopyOutStream;

use super::condition::condition;
use super::rows::RowDecoder;
use super::statements::{column_list, star};
use crate::stores::error::StoreResult;
use crate::stores::postgres::{Failure, PostgresDatabase};
use crate::stores::warehouse::TableDefinition;

/// Rows per record batch.
const BATCH_ROWS: usize = 8192;

/// Batches that may wait for the reader.
const QUEUED_BATCHES: usize = 2;

/// A warehouse table as a DataFusion table.
pub(super) struct PostgresTable {
    database: PostgresDatabase,
    name: String,
    schema: SchemaRef,
}

impl PostgresTable {
    pub(super) fn new(database: PostgresDatabase, table: &TableDefinition) -> Self {
        Self { database, name: table.name.clone(), schema: table.schema() }
    }

    pub(super) fn database(&self) -> &PostgresDatabase {
        &self.database
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The table with these conditions, as the rest of a `FROM`; `None` if one of them is not for
    /// the server.
    pub(super) fn filtered(&self, filters: &[Expr]) -> Option<String> {
        let conditions: Option<Vec<String>> =
            filters.iter().map(|filter| condition(filter, &self.schema)).collect();
        let conditions = conditions?;
        let star = star(&self.name);
        Some(match conditions.is_empty() {
            true => star,
            false => format!("{star} WHERE {}", conditions.join(" AND ")),
        })
    }
}

impl fmt::Debug for PostgresTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostgresTable({})", self.name)
    }
}

#[async_trait]
impl TableProvider for PostgresTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match condition(filter, &self.schema) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let Some(rows) = self.filtered(filters) else {
            return Err(DataFusionError::Internal(format!(
                "a condition on {} was taken on that the server cannot be asked",
                self.name
            )));
        };
        let columns = column_list(schema.fields().iter().map(|field| field.name().as_str()), "");
        let columns = if columns.is_empty() { "true".to_owned() } else { columns };
        let mut sql = format!("SELECT {columns} FROM {rows}");
        if let Some(limit) = limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        plan_query(&self.database, &self.name, schema, sql)
    }
}

/// A plan that gives the rows of a query, whose columns are those of `schema` (any one without).
pub(super) fn plan_query(
    database: &PostgresDatabase,
    table: &str,
    schema: SchemaRef,
    sql: String,
) -> Result<Arc<dyn ExecutionPlan>> {
    let scan = PostgresScan {
        database: database.clone(),
        operation: format!("read {}", star(table)).into(),
        schema: Arc::clone(&schema),
        sql: sql.into(),
    };
    let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(scan)];
    Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, Vec::new(), false, None)?))
}

/// One `SELECT` on the server.
#[derive(Clone)]
struct PostgresScan {
    database: PostgresDatabase,
    operation: Arc<str>,
    schema: SchemaRef,
    sql: Arc<str>,
}

impl fmt::Debug for PostgresScan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostgresScan({})", self.sql)
    }
}

impl PartitionStream for PostgresScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUED_BATCHES);
        let sender = builder.tx();
        let scan = self.clone();
        builder.spawn(async move {
            scan.send_rows(&sender)
                .await
                .map_err(|error| DataFusionError::External(Box::new(error)))
        });
        builder.build()
    }
}

impl PostgresScan {
    /// Sends all rows, until nobody wants them any more.
    async fn send_rows(&self, sender: &Sender<Result<RecordBatch>>) -> StoreResult<()> {
        let database = &self.database;
        let copy = &format!("COPY ({}) TO STDOUT (FORMAT binary)", self.sql);
        // The server says nothing until it has some kilobytes of rows, or all of them; until then
        // everything can be done again.
        let (session, stream) = database
            .attempt_long(&self.operation, |session| async move {
                let stream = session.copy_out(copy.as_str()).await?;
                Ok((session, stream))
            })
            .await?;
        let failed = |failure| database.error(&self.operation, failure);
        let ended = send_copy(database, stream, &self.schema, sender).await.map_err(failed)?;
        match ended {
            true => session.end(()).map_err(failed),
            // The connection is closed, so that the server stops.
            false => Ok(()),
        }
    }
}

/// Sends the rows of a COPY. Returns whether it was read to its end, rather than until nobody wanted
/// its rows any more.
pub(super) async fn send_copy(
    database: &PostgresDatabase,
    stream: CopyOutStream,
    schema: &SchemaRef,
    sender: &Sender<Result<RecordBatch>>,
) -> std::result::Result<bool, Failure> {
    let mut stream = Box::pin(stream);
    let mut decoder = RowDecoder::new(Arc::clone(schema), BATCH_ROWS)?;
    while !decoder.has_ended() {
        database.watch(fill_batch(stream.as_mut(), &mut decoder)).await?;
        if decoder.rows() == 0 {
            continue;
        }
        let batch = decoder.finish_batch()?;
        if sender.send(Ok(batch)).await.is_err() {
            return Ok(false);
        }
    }
    // What ends the COPY is behind the last row.
    let ending = async {
        while let Some(message) = stream.next().await {
            message?;
        }
        Ok(())
    };
    database.watch(ending).await?;
    Ok(true)
}

/// Reads until a batch is full or the last row has come.
async fn fill_batch(
    mut stream: Pin<&mut CopyOutStream>,
    decoder: &mut RowDecoder,
) -> std::result::Result<(), Failure> {
    while !decoder.is_ready() {
        match stream.next().await {
            Some(message) => decoder.add(&message?)?,
            None => return Err(Failure::Corrupt("the server's rows end too early".to_owned())),
        }
    }
    Ok(())
}

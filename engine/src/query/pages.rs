//! Tables whose store is read page by page, so that a query holds one page of them at a time.

use std::fmt;
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

use super::{hot, meta};
use crate::stores::hot::{HotFilter, HotStore};
use crate::stores::ledger::Ledger;

/// What is read in pages.
#[derive(Clone)]
pub(super) enum PagedSource {
    /// The hot store's documents.
    Hot(Arc<dyn HotStore>),
    /// The quarantine.
    Quarantine(Arc<dyn Ledger>),
}

/// Where to go on after a page.
pub(super) type Cursor = String;

/// One scan of a source: which of its rows, and which columns.
#[derive(Clone)]
struct Scan {
    source: PagedSource,
    /// Of the hot store only.
    filter: HotFilter,
    schema: SchemaRef,
}

/// A table over a [`PagedSource`].
pub(super) struct PagedTable {
    name: &'static str,
    source: PagedSource,
    schema: SchemaRef,
}

impl PagedTable {
    pub(super) fn new(name: &'static str, source: PagedSource, schema: SchemaRef) -> Self {
        Self { name, source, schema }
    }
}

impl fmt::Debug for PagedTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PagedTable({})", self.name)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            PagedSource::Hot(_) => write!(formatter, "HotScan({:?})", self.filter),
            PagedSource::Quarantine(_) => formatter.write_str("QuarantineScan"),
        }
    }
}

#[async_trait]
impl TableProvider for PagedTable {
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
        // The store leaves out what it can; the rows are filtered again above.
        Ok(filters
            .iter()
            .map(|filter| match self.source {
                PagedSource::Hot(_) if hot::narrows(filter) => TableProviderFilterPushDown::Inexact,
                _ => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let scan = Scan {
            source: self.source.clone(),
            filter: hot::filter(filters, &schema),
            schema: Arc::clone(&schema),
        };
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![Arc::new(scan)],
            None,
            Vec::new(),
            false,
            None,
        )?))
    }
}

impl Scan {
    /// One page, and where to go on if there are more.
    async fn page(&self, after: Option<Cursor>) -> Result<(RecordBatch, Option<Cursor>)> {
        match &self.source {
            PagedSource::Hot(store) => hot::page(&**store, &self.filter, after, &self.schema).await,
            PagedSource::Quarantine(ledger) => {
                meta::quarantine_page(&**ledger, after, &self.schema).await
            }
        }
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 1);
        let sender = builder.tx();
        let scan = self.clone();
        builder.spawn(async move {
            let mut after = None;
            loop {
                let (batch, next) = scan.page(after).await?;
                if batch.num_rows() > 0 && sender.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
                if next.is_none() {
                    return Ok(());
                }
                after = next;
            }
        });
        builder.build()
    }
}

/// A store's error, as DataFusion carries it.
pub(super) fn store_error(error: crate::stores::error::StoreError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

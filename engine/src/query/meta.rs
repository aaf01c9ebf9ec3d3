//! `meta.*`: the ledger, the runs of the pipeline, the quarantine, and what the project defines.

mod definitions;

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use definitions::{MetaTable, QUARANTINE, RAW, definition, quarantine_definition};

use super::pages::{Cursor, PagedSource, PagedTable, store_error};
use super::parameters::type_name;
use super::tables::{ExtraTable, tables as described_tables};
use crate::pipeline::{Engine, PipelineError};
use crate::project::contract::TIME_ZONE;
use crate::stores::ledger::{Ledger, QuarantineEntry, QuarantineFilter};

/// Records of the quarantine in one page: each may be as long as `ingest.max_record`.
const QUARANTINE_PAGE: usize = 200;

/// Entries of the run history that are kept at most.
const RUN_HISTORY: usize = 1_000;

pub(super) fn definitions() -> Vec<ExtraTable> {
    let mut definitions: Vec<ExtraTable> = MetaTable::ALL.into_iter().map(definition).collect();
    definitions.push(quarantine_definition());
    definitions
}

pub(super) fn tables(engine: &Engine) -> Vec<(&'static str, Arc<dyn TableProvider>)> {
    let mut tables: Vec<(&'static str, Arc<dyn TableProvider>)> = Vec::new();
    for table in MetaTable::ALL {
        let ExtraTable { name, schema, .. } = definition(table);
        let provider = MetaProvider { table, schema, engine: engine.clone() };
        tables.push((name, Arc::new(provider)));
    }
    let source = PagedSource::Quarantine(Arc::clone(&engine.stores.ledger));
    let mut schema = quarantine_definition().schema;
    if !engine.queries.raw_quarantine {
        let fields = schema.fields().iter().filter(|field| field.name() != RAW).cloned();
        schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    }
    tables.push((QUARANTINE, Arc::new(PagedTable::new("meta.quarantine", source, schema))));
    tables
}

/// A value of a row.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Text(String),
    Number(i64),
    Flag(bool),
    Bytes(Vec<u8>),
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn optional_text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    fn count(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A time in milliseconds, where 0 stands for none.
    fn time(millis: i64) -> Self {
        if millis == 0 { Self::Null } else { Self::Number(millis.saturating_mul(1000)) }
    }

    fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// Rows as a batch of this schema.
fn to_batch(schema: &SchemaRef, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let cells = rows.iter().map(|row| row.get(index).unwrap_or(&Cell::Null));
        let numbers = cells.clone().map(Cell::as_number);
        columns.push(match field.data_type() {
            DataType::Int64 => Arc::new(numbers.collect::<Int64Array>()),
            DataType::Int32 => Arc::new(
                numbers
                    .map(|number| number.and_then(|number| i32::try_from(number).ok()))
                    .collect::<Int32Array>(),
            ),
            DataType::Date32 => Arc::new(
                numbers
                    .map(|number| number.and_then(|number| i32::try_from(number).ok()))
                    .collect::<Date32Array>(),
            ),
            DataType::Timestamp(..) => {
                Arc::new(numbers.collect::<TimestampMicrosecondArray>().with_timezone(TIME_ZONE))
            }
            DataType::Boolean => Arc::new(
                cells
                    .map(|cell| match cell {
                        Cell::Flag(flag) => Some(*flag),
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            DataType::Binary => Arc::new(
                cells
                    .map(|cell| match cell {
                        Cell::Bytes(bytes) => Some(bytes.as_slice()),
                        _ => None,
                    })
                    .collect::<BinaryArray>(),
            ),
            _ => Arc::new(
                cells
                    .map(|cell| match cell {
                        Cell::Text(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect::<StringArray>(),
            ),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// A table whose few rows are read when it is scanned.
struct MetaProvider {
    table: MetaTable,
    schema: SchemaRef,
    engine: Engine,
}

impl fmt::Debug for MetaProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MetaProvider({:?})", self.table)
    }
}

#[async_trait]
impl TableProvider for MetaProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = rows(&self.engine, self.table)
            .await
            .map_err(|error| datafusion::common::DataFusionError::External(Box::new(error)))?;
        let batch = to_batch(&self.schema, &rows)?;
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![vec![batch]])?;
        table.scan(session, projection, filters, limit).await
    }
}

async fn rows(
    engine: &Engine,
    table: MetaTable,
) -> std::result::Result<Vec<Vec<Cell>>, PipelineError> {
    let ledger = &engine.stores.ledger;
    Ok(match table {
        MetaTable::Partitions => ledger
            .partitions()
            .await?
            .into_iter()
            .map(|partition| {
                let counts = &partition.counts;
                vec![
                    Cell::text(&*partition.claim.topic),
                    Cell::Number(i64::from(partition.claim.partition)),
                    Cell::Number(partition.claim.epoch),
                    Cell::Number(partition.claim.next_offset),
                    Cell::count(counts.consumed),
                    Cell::count(counts.landed),
                    Cell::count(counts.duplicates),
                    Cell::count(counts.quarantined),
                    Cell::time(partition.updated_at),
                ]
            })
            .collect(),
        MetaTable::Segments => {
            let through = ledger.latest_sequence().await?;
            let segments = ledger.segments(0, through).await?;
            segments
                .into_iter()
                .map(|entry| {
                    let sections = &entry.segment.sections;
                    vec![
                        Cell::Number(entry.sequence),
                        Cell::text(entry.segment.name.as_str()),
                        Cell::count(entry.segment.bytes),
                        Cell::count(sections.len() as u64),
                        Cell::count(sections.iter().map(|section| section.rows()).sum()),
                    ]
                })
                .collect()
        }
        MetaTable::Sections => {
            let through = ledger.latest_sequence().await?;
            let mut rows = Vec::new();
            for entry in ledger.segments(0, through).await? {
                for section in &entry.segment.sections {
                    for (day, count) in &section.rows_by_date {
                        rows.push(vec![
                            Cell::Number(entry.sequence),
                            Cell::text(section.event_type.as_str()),
                            Cell::Number(i64::from(*day)),
                            Cell::count(*count),
                            Cell::text(version_text(section.contract_version)),
                        ]);
                    }
                }
            }
            rows
        }
        MetaTable::Models => {
            let latest = ledger.latest_sequence().await?;
            let states = engine.model_states(latest).await?;
            states
                .into_iter()
                .map(|state| {
                    let strategy =
                        engine.project.model(&state.model).map(|model| model.strategy.name());
                    vec![
                        Cell::text(state.model),
                        Cell::text(state.layer),
                        Cell::optional_text(strategy),
                        state.ledger_sequence.map_or(Cell::Null, Cell::Number),
                        Cell::Number(state.behind_commits),
                        Cell::count(state.stale_days),
                        Cell::Flag(state.definition_changed),
                        Cell::time(state.updated_at.unwrap_or(0)),
                    ]
                })
                .collect()
        }
        MetaTable::Runs => {
            let runs = engine.stores.warehouse.runs(RUN_HISTORY).await?;
            runs.into_iter()
                .map(|run| {
                    vec![
                        Cell::Number(run.started_at.saturating_mul(1000)),
                        Cell::Number(run.finished_at.saturating_mul(1000)),
                        Cell::text(run.model),
                        Cell::text(run.state),
                        Cell::text(run.mode),
                        Cell::count(run.rows),
                        Cell::optional_text(run.error),
                    ]
                })
                .collect()
        }
        MetaTable::Checks => {
            let checks = engine.stores.warehouse.checks(usize::MAX).await?;
            checks
                .into_iter()
                .map(|check| {
                    vec![
                        Cell::Number(check.run.saturating_mul(1000)),
                        Cell::Number(check.finished_at.saturating_mul(1000)),
                        Cell::text(check.name),
                        Cell::optional_text(check.model),
                        Cell::text(check.severity),
                        Cell::text(check.status),
                        Cell::count(check.rows),
                        Cell::optional_text(check.sample),
                        Cell::optional_text(check.detail),
                        Cell::optional_text(check.description),
                        Cell::text(check.file),
                        Cell::count(check.millis),
                    ]
                })
                .collect()
        }
        MetaTable::Tables => described_tables(&engine.project)
            .into_iter()
            .map(|table| {
                vec![
                    Cell::text(table.schema),
                    Cell::text(table.name),
                    Cell::count(table.columns.len() as u64),
                    Cell::optional_text(table.comment),
                ]
            })
            .collect(),
        MetaTable::Columns => {
            let mut rows = Vec::new();
            for table in described_tables(&engine.project) {
                for (index, column) in table.columns.into_iter().enumerate() {
                    rows.push(vec![
                        Cell::text(table.schema),
                        Cell::text(table.name.as_str()),
                        Cell::count(index as u64 + 1),
                        Cell::text(column.name),
                        Cell::text(column.data_type),
                        Cell::Flag(column.nullable),
                        Cell::optional_text(column.comment),
                    ]);
                }
            }
            rows
        }
        MetaTable::Queries => query_rows(engine),
    })
}

fn query_rows(engine: &Engine) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for query in &engine.project.queries {
        let header = &query.statement.header;
        let start = vec![
            Cell::text(query.name()),
            Cell::text(query.title()),
            Cell::optional_text(header.description.as_deref()),
        ];
        if header.parameters.is_empty() {
            rows.push(start);
            continue;
        }
        for parameter in &header.parameters {
            let parameter = &parameter.value;
            let mut row = start.clone();
            row.extend([
                Cell::text(parameter.name.as_str()),
                Cell::text(type_name(parameter.parameter_type)),
                Cell::optional_text(parameter.default.as_deref()),
                Cell::optional_text(parameter.comment.as_deref()),
            ]);
            rows.push(row);
        }
    }
    rows
}

fn version_text(version: u64) -> String {
    format!("{version:016x}")
}

/// One page of the quarantine.
pub(super) async fn quarantine_page(
    ledger: &dyn Ledger,
    after: Option<Cursor>,
    schema: &SchemaRef,
) -> Result<(RecordBatch, Option<Cursor>)> {
    let wanted = QuarantineFilter {
        include_replayed: true,
        after_id: after.and_then(|text| text.parse().ok()).unwrap_or(0),
        limit: QUARANTINE_PAGE,
        ..QuarantineFilter::default()
    };
    let entries = ledger.quarantine(&wanted).await.map_err(store_error)?;
    let next = match entries.last() {
        Some(last) if entries.len() == QUARANTINE_PAGE => Some(last.id.to_string()),
        _ => None,
    };
    let rows: Vec<Vec<Cell>> = entries.into_iter().map(quarantine_row).collect();
    let whole = to_batch(&quarantine_definition().schema, &rows)?;
    let indexes: Vec<usize> = schema
        .fields()
        .iter()
        .filter_map(|field| whole.schema().index_of(field.name()).ok())
        .collect();
    Ok((whole.project(&indexes)?, next))
}

fn quarantine_row(entry: QuarantineEntry) -> Vec<Cell> {
    let record = entry.record;
    vec![
        Cell::Number(entry.id),
        Cell::text(entry.state.name()),
        Cell::text(record.reason),
        Cell::text(record.detail),
        Cell::optional_text(record.event_type),
        Cell::optional_text(record.contract_version.map(version_text)),
        Cell::Number(entry.quarantined_at.saturating_mul(1000)),
        Cell::Number(i64::from(entry.attempts)),
        Cell::text(&*record.key.topic),
        Cell::Number(i64::from(record.key.partition)),
        Cell::Number(record.key.offset),
        Cell::Bytes(record.raw),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns_of_their_types() {
        let schema = definition(MetaTable::Partitions).schema;
        let mut row = vec![Cell::text("http")];
        row.extend((0..7).map(Cell::Number));
        row.push(Cell::time(0));
        let batch = to_batch(&schema, &[row]).unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert!(batch.column(8).is_null(0));
        for definition in definitions() {
            assert_eq!(definition.comments.len(), definition.schema.fields().len());
            assert_eq!(to_batch(&definition.schema, &[]).unwrap().num_rows(), 0);
        }
    }
}

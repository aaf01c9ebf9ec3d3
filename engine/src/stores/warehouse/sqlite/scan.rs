//! A warehouse table for DataFusion: projections, simple filters and limits run in SQLite.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::statements::{column_list, quote};
use super::values::{ColumnBuilder, ValueError, date_text, timestamp_text};
use crate::stores::sqlite::SqliteDatabase;
use crate::stores::warehouse::TableDefinition;

/// Rows per record batch.
const BATCH_ROWS: usize = 8192;

/// Batches that may wait for the reader.
const QUEUED_BATCHES: usize = 2;

/// A warehouse table as a DataFusion table.
pub(super) struct SqliteTable {
    database: SqliteDatabase,
    name: String,
    schema: SchemaRef,
}

impl SqliteTable {
    pub(super) fn new(database: SqliteDatabase, table: &TableDefinition) -> Self {
        Self { database, name: table.name.clone(), schema: table.schema() }
    }
}

impl fmt::Debug for SqliteTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SqliteTable({})", self.name)
    }
}

#[async_trait]
impl TableProvider for SqliteTable {
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
            .map(|filter| match condition(filter, &mut Vec::new()) {
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
        let mut parameters = Vec::new();
        let conditions: Vec<String> =
            filters.iter().filter_map(|filter| condition(filter, &mut parameters)).collect();
        let columns = column_list(schema.fields().iter().map(|field| field.name().as_str()), "");
        let columns = if columns.is_empty() { "1".to_owned() } else { columns };
        let mut sql = format!("SELECT {columns} FROM {}", quote(&self.name));
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if let Some(limit) = limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        let scan = SqliteScan {
            database: self.database.clone(),
            schema: Arc::clone(&schema),
            sql: sql.into(),
            parameters: parameters.into(),
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

/// An expression as an SQLite condition, or `None` if SQLite might see it differently.
fn condition(filter: &Expr, parameters: &mut Vec<Value>) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => Some(format!(
            "({} AND {})",
            condition(left, parameters)?,
            condition(right, parameters)?
        )),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(format!("({} OR {})", condition(left, parameters)?, condition(right, parameters)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operator = match op {
                Operator::Eq => "=",
                Operator::NotEq => "<>",
                Operator::Lt => "<",
                Operator::LtEq => "<=",
                Operator::Gt => ">",
                Operator::GtEq => ">=",
                _ => return None,
            };
            let (Expr::Column(column), Expr::Literal(literal, _)) = (&**left, &**right) else {
                return None;
            };
            parameters.push(literal_value(literal)?);
            Some(format!("{} {operator} ?", quote(&column.name)))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let Expr::Column(column) = &**expr else { return None };
            let mut marks = Vec::with_capacity(list.len());
            for item in list {
                let Expr::Literal(literal, _) = item else { return None };
                parameters.push(literal_value(literal)?);
                marks.push("?");
            }
            let not = if *negated { " NOT" } else { "" };
            // SQLite takes at most 32,766 parameters in one statement.
            (marks.len() <= 10_000)
                .then(|| format!("{}{not} IN ({})", quote(&column.name), marks.join(", ")))
        }
        Expr::Between(between) if !between.negated => {
            let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (&*between.expr, &*between.low, &*between.high)
            else {
                return None;
            };
            parameters.push(literal_value(low)?);
            parameters.push(literal_value(high)?);
            Some(format!("{} BETWEEN ? AND ?", quote(&column.name)))
        }
        Expr::IsNull(inner) => match &**inner {
            Expr::Column(column) => Some(format!("{} IS NULL", quote(&column.name))),
            _ => None,
        },
        Expr::IsNotNull(inner) => match &**inner {
            Expr::Column(column) => Some(format!("{} IS NOT NULL", quote(&column.name))),
            _ => None,
        },
        _ => None,
    }
}

/// A literal as the warehouse stores such values; types whose comparison could differ are left to
/// DataFusion.
fn literal_value(literal: &ScalarValue) -> Option<Value> {
    match literal {
        ScalarValue::Int64(Some(value)) => Some(Value::Integer(*value)),
        ScalarValue::Boolean(Some(value)) => Some(Value::Integer(i64::from(*value))),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Some(Value::Text(text.clone())),
        ScalarValue::Date32(Some(day)) => date_text(*day).map(Value::Text),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            timestamp_text(*micros).map(Value::Text)
        }
        _ => None,
    }
}

/// One `SELECT` in SQLite.
#[derive(Clone)]
struct SqliteScan {
    database: SqliteDatabase,
    schema: SchemaRef,
    sql: Arc<str>,
    parameters: Arc<[Value]>,
}

impl fmt::Debug for SqliteScan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SqliteScan({})", self.sql)
    }
}

impl PartitionStream for SqliteScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUED_BATCHES);
        let sender = builder.tx();
        let scan = self.clone();
        builder.spawn_blocking(move || {
            read_rows(&scan, |batch| sender.blocking_send(Ok(batch)).is_ok())
                .map_err(DataFusionError::External)
        });
        builder.build()
    }
}

/// Runs the scan's query and hands over its batches, until `consume` returns false.
fn read_rows(
    scan: &SqliteScan,
    consume: impl FnMut(RecordBatch) -> bool,
) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reader = scan.database.reader()?;
    reader.look(|connection| {
        read_query(connection, &scan.sql, &scan.parameters, &scan.schema, consume)
    })
}

/// Runs a query whose columns are those of `schema` and hands over its batches, until `consume`
/// returns false.
pub(super) fn read_query(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    schema: &SchemaRef,
    mut consume: impl FnMut(RecordBatch) -> bool,
) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters.iter()))?;
    let mut builders = new_builders(schema)?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        for (index, builder) in builders.iter_mut().enumerate() {
            builder.append(row, index)?;
        }
        count += 1;
        if count == BATCH_ROWS {
            if !consume(finish_batch(schema, &mut builders, count)?) {
                return Ok(());
            }
            builders = new_builders(schema)?;
            count = 0;
        }
    }
    if count > 0 {
        consume(finish_batch(schema, &mut builders, count)?);
    }
    Ok(())
}

fn new_builders(schema: &SchemaRef) -> std::result::Result<Vec<ColumnBuilder>, ValueError> {
    schema.fields().iter().map(|field| ColumnBuilder::new(field, BATCH_ROWS)).collect()
}

fn finish_batch(
    schema: &SchemaRef,
    builders: &mut [ColumnBuilder],
    rows: usize,
) -> std::result::Result<RecordBatch, ArrowError> {
    let columns = builders.iter_mut().map(ColumnBuilder::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

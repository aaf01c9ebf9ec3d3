//! A whole table in memory, and readings of it.
//!
//! The conditions are the very expressions that a store is asked with, evaluated over the rows, so
//! that a reading gives the same rows here as there.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{
    FilterBuilder, FilterPredicate, SortColumn, SortOptions, and_kleene, concat_batches,
    lexsort_to_indices, take, take_record_batch,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DataFusionError, Result, internal_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

use super::{Condition, OrderBy, Reading, ScalarValue, behind, condition};
use crate::stores::warehouse::TableDefinition;

/// All rows of a table, in the order of its key.
#[derive(Debug)]
pub(super) struct HeldTable {
    schema: DFSchema,
    rows: RecordBatch,
    bytes: usize,
}

/// Bytes of the values of some rows, without what was only set aside for more of them.
pub(super) fn value_bytes(rows: &RecordBatch) -> usize {
    let columns = rows.columns().iter();
    // A column of a slice may not be able to tell; then its whole memory is counted.
    columns
        .map(|column| {
            let data = column.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size())
        })
        .sum()
}

impl HeldTable {
    /// Takes the rows of a table.
    ///
    /// # Errors
    /// When they are not of one schema, or are too many for one batch.
    pub(super) fn new(
        table: &TableDefinition,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Self> {
        let mut rows = concat_batches(schema, batches)?;
        if !table.key.is_empty() {
            let by = |name: &String| OrderBy { column: name.clone(), descending: false };
            let order: Vec<OrderBy> = table.key.iter().map(by).collect();
            let places = lexsort_to_indices(&sort_columns(&rows, &order)?, None)?;
            rows = take_record_batch(&rows, &places)?;
        }
        let bytes = value_bytes(&rows);
        Ok(Self { schema: DFSchema::try_from(Arc::clone(schema))?, rows, bytes })
    }

    /// Bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows of a reading, in one batch. Readings of distinct rows are none of its business.
    ///
    /// # Errors
    /// When the reading does not fit the table.
    pub(super) fn read(&self, table: &TableDefinition, reading: &Reading) -> Result<RecordBatch> {
        if reading.distinct {
            return internal_err!("rows that are held are not made distinct");
        }
        let range = self.range(table, &reading.conditions)?;
        let rows = self.rows.slice(range.start, range.len());
        // Once for all columns: looking for its bits takes longer than copying the values.
        let chosen = self
            .mask(table, reading, &rows)?
            .map(|mask| FilterBuilder::new(&mask).optimize().build());
        let found = chosen.as_ref().map_or(rows.num_rows(), FilterPredicate::count);
        let column = |name: &str| -> Result<ArrayRef> {
            let column = rows.column(self.rows.schema_ref().index_of(name)?);
            Ok(match &chosen {
                Some(chosen) => chosen.filter(column)?,
                None => Arc::clone(column),
            })
        };
        let columns =
            reading.columns.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?;
        let schema = self.rows.schema_ref();
        let fields = reading.columns.iter().map(|name| schema.index_of(name));
        let schema = schema.project(&fields.collect::<std::result::Result<Vec<_>, _>>()?)?;
        let mut batch = RecordBatch::try_new(Arc::new(schema), columns)?;
        let skip = reading.skip.min(found);
        let end = reading.limit.map_or(found, |limit| skip.saturating_add(limit).min(found));
        if !is_order_of_key(table, &reading.order) {
            let order = reading.order.iter().map(|by| {
                Ok(SortColumn { values: column(&by.column)?, options: Some(options(by)) })
            });
            let order = order.collect::<Result<Vec<_>>>()?;
            let places = lexsort_to_indices(&order, Some(end))?;
            let columns = batch.columns().iter().map(|column| take(column, &places, None));
            let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
            batch = RecordBatch::try_new(batch.schema(), columns)?;
        }
        Ok(batch.slice(skip, end - skip))
    }

    /// Which of the rows of its range the reading is about; all of them without a mask.
    fn mask(
        &self,
        table: &TableDefinition,
        reading: &Reading,
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        let first = table.key.first();
        let conditions = reading.conditions.iter().filter(|asked| !is_met_by_range(asked, first));
        let conditions = conditions.map(condition);
        let behind =
            reading.after.as_ref().and_then(|values| behind(table, &reading.order, values));
        let properties = ExecutionProps::new();
        let planning = PhysicalPlanningContext::default();
        let mut mask: Option<BooleanArray> = None;
        for expression in conditions.chain(behind) {
            let expression =
                create_physical_expr(&expression, &self.schema, &properties, &planning)?;
            let holds = expression.evaluate(rows)?.into_array(rows.num_rows())?;
            let Some(holds) = holds.as_boolean_opt() else {
                return internal_err!("a condition is not true or false");
            };
            mask = Some(match mask {
                Some(mask) => and_kleene(&mask, holds)?,
                None => holds.clone(),
            });
        }
        Ok(mask)
    }

    /// The rows that meet the conditions on the key's first column: they lie together.
    fn range(&self, table: &TableDefinition, conditions: &[Condition]) -> Result<Range<usize>> {
        let mut range = 0..self.rows.num_rows();
        let Some(first) = table.key.first() else { return Ok(range) };
        let values = self.rows.column(self.rows.schema_ref().index_of(first)?);
        for condition in conditions.iter().filter(|asked| is_met_by_range(asked, Some(first))) {
            let (least, greatest) = match condition {
                Condition::AtLeast { value, .. } => (Some(value), None),
                Condition::AtMost { value, .. } => (None, Some(value)),
                Condition::OneOf { values, .. } => (values.first(), values.first()),
                _ => (None, None),
            };
            if let Some(least) = least {
                range.start = range.start.max(place(values, least, Ordering::is_lt)?);
            }
            if let Some(greatest) = greatest {
                range.end = range.end.min(place(values, greatest, Ordering::is_le)?);
            }
        }
        Ok(range.start.min(range.end)..range.end)
    }
}

/// Whether a condition says no more than between which values of the key's first column rows lie.
fn is_met_by_range(asked: &Condition, first: Option<&String>) -> bool {
    match asked {
        Condition::AtLeast { column, .. } | Condition::AtMost { column, .. } => {
            Some(column) == first
        }
        Condition::OneOf { column, values } => Some(column) == first && values.len() == 1,
        _ => false,
    }
}

/// The place of the first of these ascending values whose order to `value` is not `before`.
fn place(values: &dyn Array, value: &ScalarValue, before: fn(Ordering) -> bool) -> Result<usize> {
    let (mut low, mut high) = (0, values.len());
    while low < high {
        let middle = low.midpoint(high);
        let found = ScalarValue::try_from_array(values, middle)?;
        let Some(order) = found.partial_cmp(value) else {
            let message = format!("{found:?} cannot be compared with {value:?}");
            return Err(DataFusionError::Internal(message));
        };
        if before(order) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Whether rows in the order of the key are in this order.
fn is_order_of_key(table: &TableDefinition, order: &[OrderBy]) -> bool {
    let mut pairs = order.iter().zip(&table.key);
    order.len() <= table.key.len() && pairs.all(|(by, key)| !by.descending && by.column == *key)
}

fn options(by: &OrderBy) -> SortOptions {
    SortOptions { descending: by.descending, nulls_first: false }
}

fn sort_columns(rows: &RecordBatch, order: &[OrderBy]) -> Result<Vec<SortColumn>> {
    let column = |by: &OrderBy| {
        let values = Arc::clone(rows.column(rows.schema_ref().index_of(&by.column)?));
        Ok(SortColumn { values, options: Some(options(by)) })
    };
    order.iter().map(column).collect()
}

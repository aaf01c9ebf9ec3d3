//! A whole table in memory, and readings of it.
//!
//! A reading chooses places of rows; values are copied when they are asked for. The conditions are the
//! very expressions that a store is asked with, evaluated over the rows, so that a reading gives the
//! same rows here as there; the simplest ones are evaluated by the kernels that those end in.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::{eq, gt_eq, lt_eq};
use arrow::compute::{
    SortColumn, SortOptions, and_kleene, concat_batches, lexsort_to_indices, or_kleene,
    prep_null_mask_filter, take, take_record_batch,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result, internal_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

use super::texts::{RowTexts, RowWriter};
use super::{Condition, OrderBy, Reading, ScalarValue, behind, condition};
use crate::stores::warehouse::TableDefinition;

/// All rows of a table, in the order of its key.
#[derive(Debug)]
pub(super) struct HeldTable {
    schema: DFSchema,
    rows: RecordBatch,
    texts: Option<RowTexts>,
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
        if u32::try_from(rows.num_rows()).is_err() {
            return internal_err!("{} rows are too many to be held", rows.num_rows());
        }
        if !table.key.is_empty() {
            let by = |name: &String| OrderBy { column: name.clone(), descending: false };
            let order: Vec<OrderBy> = table.key.iter().map(by).collect();
            let places = lexsort_to_indices(&sort_columns(&rows, &order)?, None)?;
            rows = take_record_batch(&rows, &places)?;
        }
        let bytes = value_bytes(&rows);
        Ok(Self { schema: DFSchema::try_from(Arc::clone(schema))?, rows, texts: None, bytes })
    }

    /// Also holds each row as it is written, unless all that is held takes more than `limit` bytes then.
    ///
    /// # Errors
    /// When a row cannot be written.
    pub(super) fn write_rows(&mut self, write: RowWriter, limit: usize) -> Result<()> {
        if let Some(texts) = write(&self.rows, limit.saturating_sub(self.bytes))? {
            self.bytes += texts.bytes();
            self.texts = Some(texts);
        }
        Ok(())
    }

    /// Bytes of all that is held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows of a reading. Readings of distinct rows are none of its business.
    ///
    /// # Errors
    /// When the reading does not fit the table.
    pub(super) fn read(
        self: &Arc<Self>,
        table: &TableDefinition,
        reading: &Reading,
    ) -> Result<HeldRows> {
        if reading.distinct {
            return internal_err!("rows that are held are not made distinct");
        }
        let range = self.range(table, &reading.conditions)?;
        let mut places = match self.mask(table, reading, &range)? {
            None => Places::Together(range),
            Some(mask) => {
                let first = range.start as u32;
                let places = mask.values().set_indices_u32().map(|place| first + place);
                Places::Listed(UInt32Array::from_iter_values(places))
            }
        };
        let skip = reading.skip.min(places.len());
        let end = reading.limit.map_or(usize::MAX, |limit| skip.saturating_add(limit));
        let end = end.min(places.len());
        if !is_order_of_key(table, &reading.order) {
            let sorted = reading.order.iter().map(|by| {
                let values = places.take(self.column(&by.column)?)?;
                Ok(SortColumn { values, options: Some(options(by)) })
            });
            let order = lexsort_to_indices(&sorted.collect::<Result<Vec<_>>>()?, Some(end))?;
            let sorted = order.values().iter().map(|index| places.at(*index as usize));
            places = Places::Listed(UInt32Array::from_iter_values(sorted));
        }
        Ok(HeldRows { table: Arc::clone(self), places: places.part(skip..end) })
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        Ok(self.rows.column(self.rows.schema_ref().index_of(name)?))
    }

    /// Which of the rows of its range the reading is about; all of them without a mask.
    fn mask(
        &self,
        table: &TableDefinition,
        reading: &Reading,
        range: &Range<usize>,
    ) -> Result<Option<BooleanArray>> {
        let first = table.key.first();
        let mut mask: Option<BooleanArray> = None;
        let mut narrow = |holds: BooleanArray| -> Result<()> {
            mask = Some(match mask.take() {
                Some(mask) => and_kleene(&mask, &holds)?,
                None => holds,
            });
            Ok(())
        };
        let mut others = Vec::new();
        for asked in reading.conditions.iter().filter(|asked| !is_met_by_range(asked, first)) {
            match self.compare(asked, range)? {
                Some(holds) => narrow(holds)?,
                None => others.push(condition(asked)),
            }
        }
        let behind =
            reading.after.as_ref().and_then(|values| behind(table, &reading.order, values));
        others.extend(behind);
        if !others.is_empty() {
            let rows = self.rows.slice(range.start, range.len());
            let properties = ExecutionProps::new();
            let planning = PhysicalPlanningContext::default();
            for expression in &others {
                let expression =
                    create_physical_expr(expression, &self.schema, &properties, &planning)?;
                let holds = expression.evaluate(&rows)?.into_array(rows.num_rows())?;
                let Some(holds) = holds.as_boolean_opt() else {
                    return internal_err!("a condition is not true or false");
                };
                narrow(holds.clone())?;
            }
        }
        // A condition that is NULL does not hold.
        Ok(mask.map(|mask| match mask.null_count() {
            0 => mask,
            _ => prep_null_mask_filter(&mask),
        }))
    }

    /// A comparison with few values of the column's own type, without an expression.
    fn compare(&self, asked: &Condition, range: &Range<usize>) -> Result<Option<BooleanArray>> {
        const MOST_VALUES: usize = 4;
        let (name, values, kernel) = match asked {
            Condition::OneOf { column, values } => (column, values.as_slice(), Kernel::Equal),
            Condition::AtLeast { column, value } => {
                (column, std::slice::from_ref(value), Kernel::AtLeast)
            }
            Condition::AtMost { column, value } => {
                (column, std::slice::from_ref(value), Kernel::AtMost)
            }
            _ => return Ok(None),
        };
        let column = self.column(name)?;
        // Lists of doubles know of two zeros and of NaN what the kernels do not.
        let is_plain = |value: &ScalarValue| {
            !value.is_null()
                && value.data_type() == *column.data_type()
                && !(column.data_type().is_floating() && values.len() > 1)
        };
        if values.is_empty() || values.len() > MOST_VALUES || !values.iter().all(is_plain) {
            return Ok(None);
        }
        let column = column.slice(range.start, range.len());
        let mut mask: Option<BooleanArray> = None;
        for value in values {
            let value = value.to_scalar()?;
            let holds = match kernel {
                Kernel::Equal => eq(&column, &value)?,
                Kernel::AtLeast => gt_eq(&column, &value)?,
                Kernel::AtMost => lt_eq(&column, &value)?,
            };
            mask = Some(match mask {
                Some(mask) => or_kleene(&mask, &holds)?,
                None => holds,
            });
        }
        Ok(mask)
    }

    /// The rows that meet the conditions on the key's first column: they lie together.
    fn range(&self, table: &TableDefinition, conditions: &[Condition]) -> Result<Range<usize>> {
        let mut range = 0..self.rows.num_rows();
        let Some(first) = table.key.first() else { return Ok(range) };
        let values = self.column(first)?;
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

/// Rows of a table that is held in memory: those of one reading, in its order.
#[derive(Debug)]
pub struct HeldRows {
    table: Arc<HeldTable>,
    places: Places,
}

impl HeldRows {
    /// Their number.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These columns of the rows, in one batch.
    ///
    /// # Errors
    /// When the table has no such column.
    pub fn batch(&self, columns: &[String]) -> Result<RecordBatch> {
        let schema = self.table.rows.schema_ref();
        let mut fields: Vec<Arc<Field>> = Vec::with_capacity(columns.len());
        let mut values = Vec::with_capacity(columns.len());
        for name in columns {
            let place = schema.index_of(name)?;
            fields.extend(schema.fields().get(place).cloned());
            values.push(self.places.take(self.table.rows.column(place))?);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?)
    }

    /// The value of one row in the table's column with this number.
    ///
    /// # Errors
    /// When there is no such row or column.
    pub fn value(&self, row: usize, column: usize) -> Result<ScalarValue> {
        match self.table.rows.columns().get(column) {
            Some(values) if row < self.len() => {
                ScalarValue::try_from_array(values, self.places.at(row) as usize)
            }
            _ => internal_err!("there is no value {column} in row {row}"),
        }
    }

    /// Each row, with all columns of the table, as it is written; `None` where that is not held.
    pub fn texts(&self) -> Option<impl ExactSizeIterator<Item = &[u8]>> {
        let texts = self.table.texts.as_ref()?;
        Some((0..self.len()).map(|row| texts.row(self.places.at(row) as usize)))
    }
}

/// Where rows stand in their table. There are never more than a `u32` counts.
#[derive(Debug)]
enum Places {
    /// All of these.
    Together(Range<usize>),
    /// One by one.
    Listed(UInt32Array),
}

impl Places {
    fn len(&self) -> usize {
        match self {
            Self::Together(range) => range.len(),
            Self::Listed(places) => places.len(),
        }
    }

    /// The place of the row with this number, which is less than their length.
    fn at(&self, row: usize) -> u32 {
        match self {
            Self::Together(range) => (range.start + row) as u32,
            Self::Listed(places) => places.value(row),
        }
    }

    /// The values of a column.
    fn take(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Together(range) => Ok(column.slice(range.start, range.len())),
            Self::Listed(places) => Ok(take(column, places, None)?),
        }
    }

    /// Some of them.
    fn part(self, part: Range<usize>) -> Self {
        match self {
            Self::Together(range) => {
                Self::Together(range.start + part.start..range.start + part.end)
            }
            Self::Listed(places) => Self::Listed(places.slice(part.start, part.len())),
        }
    }
}

/// How a column is compared.
#[derive(Clone, Copy)]
enum Kernel {
    Equal,
    AtLeast,
    AtMost,
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

//! Column builders: plain vectors that become Arrow arrays without a copy.
//!
//! A record is written into them while it is read. When it turns out bad, they are cut back to the
//! rows before it.

use std::mem;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;
use questlake_engine::project::contract::{ColumnType, TIME_ZONE};

/// Texts one behind the other.
#[derive(Debug)]
pub(super) struct TextValues {
    data: Vec<u8>,
    /// Zero, and where each text ends. They fit because a batch has less than two gibibytes.
    offsets: Vec<i32>,
}

impl Default for TextValues {
    fn default() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }
}

impl TextValues {
    /// Appends the text `source[start..end]`.
    #[inline(always)]
    pub(super) fn push_range(&mut self, source: &[u8], start: usize, end: usize) {
        // A copy of fixed length is a few instructions, where one of any length is a call; what
        // was copied too much is cut off.
        let length = end - start;
        let rest = source.get(start..).unwrap_or_default();
        let new_length = self.data.len() + length;
        if let (true, Some(chunk)) = (length <= 16, rest.first_chunk::<16>()) {
            self.data.extend_from_slice(chunk);
            self.data.truncate(new_length);
        } else if let (true, Some(chunk)) = (length <= 64, rest.first_chunk::<64>()) {
            self.data.extend_from_slice(chunk);
            self.data.truncate(new_length);
        } else {
            self.data.extend_from_slice(&source[start..end]);
        }
        self.end_text();
    }

    /// Appends a piece of the text that [`end_text`](Self::end_text) will end.
    #[inline]
    pub(super) fn push_piece(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
    }

    /// Ends the text that the pieces make.
    #[inline]
    pub(super) fn end_text(&mut self) {
        self.offsets.push(self.data.len() as i32);
    }

    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn take_array(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let offsets = take(&mut self.offsets);
        self.offsets.push(0);
        let data = Buffer::from_vec(take(&mut self.data));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(StringArray::try_new(offsets, data, nulls)?))
    }
}

/// Builder of a nullable column of texts.
#[derive(Debug, Default)]
pub(super) struct TextColumn {
    pub(super) values: TextValues,
    null_rows: Vec<u32>,
}

impl TextColumn {
    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        // Fewer rows than bytes in a batch, so the number fits.
        self.null_rows.push(self.values.rows() as u32);
        self.values.end_text();
    }

    /// Forgets all rows from number `rows` on, and a text without an end.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        truncate_nulls(&mut self.null_rows, rows);
    }

    /// Takes the rows as an Arrow array and is empty again.
    pub(super) fn take_array(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = null_buffer(&self.null_rows, self.values.rows());
        self.null_rows.clear();
        self.values.take_array(nulls)
    }
}

fn truncate_nulls(null_rows: &mut Vec<u32>, rows: usize) {
    while null_rows.last().is_some_and(|row| *row as usize >= rows) {
        null_rows.pop();
    }
}

/// Takes the vector and leaves one behind with room for as much again.
pub(super) fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 16;
    mem::replace(values, Vec::with_capacity(room))
}

/// Values of one column, by their Arrow type.
#[derive(Debug)]
pub(super) enum Values {
    /// Booleans, packed into bits at the end.
    Boolean(Vec<bool>),
    /// 16-bit integers.
    Int16(Vec<i16>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
    /// Floats.
    Float64(Vec<f64>),
    /// Decimals, as multiples of their last place.
    Decimal(Vec<i128>),
    /// Texts, and JSON texts.
    Text(TextValues),
    /// Microseconds since 1970, UTC.
    Timestamp(Vec<i64>),
    /// Days since 1970.
    Date(Vec<i32>),
}

/// Builder of one column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    column_type: ColumnType,
    /// Rows whose value is null, ascending. The values have a placeholder there.
    null_rows: Vec<u32>,
    rows: usize,
}

impl Column {
    pub(super) fn new(column_type: ColumnType) -> Self {
        let values = match column_type {
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Int16 => Values::Int16(Vec::new()),
            ColumnType::Int32 => Values::Int32(Vec::new()),
            ColumnType::Int64 => Values::Int64(Vec::new()),
            ColumnType::Float64 => Values::Float64(Vec::new()),
            ColumnType::Decimal { .. } => Values::Decimal(Vec::new()),
            ColumnType::Text { .. } | ColumnType::Json => Values::Text(TextValues::default()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
            ColumnType::Date => Values::Date(Vec::new()),
        };
        Self { values, column_type, null_rows: Vec::new(), rows: 0 }
    }

    /// Number of rows that have a value, null included.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Counts the value that was pushed to [`values`](Self::values).
    #[inline(always)]
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    #[inline]
    pub(super) fn push_null(&mut self) {
        // Fewer rows than bytes in a batch, so the number fits.
        self.null_rows.push(self.rows as u32);
        self.rows += 1;
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text(values) => values.end_text(),
        }
    }

    /// Forgets all rows from number `rows` on, and values without an end.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        truncate_nulls(&mut self.null_rows, rows);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int16(values) => values.truncate(rows),
            Values::Int32(values) | Values::Date(values) => values.truncate(rows),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::Text(values) => values.truncate(rows),
        }
    }

    /// Takes the rows as an Arrow array and is empty again.
    pub(super) fn take_array(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = null_buffer(&self.null_rows, self.rows);
        self.null_rows.clear();
        self.rows = 0;
        Ok(match &mut self.values {
            Values::Boolean(values) => {
                let array = BooleanArray::new(BooleanBuffer::from(values.as_slice()), nulls);
                values.clear();
                Arc::new(array)
            }
            Values::Int16(values) => Arc::new(Int16Array::try_new(take(values).into(), nulls)?),
            Values::Int32(values) => Arc::new(Int32Array::try_new(take(values).into(), nulls)?),
            Values::Int64(values) => Arc::new(Int64Array::try_new(take(values).into(), nulls)?),
            Values::Float64(values) => Arc::new(Float64Array::try_new(take(values).into(), nulls)?),
            Values::Decimal(values) => {
                let array = Decimal128Array::try_new(take(values).into(), nulls)?;
                match self.column_type {
                    ColumnType::Decimal { precision, scale } => {
                        Arc::new(array.with_precision_and_scale(precision, scale)?)
                    }
                    _ => Arc::new(array),
                }
            }
            Values::Text(values) => values.take_array(nulls)?,
            Values::Timestamp(values) => {
                let array = TimestampMicrosecondArray::try_new(take(values).into(), nulls)?;
                Arc::new(array.with_timezone(TIME_ZONE))
            }
            Values::Date(values) => Arc::new(Date32Array::try_new(take(values).into(), nulls)?),
        })
    }
}

/// The validity of `rows` rows of which `null_rows` are null; none if all are valid.
fn null_buffer(null_rows: &[u32], rows: usize) -> Option<NullBuffer> {
    if null_rows.is_empty() {
        return None;
    }
    let mut bits = vec![0xFF_u8; rows.div_ceil(8)];
    for row in null_rows {
        bits[*row as usize / 8] &= !(1 << (row % 8));
    }
    Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    fn push_text(column: &mut Column, text: &str) {
        let Values::Text(values) = &mut column.values else { panic!("not a text column") };
        values.push_range(text.as_bytes(), 0, text.len());
        column.end_row();
    }

    #[test]
    fn a_column_is_cut_back_to_its_rows() {
        let mut column = Column::new(ColumnType::Text { max_chars: None });
        push_text(&mut column, "kept");
        column.push_null();
        push_text(&mut column, "gone");
        column.push_null();
        // A value without an end, as a fault in the middle of a row leaves it.
        let Values::Text(values) = &mut column.values else { panic!("not a text column") };
        values.push_range(b"half", 0, 4);
        column.truncate(2);
        push_text(&mut column, "next");
        let array = column.take_array().unwrap();
        let texts: Vec<Option<&str>> = array.as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("kept"), None, Some("next")]);
        assert_eq!(column.take_array().unwrap().len(), 0);
    }

    #[test]
    fn texts_of_every_length_are_copied_exactly() {
        let source: Vec<u8> = (0..200).map(|index| b'a' + index % 26).collect();
        let mut column = Column::new(ColumnType::Json);
        for length in 0..100 {
            let Values::Text(values) = &mut column.values else { panic!("not a text column") };
            values.push_range(&source, 100, 100 + length);
            column.end_row();
        }
        let array = column.take_array().unwrap();
        for (length, text) in array.as_string::<i32>().iter().enumerate() {
            assert_eq!(text.map(str::as_bytes), Some(&source[100..100 + length]));
        }
    }

    #[test]
    fn every_type_builds_the_array_that_its_contract_names() {
        for column_type in [
            ColumnType::Boolean,
            ColumnType::Int16,
            ColumnType::Int32,
            ColumnType::Int64,
            ColumnType::Float64,
            ColumnType::Decimal { precision: 10, scale: 2 },
            ColumnType::Text { max_chars: Some(3) },
            ColumnType::Timestamp,
            ColumnType::Date,
            ColumnType::Json,
        ] {
            let mut column = Column::new(column_type);
            (0..9).for_each(|_| column.push_null());
            let array = column.take_array().unwrap();
            assert_eq!(array.data_type(), &column_type.arrow_type());
            assert_eq!((array.len(), array.null_count()), (9, 9));
        }
    }
}

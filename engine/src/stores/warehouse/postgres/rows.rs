//! Rows of a binary COPY as record batches.
//!
//! The server sends one message per row: the number of columns, and for each column its length (-1
//! for NULL) and its bytes, all big-endian. The first message begins with a header, the last holds
//! -1 columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::project::contract::TIME_ZONE;
use crate::stores::postgres::Failure;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Days and microseconds from 1970 to 2000, where the server's days and times begin.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Characters that a text is taken to have when memory is set aside.
const TYPICAL_TEXT: usize = 16;

/// Builds record batches of a schema.
pub(super) struct RowDecoder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    capacity: usize,
    seen_header: bool,
    ended: bool,
}

impl RowDecoder {
    /// For batches of `capacity` rows. Without columns, each row has one that is not looked at.
    pub(super) fn new(schema: SchemaRef, capacity: usize) -> Result<Self, Failure> {
        let columns = new_columns(&schema, capacity)?;
        Ok(Self { schema, columns, rows: 0, capacity, seen_header: false, ended: false })
    }

    /// Whether a batch is full, or there are no more rows.
    pub(super) fn is_ready(&self) -> bool {
        self.ended || self.rows == self.capacity
    }

    /// Whether the last row has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Rows since the latest batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes one message.
    pub(super) fn add(&mut self, message: &[u8]) -> Result<(), Failure> {
        let mut bytes = Bytes(message);
        if !self.seen_header {
            bytes.skip_header()?;
            self.seen_header = true;
            if bytes.0.is_empty() {
                return Ok(());
            }
        }
        let count = i16::from_be_bytes(bytes.take_array()?);
        if count == -1 {
            self.ended = true;
            return Ok(());
        }
        if usize::try_from(count) != Ok(self.columns.len().max(1)) {
            return Err(broken(format!("{count} columns for {}", self.columns.len())));
        }
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let length = i32::from_be_bytes(bytes.take_array()?);
            let value = match usize::try_from(length) {
                Ok(length) => Some(bytes.take(length)?),
                Err(_) => None,
            };
            column.append(value).ok_or_else(|| {
                Failure::Corrupt(format!(
                    "column {} holds a value that does not fit {}",
                    field.name(),
                    field.data_type()
                ))
            })?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far.
    pub(super) fn finish_batch(&mut self) -> Result<RecordBatch, Failure> {
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Failure::Corrupt(error.to_string()))?;
        self.rows = 0;
        self.columns = new_columns(&self.schema, self.capacity)?;
        Ok(batch)
    }
}

fn new_columns(schema: &SchemaRef, capacity: usize) -> Result<Vec<ColumnBuilder>, Failure> {
    schema.fields().iter().map(|field| ColumnBuilder::new(field, capacity)).collect()
}

fn broken(what: String) -> Failure {
    Failure::Corrupt(format!("the server's rows cannot be read: {what}"))
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(broken(format!("{length} bytes wanted, {} left", self.0.len())));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn take_array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Failure> {
        match self.0.split_first_chunk::<LENGTH>() {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(*taken)
            }
            None => Err(broken(format!("{LENGTH} bytes wanted, {} left", self.0.len()))),
        }
    }

    fn skip_header(&mut self) -> Result<(), Failure> {
        if self.take(SIGNATURE.len())? != SIGNATURE {
            return Err(broken("no header".to_owned()));
        }
        let _flags: [u8; 4] = self.take_array()?;
        let extension = i32::from_be_bytes(self.take_array()?);
        self.take(usize::try_from(extension).unwrap_or(0))?;
        Ok(())
    }
}

/// A column under construction.
enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, i8),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    fn new(field: &Field, capacity: usize) -> Result<Self, Failure> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(capacity)),
            DataType::Int64 => Self::Int64(Int64Builder::with_capacity(capacity)),
            DataType::Float64 => Self::Float64(Float64Builder::with_capacity(capacity)),
            DataType::Decimal128(_, scale) => Self::Decimal(
                Decimal128Builder::with_capacity(capacity)
                    .with_data_type(field.data_type().clone()),
                *scale,
            ),
            DataType::Utf8 => {
                Self::Text(StringBuilder::with_capacity(capacity, capacity * TYPICAL_TEXT))
            }
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(capacity)),
            DataType::Timestamp(..) => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone(TIME_ZONE),
            ),
            other => {
                return Err(Failure::Corrupt(format!(
                    "column {} has the type {other}, which no table here has",
                    field.name()
                )));
            }
        })
    }

    /// Appends a value as the server sends it; `None` if the type cannot hold it.
    fn append(&mut self, value: Option<&[u8]>) -> Option<()> {
        match (self, value) {
            (Self::Boolean(builder), value) => {
                let value = match value {
                    None => None,
                    Some(&[byte]) => Some(byte != 0),
                    Some(_) => return None,
                };
                builder.append_option(value);
            }
            (Self::Int64(builder), Some(bytes)) => {
                builder.append_value(i64::from_be_bytes(bytes.try_into().ok()?));
            }
            (Self::Int64(builder), None) => builder.append_null(),
            (Self::Float64(builder), Some(bytes)) => {
                builder.append_value(f64::from_be_bytes(bytes.try_into().ok()?));
            }
            (Self::Float64(builder), None) => builder.append_null(),
            (Self::Decimal(builder, scale), Some(bytes)) => {
                builder.append_value(decimal(bytes, *scale)?);
            }
            (Self::Decimal(builder, _), None) => builder.append_null(),
            (Self::Text(builder), Some(bytes)) => {
                builder.append_value(std::str::from_utf8(bytes).ok()?);
            }
            (Self::Text(builder), None) => builder.append_null(),
            (Self::Date(builder), Some(bytes)) => {
                let day = i32::from_be_bytes(bytes.try_into().ok()?);
                // The smallest number stands for -infinity, the largest overflows: infinity.
                let day = (day != i32::MIN).then_some(day)?;
                builder.append_value(day.checked_add(EPOCH_DAYS)?);
            }
            (Self::Date(builder), None) => builder.append_null(),
            (Self::Timestamp(builder), Some(bytes)) => {
                let micros = i64::from_be_bytes(bytes.try_into().ok()?);
                let micros = (micros != i64::MIN).then_some(micros)?;
                builder.append_value(micros.checked_add(EPOCH_MICROS)?);
            }
            (Self::Timestamp(builder), None) => builder.append_null(),
        }
        Some(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

/// A `numeric` as a number of units of the last digit of `scale`: its digits to the base of 10,000
/// come with the weight of the first one. `None` for NaN, infinity, what is too long, and what has
/// more digits behind the point.
fn decimal(bytes: &[u8], scale: i8) -> Option<i128> {
    let (header, digits) = bytes.split_at_checked(8)?;
    let number = |position: usize| Some([*header.get(position)?, *header.get(position + 1)?]);
    let count = u16::from_be_bytes(number(0)?);
    let weight = i16::from_be_bytes(number(2)?);
    let sign = u16::from_be_bytes(number(4)?);
    if digits.len() != usize::from(count) * 2 || !matches!(sign, 0 | 0x4000) {
        return None;
    }
    let mut value: i128 = 0;
    for (index, digit) in digits.chunks_exact(2).enumerate() {
        let digit = i128::from(u16::from_be_bytes([digit[0], digit[1]]));
        // Ten to the power of this, in units of the last digit, is what the digit counts.
        let exponent = (i32::from(weight) - i32::try_from(index).ok()?) * 4 + i32::from(scale);
        let units = match u32::try_from(exponent) {
            Ok(exponent) => digit.checked_mul(10_i128.checked_pow(exponent)?)?,
            Err(_) => {
                let divisor = 10_i128.checked_pow(exponent.unsigned_abs())?;
                if digit % divisor != 0 {
                    return None;
                }
                digit / divisor
            }
        };
        value = value.checked_add(units)?;
    }
    Some(if sign == 0 { value } else { -value })
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Decimal128Array, Int64Array, StringArray};
    use arrow::datatypes::Schema;
    use bytes::BytesMut;
    use pgpq::ArrowToPostgresBinaryEncoder;
    use proptest::prelude::*;

    use super::*;

    /// Encodes rows as a COPY into the server has them, a message for each, and decodes them again.
    fn round_trip(rows: &RecordBatch) -> RecordBatch {
        let mut encoder = ArrowToPostgresBinaryEncoder::try_new(&rows.schema()).unwrap();
        let mut bytes = BytesMut::new();
        encoder.write_header(&mut bytes).unwrap();
        let mut decoder = RowDecoder::new(rows.schema(), rows.num_rows()).unwrap();
        for row in 0..rows.num_rows() {
            encoder.write_batch(&rows.slice(row, 1), &mut bytes).unwrap();
            decoder.add(&bytes.split()).unwrap();
        }
        assert_eq!(decoder.rows(), rows.num_rows());
        let batch = decoder.finish_batch().unwrap();
        encoder.write_footer(&mut bytes).unwrap();
        decoder.add(&bytes).unwrap();
        assert!(decoder.has_ended());
        batch
    }

    #[test]
    fn values_come_back() {
        let fields = vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("number", DataType::Int64, true),
            Field::new("share", DataType::Float64, true),
            Field::new("flag", DataType::Boolean, true),
            Field::new("day", DataType::Date32, true),
            Field::new("at", crate::project::contract::timestamp_type(), true),
        ];
        let at = arrow::array::TimestampMicrosecondArray::from(vec![Some(-1), None]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("ä"), None])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
            Arc::new(arrow::array::Float64Array::from(vec![Some(-0.0), None])),
            Arc::new(arrow::array::BooleanArray::from(vec![Some(true), None])),
            Arc::new(arrow::array::Date32Array::from(vec![Some(20_454), None])),
            Arc::new(at.with_timezone(TIME_ZONE)),
        ];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        assert_eq!(round_trip(&rows), rows);
    }

    #[test]
    fn what_is_cut_off_or_not_finite_is_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new("day", DataType::Date32, true)]));
        let mut decoder = RowDecoder::new(schema, 1).unwrap();
        assert!(decoder.add(b"PGCOPY").is_err());
        let infinite =
            ColumnBuilder::Date(Date32Builder::new()).append(Some(&[127, 255, 255, 255]));
        assert_eq!(infinite, None);
        let not_a_number = [0, 0, 0, 0, 0xc0, 0, 0, 0];
        assert_eq!(decimal(&not_a_number, 2), None);
    }

    proptest! {
        #[test]
        fn decimals_come_back(
            values in proptest::collection::vec(-(10_i128.pow(38) - 1)..10_i128.pow(38), 1..20),
            scale in 0_i8..=38,
        ) {
            let mut values = values;
            values.extend([0, 1, -1, 10_i128.pow(38) - 1]);
            let decimals = Decimal128Array::from(values.clone())
                .with_precision_and_scale(38, scale)
                .unwrap();
            let decimals: ArrayRef = Arc::new(decimals);
            let rows = RecordBatch::try_from_iter([("decimal", decimals)]).unwrap();
            let back = round_trip(&rows);
            let back = back.column(0).as_primitive::<arrow::datatypes::Decimal128Type>();
            prop_assert_eq!(back.values(), &values);
        }
    }
}

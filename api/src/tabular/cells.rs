//! Values of a column as JSON.
//!
//! Decimals are texts, so that no reader rounds them; times are RFC 3339 in UTC; what is no finite number
//! is `null`.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Field, Float64Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::temporal_conversions::date32_to_datetime;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{LineDelimited, WriterBuilder};
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};

/// A column that is ready to be written value by value.
pub(super) enum Cells {
    Boolean(ArrayRef),
    Integer(ArrayRef),
    Unsigned(ArrayRef),
    Double(ArrayRef),
    Decimal(ArrayRef, u8, i8),
    Text(ArrayRef),
    Date(ArrayRef),
    Timestamp(ArrayRef),
    /// Each value as it is written.
    Ready(Vec<Option<Vec<u8>>>),
}

impl Cells {
    pub(super) fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Ok(match column.data_type() {
            DataType::Boolean => Self::Boolean(column.clone()),
            DataType::UInt64 => Self::Unsigned(column.clone()),
            kind if kind.is_integer() => Self::Integer(cast(column, &DataType::Int64)?),
            kind if kind.is_floating() => Self::Double(cast(column, &DataType::Float64)?),
            DataType::Decimal128(precision, scale) => {
                Self::Decimal(column.clone(), *precision, *scale)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(cast(column, &DataType::Utf8)?)
            }
            DataType::Date32 | DataType::Date64 => Self::Date(cast(column, &DataType::Date32)?),
            DataType::Timestamp(..) => Self::Timestamp(cast(column, &micros)?),
            DataType::Dictionary(_, values) => return Self::new(&cast(column, values)?),
            DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::Struct(_)
            | DataType::Map(..) => Self::Ready(nested(column)?),
            _ => Self::Ready(displayed(column)?),
        })
    }

    /// Writes the value of a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self {
            Self::Boolean(values) => match values.is_null(row) {
                true => out.write_all(b"null"),
                false => write!(out, "{}", values.as_boolean().value(row)),
            },
            Self::Integer(values) => match values.is_null(row) {
                true => out.write_all(b"null"),
                false => number(values.as_primitive::<Int64Type>().value(row), out),
            },
            Self::Unsigned(values) => match values.is_null(row) {
                true => out.write_all(b"null"),
                false => number(values.as_primitive::<UInt64Type>().value(row), out),
            },
            Self::Double(values) => {
                let value = values.as_primitive::<Float64Type>().value(row);
                if values.is_null(row) || !value.is_finite() {
                    out.write_all(b"null")
                } else {
                    serde_json::to_writer(out, &value).map_err(std::io::Error::from)
                }
            }
            Self::Decimal(values, precision, scale) => match values.is_null(row) {
                true => out.write_all(b"null"),
                false => decimal(
                    values.as_primitive::<Decimal128Type>().value(row),
                    *precision,
                    *scale,
                    out,
                ),
            },
            Self::Text(values) => match values.is_null(row) {
                true => out.write_all(b"null"),
                false => serde_json::to_writer(out, values.as_string::<i32>().value(row))
                    .map_err(std::io::Error::from),
            },
            Self::Date(values) => {
                let day = values.as_primitive::<Date32Type>().value(row);
                match date32_to_datetime(day).filter(|_| values.is_valid(row)) {
                    Some(time) => date(time.date(), out),
                    None => out.write_all(b"null"),
                }
            }
            Self::Timestamp(values) => {
                let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                let time = DateTime::<Utc>::from_timestamp_micros(micros);
                match time.filter(|_| values.is_valid(row)) {
                    Some(time) => {
                        write!(out, "\"{}\"", time.to_rfc3339_opts(SecondsFormat::Micros, true))
                    }
                    None => out.write_all(b"null"),
                }
            }
            Self::Ready(values) => match values.get(row) {
                Some(Some(value)) => out.write_all(value),
                _ => out.write_all(b"null"),
            },
        };
    }
}

/// A number without the machinery of formats, which takes most of the time of a small one.
fn number(value: impl itoa::Integer, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.write_all(itoa::Buffer::new().format(value).as_bytes())
}

/// A day of the calendar as a text.
fn date(day: NaiveDate, out: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(year) = u16::try_from(day.year()).ok().filter(|year| *year <= 9999) else {
        return write!(out, "\"{day}\"");
    };
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let (year, month, day) = (u32::from(year), day.month(), day.day());
    out.write_all(&[
        b'"',
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        b'-',
        digit(month / 10),
        digit(month),
        b'-',
        digit(day / 10),
        digit(day),
        b'"',
    ])
}

/// A decimal as a text, with all digits of its scale.
fn decimal(unscaled: i128, precision: u8, scale: i8, out: &mut Vec<u8>) -> std::io::Result<()> {
    let (Ok(small), Ok(scale_digits)) = (i64::try_from(unscaled), usize::try_from(scale)) else {
        let text = Decimal128Type::format_decimal(unscaled, precision, scale);
        return write!(out, "\"{text}\"");
    };
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(small.unsigned_abs()).as_bytes();
    out.push(b'"');
    if small < 0 {
        out.push(b'-');
    }
    match digits.len().checked_sub(scale_digits).filter(|whole| *whole > 0) {
        Some(whole) => {
            let (whole, fraction) = digits.split_at(whole);
            out.extend_from_slice(whole);
            if !fraction.is_empty() {
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
        }
        None => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale_digits - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
    }
    out.push(b'"');
    Ok(())
}

/// Lists and structures as JSON.
fn nested(column: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>, ArrowError> {
    const BEFORE: &[u8] = b"{\"v\":";
    let schema = Schema::new(vec![Field::new("v", column.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(schema.into(), vec![column.clone()])?;
    let mut writer =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    let values = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let inner = |line: &[u8]| {
        let value = line.strip_prefix(BEFORE)?.strip_suffix(b"}")?;
        Some(value.to_vec())
    };
    Ok(values.map(inner).collect())
}

/// Anything else as the text that people are shown.
fn displayed(column: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>, ArrowError> {
    let options = FormatOptions::default().with_display_error(true);
    let formatter = ArrayFormatter::try_new(column, &options)?;
    // A column of the type of NULL alone has no list of what is absent.
    let absent = column.logical_nulls();
    let value = |row: usize| {
        let text = formatter.value(row).to_string();
        let is_absent = absent.as_ref().is_some_and(|absent| absent.is_null(row));
        (!is_absent).then(|| serde_json::to_vec(&text).unwrap_or_default())
    };
    Ok((0..column.len()).map(value).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array,
        Int64Array, ListArray, NullArray, StringArray, TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn written(column: ArrayRef) -> Vec<String> {
        let cells = Cells::new(&column).unwrap();
        (0..column.len())
            .map(|row| {
                let mut out = Vec::new();
                cells.write(row, &mut out);
                String::from_utf8(out).unwrap()
            })
            .collect()
    }

    #[test]
    fn values_are_json() {
        let booleans = BooleanArray::from(vec![Some(true), None]);
        assert_eq!(written(Arc::new(booleans)), ["true", "null"]);
        let small = Int16Array::from(vec![Some(-3), None]);
        assert_eq!(written(Arc::new(small)), ["-3", "null"]);
        let large = UInt64Array::from(vec![u64::MAX]);
        assert_eq!(written(Arc::new(large)), ["18446744073709551615"]);
        let numbers = Int64Array::from(vec![i64::MIN]);
        assert_eq!(written(Arc::new(numbers)), ["-9223372036854775808"]);
        let doubles = Float64Array::from(vec![Some(0.1), Some(f64::NAN), None, Some(1e300)]);
        assert_eq!(written(Arc::new(doubles)), ["0.1", "null", "null", "1e+300"]);
        let decimals = Decimal128Array::from(vec![Some(-12_345), None])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(written(Arc::new(decimals)), ["\"-123.45\"", "null"]);
        let days = Date32Array::from(vec![-719_529, 2_932_896, 2_932_897]);
        assert_eq!(
            written(Arc::new(days)),
            ["\"-0001-12-31\"", "\"9999-12-31\"", "\"+10000-01-01\""]
        );
        let texts = StringArray::from(vec![Some("a\"\n\u{1}ü"), None]);
        assert_eq!(written(Arc::new(texts)), ["\"a\\\"\\n\\u0001ü\"", "null"]);
        let days = Date32Array::from(vec![Some(20_484), None]);
        assert_eq!(written(Arc::new(days)), ["\"2026-01-31\"", "null"]);
        let times = TimestampMicrosecondArray::from(vec![Some(1_769_860_800_000_001), None])
            .with_timezone("UTC");
        assert_eq!(written(Arc::new(times)), ["\"2026-01-31T12:00:00.000001Z\"", "null"]);
    }

    #[test]
    fn decimals_are_written_as_arrow_writes_them() {
        let edges = [0, 1, -1, 9, 10, -10, 99, 100, 101, i64::MAX.into(), i64::MIN.into()];
        let beyond = [i128::from(i64::MAX) + 1, -(10_i128.pow(37))];
        for unscaled in edges.into_iter().chain(beyond) {
            for scale in [-2, 0, 1, 2, 6, 18, 20] {
                let mut out = Vec::new();
                decimal(unscaled, 38, scale, &mut out).unwrap();
                let expected = Decimal128Type::format_decimal(unscaled, 38, scale);
                assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected}\""), "{scale}");
            }
        }
    }

    #[test]
    fn what_has_no_place_in_json_is_written_all_the_same() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        assert_eq!(written(Arc::new(lists)), ["[1,null]", "null", "[]"]);
        let bytes = BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None]);
        assert_eq!(written(Arc::new(bytes)), ["\"00ff\"", "null"]);
        assert_eq!(written(Arc::new(NullArray::new(2))), ["null", "null"]);
    }
}

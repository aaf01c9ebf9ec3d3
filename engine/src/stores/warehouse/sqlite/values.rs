//! Arrow values as SQLite stores them, and back.
//!
//! | Arrow | SQLite | so that |
//! |---|---|---|
//! | Int64, Boolean | INTEGER | |
//! | Float64 | REAL | |
//! | Decimal128(p, s) | REAL, the double nearest to the decimal | `sum()` in any SQLite client gives money; 15 digits are exact, more are refused |
//! | Utf8 | TEXT | |
//! | Date32 | TEXT `YYYY-MM-DD` | SQLite's date functions read it and it sorts by time |
//! | Timestamp(µs, UTC) | TEXT `YYYY-MM-DD HH:MM:SS.ffffff` | likewise |

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::array::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int64Type, TimestampMicrosecondType,
};
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{Row, Statement};

use crate::project::contract::TIME_ZONE;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Largest unscaled decimal that a double holds to the digit.
const MAX_EXACT_DECIMAL: i128 = 1_000_000_000_000_000;

/// First and last day that `YYYY-MM-DD` can name: 0000-01-01 and 9999-12-31.
const DAY_RANGE: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// A value that SQLite cannot keep exactly.
#[derive(Debug, thiserror::Error)]
pub(super) enum ValueError {
    #[error("column `{column}`: {value} has more than 15 digits, which a decimal here cannot keep")]
    DecimalTooLong { column: String, value: String },
    #[error("column `{column}`: the date lies outside the years 0 to 9999")]
    DateOutOfRange { column: String },
    #[error("column `{column}` has the type {data_type}, which the warehouse cannot store")]
    Unsupported { column: String, data_type: DataType },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// One column of a batch, ready to be bound row by row.
enum Column<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, f64),
    Text(&'a StringArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

/// Runs `statement` once per row, with the row's columns as its parameters. Returns the first row
/// that failed with its error.
pub(super) fn execute_rows(
    statement: &mut Statement<'_>,
    rows: &RecordBatch,
) -> Result<(), (usize, ValueError)> {
    let schema = rows.schema();
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (array, field) in rows.columns().iter().zip(schema.fields()) {
        columns.push(column(array, field).map_err(|error| (0, error))?);
    }
    for row in 0..rows.num_rows() {
        for (index, column) in columns.iter().enumerate() {
            bind(statement, index + 1, column, row, schema.field(index))
                .map_err(|error| (row, error))?;
        }
        statement.raw_execute().map_err(|error| (row, error.into()))?;
    }
    Ok(())
}

fn column<'a>(array: &'a ArrayRef, field: &Field) -> Result<Column<'a>, ValueError> {
    Ok(match array.data_type() {
        DataType::Boolean => Column::Boolean(array.as_boolean()),
        DataType::Int64 => Column::Int64(array.as_primitive::<Int64Type>()),
        DataType::Float64 => Column::Float64(array.as_primitive::<Float64Type>()),
        DataType::Decimal128(_, scale) => {
            Column::Decimal(array.as_primitive::<Decimal128Type>(), 10_f64.powi(i32::from(*scale)))
        }
        DataType::Utf8 => Column::Text(array.as_string::<i32>()),
        DataType::Date32 => Column::Date(array.as_primitive::<Date32Type>()),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            Column::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
        }
        other => {
            return Err(ValueError::Unsupported {
                column: field.name().clone(),
                data_type: other.clone(),
            });
        }
    })
}

fn bind(
    statement: &mut Statement<'_>,
    parameter: usize,
    column: &Column<'_>,
    row: usize,
    field: &Field,
) -> Result<(), ValueError> {
    let is_null = match column {
        Column::Boolean(array) => array.is_null(row),
        Column::Int64(array) => array.is_null(row),
        Column::Float64(array) => array.is_null(row),
        Column::Decimal(array, _) => array.is_null(row),
        Column::Text(array) => array.is_null(row),
        Column::Date(array) => array.is_null(row),
        Column::Timestamp(array) => array.is_null(row),
    };
    if is_null {
        return Ok(statement.raw_bind_parameter(parameter, Null)?);
    }
    match column {
        Column::Boolean(array) => statement.raw_bind_parameter(parameter, array.value(row))?,
        Column::Int64(array) => statement.raw_bind_parameter(parameter, array.value(row))?,
        Column::Float64(array) => statement.raw_bind_parameter(parameter, array.value(row))?,
        Column::Decimal(array, divisor) => {
            let unscaled = array.value(row);
            if unscaled.abs() >= MAX_EXACT_DECIMAL {
                return Err(ValueError::DecimalTooLong {
                    column: field.name().clone(),
                    value: array.value_as_string(row),
                });
            }
            // Both are exact doubles, so the quotient is the double nearest to the decimal.
            statement.raw_bind_parameter(parameter, unscaled as f64 / divisor)?;
        }
        Column::Text(array) => statement.raw_bind_parameter(parameter, array.value(row))?,
        Column::Date(array) => {
            let mut text = *b"0000-00-00";
            if !write_date(&mut text, i64::from(array.value(row))) {
                return Err(ValueError::DateOutOfRange { column: field.name().clone() });
            }
            bind_text(statement, parameter, &text)?;
        }
        Column::Timestamp(array) => {
            let mut text = *b"0000-00-00 00:00:00.000000";
            if !write_timestamp(&mut text, array.value(row)) {
                return Err(ValueError::DateOutOfRange { column: field.name().clone() });
            }
            bind_text(statement, parameter, &text)?;
        }
    }
    Ok(())
}

fn bind_text(statement: &mut Statement<'_>, parameter: usize, text: &[u8]) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(ValueRef::Text(text)))
}

/// A day as the warehouse stores it, or `None` beyond the year 9999.
pub(super) fn date_text(day: i32) -> Option<String> {
    let mut text = *b"0000-00-00";
    write_date(&mut text, i64::from(day)).then(|| String::from_utf8_lossy(&text).into_owned())
}

/// A time (microseconds since 1970) as the warehouse stores it, or `None` beyond the year 9999.
pub(super) fn timestamp_text(micros: i64) -> Option<String> {
    let mut text = *b"0000-00-00 00:00:00.000000";
    write_timestamp(&mut text, micros).then(|| String::from_utf8_lossy(&text).into_owned())
}

fn write_date(text: &mut [u8], day: i64) -> bool {
    if !DAY_RANGE.contains(&day) {
        return false;
    }
    let (year, month, day) = civil_from_days(day);
    write_digits(&mut text[0..4], year);
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    true
}

fn write_timestamp(text: &mut [u8], micros: i64) -> bool {
    if !write_date(text, micros.div_euclid(MICROS_PER_DAY)) {
        return false;
    }
    let in_day = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = in_day / 1_000_000;
    write_digits(&mut text[11..13], seconds / 3600);
    write_digits(&mut text[14..16], seconds / 60 % 60);
    write_digits(&mut text[17..19], seconds % 60);
    write_digits(&mut text[20..26], in_day % 1_000_000);
    true
}

fn write_digits(text: &mut [u8], mut value: i64) {
    for byte in text.iter_mut().rev() {
        *byte = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar
/// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn parse_digits(text: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// Reads `YYYY-MM-DD`.
pub(super) fn parse_date(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let days = days_from_civil(
        parse_digits(&text[0..4])?,
        parse_digits(&text[5..7])?,
        parse_digits(&text[8..10])?,
    );
    i32::try_from(days).ok()
}

fn parse_timestamp(text: &[u8]) -> Option<i64> {
    if text.len() != 26 {
        return None;
    }
    let day = i64::from(parse_date(&text[..10])?);
    let seconds = parse_digits(&text[11..13])? * 3600
        + parse_digits(&text[14..16])? * 60
        + parse_digits(&text[17..19])?;
    Some(day * MICROS_PER_DAY + seconds * 1_000_000 + parse_digits(&text[20..26])?)
}

/// A column under construction from SQLite rows.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, f64),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    pub(super) fn new(field: &Field, capacity: usize) -> Result<Self, ValueError> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(capacity)),
            DataType::Int64 => Self::Int64(Int64Builder::with_capacity(capacity)),
            DataType::Float64 => Self::Float64(Float64Builder::with_capacity(capacity)),
            DataType::Decimal128(_, scale) => Self::Decimal(
                Decimal128Builder::with_capacity(capacity)
                    .with_data_type(field.data_type().clone()),
                10_f64.powi(i32::from(*scale)),
            ),
            DataType::Utf8 => Self::Text(StringBuilder::with_capacity(capacity, capacity * 16)),
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(capacity)),
            DataType::Timestamp(..) => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone(TIME_ZONE),
            ),
            other => {
                return Err(ValueError::Unsupported {
                    column: field.name().clone(),
                    data_type: other.clone(),
                });
            }
        })
    }

    /// Appends column `index` of `row`. A value of another kind than the column's (somebody else
    /// wrote to the table) becomes an SQLite type error.
    pub(super) fn append(&mut self, row: &Row<'_>, index: usize) -> rusqlite::Result<()> {
        let value = row.get_ref(index)?;
        let wrong = || {
            rusqlite::Error::InvalidColumnType(index, format!("column {index}"), value.data_type())
        };
        match (self, value) {
            (Self::Boolean(builder), ValueRef::Null) => builder.append_null(),
            (Self::Boolean(builder), ValueRef::Integer(value)) => builder.append_value(value != 0),
            (Self::Int64(builder), ValueRef::Null) => builder.append_null(),
            (Self::Int64(builder), ValueRef::Integer(value)) => builder.append_value(value),
            (Self::Float64(builder), ValueRef::Null) => builder.append_null(),
            (Self::Float64(builder), ValueRef::Real(value)) => builder.append_value(value),
            (Self::Float64(builder), ValueRef::Integer(value)) => {
                builder.append_value(value as f64)
            }
            (Self::Decimal(builder, _), ValueRef::Null) => builder.append_null(),
            (Self::Decimal(builder, factor), ValueRef::Real(value)) => {
                builder.append_value((value * *factor).round() as i128);
            }
            (Self::Decimal(builder, factor), ValueRef::Integer(value)) => {
                builder.append_value((value as f64 * *factor).round() as i128);
            }
            (Self::Text(builder), ValueRef::Null) => builder.append_null(),
            (Self::Text(builder), ValueRef::Text(text)) => {
                builder.append_value(std::str::from_utf8(text).map_err(|_| wrong())?);
            }
            (Self::Date(builder), ValueRef::Null) => builder.append_null(),
            (Self::Date(builder), ValueRef::Text(text)) => {
                builder.append_value(parse_date(text).ok_or_else(wrong)?);
            }
            (Self::Timestamp(builder), ValueRef::Null) => builder.append_null(),
            (Self::Timestamp(builder), ValueRef::Text(text)) => {
                builder.append_value(parse_timestamp(text).ok_or_else(wrong)?);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        use std::sync::Arc;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps_round_trip() {
        for day in [-719_528, -1, 0, 1, 58, 59, 60, 19_782, 20_454, 2_932_896] {
            let text = date_text(day).unwrap();
            assert_eq!(parse_date(text.as_bytes()), Some(day), "{text}");
        }
        assert_eq!(date_text(20_454).unwrap(), "2026-01-01");
        assert_eq!(date_text(2_932_897), None);
        for micros in [-1, 0, 1_767_225_600_123_456, -62_167_219_200_000_000] {
            let text = timestamp_text(micros).unwrap();
            assert_eq!(parse_timestamp(text.as_bytes()), Some(micros), "{text}");
        }
        assert_eq!(timestamp_text(1_767_225_600_123_456).unwrap(), "2026-01-01 00:00:00.123456");
    }
}

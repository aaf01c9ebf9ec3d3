//! Values of a test file, typed by the column that they are for, and values as text.

use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, TimeDelta};
use datafusion::common::ScalarValue;

use crate::project::contract::ColumnType;
use crate::query::parameters::{parse_value, type_name};

/// Doubles are equal if they differ by no more than this part of the larger one.
const TOLERANCE: f64 = 1e-9;

/// The type of a table's column as it is written in a contract.
pub(super) fn column_type(data_type: &DataType) -> ColumnType {
    match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int16 => ColumnType::Int16,
        DataType::Int32 => ColumnType::Int32,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal128(precision, scale) => {
            ColumnType::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => ColumnType::Text { max_chars: None },
    }
}

/// The value of a text, or what is wrong with it.
pub(super) fn typed(column_type: ColumnType, text: &str) -> Result<ScalarValue, String> {
    parse_value(column_type, text).map_err(|expected| {
        format!(
            "`{}` is not {expected}: the column is a {}",
            shortened(text),
            type_name(column_type)
        )
    })
}

fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let shown: String = text.chars().take(MOST).collect();
    let dots = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("{}{dots}", shown.escape_debug())
}

/// Whether a value is as expected. Doubles may differ in what rounding does.
pub(super) fn is_equal(expected: &ScalarValue, found: &ScalarValue) -> bool {
    match (expected, found) {
        (ScalarValue::Float64(Some(expected)), ScalarValue::Float64(Some(found))) => {
            let larger = expected.abs().max(found.abs());
            expected == found
                || (expected - found).abs() <= TOLERANCE * larger
                || (expected.is_nan() && found.is_nan())
        }
        _ => (expected.is_null() && found.is_null()) || expected == found,
    }
}

/// A value for people: as it could stand in a test file.
pub(super) fn shown(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    match value {
        ScalarValue::Date32(Some(day)) => NaiveDate::default()
            .checked_add_signed(TimeDelta::days(i64::from(*day)))
            .map_or_else(|| value.to_string(), |date| date.to_string()),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => DateTime::from_timestamp_micros(
            *micros,
        )
        .map_or_else(|| value.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => decimal(*unscaled, *scale),
        _ => value.to_string(),
    }
}

fn decimal(unscaled: i128, scale: i8) -> String {
    let Ok(scale) = usize::try_from(scale) else { return unscaled.to_string() };
    if scale == 0 {
        return unscaled.to_string();
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(column_type: ColumnType, text: &str) -> String {
        shown(&typed(column_type, text).unwrap())
    }

    #[test]
    fn values_come_back_as_they_were_written() {
        let money = ColumnType::Decimal { precision: 18, scale: 6 };
        assert_eq!(text_of(money, "-0.5"), "-0.500000");
        assert_eq!(text_of(money, "12"), "12.000000");
        assert_eq!(text_of(ColumnType::Date, "2026-01-31"), "2026-01-31");
        let time = "2026-01-31T10:00:00.250Z";
        assert_eq!(text_of(ColumnType::Timestamp, time), time);
        assert_eq!(text_of(ColumnType::Timestamp, "2026-01-31 10:00"), "2026-01-31T10:00:00Z");
        assert_eq!(text_of(ColumnType::Text { max_chars: None }, "NO"), "NO");
        assert_eq!(shown(&ScalarValue::Utf8(None)), "NULL");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let message = typed(ColumnType::Int64, "1.5").unwrap_err();
        assert!(message.contains("whole number") && message.contains("BIGINT"), "{message}");
        let message = typed(ColumnType::Decimal { precision: 10, scale: 2 }, "1.005").unwrap_err();
        assert!(message.contains("DECIMAL(10,2)"), "{message}");
    }

    #[test]
    fn doubles_are_equal_but_for_rounding() {
        let double = |value| ScalarValue::Float64(Some(value));
        assert!(is_equal(&double(0.1 + 0.2), &double(0.3)));
        assert!(!is_equal(&double(0.333), &double(1.0 / 3.0)));
        assert!(!is_equal(&double(0.0), &double(1e-12)));
        assert!(!is_equal(&double(0.0), &ScalarValue::Float64(None)));
        assert!(is_equal(&ScalarValue::Float64(None), &ScalarValue::Float64(None)));
    }
}

//! Cursors: where the next page of rows begins, as a text that callers hand back.
//!
//! A cursor holds the values of the last row in the columns of the order, and a signature of the table
//! and its order. It is no secret and no privilege: its values are bound like those of any condition.

use arrow::datatypes::DataType;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use questlake_engine::project::contract::TIME_ZONE;
use questlake_engine::query::reading::ScalarValue;
use serde::{Deserialize, Serialize};

/// More rows than any table has.
const MOST_ROWS: usize = 1 << 40;

/// Longest cursor that is looked at: keys are short.
const LONGEST: usize = 8 << 10;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// Behind the row with these values in the columns of the order.
    After(Vec<ScalarValue>),
    /// Behind so many rows.
    Skip(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Signature.
    s: u64,
    /// Values, each as a text that gives it back exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<Vec<Option<String>>>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<usize>,
}

pub(crate) fn encode(signature: u64, position: &Position) -> String {
    let written = match position {
        Position::After(values) => {
            Written { s: signature, v: Some(values.iter().map(text).collect()), n: None }
        }
        Position::Skip(rows) => Written { s: signature, v: None, n: Some(*rows) },
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).unwrap_or_default())
}

/// The position of a cursor; `None` if it was not made for this table and order. `types` are those of the
/// order's columns.
pub(crate) fn decode(cursor: &str, signature: u64, types: &[DataType]) -> Option<Position> {
    if cursor.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let written: Written = serde_json::from_slice(&bytes).ok()?;
    if written.s != signature {
        return None;
    }
    match (written.v, written.n) {
        (Some(values), None) if values.len() == types.len() => {
            let values = values.iter().zip(types);
            let values: Option<Vec<ScalarValue>> = values
                .map(|(text, data_type)| match text {
                    Some(text) => value(text, data_type),
                    None => Some(ScalarValue::Null),
                })
                .collect();
            values.map(Position::After)
        }
        (None, Some(rows)) if rows <= MOST_ROWS => Some(Position::Skip(rows)),
        _ => None,
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Boolean(flag) => flag.map(|flag| flag.to_string()),
        ScalarValue::Int64(number) => number.map(|number| number.to_string()),
        // By its bits: no digit is lost, and none that is not a number.
        ScalarValue::Float64(number) => number.map(|number| format!("{:x}", number.to_bits())),
        ScalarValue::Decimal128(unscaled, ..) => unscaled.map(|number| number.to_string()),
        ScalarValue::Utf8(text) => text.clone(),
        ScalarValue::Date32(day) => day.map(|day| day.to_string()),
        ScalarValue::TimestampMicrosecond(micros, _) => micros.map(|micros| micros.to_string()),
        _ => None,
    }
}

fn value(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(text.parse().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(text.parse().ok()?)),
        DataType::Float64 => {
            ScalarValue::Float64(Some(f64::from_bits(u64::from_str_radix(text, 16).ok()?)))
        }
        DataType::Decimal128(precision, scale) => {
            ScalarValue::Decimal128(Some(text.parse().ok()?), *precision, *scale)
        }
        DataType::Utf8 => ScalarValue::Utf8(Some(text.to_owned())),
        DataType::Date32 => ScalarValue::Date32(Some(text.parse().ok()?)),
        DataType::Timestamp(..) => {
            ScalarValue::TimestampMicrosecond(Some(text.parse().ok()?), Some(TIME_ZONE.into()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use questlake_engine::project::contract::timestamp_type;

    use super::*;

    #[test]
    fn positions_come_back() {
        let cases = [
            (DataType::Boolean, ScalarValue::Boolean(Some(true))),
            (DataType::Int64, ScalarValue::Int64(Some(i64::MIN))),
            (DataType::Float64, ScalarValue::Float64(Some(0.1 + 0.2))),
            (DataType::Decimal128(18, 6), ScalarValue::Decimal128(Some(-7), 18, 6)),
            (DataType::Utf8, ScalarValue::Utf8(Some("it's \"ü\"\0".to_owned()))),
            (DataType::Date32, ScalarValue::Date32(Some(-1))),
            (timestamp_type(), ScalarValue::TimestampMicrosecond(Some(5), Some(TIME_ZONE.into()))),
            (DataType::Utf8, ScalarValue::Null),
        ];
        let (types, values): (Vec<DataType>, Vec<ScalarValue>) = cases.into_iter().unzip();
        let position = Position::After(values);
        let cursor = encode(42, &position);
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(decode(&cursor, 42, &types), Some(position));
        assert_eq!(decode(&cursor, 43, &types), None, "of another table");
        assert_eq!(decode(&cursor, 42, &types[1..]), None, "of another order");
        let skip = Position::Skip(7);
        assert_eq!(decode(&encode(1, &skip), 1, &[]), Some(skip));
    }

    #[test]
    fn anything_else_is_no_cursor() {
        let types = [DataType::Int64];
        let written = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for odd in [
            String::new(),
            "%".to_owned(),
            "A".repeat(LONGEST + 1),
            written("{}"),
            written(r#"{"s":1,"v":["x"]}"#),
            written(r#"{"s":1,"v":[null],"n":1}"#),
            written(r#"{"s":1,"v":["1"],"more":1}"#),
        ] {
            assert_eq!(decode(&odd, 1, &types), None, "{odd}");
        }
    }
}

//! Values of parameters: texts become typed values, which are bound to a plan.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::common::{ParamValues, ScalarValue};

use super::error::QueryError;
use crate::project::contract::{ColumnType, TIME_ZONE};
use crate::project::diagnostic::nearest;
use crate::project::header::{QueryHeader, QueryParameter};

/// Days between 0001-01-01 and 1970-01-01.
const DAYS_BEFORE_1970: i32 = 719_163;

/// The values of all parameters that a query declares: those given, and the defaults of others.
///
/// # Errors
/// One line for each parameter that is missing, unknown or no value of its type.
pub fn bind(
    header: &QueryHeader,
    given: &BTreeMap<String, String>,
) -> Result<HashMap<String, ScalarValue>, QueryError> {
    let mut mistakes = Vec::new();
    let names = || header.parameters.iter().map(|parameter| parameter.value.name.as_str());
    for name in given.keys() {
        if names().any(|known| known == name) {
            continue;
        }
        let hint = match nearest(name, names()) {
            Some(known) => format!("did you mean `{known}`?"),
            None if header.parameters.is_empty() => "it takes none".to_owned(),
            None => format!("it takes {}", names().collect::<Vec<_>>().join(", ")),
        };
        mistakes.push(format!("the query has no parameter `{name}`; {hint}"));
    }
    let mut values = HashMap::new();
    for parameter in &header.parameters {
        let QueryParameter { name, parameter_type, default, .. } = &parameter.value;
        let Some(text) = given.get(name).or(default.as_ref()) else {
            mistakes.push(format!(
                "parameter `{name}` ({}) has no default and needs a value: -p {name}=…",
                type_name(*parameter_type)
            ));
            continue;
        };
        match parse_value(*parameter_type, text) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(expected) => mistakes.push(format!(
                "parameter `{name}` is a {}: `{}` is not {expected}",
                type_name(*parameter_type),
                text.escape_debug()
            )),
        }
    }
    if mistakes.is_empty() { Ok(values) } else { Err(QueryError::Parameters(mistakes)) }
}

/// Stand-ins for planning: the default of each parameter, NULL of its type where it has none.
pub(crate) fn stand_ins(header: &QueryHeader) -> ParamValues {
    let mut values = HashMap::new();
    for parameter in &header.parameters {
        let QueryParameter { name, parameter_type, default, .. } = &parameter.value;
        let default = default.as_ref().and_then(|text| parse_value(*parameter_type, text).ok());
        let null =
            || ScalarValue::try_from(&parameter_type.arrow_type()).unwrap_or(ScalarValue::Null);
        values.insert(name.clone(), default.unwrap_or_else(null));
    }
    values.into()
}

/// The type as it is written in a header.
pub fn type_name(parameter_type: ColumnType) -> String {
    match parameter_type {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Int16 => "SMALLINT".to_owned(),
        ColumnType::Int32 => "INTEGER".to_owned(),
        ColumnType::Int64 => "BIGINT".to_owned(),
        ColumnType::Float64 => "DOUBLE".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ColumnType::Text { max_chars: None } => "TEXT".to_owned(),
        ColumnType::Text { max_chars: Some(most) } => format!("VARCHAR({most})"),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
    }
}

/// The value of a text, or what it ought to be.
///
/// # Errors
/// What the text ought to be.
pub fn parse_value(parameter_type: ColumnType, text: &str) -> Result<ScalarValue, String> {
    let whole = |bits: u32| format!("a whole number of {bits} bits");
    let trimmed = text.trim();
    Ok(match parameter_type {
        ColumnType::Boolean => match trimmed.to_ascii_lowercase().as_str() {
            "true" => ScalarValue::Boolean(Some(true)),
            "false" => ScalarValue::Boolean(Some(false)),
            _ => return Err("`true` or `false`".to_owned()),
        },
        ColumnType::Int16 => ScalarValue::Int16(Some(trimmed.parse().map_err(|_| whole(16))?)),
        ColumnType::Int32 => ScalarValue::Int32(Some(trimmed.parse().map_err(|_| whole(32))?)),
        ColumnType::Int64 => ScalarValue::Int64(Some(trimmed.parse().map_err(|_| whole(64))?)),
        ColumnType::Float64 => {
            let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
            ScalarValue::Float64(Some(number.ok_or("a number such as `1.5`")?))
        }
        ColumnType::Decimal { precision, scale } => {
            let unscaled = parse_decimal(trimmed, precision, scale).ok_or_else(|| {
                format!(
                    "a number of at most {} digits before the point and {scale} after it",
                    i16::from(precision) - i16::from(scale)
                )
            })?;
            ScalarValue::Decimal128(Some(unscaled), precision, scale)
        }
        ColumnType::Text { max_chars } => {
            if let Some(most) = max_chars
                && text.chars().count() > most as usize
            {
                return Err(format!("a text of at most {most} characters"));
            }
            ScalarValue::Utf8(Some(text.to_owned()))
        }
        ColumnType::Json => {
            if serde_json::from_str::<serde_json::Value>(text).is_err() {
                return Err("valid JSON".to_owned());
            }
            ScalarValue::Utf8(Some(text.to_owned()))
        }
        ColumnType::Timestamp => ScalarValue::TimestampMicrosecond(
            Some(parse_timestamp(trimmed).ok_or(
                "a time such as `2026-01-31T12:00:00Z`, or a day such as `2026-01-31` (UTC)",
            )?),
            Some(TIME_ZONE.into()),
        ),
        ColumnType::Date => {
            let date = NaiveDate::parse_from_str(trimmed, "%Y-%m-%d")
                .map_err(|_| "a day such as `2026-01-31`")?;
            ScalarValue::Date32(Some(day_number(date)))
        }
    })
}

/// Days since 1970.
fn day_number(date: NaiveDate) -> i32 {
    chrono::Datelike::num_days_from_ce(&date) - DAYS_BEFORE_1970
}

/// Microseconds since 1970; without a zone, the time is UTC.
fn parse_timestamp(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

/// The unscaled value of a decimal that fits exactly: `12.5` with a scale of 2 is 1250.
fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale || whole.len() + scale > usize::from(precision) {
        return None;
    }
    let unscaled: i128 = format!("0{whole}{fraction:0<scale$}").parse().ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::header::parse_query_header;
    use crate::project::source::SourceFile;

    fn header(text: &str) -> QueryHeader {
        let (header, diagnostics) = parse_query_header(&SourceFile::new("q.sql", text));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        header
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_typed() {
        let header = header(
            "-- param least: DECIMAL(10,2) = 100\n-- param day: DATE\n-- param name: TEXT\n\
             -- param since: TIMESTAMP = '2026-01-02'\nSELECT 1",
        );
        let injection = "x'; DROP TABLE star.fact_purchase; --";
        let values = bind(&header, &given(&[("day", "2026-01-31"), ("name", injection)])).unwrap();
        assert_eq!(values["least"], ScalarValue::Decimal128(Some(10_000), 10, 2));
        assert_eq!(values["day"], ScalarValue::Date32(Some(20_484)));
        assert_eq!(values["name"], ScalarValue::Utf8(Some(injection.to_owned())));
        let since =
            ScalarValue::TimestampMicrosecond(Some(1_767_312_000_000_000), Some("UTC".into()));
        assert_eq!(values["since"], since);
    }

    #[test]
    fn every_mistake_is_told() {
        let header = header("-- param day: DATE\n-- param least: INT = 1\nSELECT 1");
        let error = bind(&header, &given(&[("leest", "3"), ("day", "31.1.2026")])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("did you mean `least`?"), "{text}");
        assert!(text.contains("`31.1.2026` is not a day"), "{text}");
        let text = bind(&header, &given(&[])).unwrap_err().to_string();
        assert!(text.contains("-p day="), "{text}");
        let text = bind(&header, &given(&[("day", "2026-01-01"), ("least", "1.5")])).unwrap_err();
        assert!(text.to_string().contains("whole number"), "{text}");
    }

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        assert_eq!(parse_decimal("12.5", 10, 2), Some(1250));
        assert_eq!(parse_decimal("-0.01", 10, 2), Some(-1));
        assert_eq!(parse_decimal("007.100", 4, 2), Some(710));
        assert_eq!(parse_decimal("1.005", 10, 2), None);
        assert_eq!(parse_decimal("123", 4, 2), None);
        for text in ["", ".", "-", "1e3", "1,5", "0x1", "１"] {
            assert_eq!(parse_decimal(text, 10, 2), None, "{text}");
        }
    }

    #[test]
    fn times_have_a_zone_or_are_utc() {
        let expected = Some(1_769_853_600_000_000);
        for text in [
            "2026-01-31T10:00:00Z",
            "2026-01-31T11:00:00+01:00",
            "2026-01-31 10:00:00",
            "2026-01-31 10:00",
        ] {
            assert_eq!(parse_timestamp(text), expected, "{text}");
        }
        assert_eq!(parse_timestamp("yesterday"), None);
    }
}

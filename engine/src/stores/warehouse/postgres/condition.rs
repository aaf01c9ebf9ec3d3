//! Conditions that mean the same to the server as to DataFusion, as SQL.
//!
//! Texts are compared byte by byte by both, decimals exactly, days and times as numbers. Doubles are
//! left to DataFusion: it tells -0 from 0 and knows more than one NaN.

use arrow::datatypes::{DataType, Decimal128Type, DecimalType, SchemaRef};
use chrono::{DateTime, Datelike, Days, NaiveDate};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::statements::literal;
use crate::stores::postgres::quote;

/// Longest list that is sent.
const MAX_LIST: usize = 10_000;

/// An expression as a condition on the table's rows, or `None` if the server might see it otherwise.
pub(super) fn condition(filter: &Expr, schema: &SchemaRef) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(format!("({} AND {})", condition(left, schema)?, condition(right, schema)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(format!("({} OR {})", condition(left, schema)?, condition(right, schema)?))
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
            let (column, data_type) = named_column(left, schema)?;
            Some(format!("{column} {operator} {}", value(right, data_type)?))
        }
        Expr::Not(inner) => Some(format!("(NOT {})", condition(inner, schema)?)),
        Expr::InList(InList { expr, list, negated }) => {
            let (column, data_type) = named_column(expr, schema)?;
            if list.is_empty() || list.len() > MAX_LIST {
                return None;
            }
            let values: Option<Vec<String>> =
                list.iter().map(|item| value(item, data_type)).collect();
            let not = if *negated { " NOT" } else { "" };
            Some(format!("{column}{not} IN ({})", values?.join(", ")))
        }
        Expr::Between(between) => {
            let (column, data_type) = named_column(&between.expr, schema)?;
            let (low, high) = (value(&between.low, data_type)?, value(&between.high, data_type)?);
            let not = if between.negated { " NOT" } else { "" };
            Some(format!("{column}{not} BETWEEN {low} AND {high}"))
        }
        Expr::Like(Like { negated, expr, pattern, escape_char: None, case_insensitive: false }) => {
            let (column, data_type) = named_column(expr, schema)?;
            let pattern = value(pattern, data_type)?;
            // What a backslash means at a pattern's end, the two do not agree upon.
            if *data_type != DataType::Utf8 || pattern.contains('\\') {
                return None;
            }
            let not = if *negated { " NOT" } else { "" };
            Some(format!("{column}{not} LIKE {pattern}"))
        }
        Expr::IsNull(inner) => Some(format!("{} IS NULL", any_column(inner, schema)?.0)),
        Expr::IsNotNull(inner) => Some(format!("{} IS NOT NULL", any_column(inner, schema)?.0)),
        Expr::Column(_) => match any_column(filter, schema)? {
            (column, DataType::Boolean) => Some(column),
            _ => None,
        },
        _ => None,
    }
}

/// A column whose values the server compares and groups as DataFusion does.
pub(super) fn named_column<'a>(
    expression: &Expr,
    schema: &'a SchemaRef,
) -> Option<(String, &'a DataType)> {
    match any_column(expression, schema)? {
        (_, DataType::Float64) => None,
        other => Some(other),
    }
}

/// A column of the table: its name as SQL, and its type.
pub(super) fn any_column<'a>(
    expression: &Expr,
    schema: &'a SchemaRef,
) -> Option<(String, &'a DataType)> {
    let Expr::Column(column) = expression else { return None };
    let field = schema.field_with_name(&column.name).ok()?;
    Some((quote(&column.name), field.data_type()))
}

/// A literal to compare a column of this type with.
fn value(expression: &Expr, data_type: &DataType) -> Option<String> {
    let Expr::Literal(scalar, _) = expression else { return None };
    match (scalar, data_type) {
        (ScalarValue::Int64(Some(number)), DataType::Int64) => Some(format!("({number})")),
        (ScalarValue::Boolean(Some(flag)), DataType::Boolean) => Some(flag.to_string()),
        (ScalarValue::Decimal128(Some(unscaled), precision, scale), DataType::Decimal128(..))
            if *scale >= 0 =>
        {
            let text = Decimal128Type::format_decimal(*unscaled, *precision, *scale);
            Some(format!("({text})::numeric"))
        }
        (
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
            DataType::Utf8,
        ) if !text.contains('\0') => Some(literal(text)),
        (ScalarValue::Date32(Some(day)), DataType::Date32) => {
            let date = day_of(*day)?;
            Some(format!("DATE '{}'", date.format("%Y-%m-%d")))
        }
        (ScalarValue::TimestampMicrosecond(Some(micros), _), DataType::Timestamp(..)) => {
            let time = DateTime::from_timestamp_micros(*micros)?;
            let is_plain = (1..=9999).contains(&time.year());
            is_plain.then(|| format!("TIMESTAMPTZ '{}+00'", time.format("%Y-%m-%d %H:%M:%S%.6f")))
        }
        _ => None,
    }
}

/// The date of a day since 1970, if four digits can name its year.
fn day_of(day: i32) -> Option<NaiveDate> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let days = Days::new(u64::from(day.unsigned_abs()));
    let date =
        if day < 0 { epoch.checked_sub_days(days)? } else { epoch.checked_add_days(days)? };
    (1..=9999).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::project::contract::timestamp_type;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("day", DataType::Date32, true),
            Field::new("at", timestamp_type(), true),
            Field::new("name", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new("usd", DataType::Decimal128(12, 2), true),
            Field::new("share", DataType::Float64, true),
            Field::new("paid", DataType::Boolean, true),
        ]))
    }

    #[test]
    fn values_keep_their_type() {
        let micros = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
        for (filter, sql) in [
            (col("day").eq(lit(ScalarValue::Date32(Some(-1)))), "\"day\" = DATE '1969-12-31'"),
            (
                col("at").lt(micros(1_767_225_600_000_001)),
                "\"at\" < TIMESTAMPTZ '2026-01-01 00:00:00.000001+00'",
            ),
            (col("name").not_eq(lit("it's")), "\"name\" <> 'it''s'"),
            (
                col("usd").gt_eq(lit(ScalarValue::Decimal128(Some(-30), 12, 2))),
                "\"usd\" >= (-0.30)::numeric",
            ),
            (col("n").in_list(vec![lit(1_i64), lit(-2_i64)], true), "\"n\" NOT IN ((1), (-2))"),
            (col("paid").and(col("name").like(lit("a%"))), "(\"paid\" AND \"name\" LIKE 'a%')"),
            (col("share").is_null(), "\"share\" IS NULL"),
        ] {
            assert_eq!(condition(&filter, &schema()).as_deref(), Some(sql));
        }
    }

    #[test]
    fn what_could_differ_is_left_alone() {
        for filter in [
            col("share").eq(lit(0.0)),
            col("n").eq(lit(1.5)),
            col("name").like(lit("a\\")),
            col("name").eq(lit("a\0")),
            col("n").eq(lit(ScalarValue::Int64(None))),
            col("day").eq(lit(ScalarValue::Date32(Some(i32::MAX)))),
            col("n").eq(col("n")),
        ] {
            assert_eq!(condition(&filter, &schema()), None, "{filter}");
        }
    }
}

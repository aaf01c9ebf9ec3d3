//! A cell of a truth table.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A cell of a truth table: `null`, `true` or `false`, an integer, another number, or a text.
#[derive(Debug, Clone, PartialEq)]
pub enum TruthValue {
    /// SQL NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A finite number; written with a fraction or an exponent, so that it is told from integers.
    Number(f64),
    /// A text, date, decimal or point in time. Rows share theirs: there are many of them.
    Text(Arc<str>),
}

impl TruthValue {
    /// A quotient, or NULL if the denominator is 0.
    pub(super) fn ratio(numerator: f64, denominator: u64) -> Self {
        if denominator == 0 { Self::Null } else { Self::Number(numerator / denominator as f64) }
    }

    /// A decimal number given without its point.
    pub(super) fn decimal(value: i64, digits: u32) -> Self {
        let mut text = Vec::with_capacity(16);
        crate::simulate::writer::write_fraction(&mut text, value, digits);
        Self::Text(String::from_utf8_lossy(&text).into())
    }

    /// A count.
    pub(super) fn count(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// A text.
    pub fn text(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl Serialize for TruthValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl<'de> Deserialize<'de> for TruthValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl Visitor<'_> for CellVisitor {
    type Value = TruthValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null, a truth value, a number or a text")
    }

    fn visit_unit<E: Error>(self) -> Result<TruthValue, E> {
        Ok(TruthValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<TruthValue, E> {
        Ok(TruthValue::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<TruthValue, E> {
        Ok(TruthValue::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<TruthValue, E> {
        i64::try_from(value)
            .map(TruthValue::Integer)
            .map_err(|_| E::custom(format_args!("{value} is too large")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<TruthValue, E> {
        Ok(TruthValue::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<TruthValue, E> {
        Ok(TruthValue::text(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_json() {
        let values = vec![
            TruthValue::Null,
            TruthValue::Boolean(true),
            TruthValue::Integer(-3),
            TruthValue::Number(1.0),
            TruthValue::ratio(1.0, 3),
            TruthValue::ratio(1.0, 0),
            TruthValue::decimal(1_500, 6),
        ];
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(json, "[null,true,-3,1.0,0.3333333333333333,null,\"0.001500\"]");
        assert_eq!(serde_json::from_str::<Vec<TruthValue>>(&json).unwrap(), values);
    }
}

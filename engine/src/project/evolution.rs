//! Whether events that were taken in under an older contract can be read by today's.
//!
//! A column that was added is NULL in older events, one that was dropped is not read, and one whose
//! type has become wider is cast. Anything else would lose or invent values, and is refused.

use std::fmt;

use arrow::datatypes::{DataType, Field};

/// Why a column of older events is not what the contract says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The contract insists on a value, and older events do not have the column.
    Missing,
    /// The contract insists on a value, and older events may be without.
    MayBeNull,
    /// It has a type whose values the contract's type does not all have, or which cannot be changed.
    Type {
        /// The type in older events.
        stored: DataType,
        /// The contract's.
        wanted: DataType,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("it is NOT NULL, and they do not have it"),
            Self::MayBeNull => formatter.write_str("it is NOT NULL, and theirs may be NULL"),
            Self::Type { stored, wanted } => {
                write!(formatter, "it is {}, and theirs {}", sql_type(wanted), sql_type(stored))
            }
        }
    }
}

impl Misfit {
    /// What to do about it.
    pub fn way_out(&self, column: &str) -> String {
        match self {
            Self::Missing | Self::MayBeNull => format!(
                "leave out NOT NULL; CHECK ({column} IS NOT NULL) refuses new events without it, \
                 and older ones stay readable"
            ),
            Self::Type { stored, .. } => format!(
                "give `{column}` its former type {} again, and a column of the new type another name",
                sql_type(stored)
            ),
        }
    }
}

/// What keeps `stored`, a column of older events or `None`, from being read as `wanted`.
pub fn misfit(stored: Option<&Field>, wanted: &Field) -> Option<Misfit> {
    let Some(stored) = stored else {
        return (!wanted.is_nullable()).then_some(Misfit::Missing);
    };
    if !widens(stored.data_type(), wanted.data_type()) {
        return Some(Misfit::Type {
            stored: stored.data_type().clone(),
            wanted: wanted.data_type().clone(),
        });
    }
    (stored.is_nullable() && !wanted.is_nullable()).then_some(Misfit::MayBeNull)
}

/// Whether each value of one type of a contract's columns has an equal one in the other.
pub fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float64, Int16, Int32, Int64, Utf8, Utf8View};
    match (from, to) {
        _ if from == to => true,
        (Int16, Int32 | Int64) | (Int32, Int64) | (Int16 | Int32, Float64) => true,
        (Int16 | Int32 | Int64 | Boolean | Date32, Utf8) | (Utf8, Utf8View) => true,
        (Int16 | Int32 | Int64, Decimal128(precision, scale)) => {
            let digits = match from {
                Int16 => 5,
                Int32 => 10,
                _ => 19,
            };
            i16::from(*precision) - i16::from(*scale) >= digits
        }
        (Decimal128(precision, scale), Decimal128(wider, more)) => {
            let before_point = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            more >= scale && before_point(*wider, *more) >= before_point(*precision, *scale)
        }
        // A text is the same whether it is as it is stored or by its number in a dictionary.
        (DataType::Dictionary(_, values), to) => widens(values, to),
        (from, DataType::Dictionary(_, values)) => widens(from, values),
        _ => false,
    }
}

/// The name of a column's type in a contract.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Utf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::contract::timestamp_type;

    #[test]
    fn only_types_that_hold_every_value_are_wider() {
        use DataType::{Boolean, Date32, Decimal128, Float64, Int16, Int32, Int64, Utf8};
        let wider = [
            (Int16, Int32),
            (Int32, Int64),
            (Int32, Float64),
            (Int16, Decimal128(7, 2)),
            (Int64, Decimal128(19, 0)),
            (Decimal128(12, 2), Decimal128(14, 4)),
            (Utf8, Utf8),
            (Int64, Utf8),
        ];
        for (from, to) in wider {
            assert!(widens(&from, &to), "{from} to {to}");
        }
        let not_wider = [
            (Int64, Int32),
            (Int64, Float64),
            (Int64, Decimal128(18, 0)),
            (Int32, Decimal128(10, 2)),
            (Decimal128(12, 2), Decimal128(12, 4)),
            (Decimal128(12, 4), Decimal128(14, 2)),
            (Decimal128(12, 2), Float64),
            (Float64, Decimal128(38, 10)),
            (Utf8, Int64),
            (Utf8, Date32),
            (Float64, Utf8),
            (Boolean, Int16),
            (Date32, timestamp_type()),
        ];
        for (from, to) in not_wider {
            assert!(!widens(&from, &to), "{from} to {to}");
        }
    }

    #[test]
    fn a_column_may_be_added_if_it_is_nullable_and_its_type_may_widen() {
        let field = |data_type: DataType, nullable| Field::new("level", data_type, nullable);
        let wanted = field(DataType::Int64, true);
        assert_eq!(misfit(None, &wanted), None);
        assert_eq!(misfit(Some(&field(DataType::Int32, false)), &wanted), None);
        let strict = field(DataType::Int64, false);
        assert_eq!(misfit(None, &strict), Some(Misfit::Missing));
        assert_eq!(misfit(Some(&wanted), &strict), Some(Misfit::MayBeNull));
        assert_eq!(misfit(Some(&strict), &strict), None);
        let text = misfit(Some(&field(DataType::Utf8, true)), &strict).unwrap();
        assert_eq!(text.to_string(), "it is BIGINT, and theirs TEXT");
    }
}

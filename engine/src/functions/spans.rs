//! Lengths of time as arguments: an INTERVAL of days and smaller units, or a number of seconds.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;

const NANOSECONDS_PER_SECOND: f64 = 1e9;
const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;

/// A length of time, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    nanoseconds: i128,
}

impl Span {
    /// The type that an argument of this type is cast to.
    ///
    /// # Errors
    /// When it is no length of time. `what` names the argument in the message.
    pub(super) fn type_of(what: &str, given: &DataType) -> Result<DataType> {
        match given {
            DataType::Interval(_) | DataType::Null => {
                Ok(DataType::Interval(IntervalUnit::MonthDayNano))
            }
            DataType::Duration(_) => Ok(DataType::Duration(TimeUnit::Nanosecond)),
            integer if integer.is_integer() => Ok(DataType::Int64),
            number if number.is_numeric() => Ok(DataType::Float64),
            other => {
                plan_err!("{what} is an INTERVAL or a number of seconds, not {other}")
            }
        }
    }

    /// The length that is written as this value, which has a type of [`Span::type_of`].
    ///
    /// # Errors
    /// When it is NULL, negative, or in months, which differ in length.
    pub(super) fn new(what: &str, value: &ScalarValue) -> Result<Self> {
        let nanoseconds = match value {
            ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months != 0 => {
                return plan_err!(
                    "{what} is in months or years, which differ in length: write days"
                );
            }
            ScalarValue::IntervalMonthDayNano(Some(interval)) => {
                i128::from(interval.days) * NANOSECONDS_PER_DAY + i128::from(interval.nanoseconds)
            }
            ScalarValue::DurationNanosecond(Some(nanoseconds)) => i128::from(*nanoseconds),
            ScalarValue::Int64(Some(seconds)) => i128::from(*seconds) * 1_000_000_000,
            ScalarValue::Float64(Some(seconds)) if seconds.is_finite() => {
                (seconds * NANOSECONDS_PER_SECOND).round() as i128
            }
            other => {
                return plan_err!("{what} is an INTERVAL or a number of seconds, not {other}");
            }
        };
        if nanoseconds < 0 {
            return plan_err!("{what} cannot be negative");
        }
        Ok(Self { nanoseconds })
    }

    /// How many whole units it has. Times in this unit are no further apart than the length if they are
    /// no further apart than this.
    pub(super) fn in_units(self, unit: TimeUnit) -> i64 {
        let nanoseconds = match unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        };
        i64::try_from(self.nanoseconds / nanoseconds).unwrap_or(i64::MAX)
    }
}

/// Checks an argument while a query is planned, as far as it is known then: a parameter may not have its
/// value yet.
///
/// # Errors
/// When it depends on the row, or is no length of time.
pub(super) fn check_span(what: &str, argument: &Expr) -> Result<()> {
    match argument {
        Expr::Literal(value, _) if !value.is_null() => {
            let span_type = Span::type_of(what, &value.data_type())?;
            Span::new(what, &value.cast_to(&span_type)?).map(drop)
        }
        other if other.any_column_refs() => {
            plan_err!("{what} is one value for all rows, not {other}")
        }
        _ => Ok(()),
    }
}

/// The type that the time of an event is cast to: a timestamp keeps its unit.
///
/// # Errors
/// When it is no time. `what` names the argument in the message.
pub(super) fn time_type(what: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(..) => Ok(given.clone()),
        DataType::Null => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::Date32 => Ok(DataType::Timestamp(TimeUnit::Second, None)),
        DataType::Date64 => Ok(DataType::Timestamp(TimeUnit::Millisecond, None)),
        other => plan_err!("{what} is a TIMESTAMP or a DATE, not {other}"),
    }
}

/// The unit of a type of [`time_type`].
///
/// # Errors
/// When it is another.
pub(super) fn time_unit(what: &str, given: &DataType) -> Result<TimeUnit> {
    match given {
        DataType::Timestamp(unit, _) => Ok(*unit),
        other => plan_err!("{what} is a TIMESTAMP, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanoseconds(value: ScalarValue) -> i128 {
        Span::new("it", &value).unwrap().nanoseconds
    }

    #[test]
    fn lengths_are_read_in_every_form() {
        assert_eq!(nanoseconds(ScalarValue::new_interval_mdn(0, 2, 5)), 172_800_000_000_005);
        assert_eq!(nanoseconds(ScalarValue::Int64(Some(90))), 90_000_000_000);
        assert_eq!(nanoseconds(ScalarValue::Float64(Some(0.1))), 100_000_000);
        assert_eq!(nanoseconds(ScalarValue::DurationNanosecond(Some(7))), 7);
    }

    #[test]
    fn lengths_are_cut_to_whole_units_and_to_what_fits() {
        let span = Span { nanoseconds: 1_999_999_999 };
        assert_eq!(span.in_units(TimeUnit::Second), 1);
        assert_eq!(span.in_units(TimeUnit::Millisecond), 1_999);
        assert_eq!(span.in_units(TimeUnit::Microsecond), 1_999_999);
        assert_eq!(span.in_units(TimeUnit::Nanosecond), 1_999_999_999);
        assert_eq!(Span { nanoseconds: i128::MAX }.in_units(TimeUnit::Second), i64::MAX);
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for (value, message) in [
            (ScalarValue::new_interval_mdn(1, 0, 0), "write days"),
            (ScalarValue::new_interval_mdn(0, -1, 0), "negative"),
            (ScalarValue::Int64(None), "not NULL"),
            (ScalarValue::Float64(Some(f64::NAN)), "not NaN"),
            (ScalarValue::Float64(Some(-0.5)), "negative"),
        ] {
            let error = Span::new("the window", &value).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(Span::type_of("the window", &DataType::Utf8).is_err());
    }
}

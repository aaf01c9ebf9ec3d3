//! Which days a filter leaves.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::project::contract::envelope;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A range of days (days since 1970), both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayRange {
    first: i32,
    last: i32,
}

impl DayRange {
    pub(super) const ALL: Self = Self { first: i32::MIN, last: i32::MAX };

    pub(super) fn contains(self, day: i32) -> bool {
        self.first <= day && day <= self.last
    }

    pub(super) fn intersect(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// The days that a condition on `event_date` or `event_time` leaves; `None` if the filter says
    /// nothing about days.
    pub(super) fn from_filter(filter: &Expr) -> Option<Self> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                match (Self::from_filter(left), Self::from_filter(right)) {
                    (Some(left), Some(right)) => Some(left.intersect(right)),
                    (left, right) => left.or(right),
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let day = literal_day(left, right)?;
                match op {
                    Operator::Eq => Some(Self { first: day, last: day }),
                    Operator::Lt | Operator::LtEq => Some(Self { first: i32::MIN, last: day }),
                    Operator::Gt | Operator::GtEq => Some(Self { first: day, last: i32::MAX }),
                    _ => None,
                }
            }
            Expr::Between(between) if !between.negated => Some(Self {
                first: literal_day(&between.expr, &between.low)?,
                last: literal_day(&between.expr, &between.high)?,
            }),
            Expr::InList(list) if !list.negated => {
                let days: Option<Vec<i32>> =
                    list.list.iter().map(|item| literal_day(&list.expr, item)).collect();
                let days = days?;
                Some(Self { first: *days.iter().min()?, last: *days.iter().max()? })
            }
            _ => None,
        }
    }
}

/// The day of a literal that is compared with one of the two columns.
fn literal_day(column: &Expr, literal: &Expr) -> Option<i32> {
    let (Expr::Column(column), Expr::Literal(value, _)) = (column, literal) else { return None };
    match (column.name.as_str(), value) {
        (envelope::EVENT_DATE, ScalarValue::Date32(Some(day))) => Some(*day),
        (envelope::EVENT_TIME, ScalarValue::TimestampMicrosecond(Some(micros), _)) => {
            i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn date(day: i32) -> Expr {
        lit(ScalarValue::Date32(Some(day)))
    }

    #[test]
    fn conditions_on_days_narrow_the_range() {
        let filter = col("event_date").gt_eq(date(10)).and(col("event_date").lt(date(20)));
        assert_eq!(DayRange::from_filter(&filter), Some(DayRange { first: 10, last: 20 }));
        let one_sided = col("event_date").eq(date(3)).and(col("player_id").eq(lit("p")));
        assert_eq!(DayRange::from_filter(&one_sided), Some(DayRange { first: 3, last: 3 }));
        let or = col("event_date").eq(date(3)).or(col("player_id").eq(lit("p")));
        assert_eq!(DayRange::from_filter(&or), None);
        let list = col("event_date").in_list(vec![date(9), date(4)], false);
        assert_eq!(DayRange::from_filter(&list), Some(DayRange { first: 4, last: 9 }));
    }
}

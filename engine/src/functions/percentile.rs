//! `percentile_cont` with all of its digits, in the place of DataFusion's.
//!
//! That one cuts the weight between two neighbouring values to six decimals, so that the ninetieth
//! percentile of 8 values is off by up to a millionth of the gap between them, and is not what
//! PostgreSQL, DuckDB and a spreadsheet say. As there, the percentile p of n values is that at place
//! p (n − 1) of them in order, counted from 0, linear between two places. NULL values do not count.

mod groups;
mod single;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, DocSection, Documentation, GroupsAccumulator, Signature,
    Volatility,
};

use super::constants::constant;
use groups::Groups;
use single::Single;

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PercentileCont {
    signature: Signature,
    aliases: Vec<String>,
    documentation: Documentation,
}

impl PercentileCont {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            DocSection { include: true, label: "General Functions", description: None },
            "Exact percentile of the values that are not NULL, linear between two of them.",
            "percentile_cont(percentile) WITHIN GROUP (ORDER BY expression)",
        )
        .with_sql_example(
            "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_ms) FROM fact_match;",
        )
        .with_argument("percentile", "A number from 0 to 1, the same for all rows")
        .with_argument("expression", "The values, numbers of any type")
        .with_alternative_syntax("percentile_cont(expression, percentile)")
        .build();
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["quantile_cont".to_owned()],
            documentation,
        }
    }
}

impl AggregateUDFImpl for PercentileCont {
    fn name(&self) -> &str {
        "percentile_cont"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [values, percentile] = arguments else {
            return plan_err!(
                "percentile_cont takes a percentile and values: \
                 percentile_cont(0.9) WITHIN GROUP (ORDER BY value)"
            );
        };
        let is_number = |given: &DataType| given.is_numeric() || given.is_null();
        if !is_number(values) {
            return plan_err!(
                "the values of percentile_cont are numbers, not {values}; of a length of time take the \
                 seconds: date_part('epoch', value)"
            );
        }
        if !is_number(percentile) {
            return plan_err!("the percentile of percentile_cont is a number, not {percentile}");
        }
        Ok(vec![DataType::Float64, DataType::Float64])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(arguments.name, "values");
        Ok(vec![Arc::new(Field::new(name, DataType::List(item()), true))])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single::new(Place::new(&arguments)?, arguments.is_distinct)))
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(Place::new(&arguments)?)))
    }

    /// The rows need no order of their own; percentiles of several columns would ask for several.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Where among its values a group's percentile lies: 0 for the least, 1 for the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place(f64);

impl Place {
    fn new(arguments: &AccumulatorArgs<'_>) -> Result<Self> {
        let Some(percentile) = arguments.exprs.get(1) else {
            return plan_err!("percentile_cont takes a percentile and values");
        };
        let percentile = constant(percentile, "the percentile of percentile_cont")?;
        let share = match percentile.cast_to(&DataType::Float64)? {
            ScalarValue::Float64(Some(share)) if (0.0..=1.0).contains(&share) => share,
            other => {
                return plan_err!(
                    "the percentile of percentile_cont is a number from 0 to 1, not {other}"
                );
            }
        };
        let descends = arguments.order_bys.first().is_some_and(|order| order.options.descending);
        Ok(Self(if descends { 1.0 - share } else { share }))
    }

    /// The percentile of these values, whose order is changed; `None` if there are none.
    fn of(self, values: &mut [f64]) -> Option<f64> {
        let last = values.len().checked_sub(1)?;
        let place = self.0 * last as f64;
        let lower_place = (place.floor() as usize).min(last);
        let weight = place - lower_place as f64;
        let (_, lower, greater) = values.select_nth_unstable_by(lower_place, f64::total_cmp);
        let lower = *lower;
        if weight == 0.0 {
            return Some(lower);
        }
        let upper = greater.iter().copied().min_by(f64::total_cmp).unwrap_or(lower);
        Some(lower + (upper - lower) * weight)
    }
}

/// The values of a list in the state.
fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

/// The state of groups that have these values one after the other, and so many of them.
fn lists(values: Vec<f64>, lengths: impl Iterator<Item = usize>) -> Result<ListArray> {
    if i32::try_from(values.len()).is_err() {
        return exec_err!("percentile_cont: {} values are too many for one batch", values.len());
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(item(), offsets, Arc::new(Float64Array::from(values)), None)?)
}

/// The first argument, whose type was settled when the query was planned.
fn numbers(arguments: &[ArrayRef]) -> Result<&Float64Array> {
    let first = arguments.first().and_then(|values| values.as_primitive_opt::<Float64Type>());
    first.map_or_else(|| exec_err!("percentile_cont was planned for numbers"), Ok)
}

/// The values of each list of a state.
fn listed(state: &[ArrayRef]) -> Result<impl Iterator<Item = &[f64]>> {
    let lists = state.first().and_then(|lists| lists.as_list_opt::<i32>());
    let values = lists.and_then(|lists| lists.values().as_primitive_opt::<Float64Type>());
    let (Some(lists), Some(values)) = (lists, values) else {
        return exec_err!("the state of percentile_cont is a list of numbers");
    };
    Ok(lists.value_offsets().windows(2).enumerate().map(move |(list, range)| {
        if lists.is_null(list) {
            return &[][..];
        }
        &values.values()[range[0] as usize..range[1] as usize]
    }))
}

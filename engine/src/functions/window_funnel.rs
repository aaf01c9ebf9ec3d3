//! `window_funnel(window, time, step1, step2, …)`: how many steps a player took in their order.
//!
//! As windowFunnel of ClickHouse in its default mode: the greatest k for which there are rows at times
//! t1 <= t2 <= … <= tk <= t1 + window, of which the row at tj meets step j. So
//! - the window slides: a player may begin anew with a later step 1, and the longest chain counts;
//! - it begins with step 1 and includes its end;
//! - steps at the same time follow one another, and one row may be several steps;
//! - what comes in between does not matter.
//!
//! Rows without a time do not count, and a step that is NULL is not met.

mod chains;
mod groups;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::conditions::{MOST_CONDITIONS, condition_types};
use super::constants::constant;
use super::player_section;
use super::spans::{Span, check_span, time_type, time_unit};
use chains::Chains;
use groups::Groups;

/// How messages name the arguments. A quoted name is found in the file of a model.
const WINDOW: &str = "the window of `window_funnel`";
const TIME: &str = "the time of `window_funnel`";

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WindowFunnel {
    signature: Signature,
    documentation: Documentation,
}

impl WindowFunnel {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            player_section(),
            "How many of the steps follow one another, from the first on, within the window after the \
             first. Steps at the same time follow one another; other rows in between do not matter; the \
             longest chain counts. As windowFunnel of ClickHouse in its default mode.",
            "window_funnel(window, time, step1, step2[, ...])",
        )
        .with_sql_example(
            "SELECT player_id, window_funnel(INTERVAL '7 days', event_time, event_type = 'player_registered', \
             event_type = 'purchase') FROM events.envelope GROUP BY player_id;",
        )
        .with_argument(
            "window",
            "How long after the first step the last may be: an INTERVAL of days and smaller units, or a \
             number of seconds; the same for all rows",
        )
        .with_argument("time", "When it happened (TIMESTAMP or DATE); rows where it is NULL do not count")
        .with_argument("step1", "The condition of the first step")
        .with_argument("step2", "The condition of the next; 2 to 32 steps in all")
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &str {
        "window_funnel"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let (window, time, steps) = match arguments {
            [window, time, steps @ ..] if (2..=MOST_CONDITIONS).contains(&steps.len()) => {
                (window, time, steps)
            }
            _ => {
                return plan_err!(
                    "window_funnel takes a window, a time and 2 to {MOST_CONDITIONS} steps: \
                     window_funnel(INTERVAL '7 days', event_time, step1, step2)"
                );
            }
        };
        let mut types = vec![Span::type_of(WINDOW, window)?, time_type(TIME, time)?];
        types.extend(condition_types(self.name(), "step", steps)?);
        Ok(types)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |name: &str, item: FieldRef| {
            let name = format_state_name(arguments.name, name);
            Arc::new(Field::new(name, DataType::List(item), true))
        };
        Ok(vec![list("times", time_item()), list("steps", steps_item())])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single { groups: Groups::new(planned_chains(&arguments)?) }))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(planned_chains(&arguments)?)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    /// Nothing becomes simpler; but the window's value is known here first.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|call: AggregateFunction, _| {
            if let Some(window) = call.params.args.first() {
                check_span(WINDOW, window)?;
            }
            Ok(Expr::AggregateFunction(call))
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The chains that a call asks for.
fn planned_chains(arguments: &AccumulatorArgs<'_>) -> Result<Chains> {
    let (Some(window), Some(time)) = (arguments.exprs.first(), arguments.expr_fields.get(1)) else {
        return exec_err!("window_funnel was planned with a window and a time");
    };
    let unit = time_unit(TIME, time.data_type())?;
    let window = Span::new(WINDOW, &constant(window, WINDOW)?)?;
    Ok(Chains::new(window.in_units(unit), arguments.exprs.len() - 2))
}

/// The times in the state, in the unit of the argument.
fn time_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

/// Beside each time, the steps that are met then: the first is bit 0.
fn steps_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::UInt32, true))
}

/// The function without GROUP BY: one group, which is there without rows too.
#[derive(Debug)]
struct Single {
    groups: Groups,
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.groups.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.groups.first_level())))
    }

    fn size(&self) -> usize {
        self.groups.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (times, steps) = self.groups.first_state()?;
        Ok(vec![ScalarValue::List(Arc::new(times)), ScalarValue::List(Arc::new(steps))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |states| states.len());
        self.groups.merge_batch(states, &vec![0; rows], 1)
    }
}

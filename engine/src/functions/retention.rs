//! `retention(condition1, condition2, …)`: which conditions were met by those who met the first one.
//!
//! As in ClickHouse: element 1 is whether any row met the first condition, and element k whether any row
//! met the first and any row, the same or another, met condition k. NULL is not met.

mod groups;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature, Volatility,
};

use super::conditions::{MOST_CONDITIONS, condition_types};
use super::player_section;
use groups::Groups;

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Retention {
    signature: Signature,
    documentation: Documentation,
}

impl Retention {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            player_section(),
            "An array of booleans: element 1 is whether any row met the first condition, element k whether \
             one met the first and one met condition k. NULL is not met. As retention of ClickHouse.",
            "retention(condition1, condition2[, ...])",
        )
        .with_sql_example(
            "SELECT player_id, retention(event_date = DATE '2026-01-01', event_date = DATE '2026-01-02') \
             FROM events.envelope GROUP BY player_id;",
        )
        .with_argument("condition1", "What makes a player count at all")
        .with_argument("condition2", "What is asked of these players; up to 32 conditions in all")
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl AggregateUDFImpl for Retention {
    fn name(&self) -> &str {
        "retention"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if !(1..=MOST_CONDITIONS).contains(&arguments.len()) {
            return plan_err!(
                "retention takes 1 to {MOST_CONDITIONS} conditions, not {}",
                arguments.len()
            );
        }
        condition_types(self.name(), "argument", arguments)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(arguments.name, "met");
        Ok(vec![Arc::new(Field::new(name, DataType::UInt32, true))])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single { groups: Groups::new(arguments.exprs.len()) }))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(arguments.exprs.len())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The elements of the result.
fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Boolean, true))
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
        Ok(ScalarValue::List(Arc::new(self.groups.results(&[self.groups.first()])?)))
    }

    fn size(&self) -> usize {
        self.groups.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt32(Some(self.groups.first()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |states| states.len());
        self.groups.merge_batch(states, &vec![0; rows], 1)
    }
}

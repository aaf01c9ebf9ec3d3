//! `min_by(value, key)` and `max_by(value, key)`: the value in the row with the least or greatest key.
//!
//! As in Spark, Trino and DuckDB (there `arg_min`), with what they leave open decided: among rows with
//! the same key the least value counts, so that the answer does not depend on the order in which rows
//! come. Rows whose key is NULL do not count; a NULL value counts, behind all others of its key.
//!
//! `first_value(value ORDER BY key, value)` says the same, but compares row by row through dynamically
//! typed values; this compares integers.

mod slots;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, DocSection, Documentation, EmitTo, GroupsAccumulator, Signature,
    Volatility,
};
use std::sync::Arc;

use slots::{Slots, Texts, Values};

/// Which end of the keys counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Extreme {
    /// The least key.
    Least,
    /// The greatest key.
    Greatest,
}

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ValueByKey {
    extreme: Extreme,
    signature: Signature,
    aliases: Vec<String>,
    documentation: Documentation,
}

impl ValueByKey {
    pub(super) fn new(extreme: Extreme) -> Self {
        let (name, alias, end) = match extreme {
            Extreme::Least => ("min_by", "arg_min", "least"),
            Extreme::Greatest => ("max_by", "arg_max", "greatest"),
        };
        let documentation = Documentation::builder(
            DocSection { include: true, label: "General Functions", description: None },
            format!(
                "The value in the row with the {end} key; of several rows with this key, the least value. \
                 Rows whose key is NULL do not count."
            ),
            format!("{name}(value, key)"),
        )
        .with_sql_example(format!(
            "SELECT player_id, {name}(platform, event_time) FROM events.envelope GROUP BY player_id;"
        ))
        .with_argument("value", "What is wanted, of any type")
        .with_argument("key", "What decides: a time, a date or an integer")
        .build();
        Self {
            extreme,
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec![alias.to_owned()],
            documentation,
        }
    }
}

impl AggregateUDFImpl for ValueByKey {
    fn name(&self) -> &str {
        match self.extreme {
            Extreme::Least => "min_by",
            Extreme::Greatest => "max_by",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [value, key] = arguments else {
            return plan_err!("{} takes a value and a key", self.name());
        };
        let key = match key {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Int64 => {
                key.clone()
            }
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Null => DataType::Int64,
            other => {
                return plan_err!(
                    "the key of {} is a time, a date or an integer, not {other}; for other keys write \
                     first_value(value ORDER BY key)",
                    self.name()
                );
            }
        };
        let value = match value {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::Dictionary(_, inner) => inner.as_ref().clone(),
            other => other.clone(),
        };
        Ok(vec![value, key])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.first() {
            Some(value) => Ok(value.clone()),
            None => plan_err!("{} takes a value and a key", self.name()),
        }
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = arguments.return_field.data_type().clone();
        Ok(vec![
            Arc::new(Field::new(format_state_name(arguments.name, "value"), value, true)),
            Arc::new(Field::new(format_state_name(arguments.name, "key"), DataType::Int64, true)),
        ])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let groups = Groups::new(self.extreme, arguments.return_field.data_type());
        Ok(Box::new(Single { groups }))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.extreme, arguments.return_field.data_type())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The best row of each group so far. Its state has the shape of its arguments, so that merging is
/// updating.
#[derive(Debug)]
enum Groups {
    Texts(Slots<Texts>),
    Values(Slots<Values>),
}

impl Groups {
    fn new(extreme: Extreme, value_type: &DataType) -> Self {
        let greatest = extreme == Extreme::Greatest;
        match value_type {
            DataType::Utf8 => Self::Texts(Slots::new(Texts::default(), greatest)),
            other => Self::Values(Slots::new(Values::new(other.clone()), greatest)),
        }
    }

    fn update(
        &mut self,
        arguments: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let [values, keys] = arguments else {
            return exec_err!("min_by and max_by take a value and a key");
        };
        let keys = cast(keys, &DataType::Int64)?;
        let keys = keys.as_primitive::<Int64Type>();
        match self {
            Self::Texts(slots) => {
                let values: &StringArray = values.as_string();
                slots.update(values, keys, groups, filter, total)
            }
            Self::Values(slots) => slots.update(values, keys, groups, filter, total),
        }
    }

    fn take(&mut self, emit: EmitTo) -> Result<(ArrayRef, Int64Array)> {
        match self {
            Self::Texts(slots) => slots.take(emit),
            Self::Values(slots) => slots.take(emit),
        }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.update(values, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.take(emit_to)?.0)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (values, keys) = self.take(emit_to)?;
        Ok(vec![values, Arc::new(keys)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let [values, keys] = values else {
            return exec_err!("min_by and max_by take a value and a key");
        };
        let mut keys = cast(keys, &DataType::Int64)?;
        if let Some(filter) = opt_filter {
            // A row that the filter leaves out has a NULL key, and so does not count.
            let left_out: BooleanArray =
                filter.iter().map(|keep| Some(keep != Some(true))).collect();
            keys = arrow::compute::nullif(&keys, &left_out)?;
        }
        Ok(vec![Arc::clone(values), keys])
    }

    fn size(&self) -> usize {
        match self {
            Self::Texts(slots) => slots.size(),
            Self::Values(slots) => slots.size(),
        }
    }
}

/// The function without GROUP BY: one group.
#[derive(Debug)]
struct Single {
    groups: Groups,
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.groups.update(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.state()?.swap_remove(0))
    }

    fn size(&self) -> usize {
        self.groups.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        // The groups are taken out to be read, and put back: a window asks more than once.
        self.groups.update(&self.empty(), &[], None, 1)?;
        let (values, keys) = self.groups.take(EmitTo::All)?;
        let keys: ArrayRef = Arc::new(keys);
        let state =
            vec![ScalarValue::try_from_array(&values, 0)?, ScalarValue::try_from_array(&keys, 0)?];
        self.groups.update(&[values, keys], &[0], None, 1)?;
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

impl Single {
    /// Arguments of no row.
    fn empty(&self) -> [ArrayRef; 2] {
        let value_type = match &self.groups {
            Groups::Texts(_) => &DataType::Utf8,
            Groups::Values(slots) => slots.values().data_type(),
        };
        [arrow::array::new_empty_array(value_type), arrow::array::new_empty_array(&DataType::Int64)]
    }
}

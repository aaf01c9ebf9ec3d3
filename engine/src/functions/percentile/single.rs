//! The percentile without GROUP BY, with DISTINCT, or over a window.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::{Place, listed, lists, numbers};

/// The values so far.
#[derive(Debug)]
pub(super) struct Single {
    place: Place,
    /// Whether a value counts once however often it came. It is kept as often as it came, because a
    /// window's rows leave one by one.
    is_distinct: bool,
    values: Vec<f64>,
}

impl Single {
    pub(super) fn new(place: Place, is_distinct: bool) -> Self {
        Self { place, is_distinct, values: Vec::new() }
    }

    fn counted(&mut self) -> Vec<f64> {
        let mut counted = self.values.clone();
        if self.is_distinct {
            counted.sort_unstable_by(f64::total_cmp);
            counted.dedup();
        }
        counted
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(numbers(values)?.iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let percentile = if self.is_distinct {
            self.place.of(&mut self.counted())
        } else {
            self.place.of(&mut self.values)
        };
        Ok(ScalarValue::Float64(percentile))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.counted();
        let length = values.len();
        Ok(vec![ScalarValue::List(Arc::new(lists(values, [length].into_iter())?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in listed(states)? {
            self.values.extend_from_slice(values);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut leaving: HashMap<u64, usize> = HashMap::new();
        for value in numbers(values)?.iter().flatten() {
            *leaving.entry(value.to_bits()).or_default() += 1;
        }
        self.values.retain(|value| match leaving.get_mut(&value.to_bits()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

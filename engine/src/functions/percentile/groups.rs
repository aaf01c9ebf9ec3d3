//! Percentiles of many groups at once.
//!
//! The values of all groups lie in one vector in the order in which they came, with the group of each
//! beside it: with a vector for each of 100,000 players, those would be most of the memory.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::{Place, listed, lists, numbers};
use crate::functions::conditions::takes;

/// The values so far.
#[derive(Debug)]
pub(super) struct Groups {
    place: Place,
    /// How many values each group has.
    counts: Vec<usize>,
    /// Beside each value, its group.
    groups: Vec<u32>,
    values: Vec<f64>,
}

impl Groups {
    pub(super) fn new(place: Place) -> Self {
        Self { place, counts: Vec::new(), groups: Vec::new(), values: Vec::new() }
    }

    fn resize(&mut self, total: usize) -> Result<()> {
        if u32::try_from(total).is_err() {
            return exec_err!("percentile_cont: {total} groups are too many");
        }
        self.counts.resize(total, 0);
        Ok(())
    }

    fn push(&mut self, group: usize, value: f64) {
        self.counts[group] += 1;
        self.groups.push(group as u32);
        self.values.push(value);
    }

    /// How many values each of the groups to emit has, and their values, group after group.
    fn take(&mut self, emit: EmitTo) -> (Vec<usize>, Vec<f64>) {
        let counts = emit.take_needed(&mut self.counts);
        // Where the next value of each group goes.
        let mut places = Vec::with_capacity(counts.len());
        let mut total = 0;
        for count in &counts {
            places.push(total);
            total += count;
        }
        let mut taken = vec![0.0; total];
        let mut kept = 0;
        for index in 0..self.values.len() {
            let group = self.groups[index] as usize;
            if let Some(place) = places.get_mut(group) {
                taken[*place] = self.values[index];
                *place += 1;
            } else {
                self.groups[kept] = (group - counts.len()) as u32;
                self.values[kept] = self.values[index];
                kept += 1;
            }
        }
        self.groups.truncate(kept);
        self.values.truncate(kept);
        if kept == 0 {
            self.groups = Vec::new();
            self.values = Vec::new();
        }
        (counts, taken)
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
        self.resize(total_num_groups)?;
        let values = numbers(values)?;
        for (row, &group) in group_indices.iter().enumerate() {
            if values.is_valid(row) && takes(opt_filter, row) {
                self.push(group, values.value(row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (counts, mut values) = self.take(emit_to);
        let mut rest = values.as_mut_slice();
        let mut percentiles = Float64Array::builder(counts.len());
        for count in counts {
            let (own, others) = rest.split_at_mut(count);
            percentiles.append_option(self.place.of(own));
            rest = others;
        }
        Ok(Arc::new(percentiles.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (counts, values) = self.take(emit_to);
        Ok(vec![Arc::new(lists(values, counts.into_iter())?)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups)?;
        for (&group, values) in group_indices.iter().zip(listed(values)?) {
            for &value in values {
                self.push(group, value);
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let numbers = numbers(values)?;
        let is_taken = |row: &usize| numbers.is_valid(*row) && takes(opt_filter, *row);
        let rows = 0..numbers.len();
        let taken = rows.clone().filter(is_taken).map(|row| numbers.value(row)).collect();
        Ok(vec![Arc::new(lists(taken, rows.map(|row| usize::from(is_taken(&row))))?)])
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<usize>()
            + self.groups.capacity() * size_of::<u32>()
            + self.values.capacity() * size_of::<f64>()
    }
}

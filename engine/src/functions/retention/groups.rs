//! The conditions that each group has met, one number a group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::UInt32Type;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::item;
use crate::functions::conditions::{met_conditions, takes};

/// What every group has met so far.
#[derive(Debug)]
pub(super) struct Groups {
    conditions: usize,
    met: Vec<u32>,
    /// What each row of a batch meets; kept for its room.
    of_rows: Vec<u32>,
}

impl Groups {
    pub(super) fn new(conditions: usize) -> Self {
        Self { conditions, met: Vec::new(), of_rows: Vec::new() }
    }

    /// What the first group has met, of which there may be no row.
    pub(super) fn first(&self) -> u32 {
        self.met.first().copied().unwrap_or(0)
    }

    /// The results of groups that have met this.
    pub(super) fn results(&self, met: &[u32]) -> Result<ListArray> {
        let elements = met.iter().flat_map(|met| {
            let counts = met & 1 == 1;
            (0..self.conditions).map(move |condition| Some(counts && (met >> condition) & 1 == 1))
        });
        let elements: BooleanArray = elements.collect();
        if i32::try_from(elements.len()).is_err() {
            return exec_err!("retention: {} groups are too many for one batch", met.len());
        }
        let offsets = OffsetBuffer::from_repeated_length(self.conditions, met.len());
        Ok(ListArray::try_new(item(), offsets, Arc::new(elements), None)?)
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
        self.met.resize(total_num_groups, 0);
        met_conditions(values, group_indices.len(), &mut self.of_rows)?;
        for (row, (&group, met)) in group_indices.iter().zip(&self.of_rows).enumerate() {
            if takes(opt_filter, row) {
                self.met[group] |= met;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let met = emit_to.take_needed(&mut self.met);
        Ok(Arc::new(self.results(&met)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(UInt32Array::from(emit_to.take_needed(&mut self.met)))])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.met.resize(total_num_groups, 0);
        let states = values.first().and_then(|states| states.as_primitive_opt::<UInt32Type>());
        let Some(states) = states else {
            return exec_err!("the state of retention is one number");
        };
        for (&group, met) in group_indices.iter().zip(states) {
            self.met[group] |= met.unwrap_or(0);
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut met = Vec::new();
        met_conditions(values, rows, &mut met)?;
        for (row, met) in met.iter_mut().enumerate() {
            if !takes(opt_filter, row) {
                *met = 0;
            }
        }
        Ok(vec![Arc::new(UInt32Array::from(met))])
    }

    fn size(&self) -> usize {
        (self.met.capacity() + self.of_rows.capacity()) * size_of::<u32>()
    }
}

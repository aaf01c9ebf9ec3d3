//! Funnels of many groups at once.
//!
//! Which rows matter is known only when all are there: a chain's rows may come in any order, and from
//! several partial states. So they are kept, those that meet a step, in one vector for all groups: with
//! a vector for each of 100,000 players, those would be most of the memory. Whenever it has doubled it
//! is settled: points at the same time become one, and those of groups with a whole chain go.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt32Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::chains::{Chains, Point};
use super::{steps_item, time_item};
use crate::functions::conditions::{met_conditions, takes};

/// Fewer points are not settled before the end. Tests have few.
const FEW_POINTS: usize = if cfg!(test) { 4 } else { 1 << 16 };

/// The points of every group so far.
#[derive(Debug)]
pub(super) struct Groups {
    chains: Chains,
    points: Vec<Point>,
    /// Settled anew when there are so many points.
    settle_at: usize,
    /// By group, whether it has a whole chain. Then it has no points any more.
    whole: Vec<bool>,
    /// What each row of a batch meets; kept for its room.
    of_rows: Vec<u32>,
}

impl Groups {
    pub(super) fn new(chains: Chains) -> Self {
        Self {
            chains,
            points: Vec::new(),
            settle_at: FEW_POINTS,
            whole: Vec::new(),
            of_rows: Vec::new(),
        }
    }

    fn resize(&mut self, total: usize) -> Result<()> {
        if u32::try_from(total).is_err() {
            return exec_err!("window_funnel: {total} groups are too many");
        }
        self.whole.resize(total, false);
        Ok(())
    }

    fn push(&mut self, group: usize, time: i64, steps: u32) {
        if self.whole[group] {
            return;
        }
        if steps == self.chains.all_steps() {
            self.whole[group] = true;
        } else if steps != 0 {
            self.points.push(Point { time, group: group as u32, steps });
        }
    }

    fn settle_if_many(&mut self) {
        if self.points.len() >= self.settle_at {
            self.settle();
            self.settle_at = FEW_POINTS.max(self.points.len() * 2);
        }
    }

    /// Brings the points into the order of groups and times, with one point for each time, and drops
    /// those of groups with a whole chain.
    fn settle(&mut self) {
        self.points.sort_unstable_by_key(|point| (point.group, point.time));
        self.points.dedup_by(|later, kept| {
            let is_same = (later.group, later.time) == (kept.group, kept.time);
            if is_same {
                kept.steps |= later.steps;
            }
            is_same
        });
        for of_group in self.points.chunk_by(|left, right| left.group == right.group) {
            if self.chains.longest(of_group) == self.chains.steps() {
                self.whole[of_group[0].group as usize] = true;
            }
        }
        let whole = &self.whole;
        self.points.retain(|point| !whole[point.group as usize]);
    }

    /// The groups to emit: whether each is whole, and their settled points.
    fn take(&mut self, emit: EmitTo) -> (Vec<bool>, Vec<Point>) {
        self.settle();
        let whole = emit.take_needed(&mut self.whole);
        let emitted = self.points.partition_point(|point| (point.group as usize) < whole.len());
        let mut points = std::mem::take(&mut self.points);
        self.points = points.split_off(emitted);
        for point in &mut self.points {
            point.group -= whole.len() as u32;
        }
        self.settle_at = FEW_POINTS.max(self.points.len() * 2);
        (whole, points)
    }

    /// The result of the first group, of which there may be no row.
    pub(super) fn first_level(&mut self) -> i64 {
        self.settle();
        match self.whole.first() {
            Some(true) => self.chains.steps() as i64,
            _ => self.chains.longest(&self.points) as i64,
        }
    }

    /// The state of the first group, of which there may be no row.
    pub(super) fn first_state(&mut self) -> Result<(ListArray, ListArray)> {
        self.settle();
        let whole = self.whole.first().copied().unwrap_or(false);
        self.lists(&[whole], &self.points)
    }

    /// The state of groups from the first on. A whole chain is one point with all steps.
    fn lists(&self, whole: &[bool], points: &[Point]) -> Result<(ListArray, ListArray)> {
        let mut lengths = vec![0_usize; whole.len()];
        let mut times = Vec::with_capacity(points.len());
        let mut steps = Vec::with_capacity(points.len());
        let mut rest = points.iter().peekable();
        for (group, &whole) in whole.iter().enumerate() {
            if whole {
                times.push(0);
                steps.push(self.chains.all_steps());
                lengths[group] = 1;
            }
            while let Some(point) = rest.next_if(|point| point.group as usize == group) {
                times.push(point.time);
                steps.push(point.steps);
                lengths[group] += 1;
            }
        }
        state_lists(times, steps, &lengths)
    }
}

/// The columns of the state, of groups that have so many points each.
fn state_lists(
    times: Vec<i64>,
    steps: Vec<u32>,
    lengths: &[usize],
) -> Result<(ListArray, ListArray)> {
    if i32::try_from(times.len()).is_err() {
        return exec_err!("window_funnel: {} events are too many for one batch", times.len());
    }
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let times: ArrayRef = Arc::new(Int64Array::from(times));
    let steps: ArrayRef = Arc::new(UInt32Array::from(steps));
    Ok((
        ListArray::try_new(time_item(), offsets.clone(), times, None)?,
        ListArray::try_new(steps_item(), offsets, steps, None)?,
    ))
}

/// The times of a batch, and its steps.
fn times_and_steps(values: &[ArrayRef]) -> Result<(Int64Array, &[ArrayRef])> {
    let [_window, times, steps @ ..] = values else {
        return exec_err!("window_funnel was planned with a window, a time and steps");
    };
    let times = cast(times, &DataType::Int64)?;
    Ok((times.as_primitive::<Int64Type>().clone(), steps))
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
        let (times, steps) = times_and_steps(values)?;
        let mut of_rows = std::mem::take(&mut self.of_rows);
        met_conditions(steps, group_indices.len(), &mut of_rows)?;
        for (row, (&group, &steps)) in group_indices.iter().zip(&of_rows).enumerate() {
            if steps != 0 && times.is_valid(row) && takes(opt_filter, row) {
                self.push(group, times.value(row), steps);
            }
        }
        self.of_rows = of_rows;
        self.settle_if_many();
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (whole, points) = self.take(emit_to);
        let steps = self.chains.steps();
        let mut levels: Vec<i64> =
            whole.iter().map(|whole| if *whole { steps as i64 } else { 0 }).collect();
        for of_group in points.chunk_by(|left, right| left.group == right.group) {
            levels[of_group[0].group as usize] = self.chains.longest(of_group) as i64;
        }
        Ok(Arc::new(Int64Array::from(levels)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (whole, points) = self.take(emit_to);
        let (times, steps) = self.lists(&whole, &points)?;
        Ok(vec![Arc::new(times), Arc::new(steps)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups)?;
        let [times, steps] = values else {
            return exec_err!("the state of window_funnel is times and steps");
        };
        let (Some(times), Some(steps)) = (times.as_list_opt::<i32>(), steps.as_list_opt::<i32>())
        else {
            return exec_err!("the state of window_funnel is lists");
        };
        for (row, &group) in group_indices.iter().enumerate() {
            if times.is_null(row) || steps.is_null(row) {
                continue;
            }
            let (times, steps) = (times.value(row), steps.value(row));
            let times = times.as_primitive::<Int64Type>().values();
            let steps = steps.as_primitive::<UInt32Type>().values();
            for (&time, &steps) in times.iter().zip(steps) {
                self.push(group, time, steps);
            }
        }
        self.settle_if_many();
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let (all_times, conditions) = times_and_steps(values)?;
        let rows = all_times.len();
        let mut of_rows = Vec::new();
        met_conditions(conditions, rows, &mut of_rows)?;
        let mut lengths = vec![0; rows];
        let mut times = Vec::new();
        let mut steps = Vec::new();
        for (row, &met) in of_rows.iter().enumerate() {
            if met != 0 && all_times.is_valid(row) && takes(opt_filter, row) {
                times.push(all_times.value(row));
                steps.push(met);
                lengths[row] = 1;
            }
        }
        let (times, steps) = state_lists(times, steps, &lengths)?;
        Ok(vec![Arc::new(times), Arc::new(steps)])
    }

    fn size(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
            + self.whole.capacity() * size_of::<bool>()
            + self.of_rows.capacity() * size_of::<u32>()
    }
}

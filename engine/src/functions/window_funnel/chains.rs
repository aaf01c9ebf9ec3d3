//! The longest chain of steps among points in time.

use crate::functions::conditions::all_conditions;

/// A time of a group at which it meets steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) time: i64,
    pub(super) group: u32,
    /// The first step is bit 0.
    pub(super) steps: u32,
}

/// What a chain is.
#[derive(Debug)]
pub(super) struct Chains {
    /// How much later than the first step the last may be, in the unit of times.
    window: i64,
    /// How many steps there are.
    steps: usize,
    /// For each step, the latest beginning of a chain that has come to it; kept for its room.
    beginnings: Vec<Option<i64>>,
}

impl Chains {
    pub(super) fn new(window: i64, steps: usize) -> Self {
        Self { window, steps, beginnings: vec![None; steps] }
    }

    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The bits of all steps: at a time with all of them the chain is whole.
    pub(super) fn all_steps(&self) -> u32 {
        all_conditions(self.steps)
    }

    /// How many steps the longest chain has. The points are of one group, each later than the one before.
    ///
    /// Of chains that have come to the same step only that which began last is of interest: whatever
    /// follows within the window of another follows within its window too.
    pub(super) fn longest(&mut self, points: &[Point]) -> usize {
        self.beginnings.fill(None);
        let mut longest = 0;
        for point in points {
            let mut remaining = point.steps;
            while remaining != 0 {
                let step = remaining.trailing_zeros() as usize;
                remaining &= remaining - 1;
                let beginning = match step {
                    0 => Some(point.time),
                    _ => self.beginnings[step - 1]
                        .filter(|beginning| point.time.saturating_sub(*beginning) <= self.window),
                };
                if beginning.is_some() {
                    self.beginnings[step] = beginning;
                    longest = longest.max(step + 1);
                }
            }
            if longest == self.steps {
                break;
            }
        }
        longest
    }
}

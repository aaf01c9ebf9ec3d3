//! Days on which something may still happen: what is kept of them until they are over, when rows
//! are made of it.

use std::collections::VecDeque;

use super::marts::{ConcurrencyDay, EconomyDay, IncomeDay, LevelDay};

/// What is kept of one day.
#[derive(Debug, Default)]
pub(super) struct OpenDay {
    pub(super) levels: LevelDay,
    pub(super) economy: EconomyDay,
    pub(super) concurrency: ConcurrencyDay,
    pub(super) income: IncomeDay,
}

/// The days that are not over.
#[derive(Debug, Default)]
pub(super) struct OpenDays {
    /// Number of the first of `days`.
    first: u32,
    days: VecDeque<OpenDay>,
}

impl OpenDays {
    /// What is kept of a day, which must not be over.
    #[inline]
    pub(super) fn at(&mut self, day: u32) -> &mut OpenDay {
        let index = (day - self.first) as usize;
        while self.days.len() <= index {
            self.days.push_back(OpenDay::default());
        }
        &mut self.days[index]
    }

    /// Takes the first day, if it lies before this one.
    pub(super) fn take_before(&mut self, before: u32) -> Option<(u32, OpenDay)> {
        if self.first >= before {
            return None;
        }
        let day = self.first;
        self.first += 1;
        Some((day, self.days.pop_front().unwrap_or_default()))
    }
}

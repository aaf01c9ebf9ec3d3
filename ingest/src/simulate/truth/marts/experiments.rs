//! `mart_experiment_daily` and `mart_experiment`: what becomes of the players who were shown a
//! variant of an experiment, since then.
//!
//! A player belongs to one variant and one cut, those of their first exposure: everything adds up
//! over cuts.

mod daily;
mod total;

use std::collections::BTreeMap;

use super::super::tally::{Cut, Occurrence, Tally};
use super::{ActiveDay, TruthTable, TruthValue};
use crate::simulate::catalog::EXPERIMENTS;

/// A player's first exposure to an experiment.
#[derive(Debug, Clone, Copy)]
struct FirstExposure {
    /// `i64::MAX` of those who have none.
    epoch_ms: i64,
    day: u32,
    cut: Cut,
    variant: u8,
    /// Whether the player has bought something since then.
    converted: bool,
}

const NOT_EXPOSED: FirstExposure = FirstExposure {
    epoch_ms: i64::MAX,
    day: 0,
    cut: Cut { platform: 0, country: 0 },
    variant: 0,
    converted: false,
};

/// Money that comes in from a player.
#[derive(Debug, Clone, Copy)]
struct Income {
    player: u32,
    is_purchase: bool,
    epoch_ms: i64,
    micros: i64,
}

/// The money that comes in on one day.
#[derive(Debug, Default)]
pub(in super::super) struct IncomeDay {
    list: Vec<Income>,
}

impl IncomeDay {
    pub(in super::super) fn add(&mut self, at: Occurrence, micros: i64, is_purchase: bool) {
        let (player, epoch_ms) = (at.player, at.epoch_ms);
        self.list.push(Income { player, is_purchase, epoch_ms, micros });
    }
}

/// One variant on one day in one cut by platform and country. Ordered as it counts, not by names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Arm {
    experiment: u8,
    variant: u8,
    /// Places of the four cuts in the order of their names.
    cuts: [u16; 4],
}

/// The figures of one [`Arm`] on one day.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    exposed: u64,
    d1: u64,
    d7: u64,
    purchases: u64,
    payers: u64,
    micros: i64,
}

/// Counts exposures and what follows.
#[derive(Debug, Default)]
pub(in super::super) struct Experiments {
    /// By player and experiment.
    exposures: Vec<[FirstExposure; EXPERIMENTS.len()]>,
    /// Income on the days that are over.
    days: BTreeMap<(u32, Arm), Day>,
}

impl Experiments {
    /// Makes room for one more player.
    pub(in super::super) fn add_player(&mut self) {
        self.exposures.push([NOT_EXPOSED; EXPERIMENTS.len()]);
    }

    /// A player is shown a variant, always the same one.
    pub(in super::super) fn expose(&mut self, at: Occurrence, experiment: usize, variant: usize) {
        let first = &mut self.exposures[at.player as usize][experiment];
        if at.epoch_ms < first.epoch_ms {
            first.epoch_ms = at.epoch_ms;
            first.day = at.day;
            first.cut = at.cut;
            first.variant = variant as u8;
        }
    }

    /// Counts the income of a day that is over: no exposure will turn out to have been earlier
    /// than its end.
    pub(in super::super) fn close(
        &mut self,
        day: u32,
        mut of_day: IncomeDay,
        ranks_of: impl Fn(Cut) -> [u16; 4],
    ) {
        of_day.list.sort_unstable_by_key(|income| income.player);
        for of_player in of_day.list.chunk_by(|a, b| a.player == b.player) {
            let exposures = &mut self.exposures[of_player[0].player as usize];
            for (experiment, exposure) in (0..).zip(exposures) {
                let since = of_player.iter().filter(|income| income.epoch_ms >= exposure.epoch_ms);
                let (mut count, mut purchases, mut micros) = (0, 0, 0);
                for income in since {
                    count += 1;
                    purchases += u64::from(income.is_purchase);
                    micros += income.micros;
                }
                if count > 0 {
                    exposure.converted |= purchases > 0;
                    let arm = arm_of(experiment, exposure, &ranks_of);
                    let cell = self.days.entry((day, arm)).or_default();
                    cell.purchases += purchases;
                    cell.payers += u64::from(purchases > 0);
                    cell.micros += micros;
                }
            }
        }
    }
}

fn arm_of(experiment: u8, exposure: &FirstExposure, ranks_of: impl Fn(Cut) -> [u16; 4]) -> Arm {
    Arm { experiment, variant: exposure.variant, cuts: ranks_of(exposure.cut) }
}

/// Both tables, the daily one first; for the first `days` days, all of them closed.
pub(super) fn tables(
    tally: &mut Tally,
    active: &[ActiveDay],
    days: usize,
) -> (TruthTable, TruthTable) {
    let mut experiments = std::mem::take(&mut tally.experiments);
    let mut totals = BTreeMap::new();
    for (player, exposures) in experiments.exposures.iter().enumerate() {
        let start = active.partition_point(|active| (active.player as usize) < player);
        let end = active.partition_point(|active| active.player as usize <= player);
        let active = &active[start..end];
        for (experiment, exposure) in (0..).zip(exposures) {
            if exposure.epoch_ms == i64::MAX {
                continue;
            }
            let arm = arm_of(experiment, exposure, |cut| tally.grid.ranks_of(cut));
            let total: &mut total::Total = totals.entry(arm).or_default();
            total.exposed += 1;
            total.converted += u64::from(exposure.converted);
            experiments.days.entry((exposure.day, arm)).or_default().exposed += 1;
            for (n, counts) in [(1, &mut total.d1), (7, &mut total.d7)] {
                let later = exposure.day + n;
                let is_active = active.iter().any(|active| active.day == later as usize);
                counts.exposed += u64::from((later as usize) < days);
                counts.active += u64::from(is_active);
                if is_active {
                    let cell = experiments.days.entry((later, arm)).or_default();
                    *(if n == 1 { &mut cell.d1 } else { &mut cell.d7 }) += 1;
                }
            }
        }
    }
    for ((_, arm), day) in &experiments.days {
        if let Some(total) = totals.get_mut(arm) {
            total.micros += day.micros;
        }
    }
    (daily::table(tally, &experiments.days), total::table(&tally.grid, &totals))
}

/// Experiment and variant of an arm as text.
fn names(arm: &Arm) -> [TruthValue; 2] {
    let experiment = &EXPERIMENTS[usize::from(arm.experiment)];
    [
        TruthValue::text(experiment.id),
        TruthValue::text(experiment.variants[usize::from(arm.variant)]),
    ]
}

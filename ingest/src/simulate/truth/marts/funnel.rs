//! `mart_funnel`: how far the players who registered on one day come, and how fast.

use std::ops::Range;

use super::super::statistics::percentile;
use super::super::tally::{Cut, Occurrence, Tally};
use super::{Grid, Row, TruthKind, TruthTable, TruthValue, columns, key, or_null};
use crate::simulate::DAY_MS;
use crate::simulate::catalog::TUTORIAL_STEPS;

const COLUMNS: [(&str, TruthKind); 10] = [
    ("funnel", TruthKind::Text),
    ("cohort_date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("step", TruthKind::Integer),
    ("step_name", TruthKind::Text),
    ("players", TruthKind::Integer),
    ("share_of_first", TruthKind::Share),
    ("share_of_previous", TruthKind::Share),
    ("median_seconds", TruthKind::Number),
];

/// Something that is a step of a funnel after the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Milestone {
    /// A step of the tutorial, counted from 1.
    Tutorial(u8),
    /// This level is won.
    LevelWon(u32),
    /// A currency is spent in the shop.
    ShopUsed,
    /// A purchase with money.
    Purchased,
}

/// Steps in a window of time that begins with the player's registration, the first step of each.
struct Funnel {
    name: &'static str,
    window_ms: i64,
    steps: &'static [(&'static str, Milestone)],
}

const FIRST_STEP: &str = "registered";

/// All funnels, in the order of their names.
const FUNNELS: [Funnel; 3] = [
    Funnel {
        name: "first_purchase",
        window_ms: 30 * DAY_MS,
        steps: &[
            ("level_5_won", Milestone::LevelWon(5)),
            ("shop_used", Milestone::ShopUsed),
            ("purchased", Milestone::Purchased),
        ],
    },
    Funnel {
        name: "onboarding",
        window_ms: 7 * DAY_MS,
        steps: &[
            ("tutorial_done", Milestone::Tutorial(TUTORIAL_STEPS.len() as u8)),
            ("level_1_won", Milestone::LevelWon(1)),
            ("level_5_won", Milestone::LevelWon(5)),
            ("level_10_won", Milestone::LevelWon(10)),
        ],
    },
    Funnel {
        name: "tutorial",
        window_ms: 7 * DAY_MS,
        steps: &[
            (TUTORIAL_STEPS[0], Milestone::Tutorial(1)),
            (TUTORIAL_STEPS[1], Milestone::Tutorial(2)),
            (TUTORIAL_STEPS[2], Milestone::Tutorial(3)),
            (TUTORIAL_STEPS[3], Milestone::Tutorial(4)),
            (TUTORIAL_STEPS[4], Milestone::Tutorial(5)),
            (TUTORIAL_STEPS[5], Milestone::Tutorial(6)),
        ],
    },
];

/// The longest window of a funnel.
const LONGEST_WINDOW_MS: i64 = 30 * DAY_MS;

/// When and where a player registered.
#[derive(Debug, Clone, Copy)]
struct Registration {
    player: u32,
    day: u32,
    epoch_ms: i64,
    cut: Cut,
}

/// A milestone that a player reached, perhaps not for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reached {
    player: u32,
    milestone: Milestone,
    /// After the player's registration.
    after_ms: u32,
}

/// Counts milestones.
#[derive(Debug, Default)]
pub(in super::super) struct Funnels {
    /// By player; time `i64::MAX` of those who have not registered.
    registrations: Vec<Registration>,
    reached: Vec<Reached>,
}

impl Funnels {
    /// The first thing that is ever told of a player.
    pub(in super::super) fn register(&mut self, at: Occurrence) {
        let (day, epoch_ms, cut) = (at.day, at.epoch_ms, at.cut);
        self.registrations.push(Registration { player: at.player, day, epoch_ms, cut });
    }

    /// A player reaches a milestone, at a time that may lie before their registration if a clock
    /// is wrong.
    pub(in super::super) fn reach(&mut self, at: Occurrence, milestone: Milestone) {
        if !is_step(milestone) {
            return;
        }
        let player = at.player;
        // Players register in the order of their numbers.
        let index = self.registrations.binary_search_by_key(&player, |known| known.player);
        let Some(registration) = index.ok().and_then(|index| self.registrations.get(index)) else {
            return;
        };
        let after_ms = at.epoch_ms - registration.epoch_ms;
        if (0..=LONGEST_WINDOW_MS).contains(&after_ms) {
            let after_ms = after_ms as u32;
            self.reached.push(Reached { player, milestone, after_ms });
        }
    }
}

fn is_step(milestone: Milestone) -> bool {
    match milestone {
        Milestone::LevelWon(level) => matches!(level, 1 | 5 | 10),
        _ => true,
    }
}

/// A step that a player reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StepReached {
    cut: u16,
    /// Counted from 0.
    step: u8,
    /// Since the step before; 0 for the first.
    took_ms: u32,
}

/// The table.
pub(super) fn table(tally: &mut Tally) -> TruthTable {
    let columns = columns(&COLUMNS);
    let mut reached = std::mem::take(&mut tally.funnels.reached);
    reached.sort_unstable();
    let mut cohorts = std::mem::take(&mut tally.funnels.registrations);
    cohorts.sort_unstable_by_key(|registration| (registration.day, registration.player));
    let mut rows = Vec::new();
    for funnel in &FUNNELS {
        for cohort in cohorts.chunk_by(|a, b| a.day == b.day) {
            let date = TruthValue::text(&tally.date(cohort[0].day as usize));
            let mut steps = Vec::new();
            for registration in cohort {
                let of_player = &reached[range_of(&reached, registration.player)];
                follow(funnel, registration, of_player, &tally.grid, &mut steps);
            }
            steps.sort_unstable();
            for of_cut in steps.chunk_by(|a, b| a.cut == b.cut) {
                push_rows(&mut rows, funnel, &date, &tally.grid, of_cut);
            }
        }
    }
    TruthTable { key: key(&columns, 5), columns, rows }
}

fn range_of(reached: &[Reached], player: u32) -> Range<usize> {
    let start = reached.partition_point(|known| known.player < player);
    start..start + reached[start..].partition_point(|known| known.player == player)
}

/// Appends the steps that a player reached, each once for each of the four cuts.
fn follow(
    funnel: &Funnel,
    registration: &Registration,
    of_player: &[Reached],
    grid: &Grid,
    out: &mut Vec<StepReached>,
) {
    let cuts = grid.ranks_of(registration.cut);
    out.extend(cuts.map(|cut| StepReached { cut, step: 0, took_ms: 0 }));
    let mut last_ms = 0;
    for (step, (_, milestone)) in (1..).zip(funnel.steps) {
        let next = of_player.partition_point(|reached| {
            (reached.milestone, reached.after_ms) < (*milestone, last_ms)
        });
        let Some(reached) = of_player.get(next).filter(|next| next.milestone == *milestone) else {
            return;
        };
        if i64::from(reached.after_ms) > funnel.window_ms {
            return;
        }
        let took_ms = reached.after_ms - last_ms;
        out.extend(cuts.map(|cut| StepReached { cut, step, took_ms }));
        last_ms = reached.after_ms;
    }
}

/// Appends the rows of all steps in one cut.
fn push_rows(
    rows: &mut Vec<Row>,
    funnel: &Funnel,
    date: &TruthValue,
    grid: &Grid,
    of_cut: &[StepReached],
) {
    let [platform, country] = grid.names_at(of_cut[0].cut);
    let names = [FIRST_STEP].into_iter().chain(funnel.steps.iter().map(|(name, _)| *name));
    let mut previous = None;
    let mut first = 0;
    for (index, name) in (0_u8..).zip(names) {
        let start = of_cut.partition_point(|reached| reached.step < index);
        let end = of_cut.partition_point(|reached| reached.step <= index);
        let reached = &of_cut[start..end];
        let players = reached.len() as u64;
        let mut median = None;
        if index == 0 {
            first = players;
        } else {
            median = percentile(reached, 0.5, |step| f64::from(step.took_ms) / 1_000.0);
        }
        rows.push(vec![
            TruthValue::text(funnel.name),
            date.clone(),
            platform.clone(),
            country.clone(),
            TruthValue::Integer(i64::from(index) + 1),
            TruthValue::text(name),
            TruthValue::count(players),
            TruthValue::ratio(players as f64, first),
            TruthValue::ratio(players as f64, previous.unwrap_or(players)),
            or_null(median),
        ]);
        previous = Some(players);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_all_funnels_are_counted_and_fit_the_longest_window() {
        assert!(FUNNELS.iter().is_sorted_by_key(|funnel| funnel.name));
        for funnel in &FUNNELS {
            assert!(funnel.window_ms <= LONGEST_WINDOW_MS);
            assert!(funnel.steps.iter().all(|(_, milestone)| is_step(*milestone)));
        }
        assert!(u32::try_from(LONGEST_WINDOW_MS).is_ok());
    }

    /// Steps reached, and how long each took, of a player who registers at time 100.
    fn steps(funnel: &Funnel, reached: &[(i64, Milestone)]) -> Vec<u32> {
        let at = |epoch_ms| Occurrence { player: 3, day: 0, epoch_ms, cut: Cut::default() };
        let mut funnels = Funnels::default();
        funnels.register(at(100));
        for (epoch_ms, milestone) in reached {
            funnels.reach(at(*epoch_ms), *milestone);
        }
        funnels.reached.sort_unstable();
        let mut out = Vec::new();
        let registration = funnels.registrations[0];
        let grid = Grid::new(&["web"], &["US"]);
        follow(funnel, &registration, &funnels.reached, &grid, &mut out);
        assert_eq!(out.len() % 4, 0);
        out.chunks(4).map(|of_step| of_step[0].took_ms).collect()
    }

    #[test]
    fn a_step_counts_from_the_step_before_on_and_within_the_window() {
        use Milestone::{LevelWon, Purchased, ShopUsed};
        let funnel = &FUNNELS[0];
        let end_ms = 100 + funnel.window_ms;
        assert_eq!(steps(funnel, &[]), [0]);
        assert_eq!(steps(funnel, &[(99, LevelWon(5)), (101, LevelWon(4))]), [0]);
        let visits = [(90, ShopUsed), (150, ShopUsed), (300, LevelWon(5)), (300, ShopUsed)];
        assert_eq!(steps(funnel, &visits), [0, 200, 0]);
        let paid = [&visits[..], &[(200, Purchased), (500, Purchased), (450, Purchased)]].concat();
        assert_eq!(steps(funnel, &paid), [0, 200, 0, 150]);
        let at_last = [(100, LevelWon(5)), (end_ms, ShopUsed), (end_ms + 1, Purchased)];
        assert_eq!(steps(funnel, &at_last), [0, 0, end_ms as u32 - 100]);
        let onboarding = &FUNNELS[1];
        let late = [(200, Milestone::Tutorial(6)), (101 + onboarding.window_ms, LevelWon(1))];
        assert_eq!(steps(onboarding, &late), [0, 100]);
    }
}

//! `mart_retention` and `mart_ltv`: what becomes of the players who came on one day.

use super::super::tally::{PlayerTally, Tally};
use super::{Grid, TruthKind, TruthTable, TruthValue, columns, key};
use crate::simulate::DAY_MS;

const RETENTION_COLUMNS: [(&str, TruthKind); 9] = [
    ("cohort_date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("day_n", TruthKind::Integer),
    ("cohort_size", TruthKind::Integer),
    ("active_players", TruthKind::Integer),
    ("retention", TruthKind::Share),
    ("rolling_active_players", TruthKind::Integer),
    ("rolling_retention", TruthKind::Share),
];

const LTV_COLUMNS: [(&str, TruthKind); 7] = [
    ("cohort_date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("day_n", TruthKind::Integer),
    ("cohort_size", TruthKind::Integer),
    ("cumulative_revenue_usd", TruthKind::Decimal),
    ("ltv", TruthKind::Number),
];

/// Days 0 to 30 are told apart.
const DAYS: usize = 31;

/// The players whose first event falls on one day, in one cut.
#[derive(Debug, Clone)]
struct Cohort {
    size: u64,
    /// Players active on exactly day n.
    active: [u64; DAYS],
    /// Players whose last active day is n, or the last one if later.
    last_active: [u64; DAYS],
    /// Revenue of exactly day n.
    revenue_micros: [i64; DAYS],
}

const NO_COHORT: Cohort =
    Cohort { size: 0, active: [0; DAYS], last_active: [0; DAYS], revenue_micros: [0; DAYS] };

/// The cohorts that have a player.
struct Cohorts {
    /// By cut and day: index into `list`, or `u32::MAX`.
    index: Vec<u32>,
    list: Vec<Cohort>,
    days: usize,
}

impl Cohorts {
    fn at(&mut self, cut: usize, day: usize) -> &mut Cohort {
        let index = &mut self.index[cut * self.days + day];
        if *index == u32::MAX {
            *index = self.list.len() as u32;
            self.list.push(NO_COHORT);
        }
        &mut self.list[*index as usize]
    }

    fn get(&self, cut: usize, day: usize) -> Option<&Cohort> {
        self.list.get(self.index[cut * self.days + day] as usize)
    }
}

/// Both tables for the first `days` days.
pub(super) fn tables(tally: &Tally, days: usize) -> (TruthTable, TruthTable) {
    let grid = &tally.grid;
    let cohorts = count(tally, grid, days);
    let retention_columns = columns(&RETENTION_COLUMNS);
    let ltv_columns = columns(&LTV_COLUMNS);
    let mut retention = Vec::new();
    let mut ltv = Vec::new();
    for day in 0..days {
        let date = TruthValue::text(&tally.date(day));
        for cut in &grid.by_name {
            let Some(cohort) = cohorts.get(*cut, day) else { continue };
            let [platform, country] = grid.names(*cut);
            let mut rolling = cohort.size;
            let mut revenue_micros = 0;
            for n in 0..DAYS.min(days - day) {
                revenue_micros += cohort.revenue_micros[n];
                let start = [
                    date.clone(),
                    platform.clone(),
                    country.clone(),
                    TruthValue::Integer(n as i64),
                    TruthValue::count(cohort.size),
                ];
                let mut row = start.to_vec();
                row.extend([
                    TruthValue::count(cohort.active[n]),
                    TruthValue::ratio(cohort.active[n] as f64, cohort.size),
                    TruthValue::count(rolling),
                    TruthValue::ratio(rolling as f64, cohort.size),
                ]);
                retention.push(row);
                let mut row = start.to_vec();
                row.extend([
                    TruthValue::decimal(revenue_micros, 6),
                    TruthValue::ratio(revenue_micros as f64 / 1e6, cohort.size),
                ]);
                ltv.push(row);
                rolling -= cohort.last_active[n];
            }
        }
    }
    (
        TruthTable { key: key(&retention_columns, 4), columns: retention_columns, rows: retention },
        TruthTable { key: key(&ltv_columns, 4), columns: ltv_columns, rows: ltv },
    )
}

fn count(tally: &Tally, grid: &Grid, days: usize) -> Cohorts {
    let index = vec![u32::MAX; grid.len() * days];
    let mut cohorts = Cohorts { index, list: Vec::new(), days };
    for player in tally.players.iter().filter(|player| player.first_ms < i64::MAX) {
        for cut in grid.cuts_of(player.first_cut) {
            cohorts.at(cut, cohort_day(tally, player)).size += 1;
        }
    }
    // One entry a player and day, whatever the platform: the grain of no cut at all.
    let active = grid.distinct(&tally.activity, 3);
    for (index, (number, _, day)) in active.iter().enumerate() {
        let player = &tally.players[*number as usize];
        let first_day = cohort_day(tally, player);
        let n = day - first_day;
        let is_last = active.get(index + 1).is_none_or(|next| next.0 != *number);
        for cut in grid.cuts_of(player.first_cut) {
            let cohort = cohorts.at(cut, first_day);
            if n < DAYS {
                cohort.active[n] += 1;
            }
            if is_last {
                cohort.last_active[n.min(DAYS - 1)] += 1;
            }
        }
    }
    for revenue in &tally.revenue {
        let player = &tally.players[revenue.player as usize];
        let first_day = cohort_day(tally, player);
        let n = revenue.day as usize - first_day;
        if n < DAYS {
            for cut in grid.cuts_of(player.first_cut) {
                cohorts.at(cut, first_day).revenue_micros[n] += revenue.micros;
            }
        }
    }
    cohorts
}

fn cohort_day(tally: &Tally, player: &PlayerTally) -> usize {
    (player.first_ms.div_euclid(DAY_MS) - tally.start_day) as usize
}

//! From the running counters to the marts, one file a mart.
//!
//! Most rows have a platform and a country; "all" stands for no cut. Distinct players are counted
//! anew at each grain, since they do not add up. What is known of a day when it is over becomes
//! rows at once (levels, economy, concurrency); the rest is counted when the simulation ends.

mod cohorts;
mod concurrency;
mod daily;
mod economy;
mod experiments;
mod funnel;
mod level;
mod player_state;
mod stability;

use std::collections::BTreeMap;

use super::grid::Grid;
use super::tally::Tally;
use super::{TRUTH_FORMAT, Truth, TruthColumn, TruthKind, TruthOptions, TruthTable, TruthValue};

pub(super) use concurrency::{Concurrency, ConcurrencyDay};
pub(super) use economy::{Economy, EconomyDay};
pub(super) use experiments::{Experiments, IncomeDay};
pub(super) use funnel::{Funnels, Milestone};
pub(super) use level::{LevelDay, Levels, Played};

/// The cells of a row.
type Row = Vec<TruthValue>;

/// A player on a day with an event.
#[derive(Debug, Clone, Copy)]
struct ActiveDay {
    player: u32,
    day: usize,
}

impl Tally {
    /// All that the counters say.
    pub(in crate::simulate) fn into_truth(mut self, options: TruthOptions) -> Truth {
        self.close_session();
        for list in [&mut self.activity, &mut self.payer_days, &mut self.crash_days] {
            list.sort_unstable();
            list.dedup();
        }
        let last_day = self.events.iter().rposition(|day| day.iter().any(|rows| *rows > 0));
        let days = last_day.map_or(0, |day| day + 1);
        self.close_days(days as u32);
        Truth {
            format: TRUTH_FORMAT,
            options,
            accounting: self.accounting,
            events: self.event_counts(),
            tables: self.into_tables(days),
        }
    }

    /// All tables, for the first `days` days, by name.
    fn into_tables(mut self, days: usize) -> BTreeMap<String, TruthTable> {
        // One entry a player and day, whatever the platform: the grain of no cut at all.
        let active: Vec<ActiveDay> = self
            .grid
            .distinct(&self.activity, 3)
            .into_iter()
            .map(|(player, _, day)| ActiveDay { player, day })
            .collect();
        let (retention, ltv) = cohorts::tables(&self, days);
        let (economy, economy_reason) = self.economy.tables();
        let (experiment_daily, experiment) = experiments::tables(&mut self, &active, days);
        let tables = [
            ("mart_concurrency", self.concurrency.table()),
            ("mart_daily_kpi", daily::table(&self, days)),
            ("mart_economy", economy),
            ("mart_economy_reason", economy_reason),
            ("mart_experiment", experiment),
            ("mart_experiment_daily", experiment_daily),
            ("mart_funnel", funnel::table(&mut self)),
            ("mart_level", self.levels.table()),
            ("mart_ltv", ltv),
            ("mart_player_state", player_state::table(&self, &active, days)),
            ("mart_retention", retention),
            ("mart_stability", stability::table(&self, days)),
        ];
        tables.into_iter().map(|(name, table)| (name.to_owned(), table)).collect()
    }
}

/// Names and kinds of columns.
fn columns(list: &[(&str, TruthKind)]) -> Vec<TruthColumn> {
    list.iter().map(|(name, kind)| TruthColumn { name: (*name).to_owned(), kind: *kind }).collect()
}

/// The first columns as a key.
fn key(columns: &[TruthColumn], count: usize) -> Vec<String> {
    columns.iter().take(count).map(|column| column.name.clone()).collect()
}

/// A number, or NULL if there is none.
fn or_null(number: Option<f64>) -> TruthValue {
    number.map_or(TruthValue::Null, TruthValue::Number)
}

//! From the running counters to the marts: daily figures, retention and lifetime value.
//!
//! Every row has a platform and a country; "all" stands for no cut. Distinct players are counted
//! anew at each grain, since they do not add up.

mod cohorts;
mod daily;

use std::collections::BTreeMap;

use super::tally::{Cut, PlayerDay, Tally};
use super::{TRUTH_FORMAT, Truth, TruthColumn, TruthKind, TruthOptions, TruthTable, TruthValue};

/// Value of a cut column in rows that are not cut by it.
const ALL: &str = "all";
/// Value of a cut column for events that do not say.
const UNKNOWN: &str = "unknown";

impl Tally {
    /// All that the counters say. `platforms` and `countries` are the names behind the indexes of
    /// the cuts.
    pub(in crate::simulate) fn into_truth(
        mut self,
        options: TruthOptions,
        platforms: &[&str],
        countries: &[&str],
    ) -> Truth {
        self.close_session();
        self.activity.sort_unstable();
        self.activity.dedup();
        self.payer_days.sort_unstable();
        self.payer_days.dedup();
        let last_day = self.events.iter().rposition(|day| day.iter().any(|rows| *rows > 0));
        let days = last_day.map_or(0, |day| day + 1);
        let grid = Grid::new(platforms, countries);
        let mut tables = BTreeMap::new();
        tables.insert("mart_daily_kpi".to_owned(), daily::table(&self, &grid, days));
        let (retention, ltv) = cohorts::tables(&self, &grid, days);
        tables.insert("mart_retention".to_owned(), retention);
        tables.insert("mart_ltv".to_owned(), ltv);
        Truth {
            format: TRUTH_FORMAT,
            options,
            accounting: self.accounting,
            events: self.event_counts(),
            tables,
        }
    }
}

/// All cuts, numbered: each platform and each country, "unknown" and "all" included.
struct Grid<'a> {
    platforms: Vec<&'a str>,
    countries: Vec<&'a str>,
    /// The numbers of the cuts in the order of their names.
    by_name: Vec<usize>,
}

impl<'a> Grid<'a> {
    fn new(platforms: &[&'a str], countries: &[&'a str]) -> Self {
        let with_others = |names: &[&'a str]| [names, &[UNKNOWN, ALL]].concat();
        let platforms = with_others(platforms);
        let countries = with_others(countries);
        let mut by_name: Vec<usize> = (0..platforms.len() * countries.len()).collect();
        by_name.sort_by_key(|cut| {
            (platforms[cut / countries.len()], countries[cut % countries.len()])
        });
        Self { platforms, countries, by_name }
    }

    fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The four cuts that count a thing with this platform and country: by both, by platform, by
    /// country, by neither.
    fn cuts_of(&self, cut: Cut) -> [usize; 4] {
        let width = self.countries.len();
        let platform = usize::from(cut.platform) * width;
        let country = usize::from(cut.country);
        let any_platform = (self.platforms.len() - 1) * width;
        let any_country = width - 1;
        [
            platform + country,
            platform + any_country,
            any_platform + country,
            any_platform + any_country,
        ]
    }

    fn platform(&self, cut: usize) -> TruthValue {
        TruthValue::text(self.platforms[cut / self.countries.len()])
    }

    fn country(&self, cut: usize) -> TruthValue {
        TruthValue::text(self.countries[cut % self.countries.len()])
    }

    /// The distinct (player, cut, day) of sorted player days, at one of the four grains (see
    /// [`Grid::cuts_of`]), in that order.
    fn distinct(&self, player_days: &[PlayerDay], grain: usize) -> Vec<(u32, u32, usize)> {
        let mut distinct: Vec<_> = player_days
            .iter()
            .map(|entry| (entry.player(), self.cuts_of(entry.cut())[grain] as u32, entry.day()))
            .collect();
        distinct.sort_unstable();
        distinct.dedup();
        distinct
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

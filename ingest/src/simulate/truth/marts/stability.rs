//! `mart_stability`: sessions and players without a crash.

use super::super::tally::{DaySums, Tally};
use super::{TruthKind, TruthTable, TruthValue, columns, key};

const COLUMNS: [(&str, TruthKind); 11] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("sessions", TruthKind::Integer),
    ("crashed_sessions", TruthKind::Integer),
    ("crash_free_sessions", TruthKind::Share),
    ("active_players", TruthKind::Integer),
    ("crashed_players", TruthKind::Integer),
    ("crash_free_players", TruthKind::Share),
    ("errors", TruthKind::Integer),
    ("fatal_errors", TruthKind::Integer),
];

/// One day in one cut.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    active_players: u64,
    crashed_players: u64,
    sums: DaySums,
}

/// The table for the first `days` days.
pub(super) fn table(tally: &Tally, days: usize) -> TruthTable {
    let grid = &tally.grid;
    let mut cells = vec![Day::default(); grid.len() * days];
    for grain in 0..4 {
        for (_, cut, day) in grid.distinct(&tally.activity, grain) {
            cells[cut as usize * days + day].active_players += 1;
        }
        for (_, cut, day) in grid.distinct(&tally.crash_days, grain) {
            cells[cut as usize * days + day].crashed_players += 1;
        }
    }
    for (day, place, sums) in tally.day_sums(days) {
        for cut in grid.cuts_of(place) {
            cells[cut * days + day].sums.add(sums);
        }
    }
    let columns = columns(&COLUMNS);
    let mut rows = Vec::new();
    for day in 0..days {
        let date = TruthValue::text(&tally.date(day));
        for cut in &grid.by_name {
            let cell = &cells[cut * days + day];
            if cell.active_players > 0 || cell.sums.sessions > 0 {
                let [platform, country] = grid.names(*cut);
                let mut row = vec![date.clone(), platform, country];
                push_figures(&mut row, cell);
                rows.push(row);
            }
        }
    }
    TruthTable { key: key(&columns, 3), columns, rows }
}

fn push_figures(row: &mut Vec<TruthValue>, cell: &Day) {
    let Day { active_players, crashed_players, sums } = cell;
    let free_of = |all: u64, crashed: u64| TruthValue::ratio((all - crashed) as f64, all);
    row.extend([
        TruthValue::count(sums.sessions),
        TruthValue::count(sums.crashed_sessions),
        free_of(sums.sessions, sums.crashed_sessions),
        TruthValue::count(*active_players),
        TruthValue::count(*crashed_players),
        free_of(*active_players, *crashed_players),
        TruthValue::count(sums.errors),
        TruthValue::count(sums.fatal_errors),
    ]);
}

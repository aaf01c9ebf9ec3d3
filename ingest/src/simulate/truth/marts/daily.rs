//! `mart_daily_kpi`: the figures of each day.

use super::super::tally::{DaySums, Tally};
use super::{Grid, TruthKind, TruthTable, TruthValue, columns, key};
use crate::simulate::DAY_MS;

const COLUMNS: [(&str, TruthKind); 19] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("new_players", TruthKind::Integer),
    ("dau", TruthKind::Integer),
    ("wau", TruthKind::Integer),
    ("mau", TruthKind::Integer),
    ("stickiness", TruthKind::Share),
    ("sessions", TruthKind::Integer),
    ("playtime_seconds", TruthKind::Number),
    ("avg_session_seconds", TruthKind::Number),
    ("iap_revenue_usd", TruthKind::Decimal),
    ("ad_revenue_usd", TruthKind::Decimal),
    ("total_revenue_usd", TruthKind::Decimal),
    ("arpdau", TruthKind::Number),
    ("payers", TruthKind::Integer),
    ("arppu", TruthKind::Number),
    ("conversion", TruthKind::Share),
    ("first_time_payers", TruthKind::Integer),
];

/// The counts of one day in one cut.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    new_players: u64,
    dau: u64,
    /// Until the sums are run: change against the day before.
    wau: i64,
    mau: i64,
    payers: u64,
    first_time_payers: u64,
    sums: DaySums,
}

/// The table for the first `days` days.
pub(super) fn table(tally: &Tally, days: usize) -> TruthTable {
    let grid = &tally.grid;
    let mut cells = vec![Day::default(); grid.len() * days];
    count_active(tally, grid, days, &mut cells);
    count_firsts(tally, grid, days, &mut cells);
    add_sums(tally, grid, days, &mut cells);
    for of_cut in cells.chunks_mut(days.max(1)) {
        for day in 1..of_cut.len() {
            of_cut[day].wau += of_cut[day - 1].wau;
            of_cut[day].mau += of_cut[day - 1].mau;
        }
    }
    let columns = columns(&COLUMNS);
    let mut rows = Vec::new();
    for day in 0..days {
        let date = TruthValue::text(&tally.date(day));
        for cut in &grid.by_name {
            let cell = &cells[cut * days + day];
            if cell.mau > 0 {
                let [platform, country] = grid.names(*cut);
                let mut row = vec![date.clone(), platform, country];
                push_figures(&mut row, cell);
                rows.push(row);
            }
        }
    }
    TruthTable { key: key(&columns, 3), columns, rows }
}

/// Distinct players: of the day, of windows of days, paying.
fn count_active(tally: &Tally, grid: &Grid, days: usize, cells: &mut [Day]) {
    for grain in 0..4 {
        let active = grid.distinct(&tally.activity, grain);
        for (index, (player, cut, day)) in active.iter().enumerate() {
            let of_cut = &mut cells[*cut as usize * days..][..days];
            of_cut[*day].dau += 1;
            // The player counts in the windows that end on this day and later, until the window
            // leaves the day behind or the player's next active day takes over.
            let next = match active.get(index + 1) {
                Some((next_player, next_cut, next_day))
                    if next_player == player && next_cut == cut =>
                {
                    *next_day
                }
                _ => days,
            };
            of_cut[*day].wau += 1;
            if let Some(end) = of_cut.get_mut(next.min(day + 7)) {
                end.wau -= 1;
            }
            of_cut[*day].mau += 1;
            if let Some(end) = of_cut.get_mut(next.min(day + 30)) {
                end.mau -= 1;
            }
        }
        for (_, cut, day) in grid.distinct(&tally.payer_days, grain) {
            cells[cut as usize * days + day].payers += 1;
        }
    }
}

/// Players by the day of their first event and of their first purchase.
fn count_firsts(tally: &Tally, grid: &Grid, days: usize, cells: &mut [Day]) {
    let day_of = |epoch_ms: i64| (epoch_ms.div_euclid(DAY_MS) - tally.start_day) as usize;
    for player in &tally.players {
        if player.first_ms < i64::MAX {
            for cut in grid.cuts_of(player.first_cut) {
                cells[cut * days + day_of(player.first_ms)].new_players += 1;
            }
        }
        if player.first_purchase_ms < i64::MAX {
            for cut in grid.cuts_of(player.first_purchase_cut) {
                cells[cut * days + day_of(player.first_purchase_ms)].first_time_payers += 1;
            }
        }
    }
}

/// What simply adds up: sessions and money.
fn add_sums(tally: &Tally, grid: &Grid, days: usize, cells: &mut [Day]) {
    for (day, place, sums) in tally.day_sums(days) {
        for cut in grid.cuts_of(place) {
            cells[cut * days + day].sums.add(sums);
        }
    }
}

fn push_figures(row: &mut Vec<TruthValue>, cell: &Day) {
    let sums = &cell.sums;
    let dau = cell.dau;
    let mau = cell.mau.unsigned_abs();
    let total_micros = sums.iap_cents * 10_000 + sums.ad_micros;
    let playtime_seconds = sums.playtime_ms as f64 / 1_000.0;
    row.extend([
        TruthValue::count(cell.new_players),
        TruthValue::count(dau),
        TruthValue::Integer(cell.wau),
        TruthValue::Integer(cell.mau),
        TruthValue::ratio(dau as f64, mau),
        TruthValue::count(sums.sessions),
        TruthValue::Number(playtime_seconds),
        TruthValue::ratio(playtime_seconds, sums.sessions),
        TruthValue::decimal(sums.iap_cents, 2),
        TruthValue::decimal(sums.ad_micros, 6),
        TruthValue::decimal(total_micros, 6),
        TruthValue::ratio(total_micros as f64 / 1e6, dau),
        TruthValue::count(cell.payers),
        TruthValue::ratio(sums.iap_cents as f64 / 1e2, cell.payers),
        TruthValue::ratio(cell.payers as f64, dau),
        TruthValue::count(cell.first_time_payers),
    ]);
}

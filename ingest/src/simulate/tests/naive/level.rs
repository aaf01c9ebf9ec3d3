//! `mart_level`, from attempts put together by their identifier.

use std::collections::BTreeMap;

use super::{Cut, Event, Row, cut_values, date, first_of, integer, percentile, quotient};
use crate::simulate::TruthValue;

#[derive(Default)]
struct Cell<'a> {
    level: i64,
    /// Ends of the attempts, if they have one.
    attempts: Vec<Option<&'a Event>>,
    first_wins: Vec<f64>,
}

pub(super) fn rows(events: &[Event]) -> Vec<Row> {
    let is_play = |event: &&Event| matches!(&*event.event_type, "level_start" | "level_end");
    let ends = || events.iter().filter(|event| event.event_type == "level_end");
    let plays = || events.iter().filter(is_play);
    let attempt_of = |event: &Event| event.text("attempt_id").to_owned();
    let end_of: BTreeMap<String, &Event> = ends().map(|end| (attempt_of(end), end)).collect();
    let mut cells: BTreeMap<(i64, Cut, String), Cell<'_>> = BTreeMap::new();
    for (attempt, first) in first_of(plays(), attempt_of) {
        for cut in first.cuts() {
            let place = (first.day, cut, first.text("level_id").to_owned());
            let cell = cells.entry(place).or_default();
            cell.level = first.integer("level");
            cell.attempts.push(end_of.get(&attempt).copied());
        }
    }
    let wins = ends().filter(|event| event.text("result") == "win");
    let player_and_level = |event: &Event| format!("{} {}", event.player, event.text("level_id"));
    for win in first_of(wins, player_and_level).into_values() {
        for cut in win.cuts() {
            let place = (win.day, cut, win.text("level_id").to_owned());
            let cell = cells.entry(place).or_default();
            cell.level = win.integer("level");
            cell.first_wins.push(win.integer("attempt") as f64);
        }
    }
    let mut rows = Vec::new();
    for ((day, cut, level_id), cell) in cells {
        let ended: Vec<&Event> = cell.attempts.iter().copied().flatten().collect();
        let count = |result| ended.iter().filter(|end| end.text("result") == result).count();
        let durations =
            || ended.iter().map(|end| end.integer("duration_ms") as f64 / 1e3).collect();
        let mut row = vec![TruthValue::text(&date(day))];
        row.extend(cut_values(&cut));
        row.extend([
            TruthValue::text(&level_id),
            TruthValue::Integer(cell.level),
            integer(cell.attempts.len()),
            integer(count("win")),
            integer(count("loss")),
            integer(count("quit")),
            integer(cell.attempts.len() - ended.len()),
            quotient(count("win") as f64, cell.attempts.len() as i64),
            percentile(durations(), 0.5),
            percentile(durations(), 0.9),
            integer(cell.first_wins.len()),
            percentile(cell.first_wins, 0.5),
        ]);
        rows.push(row);
    }
    rows
}

//! `mart_player_state`, day by day and player by player.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cut, Event, Row, cut_values, date, first_of, integer};
use crate::simulate::TruthValue;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Current,
    AtRisk,
    Dormant,
}

/// The state of a player with these active days.
fn state(active: &BTreeSet<i64>, day: i64) -> State {
    match active.range(..=day).next_back().map(|last| day - last) {
        None => State::Unknown,
        Some(0..=6) => State::Current,
        Some(7..=27) => State::AtRisk,
        Some(_) => State::Dormant,
    }
}

pub(super) fn rows(events: &[Event], last_day: i64) -> Vec<Row> {
    let mut days_of: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for event in events {
        days_of.entry(&event.player).or_default().insert(event.day);
    }
    let mut members: BTreeMap<Cut, Vec<String>> = BTreeMap::new();
    for (player, event) in first_of(events.iter(), |event| event.player.clone()) {
        for cut in event.cuts() {
            members.entry(cut).or_default().push(player.clone());
        }
    }
    let first_day = events.iter().map(|event| event.day).min().unwrap();
    let mut rows = Vec::new();
    for day in first_day..=last_day {
        for (cut, players) in &members {
            let moves: Vec<(State, State)> = players
                .iter()
                .map(|player| &days_of[player.as_str()])
                .map(|active| (state(active, day - 1), state(active, day)))
                .filter(|(_, today)| *today != State::Unknown)
                .collect();
            if moves.is_empty() {
                continue;
            }
            let now = |state| integer(moves.iter().filter(|(_, today)| *today == state).count());
            let moved =
                |from, to| integer(moves.iter().filter(|move_| **move_ == (from, to)).count());
            let mut row = vec![TruthValue::text(&date(day))];
            row.extend(cut_values(cut));
            row.extend([State::Current, State::AtRisk, State::Dormant].map(now));
            row.extend([
                moved(State::Unknown, State::Current),
                moved(State::Current, State::AtRisk),
                moved(State::AtRisk, State::Dormant),
                moved(State::AtRisk, State::Current),
                moved(State::Dormant, State::Current),
            ]);
            rows.push(row);
        }
    }
    rows
}

//! `mart_stability`, from sets of sessions and players.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cut, Event, Row, cut_values, date, first_of, integer, quotient};
use crate::simulate::TruthValue;

#[derive(Default)]
struct Cell<'a> {
    sessions: BTreeSet<String>,
    players: BTreeSet<&'a str>,
    crashed_players: BTreeSet<&'a str>,
    errors: usize,
    fatal_errors: usize,
}

pub(super) fn rows(events: &[Event]) -> Vec<Row> {
    let is_error = |event: &Event| event.event_type == "client_error";
    let is_fatal = |event: &Event| is_error(event) && event.properties["fatal"] == true;
    let crashed: BTreeSet<&String> = events
        .iter()
        .filter(|event| is_fatal(event))
        .map(|event| event.session.as_ref().unwrap())
        .collect();
    let mut cells: BTreeMap<(i64, Cut), Cell<'_>> = BTreeMap::new();
    for event in events {
        for cut in event.cuts() {
            let cell = cells.entry((event.day, cut)).or_default();
            cell.players.insert(&event.player);
            cell.errors += usize::from(is_error(event));
            if is_fatal(event) {
                cell.fatal_errors += 1;
                cell.crashed_players.insert(&event.player);
            }
        }
    }
    let in_sessions = events.iter().filter(|event| event.session.is_some());
    for (session, first) in first_of(in_sessions, |event| event.session.clone().unwrap()) {
        for cut in first.cuts() {
            cells.entry((first.day, cut)).or_default().sessions.insert(session.clone());
        }
    }
    let mut rows = Vec::new();
    for ((day, cut), cell) in &cells {
        let crashed = cell.sessions.iter().filter(|session| crashed.contains(session)).count();
        let (sessions, players) = (cell.sessions.len(), cell.players.len());
        let crashed_players = cell.crashed_players.len();
        let free = |all: usize, crashed: usize| quotient((all - crashed) as f64, all as i64);
        let mut row = vec![TruthValue::text(&date(*day))];
        row.extend(cut_values(cut));
        row.extend([
            integer(sessions),
            integer(crashed),
            free(sessions, crashed),
            integer(players),
            integer(crashed_players),
            free(players, crashed_players),
            integer(cell.errors),
            integer(cell.fatal_errors),
        ]);
        rows.push(row);
    }
    rows
}

//! A game that sends no sessions: they, funnels and percentiles are made by the functions of SQL. What
//! the tables must contain is worked out here, from the same events.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value as Cell;
use serde_json::json;

use crate::inspect::{Rows, assert_same_tables, cell_text, star_tables};
use crate::random::Random;
use crate::sandbox::{Sandbox, copy_folder};

const MINUTES_PER_DAY: u64 = 1_440;
const DAYS: u64 = 10;
const PLAYERS: u64 = 9;
/// 2026-03-02, the first day.
const FIRST_SECOND: u64 = 1_772_409_600;

#[derive(Debug, Clone)]
struct Event {
    id: String,
    minute: u64,
    player: String,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Round { score: u64 },
    Coins { cents: u64 },
}

impl Event {
    fn day(&self) -> u64 {
        self.minute / MINUTES_PER_DAY
    }

    fn line(&self) -> String {
        let minute = self.minute % MINUTES_PER_DAY;
        let time = format!("{}T{:02}:{:02}:00Z", date(self.day()), minute / 60, minute % 60);
        let (event_type, properties) = match self.what {
            What::Round { score } => ("round_played", json!({ "score": score })),
            What::Coins { cents } => {
                let price = format!("{}.{:02}", cents / 100, cents % 100);
                ("coins_bought", json!({ "price_eur": price }))
            }
        };
        let event = json!({
            "event_id": self.id, "event_type": event_type, "event_time": time,
            "player_id": self.player, "properties": properties
        });
        event.to_string()
    }
}

fn date(day: u64) -> String {
    format!("2026-03-{:02}", 2 + day)
}

/// Rounds in a row with pauses around 30 minutes, also over midnight.
fn play(random: &mut Random) -> Vec<Event> {
    let mut events = Vec::new();
    for player in 0..PLAYERS {
        // A third of them buys nothing, and some begin later.
        let buys = player % 3 > 0;
        let mut minute = random.below(MINUTES_PER_DAY) * (1 + player % 2);
        while minute < DAYS * MINUTES_PER_DAY {
            let what = if buys && random.below(6) == 0 {
                What::Coins { cents: 99 + 100 * random.below(20) }
            } else {
                What::Round { score: random.below(1_000) }
            };
            let id = format!("e{}", events.len());
            events.push(Event { id, minute, player: format!("p{player}"), what });
            minute += match random.below(10) {
                0 => random.below(1_500),
                1 => 30,
                2 => 31,
                _ => random.below(30),
            };
        }
    }
    events
}

/// Sessions, each as the minutes of its events, of minutes in order.
fn sessions(minutes: &[u64]) -> Vec<Vec<u64>> {
    let mut sessions: Vec<Vec<u64>> = Vec::new();
    for &minute in minutes {
        match sessions.last_mut() {
            Some(session) if minute - session[session.len() - 1] <= 30 => session.push(minute),
            _ => sessions.push(vec![minute]),
        }
    }
    sessions
}

fn percentile(mut values: Vec<u64>, percentile: f64) -> Option<f64> {
    values.sort_unstable();
    let place = percentile * values.len().checked_sub(1)? as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    Some(below as f64 + (above as f64 - below as f64) * (place - place.floor()))
}

/// Round, coins within a day of it, and a round with them within the same day.
fn steps(events: &[&Event]) -> i64 {
    let rounds = || events.iter().filter(|event| matches!(event.what, What::Round { .. }));
    let coins = || events.iter().filter(|event| matches!(event.what, What::Coins { .. }));
    let mut most = 0;
    for first in rounds() {
        most = most.max(1);
        let within = |event: &&&Event| {
            (first.minute..=first.minute + MINUTES_PER_DAY).contains(&event.minute)
        };
        for bought in coins().filter(within) {
            most = most.max(2);
            if rounds().filter(within).any(|round| round.minute >= bought.minute) {
                most = 3;
            }
        }
    }
    most
}

fn sorted(rows: Vec<Vec<Cell>>) -> Rows {
    let mut rows: Rows = rows.into_iter().map(|row| row.iter().map(cell_text).collect()).collect();
    rows.sort();
    rows
}

fn count(number: usize) -> Cell {
    Cell::Integer(number as i64)
}

fn real(number: Option<f64>) -> Cell {
    number.map_or(Cell::Null, Cell::Real)
}

/// Every mart, as it must be.
fn expected(events: &[Event]) -> BTreeMap<String, Rows> {
    let mut by_player: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_player.entry(&event.player).or_default().push(event);
    }
    let mut session_rows = Vec::new();
    let mut player_rows = Vec::new();
    for (player, events) in &mut by_player {
        events.sort_by_key(|event| event.minute);
        let minutes: Vec<u64> = events.iter().map(|event| event.minute).collect();
        for (number, session) in sessions(&minutes).iter().enumerate() {
            let second = |minute: u64| Cell::Integer((FIRST_SECOND + minute * 60) as i64);
            session_rows.push(vec![
                Cell::Text((*player).to_owned()),
                count(number + 1),
                count(session.len()),
                second(session[0]),
                second(session[session.len() - 1]),
            ]);
        }
        let came = |day: u64| {
            let on = |day: u64| events.iter().any(|event| event.day() == day);
            Cell::Integer(i64::from(on(0) && on(day)))
        };
        player_rows.push(vec![
            Cell::Text((*player).to_owned()),
            Cell::Integer(steps(events)),
            came(0),
            came(1),
            came(7),
        ]);
    }
    let mut day_rows = Vec::new();
    for day in 0..DAYS {
        let mut played = 0;
        for events in by_player.values() {
            let of_day = events.iter().filter(|event| event.day() == day);
            played += sessions(&of_day.map(|event| event.minute).collect::<Vec<_>>()).len();
        }
        if played == 0 {
            continue;
        }
        let of_day = || events.iter().filter(|event| event.day() == day);
        let scores: Vec<u64> = of_day()
            .filter_map(|event| match event.what {
                What::Round { score } => Some(score),
                What::Coins { .. } => None,
            })
            .collect();
        let prices: Vec<u64> = of_day()
            .filter_map(|event| match event.what {
                What::Round { .. } => None,
                What::Coins { cents } => Some(cents),
            })
            .collect();
        day_rows.push(vec![
            Cell::Text(date(day)),
            count(played),
            real(percentile(scores.clone(), 0.5)),
            real(percentile(scores, 0.9)),
            real(percentile(prices, 0.5).map(|cents| cents / 100.0)),
        ]);
    }
    BTreeMap::from([
        ("mart_session".to_owned(), sorted(session_rows)),
        ("mart_player".to_owned(), sorted(player_rows)),
        ("mart_day".to_owned(), sorted(day_rows)),
    ])
}

fn marts(sandbox: &Sandbox) -> BTreeMap<String, Rows> {
    let mut tables = star_tables(sandbox, true);
    tables.retain(|name, _| name.starts_with("mart_"));
    tables
}

#[test]
fn sessions_funnels_and_percentiles_are_right_after_every_increment() {
    let mut random = Random::new(23);
    let events = play(&mut random);
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/arcade");
    let sandbox = Sandbox::with_project(&project);
    // Mostly in the order of time; one in eight comes up to three days late.
    let mut arrivals: Vec<(u64, &Event)> = Vec::new();
    for event in &events {
        let late = if random.below(8) == 0 { random.below(3 * MINUTES_PER_DAY) } else { 0 };
        arrivals.push((event.minute + late, event));
    }
    arrivals.sort_by_key(|(minute, event)| (*minute, event.id.clone()));
    let mut landed: Vec<Event> = Vec::new();
    for (number, part) in arrivals.chunks(arrivals.len().div_ceil(3)).enumerate() {
        let lines: Vec<String> = part.iter().map(|(_, event)| event.line()).collect();
        let file = sandbox.write(&format!("part-{number}.ndjson"), lines.join("\n"));
        sandbox.ingest(&[&file]);
        sandbox.etl();
        landed.extend(part.iter().map(|(_, event)| (*event).clone()));
        assert_same_tables(&expected(&landed), &marts(&sandbox), &format!("increment {number}"));
    }
    assert_eq!(landed.len(), events.len());
    sandbox.succeed(&["etl", "run", "--full-refresh"]);
    let expected = expected(&events);
    assert_same_tables(&expected, &marts(&sandbox), "full refresh");
    let reached: Vec<&str> = expected["mart_player"].iter().map(|row| row[1].as_str()).collect();
    assert!(reached.contains(&"1") && reached.contains(&"3"), "{reached:?}");

    // The same by hand, over all events: a query sees sessions as the mart does.
    let counted = sandbox.query(
        "SELECT sum(sessions) AS sessions FROM (SELECT max(session) AS sessions FROM (SELECT player_id, \
         sessionize(event_time, INTERVAL '30 minutes') OVER (PARTITION BY player_id ORDER BY event_time) \
         AS session FROM events.envelope) GROUP BY player_id)",
    );
    assert_eq!(counted[0]["sessions"], expected["mart_session"].len());
}

#[test]
fn a_model_with_a_wrong_window_is_refused_before_anything_runs() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/arcade");
    let sandbox = Sandbox::with_project(&project);
    copy_folder(&project, &sandbox.path("project"));
    let sandbox = sandbox.with_other_project(&sandbox.path("project"));
    for (window, message) in [
        ("INTERVAL '1 month'", "differ in length: write days"),
        ("event_time", "the window of `window_funnel` is an INTERVAL or a number of seconds"),
    ] {
        sandbox.write(
            "project/sql/marts/mart_player.sql",
            format!(
                "-- key: player_id\nSELECT player_id, window_funnel({window}, event_time, true, false) AS n \
                 FROM star.fact_event GROUP BY player_id"
            ),
        );
        let refused = sandbox.fail(&["etl", "run"]);
        let text = refused.text();
        assert!(text.contains("mart_player.sql") && text.contains(message), "{text}");
    }
}

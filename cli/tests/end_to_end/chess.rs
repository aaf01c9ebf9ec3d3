//! Another game: its own events, keys and partitions, in SQL alone. What the tables must contain is
//! worked out here, from the same events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::inspect::{Rows, accounting, assert_same_tables, cell_text, star_tables};
use crate::random::Random;
use crate::sandbox::Sandbox;

const MINUTES_PER_DAY: u64 = 1_440;
const DAYS: u64 = 28;
const MEMBERS: u64 = 12;
const GAMES: u64 = 500;

/// The first day is Monday, 2 March 2026.
fn date(day: u64) -> String {
    format!("2026-03-{:02}", 2 + day)
}

/// An event that lands.
#[derive(Debug, Clone)]
struct Event {
    id: String,
    minute: u64,
    member: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Finished {
        game: String,
        white: String,
        black: String,
        result: &'static str,
        moves: i64,
        prize: Option<u64>,
    },
    TimedOut {
        game: String,
        side: &'static str,
        move_number: i64,
        seconds_over: f64,
    },
}

impl Event {
    fn day(&self) -> u64 {
        self.minute / MINUTES_PER_DAY
    }

    fn line(&self) -> Value {
        let minute = self.minute % MINUTES_PER_DAY;
        let time = format!("{}T{:02}:{:02}:00Z", date(self.day()), minute / 60, minute % 60);
        let (event_type, properties) = match &self.what {
            What::Finished { game, white, black, result, moves, prize } => {
                let prize = prize.map(|cents| format!("{}.{:02}", cents / 100, cents % 100));
                (
                    "game_finished",
                    json!({
                        "game_id": game, "white_id": white, "black_id": black, "result": result,
                        "moves": moves, "prize_eur": prize
                    }),
                )
            }
            What::TimedOut { game, side, move_number, seconds_over } => (
                "move_timed_out",
                json!({
                    "game_id": game, "side": side, "move_number": move_number,
                    "seconds_over": seconds_over
                }),
            ),
        };
        json!({
            "event_id": self.id, "event_type": event_type, "event_time": time,
            "player_id": self.member, "properties": properties
        })
    }
}

/// The events of the club, in no particular order.
fn play(random: &mut Random) -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..GAMES {
        let game = format!("g{number}");
        let white = random.below(MEMBERS);
        let black = (white + 1 + random.below(MEMBERS - 1)) % MEMBERS;
        let [white, black] = [white, black].map(|member| format!("m{member}"));
        // One in eight begins in the last minutes of a Sunday and ends on a Monday.
        let begin = match random.below(8) {
            0 => (1 + random.below(DAYS / 7 - 1)) * 7 * MINUTES_PER_DAY - 1 - random.below(20),
            _ => random.below((DAYS - 1) * MINUTES_PER_DAY),
        };
        for _ in 0..random.below(4) {
            let side = ["white", "black"][random.below(2) as usize];
            events.push(Event {
                id: format!("t{}", events.len()),
                minute: begin + random.below(30),
                member: if side == "white" { white.clone() } else { black.clone() },
                what: What::TimedOut {
                    game: game.clone(),
                    side,
                    move_number: 1 + random.below(60) as i64,
                    seconds_over: 0.25 * (1 + random.below(100)) as f64,
                },
            });
        }
        // Some games are given up without a result.
        if random.below(10) > 0 {
            events.push(Event {
                id: format!("f{number}"),
                minute: begin + 30 + random.below(60),
                member: white.clone(),
                what: What::Finished {
                    game,
                    white,
                    black,
                    result: ["1-0", "0-1", "1/2-1/2"][random.below(3) as usize],
                    moves: random.below(120) as i64,
                    prize: (random.below(3) == 0).then(|| random.below(100_000)),
                },
            });
        }
    }
    events
}

/// The lines in the order of their arrival: mostly that of time, with some days late, some sent
/// twice and some that are wrong.
fn lines(events: &[Event], random: &mut Random) -> Vec<String> {
    let mut arrivals: Vec<(u64, String)> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let late = if random.below(10) == 0 { random.below(10 * MINUTES_PER_DAY) } else { 0 };
        let line = event.line();
        arrivals.push((event.minute + late, line.to_string()));
        if random.below(20) == 0 {
            let again = event.minute + late + random.below(3 * MINUTES_PER_DAY);
            arrivals.push((again, line.to_string()));
        }
        if random.below(30) == 0 {
            let mut wrong = line;
            wrong["event_id"] = json!(format!("wrong{number}"));
            wrong["properties"]["game_id"] = Value::Null;
            arrivals.push((event.minute, wrong.to_string()));
        }
    }
    arrivals.sort();
    arrivals.into_iter().map(|(_, line)| line).collect()
}

/// What is known of one side of a game.
#[derive(Debug, Default)]
struct Seat {
    first_day: Option<u64>,
    member: Option<String>,
    score: Option<f64>,
    moves: Option<i64>,
    prize: Option<u64>,
    timeouts: i64,
    seconds_over: f64,
}

impl Seat {
    fn seen_on(&mut self, day: u64) {
        self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
    }

    fn week(&self) -> u64 {
        self.first_day.unwrap() / 7 * 7
    }
}

fn seats(events: &[Event]) -> BTreeMap<(String, &'static str), Seat> {
    let mut seats: BTreeMap<(String, &'static str), Seat> = BTreeMap::new();
    for event in events {
        match &event.what {
            What::TimedOut { game, side, seconds_over, .. } => {
                let seat = seats.entry((game.clone(), side)).or_default();
                seat.seen_on(event.day());
                seat.timeouts += 1;
                seat.seconds_over += seconds_over;
            }
            What::Finished { game, white, black, result, moves, prize } => {
                for (side, member, won) in [("white", white, "1-0"), ("black", black, "0-1")] {
                    let seat = seats.entry((game.clone(), side)).or_default();
                    seat.seen_on(event.day());
                    seat.member = Some(member.clone());
                    seat.score = Some(match *result {
                        "1/2-1/2" => 0.5,
                        result if result == won => 1.0,
                        _ => 0.0,
                    });
                    seat.moves = Some(*moves);
                    seat.prize = prize.filter(|_| *result == won);
                }
            }
        }
    }
    seats
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

fn or_null(value: Option<Cell>) -> Cell {
    value.unwrap_or(Cell::Null)
}

/// A decimal as SQLite keeps it: whole numbers are integers.
fn euros(cents: u64) -> Cell {
    if cents.is_multiple_of(100) {
        return Cell::Integer((cents / 100) as i64);
    }
    Cell::Real(cents as f64 / 100.0)
}

fn sorted(rows: impl IntoIterator<Item = Vec<Cell>>) -> Rows {
    let mut rows: Rows = rows.into_iter().map(|row| row.iter().map(cell_text).collect()).collect();
    rows.sort();
    rows
}

/// Every table, as it must be.
fn expected(events: &[Event]) -> BTreeMap<String, Rows> {
    let seats = seats(events);
    let mut tables = BTreeMap::new();
    tables.insert(
        "dim_member".to_owned(),
        sorted(members(events).into_iter().map(|(member, days)| {
            let (first, last) = (days.iter().min().unwrap(), days.iter().max().unwrap());
            vec![
                text(member),
                text(date(*first)),
                text(date(*last)),
                Cell::Integer(days.len() as i64),
            ]
        })),
    );
    tables.insert(
        "fact_seat".to_owned(),
        sorted(seats.iter().map(|((game, side), seat)| {
            vec![
                text(game),
                text(*side),
                or_null(seat.member.clone().map(Cell::Text)),
                text(date(seat.week())),
                or_null(seat.score.map(Cell::Real)),
                or_null(seat.moves.map(Cell::Integer)),
                or_null(seat.prize.map(euros)),
                Cell::Integer(seat.timeouts),
                Cell::Real(seat.seconds_over),
            ]
        })),
    );
    tables.insert(
        "fact_timeout".to_owned(),
        sorted(events.iter().filter_map(|event| {
            let What::TimedOut { game, side, move_number, seconds_over } = &event.what else {
                return None;
            };
            Some(vec![
                text(date(event.day())),
                text(game),
                text(*side),
                Cell::Integer(*move_number),
                Cell::Real(*seconds_over),
            ])
        })),
    );
    tables.insert(
        "fact_traffic".to_owned(),
        sorted((0..DAYS).filter_map(|day| {
            let of_day: Vec<&Event> = events.iter().filter(|event| event.day() == day).collect();
            let members: BTreeSet<&str> =
                of_day.iter().map(|event| event.member.as_str()).collect();
            (!of_day.is_empty()).then(|| {
                let counts = [of_day.len(), members.len()].map(|count| Cell::Integer(count as i64));
                [vec![text(date(day))], counts.to_vec()].concat()
            })
        })),
    );
    tables.insert(
        "mart_week".to_owned(),
        sorted((0..DAYS).step_by(7).filter_map(|week| {
            let of_week: Vec<_> = seats.iter().filter(|(_, seat)| seat.week() == week).collect();
            if of_week.is_empty() {
                return None;
            }
            let games: BTreeSet<&str> =
                of_week.iter().map(|((game, _), _)| game.as_str()).collect();
            let members: BTreeSet<&str> =
                of_week.iter().filter_map(|(_, seat)| seat.member.as_deref()).collect();
            let moves: Vec<i64> = of_week.iter().filter_map(|(_, seat)| seat.moves).collect();
            let average = moves.iter().sum::<i64>() as f64 / moves.len() as f64;
            let prizes: Vec<u64> = of_week.iter().filter_map(|(_, seat)| seat.prize).collect();
            Some(vec![
                text(date(week)),
                Cell::Integer(games.len() as i64),
                Cell::Integer(members.len() as i64),
                Cell::Integer(of_week.iter().map(|(_, seat)| seat.timeouts).sum()),
                or_null((!moves.is_empty()).then_some(Cell::Real(average))),
                or_null((!prizes.is_empty()).then(|| euros(prizes.iter().sum()))),
            ])
        })),
    );
    let members = members(events);
    let mut scores: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for seat in seats.values() {
        if let (Some(member), Some(score)) = (&seat.member, seat.score) {
            scores.entry(member).or_default().push(score);
        }
    }
    tables.insert(
        "mart_table".to_owned(),
        sorted(scores.into_iter().map(|(member, scores)| {
            vec![
                text(member),
                or_null(
                    members
                        .get(member)
                        .and_then(|days| days.iter().min())
                        .map(|day| text(date(*day))),
                ),
                Cell::Integer(scores.len() as i64),
                Cell::Real(scores.iter().sum()),
            ]
        })),
    );
    tables
}

/// The days of each member's events.
fn members(events: &[Event]) -> BTreeMap<&str, Vec<u64>> {
    let mut members: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events {
        members.entry(&event.member).or_default().push(event.day());
    }
    members
}

#[test]
fn another_games_tables_are_right_after_every_increment_and_every_rebuild() {
    let mut random = Random::new(71);
    let events = play(&mut random);
    let lines = lines(&events, &mut random);
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/chess");
    let sandbox = Sandbox::with_project(&project);
    let by_id: BTreeMap<&str, &Event> =
        events.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut landed: BTreeMap<String, Event> = BTreeMap::new();
    for (number, part) in lines.chunks(lines.len().div_ceil(4)).enumerate() {
        let file = sandbox.write(&format!("part-{number}.ndjson"), part.join("\n"));
        sandbox.ingest(&[&file]);
        sandbox.etl();
        for line in part {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["event_id"].as_str().unwrap();
            if let Some(event) = by_id.get(id) {
                landed.insert(id.to_owned(), (*event).clone());
            }
        }
        let so_far: Vec<Event> = landed.values().cloned().collect();
        let what = format!("increment {number}");
        assert_same_tables(&expected(&so_far), &star_tables(&sandbox, true), &what);
    }
    assert_eq!(landed.len(), events.len());
    let found = accounting(&sandbox);
    assert_eq!((found.lines, found.landed), (lines.len() as u64, events.len() as u64), "{found:?}");
    let wrong = lines.iter().filter(|line| line.contains("wrong")).count() as u64;
    assert!(found.quarantined == wrong && wrong > 10 && found.duplicates > 20, "{found:?}");

    let expected = expected(&events);
    sandbox.succeed(&["etl", "run", "--full-refresh"]);
    assert_same_tables(&expected, &star_tables(&sandbox, true), "full refresh");
    let week = ["etl", "run", "--from", "2026-03-09", "--to", "2026-03-15"];
    for selection in ["fact_seat+", "fact_traffic", "mart_week"] {
        sandbox.succeed(&[week.as_slice(), &["--select", selection]].concat());
        assert_same_tables(&expected, &star_tables(&sandbox, true), selection);
    }
    // Its rows have no days, so no single days can be rebuilt.
    let refused = sandbox.fail(&[week.as_slice(), &["--select", "fact_timeout"]].concat());
    assert!(refused.text().contains("--full-refresh --select fact_timeout"), "{refused:#?}");
    assert_same_tables(&expected, &star_tables(&sandbox, true), "after a refused backfill");
}

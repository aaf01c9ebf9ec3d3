//! `mart_concurrency`, minute by minute.

use std::collections::BTreeMap;

use super::{Cut, Event, Row, cut_values, date, first_of};
use crate::simulate::TruthValue;

const MINUTE_MS: i64 = 60_000;
const MINUTES: i64 = 1_440;

pub(super) fn rows(events: &[Event]) -> Vec<Row> {
    let in_sessions = || events.iter().filter(|event| event.session.is_some());
    let session_of = |event: &Event| event.session.clone().unwrap();
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    for event in in_sessions() {
        let end = ends.entry(session_of(event)).or_insert(event.ms);
        *end = (*end).max(event.ms);
    }
    let mut open: BTreeMap<(i64, Cut), Vec<i64>> = BTreeMap::new();
    for (session, first) in first_of(in_sessions(), session_of) {
        for minute in first.ms.div_euclid(MINUTE_MS)..=ends[&session].div_euclid(MINUTE_MS) {
            for cut in first.cuts() {
                let place = (minute.div_euclid(MINUTES), cut);
                let of_day = open.entry(place).or_insert_with(|| vec![0; MINUTES as usize]);
                of_day[minute.rem_euclid(MINUTES) as usize] += 1;
            }
        }
    }
    let mut rows = Vec::new();
    for ((day, cut), minutes) in &open {
        let peak = *minutes.iter().max().unwrap();
        let at = minutes.iter().position(|sessions| *sessions == peak).unwrap() as i64;
        let at = chrono::DateTime::from_timestamp(60 * (day * MINUTES + at), 0).unwrap();
        let mut row = vec![TruthValue::text(&date(*day))];
        row.extend(cut_values(cut));
        row.extend([
            TruthValue::Integer(peak),
            TruthValue::text(&at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            TruthValue::Number(minutes.iter().sum::<i64>() as f64 / MINUTES as f64),
        ]);
        rows.push(row);
    }
    rows
}

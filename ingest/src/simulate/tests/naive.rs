//! The truth computed once more from the lines: slowly, simply, and by other means than the
//! simulator's counters.

mod concurrency;
mod economy;
mod experiments;
mod funnel;
mod level;
mod player_state;
mod stability;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{event_ms, lines};
use crate::simulate::event::EventType;
use crate::simulate::{DAY_MS, Truth, TruthTable, TruthValue};

/// What matters of a landed event.
struct Event {
    id: String,
    event_type: String,
    player: String,
    session: Option<String>,
    ms: i64,
    day: i64,
    platform: String,
    country: String,
    iap_cents: i64,
    ad_micros: i64,
    properties: Value,
}

type Cut = (String, String);
type Row = Vec<TruthValue>;

impl Event {
    fn text(&self, property: &str) -> &str {
        self.properties[property].as_str().unwrap()
    }

    fn integer(&self, property: &str) -> i64 {
        self.properties[property].as_i64().unwrap()
    }

    /// Of two events, the first is the one with the smaller of these.
    fn order(&self) -> (i64, &str) {
        (self.ms, &self.id)
    }

    fn micros(&self) -> i64 {
        self.iap_cents * 10_000 + self.ad_micros
    }

    fn is_in(&self, cut: &Cut) -> bool {
        (cut.0 == "all" || cut.0 == self.platform) && (cut.1 == "all" || cut.1 == self.country)
    }

    /// The four cuts that the event counts in.
    fn cuts(&self) -> [Cut; 4] {
        let (platform, country) = (self.platform.clone(), self.country.clone());
        let all = || "all".to_owned();
        [(platform.clone(), country.clone()), (platform, all()), (all(), country), (all(), all())]
    }
}

/// Asserts that the truth is what the lines say.
pub(super) fn assert_true(output: &[u8], truth: &Truth) {
    let mut landed = BTreeMap::new();
    let (mut duplicates, mut quarantined) = (0, 0);
    for line in lines(output) {
        let Some((id, event)) = accept(line) else {
            quarantined += 1;
            continue;
        };
        match landed.get(&id) {
            None => {
                landed.insert(id, (line, event));
            }
            Some((first_line, _)) => {
                assert!(line == *first_line, "a repetition must be the same to the byte");
                duplicates += 1;
            }
        }
    }
    let events: Vec<Event> = landed.into_values().map(|(_, event)| event).collect();
    assert_eq!(truth.accounting.lines, lines(output).len() as u64);
    assert_eq!(truth.accounting.landed, events.len() as u64);
    assert_eq!(truth.accounting.duplicates, duplicates);
    assert_eq!(truth.accounting.quarantined, quarantined);

    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for event in &events {
        *counts.entry((event.event_type.clone(), date(event.day))).or_default() += 1;
    }
    let told: BTreeMap<_, _> = truth
        .events
        .iter()
        .map(|count| ((count.event_type.clone(), count.event_date.clone()), count.rows))
        .collect();
    assert_eq!(told, counts);

    let last_day = events.iter().map(|event| event.day).max().unwrap();
    assert_rows_equal("mart_daily_kpi", &truth.tables["mart_daily_kpi"], &daily(&events, last_day));
    let (retention, ltv) = cohorts(&events, last_day);
    assert_rows_equal("mart_retention", &truth.tables["mart_retention"], &retention);
    assert_rows_equal("mart_ltv", &truth.tables["mart_ltv"], &ltv);
    let (economy, economy_reason) = economy::rows(&events);
    let (experiment_daily, experiment) = experiments::rows(&events, last_day);
    let others = [
        ("mart_concurrency", concurrency::rows(&events)),
        ("mart_economy", economy),
        ("mart_economy_reason", economy_reason),
        ("mart_experiment", experiment),
        ("mart_experiment_daily", experiment_daily),
        ("mart_funnel", funnel::rows(&events)),
        ("mart_level", level::rows(&events)),
        ("mart_player_state", player_state::rows(&events, last_day)),
        ("mart_stability", stability::rows(&events)),
    ];
    assert_eq!(truth.tables.len(), 3 + others.len());
    for (name, rows) in others {
        assert_rows_equal(name, &truth.tables[name], &rows);
    }
}

/// Whether a line fits its contract.
pub(super) fn is_accepted(line: &[u8]) -> bool {
    accept(line).is_some()
}

/// Identifier and event of a line that fits its contract, as far as malformed lines go.
fn accept(line: &[u8]) -> Option<(String, Event)> {
    let json: Value = serde_json::from_slice(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let event_type = text(&json["event_type"])?;
    let player = text(&json["player_id"])?;
    if !EventType::NAMES.contains(&event_type.as_str()) {
        return None;
    }
    let occurrences = |needle: &str| String::from_utf8_lossy(line).matches(needle).count();
    if occurrences("\"event_type\"") != 1 {
        return None;
    }
    let ms = event_ms(&json);
    if ms > 4_000_000_000_000 {
        return None;
    }
    let properties = &json["properties"];
    let (mut iap_cents, mut ad_micros) = (0, 0);
    if event_type == "purchase" {
        let price = properties["price_usd"].as_f64()?;
        let quantity = properties["quantity"].as_i64()?;
        if price >= 1e8 || quantity < 1 {
            return None;
        }
        iap_cents = (price * 100.0).round() as i64 * quantity;
    }
    if event_type == "ad_impression" {
        ad_micros = (properties["revenue_usd"].as_f64()? * 1e6).round() as i64;
    }
    let id = text(&json["event_id"])?;
    let event = Event {
        id: id.clone(),
        event_type,
        player,
        session: text(&json["session_id"]),
        ms,
        day: ms.div_euclid(DAY_MS),
        platform: text(&json["platform"]).unwrap_or("unknown".into()),
        country: text(&json["country"]).unwrap_or("unknown".into()),
        iap_cents,
        ad_micros,
        properties: properties.clone(),
    };
    Some((id, event))
}

fn date(day: i64) -> String {
    chrono::DateTime::from_timestamp_millis(day * DAY_MS).unwrap().format("%Y-%m-%d").to_string()
}

/// The first event of each group that `key` makes, by time.
fn first_of<'a>(
    events: impl Iterator<Item = &'a Event>,
    key: impl Fn(&Event) -> String,
) -> BTreeMap<String, &'a Event> {
    let mut first: BTreeMap<String, &Event> = BTreeMap::new();
    for event in events {
        let known = first.entry(key(event)).or_insert(event);
        if event.order() < known.order() {
            *known = event;
        }
    }
    first
}

fn daily(events: &[Event], last_day: i64) -> Vec<Row> {
    let first_day = events.iter().map(|event| event.day).min().unwrap();
    let cuts: BTreeSet<Cut> = events.iter().flat_map(Event::cuts).collect();
    let mut active: BTreeMap<(Cut, i64), BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        for cut in event.cuts() {
            active.entry((cut, event.day)).or_default().insert(&event.player);
        }
    }
    let first_events = first_of(events.iter(), |event| event.player.clone());
    let purchases = || events.iter().filter(|event| event.event_type == "purchase");
    let first_purchases = first_of(purchases(), |event| event.player.clone());
    let in_sessions = || events.iter().filter(|event| event.session.is_some());
    let session_of = |event: &Event| event.session.clone().unwrap();
    let session_starts = first_of(in_sessions(), session_of);
    let mut session_ends: BTreeMap<String, i64> = BTreeMap::new();
    for event in in_sessions() {
        let end = session_ends.entry(session_of(event)).or_insert(event.ms);
        *end = (*end).max(event.ms);
    }

    let mut rows = Vec::new();
    for day in first_day..=last_day {
        for cut in &cuts {
            let distinct = |days: i64| {
                let mut players: BTreeSet<&str> = BTreeSet::new();
                for past in day - days + 1..=day {
                    players.extend(active.get(&(cut.clone(), past)).into_iter().flatten());
                }
                players.len() as i64
            };
            let (dau, wau, mau) = (distinct(1), distinct(7), distinct(30));
            if mau == 0 {
                continue;
            }
            let here = |event: &&&Event| event.day == day && event.is_in(cut);
            let of_day: Vec<&Event> = events.iter().filter(|event| here(&event)).collect();
            let sessions: Vec<f64> = session_starts
                .iter()
                .filter(|(_, event)| here(event))
                .map(|(session, event)| (session_ends[session] - event.ms) as f64 / 1e3)
                .collect();
            let playtime: f64 = sessions.iter().sum();
            let iap: i64 = of_day.iter().map(|event| event.iap_cents).sum();
            let ads: i64 = of_day.iter().map(|event| event.ad_micros).sum();
            let total = iap * 10_000 + ads;
            let payers: BTreeSet<&str> = of_day
                .iter()
                .filter(|event| event.event_type == "purchase")
                .map(|event| event.player.as_str())
                .collect();
            let payers = payers.len() as i64;
            let count_here = |first: &BTreeMap<String, &Event>| {
                TruthValue::Integer(first.values().filter(here).count() as i64)
            };
            rows.push(vec![
                TruthValue::text(&date(day)),
                TruthValue::text(&cut.0),
                TruthValue::text(&cut.1),
                count_here(&first_events),
                TruthValue::Integer(dau),
                TruthValue::Integer(wau),
                TruthValue::Integer(mau),
                quotient(dau as f64, mau),
                TruthValue::Integer(sessions.len() as i64),
                TruthValue::Number(playtime),
                quotient(playtime, sessions.len() as i64),
                money(iap, 100, 2),
                money(ads, 1_000_000, 6),
                money(total, 1_000_000, 6),
                quotient(total as f64 / 1e6, dau),
                TruthValue::Integer(payers),
                quotient(iap as f64 / 1e2, payers),
                quotient(payers as f64, dau),
                count_here(&first_purchases),
            ]);
        }
    }
    rows
}

fn cohorts(events: &[Event], last_day: i64) -> (Vec<Row>, Vec<Row>) {
    let mut members: BTreeMap<(i64, Cut), BTreeSet<String>> = BTreeMap::new();
    for (player, event) in first_of(events.iter(), |event| event.player.clone()) {
        for cut in event.cuts() {
            members.entry((event.day, cut)).or_default().insert(player.clone());
        }
    }
    let mut days_of: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for event in events {
        days_of.entry(&event.player).or_default().insert(event.day);
    }
    let (mut retention, mut ltv) = (Vec::new(), Vec::new());
    for ((day, cut), players) in &members {
        let size = players.len() as i64;
        let paying: Vec<&Event> = events
            .iter()
            .filter(|event| event.iap_cents + event.ad_micros > 0)
            .filter(|event| players.contains(&event.player))
            .collect();
        for n in 0..=30.min(last_day - day) {
            let count = |is_active: &dyn Fn(&BTreeSet<i64>) -> bool| {
                players.iter().filter(|player| is_active(&days_of[player.as_str()])).count() as i64
            };
            let active = count(&|days| days.contains(&(day + n)));
            let rolling = count(&|days| days.iter().any(|active| *active >= day + n));
            let micros: i64 = paying
                .iter()
                .filter(|event| event.day <= day + n)
                .map(|event| event.iap_cents * 10_000 + event.ad_micros)
                .sum();
            let key = [
                TruthValue::text(&date(*day)),
                TruthValue::text(&cut.0),
                TruthValue::text(&cut.1),
                TruthValue::Integer(n),
                TruthValue::Integer(size),
            ];
            let figures = [
                TruthValue::Integer(active),
                quotient(active as f64, size),
                TruthValue::Integer(rolling),
                quotient(rolling as f64, size),
            ];
            retention.push([key.as_slice(), &figures].concat());
            let figures = [money(micros, 1_000_000, 6), quotient(micros as f64 / 1e6, size)];
            ltv.push([key.as_slice(), &figures].concat());
        }
    }
    (retention, ltv)
}

fn integer(number: usize) -> TruthValue {
    TruthValue::Integer(number as i64)
}

fn cut_values(cut: &Cut) -> [TruthValue; 2] {
    [TruthValue::text(&cut.0), TruthValue::text(&cut.1)]
}

/// As SQL's `percentile_cont`: NULL of no values.
fn percentile(mut values: Vec<f64>, share: f64) -> TruthValue {
    if values.is_empty() {
        return TruthValue::Null;
    }
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let weight = place - place.floor();
    let next = (place.floor() as usize + 1).min(values.len() - 1);
    TruthValue::Number(values[place.floor() as usize] * (1.0 - weight) + values[next] * weight)
}

fn quotient(numerator: f64, denominator: i64) -> TruthValue {
    if denominator == 0 {
        return TruthValue::Null;
    }
    TruthValue::Number(numerator / denominator as f64)
}

fn money(value: i64, scale: i64, digits: usize) -> TruthValue {
    TruthValue::text(&format!("{}.{:0digits$}", value / scale, value % scale))
}

/// Asserts that all tables are equal, up to rounding.
pub(super) fn assert_tables_equal(
    left: &BTreeMap<String, TruthTable>,
    right: &BTreeMap<String, TruthTable>,
) {
    assert!(left.keys().eq(right.keys()));
    for (name, table) in left {
        assert_eq!(table.columns, right[name].columns);
        assert_eq!(table.key, right[name].key);
        assert_rows_equal(name, table, &right[name].rows);
    }
}

fn assert_rows_equal(name: &str, table: &TruthTable, expected: &[Row]) {
    for (told, naive) in table.rows.iter().zip(expected) {
        assert_eq!(told.len(), naive.len(), "{name}");
        for (index, (left, right)) in told.iter().zip(naive).enumerate() {
            let column = &table.columns[index].name;
            assert!(is_close(left, right), "{name}.{column}\ntold:  {told:?}\nnaive: {naive:?}");
        }
    }
    assert_eq!(table.rows.len(), expected.len(), "{name}");
}

fn is_close(left: &TruthValue, right: &TruthValue) -> bool {
    match (left, right) {
        (TruthValue::Number(left), TruthValue::Number(right)) => {
            (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
        }
        _ => left == right,
    }
}

//! `mart_funnel`, from each player's events in order.

use std::collections::BTreeMap;

use super::{Cut, Event, Row, cut_values, date, percentile, quotient};
use crate::simulate::{DAY_MS, TruthValue};

/// Name of a step, and whether an event is it.
type Step = (&'static str, fn(&Event) -> bool);

fn is_tutorial(event: &Event, number: i64) -> bool {
    event.event_type == "tutorial_step" && event.integer("step") == number
}

fn is_win(event: &Event, level: i64) -> bool {
    event.event_type == "level_end"
        && event.text("result") == "win"
        && event.integer("level") == level
}

const REGISTERED: Step = ("registered", |event| event.event_type == "player_registered");

fn funnels() -> [(&'static str, i64, Vec<Step>); 3] {
    let first_purchase: Vec<Step> = vec![
        REGISTERED,
        ("level_5_won", |event| is_win(event, 5)),
        ("shop_used", |event| event.event_type == "currency_spent" && event.text("sink") == "shop"),
        ("purchased", |event| event.event_type == "purchase"),
    ];
    let onboarding: Vec<Step> = vec![
        REGISTERED,
        ("tutorial_done", |event| is_tutorial(event, 6)),
        ("level_1_won", |event| is_win(event, 1)),
        ("level_5_won", |event| is_win(event, 5)),
        ("level_10_won", |event| is_win(event, 10)),
    ];
    let tutorial: Vec<Step> = vec![
        REGISTERED,
        ("welcome", |event| is_tutorial(event, 1)),
        ("first_move", |event| is_tutorial(event, 2)),
        ("combine_runes", |event| is_tutorial(event, 3)),
        ("use_booster", |event| is_tutorial(event, 4)),
        ("open_chest", |event| is_tutorial(event, 5)),
        ("visit_village", |event| is_tutorial(event, 6)),
    ];
    [
        ("first_purchase", 30, first_purchase),
        ("onboarding", 7, onboarding),
        ("tutorial", 7, tutorial),
    ]
}

pub(super) fn rows(events: &[Event]) -> Vec<Row> {
    let mut of_player: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        of_player.entry(&event.player).or_default().push(event);
    }
    for events in of_player.values_mut() {
        events.sort_by_key(|event| event.order());
    }
    let mut rows = Vec::new();
    for (name, window_days, steps) in funnels() {
        // By day and cut: for each player who entered, the times of the steps that they reached.
        let mut cohorts: BTreeMap<(i64, Cut), Vec<Vec<i64>>> = BTreeMap::new();
        for events in of_player.values() {
            let Some(entry) = events.iter().find(|event| steps[0].1(event)) else { continue };
            let mut reached = vec![entry.ms];
            for (_, is_step) in &steps[1..] {
                let earliest = *reached.last().unwrap();
                let next = events.iter().find(|event| event.ms >= earliest && is_step(event));
                match next {
                    Some(event) if event.ms - entry.ms <= window_days * DAY_MS => {
                        reached.push(event.ms);
                    }
                    _ => break,
                }
            }
            for cut in entry.cuts() {
                cohorts.entry((entry.day, cut)).or_default().push(reached.clone());
            }
        }
        for ((day, cut), players) in &cohorts {
            let who_reached = |step: usize| players.iter().filter(move |times| times.len() > step);
            for (step, (step_name, _)) in steps.iter().enumerate() {
                let count = who_reached(step).count() as i64;
                let before = who_reached(step.saturating_sub(1)).count() as i64;
                let times = who_reached(step).filter(|_| step > 0);
                let seconds = times.map(|times| (times[step] - times[step - 1]) as f64 / 1e3);
                let mut row = vec![TruthValue::text(name), TruthValue::text(&date(*day))];
                row.extend(cut_values(cut));
                row.extend([
                    TruthValue::Integer(step as i64 + 1),
                    TruthValue::text(step_name),
                    TruthValue::Integer(count),
                    quotient(count as f64, players.len() as i64),
                    quotient(count as f64, before),
                    percentile(seconds.collect(), 0.5),
                ]);
                rows.push(row);
            }
        }
    }
    rows
}

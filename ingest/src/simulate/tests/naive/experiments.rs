//! `mart_experiment_daily` and `mart_experiment`, from each player's first exposure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cut, Event, Row, cut_values, date, first_of, integer, money, quotient};
use crate::simulate::TruthValue;

/// A player in an experiment.
struct Subject<'a> {
    exposure: &'a Event,
    /// Purchases and advertisements since the exposure.
    income: Vec<&'a Event>,
    active: BTreeSet<i64>,
}

impl Subject<'_> {
    fn purchases(&self) -> impl Iterator<Item = &&Event> {
        self.income.iter().filter(|event| event.event_type == "purchase")
    }
}

pub(super) fn rows(events: &[Event], last_day: i64) -> (Vec<Row>, Vec<Row>) {
    let exposures = events.iter().filter(|event| event.event_type == "experiment_exposure");
    let experiment_and_player =
        |event: &Event| format!("{} {}", event.text("experiment_id"), event.player);
    let subjects: Vec<Subject<'_>> = first_of(exposures, experiment_and_player)
        .into_values()
        .map(|exposure| {
            let own = || events.iter().filter(|event| event.player == exposure.player);
            let is_income =
                |event: &&Event| matches!(&*event.event_type, "purchase" | "ad_impression");
            let since = |event: &&Event| event.ms >= exposure.ms;
            Subject {
                exposure,
                income: own().filter(is_income).filter(since).collect(),
                active: own().map(|event| event.day).collect(),
            }
        })
        .collect();
    (daily(&subjects, last_day), total(&subjects, last_day))
}

fn daily(subjects: &[Subject<'_>], last_day: i64) -> Vec<Row> {
    let mut groups: BTreeMap<(&str, &str, Cut), Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in subjects {
        let exposure = subject.exposure;
        for cut in exposure.cuts() {
            let place = (exposure.text("experiment_id"), exposure.text("variant"), cut);
            groups.entry(place).or_default().push(subject);
        }
    }
    let first_day = subjects.iter().map(|subject| subject.exposure.day).min().unwrap_or(last_day);
    let mut rows = Vec::new();
    for day in first_day..=last_day {
        for ((experiment, variant, cut), subjects) in &groups {
            let count = |is_counted: &dyn Fn(&Subject<'_>) -> bool| {
                subjects.iter().filter(|subject| is_counted(subject)).count()
            };
            let back_after = |n| {
                count(&|subject| subject.exposure.day == day - n && subject.active.contains(&day))
            };
            let exposed = count(&|subject| subject.exposure.day == day);
            let payers = count(&|subject| subject.purchases().any(|event| event.day == day));
            let purchases: usize = subjects
                .iter()
                .map(|subject| subject.purchases().filter(|event| event.day == day).count())
                .sum();
            let income = subjects.iter().flat_map(|subject| &subject.income);
            let micros: i64 =
                income.filter(|event| event.day == day).map(|event| event.micros()).sum();
            let counts = [exposed, back_after(1), back_after(7), purchases, payers];
            if counts == [0; 5] && micros == 0 {
                continue;
            }
            let mut row = vec![TruthValue::text(&date(day))];
            row.extend([TruthValue::text(experiment), TruthValue::text(variant)]);
            row.extend(cut_values(cut));
            row.extend(counts.map(integer));
            row.push(money(micros, 1_000_000, 6));
            rows.push(row);
        }
    }
    rows
}

fn total(subjects: &[Subject<'_>], last_day: i64) -> Vec<Row> {
    let mut variants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut groups: BTreeMap<(&str, Cut), Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in subjects {
        let exposure = subject.exposure;
        let experiment = exposure.text("experiment_id");
        variants.entry(experiment).or_default().insert(exposure.text("variant"));
        for cut in exposure.cuts() {
            groups.entry((experiment, cut)).or_default().push(subject);
        }
    }
    let mut rows = Vec::new();
    for ((experiment, cut), subjects) in &groups {
        let variants = &variants[experiment];
        let of_variant = |variant: &str| -> Vec<&Subject<'_>> {
            let is_in = |subject: &&&Subject<'_>| subject.exposure.text("variant") == variant;
            subjects.iter().filter(is_in).copied().collect()
        };
        let expected = subjects.len() as f64 / variants.len() as f64;
        let chi_square: f64 = variants
            .iter()
            .map(|variant| (of_variant(variant).len() as f64 - expected).powi(2) / expected)
            .sum();
        for variant in variants {
            let players = of_variant(variant);
            let size = players.len();
            let micros: i64 =
                players.iter().flat_map(|player| &player.income).map(|event| event.micros()).sum();
            let mut row = vec![TruthValue::text(experiment)];
            row.extend(cut_values(cut));
            row.extend([
                TruthValue::text(variant),
                integer(size),
                integer(converted(&players)),
                quotient(converted(&players) as f64, size as i64),
                money(micros, 1_000_000, 6),
                quotient(micros as f64 / 1e6, size as i64),
            ]);
            for n in [1, 7] {
                let over = players.iter().filter(|player| player.exposure.day + n <= last_day);
                let back =
                    |player: &&&Subject<'_>| player.active.contains(&(player.exposure.day + n));
                let (over, back) = (over.clone().count(), over.filter(back).count());
                row.extend([integer(over), integer(back), quotient(back as f64, over as i64)]);
            }
            row.push(TruthValue::Boolean(*variant == "control"));
            row.extend(match variants.len() {
                1 => [TruthValue::Null, TruthValue::Null],
                2 => [chi_square, erfc((chi_square / 2.0).sqrt())].map(TruthValue::Number),
                3 => [chi_square, (-chi_square / 2.0).exp()].map(TruthValue::Number),
                more => panic!("{more} variants"),
            });
            let z = if *variant == "control" { None } else { z(&of_variant("control"), &players) };
            row.push(z.map_or(TruthValue::Null, TruthValue::Number));
            let p_value = z.map(|z| erfc(z.abs() / 2.0_f64.sqrt()));
            row.push(p_value.map_or(TruthValue::Null, TruthValue::Number));
            rows.push(row);
        }
    }
    rows
}

fn converted(players: &[&Subject<'_>]) -> usize {
    players.iter().filter(|player| player.purchases().next().is_some()).count()
}

fn z(control: &[&Subject<'_>], variant: &[&Subject<'_>]) -> Option<f64> {
    let (n, m) = (control.len() as f64, variant.len() as f64);
    let (a, b) = (converted(control) as f64, converted(variant) as f64);
    let pooled = (a + b) / (n + m);
    if n == 0.0 || m == 0.0 || pooled == 0.0 || pooled == 1.0 {
        return None;
    }
    Some((b / m - a / n) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt())
}

/// 2/√π ∫ₓ^∞ exp(−t²) dt by Simpson's rule.
fn erfc(x: f64) -> f64 {
    const STEPS: i32 = 10_000;
    let width = 10.0 / f64::from(STEPS);
    let weighted = |step: i32| {
        let t = x + f64::from(step) * width;
        let weight = match step {
            0 | STEPS => 1.0,
            _ if step % 2 == 1 => 4.0,
            _ => 2.0,
        };
        weight * (-t * t).exp()
    };
    let sum: f64 = (0..=STEPS).map(weighted).sum();
    sum * width / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

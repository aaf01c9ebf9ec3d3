//! `mart_economy` and `mart_economy_reason`, from lists of flows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cut, Event, Row, cut_values, date, integer, percentile, quotient};
use crate::simulate::TruthValue;

/// Direction and reason of a flow of currency; `None` of other events.
fn reason(event: &Event) -> Option<(&'static str, &str)> {
    match &*event.event_type {
        "currency_earned" => Some(("earned", event.text("source"))),
        "currency_spent" => Some(("spent", event.text("sink"))),
        _ => None,
    }
}

fn amount(flows: &[&Event]) -> i64 {
    flows.iter().map(|event| event.integer("amount")).sum()
}

fn players(flows: &[&Event]) -> usize {
    flows.iter().map(|event| &event.player).collect::<BTreeSet<_>>().len()
}

pub(super) fn rows(events: &[Event]) -> (Vec<Row>, Vec<Row>) {
    let mut cells: BTreeMap<(i64, Cut, &str), Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| reason(event).is_some()) {
        for cut in event.cuts() {
            cells.entry((event.day, cut, event.text("currency"))).or_default().push(event);
        }
    }
    let (mut rows, mut reason_rows) = (Vec::new(), Vec::new());
    for ((day, cut, currency), mut flows) in cells {
        let mut start = vec![TruthValue::text(&date(day))];
        start.extend(cut_values(&cut));
        start.push(TruthValue::text(currency));
        flows.sort_by_key(|event| event.order());
        // The last balance takes the place of those before.
        let last: BTreeMap<&str, f64> = flows
            .iter()
            .map(|event| (&*event.player, event.integer("balance_after") as f64))
            .collect();
        let balances = || last.values().copied().collect();
        let mut directions: BTreeMap<&str, BTreeMap<&str, Vec<&Event>>> = BTreeMap::new();
        for event in &flows {
            let (direction, reason) = reason(event).unwrap();
            directions.entry(direction).or_default().entry(reason).or_default().push(event);
        }
        let total = |direction| -> i64 {
            directions.get(direction).into_iter().flatten().map(|(_, flows)| amount(flows)).sum()
        };
        let mut row = start.clone();
        row.extend([
            TruthValue::Integer(total("earned")),
            TruthValue::Integer(total("spent")),
            TruthValue::Integer(total("earned") - total("spent")),
            integer(flows.len()),
            integer(players(&flows)),
            percentile(balances(), 0.5),
            percentile(balances(), 0.9),
            percentile(balances(), 0.99),
        ]);
        rows.push(row);
        for (direction, reasons) in &directions {
            let mut order: Vec<(i64, &str)> =
                reasons.iter().map(|(reason, flows)| (-amount(flows), *reason)).collect();
            order.sort_unstable();
            for (reason, flows) in reasons {
                let place = order.iter().position(|(_, name)| name == reason).unwrap();
                let mut row = start.clone();
                row.extend([
                    TruthValue::text(direction),
                    TruthValue::text(reason),
                    TruthValue::Integer(amount(flows)),
                    integer(flows.len()),
                    integer(players(flows)),
                    quotient(amount(flows) as f64, total(direction)),
                    integer(place + 1),
                ]);
                reason_rows.push(row);
            }
        }
    }
    (rows, reason_rows)
}

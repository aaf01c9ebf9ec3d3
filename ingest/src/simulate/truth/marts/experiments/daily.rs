//! `mart_experiment_daily`.

use std::collections::BTreeMap;

use super::super::super::tally::Tally;
use super::super::{TruthKind, TruthTable, TruthValue, columns, key};
use super::{Arm, Day, names};
use crate::simulate::catalog::EXPERIMENTS;

const COLUMNS: [(&str, TruthKind); 11] = [
    ("date", TruthKind::Date),
    ("experiment_id", TruthKind::Text),
    ("variant", TruthKind::Text),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("exposed_players", TruthKind::Integer),
    ("d1_players", TruthKind::Integer),
    ("d7_players", TruthKind::Integer),
    ("purchases", TruthKind::Integer),
    ("payers", TruthKind::Integer),
    ("revenue_usd", TruthKind::Decimal),
];

impl Day {
    fn add(&mut self, other: &Self) {
        self.exposed += other.exposed;
        self.d1 += other.d1;
        self.d7 += other.d7;
        self.purchases += other.purchases;
        self.payers += other.payers;
        self.micros += other.micros;
    }

    fn is_empty(&self) -> bool {
        self.exposed + self.d1 + self.d7 + self.purchases + self.payers == 0 && self.micros == 0
    }
}

/// The table, from the figures by day and arm.
pub(super) fn table(tally: &Tally, days: &BTreeMap<(u32, Arm), Day>) -> TruthTable {
    let mut cells: BTreeMap<_, (Day, Arm)> = BTreeMap::new();
    for ((day, arm), figures) in days {
        let experiment = &EXPERIMENTS[usize::from(arm.experiment)];
        let variant = experiment.variants[usize::from(arm.variant)];
        for cut in arm.cuts {
            let place = (*day, experiment.id, variant, cut);
            cells.entry(place).or_insert((Day::default(), *arm)).0.add(figures);
        }
    }
    let columns = columns(&COLUMNS);
    let mut rows = Vec::new();
    for ((day, _, _, cut), (cell, arm)) in &cells {
        if cell.is_empty() {
            continue;
        }
        let mut row = vec![TruthValue::text(&tally.date(*day as usize))];
        row.extend(names(arm));
        row.extend(tally.grid.names_at(*cut));
        row.extend([
            TruthValue::count(cell.exposed),
            TruthValue::count(cell.d1),
            TruthValue::count(cell.d7),
            TruthValue::count(cell.purchases),
            TruthValue::count(cell.payers),
            TruthValue::decimal(cell.micros, 6),
        ]);
        rows.push(row);
    }
    TruthTable { key: key(&columns, 5), columns, rows }
}

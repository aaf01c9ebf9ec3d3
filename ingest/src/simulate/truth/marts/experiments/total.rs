//! `mart_experiment`: the variants of an experiment against each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::statistics::{
    Sample, chi_square_even, chi_square_p_value, two_proportion_z, two_sided_p_value,
};
use super::super::{Grid, Row, TruthKind, TruthTable, TruthValue, columns, key, or_null};
use super::Arm;
use crate::simulate::catalog::EXPERIMENTS;

const COLUMNS: [(&str, TruthKind); 20] = [
    ("experiment_id", TruthKind::Text),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("variant", TruthKind::Text),
    ("exposed_players", TruthKind::Integer),
    ("converted_players", TruthKind::Integer),
    ("conversion", TruthKind::Share),
    ("revenue_usd", TruthKind::Decimal),
    ("arpu", TruthKind::Number),
    ("d1_exposed", TruthKind::Integer),
    ("d1_players", TruthKind::Integer),
    ("d1_retention", TruthKind::Share),
    ("d7_exposed", TruthKind::Integer),
    ("d7_players", TruthKind::Integer),
    ("d7_retention", TruthKind::Share),
    ("is_control", TruthKind::Boolean),
    ("srm_chi_square", TruthKind::Number),
    ("srm_p_value", TruthKind::Number),
    ("conversion_z", TruthKind::Number),
    ("conversion_p_value", TruthKind::Number),
];

/// The variant that the others are compared with.
const CONTROL: &str = "control";

/// Players whose day n is over, and of these, those active on it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Return {
    pub(super) exposed: u64,
    pub(super) active: u64,
}

/// The figures of one variant in one cut.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) exposed: u64,
    pub(super) converted: u64,
    pub(super) micros: i64,
    pub(super) d1: Return,
    pub(super) d7: Return,
}

impl Total {
    fn add(&mut self, other: &Self) {
        self.exposed += other.exposed;
        self.converted += other.converted;
        self.micros += other.micros;
        self.d1.exposed += other.d1.exposed;
        self.d1.active += other.d1.active;
        self.d7.exposed += other.d7.exposed;
        self.d7.active += other.d7.active;
    }

    fn sample(&self) -> Sample {
        Sample { successes: self.converted, trials: self.exposed }
    }
}

/// The table, from the totals by arm.
pub(super) fn table(grid: &Grid, totals: &BTreeMap<Arm, Total>) -> TruthTable {
    let mut variants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut cells: BTreeMap<(&str, u16), BTreeMap<&str, Total>> = BTreeMap::new();
    for (arm, total) in totals {
        let experiment = &EXPERIMENTS[usize::from(arm.experiment)];
        let variant = experiment.variants[usize::from(arm.variant)];
        variants.entry(experiment.id).or_default().insert(variant);
        for cut in arm.cuts {
            let of_cut = cells.entry((experiment.id, cut)).or_default();
            of_cut.entry(variant).or_default().add(total);
        }
    }
    let columns = columns(&COLUMNS);
    let mut rows = Vec::new();
    for ((experiment, cut), of_cut) in &cells {
        let of_experiment = &variants[experiment];
        // Who is in no variant of this cut counts as 0 of it.
        let of_variant = |variant: &str| of_cut.get(variant).copied().unwrap_or_default();
        let exposed: Vec<u64> =
            of_experiment.iter().map(|variant| of_variant(variant).exposed).collect();
        let chi_square = chi_square_even(&exposed);
        let p_value = chi_square.map(|value| chi_square_p_value(value, exposed.len() - 1));
        for variant in of_experiment {
            let [platform, country] = grid.names_at(*cut);
            let (name, variant_name) = (TruthValue::text(experiment), TruthValue::text(variant));
            let mut row = vec![name, platform, country, variant_name];
            let total = of_variant(variant);
            push_figures(&mut row, &total);
            let is_control = *variant == CONTROL;
            let z = (!is_control)
                .then(|| two_proportion_z(of_variant(CONTROL).sample(), total.sample()))
                .flatten();
            row.extend([
                TruthValue::Boolean(is_control),
                or_null(chi_square),
                or_null(p_value),
                or_null(z),
                or_null(z.map(two_sided_p_value)),
            ]);
            rows.push(row);
        }
    }
    TruthTable { key: key(&columns, 4), columns, rows }
}

fn push_figures(row: &mut Row, total: &Total) {
    row.extend([
        TruthValue::count(total.exposed),
        TruthValue::count(total.converted),
        TruthValue::ratio(total.converted as f64, total.exposed),
        TruthValue::decimal(total.micros, 6),
        TruthValue::ratio(total.micros as f64 / 1e6, total.exposed),
    ]);
    for Return { exposed, active } in [total.d1, total.d7] {
        row.extend([
            TruthValue::count(exposed),
            TruthValue::count(active),
            TruthValue::ratio(active as f64, exposed),
        ]);
    }
}

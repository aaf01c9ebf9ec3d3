//! Simulated events with all faults, and what must come out of them: the simulator's truth, and the
//! keys that stand in the lines.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use questlake_ingest::simulate::{FaultRates, Personas, SimulationOptions, Truth, simulate};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// A simulated data set.
pub(crate) struct Dataset {
    /// The lines, each with its line feed, in the order of their arrival.
    pub(crate) lines: Vec<Vec<u8>>,
    /// What must become of them.
    pub(crate) truth: Truth,
    /// The keys that must be found.
    pub(crate) keys: Keys,
}

/// Keys of events and of what facts are about.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) events: BTreeSet<String>,
    pub(crate) players: BTreeSet<String>,
    pub(crate) sessions: BTreeSet<String>,
    pub(crate) purchases: BTreeSet<String>,
    pub(crate) ad_impressions: BTreeSet<String>,
}

/// The bundled players, but ready to spend: else a small data set has hardly a purchase.
fn spenders() -> Personas {
    let bundled = include_str!("../../../ingest/personas.toml");
    let lines = bundled.lines().map(|line| match line.split_once('=') {
        Some((name, _)) if name.trim() == "purchase_chance" => "purchase_chance = 0.5".to_owned(),
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    Personas::parse(&lines.join("\n")).unwrap()
}

/// More of each fault than a live game sees, so that a small data set has all of them.
fn many_faults() -> FaultRates {
    FaultRates { duplicates: 0.04, late: 0.03, out_of_order: 0.05, skewed: 0.01, malformed: 0.02 }
}

impl Dataset {
    /// Simulates with all faults.
    pub(crate) fn simulate(players: u32, days: u32, seed: u64) -> Self {
        let mut options = SimulationOptions::new().unwrap();
        options.players = players;
        options.days = days;
        options.seed = seed;
        options.faults = many_faults();
        options.personas = spenders();
        Self::of(&options)
    }

    /// Simulates with these options.
    pub(crate) fn of(options: &SimulationOptions) -> Self {
        let seed = options.seed;
        let mut output = Vec::new();
        let truth = simulate(options, &mut output, &mut |_| ControlFlow::Continue(())).unwrap();
        let lines: Vec<Vec<u8>> =
            output.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let keys = Keys::of(&lines);
        assert_eq!(lines.len() as u64, truth.accounting.lines, "seed {seed}");
        assert_eq!(keys.events.len() as u64, truth.accounting.landed, "seed {seed}");
        Self { lines, truth, keys }
    }

    /// All lines.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// The lines cut into `parts` of about the same number, in order.
    pub(crate) fn parts(&self, parts: usize) -> Vec<Vec<u8>> {
        let length = self.lines.len().div_ceil(parts);
        self.lines.chunks(length).map(<[Vec<u8>]>::concat).collect()
    }
}

/// Writes a truth as a file of the sandbox.
pub(crate) fn write_truth(sandbox: &Sandbox, truth: &Truth) -> PathBuf {
    sandbox.write("truth.json", serde_json::to_vec(truth).unwrap())
}

impl Keys {
    /// The keys of the lines that are whole events.
    fn of(lines: &[Vec<u8>]) -> Self {
        let mut keys = Self::default();
        for line in lines {
            let Some(event) = whole_event(line) else { continue };
            let text = |name: &str| event[name].as_str().map(str::to_owned);
            let event_id = text("event_id").unwrap();
            keys.players.extend(text("player_id"));
            keys.sessions.extend(text("session_id"));
            match event["event_type"].as_str() {
                Some("purchase") => drop(keys.purchases.insert(event_id.clone())),
                Some("ad_impression") => drop(keys.ad_impressions.insert(event_id.clone())),
                _ => {}
            }
            keys.events.insert(event_id);
        }
        keys
    }
}

/// The event of a line, unless the simulator made the line to be refused. Such a line names neither
/// platform nor version; of the others each names one of them at least.
pub(crate) fn whole_event(line: &[u8]) -> Option<Value> {
    let event: Value = serde_json::from_slice(line).ok()?;
    (event.get("platform").is_some() || event.get("app_version").is_some()).then_some(event)
}

/// The day of a whole event, such as `2026-01-31`.
pub(crate) fn event_day(line: &[u8]) -> Option<String> {
    match &whole_event(line)?["event_time"] {
        Value::String(time) => Some(time[..10].to_owned()),
        time => {
            let time = chrono::DateTime::from_timestamp_millis(time.as_i64()?)?;
            Some(time.date_naive().to_string())
        }
    }
}

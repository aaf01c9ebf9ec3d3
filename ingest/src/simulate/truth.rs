//! The truth: what the pipeline's tables must contain for a simulated data set.
//!
//! It is counted while events are emitted, by means that have nothing to do with SQL, and written
//! as JSON. Tables are generic, so that whoever compares them needs to know nothing about any one.

mod detail;
mod grid;
mod marts;
mod open_days;
mod statistics;
mod tally;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::FaultRates;

pub(super) use detail::{Detail, Flow};
pub(super) use tally::{Cut, Tally};
pub use value::TruthValue;

/// Version of the truth's format; see [`Truth::format`].
pub const TRUTH_FORMAT: u32 = 1;

/// All that is known about a simulated data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Version of this format: [`TRUTH_FORMAT`].
    pub format: u32,
    /// How the data set was made.
    pub options: TruthOptions,
    /// What must become of the lines.
    pub accounting: Accounting,
    /// Landed events by type and day, sorted.
    pub events: Vec<EventCount>,
    /// Expected contents of tables, by name.
    pub tables: BTreeMap<String, TruthTable>,
}

/// The options of the simulation, for the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthOptions {
    /// Number of players.
    pub players: u32,
    /// Number of days.
    pub days: u32,
    /// The seed.
    pub seed: u64,
    /// First day, `YYYY-MM-DD`.
    pub start: String,
    /// Shares of events with faults.
    pub faults: FaultRates,
    /// Fingerprint of the persona file, 16 hexadecimal digits.
    pub personas: String,
}

/// Lines = landed + duplicates + quarantined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Lines written.
    pub lines: u64,
    /// Lines that are an event's first.
    pub landed: u64,
    /// Lines that repeat an event.
    pub duplicates: u64,
    /// Lines that do not fit their contract.
    pub quarantined: u64,
}

/// Number of landed events of one type on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCount {
    /// The event type.
    pub event_type: String,
    /// UTC day of the event time, `YYYY-MM-DD`.
    pub event_date: String,
    /// Number of events, at least 1.
    pub rows: u64,
}

/// Expected contents of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthTable {
    /// Columns that identify a row; the first ones of `columns`.
    pub key: Vec<String>,
    /// The columns of `rows`.
    pub columns: Vec<TruthColumn>,
    /// The rows, sorted by key.
    pub rows: Vec<Vec<TruthValue>>,
}

/// One column of a [`TruthTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthColumn {
    /// Name of the column.
    pub name: String,
    /// How its values are written and compared.
    pub kind: TruthKind,
}

/// How values are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruthKind {
    /// A JSON integer, compared exactly.
    Integer,
    /// A text with all digits of the scale, such as `"12.30"`, compared exactly.
    Decimal,
    /// A JSON number between 0 and 1, compared with a relative tolerance of 1e-9.
    Share,
    /// A JSON number, compared with a relative tolerance of 1e-9.
    Number,
    /// A text `YYYY-MM-DD`.
    Date,
    /// A text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A text `YYYY-MM-DDThh:mm:ssZ`, a point in time in UTC.
    Timestamp,
}

//! Unit tests of models, as files: given rows in, expected rows out.
//!
//! A test lies in a YAML file of `sql/tests/` and runs in memory: its rows stand in for the tables
//! that the model reads, and the model's own SQL runs over them as it would in a run. No store is
//! opened.
//!
//! ```yaml
//! - name: a session over midnight counts on the day on which it began
//!   model: fact_session          # left out where the file has the model's name
//!   given:
//!     events.session_start:
//!       - {player_id: ana, session_id: s1, event_time: 2026-01-01T23:50:00Z}
//!     events.session_end:
//!       - {player_id: ana, session_id: s1, event_time: 2026-01-02T00:10:00Z}
//!   expect:
//!     - {session_id: s1, session_date: 2026-01-01, events: 2}
//! ```
//!
//! | key | is |
//! |---|---|
//! | `given` | rows by table: `events.<type>`, `events.envelope`, `star.<model>`, `run.changed_dates`; a table that is not named is empty |
//! | `expect` | the rows of the result, in any order; of each row only the columns that are named are compared |
//! | `only` | column and value: the rows of the result that the test is about |
//! | `exact` | `true`: columns that an expected row does not name are expected to be NULL |
//!
//! What an event does not name is filled in: an `event_id`, a `player_id`, noon of 2026-01-01 and a
//! second more for each event, `received_at` as `event_time`; platform, country and version are
//! NULL. Every event is in `events.envelope` as well.

mod compare;
mod file;
mod load;
mod rows;
mod run;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use serde::Serialize;

use crate::models::Model;
use crate::project::source::Located;

pub use load::{TESTS_FOLDER, load};
pub use run::run;

/// One unit test of a model.
#[derive(Debug, Clone)]
pub struct ModelTest {
    /// Path of its file relative to the project.
    pub file: String,
    /// Its name, where it stands.
    pub name: Located<String>,
    /// What it is about, beyond the name.
    pub description: Option<String>,
    /// The model.
    pub model: Arc<Model>,
    given: Given,
    /// Columns that a row of the result must have, to be looked at.
    only: BTreeMap<usize, ScalarValue>,
    expected: Vec<ExpectedRow>,
}

/// The tables that stand in for those of a run.
#[derive(Debug, Clone, Default)]
struct Given {
    /// By event type, and the envelope of all.
    events: BTreeMap<String, RecordBatch>,
    /// By model.
    star: BTreeMap<String, RecordBatch>,
    /// Days since 1970.
    changed_dates: Vec<i32>,
}

/// A row that is expected: values by place of the column.
#[derive(Debug, Clone)]
struct ExpectedRow {
    cells: BTreeMap<usize, ScalarValue>,
}

/// How a test ended.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Outcome {
    /// Every row is as expected.
    Passed,
    /// Rows are not as expected.
    Failed {
        /// The rows that differ.
        differences: Vec<RowDifference>,
    },
    /// The model's SQL failed on the rows.
    Broken {
        /// Why.
        error: String,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// Some of its cells have other values than expected.
    Differs,
    /// It is expected and not there.
    Missing,
    /// It is there and not expected.
    Unexpected,
    /// Another row has its key, or its key has a NULL: the warehouse would refuse it.
    Key,
}

/// A row that is not as expected.
#[derive(Debug, Clone, Serialize)]
pub struct RowDifference {
    /// What is wrong with it.
    pub kind: DifferenceKind,
    /// Its cells: those of the key first, then those that are compared.
    pub cells: Vec<CellDifference>,
}

/// A cell of a row that is not as expected.
#[derive(Debug, Clone, Serialize)]
pub struct CellDifference {
    /// The column.
    pub column: String,
    /// The expected value as text, if there is an expectation.
    pub expected: Option<String>,
    /// The value as text, if there is such a row.
    pub found: Option<String>,
    /// Whether the two differ.
    pub differs: bool,
}

/// What became of one test.
#[derive(Debug, Clone)]
pub struct TestReport {
    /// Place of the test among those that were run.
    pub index: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

impl TestReport {
    /// Whether the test passed.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed)
    }
}

impl ModelTest {
    /// Whether its file, model or name contains `pattern`, whatever the case. `*` stands for any
    /// text.
    pub fn matches(&self, pattern: &str) -> bool {
        let whole = format!("{}\n{}\n{}", self.file, self.model.name(), self.name.value);
        let whole = whole.to_lowercase();
        let pattern = pattern.to_lowercase();
        whole.lines().any(|line| {
            let mut rest = line;
            pattern.split('*').all(|part| match rest.find(part) {
                Some(found) => {
                    rest = &rest[found + part.len()..];
                    true
                }
                None => false,
            })
        })
    }
}

//! Checks: what must hold of the star schema, and what becomes of rows that break it.
//!
//! A model's header says what must hold of its columns; a file of `sql/checks/` is one `SELECT` of
//! the rows that are wrong. Checks of one model run after its rows are computed and before they are
//! published, over the table as it will be: an error keeps the rows from being published, and the
//! model stays where it was, so that the next run tries again. A check that is about no model in
//! particular runs when the models that it reads have ended, and only reports.
//!
//! No check reads whole tables. Conditions on columns are evaluated while the rows pass by
//! (`rows`), references are looked up by the values that came (`references`), and a `SELECT`
//! sees the partitions that the run touches (`session`).

pub(crate) mod compile;
pub(crate) mod gate;
pub(crate) mod hot;
pub mod latest;
pub(crate) mod preview;
pub(crate) mod references;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod session;

use std::collections::BTreeSet;
use std::time::Duration;

use datafusion::common::ScalarValue;

pub use run::Touched;

use crate::models::Model;
use crate::project::diagnostic::Severity;
use crate::query::PreparedStatement;
use crate::stores::warehouse::CheckRecord;

/// Wrong rows that are shown.
pub(crate) const SAMPLE_ROWS: usize = 5;

/// Name of the check that a model's key is in every row, and in no two.
pub const KEY_CHECK: &str = "key";

/// What must hold of a column's values.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnRule {
    /// They are not NULL.
    NotNull,
    /// They are among these, which have the column's type.
    Accepted(Vec<ScalarValue>),
    /// A column of another model has them.
    References {
        /// The other model.
        model: String,
        /// Its column.
        column: String,
    },
}

/// A check in a model's header.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnCheck {
    /// Column of the model.
    pub column: String,
    /// What must hold.
    pub rule: ColumnRule,
    /// Whether rows that break it are kept back or only reported.
    pub severity: Severity,
    /// Line of the model's file.
    pub line: u64,
}

impl ColumnCheck {
    /// Its name, such as `not_null(item_id)`.
    pub fn name(&self) -> String {
        let setting = match self.rule {
            ColumnRule::NotNull => "not_null",
            ColumnRule::Accepted(_) => "accepted",
            ColumnRule::References { .. } => "references",
        };
        format!("{setting}({})", self.column)
    }

    /// What is wrong with a row that breaks it.
    pub fn description(&self) -> String {
        match &self.rule {
            ColumnRule::NotNull => format!("`{}` is NULL", self.column),
            ColumnRule::Accepted(values) => {
                let values: Vec<String> = values.iter().map(ScalarValue::to_string).collect();
                format!("`{}` is none of {}", self.column, values.join(", "))
            }
            ColumnRule::References { model, column } => {
                format!("`{}` is not in {model}.{column}", self.column)
            }
        }
    }
}

/// A file of `sql/checks/`.
#[derive(Debug, Clone)]
pub struct FileCheck {
    /// Its `SELECT`, with file and parameters.
    pub statement: PreparedStatement,
    /// What is wrong with the rows that it gives.
    pub description: Option<String>,
    /// Whether such rows are kept back, or fail the run, or are only reported.
    pub severity: Severity,
    /// The model whose new rows it is about.
    pub on: Option<String>,
    /// The columns of that model that it reads.
    pub columns: BTreeSet<String>,
    /// The models that it reads.
    pub reads_star: BTreeSet<String>,
    /// The event types that it reads (`envelope` for all).
    pub reads_events: BTreeSet<String>,
    /// Whether it reads `run.event_counts`.
    pub reads_counts: bool,
    /// Whether it reads `run.latest_events`.
    pub reads_latest: bool,
    /// Whether it reads `run.hot_sample`.
    pub reads_hot: bool,
    /// Days before those that the run touches that it also sees.
    pub lookback: i32,
    /// Days after them.
    pub lookahead: i32,
}

impl FileCheck {
    /// Its name: the file's, without `.sql`.
    pub fn name(&self) -> &str {
        self.statement.file.stem()
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// No row is wrong.
    Passed,
    /// Rows are wrong.
    Failed,
    /// It could not be evaluated.
    Broken,
    /// It was not evaluated, since what it compares with is not up to date.
    Skipped,
}

impl CheckStatus {
    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct CheckOutcome {
    /// Name of the check.
    pub name: String,
    /// The model whose rows it is about, if it is about one.
    pub model: Option<String>,
    /// How grave wrong rows are.
    pub severity: Severity,
    /// How it ended.
    pub status: CheckStatus,
    /// Rows that are wrong.
    pub rows: u64,
    /// The first of them, such as `event_id = e1, store = amazon`.
    pub sample: Vec<String>,
    /// Why it is broken or was skipped.
    pub detail: Option<String>,
    /// What is wrong with such rows.
    pub description: Option<String>,
    /// Where it is written, such as `sql/facts/fact_purchase.sql:7`.
    pub file: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl CheckOutcome {
    /// The outcome of a column's check so far: passed.
    fn of_column(model: &Model, check: &ColumnCheck) -> Self {
        Self {
            name: check.name(),
            model: Some(model.name().to_owned()),
            severity: check.severity,
            status: CheckStatus::Passed,
            rows: 0,
            sample: Vec::new(),
            detail: None,
            description: Some(check.description()),
            file: format!("{}:{}", model.source.file.path(), check.line),
            elapsed: Duration::ZERO,
        }
    }

    /// The outcome of a model's key so far: passed.
    pub(crate) fn of_key(model: &Model) -> Option<Self> {
        let key = model.source.header.key.first()?;
        Some(Self {
            name: KEY_CHECK.to_owned(),
            model: Some(model.name().to_owned()),
            severity: Severity::Error,
            status: CheckStatus::Passed,
            rows: 0,
            sample: Vec::new(),
            detail: None,
            description: Some("the key is NULL or there twice".to_owned()),
            file: format!("{}:{}", model.source.file.path(), key.line),
            elapsed: Duration::ZERO,
        })
    }

    /// The outcome of a file's check so far: passed.
    fn of_file(check: &FileCheck) -> Self {
        Self {
            name: check.name().to_owned(),
            model: check.on.clone(),
            severity: check.severity,
            status: CheckStatus::Passed,
            rows: 0,
            sample: Vec::new(),
            detail: None,
            description: check.description.clone(),
            file: check.statement.file.path().to_owned(),
            elapsed: Duration::ZERO,
        }
    }

    /// The same with wrong rows, if there are any.
    pub(crate) fn with_rows(mut self, rows: u64, sample: Vec<String>) -> Self {
        if rows > 0 {
            self.status = CheckStatus::Failed;
            self.rows = rows;
            self.sample = sample;
        }
        self
    }

    /// The same, broken or skipped.
    fn ended(mut self, status: CheckStatus, detail: impl Into<String>) -> Self {
        self.status = status;
        self.detail = Some(detail.into());
        self
    }

    /// Whether rows are wrong, or nobody can say that they are right.
    pub fn is_bad(&self) -> bool {
        matches!(self.status, CheckStatus::Failed | CheckStatus::Broken)
    }

    /// Whether it keeps rows from being published, or fails the run.
    pub fn is_error(&self) -> bool {
        self.is_bad() && self.severity == Severity::Error
    }

    /// Its name with the model's, such as `fact_purchase.not_null(item_id)`.
    pub fn full_name(&self) -> String {
        full_name(self.model.as_deref(), &self.name)
    }

    /// The entry of the history.
    pub(crate) fn record(&self, run: i64, finished_at: i64) -> CheckRecord {
        CheckRecord {
            run,
            finished_at,
            name: self.name.clone(),
            model: self.model.clone(),
            severity: severity_name(self.severity).to_owned(),
            status: self.status.name().to_owned(),
            rows: self.rows,
            sample: (!self.sample.is_empty()).then(|| self.sample.join("\n")),
            detail: self.detail.clone(),
            description: self.description.clone(),
            file: self.file.clone(),
            millis: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A check's name with its model's.
pub fn full_name(model: Option<&str>, name: &str) -> String {
    match model {
        Some(model) => format!("{model}.{name}"),
        None => name.to_owned(),
    }
}

/// The name of a severity that is written, stored and shown.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warn",
    }
}

/// Checks and their numbers of wrong rows in a few words: `accepted(store) (3 rows), key`.
pub(crate) fn summary(outcomes: &[CheckOutcome]) -> String {
    let parts: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.is_error())
        .map(|outcome| match outcome.rows {
            0 => outcome.name.clone(),
            1 => format!("{} (1 row)", outcome.name),
            rows => format!("{} ({rows} rows)", outcome.name),
        })
        .collect();
    parts.join(", ")
}

//! What a run did.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::Span;

use super::PipelineError;
use crate::checks::{CheckOutcome, Touched};
use crate::stores::warehouse::LoadOutcome;

/// How a model's run ended.
#[derive(Debug)]
pub enum ModelState {
    /// Its table was loaded.
    Loaded(LoadOutcome),
    /// There was nothing to do.
    UpToDate,
    /// It failed; its table is as it was.
    Failed(PipelineError),
    /// It was not run because a model that it reads failed, or a store that it needs is away.
    Skipped(PipelineError),
}

/// What a run did with one model.
#[derive(Debug)]
pub struct ModelReport {
    /// The model.
    pub model: String,
    /// What was to be done.
    pub action: String,
    /// How it ended.
    pub state: ModelState,
    /// How long it took.
    pub elapsed: Duration,
    /// What its checks found.
    pub checks: Vec<CheckOutcome>,
    /// What it touched, if it was loaded.
    pub touched: Option<Touched>,
    /// The partitions (days since 1970) that were to be built anew, if not all of it.
    pub partitions: Option<BTreeSet<i32>>,
}

impl ModelReport {
    pub(super) fn tell(&self, span: &Span) {
        span.record("action", self.action.as_str());
        match &self.state {
            ModelState::Loaded(outcome) => {
                span.record("rows", outcome.rows_staged);
            }
            ModelState::UpToDate => {}
            ModelState::Failed(error) | ModelState::Skipped(error) => {
                span.record("otel.status_description", error.to_string());
            }
        }
    }
}

/// What a run did.
#[derive(Debug)]
pub struct RunReport {
    /// Tables and columns that were created first, in words.
    pub migrations: Vec<String>,
    /// The models, in the order in which they ended.
    pub models: Vec<ModelReport>,
    /// The latest commit that was read.
    pub through: i64,
    /// Whether the models were to be built anew from all history.
    pub full_refresh: bool,
    /// What checks found that are about no model in particular.
    pub checks: Vec<CheckOutcome>,
}

impl RunReport {
    /// Whether every model is up to date now, and no check has found an error.
    pub fn succeeded(&self) -> bool {
        self.models_succeeded() && !self.checks.iter().any(CheckOutcome::is_error)
    }

    /// Whether every model is up to date now.
    pub(super) fn models_succeeded(&self) -> bool {
        self.models
            .iter()
            .all(|report| matches!(report.state, ModelState::Loaded(_) | ModelState::UpToDate))
    }

    /// The models that a full refresh has built anew, and those that it has not.
    pub fn refreshed(&self) -> (Vec<String>, Vec<String>) {
        let names = |loaded: bool| {
            let models = self.models.iter();
            let models = models.filter(move |m| matches!(m.state, ModelState::Loaded(_)) == loaded);
            models.map(|report| report.model.clone()).collect()
        };
        (names(true), names(false))
    }

    /// What all checks found, those of models first.
    pub fn all_checks(&self) -> impl Iterator<Item = &CheckOutcome> {
        self.models.iter().flat_map(|report| &report.checks).chain(&self.checks)
    }
}

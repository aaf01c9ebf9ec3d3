//! What is kept of a run, and what is logged of it.

use tracing::{error, info, warn};

use super::run::{ModelReport, ModelState, Observer, RunReport};
use super::warnings::FULL_REFRESH;
use super::{Engine, PipelineError};
use crate::checks::{CheckOutcome, CheckStatus};
use crate::clock::now_millis;
use crate::stores::warehouse::RunRecord;

impl Engine {
    /// Adds a run that began at this time (milliseconds since 1970, UTC) to the history.
    pub(super) async fn record(
        &self,
        report: &RunReport,
        started_at: i64,
    ) -> Result<(), PipelineError> {
        let finished_at = now_millis();
        let checks: Vec<_> =
            report.all_checks().map(|check| check.record(started_at, finished_at)).collect();
        if !checks.is_empty() {
            let kept = i64::try_from(self.keep_checks.as_millis()).unwrap_or(i64::MAX);
            let oldest = finished_at.saturating_sub(kept);
            self.stores.warehouse.record_checks(&checks, oldest).await?;
        }
        let full_refresh = report.full_refresh;
        let records: Vec<RunRecord> = report
            .models
            .iter()
            .filter(|report| !matches!(report.state, ModelState::UpToDate))
            .map(|report| {
                let elapsed = i64::try_from(report.elapsed.as_millis()).unwrap_or(i64::MAX);
                let (state, rows, error) = match &report.state {
                    ModelState::Loaded(outcome) => ("loaded", outcome.rows_staged, None),
                    ModelState::UpToDate => ("up to date", 0, None),
                    ModelState::Failed(error) => ("failed", 0, Some(error.to_string())),
                    ModelState::Skipped(error) => ("skipped", 0, Some(error.to_string())),
                };
                RunRecord {
                    started_at: finished_at - elapsed,
                    finished_at,
                    model: report.model.clone(),
                    state: state.to_owned(),
                    mode: match full_refresh {
                        true => FULL_REFRESH.to_owned(),
                        false => report.action.clone(),
                    },
                    rows,
                    error,
                }
            })
            .collect();
        if !records.is_empty() {
            self.stores.warehouse.record_runs(&records).await?;
        }
        Ok(())
    }
}

/// Logs how a model ended, and tells whoever watches.
pub(super) fn notify(observer: &Option<Observer>, report: &ModelReport) {
    match &report.state {
        ModelState::Failed(failure) => {
            error!(model = %report.model, error = %failure, "model {} failed: {failure}", report.model);
        }
        // Whoever watches is told below.
        ModelState::Loaded(outcome) if observer.is_none() => info!(
            model = %report.model,
            rows = outcome.rows_staged,
            "model {} loaded: {}, {} rows",
            report.model,
            report.action,
            outcome.rows_staged
        ),
        ModelState::Loaded(_) | ModelState::UpToDate | ModelState::Skipped(_) => {}
    }
    for check in &report.checks {
        notify_of_check(check, observer.is_some());
    }
    if let Some(observer) = observer {
        observer(report);
    }
}

/// Logs a check that found something, unless whoever watches is told anyway. That rows were kept back
/// is told with their model.
pub(super) fn notify_of_check(check: &CheckOutcome, is_watched: bool) {
    if is_watched || !check.is_bad() {
        return;
    }
    let name = check.full_name();
    let what = check.detail.as_deref().or(check.description.as_deref()).unwrap_or_default();
    match check.status {
        CheckStatus::Broken => {
            warn!(check = %name, "check {name} could not be evaluated: {what}");
        }
        _ => {
            warn!(check = %name, rows = check.rows, "check {name}: {} rows are wrong: {what}", check.rows);
        }
    }
}

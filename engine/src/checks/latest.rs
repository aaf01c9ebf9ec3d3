//! What the checks of a project found last, as the history has it.

use futures::future::BoxFuture;
use serde::Serialize;

use super::{CheckStatus, KEY_CHECK, severity_name};
use crate::pipeline::{Engine, PipelineError};
use crate::project::diagnostic::Severity;
use crate::status::ModelStatus;
use crate::stores::warehouse::CheckRecord;

/// A check that has found something.
#[derive(Debug, Clone, Serialize)]
pub struct FailingCheck {
    /// Its name.
    pub name: String,
    /// The model whose rows it is about, if it is about one.
    pub model: Option<String>,
    /// `error` or `warn`.
    pub severity: String,
    /// `failed` or `broken`.
    pub status: String,
    /// Rows that are wrong.
    pub rows: u64,
    /// The first of them, one per line.
    pub sample: Option<String>,
    /// What is wrong with them, or why it could not be evaluated.
    pub reason: Option<String>,
    /// Where it is written.
    pub file: String,
    /// When (milliseconds since 1970, UTC).
    pub finished_at: i64,
}

impl Engine {
    /// What the checks of the project found last, where that is not good. An error that keeps nothing
    /// back is not among it: the model has nothing to publish any more.
    pub fn failing_checks<'a>(
        &'a self,
        models: &'a [ModelStatus],
    ) -> BoxFuture<'a, Result<Vec<FailingCheck>, PipelineError>> {
        Box::pin(async move {
            let waits = |name: &String| {
                models.iter().find(|model| model.model == *name).is_some_and(|model| {
                    model.behind_commits > 0
                        || model.stale_days > 0
                        || model.definition_changed
                        || model.ledger_sequence.is_none()
                })
            };
            let matters = |check: &CheckRecord| {
                check.status != CheckStatus::Passed.name()
                    && (check.severity != severity_name(Severity::Error)
                        || check.model.as_ref().is_none_or(waits))
            };
            let latest = self.latest_checks().await?;
            let failing = latest.into_iter().filter(matters);
            Ok(failing
                .map(|check| FailingCheck {
                    name: check.name,
                    model: check.model,
                    severity: check.severity,
                    status: check.status,
                    rows: check.rows,
                    sample: check.sample,
                    reason: check.detail.or(check.description),
                    file: check.file,
                    finished_at: check.finished_at,
                })
                .collect())
        })
    }

    /// What each check of the project found last.
    pub fn latest_checks(&self) -> BoxFuture<'_, Result<Vec<CheckRecord>, PipelineError>> {
        Box::pin(async move {
            let mut latest = self.stores.warehouse.latest_checks().await?;
            // What a check found that the project no longer has is history.
            latest.retain(|check| match &check.model {
                Some(model) => self.project.model(model).is_some_and(|model| {
                    (check.name == KEY_CHECK && !model.table.key.is_empty())
                        || model.checks.iter().any(|known| known.name() == check.name)
                        || self
                            .project
                            .checks_on(model.name())
                            .any(|file| file.name() == check.name)
                }),
                None => {
                    let mut checks = self.project.checks.iter().filter(|file| file.on.is_none());
                    checks.any(|file| file.name() == check.name)
                }
            });
            Ok(latest)
        })
    }
}

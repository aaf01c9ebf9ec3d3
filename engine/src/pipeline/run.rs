//! Runs the models in the order of their dependencies, independent ones at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::field::Empty;
use tracing::{Instrument, info_span, instrument};

use super::execute::{Execution, RunTime, execute_model};
use super::plan::{Action, RunOptions, Situation, plan_model};
use super::record::{notify, notify_of_check};
pub use super::report::{ModelReport, ModelState, RunReport};
use super::select::select_models;
use super::warnings::BUILD_ANEW;
use super::{Engine, PipelineError};
use crate::checks::CheckOutcome;
use crate::checks::run::EndedRun;
use crate::clock::now_millis;
use crate::models::Model;

/// Is told of each model that ends.
pub type Observer = Arc<dyn Fn(&ModelReport) + Send + Sync>;

impl Engine {
    /// Brings the selected models up to date. A model that fails does not keep others from being
    /// loaded, except those that read it.
    #[instrument(target = "span", name = "etl run", skip_all)]
    pub fn run<'a>(
        &'a self,
        options: &'a RunOptions,
        observer: Option<Observer>,
    ) -> BoxFuture<'a, Result<RunReport, PipelineError>> {
        Box::pin(async move {
            let selected = select_models(&self.project, &options.select)?;
            let _lock = self.stores.warehouse.lock("pipeline").await?;
            let started_at = now_millis();
            let names: Vec<String> =
                self.project.models.iter().map(|model| model.name().to_owned()).collect();
            self.stores.warehouse.forget_models_except(&names).await?;
            if options.backfill.is_some() {
                // What is new comes first, so that a backfill and an increment never overlap.
                let increment =
                    RunOptions { select: options.select.clone(), ..RunOptions::default() };
                let report =
                    self.run_selected(&selected, &increment, started_at, observer.clone()).await?;
                self.record(&report, started_at).await?;
                if !report.models_succeeded() {
                    return Ok(report);
                }
            }
            let report = self.run_selected(&selected, options, started_at, observer).await?;
            self.record(&report, started_at).await?;
            Ok(report)
        })
    }

    async fn run_selected(
        &self,
        selected: &BTreeSet<String>,
        options: &RunOptions,
        started_at: i64,
        observer: Option<Observer>,
    ) -> Result<RunReport, PipelineError> {
        let situation = Situation::read(self, None).await?;
        self.refuse_unreadable(selected, options, &situation).await?;
        let rebuilt = self.rebuilt_tables(selected, options, &situation);
        // A model that is not selected keeps its table as it is; one that was never loaded may be read.
        let concerned = |model: &&Arc<Model>| {
            selected.contains(model.name()) || !situation.progress.contains_key(model.name())
        };
        let models = self.project.models.iter().filter(concerned);
        let tables: Vec<_> = models.map(|model| model.table.clone()).collect();
        let migrations = self.stores.warehouse.prepare(&tables, &rebuilt).await?;
        let mut run = Run {
            engine: self,
            options,
            time: RunTime {
                through: situation.through,
                started_at,
                latest_day: self.latest_day(&situation).await?,
            },
            waiting: self
                .project
                .models
                .iter()
                .filter(|model| selected.contains(model.name()))
                .cloned()
                .collect(),
            ended: BTreeMap::new(),
            tasks: JoinSet::new(),
            permits: Arc::new(Semaphore::new(self.model_parallelism)),
            away: Arc::default(),
        };
        let mut reports = Vec::new();
        loop {
            for report in run.start_ready(selected) {
                notify(&observer, &report);
                reports.push(report);
            }
            let Some(ended) = run.tasks.join_next().await else {
                if run.waiting.is_empty() {
                    break;
                }
                continue;
            };
            let report = match ended {
                Ok(report) => report,
                Err(error) => {
                    return Err(PipelineError::Aborted {
                        model: "of this run".to_owned(),
                        reason: error.to_string(),
                    });
                }
            };
            let succeeded = matches!(report.state, ModelState::Loaded(_) | ModelState::UpToDate);
            run.ended.insert(report.model.clone(), succeeded);
            notify(&observer, &report);
            reports.push(report);
        }
        let checks = self.check_run(&reports, options, run.time).await;
        for check in &checks {
            notify_of_check(check, observer.is_some());
        }
        Ok(RunReport {
            migrations,
            models: reports,
            through: situation.through,
            full_refresh: options.full_refresh,
            checks,
        })
    }

    /// Evaluates the checks that are about no model in particular.
    async fn check_run(
        &self,
        reports: &[ModelReport],
        options: &RunOptions,
        time: RunTime,
    ) -> Vec<CheckOutcome> {
        let failed = |report: &&ModelReport| {
            matches!(report.state, ModelState::Failed(_) | ModelState::Skipped(_))
        };
        let ended = EndedRun {
            engine: self,
            touched: reports
                .iter()
                .filter_map(|report| Some((report.model.as_str(), report.touched.as_ref()?)))
                .collect(),
            failed: reports.iter().filter(failed).map(|report| report.model.as_str()).collect(),
            is_increment: options.select.is_empty() && options.backfill.is_none(),
            through: time.through,
            clock: time.started_at,
        };
        ended.look().await
    }

    /// The tables that this run replaces as a whole, so that their columns may change.
    fn rebuilt_tables(
        &self,
        selected: &BTreeSet<String>,
        options: &RunOptions,
        situation: &Situation,
    ) -> BTreeSet<String> {
        self.project
            .models
            .iter()
            .filter(|model| selected.contains(model.name()))
            .filter(|model| {
                let progress = situation.progress.get(model.name());
                options.full_refresh
                    || progress.is_none()
                    || (!model.strategy.reads_events()
                        && progress
                            .is_some_and(|known| known.definition_hash != model.definition_hash))
            })
            .map(|model| model.name().to_owned())
            .collect()
    }
}

/// A run under way.
struct Run<'a> {
    engine: &'a Engine,
    options: &'a RunOptions,
    time: RunTime,
    waiting: Vec<Arc<Model>>,
    /// Models that have ended, and whether they succeeded.
    ended: BTreeMap<String, bool>,
    tasks: JoinSet<ModelReport>,
    permits: Arc<Semaphore>,
    /// The store for which a model over events has waited in vain. It has tried for minutes, and
    /// all of them need it: the others do not begin to.
    away: Arc<OnceLock<String>>,
}

impl Run<'_> {
    /// Starts every waiting model whose upstream has ended; returns reports of those that cannot
    /// run because one has failed.
    fn start_ready(&mut self, selected: &BTreeSet<String>) -> Vec<ModelReport> {
        let mut skipped = Vec::new();
        for model in std::mem::take(&mut self.waiting) {
            let waits = self.engine.project.waits.get(model.name());
            let upstream = || {
                let waits = waits.iter().flat_map(|waits| waits.iter());
                waits.filter(|(name, _)| selected.contains(*name))
            };
            let failed = |(name, needed): &(&String, &bool)| {
                **needed && self.ended.get(*name) == Some(&false)
            };
            if let Some((failed, _)) = upstream().find(failed) {
                let name = model.name().to_owned();
                self.ended.insert(name.clone(), false);
                let error = PipelineError::UpstreamFailed { model: name, upstream: failed.clone() };
                skipped.push(not_run(&model, error));
            } else if upstream().all(|(name, _)| self.ended.contains_key(name)) {
                let engine = self.engine.clone();
                let options = self.options.clone();
                let permits = Arc::clone(&self.permits);
                let time = self.time;
                let away = Arc::clone(&self.away);
                let work = async move {
                    let _permit = permits.acquire_owned().await;
                    let reads_events = model.strategy.reads_events();
                    if let (true, Some(store)) = (reads_events, away.get()) {
                        let (name, store) = (model.name().to_owned(), store.clone());
                        return not_run(&model, PipelineError::StoreAway { model: name, store });
                    }
                    let span = info_span!(target: "span", "model",
                        otel.name = format!("model {}", model.name()), model = model.name(),
                        action = Empty, rows = Empty, otel.status_description = Empty);
                    let report =
                        run_model(&engine, &model, &options, time).instrument(span.clone()).await;
                    report.tell(&span);
                    if let (true, ModelState::Failed(error)) = (reads_events, &report.state)
                        && let Some(store) = error.store_away()
                    {
                        away.get_or_init(|| store.to_owned());
                    }
                    report
                };
                self.tasks.spawn(work.in_current_span());
            } else {
                self.waiting.push(model);
            }
        }
        skipped
    }
}

/// The report of a model that was not begun.
fn not_run(model: &Model, error: PipelineError) -> ModelReport {
    ModelReport {
        model: model.name().to_owned(),
        action: "none".to_owned(),
        state: ModelState::Skipped(error),
        elapsed: Duration::ZERO,
        checks: Vec::new(),
        touched: None,
        partitions: None,
    }
}

async fn run_model(
    engine: &Engine,
    model: &Model,
    options: &RunOptions,
    time: RunTime,
) -> ModelReport {
    let started = Instant::now();
    let mut report = ModelReport {
        model: model.name().to_owned(),
        action: String::new(),
        state: ModelState::UpToDate,
        elapsed: Duration::ZERO,
        checks: Vec::new(),
        touched: None,
        partitions: None,
    };
    let work = plan_and_execute(engine, model, options, time, &mut report);
    if let Some(limit) = engine.timeout {
        if tokio::time::timeout(limit, work).await.is_err() {
            let model = model.name().to_owned();
            report.state = ModelState::Failed(PipelineError::TimedOut { model, limit });
        }
    } else {
        work.await;
    }
    report.elapsed = started.elapsed();
    report
}

async fn plan_and_execute(
    engine: &Engine,
    model: &Model,
    options: &RunOptions,
    time: RunTime,
    report: &mut ModelReport,
) {
    // The models upstream have ended by now, so their stale marks are there.
    let plan = match Situation::read(engine, Some(time.through)).await {
        Ok(situation) => plan_model(engine, model, options, &situation).await,
        Err(error) => Err(error),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            report.state = ModelState::Failed(error.into());
            return;
        }
    };
    let latest = if options.backfill.is_none() { time.latest_day } else { None };
    let named = plan.action.named(latest);
    report.action = describe(model, &named);
    if let Action::Partitions(partitions) = named {
        report.partitions = Some(partitions);
    }
    report.state = match plan.action {
        Action::UpToDate => ModelState::UpToDate,
        // Among all models there are some that have no days; only who asks for one must be told.
        Action::NoPartition if !options.names(model.name()) => ModelState::UpToDate,
        Action::NoPartition => {
            ModelState::Failed(PipelineError::NoPartition { model: model.name().to_owned() })
        }
        _ => {
            let Execution { outcome, checks, touched } =
                execute_model(engine, model, &plan, time).await;
            report.checks = checks;
            match outcome {
                Ok(outcome) => {
                    report.touched = Some(touched);
                    ModelState::Loaded(outcome)
                }
                Err(error) => ModelState::Failed(error),
            }
        }
    };
}

/// The action in a few words.
pub fn describe(model: &Model, action: &Action) -> String {
    match action {
        Action::UpToDate => "up to date".to_owned(),
        Action::NewEvents { .. } => format!("{} new events", model.strategy.name()),
        Action::Partitions(partitions) => match partitions.len() {
            1 => "rebuild 1 day".to_owned(),
            days => format!("rebuild {days} days"),
        },
        Action::Everything => BUILD_ANEW.to_owned(),
        Action::NoPartition => "cannot rebuild single days".to_owned(),
    }
}

//! Runs the models in the order of their dependencies, independent ones at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{error, info};

use super::execute::execute_model;
use super::plan::{Action, ModelPlan, RunOptions, Situation, plan_model};
use super::select::select_models;
use super::{Engine, PipelineError};
use crate::clock::now_millis;
use crate::models::Model;
use crate::stores::warehouse::{LoadOutcome, RunRecord};

/// How a model's run ended.
#[derive(Debug)]
pub enum ModelState {
    /// Its table was loaded.
    Loaded(LoadOutcome),
    /// There was nothing to do.
    UpToDate,
    /// It failed; its table is as it was.
    Failed(PipelineError),
    /// It was not run because a model that it reads failed.
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
}

impl RunReport {
    /// Whether every model is up to date now.
    pub fn succeeded(&self) -> bool {
        self.models
            .iter()
            .all(|report| matches!(report.state, ModelState::Loaded(_) | ModelState::UpToDate))
    }
}

/// Is told of each model that ends.
pub type Observer = Arc<dyn Fn(&ModelReport) + Send + Sync>;

impl Engine {
    /// Brings the selected models up to date. A model that fails does not keep others from being
    /// loaded, except those that read it.
    pub async fn run(
        &self,
        options: &RunOptions,
        observer: Option<Observer>,
    ) -> Result<RunReport, PipelineError> {
        let selected = select_models(&self.project, &options.select)?;
        let _lock = self.stores.warehouse.lock("pipeline").await?;
        let names: Vec<String> =
            self.project.models.iter().map(|model| model.name().to_owned()).collect();
        self.stores.warehouse.forget_models_except(&names).await?;
        if options.backfill.is_some() {
            // What is new comes first, so that a backfill and an increment never overlap.
            let increment = RunOptions { select: options.select.clone(), ..RunOptions::default() };
            let report = self.run_selected(&selected, &increment, observer.clone()).await?;
            self.record(&report).await?;
            if !report.succeeded() {
                return Ok(report);
            }
        }
        let report = self.run_selected(&selected, options, observer).await?;
        self.record(&report).await?;
        Ok(report)
    }

    async fn run_selected(
        &self,
        selected: &BTreeSet<String>,
        options: &RunOptions,
        observer: Option<Observer>,
    ) -> Result<RunReport, PipelineError> {
        let situation = Situation::read(self, None).await?;
        let rebuilt = self.rebuilt_tables(selected, options, &situation);
        let tables: Vec<_> = self.project.models.iter().map(|model| model.table.clone()).collect();
        let migrations = self.stores.warehouse.prepare(&tables, &rebuilt).await?;
        let mut run = Run {
            engine: self,
            options,
            through: situation.through,
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
        Ok(RunReport { migrations, models: reports, through: situation.through })
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

    async fn record(&self, report: &RunReport) -> Result<(), PipelineError> {
        let finished_at = now_millis();
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
                    mode: report.action.clone(),
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

fn notify(observer: &Option<Observer>, report: &ModelReport) {
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
    if let Some(observer) = observer {
        observer(report);
    }
}

/// A run under way.
struct Run<'a> {
    engine: &'a Engine,
    options: &'a RunOptions,
    through: i64,
    waiting: Vec<Arc<Model>>,
    /// Models that have ended, and whether they succeeded.
    ended: BTreeMap<String, bool>,
    tasks: JoinSet<ModelReport>,
    permits: Arc<Semaphore>,
}

impl Run<'_> {
    /// Starts every waiting model whose upstream has ended; returns reports of those that cannot
    /// run because one has failed.
    fn start_ready(&mut self, selected: &BTreeSet<String>) -> Vec<ModelReport> {
        let mut skipped = Vec::new();
        for model in std::mem::take(&mut self.waiting) {
            let upstream = || {
                model.reads.iter().map(|read| &read.model).filter(|name| selected.contains(*name))
            };
            if let Some(failed) = upstream().find(|name| self.ended.get(*name) == Some(&false)) {
                let error = PipelineError::UpstreamFailed {
                    model: model.name().to_owned(),
                    upstream: failed.clone(),
                };
                self.ended.insert(model.name().to_owned(), false);
                skipped.push(ModelReport {
                    model: model.name().to_owned(),
                    action: "none".to_owned(),
                    state: ModelState::Skipped(error),
                    elapsed: Duration::ZERO,
                });
            } else if upstream().all(|name| self.ended.contains_key(name)) {
                let engine = self.engine.clone();
                let options = self.options.clone();
                let permits = Arc::clone(&self.permits);
                let through = self.through;
                self.tasks.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    run_model(&engine, &model, &options, through).await
                });
            } else {
                self.waiting.push(model);
            }
        }
        skipped
    }
}

async fn run_model(
    engine: &Engine,
    model: &Model,
    options: &RunOptions,
    through: i64,
) -> ModelReport {
    let started = Instant::now();
    let work = plan_and_execute(engine, model, options, through);
    let (action, state) = match engine.timeout {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(ended) => ended,
            Err(_) => {
                let model = model.name().to_owned();
                (String::new(), ModelState::Failed(PipelineError::TimedOut { model, limit }))
            }
        },
    };
    ModelReport { model: model.name().to_owned(), action, state, elapsed: started.elapsed() }
}

async fn plan_and_execute(
    engine: &Engine,
    model: &Model,
    options: &RunOptions,
    through: i64,
) -> (String, ModelState) {
    // The models upstream have ended by now, so their stale marks are there.
    let plan = match Situation::read(engine, Some(through)).await {
        Ok(situation) => plan_model(engine, model, options, &situation).await,
        Err(error) => Err(error),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return (String::new(), ModelState::Failed(error.into())),
    };
    let action = describe(model, &plan);
    match plan.action {
        Action::UpToDate => (action, ModelState::UpToDate),
        Action::NoPartition => {
            let model = model.name().to_owned();
            (action, ModelState::Failed(PipelineError::NoPartition { model }))
        }
        _ => match execute_model(engine, model, &plan, through).await {
            Ok(outcome) => (action, ModelState::Loaded(outcome)),
            Err(error) => (action, ModelState::Failed(error)),
        },
    }
}

/// The action in a few words.
pub fn describe(model: &Model, plan: &ModelPlan) -> String {
    match &plan.action {
        Action::UpToDate => "up to date".to_owned(),
        Action::NewEvents { .. } => format!("{} new events", model.strategy.name()),
        Action::Partitions(partitions) => match partitions.len() {
            1 => "rebuild 1 day".to_owned(),
            days => format!("rebuild {days} days"),
        },
        Action::Everything => "build anew".to_owned(),
        Action::NoPartition => "cannot rebuild single days".to_owned(),
    }
}

//! Runs one model: its SQL over the right slice of events and tables, staged and published.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{SessionConfig, SessionContext, lit};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tracing::debug;

use super::plan::{Action, ModelPlan, event_days, source_days};
use super::{Engine, PipelineError};
use crate::catalog::events::{ArchiveSlice, ENVELOPE_TABLE, EventSlice, EventsTable};
use crate::catalog::memory::{self, panic_text};
use crate::catalog::{Namespace, is_one_of};
use crate::checks::gate::Gate;
use crate::checks::rows::RowChecks;
use crate::checks::session::Scope;
use crate::checks::{CheckOutcome, Touched, summary};
use crate::clock::now_millis;
use crate::failpoint;
use crate::models::{Model, Strategy};
use crate::stores::error::{StoreError, StoreErrorKind};
use crate::stores::ledger::SegmentEntry;
use crate::stores::ledger::archived::{ArchiveState, History};
use crate::stores::warehouse::key::is_key_violation;
use crate::stores::warehouse::{Load, LoadMode, LoadOutcome, ModelProgress, Publication};

/// What all models of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct RunTime {
    /// The latest commit that they read.
    pub through: i64,
    /// When the run began (milliseconds since 1970, UTC).
    pub started_at: i64,
    /// The latest day with rows, those of new events included (days since 1970).
    pub latest_day: Option<i32>,
}

/// What became of a model.
#[derive(Debug)]
pub struct Execution {
    /// Whether its rows were published.
    pub outcome: Result<LoadOutcome, PipelineError>,
    /// What its checks found.
    pub checks: Vec<CheckOutcome>,
    /// What it touched.
    pub touched: Touched,
}

/// Runs `plan` for `model`: computes its rows, has them checked, and publishes them.
pub fn execute_model<'a>(
    engine: &'a Engine,
    model: &'a Model,
    plan: &'a ModelPlan,
    run: RunTime,
) -> BoxFuture<'a, Execution> {
    Box::pin(async move {
        let mut checks = Vec::new();
        let mut touched = Touched::default();
        let outcome = execute(engine, model, plan, run, &mut checks, &mut touched).await;
        if let Some(key) = key_outcome(model, &outcome) {
            checks.insert(0, key);
        }
        Execution { outcome, checks, touched }
    })
}

async fn execute(
    engine: &Engine,
    model: &Model,
    plan: &ModelPlan,
    run: RunTime,
    checks: &mut Vec<CheckOutcome>,
    touched: &mut Touched,
) -> Result<LoadOutcome, PipelineError> {
    let input = Input::choose(engine, model, plan, run.through).await?;
    let (mut load, rows) = stage(engine, model, &input).await?;
    let after = match &plan.action {
        _ if !model.strategy.reads_events() => None,
        Action::NewEvents { after } => Some(*after),
        Action::Everything => Some(0),
        _ => plan.progress.as_ref().map(|progress| progress.ledger_sequence),
    };
    *touched = input.touched(model, &rows, after);
    if rows.has_rows() || !matches!(input.mode, LoadMode::Append | LoadMode::Upsert) {
        let scope = Scope {
            days: touched.days.clone(),
            changed: match &touched.days {
                Some(days) => days.iter().copied().collect(),
                None => input.changed_dates.clone(),
            },
            through: input.progress,
            after: after.unwrap_or(input.progress),
            clock: run.started_at,
        };
        let gate = Gate { engine, model, mode: &input.mode, scope: &scope };
        *checks = gate.look(&mut *load, rows).await?;
        let failed = summary(checks);
        if !failed.is_empty() {
            let model = model.name().to_owned();
            return Err(PipelineError::ChecksFailed { model, failed });
        }
    }
    failpoint::pass("etl.after_stage").map_err(|failure| {
        StoreError::new(
            engine.stores.warehouse.name(),
            "stage rows",
            StoreErrorKind::Unavailable,
            failure,
        )
    })?;
    let publication = Publication {
        mode: input.mode,
        expected: plan.progress.as_ref().map(|progress| progress.ledger_sequence),
        progress: ModelProgress {
            model: model.name().to_owned(),
            ledger_sequence: input.progress,
            definition_hash: model.definition_hash,
            updated_at: now_millis(),
        },
        mended_through: plan.mended_through,
        watches: engine.project.watches(model.name()),
    };
    Ok(load.publish(publication).await?)
}

/// What the warehouse says of the model's key, if it has one and the rows came that far.
fn key_outcome(
    model: &Model,
    outcome: &Result<LoadOutcome, PipelineError>,
) -> Option<CheckOutcome> {
    let key = CheckOutcome::of_key(model)?;
    match outcome {
        Ok(outcome) => (outcome.rows_staged > 0).then_some(key),
        Err(PipelineError::Store(error)) if is_key_violation(error) => {
            // The warehouse stops at the first such row.
            Some(key.with_rows(1, vec![error.source.to_string()]))
        }
        Err(_) => None,
    }
}

/// Stages the rows of a model. One that is refused memory beside others begins anew when it has all
/// of it to itself, in the way that needs least.
async fn stage(engine: &Engine, model: &Model, input: &Input) -> Result<Staged, PipelineError> {
    let beside_others = engine.memory_turn.read().await;
    let failure = match try_to_stage(engine, model, input, false).await {
        Ok(staged) => return Ok(staged),
        Err(failure) => failure,
    };
    drop(beside_others);
    if !failure.refused_memory {
        return Err(failure.error);
    }
    debug!(model = %model.name(), "model {} met engine.memory_limit; it begins anew alone", model.name());
    let _alone = engine.memory_turn.write().await;
    try_to_stage(engine, model, input, true).await.map_err(|failure| failure.error)
}

/// A load with all of its rows, and what was seen of them.
type Staged = (Box<dyn Load>, RowChecks);

/// Why rows could not be staged.
struct StageFailure {
    error: PipelineError,
    /// Whether an operator was refused memory, whatever the error says.
    refused_memory: bool,
}

async fn try_to_stage(
    engine: &Engine,
    model: &Model,
    input: &Input,
    frugal: bool,
) -> Result<Staged, StageFailure> {
    let (config, runtime, refusals) = memory::attempt(&engine.limits, &engine.runtime, frugal);
    let work = AssertUnwindSafe(stage_rows(engine, model, input, config, runtime)).catch_unwind();
    let error = match work.await {
        Ok(Ok(staged)) => return Ok(staged),
        Ok(Err(error)) => error,
        Err(panic) => {
            PipelineError::Aborted { model: model.name().to_owned(), reason: panic_text(&*panic) }
        }
    };
    let refused_memory = refusals.load(Ordering::Relaxed) > 0
        && matches!(error, PipelineError::Query { .. } | PipelineError::Aborted { .. });
    Err(StageFailure { error, refused_memory })
}

async fn stage_rows(
    engine: &Engine,
    model: &Model,
    input: &Input,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> Result<Staged, PipelineError> {
    let pool = Arc::clone(&runtime.memory_pool);
    let query_error =
        |source: DataFusionError| PipelineError::Query { model: model.name().to_owned(), source };
    let session = session_for(engine, model, input, config, runtime).await.map_err(query_error)?;
    let rows = select_rows(&session, model, input).await.map_err(query_error)?;
    let mut load = engine.stores.warehouse.begin_load(&model.table, &input.mode).await?;
    let mut seen = RowChecks::of_model(model, &pool).map_err(query_error)?;
    let mut stream = rows.execute_stream().await.map_err(query_error)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(query_error)?;
        if batch.num_rows() > 0 {
            seen.look_at(&batch).map_err(query_error)?;
            load.write(batch).await?;
        }
    }
    Ok((load, seen))
}

/// What a model reads, and where its rows go.
struct Input {
    segments: Vec<SegmentEntry>,
    /// The archive, if it reads all history.
    archive: Option<Arc<ArchiveState>>,
    /// Days of events that it sees, if limited.
    event_days: Option<BTreeSet<i32>>,
    /// First and last day of other models' partitions that it sees, if limited.
    star_days: Option<(i32, i32)>,
    /// The partitions that its rows are kept of, if limited.
    partitions: Option<BTreeSet<i32>>,
    changed_dates: Vec<i32>,
    mode: LoadMode,
    progress: i64,
}

impl Input {
    async fn choose(
        engine: &Engine,
        model: &Model,
        plan: &ModelPlan,
        through: i64,
    ) -> Result<Self, PipelineError> {
        let ledger = &engine.stores.ledger;
        let reads_events = model.strategy.reads_events();
        let mut input = Self {
            segments: Vec::new(),
            archive: None,
            event_days: None,
            star_days: None,
            partitions: None,
            changed_dates: Vec::new(),
            mode: LoadMode::ReplaceAll,
            progress: through,
        };
        match &plan.action {
            Action::UpToDate | Action::NoPartition => {
                input.mode = LoadMode::ReplacePartitions(BTreeSet::new());
                input.partitions = Some(BTreeSet::new());
            }
            Action::Everything => {
                if reads_events {
                    input.read_all(ledger.history(Some(through)).await?);
                }
            }
            Action::NewEvents { after } => {
                input.segments = ledger.segments(*after, through).await?;
                input.mode = match model.strategy {
                    Strategy::UpsertEvents => LoadMode::Upsert,
                    _ => LoadMode::Append,
                };
            }
            Action::Partitions(partitions) => {
                let days = source_days(model, partitions);
                if reads_events {
                    // A backfill must not read commits that the model has still to read in order.
                    if model.strategy != Strategy::ReplaceEventDays {
                        input.progress =
                            plan.progress.as_ref().map_or(through, |known| known.ledger_sequence);
                    }
                    input.read_all(ledger.history(Some(input.progress)).await?);
                    input.event_days = Some(days);
                } else {
                    input.star_days =
                        days.first().zip(days.last()).map(|(first, last)| (*first, *last));
                }
                input.changed_dates = partitions.iter().copied().collect();
                input.partitions = Some(partitions.clone());
                input.mode = LoadMode::ReplacePartitions(partitions.clone());
            }
        }
        if input.changed_dates.is_empty() {
            let days = event_days(model, &input.segments, input.archive.as_deref());
            input.changed_dates = days.into_keys().collect();
        }
        Ok(input)
    }

    /// What is touched by these rows.
    fn touched(&self, model: &Model, rows: &RowChecks, after: Option<i64>) -> Touched {
        let event_days: BTreeSet<i32> = match model.strategy.reads_events() {
            true => self.changed_dates.iter().copied().collect(),
            false => BTreeSet::new(),
        };
        let days = match (&model.table.partition, &self.mode) {
            (Some(_), LoadMode::ReplacePartitions(replaced)) => {
                Some(replaced.union(rows.days()).copied().collect())
            }
            (Some(_), _) => Some(rows.days().clone()),
            (None, LoadMode::ReplaceAll) => None,
            (None, _) => Some(event_days.clone()),
        };
        Touched { days, event_days, after }
    }

    fn read_all(&mut self, history: History) {
        self.segments = history.segments;
        self.archive = Some(Arc::new(history.archive));
    }
}

async fn session_for(
    engine: &Engine,
    model: &Model,
    input: &Input,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext, DataFusionError> {
    let mut namespace = Namespace::default();
    let slice = EventSlice {
        landing: Arc::clone(&engine.stores.landing),
        segments: input.segments.clone().into(),
        archive: input
            .archive
            .clone()
            .map(|state| ArchiveSlice { store: engine.stores.archive.clone(), state }),
        days: input.event_days.clone().map(Arc::new),
    };
    for read in &model.source.reads_events {
        let name = read.value.as_str();
        if name == ENVELOPE_TABLE {
            namespace.add_events(name, Arc::new(EventsTable::envelope(slice.clone())));
        } else if let Some(contract) =
            engine.project.contracts.iter().find(|contract| contract.event_type == name)
        {
            namespace.add_events(name, Arc::new(EventsTable::of_type(contract, slice.clone())));
        }
    }
    namespace.add_changed_dates(input.changed_dates.clone())?;
    for read in &model.reads {
        let Some(upstream) = engine.project.model(&read.model) else { continue };
        let table = engine.stores.warehouse.table(&upstream.table);
        match (input.star_days, &upstream.table.partition) {
            (Some((first, last)), Some(partition)) => {
                let days =
                    Expr::Column(Column::from_name(partition)).between(date(first), date(last));
                let scratch = SessionContext::new();
                let view = scratch.read_table(table)?.filter(days)?.into_view();
                namespace.add_star(&read.model, view);
            }
            _ => namespace.add_star(&read.model, table),
        }
    }
    namespace.into_session(config, runtime)
}

fn date(day: i32) -> Expr {
    lit(ScalarValue::Date32(Some(day)))
}

/// The model's rows, with the table's columns and types.
pub(crate) async fn model_rows(
    session: &SessionContext,
    model: &Model,
) -> Result<DataFrame, DataFusionError> {
    let state = session.state();
    let plan = state.statement_to_plan(model.source.statement.clone()).await?;
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(&model.table.columns)
        .map(|((qualifier, field), column)| {
            let value = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            let value = if *field.data_type() == column.data_type {
                value
            } else {
                cast(value, column.data_type.clone())
            };
            value.alias(&column.name)
        })
        .collect();
    DataFrame::new(state, plan).select(columns)
}

/// Those of the wanted partitions.
async fn select_rows(
    session: &SessionContext,
    model: &Model,
    input: &Input,
) -> Result<DataFrame, DataFusionError> {
    let rows = model_rows(session, model).await?;
    match (&input.partitions, &model.table.partition) {
        (Some(partitions), Some(partition)) => rows.filter(is_one_of(partition, partitions)),
        _ => Ok(rows),
    }
}

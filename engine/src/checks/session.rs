//! What a check's `SELECT` sees: the days that the run touches, of whatever it reads.
//!
//! | table | shows |
//! |---|---|
//! | `star.<model>` | the partitions of these days; all of it where the model has none |
//! | `events.<type>`, `events.envelope` | landing ∪ archive of these days |
//! | `run.changed_dates` | the days, without what `lookback` and `lookahead` add |
//! | `run.event_counts` | events by type and day, of all days, as the ledger counts them |
//! | `run.latest_events` | the envelope of the events of the latest day, whether there are new ones or not |
//! | `run.hot_sample` | some of the new events, and whether the hot store has them |
//! | `run.clock` | when the run began |

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{FutureExt, StreamExt};

use super::hot::{HOT_SAMPLE, hot_sample};
use super::rows::show_row;
use super::{FileCheck, SAMPLE_ROWS};
use crate::catalog::events::{ArchiveSlice, ENVELOPE_TABLE, EventSlice, EventsTable};
use crate::catalog::memory::{self, panic_text};
use crate::catalog::{Namespace, on_days};
use crate::pipeline::{Engine, PipelineError, describe};
use crate::project::contract::{TIME_ZONE, timestamp_type};
use crate::query::parameters::bind;
use crate::query::plan::logical_plan;
use crate::stores::ledger::archived::History;

/// The table of the run's time.
pub(super) const CLOCK: &str = "clock";
/// The table of the latest day's events.
pub(super) const LATEST_EVENTS: &str = "latest_events";
/// The table of counts of events.
pub(super) const EVENT_COUNTS: &str = "event_counts";

/// What a run touches, as far as a check is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The days (since 1970); `None` for all of whatever is read.
    pub(crate) days: Option<BTreeSet<i32>>,
    /// Those of them that have changed.
    pub(crate) changed: Vec<i32>,
    /// The latest commit that is read.
    pub(crate) through: i64,
    /// The latest commit that was read before.
    pub(crate) after: i64,
    /// When the run began (milliseconds since 1970, UTC).
    pub(crate) clock: i64,
}

impl Scope {
    /// The days that a check sees.
    pub(super) fn days_of(&self, check: &FileCheck) -> Option<BTreeSet<i32>> {
        let days = self.days.as_ref()?;
        let around =
            |day: &i32| day.saturating_sub(check.lookback)..=day.saturating_add(check.lookahead);
        Some(days.iter().flat_map(around).collect())
    }
}

/// Evaluates a check. `own` is the table of the model that it is about. Returns the number of wrong
/// rows and some of them, or why it could not be evaluated.
pub(super) async fn evaluate(
    engine: &Engine,
    check: &FileCheck,
    scope: &Scope,
    own: Option<Arc<dyn TableProvider>>,
) -> std::result::Result<(u64, Vec<String>), String> {
    let beside_others = engine.memory_turn.read().await;
    let (reason, refused_memory) = match attempt(engine, check, scope, &own, false).await {
        Ok(found) => return Ok(found),
        Err(failure) => failure,
    };
    drop(beside_others);
    if !refused_memory {
        return Err(reason);
    }
    let _alone = engine.memory_turn.write().await;
    attempt(engine, check, scope, &own, true).await.map_err(|(reason, _)| reason)
}

/// One attempt; says of a failure whether an operator was refused memory.
async fn attempt(
    engine: &Engine,
    check: &FileCheck,
    scope: &Scope,
    own: &Option<Arc<dyn TableProvider>>,
    frugal: bool,
) -> std::result::Result<(u64, Vec<String>), (String, bool)> {
    let (config, runtime, refusals) = memory::attempt(&engine.limits, &engine.runtime, frugal);
    let work = find_rows(engine, check, scope, own, config, runtime);
    let reason = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(PipelineError::Query { source, .. })) => describe(&source),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_text(&*panic),
    };
    Err((reason, refusals.load(Ordering::Relaxed) > 0))
}

async fn find_rows(
    engine: &Engine,
    check: &FileCheck,
    scope: &Scope,
    own: &Option<Arc<dyn TableProvider>>,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> std::result::Result<(u64, Vec<String>), PipelineError> {
    let failed = |source| PipelineError::Query { model: check.name().to_owned(), source };
    let session = session_for(engine, check, scope, own, config, runtime).await?;
    let state = session.state();
    let planned = async {
        let values = bind(&check.statement.header, &BTreeMap::new())?;
        logical_plan(&state, &check.statement, values.into()).await
    };
    let plan = planned
        .await
        .map_err(|error| failed(datafusion::common::DataFusionError::Plan(error.to_string())))?;
    let mut wrong = DataFrame::new(state.clone(), plan).execute_stream().await.map_err(failed)?;
    let (mut rows, mut sample) = (0, Vec::new());
    while let Some(batch) = wrong.next().await {
        let batch = batch.map_err(failed)?;
        rows += batch.num_rows() as u64;
        let schema = batch.schema();
        let columns: Vec<&str> =
            schema.fields().iter().map(|field| field.name().as_str()).collect();
        for row in 0..batch.num_rows().min(SAMPLE_ROWS - sample.len()) {
            sample.push(show_row(&batch, row, &columns));
        }
    }
    Ok((rows, sample))
}

async fn session_for(
    engine: &Engine,
    check: &FileCheck,
    scope: &Scope,
    own: &Option<Arc<dyn TableProvider>>,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> std::result::Result<SessionContext, PipelineError> {
    let failed = |source| PipelineError::Query { model: check.name().to_owned(), source };
    let days = scope.days_of(check);
    let mut namespace = Namespace::default();
    let reads_history = check.reads_counts || check.reads_hot || check.reads_latest;
    if !check.reads_events.is_empty() || reads_history {
        let history = engine.stores.ledger.history(Some(scope.through)).await?;
        if check.reads_counts {
            let counts = event_counts(&history, scope.after).map_err(failed)?;
            namespace.add_run(EVENT_COUNTS, counts);
        }
        if check.reads_hot {
            let sample = hot_sample(engine, &history, scope.after).await?;
            namespace.add_run(HOT_SAMPLE, sample);
        }
        if check.reads_latest {
            let latest: BTreeSet<i32> = latest_day(&history).into_iter().collect();
            let slice = event_slice(engine, history.clone(), Some(latest));
            namespace.add_run(LATEST_EVENTS, Arc::new(EventsTable::envelope(slice)));
        }
        add_events(&mut namespace, engine, check, history, days.clone());
    }
    namespace.add_changed_dates(scope.changed.clone()).map_err(failed)?;
    namespace.add_run(CLOCK, clock(scope.clock).map_err(failed)?);
    for name in &check.reads_star {
        if let (Some(own), true) = (own, check.on.as_ref() == Some(name)) {
            namespace.add_star(name, Arc::clone(own));
            continue;
        }
        let Some(model) = engine.project.model(name) else { continue };
        let table = engine.stores.warehouse.table(&model.table);
        let table = match (&days, &model.table.partition) {
            (Some(days), Some(partition)) => on_days(table, partition, days).map_err(failed)?,
            _ => table,
        };
        namespace.add_star(name, table);
    }
    namespace.into_session(config, runtime).map_err(failed)
}

fn add_events(
    namespace: &mut Namespace,
    engine: &Engine,
    check: &FileCheck,
    history: History,
    days: Option<BTreeSet<i32>>,
) {
    let slice = event_slice(engine, history, days);
    for name in &check.reads_events {
        let contract =
            engine.project.contracts.iter().find(|contract| contract.event_type == *name);
        let table = match contract {
            Some(contract) => EventsTable::of_type(contract, slice.clone()),
            None if name == ENVELOPE_TABLE => EventsTable::envelope(slice.clone()),
            None => continue,
        };
        namespace.add_events(name, Arc::new(table));
    }
}

fn event_slice(engine: &Engine, history: History, days: Option<BTreeSet<i32>>) -> EventSlice {
    EventSlice {
        landing: Arc::clone(&engine.stores.landing),
        segments: history.segments.into(),
        archive: Some(ArchiveSlice {
            store: engine.stores.archive.clone(),
            state: Arc::new(history.archive),
        }),
        days: days.map(Arc::new),
    }
}

/// The latest day with events.
fn latest_day(history: &History) -> Option<i32> {
    let archived = history.archive.tables.values().flat_map(|table| table.days.keys());
    let sections = history.segments.iter().flat_map(|entry| &entry.segment.sections);
    let landed = sections.flat_map(|section| section.rows_by_date.keys());
    archived.chain(landed).copied().max()
}

/// Schema of `run.event_counts`.
pub(super) fn event_counts_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_type", DataType::Utf8, false),
        Field::new("date", DataType::Date32, false),
        Field::new("events", DataType::Int64, false),
        Field::new("new_events", DataType::Int64, false),
    ]))
}

/// Schema of `run.clock`.
pub(super) fn clock_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("now", timestamp_type(), false)]))
}

/// Events by type and day in landing and archive, and how many of them came after a commit.
fn event_counts(history: &History, after: i64) -> Result<Arc<dyn TableProvider>> {
    let mut counts: BTreeMap<(&str, i32), (u64, u64)> = BTreeMap::new();
    for (event_type, table) in &history.archive.tables {
        for (day, digest) in &table.days {
            counts.entry((event_type.as_str(), *day)).or_default().0 += digest.rows;
        }
    }
    for entry in &history.segments {
        for section in &entry.segment.sections {
            for (day, rows) in &section.rows_by_date {
                let count = counts.entry((section.event_type.as_str(), *day)).or_default();
                count.0 += rows;
                count.1 += if entry.sequence > after { *rows } else { 0 };
            }
        }
    }
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let schema = event_counts_schema();
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(StringArray::from_iter_values(counts.keys().map(|key| key.0))),
            Arc::new(Date32Array::from_iter_values(counts.keys().map(|key| key.1))),
            Arc::new(Int64Array::from_iter_values(counts.values().map(|count| number(count.0)))),
            Arc::new(Int64Array::from_iter_values(counts.values().map(|count| number(count.1)))),
        ],
    )?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn clock(millis: i64) -> Result<Arc<dyn TableProvider>> {
    let schema = clock_schema();
    let now = TimestampMicrosecondArray::from_iter_values([millis.saturating_mul(1000)]);
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(now.with_timezone(TIME_ZONE))])?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

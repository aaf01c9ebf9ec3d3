//! `run.hot_sample`: some of the events that are new in a run, and whether the hot store has them.
//!
//! A hot store knows documents by their identifiers, players and times, not by when they were landed;
//! counting its documents of a day would read all of it. An event that has landed is in the hot
//! store, since it was inserted there first, and stays until it is in the archive. So a few of each
//! part of what is new are looked up by their identifiers: what is lost is rarely lost one by one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use datafusion::prelude::{SessionConfig, SessionContext, col};

use crate::catalog::events::{EventSlice, EventsTable};
use crate::pipeline::{Engine, PipelineError};
use crate::project::contract::{EventContract, envelope};
use crate::stores::error::{StoreError, StoreErrorKind};
use crate::stores::ledger::SegmentEntry;
use crate::stores::ledger::archived::History;

/// The table.
pub(super) const HOT_SAMPLE: &str = "hot_sample";

/// Parts of what is new that are looked at: an event type in a segment.
const PARTS: usize = 16;

/// Events of each part.
const EVENTS_PER_PART: usize = 32;

/// Longest time for the look-up. No model needs the hot store, so nobody waits for it to come back.
const LONGEST: Duration = Duration::from_secs(10);

/// Schema of `run.hot_sample`.
pub(super) fn hot_sample_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Utf8, false),
        Field::new("event_type", DataType::Utf8, false),
        Field::new("date", DataType::Date32, false),
        Field::new("is_hot", DataType::Boolean, false),
    ]))
}

/// Looks some of the events up that came after a commit.
pub(super) async fn hot_sample(
    engine: &Engine,
    history: &History,
    after: i64,
) -> std::result::Result<Arc<dyn TableProvider>, PipelineError> {
    let failed = |source| PipelineError::Query { model: HOT_SAMPLE.to_owned(), source };
    let sampled = new_events(engine, history, after).await.map_err(failed)?;
    let ids: Vec<String> =
        sampled.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    let hot = &engine.stores.hot;
    // A store that is not asked anything need not answer.
    let missing = match ids.is_empty() {
        true => Ok(Ok(Vec::new())),
        false => tokio::time::timeout(LONGEST, hot.missing(ids)).await,
    };
    let missing = match missing {
        Ok(missing) => missing?,
        Err(_) => {
            let what = format!("no answer within {} s", LONGEST.as_secs());
            let unavailable = StoreErrorKind::Unavailable;
            return Err(StoreError::new(hot.name(), "look events up", unavailable, what).into());
        }
    };
    let missing: HashSet<String> = missing.into_iter().collect();
    let with_answer = || -> Result<Arc<dyn TableProvider>> {
        let ids = sampled.column(0).as_string::<i32>();
        let is_hot: BooleanArray =
            ids.iter().map(|id| id.map(|id| !missing.contains(id))).collect();
        let mut columns = sampled.columns().to_vec();
        columns.push(Arc::new(is_hot));
        let schema = hot_sample_schema();
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
    };
    with_answer().map_err(failed)
}

/// Identifier, type and day of some of the events that came after a commit.
async fn new_events(engine: &Engine, history: &History, after: i64) -> Result<RecordBatch> {
    let mut parts: Vec<(&SegmentEntry, &Arc<EventContract>)> = Vec::new();
    for entry in history.segments.iter().filter(|entry| entry.sequence > after) {
        for section in &entry.segment.sections {
            let mut contracts = engine.project.contracts.iter();
            let contract = contracts.find(|known| known.event_type == section.event_type);
            parts.extend(contract.map(|contract| (entry, contract)));
        }
    }
    let step = parts.len().div_ceil(PARTS).max(1);
    let schema = hot_sample_schema().project(&[0, 1, 2])?;
    let schema = Arc::new(schema);
    let mut batches = Vec::new();
    for (entry, contract) in parts.into_iter().step_by(step) {
        let slice = EventSlice {
            landing: Arc::clone(&engine.stores.landing),
            segments: vec![entry.clone()].into(),
            archive: None,
            days: None,
        };
        let session = SessionContext::new_with_config_rt(
            SessionConfig::new().with_target_partitions(1),
            Arc::clone(&engine.runtime),
        );
        let events = session
            .read_table(Arc::new(EventsTable::of_type(contract, slice)))?
            .select(vec![col(envelope::EVENT_ID), col(envelope::EVENT_DATE)])?
            .limit(0, Some(EVENTS_PER_PART))?
            .collect()
            .await?;
        for rows in events {
            let types = StringArray::from_iter_values(std::iter::repeat_n(
                contract.event_type.as_str(),
                rows.num_rows(),
            ));
            let columns: Vec<ArrayRef> = vec![
                cast(rows.column(0), &DataType::Utf8)?,
                Arc::new(types),
                Arc::clone(rows.column(1)),
            ];
            batches.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
        }
    }
    Ok(concat_batches(&schema, &batches)?)
}

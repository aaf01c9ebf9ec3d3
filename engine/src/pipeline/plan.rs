//! What a run would do with each model, and why.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;

use super::Engine;
use crate::models::{Model, Strategy};
use crate::stores::error::StoreResult;
use crate::stores::ledger::SegmentEntry;
use crate::stores::ledger::archived::ArchiveState;
use crate::stores::warehouse::{ModelProgress, StaleMark};

/// What is asked of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Selectors of models, such as `fact_session+`; empty for all.
    pub select: Vec<String>,
    /// Build the selected models anew from all history.
    pub full_refresh: bool,
    /// Build these days (days since 1970, both included) of the selected models anew.
    pub backfill: Option<(i32, i32)>,
}

impl RunOptions {
    /// Whether this very model is asked for, not only with others.
    pub fn names(&self, model: &str) -> bool {
        let selectors = self.select.iter().flat_map(|selector| selector.split([',', ' ']));
        let name = |selector: &str| selector.trim_matches('+').trim_start_matches("star.") == model;
        selectors.map(str::trim).any(name)
    }
}

/// What is done with one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: there is nothing new.
    UpToDate,
    /// It reads the events of the commits after `after`.
    NewEvents {
        /// Commit up to which it has read before.
        after: i64,
    },
    /// These partitions (days since 1970) are built anew.
    Partitions(BTreeSet<i32>),
    /// All of it is built anew.
    Everything,
    /// A backfill is asked for, but single days of the model cannot be rebuilt.
    NoPartition,
}

impl Action {
    /// The same without days to come, which is how it is told to people: they are replaced like the
    /// others, but there are no rows on them. `latest` is the latest day with rows, if there is one.
    pub fn named(&self, latest: Option<i32>) -> Self {
        match (self, latest) {
            (Self::Partitions(days), Some(latest)) => {
                Self::Partitions(days.iter().copied().filter(|day| *day <= latest).collect())
            }
            (action, _) => action.clone(),
        }
    }
}

/// The plan for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlan {
    /// The model.
    pub model: String,
    /// What is done.
    pub action: Action,
    /// Why, for a person.
    pub reason: String,
    /// About how many events it reads, for a model over events.
    pub events: Option<u64>,
    /// The progress it had, if it was ever loaded.
    pub progress: Option<ModelProgress>,
    /// The stale marks that the action mends: all up to this number.
    pub mended_through: i64,
}

/// What is known before models run: progress, stale marks, commits.
#[derive(Debug, Clone)]
pub struct Situation {
    /// The latest commit that the run reads.
    pub through: i64,
    /// What is in the archive.
    pub archive: ArchiveState,
    /// Progress by model.
    pub progress: BTreeMap<String, ModelProgress>,
    /// Stale marks by model.
    pub stale: BTreeMap<String, Vec<StaleMark>>,
}

impl Situation {
    /// Reads the situation from the stores. `through` fixes the latest commit, if it is known.
    pub fn read(engine: &Engine, through: Option<i64>) -> BoxFuture<'_, StoreResult<Self>> {
        Box::pin(async move {
            let through = match through {
                Some(through) => through,
                None => engine.stores.ledger.latest_sequence().await?,
            };
            let progress = engine.stores.warehouse.progress().await?;
            let mut stale: BTreeMap<String, Vec<StaleMark>> = BTreeMap::new();
            for mark in engine.stores.warehouse.stale_marks().await? {
                stale.entry(mark.consumer.clone()).or_default().push(mark);
            }
            Ok(Self {
                through,
                archive: engine.stores.ledger.archive_state().await?,
                progress: progress
                    .into_iter()
                    .map(|progress| (progress.model.clone(), progress))
                    .collect(),
                stale,
            })
        })
    }
}

/// Plans one model.
pub fn plan_model<'a>(
    engine: &'a Engine,
    model: &'a Model,
    options: &'a RunOptions,
    situation: &'a Situation,
) -> BoxFuture<'a, StoreResult<ModelPlan>> {
    Box::pin(async move {
        let progress = situation.progress.get(model.name()).cloned();
        let marks = situation.stale.get(model.name()).map_or(&[][..], Vec::as_slice);
        let mended_through = marks.last().map_or(0, |mark| mark.sequence);
        let (action, reason) = if options.full_refresh {
            (Action::Everything, "a full refresh is asked for".to_owned())
        } else if let Some((from, to)) = options.backfill {
            plan_backfill(model, from, to, progress.is_some())
        } else {
            plan_increment(engine, model, progress.as_ref(), marks, situation).await?
        };
        let events = count_events(engine, model, &action, situation).await?;
        Ok(ModelPlan {
            model: model.name().to_owned(),
            action,
            reason,
            events,
            progress,
            mended_through,
        })
    })
}

fn plan_backfill(model: &Model, from: i32, to: i32, loaded: bool) -> (Action, String) {
    if !loaded {
        return (Action::Everything, "it was never loaded".to_owned());
    }
    let reason = "a backfill is asked for".to_owned();
    match model.strategy {
        Strategy::RebuildAll => (Action::Everything, reason),
        _ if model.table.partition.is_none() => (Action::NoPartition, reason),
        Strategy::RebuildStalePartitions => {
            (Action::Partitions(touched_partitions(model, from..=to)), reason)
        }
        _ => (Action::Partitions((from..=to).collect()), reason),
    }
}

async fn plan_increment(
    engine: &Engine,
    model: &Model,
    progress: Option<&ModelProgress>,
    marks: &[StaleMark],
    situation: &Situation,
) -> StoreResult<(Action, String)> {
    let Some(progress) = progress else {
        return Ok((Action::Everything, "it was never loaded".to_owned()));
    };
    let through = situation.through;
    if progress.definition_hash != model.definition_hash {
        // Rows by the old definition would stand beside rows by the new one.
        return Ok((Action::Everything, "its definition has changed".to_owned()));
    }
    if model.strategy.reads_events() {
        let after = progress.ledger_sequence;
        if after < situation.archive.through {
            // Only a warehouse that was restored from a backup: else the archive waits for a model.
            let reason = format!("commits after {after} are in the archive by now");
            return Ok((Action::Everything, reason));
        }
        if after >= through {
            return Ok((Action::UpToDate, "no new events".to_owned()));
        }
        if model.strategy != Strategy::ReplaceEventDays {
            let reason = format!("commits {} to {through} are new", after + 1);
            return Ok((Action::NewEvents { after }, reason));
        }
        let segments = engine.stores.ledger.segments(after, through).await?;
        let days = event_days(model, &segments, None);
        if days.is_empty() {
            return Ok((Action::NewEvents { after }, "no new events of its types".to_owned()));
        }
        let mut partitions = BTreeSet::new();
        for day in days.keys() {
            partitions.extend(touched_partitions(model, *day..=*day));
        }
        let reason = format!("new events on {} days", days.len());
        return Ok((Action::Partitions(partitions), reason));
    }
    if let Some(mark) = marks.iter().find(|mark| mark.day.is_none()) {
        let reason = format!("{} has changed, and not by its days", mark.source);
        return Ok((Action::Everything, reason));
    }
    if marks.is_empty() {
        return Ok((Action::UpToDate, "nothing upstream has changed".to_owned()));
    }
    if model.strategy == Strategy::RebuildAll {
        return Ok((Action::Everything, format!("{} has changed", sources(marks))));
    }
    let days: BTreeSet<i32> = marks.iter().filter_map(|mark| mark.day).collect();
    let mut partitions = BTreeSet::new();
    for mark in marks {
        match mark.day {
            Some(day) if mark.exact => partitions.extend([day]),
            Some(day) => partitions.extend(touched_partitions(model, day..=day)),
            None => {}
        }
    }
    if let Some(first) = first_open_day(engine, marks) {
        let latest = engine.stores.warehouse.latest_partition(&model.table).await?;
        let last = days.last().copied().into_iter().chain(latest).max().unwrap_or(first);
        partitions.extend(first.saturating_sub(model.lookahead())..=last);
    }
    let reason = format!("{} days changed in {}", days.len(), sources(marks));
    Ok((Action::Partitions(partitions), reason))
}

/// The first day whose change reaches every later partition. `lookback` limits what a model reads of
/// a table with a partition; of one without, such as a dimension of players, it reads everything.
fn first_open_day(engine: &Engine, marks: &[StaleMark]) -> Option<i32> {
    let is_read_whole = |mark: &&StaleMark| {
        let source = engine.project.model(&mark.source);
        source.is_some_and(|source| source.table.partition.is_none())
    };
    let open = marks.iter().filter(|mark| !mark.exact).filter(is_read_whole);
    open.filter_map(|mark| mark.day).min()
}

fn sources(marks: &[StaleMark]) -> String {
    let names: BTreeSet<&str> = marks.iter().map(|mark| mark.source.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The partitions whose rows are made of any of these days.
pub(super) fn touched_partitions(
    model: &Model,
    days: std::ops::RangeInclusive<i32>,
) -> BTreeSet<i32> {
    let first = days.start().saturating_sub(model.lookahead());
    let last = days.end().saturating_add(model.lookback());
    (first..=last).collect()
}

/// The days from which rows of these partitions are made.
pub(super) fn source_days(model: &Model, partitions: &BTreeSet<i32>) -> BTreeSet<i32> {
    let mut days = BTreeSet::new();
    for partition in partitions {
        let first = partition.saturating_sub(model.lookback());
        let last = partition.saturating_add(model.lookahead());
        days.extend(first..=last);
    }
    days
}

/// Rows by day of the event types that the model reads.
pub(super) fn event_days(
    model: &Model,
    segments: &[SegmentEntry],
    archive: Option<&ArchiveState>,
) -> BTreeMap<i32, u64> {
    let mut days = BTreeMap::new();
    for (event_type, table) in archive.iter().flat_map(|archive| &archive.tables) {
        if model.reads_event_type(event_type) {
            for (day, digest) in &table.days {
                *days.entry(*day).or_insert(0) += digest.rows;
            }
        }
    }
    for section in segments.iter().flat_map(|entry| &entry.segment.sections) {
        if model.reads_event_type(&section.event_type) {
            for (day, rows) in &section.rows_by_date {
                *days.entry(*day).or_insert(0) += rows;
            }
        }
    }
    days
}

async fn count_events(
    engine: &Engine,
    model: &Model,
    action: &Action,
    situation: &Situation,
) -> StoreResult<Option<u64>> {
    if !model.strategy.reads_events() {
        return Ok(None);
    }
    let (after, days) = match action {
        Action::UpToDate | Action::NoPartition => return Ok(Some(0)),
        Action::NewEvents { after } => (*after, None),
        Action::Partitions(partitions) => (0, Some(source_days(model, partitions))),
        Action::Everything => (0, None),
    };
    let segments = engine.stores.ledger.segments(after, situation.through).await?;
    let archive = (after == 0).then_some(&situation.archive);
    let rows = event_days(model, &segments, archive)
        .into_iter()
        .filter(|(day, _)| days.as_ref().is_none_or(|days| days.contains(day)))
        .map(|(_, rows)| rows)
        .sum();
    Ok(Some(rows))
}

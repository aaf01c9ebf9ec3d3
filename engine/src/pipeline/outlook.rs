//! What a run would do, as far as it can be told before it begins: which partitions, about how many
//! rows, what a changed definition means, and what becomes of the models downstream.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::plan::{
    Action, ModelPlan, RunOptions, Situation, event_days, plan_model, source_days,
    touched_partitions,
};
use super::select::select_models;
use super::{Engine, PipelineError};
use crate::models::{Model, Strategy};
use crate::stores::error::StoreResult;
use crate::stores::warehouse::TableDifference;

/// What the models upstream, which run before it, will probably make of a model: at most this is
/// stale then, since only rows that really change count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Partitions (days since 1970) that are made of what will change.
    pub days: BTreeSet<i32>,
    /// Whether there may be others: which ones, only the changed rows tell.
    pub unknown_days: bool,
    /// Whether any change makes all of it stale.
    pub everything: bool,
}

impl Forecast {
    /// Whether nothing that the model reads will change.
    pub fn is_unchanged(&self) -> bool {
        self.days.is_empty() && !self.unknown_days && !self.everything
    }
}

/// The plan for one model, and what else is known before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedModel {
    /// What is done by what is known now.
    pub plan: ModelPlan,
    /// About how many rows of other models it reads, if it reads any and they are there.
    pub rows: Option<u64>,
    /// How its table's columns change, if the definition has.
    pub difference: Option<TableDifference>,
    /// Whether the run refuses the changed columns; the way out is a full refresh of the model.
    pub is_refused: bool,
    /// Models that will change before this one runs, among those that it reads.
    pub changing_upstream: Vec<String>,
    /// What they will probably make of it, besides the plan.
    pub forecast: Forecast,
    /// All models that follow from this one, if it will change: the closure downstream.
    pub downstream: Vec<String>,
}

impl PlannedModel {
    /// Whether the model's table will probably change.
    pub fn changes(&self) -> bool {
        let changes = match self.plan.action {
            Action::UpToDate | Action::NoPartition => false,
            // Commits without an event that it reads.
            Action::NewEvents { .. } => self.plan.events != Some(0),
            Action::Partitions(_) | Action::Everything => true,
        };
        changes || !self.forecast.is_unchanged()
    }

    /// The partitions that are rebuilt, now or when it is the model's turn, as far as they are
    /// known; `None` if it is not rebuilt by partitions.
    pub fn partitions(&self) -> Option<BTreeSet<i32>> {
        let forecast = (!self.forecast.is_unchanged()).then_some(&self.forecast.days);
        match (&self.plan.action, forecast) {
            _ if self.forecast.everything => None,
            (Action::Partitions(days), None) => Some(days.clone()),
            (Action::Partitions(now), Some(later)) => Some(now | later),
            (Action::UpToDate, Some(days)) => Some(days.clone()),
            _ => None,
        }
    }
}

impl Engine {
    /// What a run would do, in the order in which it would.
    pub fn plan<'a>(
        &'a self,
        options: &'a RunOptions,
    ) -> BoxFuture<'a, Result<Vec<PlannedModel>, PipelineError>> {
        Box::pin(async move {
            let selected = select_models(&self.project, &options.select)?;
            let situation = Situation::read(self, None).await?;
            self.refuse_unreadable(&selected, options, &situation).await?;
            let latest = self.latest_day(&situation).await?;
            let mut planned: Vec<PlannedModel> = Vec::new();
            let mut changing: BTreeMap<&str, Change> = BTreeMap::new();
            for model in self.project.models.iter().filter(|model| selected.contains(model.name()))
            {
                let plan = plan_model(self, model, options, &situation).await?;
                let difference = self.difference(model, &plan).await?;
                let is_refused = model.strategy.reads_events()
                    && plan.progress.is_some()
                    && !options.full_refresh
                    && difference.as_ref().is_some_and(|difference| !difference.only_adds());
                let mut entry = PlannedModel {
                    plan,
                    rows: None,
                    difference,
                    is_refused,
                    changing_upstream: Vec::new(),
                    forecast: Forecast::default(),
                    downstream: Vec::new(),
                };
                foresee(model, &changing, &mut entry);
                entry.forecast.days.retain(|day| latest.is_none_or(|latest| *day <= latest));
                entry.rows = self.estimate_input(model, &entry).await?;
                if entry.changes() {
                    let change = self.change(model, &entry, &situation, latest).await?;
                    changing.insert(model.name(), change);
                    entry.downstream = self.downstream(model.name(), &selected);
                }
                if options.backfill.is_none() {
                    entry.plan.action = entry.plan.action.named(latest);
                }
                planned.push(entry);
            }
            Ok(planned)
        })
    }

    /// The latest day of any partition that there is or will be, days since 1970.
    pub(super) async fn latest_day(&self, situation: &Situation) -> StoreResult<Option<i32>> {
        let loaded = |model: &&Arc<Model>| situation.progress.contains_key(model.name());
        let loaded: Vec<_> = self.project.models.iter().filter(loaded).collect();
        let mut latest = None;
        for model in &loaded {
            latest = latest.max(self.stores.warehouse.latest_partition(&model.table).await?);
        }
        let progress = loaded.iter().filter_map(|model| situation.progress.get(model.name()));
        let Some(after) = progress.map(|known| known.ledger_sequence).min() else {
            return Ok(latest);
        };
        let segments = self.stores.ledger.segments(after, situation.through).await?;
        let new_days = loaded.iter().flat_map(|model| event_days(model, &segments, None));
        Ok(latest.max(new_days.map(|(day, _)| day).max()))
    }

    /// How the model's columns change, if its definition has.
    async fn difference(
        &self,
        model: &Model,
        plan: &ModelPlan,
    ) -> StoreResult<Option<TableDifference>> {
        match &plan.progress {
            Some(known) if known.definition_hash != model.definition_hash => {
                self.stores.warehouse.difference(&model.table).await
            }
            _ => Ok(None),
        }
    }

    /// About how many rows of other models it reads; `None` if one of them is not there yet.
    async fn estimate_input(
        &self,
        model: &Model,
        planned: &PlannedModel,
    ) -> StoreResult<Option<u64>> {
        if model.reads.is_empty() || !planned.changes() {
            return Ok(None);
        }
        let known = planned.partitions().filter(|_| !planned.forecast.unknown_days);
        let days = known.map(|partitions| source_days(model, &partitions));
        let range = days.and_then(|days| days.first().copied().zip(days.last().copied()));
        let mut rows = 0;
        for read in &model.reads {
            let Some(upstream) = self.project.model(&read.model) else { continue };
            match self.stores.warehouse.estimate_rows(&upstream.table, range).await? {
                Some(estimate) => rows += estimate,
                None => return Ok(None),
            }
        }
        Ok(Some(rows))
    }

    /// What will change of the model, as far as it can be told.
    async fn change(
        &self,
        model: &Model,
        planned: &PlannedModel,
        situation: &Situation,
        latest: Option<i32>,
    ) -> StoreResult<Change> {
        let mut change = Change {
            partition: model.table.partition.clone(),
            is_first: planned.plan.progress.is_none(),
            ..Change::default()
        };
        if change.is_first || change.partition.is_none() {
            return Ok(change);
        }
        let mut last = None;
        let days: Option<BTreeSet<i32>> = match planned.plan.action {
            Action::NewEvents { after } => {
                let segments = self.stores.ledger.segments(after, situation.through).await?;
                let days = event_days(model, &segments, None);
                last = days.keys().next_back().copied();
                // A session that began the day before grows by today's events.
                Some(
                    days.into_keys().flat_map(|day| touched_partitions(model, day..=day)).collect(),
                )
            }
            _ => planned.partitions().filter(|_| !planned.forecast.unknown_days),
        };
        // Days to come are built anew, too, but there are no rows on them.
        let is_there = |day: &i32| latest.is_none_or(|latest| *day <= latest);
        change.days = days.map(|days| days.into_iter().filter(is_there).collect());
        let last = last.or(change.days.iter().flatten().max().copied());
        let before = self.stores.warehouse.latest_partition(&model.table).await?;
        if let (Some(before), Some(last)) = (before, last) {
            change.over = before..last;
        }
        Ok(change)
    }

    /// The models that read this one, and those that read them, in the order of the run.
    fn downstream(&self, name: &str, selected: &BTreeSet<String>) -> Vec<String> {
        let mut reached: BTreeSet<&str> = [name].into();
        let mut downstream = Vec::new();
        for model in &self.project.models {
            let is_reached = model.reads.iter().any(|read| reached.contains(read.model.as_str()));
            if is_reached && selected.contains(model.name()) {
                reached.insert(model.name());
                downstream.push(model.name().to_owned());
            }
        }
        downstream
    }
}

/// What will change of a model before those run that read it.
#[derive(Debug, Default)]
struct Change {
    /// The column that its days are in.
    partition: Option<String>,
    /// Days whose rows change; `None` if only the changed rows tell.
    days: Option<BTreeSet<i32>>,
    /// Days that are over now: the former latest one, and those behind it on which nothing happened.
    over: Range<i32>,
    /// Whether it was never loaded, so that there is nothing to compare with.
    is_first: bool,
}

/// What the changing models make of one that reads them.
fn foresee(model: &Model, changing: &BTreeMap<&str, Change>, planned: &mut PlannedModel) {
    for read in &model.reads {
        let Some(change) = changing.get(read.model.as_str()) else { continue };
        planned.changing_upstream.push(read.model.clone());
        if model.strategy.reads_events() {
            // Changes of other tables do not drive it.
            continue;
        }
        let forecast = &mut planned.forecast;
        for scan in &read.scans {
            if change.is_first
                || model.strategy == Strategy::RebuildAll
                || scan.date_columns.is_empty()
            {
                forecast.everything = true;
                continue;
            }
            let is_partition = |column: &String| Some(column) == change.partition.as_ref();
            // The days of other columns are not known before the rows are.
            forecast.unknown_days |= !scan.date_columns.iter().all(is_partition);
            let days = match scan.date_columns.iter().any(is_partition) {
                true => change.days.iter().flatten().copied().chain(change.over.clone()).collect(),
                false => BTreeSet::new(),
            };
            forecast.unknown_days |= change.days.is_none();
            if scan.exact {
                forecast.days.extend(days);
            } else {
                let touched = days.into_iter().flat_map(|day| touched_partitions(model, day..=day));
                forecast.days.extend(touched);
            }
        }
    }
    if planned.plan.action == Action::Everything {
        // More than all of it cannot follow.
        planned.forecast = Forecast::default();
    }
}

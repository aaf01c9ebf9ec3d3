//! Models: from SQL files to tables of the star schema, in the order of their dependencies.
//!
//! [`parse`] reads one file, [`graph`] orders the files, [`compile`] plans each against the tables
//! that it reads, [`lineage`] says which columns a column comes from and [`influence`] which
//! partitions a changed row touches. Nothing is executed here, so every mistake is found before
//! anything runs.

pub mod compile;
pub(crate) mod errors;
pub mod graph;
pub mod influence;
pub mod lineage;
pub mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::sql::parser::Statement;

use crate::checks::{ColumnCheck, FileCheck};
use crate::project::contract::EventContract;
use crate::project::header::{Chart, ModelHeader};
use crate::project::source::{Located, SourceFile};
use crate::query::saved::SavedQuery;
use crate::stores::warehouse::{TableDefinition, Watch};
use lineage::ColumnLineage;

/// The layer of the star schema that a model's file lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `sql/dimensions/`
    Dimension,
    /// `sql/facts/`
    Fact,
    /// `sql/marts/`
    Mart,
}

impl Layer {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dimension => "dimension",
            Self::Fact => "fact",
            Self::Mart => "mart",
        }
    }
}

/// A model's file, parsed.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// Name of the model and of its table: the file's stem.
    pub name: String,
    /// Where its file lies.
    pub layer: Layer,
    /// The file.
    pub file: SourceFile,
    /// Its header.
    pub header: ModelHeader,
    /// Its one `SELECT`.
    pub statement: Statement,
    /// Event types that it reads (`envelope` for all).
    pub reads_events: Vec<Located<String>>,
    /// Models that it reads.
    pub reads_star: Vec<Located<String>>,
}

/// How a model gets its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// New events give new rows.
    AppendEvents,
    /// New events give rows that are merged by key.
    UpsertEvents,
    /// The days on which there are new events are built anew from all their events.
    ReplaceEventDays,
    /// The partitions that changes upstream have made stale are built anew.
    RebuildStalePartitions,
    /// The table is built anew when anything upstream has changed.
    RebuildAll,
}

impl Strategy {
    /// Whether new events drive the model, rather than changes of other tables.
    pub fn reads_events(self) -> bool {
        matches!(self, Self::AppendEvents | Self::UpsertEvents | Self::ReplaceEventDays)
    }

    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppendEvents => "append",
            Self::UpsertEvents => "upsert",
            Self::ReplaceEventDays => "replace days",
            Self::RebuildStalePartitions => "replace partitions",
            Self::RebuildAll => "rebuild",
        }
    }
}

/// What a model reads of one other table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarRead {
    /// The model that is read.
    pub model: String,
    /// The ways in which it is read.
    pub scans: Vec<StarScan>,
}

/// One of the ways in which a model reads another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarScan {
    /// The columns that matter to the result.
    pub columns: BTreeSet<String>,
    /// DATE columns whose changed values name the reader's stale partitions; empty if any change
    /// makes all of the reader stale.
    pub date_columns: Vec<String>,
    /// Whether those values are the stale partitions. If not, the partitions within the reader's
    /// `lookback` and `lookahead` of them are stale; and all later ones, if the table has no
    /// partition and so is read as a whole.
    pub exact: bool,
}

/// A model that is ready to run.
#[derive(Debug, Clone)]
pub struct Model {
    /// The parsed file.
    pub source: Arc<ModelSource>,
    /// Its table.
    pub table: TableDefinition,
    /// How it gets its rows.
    pub strategy: Strategy,
    /// What it reads of other models.
    pub reads: Vec<StarRead>,
    /// For each column of the table, where it comes from.
    pub lineage: Vec<ColumnLineage>,
    /// What must hold of its columns, besides its key.
    pub checks: Vec<ColumnCheck>,
    /// Hash of all that decides its rows: SQL and header, without comments.
    pub definition_hash: u64,
}

impl Model {
    /// The model's name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Its title for people, or its name where it has none.
    pub fn title(&self) -> &str {
        self.source.header.title.as_deref().unwrap_or_else(|| self.name())
    }

    /// How its rows are drawn.
    pub fn chart(&self) -> Chart {
        match &self.source.header.chart {
            Some(chart) => chart.value.clone(),
            None => {
                let columns: Vec<(&str, &DataType)> = self
                    .table
                    .columns
                    .iter()
                    .map(|column| (column.name.as_str(), &column.data_type))
                    .collect();
                Chart::inferred(&columns, &self.table.key)
            }
        }
    }

    /// Days before a partition's own that its rows are made of.
    pub fn lookback(&self) -> i32 {
        i32::try_from(self.source.header.lookback_days).unwrap_or(i32::MAX / 4)
    }

    /// Days after a partition's own that its rows are made of.
    pub fn lookahead(&self) -> i32 {
        i32::try_from(self.source.header.lookahead_days).unwrap_or(i32::MAX / 4)
    }

    /// Whether the model reads events of this type.
    pub fn reads_event_type(&self, event_type: &str) -> bool {
        self.source.reads_events.iter().any(|read| {
            read.value == event_type || read.value == crate::catalog::events::ENVELOPE_TABLE
        })
    }
}

/// A project that is ready to run.
#[derive(Debug, Clone, Default)]
pub struct CompiledProject {
    /// The event contracts, by event type.
    pub contracts: Vec<Arc<EventContract>>,
    /// The models; each after those that it reads.
    pub models: Vec<Arc<Model>>,
    /// The saved queries, by name.
    pub queries: Vec<Arc<SavedQuery>>,
    /// The checks of `sql/checks/`, by name.
    pub checks: Vec<Arc<FileCheck>>,
    /// For each model, those that have to end before its rows can be checked and published: what it
    /// reads and what its checks read. Says of each whether the model cannot do without it.
    pub waits: BTreeMap<String, BTreeMap<String, bool>>,
}

impl CompiledProject {
    /// The saved query of that name.
    pub fn query(&self, name: &str) -> Option<&Arc<SavedQuery>> {
        self.queries.iter().find(|query| query.name() == name)
    }

    /// The checks of `sql/checks/` that are about the rows of this model.
    pub fn checks_on(&self, model: &str) -> impl Iterator<Item = &Arc<FileCheck>> {
        self.checks.iter().filter(move |check| check.on.as_deref() == Some(model))
    }

    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.iter().find(|model| model.name() == name)
    }

    /// Which models a change of `model` makes stale, and how.
    pub fn watches(&self, model: &str) -> Vec<Watch> {
        let mut watches = Vec::new();
        for consumer in self.models.iter().filter(|model| !model.strategy.reads_events()) {
            let reads = consumer.reads.iter().filter(|read| read.model == model);
            for scan in reads.flat_map(|read| &read.scans) {
                watches.push(Watch {
                    consumer: consumer.name().to_owned(),
                    used_columns: scan.columns.iter().cloned().collect(),
                    date_columns: scan.date_columns.clone(),
                    exact: scan.exact,
                });
            }
        }
        watches
    }

    /// The models that read each model, directly.
    pub fn consumers(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut consumers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for model in &self.models {
            for read in &model.reads {
                consumers.entry(&read.model).or_default().push(model.name());
            }
        }
        consumers
    }
}

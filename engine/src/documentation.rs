//! What a project is, for people: models, event types and saved queries with their columns, and the
//! lineage between them, down to columns.
//!
//! Everything follows from the project's files; no store is opened. It is plain data, so that the
//! command line writes it as pages and others can hand it on as JSON.

mod build;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use build::document;

/// A project's catalogue.
#[derive(Debug, Clone, Serialize)]
pub struct Documentation {
    /// The models, each after those that it reads.
    pub models: Vec<ModelDoc>,
    /// The event types by name, `envelope` of all of them first.
    pub events: Vec<EventDoc>,
    /// The saved queries by name.
    pub queries: Vec<QueryDoc>,
}

/// A column of a table: `events.purchase` and `price_usd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ColumnRef {
    /// The table with its schema.
    pub table: String,
    /// The column.
    pub column: String,
}

/// A model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelDoc {
    /// Its name; its table is `star.<name>`.
    pub name: String,
    /// Its title for people, if it has one.
    pub title: Option<String>,
    /// `dimension`, `fact` or `mart`.
    pub layer: &'static str,
    /// What a row of it is.
    pub description: Option<String>,
    /// How it gets its rows, such as `upsert`.
    pub load: &'static str,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The DATE column by which it is rebuilt.
    pub partition: Option<String>,
    /// Days before a partition's own that its rows are made of.
    pub lookback_days: i32,
    /// Days after it.
    pub lookahead_days: i32,
    /// Its columns in order.
    pub columns: Vec<ColumnDoc>,
    /// Tables that it reads, with their schema.
    pub upstream: Vec<String>,
    /// Models and queries that read it.
    pub downstream: Vec<Reader>,
    /// Path of its file in the project.
    pub file: String,
    /// Text of its file.
    pub sql: String,
    /// Its unit tests.
    pub tests: Vec<TestDoc>,
    /// Its data checks.
    pub checks: Vec<CheckDoc>,
}

impl ModelDoc {
    /// Its title, or its name where it has none.
    pub fn label(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// A column of a model.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnDoc {
    /// Its name.
    pub name: String,
    /// Its type in SQL.
    #[serde(rename = "type")]
    pub column_type: String,
    /// What it means.
    pub description: Option<String>,
    /// Whether it is part of the key.
    pub in_key: bool,
    /// How an upsert combines it, such as `min`, where it is not simply replaced.
    pub combine: Option<String>,
    /// The columns that its values are made of.
    pub sources: Vec<ColumnRef>,
    /// Whether its values are copies of a source's.
    pub is_copied: bool,
    /// The columns of events that it comes from in the end.
    pub origins: Vec<ColumnRef>,
    /// Columns of models that are made of it.
    pub used_by: Vec<ColumnRef>,
}

/// An event type.
#[derive(Debug, Clone, Serialize)]
pub struct EventDoc {
    /// Its name; its table is `events.<name>`.
    pub name: String,
    /// What the event means.
    pub description: Option<String>,
    /// Its columns, those of its own first.
    pub columns: Vec<EventColumnDoc>,
    /// Conditions that every event fulfils.
    pub constraints: Vec<String>,
    /// Models and queries that read it.
    pub downstream: Vec<Reader>,
    /// Path of its contract in the project, if it has one of its own.
    pub file: Option<String>,
}

/// A column of an event type.
#[derive(Debug, Clone, Serialize)]
pub struct EventColumnDoc {
    /// Its name.
    pub name: String,
    /// Its type in SQL.
    #[serde(rename = "type")]
    pub column_type: String,
    /// What it means.
    pub description: Option<String>,
    /// Whether it may be missing.
    pub is_nullable: bool,
    /// Whether it is a part of every event's envelope.
    pub in_envelope: bool,
    /// Columns of models that are made of it.
    pub used_by: Vec<ColumnRef>,
}

/// A saved query.
#[derive(Debug, Clone, Serialize)]
pub struct QueryDoc {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it answers.
    pub description: Option<String>,
    /// Its parameters in order.
    pub parameters: Vec<ParameterDoc>,
    /// Tables that it reads, with their schema.
    pub upstream: Vec<String>,
    /// Path of its file in the project.
    pub file: String,
    /// Text of its file.
    pub sql: String,
}

/// A parameter of a saved query.
#[derive(Debug, Clone, Serialize)]
pub struct ParameterDoc {
    /// Its name.
    pub name: String,
    /// Its type in SQL.
    #[serde(rename = "type")]
    pub parameter_type: String,
    /// Its value where none is given.
    pub default: Option<String>,
    /// What it means.
    pub description: Option<String>,
}

/// Who reads a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Reader {
    /// A model.
    Model(String),
    /// A saved query.
    Query(String),
}

/// A unit test of a model.
#[derive(Debug, Clone, Serialize)]
pub struct TestDoc {
    /// Its name.
    pub name: String,
    /// What it is about, beyond the name.
    pub description: Option<String>,
    /// Path of its file in the project.
    pub file: String,
    /// Where it begins.
    pub line: u64,
}

/// A check of a model's data.
#[derive(Debug, Clone, Serialize)]
pub struct CheckDoc {
    /// Its name.
    pub name: String,
    /// What it finds.
    pub description: Option<String>,
    /// `error` or `warn`.
    pub severity: String,
}

/// A table in the drawing of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageNode {
    /// The table with its schema, such as `star.fact_purchase`.
    pub table: String,
    /// `event`, `dimension`, `fact` or `mart`.
    pub kind: &'static str,
    /// Its column in the drawing: 0 for events, and one more than the last that it reads.
    pub rank: usize,
}

/// The lineage of a whole project.
#[derive(Debug, Clone, Serialize)]
pub struct Lineage {
    /// The tables.
    pub nodes: Vec<LineageNode>,
    /// Which table is read by which.
    pub edges: Vec<(String, String)>,
    /// Which column is made of which.
    pub column_edges: Vec<(ColumnRef, ColumnRef)>,
}

impl Documentation {
    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&ModelDoc> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The event type of that name.
    pub fn event(&self, name: &str) -> Option<&EventDoc> {
        self.events.iter().find(|event| event.name == name)
    }

    /// Tables and columns, and what is made of what. Event types that no model reads are left out.
    pub fn lineage(&self) -> Lineage {
        let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
        let mut nodes = Vec::new();
        let read: BTreeSet<&str> =
            self.models.iter().flat_map(|model| &model.upstream).map(String::as_str).collect();
        for event in &self.events {
            let table = format!("events.{}", event.name);
            if read.contains(table.as_str()) {
                nodes.push(LineageNode { table, kind: "event", rank: 0 });
            }
        }
        let (mut edges, mut column_edges) = (Vec::new(), Vec::new());
        for model in &self.models {
            let table = format!("star.{}", model.name);
            let rank_of = |table: &String| {
                table.strip_prefix("star.").and_then(|name| ranks.get(name)).copied().unwrap_or(0)
            };
            let rank = model.upstream.iter().map(rank_of).max().unwrap_or(0) + 1;
            ranks.insert(&model.name, rank);
            for upstream in &model.upstream {
                edges.push((upstream.clone(), table.clone()));
            }
            for column in &model.columns {
                let made = ColumnRef { table: table.clone(), column: column.name.clone() };
                for source in &column.sources {
                    column_edges.push((source.clone(), made.clone()));
                }
            }
            nodes.push(LineageNode { table, kind: model.layer, rank });
        }
        Lineage { nodes, edges, column_edges }
    }
}

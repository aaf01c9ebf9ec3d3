//! Model headers: how one model is loaded, from the comment at the top of its file.
//!
//! The header is all comment lines (and empty lines) before the first SQL. Its first paragraph of
//! free text describes the model; `name: value` lines are settings:
//!
//! ```sql
//! -- One row per play session.
//! -- A session's row grows as its events arrive, in any order.
//! --
//! -- load: upsert
//! -- key: session_id
//! -- combine: started_at = min, ended_at = max, events = sum,
//! --          app_version = last(ended_at)
//! -- partition: session_date
//! -- lookback: 1 day
//! -- lookahead: 30 days
//! --
//! -- @session_id: Identifier that the game gave the session.
//! SELECT …
//! ```
//!
//! | setting | value |
//! |---|---|
//! | `load` | `append`: add the rows; `upsert`: merge each row into the one with its key; `replace`: rebuild the touched partitions, or the whole table when there is no partition |
//! | `key` | the columns that identify a row |
//! | `combine` | per column, what `upsert` makes of the stored and the new value: see [`CombineRule`] |
//! | `partition` | the date column that the table is rebuilt by |
//! | `lookback`, `lookahead` | days of events before and after a partition's own day that its rows are made of |
//! | `not_null` | columns that are never NULL |
//! | `accepted` | per column, the values that it may have: `store = 'app_store' \| 'steam'` |
//! | `references` | per column, the column of another model that has each of its values: `item_id = dim_item.item_id` |
//! | `title`, `chart` | how people see the table: see [`chart`] |
//! | `@column` | what a column of the result means |
//!
//! A line is a setting when its first word is followed by `:` and is the name of a setting (in
//! any case), or nearly one in lower case, or what the setting is called in dbt or SQLMesh; so
//! prose such as `Note: …` stays prose. A value goes on in the next line when it ends with a
//! comma; an `@column` text, when the next line is indented. ` --` begins a remark.
//!
//! `not_null`, `accepted` and `references` are checks: rows that break one are not published, or are
//! only reported where ` (warn)` stands behind the item. NULL breaks `not_null` alone.
//!
//! Without `load`, a model with a key is an upsert, and one with only a partition is replaced.

use super::diagnostic::{Diagnostic, Severity};
use super::source::SourceFile;

pub mod chart;
mod checks;
mod comment_lines;
mod model;
mod query;
mod values;

pub use super::source::Located;
pub use chart::{Chart, ChartKind};
pub use query::{CheckHeader, QueryHeader, QueryParameter, parse_check_header, parse_query_header};

/// How the rows that a model yields get into its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadKind {
    /// Each row is added.
    Append,
    /// Each row is merged into the row with the same key, by the model's combine rules.
    Upsert,
    /// The rows of each touched partition (without a partition: of the table) are replaced.
    Replace,
}

impl LoadKind {
    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Upsert => "upsert",
            Self::Replace => "replace",
        }
    }
}

/// What an upsert makes of a column's stored and new value. A null never wins over a value,
/// except by `Replace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CombineRule {
    /// `sum`: their sum.
    Sum,
    /// `min`: the smaller one.
    Min,
    /// `max`: the larger one.
    Max,
    /// `first(order_column)`: that of the row whose order column is smaller.
    First {
        /// Column of the same model.
        order_column: Located<String>,
    },
    /// `last(order_column)`: that of the row whose order column is larger.
    Last {
        /// Column of the same model.
        order_column: Located<String>,
    },
    /// `replace`: the new value, the default: the last write wins.
    Replace,
    /// `keep`: the stored value: the first write wins.
    Keep,
}

/// The combine rule of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combine {
    /// Column of the model.
    pub column: String,
    /// What an upsert does with it.
    pub rule: CombineRule,
}

/// What a column of a model means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDescription {
    /// Column of the model.
    pub column: String,
    /// Its description.
    pub text: String,
}

/// What must hold of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckRule {
    /// `not_null`: they are not NULL.
    NotNull,
    /// `accepted`: they are among these.
    Accepted(Vec<Located<AcceptedValue>>),
    /// `references`: a column of another model has them.
    References {
        /// The other model.
        model: Located<String>,
        /// Its column.
        column: Located<String>,
    },
}

impl CheckRule {
    /// Name of the setting that it stands in.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::NotNull => "not_null",
            Self::Accepted(_) => "accepted",
            Self::References { .. } => "references",
        }
    }
}

/// A value as it is written in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedValue {
    /// Its text, without quotes.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// A check of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderCheck {
    /// Column of the model.
    pub column: String,
    /// What must hold.
    pub rule: CheckRule,
    /// Whether rows that break it are kept back or only reported.
    pub severity: Severity,
}

/// The header of one model file.
///
/// Names of columns are identifiers, but whether the model has such columns is for the planner
/// to say: that is what the places are kept for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelHeader {
    /// First paragraph of the header, on one line.
    pub description: Option<String>,
    /// Short name for people.
    pub title: Option<String>,
    /// How its rows are drawn. Located at the kind.
    pub chart: Option<Located<Chart>>,
    /// How the model is loaded. A kind that follows from the key or the partition has the place
    /// of that setting; `None` leaves the kind to the planner.
    pub load: Option<Located<LoadKind>>,
    /// Columns that identify a row, in the written order.
    pub key: Vec<Located<String>>,
    /// Combine rules of the columns that are not simply replaced. Located at the column's name.
    pub combine: Vec<Located<Combine>>,
    /// Date column that the table is partitioned by.
    pub partition: Option<Located<String>>,
    /// Days of events before a partition's day that its rows are made of.
    pub lookback_days: u32,
    /// Days of events after a partition's day that its rows are made of.
    pub lookahead_days: u32,
    /// Descriptions of columns. Located at the column's name.
    pub columns: Vec<Located<ColumnDescription>>,
    /// Checks of columns. Located at the column's name.
    pub checks: Vec<Located<HeaderCheck>>,
}

impl ModelHeader {
    /// Description of a column, if the header has one.
    pub fn column_description(&self, column: &str) -> Option<&str> {
        let found = self.columns.iter().find(|described| described.value.column == column)?;
        Some(&found.value.text)
    }

    /// What an upsert does with a column.
    pub fn combine_rule(&self, column: &str) -> &CombineRule {
        let found = self.combine.iter().find(|combine| combine.value.column == column);
        found.map_or(&CombineRule::Replace, |combine| &combine.value.rule)
    }
}

/// Reads a model's header.
///
/// The header holds all that could be understood; the model is usable only when none of the
/// diagnostics is an error.
pub fn parse_model_header(file: &SourceFile) -> (ModelHeader, Vec<Diagnostic>) {
    model::parse(file)
}

#[cfg(test)]
mod tests;

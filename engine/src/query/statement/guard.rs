//! Stops at whatever in a query does more than read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ObjectName, Query, Select, Spanned, Statement as SqlStatement, TableFactor, Value,
    ValueWithSpan, Visitor,
};

use super::START;
use crate::models::errors::span_position;
use crate::models::parse::object_name;
use crate::project::source::{Located, Position};

/// Functions that may stand in place of a table: they make rows out of their arguments.
const TABLE_FUNCTIONS: &[&str] = &["generate_series", "range", "unnest"];

/// Why a query is refused.
pub(super) struct Refusal {
    pub(super) position: Option<Position>,
    pub(super) length: u64,
    pub(super) message: String,
}

/// Walks through a query and stops at what does more than read.
#[derive(Default)]
pub(super) struct Guard {
    /// Names of functions that stand in place of a table.
    pub(super) table_functions: BTreeSet<String>,
    /// Tables that are described.
    pub(super) described: Vec<String>,
    /// Each table that is named, in order.
    pub(super) relations: Vec<Located<String>>,
    /// Each `$name`, without the dollar sign.
    pub(super) placeholders: Vec<Located<String>>,
}

impl Visitor for Guard {
    type Break = Refusal;

    fn pre_visit_statement(&mut self, statement: &SqlStatement) -> ControlFlow<Refusal> {
        ControlFlow::Break(Refusal {
            position: span_position(statement.span()),
            length: 1,
            message: "a part of this query would change data".to_owned(),
        })
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        if query.locks.is_empty() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Refusal {
            position: span_position(query.span()),
            length: 1,
            message: "FOR UPDATE and FOR SHARE would lock rows".to_owned(),
        })
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        if select.into.is_none() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Refusal {
            position: span_position(select.span()),
            length: 6,
            message: "SELECT … INTO would make a table".to_owned(),
        })
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        let name = match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                name
            }
            TableFactor::TableFunction { expr, .. } => {
                return ControlFlow::Break(Refusal {
                    position: span_position(expr.span()),
                    length: 1,
                    message: "TABLE(…) is not allowed".to_owned(),
                });
            }
            _ => return ControlFlow::Continue(()),
        };
        let text = object_name(name).to_lowercase();
        if TABLE_FUNCTIONS.contains(&text.as_str()) {
            self.table_functions.insert(text);
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Refusal {
            position: span_position(name.span()),
            length: text.chars().count() as u64,
            message: format!(
                "the table function `{text}` is not allowed; {} are",
                TABLE_FUNCTIONS.join(", ")
            ),
        })
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refusal> {
        let name = object_name(relation);
        let position = span_position(relation.span());
        let length = name.chars().count() as u64;
        if is_path(&name) {
            return ControlFlow::Break(Refusal {
                position,
                length: length + 2,
                message: format!("`{name}`: files are not read by queries"),
            });
        }
        if name.rsplit('.').next() == Some("df_settings") {
            let message = "settings are not shown to queries".to_owned();
            return ControlFlow::Break(Refusal { position, length, message });
        }
        let Position { line, column } = position.unwrap_or(START);
        self.relations.push(Located { value: name, line, column, length });
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Refusal> {
        if let Value::Placeholder(text) = &value.value {
            let position = span_position(value.span).unwrap_or(START);
            let length = text.chars().count() as u64;
            let name = text.trim_start_matches(['$', ':', '@']).to_owned();
            let Position { line, column } = position;
            self.placeholders.push(Located { value: name, line, column, length });
        }
        ControlFlow::Continue(())
    }
}

/// Whether a table's name can only be meant as a file or an address.
fn is_path(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.contains(['/', '\\', '*'])
        || [".parquet", ".csv", ".json", ".ndjson", ".arrow", ".avro", ".sql", ".gz", ".db"]
            .iter()
            .any(|ending| lower.ends_with(ending))
}

//! What is asked of a table: its parameters, checked against its columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use axum::http::HeaderMap;
use questlake_engine::models::Model;
use questlake_engine::project::diagnostic::nearest;
use questlake_engine::query::reading::{Condition, OrderBy, Reading, parse_literal};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::endpoint::{Endpoint, Filter, day_column, schema};
use crate::cursor::{self, Position};
use crate::negotiate::Format;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::request;
use crate::tabular::{Columns, Page, model_column};

/// Rows of a JSON answer if the request does not say.
const DEFAULT_LIMIT: usize = 1_000;

/// Most rows of one page.
const MAX_LIMIT: u64 = 50_000;

/// What asks for every value of a column.
const ANY: &str = "*";

/// What is asked of a table.
pub(super) struct MartQuestion {
    /// The question in one spelling: the same text has the same answer from the same data.
    pub(super) text: String,
    /// The columns that are shown.
    pub(super) columns: Columns,
    /// Whether these are all columns of the table, in its order.
    pub(super) shows_all: bool,
    /// Of the rows that are read: columns for cursors stand behind those that are shown.
    pub(super) schema: SchemaRef,
    pub(super) reading: Reading,
    pub(super) page: Option<Page>,
    pub(super) format: Format,
    pub(super) as_file: bool,
}

/// The question's parts that say which rows it is about, for its one spelling.
#[derive(Serialize)]
struct Spelling<'a> {
    table: &'a str,
    source: u64,
    columns: &'a [String],
    conditions: &'a [(String, &'static str, Vec<String>)],
    order: Vec<(&'a str, bool)>,
    limit: Option<usize>,
    cursor: Option<&'a str>,
    file: bool,
}

/// Conditions, and each as texts.
#[derive(Default)]
struct Chosen {
    conditions: Vec<Condition>,
    spelled: Vec<(String, &'static str, Vec<String>)>,
}

impl MartQuestion {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn read(
        endpoint: &Endpoint,
        version: u64,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let model = &*endpoint.model;
        let table = &model.table;
        let mut parameters = Parameters::new(query);
        let (format, as_file) = request::format(&mut parameters, headers)?;
        let chosen = conditions(model, &endpoint.filters, &mut parameters);
        let shown = shown_columns(endpoint, &mut parameters);
        let shows_all = shown == endpoint.names;
        let order = order(model, &mut parameters);
        let limit = parameters.take_number("limit", 1, MAX_LIMIT);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.or((format == Format::Json).then_some(DEFAULT_LIMIT));
        let types: Vec<DataType> = order
            .iter()
            .filter_map(|by| table.column(&by.column))
            .map(|column| column.data_type.clone())
            .collect();
        let signature = signature(model, &order, version);
        let cursor = parameters
            .take_cursor("cursor", |cursor| cursor::decode(cursor, signature, &types))
            .unzip();
        parameters.finish()?;

        let spelling = Spelling {
            table: &table.name,
            source: endpoint.source,
            columns: &shown,
            conditions: &chosen.spelled,
            order: order.iter().map(|by| (by.column.as_str(), by.descending)).collect(),
            limit,
            cursor: cursor.0.as_deref(),
            file: as_file,
        };
        let text = serde_json::to_string(&spelling).map_err(|error| Problem::internal(&error))?;
        // Columns for cursors stand behind those that are shown.
        let hidden = order.iter().filter(|by| limit.is_some() && !shown.contains(&by.column));
        let hidden: Vec<String> = hidden.map(|by| by.column.clone()).collect();
        let read: Arc<[String]> = match hidden.is_empty() {
            true => Arc::clone(&shown),
            false => shown.iter().cloned().chain(hidden).collect(),
        };
        let (after, skip) = match cursor.1 {
            None => (None, 0),
            Some(Position::After(values)) => (Some(values), 0),
            Some(Position::Skip(rows)) => (None, rows),
        };
        let is_keyed = !table.key.is_empty();
        let places =
            || order.iter().filter_map(|by| read.iter().position(|name| *name == by.column));
        let page = limit.map(|limit| Page {
            limit,
            signature,
            order: is_keyed.then(|| places().collect()),
            skipped: skip,
        });
        let (columns, schema) = match shows_all {
            true => (endpoint.columns.clone(), Arc::clone(&endpoint.schema)),
            false => {
                let columns = shown.iter().filter_map(|name| model_column(model, name));
                (Columns::new(&columns.collect::<Vec<_>>()), schema(model, &read))
            }
        };
        let reading = Reading {
            columns: read,
            conditions: chosen.conditions,
            // One more tells that there is another page.
            limit: limit.map(|limit| limit + 1),
            order,
            after,
            skip,
            distinct: false,
        };
        Ok(Self { text, columns, shows_all, schema, reading, page, format, as_file })
    }
}

/// `from`, `to`, and one parameter for each filter.
fn conditions(model: &Model, filters: &[Filter], parameters: &mut Parameters) -> Chosen {
    let mut chosen = Chosen::default();
    if let Some(day) = day_column(model) {
        let (from, to) = (parameters.take("from"), parameters.take("to"));
        let mut bounds = Vec::new();
        for (name, text, sign) in [("from", from, ">="), ("to", to, "<=")] {
            let Some(text) = text else { continue };
            match parse_literal(&day.data_type, &text) {
                Ok(value) => {
                    let column = day.name.clone();
                    bounds.push(value.clone());
                    chosen.conditions.push(match name {
                        "from" => Condition::AtLeast { column, value },
                        _ => Condition::AtMost { column, value },
                    });
                    chosen.spelled.push((day.name.clone(), sign, vec![text.trim().to_owned()]));
                }
                Err(expected) => parameters.refuse(name, &text, &expected),
            }
        }
        if let [from, to] = bounds.as_slice()
            && from > to
        {
            let message = "`from` is later than `to`".to_owned();
            parameters.mistake("from", message, Some("a day up to `to`".to_owned()));
        }
    }
    for filter in filters {
        let Some(column) = model.table.column(filter.column()) else { continue };
        let name = column.name.as_str();
        let mut texts = parameters.take_all(name);
        if texts.iter().any(|text| text == ANY) {
            if texts.len() > 1 {
                let message = format!("`{name}` is `*` and something else");
                parameters.mistake(name, message, Some("`*` alone, or values".to_owned()));
            }
            continue;
        }
        if texts.is_empty() {
            match filter.default() {
                Some(default) => texts.push(default.to_owned()),
                None => continue,
            }
        }
        texts.sort();
        texts.dedup();
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse_literal(&column.data_type, text) {
                Ok(value) => values.push(value),
                Err(expected) => parameters.refuse(name, text, &expected),
            }
        }
        chosen.conditions.push(Condition::OneOf { column: name.to_owned(), values });
        chosen.spelled.push((name.to_owned(), "in", texts));
    }
    chosen
}

/// The names in all values of a parameter, which may be separated by commas.
fn names(parameters: &mut Parameters, name: &str) -> Vec<String> {
    let values = parameters.take_all(name);
    let parts = values.iter().flat_map(|value| value.split(',')).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn column_names(model: &Model) -> Vec<&str> {
    model.table.columns.iter().map(|column| column.name.as_str()).collect()
}

fn unknown_column(model: &Model, parameters: &mut Parameters, parameter: &str, name: &str) {
    let known = column_names(model);
    let hint = nearest(name, known.iter().copied());
    let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    let shown = crate::parameters::shortened(name);
    let message = format!("{} has no column `{shown}`{hint}", model.name());
    parameters.mistake(parameter, message, Some(known.join(", ")));
}

/// `columns`, or all of them.
fn shown_columns(endpoint: &Endpoint, parameters: &mut Parameters) -> Arc<[String]> {
    let model = &endpoint.model;
    let mut shown: Vec<String> = Vec::new();
    for name in names(parameters, "columns") {
        if model.table.column(&name).is_none() {
            unknown_column(model, parameters, "columns", &name);
        } else if shown.contains(&name) {
            let message = format!("`{name}` is there twice");
            parameters.mistake("columns", message, None);
        } else {
            shown.push(name);
        }
    }
    match shown.is_empty() {
        true => Arc::clone(&endpoint.names),
        false => shown.into(),
    }
}

/// `order`, made total by the key; by all columns where there is none.
fn order(model: &Model, parameters: &mut Parameters) -> Vec<OrderBy> {
    let mut order: Vec<OrderBy> = Vec::new();
    for name in names(parameters, "order") {
        let (column, descending) = match name.strip_prefix('-') {
            Some(column) => (column.to_owned(), true),
            None => (name.strip_prefix('+').unwrap_or(&name).to_owned(), false),
        };
        if model.table.column(&column).is_none() {
            unknown_column(model, parameters, "order", &column);
        } else if order.iter().all(|by| by.column != column) {
            order.push(OrderBy { column, descending });
        }
    }
    let rest = match model.table.key.is_empty() {
        true => column_names(model),
        false => model.table.key.iter().map(String::as_str).collect(),
    };
    for column in rest {
        if order.iter().all(|by| by.column != column) {
            order.push(OrderBy { column: column.to_owned(), descending: false });
        }
    }
    order
}

/// What all cursors of a table in an order have in common. Where rows are only counted, they must be the
/// same rows.
fn signature(model: &Model, order: &[OrderBy], version: u64) -> u64 {
    let mut text = model.name().to_owned();
    for by in order {
        text.push_str(if by.descending { "\n-" } else { "\n+" });
        text.push_str(&by.column);
    }
    if model.table.key.is_empty() {
        text.push_str(&format!("\n{version}"));
    }
    xxh3_64(text.as_bytes())
}

//! Saved queries and SQL of the caller's own.

mod ad_hoc;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, Field, Schema};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::project::contract::ColumnType;
use questlake_engine::project::header::Chart;
use questlake_engine::query::parameters::{parse_value, type_name};
use questlake_engine::query::{Overflow, PreparedStatement, QueryError, SavedQuery};
use questlake_engine::stores::keys::Scope;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::access::Caller;
use crate::answers::Question;
use crate::api::Api;
use crate::negotiate::{self, Format};
use crate::parameters::{Parameters, shortened};
use crate::problem::Problem;
use crate::request::{self, as_written, json, named};
use crate::tabular::{Column, Columns, Meta, Page, Rows, TableAnswer, schema_columns};

pub(crate) use ad_hoc::ad_hoc;

/// Most rows that a request may ask for.
const MAX_ROWS: u64 = 1_000_000_000;

#[derive(Serialize)]
struct QueryList {
    queries: Vec<QueryInfo>,
}

#[derive(Serialize)]
struct QueryInfo {
    name: String,
    title: String,
    description: Option<String>,
    parameters: Vec<ParameterInfo>,
    columns: Vec<Column>,
    chart: Chart,
    url: String,
    sql: String,
}

#[derive(Serialize)]
struct ParameterInfo {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    sql_type: String,
    default: Option<String>,
    required: bool,
    description: Option<String>,
}

/// What values of a parameter are.
pub(crate) fn parameter_kind(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "boolean",
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => "integer",
        ColumnType::Float64 => "double",
        ColumnType::Decimal { .. } => "decimal",
        ColumnType::Text { .. } => "text",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Date => "date",
        ColumnType::Json => "json",
    }
}

fn query_columns(query: &SavedQuery) -> Vec<Column> {
    query.columns.iter().map(|(name, kind)| Column::new(name, kind, false)).collect()
}

/// `GET /api/v1/queries`
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let queries = api.engine.project.queries.iter().map(|query| {
        let header = &query.statement.header;
        let parameters = header.parameters.iter().map(|parameter| &parameter.value);
        QueryInfo {
            name: query.name().to_owned(),
            title: query.title().to_owned(),
            description: header.description.clone(),
            parameters: parameters
                .map(|parameter| ParameterInfo {
                    name: parameter.name.clone(),
                    kind: parameter_kind(parameter.parameter_type),
                    sql_type: type_name(parameter.parameter_type),
                    default: parameter.default.clone(),
                    required: parameter.default.is_none(),
                    description: parameter.comment.clone(),
                })
                .collect(),
            columns: query_columns(query),
            chart: query.chart(),
            url: format!("/api/v1/queries/{}", query.name()),
            sql: query.statement.file.text().to_owned(),
        }
    });
    json(&QueryList { queries: queries.collect() })
}

/// What is asked of a saved query.
struct SavedQuestion {
    text: String,
    given: BTreeMap<String, String>,
    limit: Option<u64>,
    format: Format,
    as_file: bool,
}

#[derive(Serialize)]
struct Spelling<'a> {
    query: &'a str,
    source: u64,
    given: &'a BTreeMap<String, String>,
    limit: Option<u64>,
    file: bool,
}

fn read_question(query: &SavedQuery, request: &Request) -> Result<SavedQuestion, Problem> {
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let header = &query.statement.header;
    let is_own =
        |name: &str| header.parameters.iter().any(|parameter| parameter.value.name == name);
    let (format, as_file) = match is_own("format") {
        true => (negotiate::accepted(request.headers())?, false),
        false => request::format(&mut parameters, request.headers())?,
    };
    let limit = match is_own("limit") {
        true => None,
        false => parameters.take_number("limit", 1, MAX_ROWS),
    };
    let mut given = BTreeMap::new();
    for parameter in &header.parameters {
        let parameter = &parameter.value;
        let kind = || type_name(parameter.parameter_type);
        let Some(text) = parameters.take(&parameter.name) else {
            if parameter.default.is_none() {
                let message = format!("`{}` ({}) needs a value", parameter.name, kind());
                parameters.mistake(&parameter.name, message, Some(kind()));
            }
            continue;
        };
        match parse_value(parameter.parameter_type, &text) {
            Ok(_) => {
                given.insert(parameter.name.clone(), text);
            }
            Err(expected) => parameters.refuse(&parameter.name, &text, &expected),
        }
    }
    parameters.finish()?;
    let spelling = Spelling {
        query: query.name(),
        source: xxh3_64(query.statement.file.text().as_bytes()),
        given: &given,
        limit,
        file: as_file,
    };
    let text = serde_json::to_string(&spelling).map_err(|error| Problem::internal(&error))?;
    Ok(SavedQuestion { text, given, limit, format, as_file })
}

/// `GET /api/v1/queries/{name}`
pub(crate) async fn run(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let name = named(path)?;
    let query = Arc::clone(api.engine.saved_query(&name).map_err(|error| match error {
        QueryError::UnknownQuery { name, nearest } => {
            QueryError::UnknownQuery { name: shortened(&name), nearest }
        }
        other => other,
    })?);
    let freshness = api.freshness.get().await?.query(&query);
    let written = as_written(request.uri(), request.headers()).filter(|_| query.reproducible);
    if let Some(ready) = written.as_ref().and_then(|written| api.answers.near(written))
        && ready.version() == freshness.version
    {
        api.answers.count_near_hit();
        return Ok(ready.response(request.headers()));
    }
    let asked = read_question(&query, &request)?;
    let question = Question {
        text: asked.text,
        freshness,
        format: asked.format,
        file_name: asked.as_file.then(|| format!("{name}.{}", asked.format.name())),
        reproducible: query.reproducible,
    };
    let (computing, sees_raw) = (Arc::clone(&api), caller.may(Scope::Admin));
    let (given, limit, format) = (asked.given, asked.limit, asked.format);
    // Of the thousands that may wait for an answer only one computes it: the others must not hold a
    // statement each, which takes some 100 kB.
    let compute = move |parts| async move {
        let work = Work {
            statement: query.statement.clone(),
            given,
            limit,
            title: Some(query.title().to_owned()),
            chart: Some(query.chart()),
            known: query_columns(&query),
            freshness,
            format,
            is_ad_hoc: false,
            sees_raw,
            started,
        };
        work.compute(&computing, &parts).await
    };
    api.answers.answer(written, request.headers(), question, compute).await
}

/// A query to be run.
struct Work {
    statement: PreparedStatement,
    given: BTreeMap<String, String>,
    limit: Option<u64>,
    title: Option<String>,
    chart: Option<Chart>,
    /// What is known of its columns beside their names and types.
    known: Vec<Column>,
    freshness: AnswerFreshness,
    format: Format,
    /// Whether the statement is the caller's own.
    is_ad_hoc: bool,
    /// Whether the caller may see the bytes of quarantined records.
    sees_raw: bool,
    started: Instant,
}

impl Work {
    async fn compute(self, api: &Api, parts: &crate::answers::Parts) -> Result<(), Problem> {
        let mut engine = api.engine.clone();
        if self.is_ad_hoc {
            engine.queries = api.ad_hoc.clone();
        }
        engine.queries.raw_quarantine = self.sees_raw;
        // What the caller has asked to be cut is cut; anything else must not pass for the whole.
        let overflow = match (self.limit, self.format) {
            (Some(limit), _) => {
                let most = engine.queries.max_rows.unwrap_or(u64::MAX);
                engine.queries.max_rows = Some(limit.min(most));
                Overflow::Truncate
            }
            (None, Format::Json) => Overflow::Truncate,
            (None, _) => Overflow::Refuse,
        };
        let warnings = engine.outdated_tables(&self.statement).await?;
        let rows = engine.query(&self.statement, &self.given, overflow).await?;
        let schema = Arc::clone(rows.schema());
        let mut columns = schema_columns(&schema);
        for column in &mut columns {
            let known = self.known.iter().find(|known| known.name == column.name);
            column.description = known.and_then(|known| known.description.clone());
        }
        let chart = self.chart.or_else(|| Some(inferred(&schema)));
        let meta = Meta {
            title: self.title,
            chart,
            freshness: self.freshness,
            warnings,
            started: self.started,
        };
        let columns = Columns::new(&columns);
        let answer = TableAnswer { columns, page: None::<Page>, meta, format: self.format };
        answer.produce(schema, Rows::Query(rows), parts).await
    }
}

fn inferred(schema: &Schema) -> Chart {
    let fields = schema.fields().iter();
    let columns: Vec<(&str, &DataType)> =
        fields.map(|field: &Arc<Field>| (field.name().as_str(), field.data_type())).collect();
    Chart::inferred(&columns, &[])
}

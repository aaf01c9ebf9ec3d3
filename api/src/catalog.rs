//! What there is to ask about: tables, columns and functions for completion; values for filters; who the
//! caller is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::response::Response;
use questlake_engine::models::{Layer, Model};
use questlake_engine::query::reading::{Condition, OrderBy, Reading, ScalarValue};
use questlake_engine::query::tables::{functions, tables};
use questlake_engine::stores::keys::Scope;
use serde::Serialize;

use crate::access::Caller;
use crate::api::Api;
use crate::marts::{day_column, distinct, read_values};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::request::json;
use crate::text::rfc3339;

/// Most values of a filter.
const MAX_VALUES: usize = 10_000;

/// Stands for every row of a cut: no value of a filter.
const ALL: &str = "all";

#[derive(Serialize)]
struct Catalog {
    schemas: Vec<Schema>,
    functions: Vec<Function>,
}

#[derive(Serialize)]
struct Schema {
    name: &'static str,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: String,
    description: Option<String>,
    columns: Vec<TableColumn>,
}

#[derive(Serialize)]
struct TableColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
    description: Option<String>,
}

#[derive(Serialize)]
struct Function {
    name: String,
    kind: &'static str,
    syntax: Option<String>,
    description: Option<String>,
}

/// The body of `GET /api/v1/catalog`, which is the same as long as the project is.
pub(crate) fn catalog_body(project: &questlake_engine::models::CompiledProject) -> Vec<u8> {
    let mut schemas: Vec<Schema> = Vec::new();
    for table in tables(project) {
        let columns = table.columns.into_iter().map(|column| TableColumn {
            name: column.name,
            kind: column.data_type,
            nullable: column.nullable,
            description: column.comment,
        });
        let described =
            Table { name: table.name, description: table.comment, columns: columns.collect() };
        match schemas.iter_mut().find(|schema| schema.name == table.schema) {
            Some(schema) => schema.tables.push(described),
            None => schemas.push(Schema { name: table.schema, tables: vec![described] }),
        }
    }
    let functions = functions(project).into_iter().map(|function| Function {
        name: function.name,
        kind: function.kind,
        syntax: function.syntax,
        description: function.description,
    });
    let catalog = Catalog { schemas, functions: functions.collect() };
    serde_json::to_vec(&catalog).unwrap_or_default()
}

/// `GET /api/v1/catalog`
pub(crate) async fn catalog(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let body = api.catalog.get_or_init(|| catalog_body(&api.engine.project).into()).clone();
    let mut response = Response::new(body.into());
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    let no_cache = axum::http::HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, no_cache);
    Ok(response)
}

#[derive(Serialize, Default)]
struct Filters {
    platforms: Vec<String>,
    countries: Vec<String>,
    games: Vec<String>,
    first_day: Option<String>,
    last_day: Option<String>,
    data_through: Option<String>,
    data_version: String,
}

/// `GET /api/v1/filters`: what the marts can be cut by. Read once for each state of the data.
pub(crate) async fn filters(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let freshness = api.freshness.get().await?;
    let version = freshness.all().version;
    let mut known = api.filters.lock().await;
    if let Some((at, body)) = &*known
        && *at == version
    {
        return body_response(body.clone());
    }
    let marts = || api.engine.project.models.iter().filter(|m| m.source.layer == Layer::Mart);
    let mut filters = Filters {
        data_through: freshness.all().data_through.map(rfc3339),
        data_version: format!("{version:016x}"),
        ..Filters::default()
    };
    for (column, values) in [
        ("platform", &mut filters.platforms),
        ("country", &mut filters.countries),
        ("game", &mut filters.games),
    ] {
        let has = |model: &&Arc<Model>| model.table.column(column).is_some();
        let of_key = |model: &&Arc<Model>| model.table.key.iter().any(|name| name == column);
        let mart = marts().find(|m| of_key(m)).or_else(|| marts().find(has));
        let Some(mart) = mart else { continue };
        let texts: BTreeSet<String> = distinct(&api, mart, column, MAX_VALUES)
            .await?
            .into_iter()
            .filter_map(|value| match value {
                ScalarValue::Utf8(Some(text)) if text != ALL => Some(text),
                _ => None,
            })
            .collect();
        *values = texts.into_iter().collect();
    }
    let mut days: Option<(ScalarValue, ScalarValue)> = None;
    // The first mart by days has them all: the others have the same, or fewer.
    if let Some((mart, day)) = marts().find_map(|m| day_column(m).map(|day| (m, &day.name))) {
        let first = edge(&api, mart, day, false).await?;
        let last = edge(&api, mart, day, true).await?;
        days = first.zip(last);
    }
    if let Some((first, last)) = days {
        filters.first_day = Some(first.to_string());
        filters.last_day = Some(last.to_string());
    }
    let body = bytes::Bytes::from(serde_json::to_vec(&filters).unwrap_or_default());
    *known = Some((version, body.clone()));
    body_response(body)
}

/// The first or last value of a column.
async fn edge(
    api: &Api,
    model: &Model,
    column: &str,
    descending: bool,
) -> Result<Option<ScalarValue>, Problem> {
    let reading = Reading {
        columns: [column.to_owned()].into(),
        conditions: Vec::<Condition>::new(),
        order: vec![OrderBy { column: column.to_owned(), descending }],
        limit: Some(1),
        ..Reading::default()
    };
    Ok(read_values(api, model, &reading).await?.into_iter().next())
}

fn body_response(body: bytes::Bytes) -> Result<Response, Problem> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    let json = axum::http::HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    Ok(response)
}

#[derive(Serialize)]
struct Session<'a> {
    required: bool,
    name: Option<&'a str>,
    scopes: Vec<&'static str>,
}

/// `GET /api/v1/session`
pub(crate) async fn session(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let scopes = Scope::ALL.into_iter().filter(|scope| caller.may(*scope));
    json(&Session {
        required: api.access.is_required(),
        name: caller.name(),
        scopes: scopes.map(Scope::name).collect(),
    })
}

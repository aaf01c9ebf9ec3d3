//! The tables of the star schema as endpoints: every file of `sql/marts` is one, and so is every other
//! model.

mod endpoint;
mod question;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::models::{Layer, Model};
use questlake_engine::project::diagnostic::nearest;
use questlake_engine::project::header::Chart;
use questlake_engine::query::reading::{OrderBy, Reading, ScalarValue};
use serde::Serialize;

use crate::answers::Question;
use crate::api::Api;
use crate::parameters::{Parameters, shortened};
use crate::problem::{Kind, Problem};
use crate::request::{as_written, json, named};
use crate::tabular::{Column, Meta, Rows, TableAnswer, model_columns};
use crate::text::rfc3339;
pub(crate) use endpoint::{Endpoint, Filter, day_column, filters};
use question::MartQuestion;

/// Most values that are written without others getting their turn: some milliseconds of work.
const CELLS_AT_ONCE: usize = 50_000;

/// Most values of a column that are listed.
const MAX_VALUES: usize = 10_000;

#[derive(Serialize)]
pub(crate) struct MartList {
    #[serde(skip_serializing_if = "Option::is_none")]
    marts: Option<Vec<MartInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<MartInfo>>,
    data_version: String,
}

#[derive(Serialize)]
struct MartInfo {
    name: String,
    layer: &'static str,
    title: String,
    description: Option<String>,
    columns: Vec<Column>,
    key: Vec<String>,
    partition: Option<String>,
    chart: Chart,
    url: String,
    filters: Vec<Filter>,
    data_through: Option<String>,
}

/// `GET /api/v1/marts`
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let marts =
        describe(&api, request.uri().query(), |model| model.source.layer == Layer::Mart, "marts")
            .await?;
    json(&MartList { marts: Some(marts.0), tables: None, data_version: marts.1 })
}

/// `GET /api/v1/tables`
pub(crate) async fn list_tables(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let tables = describe(&api, request.uri().query(), |_| true, "tables").await?;
    json(&MartList { marts: None, tables: Some(tables.0), data_version: tables.1 })
}

async fn describe(
    api: &Api,
    query: Option<&str>,
    wanted: impl Fn(&Model) -> bool,
    folder: &str,
) -> Result<(Vec<MartInfo>, String), Problem> {
    Parameters::new(query.unwrap_or_default()).finish()?;
    let freshness = api.freshness.get().await?;
    let endpoints = api.endpoints.iter().filter(|endpoint| wanted(&endpoint.model));
    let infos = endpoints
        .map(|Endpoint { model, filters, chart, .. }| MartInfo {
            name: model.name().to_owned(),
            layer: model.source.layer.name(),
            title: model.title().to_owned(),
            description: model.table.comment.clone(),
            columns: model_columns(model),
            key: model.table.key.clone(),
            partition: model.table.partition.clone(),
            chart: chart.clone(),
            url: format!("/api/v1/{folder}/{}", model.name()),
            filters: filters.clone(),
            data_through: freshness.model(model.name()).data_through.map(rfc3339),
        })
        .collect();
    Ok((infos, format!("{:016x}", freshness.all().version)))
}

/// `GET /api/v1/marts/{name}`
pub(crate) async fn rows(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    answer(api, path, request, |model| model.source.layer == Layer::Mart).await
}

/// `GET /api/v1/tables/{name}`
pub(crate) async fn table_rows(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    answer(api, path, request, |_| true).await
}

async fn answer(
    api: Arc<Api>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
    wanted: fn(&Model) -> bool,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let name = named(path)?;
    let freshness = api.freshness.get().await?;
    let state = freshness.model(&name);
    let written = as_written(request.uri(), request.headers());
    if let Some(ready) = written.as_ref().and_then(|written| api.answers.near(written))
        && ready.version() == state.version
    {
        api.answers.count_near_hit();
        return Ok(ready.response(request.headers()));
    }
    let endpoint = find(&api, &name, wanted)?;
    let model = &endpoint.model;
    if state.loaded && state.definition_changed {
        return Err(not_built(&name));
    }
    let query = request.uri().query().unwrap_or_default();
    let asked = MartQuestion::read(endpoint, state.version, query, request.headers())?;
    let freshness = AnswerFreshness { version: state.version, data_through: state.data_through };
    let question = Question {
        text: asked.text.clone(),
        freshness,
        format: asked.format,
        file_name: asked.as_file.then(|| format!("{name}.{}", asked.format.name())),
        reproducible: true,
    };
    let (title, chart) = (Some(model.title().to_owned()), Some(endpoint.chart.clone()));
    let answer = TableAnswer {
        columns: asked.columns,
        page: asked.page,
        meta: Meta { title, chart, freshness, warnings: Vec::new(), started },
        format: asked.format,
    };
    let held = match state.loaded {
        true => api.reader.held(model, state.version, &asked.reading)?,
        false => None,
    };
    if let Some(rows) = &held
        && rows.len() * asked.reading.columns.len() <= CELLS_AT_ONCE
    {
        let make = || {
            if asked.shows_all
                && let Some(whole) = answer.whole_of_texts(rows)?
            {
                return Ok(whole);
            }
            answer.whole(rows, &asked.reading.columns)
        };
        return api.answers.answer_at_once(written, request.headers(), question, make).await;
    }
    let (computing, model) = (Arc::clone(&api), Arc::clone(model));
    let compute = move |parts| async move {
        let rows = match held {
            Some(rows) => {
                let rows = rows.batch(&asked.reading.columns);
                Rows::held(rows.map_err(|error| Problem::internal(&error))?)
            }
            None if state.loaded => {
                Rows::Query(computing.reader.read(&model, &asked.reading).await?)
            }
            None => Rows::Absent,
        };
        answer.produce(asked.schema, rows, &parts).await
    };
    api.answers.answer(written, request.headers(), question, compute).await
}

#[derive(Serialize)]
pub(crate) struct Values {
    column: String,
    values: Vec<serde_json::Value>,
    truncated: bool,
}

/// `GET /api/v1/marts/{name}/values/{column}`
pub(crate) async fn values(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(Path((name, column))) = path else {
        return Err(Problem::not_found("the address is not readable"));
    };
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let model = &find(&api, &name, |model| model.source.layer == Layer::Mart)?.model;
    if !model.table.key.contains(&column) {
        let detail = format!(
            "`{}` is not a column of the key of {name}; its key is {}",
            shortened(&column),
            model.table.key.join(", ")
        );
        return Err(Problem::not_found(detail));
    }
    let mut values = distinct(&api, model, &column, MAX_VALUES + 1).await?;
    let truncated = values.len() > MAX_VALUES;
    values.truncate(MAX_VALUES);
    let values = values.iter().map(json_value).collect();
    json(&Values { column, values, truncated })
}

/// The different values of a column, sorted.
pub(crate) async fn distinct(
    api: &Api,
    model: &Model,
    column: &str,
    limit: usize,
) -> Result<Vec<ScalarValue>, Problem> {
    let reading = Reading {
        columns: [column.to_owned()].into(),
        order: vec![OrderBy { column: column.to_owned(), descending: false }],
        limit: Some(limit),
        distinct: true,
        ..Reading::default()
    };
    read_values(api, model, &reading).await
}

/// The values of the first column of a reading, without NULL; none of a table that was never loaded.
pub(crate) async fn read_values(
    api: &Api,
    model: &Model,
    reading: &Reading,
) -> Result<Vec<ScalarValue>, Problem> {
    let state = api.freshness.get().await?.model(model.name());
    if !state.loaded {
        return Ok(Vec::new());
    }
    let mut rows = api.reader.read(model, reading).await?;
    let mut values = Vec::new();
    while let Some(batch) = rows.next().await? {
        for row in 0..batch.num_rows() {
            let value = ScalarValue::try_from_array(batch.column(0), row);
            let value = value.map_err(|error| Problem::internal(&error))?;
            if !value.is_null() {
                values.push(value);
            }
        }
    }
    Ok(values)
}

/// A value as JSON.
pub(crate) fn json_value(value: &ScalarValue) -> serde_json::Value {
    match value {
        ScalarValue::Int64(Some(number)) => (*number).into(),
        ScalarValue::Boolean(Some(flag)) => (*flag).into(),
        ScalarValue::Float64(Some(number)) => (*number).into(),
        ScalarValue::Utf8(Some(text)) => text.as_str().into(),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            crate::text::rfc3339_micros(*micros).into()
        }
        value if value.is_null() => serde_json::Value::Null,
        other => other.to_string().into(),
    }
}

/// The table of that name.
pub(crate) fn find<'a>(
    api: &'a Api,
    name: &str,
    wanted: fn(&Model) -> bool,
) -> Result<&'a Endpoint, Problem> {
    let found = api.endpoint(name).filter(|endpoint| wanted(&endpoint.model));
    found.ok_or_else(|| {
        if api.endpoint(name).is_some() {
            let detail = format!("`{name}` is no mart; its rows are at /api/v1/tables/{name}");
            return Problem::not_found(detail);
        }
        let models = api.engine.project.models.iter().filter(|model| wanted(model));
        let hint = nearest(name, models.map(|model| model.name()));
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Problem::not_found(format!("there is no table `{}`{hint}", shortened(name)))
    })
}

fn not_built(name: &str) -> Problem {
    let detail = format!(
        "the definition of {name} has changed since its table was built: run `questlake etl run`"
    );
    Problem::new(Kind::Unavailable, detail)
}

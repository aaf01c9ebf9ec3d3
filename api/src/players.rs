//! Players: finding one, their state, and what they did: from the hot store, then from the archive.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::models::Model;
use questlake_engine::query::reading::{Condition, OrderBy, Reading, ScalarValue};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answers::Question;
use crate::api::Api;
use crate::marts::json_value;
use crate::parameters::{Parameters, shortened};
use crate::problem::Problem;
use crate::request::{self, json, named};
use crate::tabular::{Column, Columns, Meta, Rows, TableAnswer, model_columns};

mod timeline;

pub(crate) use timeline::timeline;

/// The model that describes players, by convention.
const PLAYERS: &str = "dim_player";

/// Its key.
const PLAYER_ID: &str = "player_id";

/// Its column with names that players gave themselves, where there is one.
const DISPLAY_NAME: &str = "display_name";

/// Players that are found if the request does not say, and at most.
const FOUND: (u64, u64) = (50, 1_000);

/// Longest text that is looked for.
const LONGEST_SEARCH: usize = 200;

/// The model of players, if the project has one with the usual key.
fn players_model(api: &Api) -> Option<&Arc<Model>> {
    let model = api.engine.project.model(PLAYERS)?;
    model.table.column(PLAYER_ID).is_some().then_some(model)
}

fn no_players() -> Problem {
    Problem::not_found("the project has no model dim_player with a column player_id")
}

/// `GET /api/v1/players`
pub(crate) async fn search(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let (format, as_file) = request::format(&mut parameters, request.headers())?;
    let limit = parameters.take_number("limit", 1, FOUND.1).unwrap_or(FOUND.0);
    let text = parameters.take("search").unwrap_or_default();
    if text.chars().count() > LONGEST_SEARCH {
        parameters.refuse("search", &text, "a text of at most 200 characters");
    }
    parameters.finish()?;
    let model = Arc::clone(players_model(&api).ok_or_else(no_players)?);
    let state = api.freshness.get().await?.model(model.name());
    let freshness = AnswerFreshness { version: state.version, data_through: state.data_through };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let by_name = !text.is_empty() && model.table.column(DISPLAY_NAME).is_some();
    let question = Question {
        text: format!("players {limit} {text}"),
        freshness,
        format,
        file_name: as_file.then(|| format!("players.{}", format.name())),
        reproducible: true,
    };
    let computing = Arc::clone(&api);
    let headers = request.headers().clone();
    let compute = move |parts| async move {
        let reading = reading(&model, &text, limit, by_name);
        let rows = match state.loaded {
            true => Rows::Query(computing.reader.read(&model, &reading).await?),
            false => Rows::Absent,
        };
        let schema = model.table.schema();
        let title = Some("Players".to_owned());
        let meta = Meta { title, chart: None, freshness, warnings: Vec::new(), started };
        let columns = Columns::new(&model_columns(&model));
        let answer = TableAnswer { columns, page: None, meta, format };
        answer.produce(schema, rows, &parts).await
    };
    api.answers.answer(None, &headers, question, compute).await
}

fn reading(model: &Model, text: &str, limit: usize, by_name: bool) -> Reading {
    let mut conditions = Vec::new();
    if by_name {
        conditions.push(Condition::AnyOf(vec![
            starts_with(text),
            vec![Condition::BeginsWith { column: DISPLAY_NAME.to_owned(), text: text.to_owned() }],
        ]));
    } else if !text.is_empty() {
        conditions.extend(starts_with(text));
    }
    Reading {
        columns: model.table.column_names(),
        conditions,
        order: vec![OrderBy { column: PLAYER_ID.to_owned(), descending: false }],
        limit: Some(limit),
        ..Reading::default()
    }
}

/// Identifiers with this beginning: a range, which the store finds by its index.
fn starts_with(text: &str) -> Vec<Condition> {
    let column = || PLAYER_ID.to_owned();
    let value = |text: String| ScalarValue::Utf8(Some(text));
    vec![
        Condition::AtLeast { column: column(), value: value(text.to_owned()) },
        Condition::AtMost { column: column(), value: value(format!("{text}\u{10FFFF}")) },
    ]
}

#[derive(Serialize)]
struct Profile {
    player_id: String,
    profile: Option<Map<String, Value>>,
    columns: Vec<Column>,
    first_event_at: Option<Value>,
    last_event_at: Option<Value>,
}

/// `GET /api/v1/players/{id}`
pub(crate) async fn profile(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let player_id = named(path)?;
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let model = players_model(&api);
    let profile = match model {
        Some(model) => read_profile(&api, model, &player_id).await?,
        None => None,
    };
    let last = api.engine.stores.hot.player_timeline(&player_id, 1).await?.into_iter().next();
    if profile.is_none() && last.is_none() {
        let detail = format!("nothing is known of a player `{}`", shortened(&player_id));
        return Err(Problem::not_found(detail));
    }
    let known = |name: &str| profile.as_ref().and_then(|profile| profile.get(name).cloned());
    let seen: BTreeSet<&str> = ["first_event_at", "first_seen_at", "registered_at"].into();
    let first_event_at = seen.iter().find_map(|name| known(name));
    let latest = last.map(|event| Value::from(crate::text::rfc3339_micros(event.event_time)));
    json(&Profile {
        player_id,
        columns: model.map(|model| model_columns(model)).unwrap_or_default(),
        first_event_at,
        last_event_at: latest.or_else(|| known("last_event_at")),
        profile,
    })
}

async fn read_profile(
    api: &Api,
    model: &Model,
    player_id: &str,
) -> Result<Option<Map<String, Value>>, Problem> {
    if !api.freshness.get().await?.model(model.name()).loaded {
        return Ok(None);
    }
    let id = ScalarValue::Utf8(Some(player_id.to_owned()));
    let reading = Reading {
        columns: model.table.column_names(),
        conditions: vec![Condition::OneOf { column: PLAYER_ID.to_owned(), values: vec![id] }],
        limit: Some(1),
        ..Reading::default()
    };
    let mut rows = api.reader.read(model, &reading).await?;
    while let Some(batch) = rows.next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        let mut profile = Map::new();
        for (name, column) in reading.columns.iter().zip(batch.columns()) {
            let value = ScalarValue::try_from_array(column, 0);
            let value = value.map_err(|error| Problem::internal(&error))?;
            profile.insert(name.clone(), json_value(&value));
        }
        return Ok(Some(profile));
    }
    Ok(None)
}

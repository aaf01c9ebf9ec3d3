//! What a player did, latest first: from the hot store, where an event is as soon as it has come, and
//! from landing and archive for what the hot store no longer has.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use questlake_engine::project::contract::ColumnType;
use questlake_engine::project::source::SourceFile;
use questlake_engine::query::parameters::parse_value;
use questlake_engine::query::reading::ScalarValue;
use questlake_engine::query::{Overflow, PreparedStatement};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::Api;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::request::{json, named};
use crate::text::rfc3339_micros;

/// Events of a page if the request does not say, and at most.
const EVENTS: (u64, u64) = (50, 1_000);

/// As late as times go.
const LATEST: i64 = 253_402_300_799_999_999;

const HOT: &str = include_str!("timeline_hot.sql");
const HISTORY: &str = include_str!("timeline_history.sql");

#[derive(Serialize)]
struct Timeline {
    player_id: String,
    events: Vec<Event>,
    next_cursor: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Event {
    event_id: String,
    event_type: String,
    event_time: String,
    source: &'static str,
    session_id: Option<String>,
    document: Value,
    #[serde(skip)]
    micros: i64,
}

/// Events are latest first; those of one instant by their identifiers, the largest first.
type Place = (i64, String);

/// `GET /api/v1/players/{id}/timeline`
pub(crate) async fn timeline(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let player_id = named(path)?;
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let limit = parameters.take_number("limit", 1, EVENTS.1).unwrap_or(EVENTS.0);
    let before = parameters.take("before").and_then(|text| {
        match parse_value(ColumnType::Timestamp, &text) {
            Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) => Some(micros),
            _ => {
                parameters.refuse("before", &text, "a time such as 2026-01-31T12:00:00Z");
                None
            }
        }
    });
    let place = parameters.take_cursor("cursor", decode).map(|(_, place)| place);
    parameters.finish()?;
    // Nothing at `before` itself; a cursor goes on behind its event.
    let place = place.unwrap_or((before.unwrap_or(LATEST), String::new()));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut events = read(&api, HOT, "hot", &player_id, &place, limit + 1).await?;
    if events.len() <= limit {
        let older = read(&api, HISTORY, "archive", &player_id, &place, limit + 1).await?;
        merge(&mut events, older);
    }
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| has_more).map(encode);
    json(&Timeline { player_id, events, next_cursor })
}

/// Adds what is not there yet, and keeps the order.
fn merge(events: &mut Vec<Event>, others: Vec<Event>) {
    let known: std::collections::HashSet<String> =
        events.iter().map(|event| event.event_id.clone()).collect();
    events.extend(others.into_iter().filter(|event| !known.contains(&event.event_id)));
    events
        .sort_by(|left, right| (right.micros, &right.event_id).cmp(&(left.micros, &left.event_id)));
}

fn encode(event: &Event) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", event.micros, event.event_id))
}

fn decode(cursor: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (micros, event_id) = text.split_once(' ')?;
    Some((micros.parse().ok()?, event_id.to_owned()))
}

async fn read(
    api: &Api,
    sql: &str,
    source: &'static str,
    player_id: &str,
    (micros, event_id): &Place,
    limit: usize,
) -> Result<Vec<Event>, Problem> {
    let statement = PreparedStatement::new(SourceFile::new("timeline", sql))?;
    let given: BTreeMap<String, String> = [
        ("player".to_owned(), player_id.to_owned()),
        ("before".to_owned(), rfc3339_micros(*micros)),
        ("event".to_owned(), event_id.clone()),
        ("most".to_owned(), limit.to_string()),
    ]
    .into();
    let mut rows = api.engine.query(&statement, &given, Overflow::Truncate).await?;
    let mut events = Vec::new();
    while let Some(batch) = rows.next().await? {
        for row in 0..batch.num_rows() {
            events.extend(event(&batch, row, source));
        }
    }
    Ok(events)
}

fn event(batch: &RecordBatch, row: usize, source: &'static str) -> Option<Event> {
    let text = |name: &str| -> Option<String> {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let times = batch.column_by_name("event_time")?;
    let micros = times.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
    let document = match text("document") {
        Some(document) => serde_json::from_str(&document).unwrap_or(Value::String(document)),
        None => Value::Object(envelope(batch, row)),
    };
    let session_id = text("session_id")
        .or_else(|| document.get("session_id").and_then(Value::as_str).map(str::to_owned));
    Some(Event {
        event_id: text("event_id")?,
        event_type: text("event_type")?,
        event_time: rfc3339_micros(micros),
        source,
        session_id,
        document,
        micros,
    })
}

/// The columns of an event as a document.
fn envelope(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema();
    let mut document = Map::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if column.is_null(row) {
            continue;
        }
        let Ok(value) = ScalarValue::try_from_array(column, row) else { continue };
        document.insert(field.name().clone(), crate::marts::json_value(&value));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(micros: i64, id: &str, source: &'static str) -> Event {
        Event {
            event_id: id.to_owned(),
            event_type: "t".to_owned(),
            event_time: rfc3339_micros(micros),
            source,
            session_id: None,
            document: Value::Null,
            micros,
        }
    }

    #[test]
    fn each_event_is_told_once_and_in_order() {
        let mut events = vec![event(9, "b", "hot"), event(9, "a", "hot"), event(5, "c", "hot")];
        merge(&mut events, vec![event(9, "a", "archive"), event(7, "d", "archive")]);
        let ids: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, ["b", "a", "d", "c"]);
        assert_eq!(events[1].source, "hot");
    }

    #[test]
    fn cursors_come_back() {
        let place = decode(&encode(&event(-7, "an id with spaces", "hot")));
        assert_eq!(place, Some((-7, "an id with spaces".to_owned())));
        assert_eq!(decode("%"), None);
        assert_eq!(decode(&URL_SAFE_NO_PAD.encode("x y")), None);
    }

    #[test]
    fn the_statements_only_read() {
        for sql in [HOT, HISTORY] {
            assert!(PreparedStatement::new(SourceFile::new("timeline", sql)).is_ok(), "{sql}");
        }
    }
}

//! The OpenAPI document: from the list of routes, and from the project's marts and saved queries.
//!
//! Whatever can be asked is in [`routes`](crate::routes); each mart and each saved query is an entry of
//! its own, with its parameters, so that a project's files document themselves.

use std::sync::Arc;

use arrow::datatypes::DataType;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use questlake_engine::models::{CompiledProject, Layer, Model};
use questlake_engine::project::contract::ColumnType;
use questlake_engine::query::SavedQuery;
use serde_json::{Map, Value, json};

use crate::access::Needs;
use crate::api::Api;
use crate::marts::{day_column, filters};
use crate::negotiate::Format;
use crate::problem::Problem;
use crate::routes::{
    Answer, COLUMNS, CURSOR, FORMAT, LIMIT, ORDER, Parameter, Place, QUERY_LIMIT, Route, routes,
};

/// Schemas of bodies and answers.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

const PAGE: &str = include_str!("openapi/page.html");
const SCRIPT: &str = include_str!("openapi/page.js");

/// `GET /openapi.json`
pub(crate) async fn document(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let body = api.openapi.get_or_init(|| {
        let document = build(&api.engine.project, api.access.is_required());
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    });
    let mut response = Response::new(body.clone().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// `GET /docs`
pub(crate) async fn page() -> Response {
    with_type(PAGE, "text/html; charset=utf-8")
}

/// `GET /docs.js`
pub(crate) async fn script() -> Response {
    with_type(SCRIPT, "text/javascript; charset=utf-8")
}

fn with_type(text: &'static str, kind: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The whole document.
pub(crate) fn build(project: &CompiledProject, keys_required: bool) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        add(&mut paths, route.path, route.method, operation(&route));
    }
    for model in project.models.iter().filter(|model| model.source.layer == Layer::Mart) {
        let path = format!("/api/v1/marts/{}", model.name());
        add(&mut paths, &path, "get", mart_operation(model));
    }
    for query in &project.queries {
        let path = format!("/api/v1/queries/{}", query.name());
        add(&mut paths, &path, "get", query_operation(query));
    }
    add(&mut paths, "/v1/events", "post", events_operation());
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Questlake",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A game's telemetry as answers. Marts and saved queries are files of the \
                            project; rows come as JSON, CSV, NDJSON or Arrow IPC."
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "qlk_…"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
            }
        }
    });
    if keys_required {
        document["security"] = json!([{"bearer": []}, {"header": []}]);
    }
    document
}

fn add(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let entry = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    entry[method] = operation;
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = route.parameters.iter().map(parameter).collect();
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "tags": [tag(route.path)],
        "parameters": parameters,
        "responses": responses(route.answer, &route.parameters, route.needs),
    });
    if route.needs == Needs::Nothing {
        operation["security"] = json!([]);
    }
    if let Needs::Scope(scope) = route.needs {
        operation["description"] = json!(format!("Needs the scope `{}`.", scope.name()));
    }
    if let Some(body) = route.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": reference(body)}},
        });
        operation["responses"]["413"] = problem("The body is too long");
        operation["responses"]["415"] = problem("The body is no JSON");
        operation["responses"]["422"] = problem("The query met a limit, or failed on its way");
    }
    if route.id == "readyz" {
        operation["responses"]["503"] = json!({
            "description": "A store does not answer",
            "content": {"application/json": {"schema": reference("Ready")}},
        });
    }
    operation
}

fn tag(path: &str) -> &'static str {
    let part = path.strip_prefix("/api/v1/").unwrap_or("").split('/').next().unwrap_or("");
    match part {
        "marts" | "tables" | "filters" => "marts",
        "queries" | "query" | "catalog" => "queries",
        "players" => "players",
        "" | "session" => "server",
        _ => "pipeline",
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
    };
    let schema: Value = serde_json::from_str(parameter.schema).unwrap_or_default();
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.place == Place::Path,
        "description": parameter.description,
        "schema": schema,
    })
}

fn responses(answer: Answer, parameters: &[Parameter], needs: Needs) -> Value {
    let mut responses = Map::new();
    let content = match answer {
        Answer::Rows => rows_content(),
        Answer::Json(name) => json!({"application/json": {"schema": reference(name)}}),
        // As a schema of each event, which is how tools read it.
        Answer::Events => json!({"text/event-stream": {"schema": {
            "type": "object",
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        }}}),
        Answer::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    responses.insert("200".to_owned(), json!({"description": "The answer", "content": content}));
    if answer == Answer::Rows {
        let unchanged = json!({"description": "The answer with this ETag is still right"});
        responses.insert("304".to_owned(), unchanged);
        responses.insert("406".to_owned(), problem("No format fits"));
    }
    if needs != Needs::Nothing {
        for (status, description) in [
            ("400", "A parameter is not as it must be"),
            ("401", "A key is needed"),
            ("403", "The key is not good for this, or the page may not call"),
            ("405", "The method is not one of this address"),
            ("429", "Too many requests"),
            ("503", "A store does not answer"),
            ("504", "It took too long"),
        ] {
            responses.insert(status.to_owned(), problem(description));
        }
    }
    if parameters.iter().any(|parameter| parameter.name == CURSOR.name) {
        let lost = problem("The cursor is of other rows, another order, or older data");
        responses.insert("409".to_owned(), lost);
    }
    if parameters.iter().any(|parameter| parameter.place == Place::Path) {
        responses.insert("404".to_owned(), problem("There is no such thing"));
    }
    Value::Object(responses)
}

fn rows_content() -> Value {
    let mut content = Map::new();
    for format in Format::ALL {
        let media_type = format.media_type().split(';').next().unwrap_or_default();
        let schema = match format {
            Format::Json => reference("Rows"),
            Format::Arrow => json!({"type": "string", "format": "binary"}),
            _ => json!({"type": "string"}),
        };
        content.insert(media_type.to_owned(), json!({"schema": schema}));
    }
    Value::Object(content)
}

/// The JSON schema of a parameter whose values are of this type.
fn schema_of(data_type: &DataType) -> Value {
    let whole = |format: &str, least: i64, most: i64| json!({"type": "integer", "format": format, "minimum": least, "maximum": most});
    match data_type {
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int16 => whole("int16", i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => whole("int32", i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => whole("int64", i64::MIN, i64::MAX),
        DataType::Float64 => json!({"type": "number"}),
        // As digits: a JSON number would be rounded on its way.
        DataType::Decimal128(precision, scale) => {
            let before = i16::from(*precision) - i16::from(*scale);
            let behind = match scale {
                0 => String::new(),
                _ => format!(r"(\.\d{{1,{scale}}})?"),
            };
            let pattern = format!(r"^-?\d{{1,{}}}{behind}$", before.max(1));
            json!({"type": "string", "format": "decimal", "pattern": pattern})
        }
        DataType::Date32 => json!({"type": "string", "format": "date"}),
        DataType::Timestamp(..) => json!({"type": "string", "format": "date-time"}),
        _ => json!({"type": "string"}),
    }
}

/// A parameter that is a list of these words, separated by commas.
fn list_of(about: &Parameter, words: Value) -> Value {
    let mut list = parameter(about);
    list["schema"] = json!({"type": "array", "items": {"enum": words}});
    list["style"] = json!("form");
    list["explode"] = json!(false);
    list
}

fn mart_operation(model: &Model) -> Value {
    let mut parameters = Vec::new();
    if let Some(day) = day_column(model) {
        for (name, what) in [("from", "First"), ("to", "Last")] {
            parameters.push(json!({
                "name": name,
                "in": "query",
                "required": false,
                "description": format!("{what} day, by `{}`", day.name),
                "schema": {"type": "string", "format": "date"},
            }));
        }
    }
    for filter in filters(model) {
        let Some(column) = model.table.column(filter.column()) else { continue };
        let about = column.comment.clone().unwrap_or_default();
        let default = match filter.default() {
            Some(default) => format!(" `{default}` without it; `*` for every value."),
            None => " Every value without it.".to_owned(),
        };
        parameters.push(json!({
            "name": filter.column(),
            "in": "query",
            "required": false,
            "description": format!("{about}{default}"),
            "schema": {"type": "array", "items": schema_of(&column.data_type)},
            "style": "form",
            "explode": true,
        }));
    }
    let names: Vec<&str> = model.table.columns.iter().map(|column| column.name.as_str()).collect();
    let descending = names.iter().map(|name| format!("-{name}"));
    let orders: Vec<String> =
        names.iter().map(|name| (*name).to_owned()).chain(descending).collect();
    let mut columns = list_of(&COLUMNS, json!(names));
    columns["schema"]["uniqueItems"] = json!(true);
    parameters.push(columns);
    parameters.push(list_of(&ORDER, json!(orders)));
    parameters.extend([LIMIT, CURSOR, FORMAT].iter().map(parameter));
    json!({
        "operationId": format!("mart_{}", model.name()),
        "summary": model.title(),
        "description": model.table.comment.clone().unwrap_or_default(),
        "tags": ["marts"],
        "parameters": parameters,
        "responses": responses(Answer::Rows, &[CURSOR], Needs::AnyKey),
    })
}

fn query_operation(query: &SavedQuery) -> Value {
    let header = &query.statement.header;
    let mut parameters: Vec<Value> = Vec::new();
    for declared in &header.parameters {
        let declared = &declared.value;
        let mut schema = schema_of(&declared.parameter_type.arrow_type());
        if let ColumnType::Text { max_chars: Some(most) } = declared.parameter_type {
            schema["maxLength"] = json!(most);
        }
        if let Some(default) = &declared.default {
            schema["default"] = match schema["type"].as_str() {
                Some("string") => json!(default),
                _ => serde_json::from_str(default).unwrap_or_else(|_| json!(default)),
            };
        }
        parameters.push(json!({
            "name": declared.name,
            "in": "query",
            "required": declared.default.is_none(),
            "description": declared.comment.clone().unwrap_or_default(),
            "schema": schema,
        }));
    }
    let is_own = |name: &str| header.parameters.iter().any(|own| own.value.name == name);
    let further = [FORMAT, QUERY_LIMIT];
    parameters.extend(further.iter().filter(|further| !is_own(further.name)).map(parameter));
    let mut responses = responses(Answer::Rows, &[], Needs::AnyKey);
    responses["422"] = problem("The query met a limit, or failed on its way");
    json!({
        "operationId": format!("query_{}", query.name()),
        "summary": query.title(),
        "description": header.description.clone().unwrap_or_default(),
        "tags": ["queries"],
        "parameters": parameters,
        "responses": responses,
    })
}

fn events_operation() -> Value {
    let answer = |description: &str, name: &str| {
        json!({
            "description": description,
            "content": {"application/json": {"schema": reference(name)}},
        })
    };
    json!({
        "operationId": "collect",
        "summary": "Send events",
        "description": "One JSON object, an array of objects, or one object a line; plain or gzip. \
                        An answer of 200 says that they are durable. Needs the scope `ingest`.",
        "tags": ["events"],
        "requestBody": {
            "required": true,
            "content": {
                "application/json": {"schema": {"oneOf": [
                    {"type": "object"}, {"type": "array", "items": {"type": "object"}}
                ]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": answer("What became of them", "Collected"),
            "400": problem("The body is not as it must be"),
            "401": problem("A key is needed"),
            "403": problem("The key is not good for this, or the page may not call"),
            "405": problem("The method is not one of this address"),
            "408": problem("The body did not arrive in time"),
            "413": problem("The body is too long"),
            "415": problem("The encoding of the body is not understood"),
            "429": problem("Too many wait: try again in a moment"),
            "503": problem("The events are not durable: sending them again is safe"),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use questlake_engine::project;

    use super::*;

    /// Every reference in a value.
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target);
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[tokio::test]
    async fn the_document_holds_together() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let (project, _) = project::load(folder).await.unwrap();
        let document = build(&project, true);
        assert!(document["security"].is_array());
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target} is not there");
        }
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "{method} {path}: {id} is there twice");
                assert!(operation["responses"]["200"].is_object(), "{path}");
            }
        }
        // A file is an entry.
        let mart = &document["paths"]["/api/v1/marts/mart_daily_kpi"]["get"];
        let names: Vec<&str> = mart["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(names[..4], ["from", "to", "platform", "country"]);
        let queries = project.queries.len();
        let entries = ids.iter().filter(|id| id.starts_with("query_")).count();
        assert_eq!(entries, queries);
    }
}

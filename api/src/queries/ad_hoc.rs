//! SQL of the caller's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use questlake_engine::project::header::parse_query_header;
use questlake_engine::project::source::{SourceFile, is_identifier};
use questlake_engine::query::PreparedStatement;
use questlake_engine::query::parameters::parse_value;
use questlake_engine::stores::keys::Scope;
use serde::Deserialize;

use super::Work;
use crate::access::Caller;
use crate::answers::Question;
use crate::api::Api;
use crate::body;
use crate::negotiate::Format;
use crate::parameters::{Parameters, shortened};
use crate::problem::{Kind, Mistake, Problem};
use crate::request;

/// Rows of a JSON answer if the request does not say.
const DEFAULT_MAX_ROWS: u64 = 10_000;

/// Most rows that a request may ask for.
const MAX_ROWS: u64 = super::MAX_ROWS;

/// The body of `POST /api/v1/query`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdHoc {
    sql: String,
    #[serde(default, deserialize_with = "body::each_once")]
    parameters: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    max_rows: Option<u64>,
}

/// `POST /api/v1/query`
pub(crate) async fn ad_hoc(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let (format, as_file) = request::format(&mut parameters, request.headers())?;
    parameters.finish()?;
    let headers = request.headers().clone();
    let asked: AdHoc = body::json(request, api.settings.body_limit.as_usize()).await?;
    if asked.max_rows.is_some_and(|rows| !(1..=MAX_ROWS).contains(&rows)) {
        let mistake = Mistake {
            parameter: "max_rows".to_owned(),
            message: format!("`max_rows` is a whole number from 1 to {MAX_ROWS}"),
            allowed: Some(format!("1 to {MAX_ROWS}")),
            ..Mistake::default()
        };
        return Err(Problem::of_mistakes(Kind::InvalidBody, vec![mistake]));
    }
    let (statement, given) = prepare(asked.sql, &asked.parameters)?;
    let freshness = api.freshness.get().await?.all();
    let question = Question {
        text: String::new(),
        freshness,
        format,
        file_name: as_file.then(|| format!("query.{}", format.name())),
        reproducible: false,
    };
    let limit = asked.max_rows.or((format == Format::Json).then_some(DEFAULT_MAX_ROWS));
    let work = Work {
        title: statement.header.title.clone(),
        chart: statement.header.chart.as_ref().map(|chart| chart.value.clone()),
        statement,
        given,
        limit,
        known: Vec::new(),
        freshness,
        format,
        is_ad_hoc: true,
        sees_raw: caller.may(Scope::Admin),
        started,
    };
    let computing = Arc::clone(&api);
    let compute = move |parts| async move { work.compute(&computing, &parts).await };
    api.answers.answer(None, &headers, question, compute).await
}

/// A statement with its parameters as texts. Those that its header does not declare have the types of
/// their JSON values.
fn prepare(
    sql: String,
    parameters: &BTreeMap<String, serde_json::Value>,
) -> Result<(PreparedStatement, BTreeMap<String, String>), Problem> {
    let (header, _) = parse_query_header(&SourceFile::new("query", sql.as_str()));
    let mut declarations = String::new();
    let mut declared_lines = 0;
    let mut given = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (name, value) in parameters {
        let mut refuse = |message: String, allowed: &str| {
            mistakes.push(Mistake {
                parameter: format!("parameters.{}", shortened(name)),
                message,
                allowed: Some(allowed.to_owned()),
                ..Mistake::default()
            });
        };
        let known = header.parameters.iter().find(|parameter| parameter.value.name == *name);
        if !is_identifier(name) {
            let message = format!("`{}` is not the name of a parameter", shortened(name));
            refuse(message, "a lower-case identifier");
            continue;
        }
        let (text, kind) = match value {
            serde_json::Value::String(text) => (text.clone(), "TEXT"),
            serde_json::Value::Bool(flag) => (flag.to_string(), "BOOLEAN"),
            serde_json::Value::Number(number) if number.is_i64() => (number.to_string(), "BIGINT"),
            serde_json::Value::Number(number) => (number.to_string(), "DOUBLE"),
            _ => {
                let message = format!("the value of `{name}` is no text, number or boolean");
                refuse(message, "a text, number or boolean");
                continue;
            }
        };
        match known {
            Some(parameter) => {
                if let Err(expected) = parse_value(parameter.value.parameter_type, &text) {
                    let message = format!("`{name}` cannot be `{}`", shortened(&text));
                    refuse(message, &expected);
                }
            }
            None => {
                declarations.push_str(&format!("-- param {name}: {kind}\n"));
                declared_lines += 1;
            }
        }
        given.insert(name.clone(), text);
    }
    if !mistakes.is_empty() {
        return Err(Problem::of_mistakes(Kind::InvalidParameter, mistakes));
    }
    let file = SourceFile::new("query", format!("{declarations}{sql}"));
    let statement = PreparedStatement::new(file).map_err(|error| {
        let mut problem = Problem::from(error);
        // Places are those of the caller's text.
        shift(&mut problem, declared_lines);
        problem
    })?;
    Ok((statement, given))
}

/// Moves places up by the lines that were put in front.
fn shift(problem: &mut Problem, lines: u64) {
    if lines == 0 {
        return;
    }
    for mistake in &mut problem.mistakes {
        let (Some(line), Some(column)) = (mistake.line, mistake.column) else { continue };
        let told = line.saturating_sub(lines).max(1);
        let (before, after) =
            (format!("line {line}, column {column}"), format!("line {told}, column {column}"));
        mistake.message = mistake.message.replacen(&before, &after, 1);
        mistake.line = Some(told);
    }
    let told: Vec<&str> = problem.mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    problem.detail = told.join("; ");
}

#[cfg(test)]
mod tests {
    use questlake_engine::query::parameters::type_name;
    use serde_json::json;

    use super::*;

    fn prepared(sql: &str, parameters: serde_json::Value) -> Result<Vec<String>, Problem> {
        let parameters = serde_json::from_value(parameters).unwrap();
        prepare(sql.to_owned(), &parameters).map(|(statement, _)| {
            let header = statement.header;
            let typed = header.parameters.iter().map(|parameter| {
                let parameter = &parameter.value;
                format!("{} {}", parameter.name, type_name(parameter.parameter_type))
            });
            typed.collect()
        })
    }

    #[test]
    fn parameters_have_the_types_of_their_values_or_of_the_header() {
        let sql = "SELECT $a, $b, $c, $d";
        let typed = prepared(sql, json!({"a": "x", "b": 1, "c": 1.5, "d": true})).unwrap();
        assert_eq!(typed, ["a TEXT", "b BIGINT", "c DOUBLE", "d BOOLEAN"]);
        let declared = "-- param a: DATE\nSELECT $a";
        assert_eq!(prepared(declared, json!({"a": "2026-01-31"})).unwrap(), ["a DATE"]);
        let problem = prepared(declared, json!({"a": "31.1."})).unwrap_err();
        assert_eq!(problem.mistakes[0].parameter, "parameters.a");
    }

    #[test]
    fn names_of_parameters_bring_no_sql_in() {
        let evil = "a: TEXT\nSELECT secret -- ";
        let problem = prepared("SELECT 1", json!({evil: "x"})).unwrap_err();
        assert_eq!(problem.kind, Kind::InvalidParameter);
        assert!(prepared("SELECT 1", json!({"a": [1]})).is_err());
        assert!(prepared("SELECT 1", json!({"a": null})).is_err());
    }

    #[test]
    fn parameters_are_given_once() {
        let read = |text: &str| serde_json::from_str::<AdHoc>(text).map(|asked| asked.parameters);
        assert_eq!(read(r#"{"sql": "", "parameters": {"a": 1, "b": 2}}"#).unwrap().len(), 2);
        let twice = read(r#"{"sql": "", "parameters": {"a": 1, "a": 2}}"#).unwrap_err();
        assert!(twice.to_string().contains("`a` is there twice"), "{twice}");
        assert!(read(r#"{"sql": "SELECT 1", "sql": "SELECT 2"}"#).is_err());
    }

    #[test]
    fn places_are_those_of_the_callers_text() {
        let problem = prepared("SELECT $a,\n$b", json!({"a": 1})).unwrap_err();
        assert_eq!(problem.kind, Kind::QueryMistake);
        assert_eq!((problem.mistakes[0].line, problem.mistakes[0].column), (Some(2), Some(1)));
        assert!(problem.detail.starts_with("line 2, column 1:"), "{}", problem.detail);
        let drop = prepared("DROP TABLE x", json!({})).unwrap_err();
        assert!(drop.detail.contains("not allowed"), "{}", drop.detail);
    }
}

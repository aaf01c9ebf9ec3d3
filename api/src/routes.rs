//! Everything that can be asked, one entry each: where it is, what it needs, and what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use questlake_engine::stores::keys::Scope;

use crate::access::Needs;
use crate::api::Api;
use crate::gate::{Gate, pass};
use crate::problem::{Kind, Problem};
use crate::{
    assets, catalog, health, live, marts, metrics, openapi, pipeline, players, quarantine, queries,
};

/// What an answer is, for the OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Rows, in the format that is asked for.
    Rows,
    /// JSON of the schema with this name.
    Json(&'static str),
    /// Server-sent events.
    Events,
    /// Plain text.
    Text,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
}

/// A parameter, for the OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Its JSON schema.
    pub(crate) schema: &'static str,
    pub(crate) description: &'static str,
}

/// One entry.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    /// Its name for programs.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    /// Name of the body's schema.
    pub(crate) body: Option<&'static str>,
    pub(crate) answer: Answer,
    /// Whether the answer may go on for ever.
    pub(crate) endless: bool,
    pub(crate) handler: MethodRouter<Arc<Api>>,
}

const READ: Needs = Needs::Scope(Scope::Read);

const fn query(name: &'static str, schema: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, schema, description }
}

const fn in_path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, schema: r#"{"type":"string"}"#, description }
}

pub(crate) const FORMAT: Parameter = query(
    "format",
    r#"{"type":"string","enum":["json","csv","ndjson","arrow"]}"#,
    "Format of the rows; else `Accept` decides. Anything but JSON comes as a file",
);

pub(crate) const COLUMNS: Parameter =
    query("columns", r#"{"type":"string"}"#, "Only these columns, separated by commas");
pub(crate) const ORDER: Parameter = query(
    "order",
    r#"{"type":"string"}"#,
    "Columns to sort by, separated by commas; `-column` for the largest first",
);
pub(crate) const LIMIT: Parameter = query(
    "limit",
    r#"{"type":"integer","minimum":1,"maximum":50000}"#,
    "Rows of a page. JSON has 1000 without it, other formats have all",
);
pub(crate) const QUERY_LIMIT: Parameter = query(
    "limit",
    r#"{"type":"integer","minimum":1,"maximum":1000000000}"#,
    "Most rows; more than `query.max_rows` there are never",
);
pub(crate) const CURSOR: Parameter =
    query("cursor", A_CURSOR, "The `next_cursor` of the page before");
const A_CURSOR: &str = r#"{"type":"string","pattern":"^[A-Za-z0-9_-]+$"}"#;
const NAME: Parameter = in_path("name", "Name of the file, without `.sql`");
const A_NUMBER: &str = r#"{"type":"integer","minimum":0,"maximum":9223372036854775807}"#;
const UP_TO_1000: &str = r#"{"type":"integer","minimum":1,"maximum":1000}"#;
const TEXT: &str = r#"{"type":"string"}"#;

/// An entry of a route that is read.
fn read(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: Answer,
    handler: MethodRouter<Arc<Api>>,
) -> Route {
    Route {
        method: "get",
        path,
        needs: READ,
        id,
        summary,
        parameters: Vec::new(),
        body: None,
        answer,
        endless: false,
        handler,
    }
}

/// The list.
#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route { needs: Needs::Nothing, ..read("/healthz", "healthz",
            "Whether the process serves", Answer::Text, get(health::healthz)) },
        Route { needs: Needs::Nothing, ..read("/readyz", "readyz",
            "Whether the stores answer", Answer::Json("Ready"), get(health::readyz)) },
        read("/metrics", "metrics",
            "Figures to alarm on, for Prometheus", Answer::Text, get(metrics::metrics)),
        Route { needs: Needs::AnyKey, ..read("/openapi.json", "openapi",
            "This document", Answer::Json("Any"), get(openapi::document)) },
        Route { needs: Needs::AnyKey, ..read("/api/v1/session", "session",
            "What the caller may do", Answer::Json("Session"), get(catalog::session)) },
        read("/api/v1/marts", "marts",
            "The marts: one for each file in sql/marts", Answer::Json("MartList"),
            get(marts::list)),
        Route { parameters: vec![NAME], ..read("/api/v1/marts/{name}", "mart",
            "Rows of a mart", Answer::Rows, get(marts::rows)) },
        Route { parameters: vec![NAME, in_path("column", "A column of the mart's key")],
            ..read("/api/v1/marts/{name}/values/{column}", "values",
            "The different values of a column of a mart's key", Answer::Json("Values"),
            get(marts::values)) },
        read("/api/v1/tables", "tables",
            "All tables of the star schema", Answer::Json("TableList"), get(marts::list_tables)),
        Route { parameters: vec![NAME, COLUMNS, ORDER, LIMIT, CURSOR, FORMAT],
            ..read("/api/v1/tables/{name}", "table",
            "Rows of a table of the star schema; chosen as those of a mart", Answer::Rows,
            get(marts::table_rows)) },
        read("/api/v1/filters", "filters",
            "What the marts can be cut by, and the days that have data", Answer::Json("Filters"),
            get(catalog::filters)),
        read("/api/v1/queries", "queries",
            "The saved queries: one for each file in queries", Answer::Json("QueryList"),
            get(queries::list)),
        Route { parameters: vec![NAME], ..read("/api/v1/queries/{name}", "saved_query",
            "The result of a saved query", Answer::Rows, get(queries::run)) },
        Route { method: "post", needs: Needs::Scope(Scope::Query), body: Some("AdHocQuery"),
            parameters: vec![FORMAT], ..read("/api/v1/query", "query",
            "The result of one read-only statement", Answer::Rows, post(queries::ad_hoc)) },
        read("/api/v1/catalog", "catalog",
            "Tables, columns and functions that a query can name", Answer::Json("Catalog"),
            get(catalog::catalog)),
        Route { parameters: vec![query("search", TEXT, "How the identifier or the display name begins"),
            query("limit", UP_TO_1000, "Most players"), FORMAT],
            ..read("/api/v1/players", "players",
            "Players by the beginning of their identifier or name", Answer::Rows,
            get(players::search)) },
        Route { parameters: vec![in_path("id", "The player")], ..read("/api/v1/players/{id}", "player",
            "What is known of a player", Answer::Json("Player"), get(players::profile)) },
        Route { parameters: vec![in_path("id", "The player"),
            query("before", r#"{"type":"string","format":"date-time"}"#, "Only events before it"),
            query("limit", UP_TO_1000, "Most events"), CURSOR],
            ..read("/api/v1/players/{id}/timeline", "timeline",
            "What a player did, latest first", Answer::Json("Timeline"), get(players::timeline)) },
        read("/api/v1/models", "models",
            "The models, with their columns and latest runs", Answer::Json("ModelList"),
            get(pipeline::models)),
        Route { parameters: vec![NAME], ..read("/api/v1/models/{name}", "model",
            "One model, with its SQL and where its columns come from", Answer::Json("Model"),
            get(pipeline::model)) },
        read("/api/v1/lineage", "lineage",
            "Which tables and columns are made of which", Answer::Json("Lineage"),
            get(pipeline::lineage)),
        Route { parameters: vec![query("limit", UP_TO_1000, "Most runs")],
            ..read("/api/v1/runs", "runs",
            "The latest runs of the models, newest first", Answer::Json("RunList"),
            get(pipeline::runs)) },
        Route { parameters: vec![query("limit", UP_TO_1000, "Most checks")],
            ..read("/api/v1/checks", "checks",
            "The latest checks of the data", Answer::Json("CheckList"), get(pipeline::checks)) },
        Route { parameters: vec![query("limit", UP_TO_1000, "Most records"),
            query("reason", TEXT, "Only this reason"),
            query("event_type", TEXT, "Only this event type"),
            query("after", r#"{"type":"integer","minimum":0}"#, "Only records with larger numbers"),
            query("all", r#"{"type":"boolean"}"#, "Replayed records too"),
            query("cursor", A_NUMBER, "The `next_cursor` of the page before")],
            ..read("/api/v1/quarantine", "quarantine",
            "Records that did not fit their contract", Answer::Json("QuarantineList"),
            get(quarantine::list)) },
        Route { method: "post", needs: Needs::Scope(Scope::Admin), body: Some("Replay"),
            ..read("/api/v1/quarantine/replay", "replay",
            "Take quarantined records in again", Answer::Json("Replayed"),
            post(quarantine::replay)) },
        read("/api/v1/accounting", "accounting",
            "What became of every record", Answer::Json("Any"), get(pipeline::accounting)),
        read("/api/v1/status", "status",
            "Accounting, partitions, models, quarantine, stores", Answer::Json("Any"),
            get(pipeline::status)),
        Route { endless: true, ..read("/api/v1/live", "live",
            "Counters of this second, every second", Answer::Events, get(live::live)) },
    ]
}

/// The router of everything, with the collector's routes among it.
pub fn router(api: &Arc<Api>, collector: Router) -> Router {
    let timeout = Some(api.settings.request_timeout);
    let gate = |needs: Needs, timeout: Option<Duration>| {
        middleware::from_fn_with_state(Gate { api: Arc::clone(api), needs, timeout }, pass)
    };
    let mut router = Router::new();
    for route in routes() {
        let timeout = timeout.filter(|_| !route.endless);
        let handler = route
            .handler
            .fallback(async || Problem::new(Kind::MethodNotAllowed, "see /openapi.json"))
            .layer(gate(route.needs, timeout));
        router = router.route(route.path, handler);
    }
    let unknown = async || Problem::not_found("there is no such address; see /openapi.json");
    let beyond = Router::new()
        .route("/api", axum::routing::any(unknown))
        .route("/api/", axum::routing::any(unknown))
        .route("/api/{*path}", axum::routing::any(unknown))
        .layer(gate(Needs::AnyKey, timeout));
    let pages = Router::new()
        .route("/docs", get(openapi::page))
        .route("/docs.js", get(openapi::script))
        .fallback(assets::serve)
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "only GET is answered here")
        })
        .layer(gate(Needs::Nothing, timeout));
    // The collector has bounds of its own.
    let collector = collector.layer(gate(Needs::Scope(Scope::Ingest), None));
    router.merge(beyond).merge(pages).with_state(Arc::clone(api)).merge(collector)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_says_what_it_is() {
        let routes = routes();
        let ids: BTreeSet<&str> = routes.iter().map(|route| route.id).collect();
        assert_eq!(ids.len(), routes.len(), "two routes have the same name");
        for route in &routes {
            assert!(!route.summary.is_empty() && !route.summary.ends_with('.'), "{}", route.path);
            let in_path: Vec<&str> = route
                .parameters
                .iter()
                .filter(|p| p.place == Place::Path)
                .map(|p| p.name)
                .collect();
            let written: Vec<&str> = route
                .path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(in_path, written, "{}", route.path);
            for parameter in &route.parameters {
                let schema: serde_json::Value = serde_json::from_str(parameter.schema).unwrap();
                assert!(schema["type"].is_string(), "{}", parameter.name);
            }
        }
        // Nothing that tells something is open.
        let open = routes.iter().filter(|route| route.needs == Needs::Nothing);
        assert_eq!(open.map(|route| route.id).collect::<Vec<_>>(), ["healthz", "readyz"]);
    }
}

//! The pipeline as it stands: models, lineage, runs, accounting.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use questlake_engine::catalog::events::ENVELOPE_TABLE;
use questlake_engine::models::Model;
use questlake_engine::status::{ModelStatus, StoreStatus};
use questlake_engine::stores::keys::Scope;
use questlake_engine::stores::warehouse::{CheckRecord, RunRecord};
use serde::Serialize;

use crate::access::Caller;
use crate::api::Api;
use crate::marts::find;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::request::{json, named};
use crate::tabular::{Column, model_columns};
use crate::text::rfc3339;

/// Runs that are listed if the request does not say, and at most.
const RUNS: (u64, u64) = (100, 1_000);

#[derive(Serialize)]
struct ModelList {
    models: Vec<ModelInfo>,
}

#[derive(Serialize)]
struct ModelInfo {
    name: String,
    layer: &'static str,
    title: String,
    description: Option<String>,
    load: &'static str,
    key: Vec<String>,
    partition: Option<String>,
    columns: Vec<ModelColumn>,
    upstream: Vec<String>,
    downstream: Vec<String>,
    last_run: Option<Run>,
    behind_commits: i64,
    stale_days: u64,
    definition_changed: bool,
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

#[derive(Serialize)]
struct ModelColumn {
    #[serde(flatten)]
    column: Column,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<SourceColumn>>,
}

#[derive(Serialize)]
struct SourceColumn {
    table: String,
    column: String,
}

#[derive(Serialize)]
struct RunList {
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize)]
struct Run {
    started_at: String,
    finished_at: String,
    model: String,
    state: String,
    mode: String,
    rows: u64,
    error: Option<String>,
    seconds: f64,
}

impl From<RunRecord> for Run {
    fn from(run: RunRecord) -> Self {
        Self {
            seconds: (run.finished_at - run.started_at) as f64 / 1000.0,
            started_at: rfc3339(run.started_at),
            finished_at: rfc3339(run.finished_at),
            model: run.model,
            state: run.state,
            mode: run.mode,
            rows: run.rows,
            error: run.error,
        }
    }
}

/// A table's name as plans write it, in the namespace of queries: `star.dim_player`.
fn short_name(table: &str) -> &str {
    table.strip_prefix("questlake.").unwrap_or(table)
}

fn sources(model: &Model, index: usize) -> Vec<SourceColumn> {
    let lineage = model.lineage.get(index);
    let sources = lineage.into_iter().flat_map(|lineage| &lineage.sources);
    sources
        .map(|source| SourceColumn {
            table: qualified(short_name(&source.table)),
            column: source.column.clone(),
        })
        .collect()
}

/// A name without a schema is one of the star schema.
fn qualified(table: &str) -> String {
    match table.contains('.') {
        true => table.to_owned(),
        false => format!("star.{table}"),
    }
}

/// What a model reads directly.
fn upstream(model: &Model) -> Vec<String> {
    let mut names: Vec<String> =
        model.source.reads_events.iter().map(|read| format!("events.{}", read.value)).collect();
    names.extend(model.reads.iter().map(|read| read.model.clone()));
    names.sort();
    names.dedup();
    names
}

async fn model_states(api: &Api) -> Result<BTreeMap<String, ModelStatus>, Problem> {
    let states = api.engine.model_statuses().await?;
    Ok(states.into_iter().map(|state| (state.model.clone(), state)).collect())
}

async fn last_runs(api: &Api) -> Result<BTreeMap<String, Run>, Problem> {
    let mut latest = BTreeMap::new();
    let limit = usize::try_from(RUNS.1).unwrap_or(usize::MAX);
    for run in api.engine.stores.warehouse.runs(limit).await? {
        latest.entry(run.model.clone()).or_insert_with(|| Run::from(run));
    }
    Ok(latest)
}

fn model_info(
    api: &Api,
    model: &Model,
    states: &BTreeMap<String, ModelStatus>,
    runs: &BTreeMap<String, Run>,
    in_full: bool,
) -> ModelInfo {
    let state = states.get(model.name());
    let consumers = api.engine.project.consumers();
    let columns = model_columns(model).into_iter().enumerate().map(|(index, column)| ModelColumn {
        column,
        sources: in_full.then(|| sources(model, index)),
    });
    ModelInfo {
        name: model.name().to_owned(),
        layer: model.source.layer.name(),
        title: model.title().to_owned(),
        description: model.table.comment.clone(),
        load: model.strategy.name(),
        key: model.table.key.clone(),
        partition: model.table.partition.clone(),
        columns: columns.collect(),
        upstream: upstream(model),
        downstream: consumers
            .get(model.name())
            .into_iter()
            .flatten()
            .map(|name| (*name).to_owned())
            .collect(),
        last_run: runs.get(model.name()).cloned(),
        behind_commits: state.map_or(0, |state| state.behind_commits),
        stale_days: state.map_or(0, |state| state.stale_days),
        definition_changed: state.is_some_and(|state| state.definition_changed),
        updated_at: state.and_then(|state| state.updated_at).map(rfc3339),
        sql: in_full.then(|| model.source.file.text().to_owned()),
        path: in_full.then(|| model.source.file.path().to_owned()),
    }
}

fn no_parameters(request: &Request) -> Result<(), Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()
}

/// `GET /api/v1/models`
pub(crate) async fn models(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    no_parameters(&request)?;
    let (states, runs) = (model_states(&api).await?, last_runs(&api).await?);
    let models = &api.engine.project.models;
    let models = models.iter().map(|model| model_info(&api, model, &states, &runs, false));
    json(&ModelList { models: models.collect() })
}

/// `GET /api/v1/models/{name}`
pub(crate) async fn model(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = named(path)?;
    no_parameters(&request)?;
    let model = &find(&api, &name, |_| true)?.model;
    let (states, runs) = (model_states(&api).await?, last_runs(&api).await?);
    json(&model_info(&api, model, &states, &runs, true))
}

#[derive(Serialize)]
struct Lineage {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    column_edges: Vec<ColumnEdge>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    name: String,
    kind: &'static str,
    title: String,
    description: Option<String>,
    state: Option<&'static str>,
}

#[derive(Serialize)]
struct Edge {
    from: String,
    to: String,
}

#[derive(Serialize)]
struct ColumnEdge {
    from_table: String,
    from_column: String,
    to_table: String,
    to_column: String,
    copied: bool,
}

/// `GET /api/v1/lineage`
pub(crate) async fn lineage(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    no_parameters(&request)?;
    let states = model_states(&api).await?;
    let project = &api.engine.project;
    let event = |name: &str, description: Option<String>| Node {
        id: format!("events.{name}"),
        name: name.to_owned(),
        kind: "event",
        title: name.to_owned(),
        description,
        state: None,
    };
    let mut nodes: Vec<Node> = project
        .contracts
        .iter()
        .map(|contract| event(&contract.event_type, contract.comment.clone()))
        .collect();
    let reads_envelope = |model: &Arc<Model>| {
        model.source.reads_events.iter().any(|read| read.value == ENVELOPE_TABLE)
    };
    if project.models.iter().any(reads_envelope) {
        nodes.push(event(ENVELOPE_TABLE, Some("The envelope of every event.".to_owned())));
    }
    let (mut edges, mut column_edges) = (Vec::new(), Vec::new());
    for model in &project.models {
        let id = format!("star.{}", model.name());
        nodes.push(Node {
            id: id.clone(),
            name: model.name().to_owned(),
            kind: model.source.layer.name(),
            title: model.title().to_owned(),
            description: model.table.comment.clone(),
            state: states.get(model.name()).map(state_name),
        });
        for from in upstream(model) {
            edges.push(Edge { from: qualified(&from), to: id.clone() });
        }
        for (column, lineage) in model.table.columns.iter().zip(&model.lineage) {
            for source in &lineage.sources {
                let from_table = qualified(short_name(&source.table));
                // `run.changed_dates` is no table that anybody sees.
                if !nodes.iter().any(|node| node.id == from_table) {
                    continue;
                }
                column_edges.push(ColumnEdge {
                    from_table,
                    from_column: source.column.clone(),
                    to_table: id.clone(),
                    to_column: column.name.clone(),
                    copied: lineage.copied,
                });
            }
        }
    }
    json(&Lineage { nodes, edges, column_edges })
}

fn state_name(state: &ModelStatus) -> &'static str {
    match state {
        ModelStatus { ledger_sequence: None, .. } => "never loaded",
        ModelStatus { stale_days, definition_changed, .. }
            if *stale_days > 0 || *definition_changed =>
        {
            "stale"
        }
        ModelStatus { behind_commits, .. } if *behind_commits > 0 => "behind",
        _ => "current",
    }
}

/// `GET /api/v1/runs`
pub(crate) async fn runs(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let limit = parameters.take_number("limit", 1, RUNS.1).unwrap_or(RUNS.0);
    parameters.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let runs = api.engine.stores.warehouse.runs(limit).await?;
    json(&RunList { runs: runs.into_iter().map(Run::from).collect() })
}

#[derive(Serialize)]
struct CheckList {
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    run: String,
    finished_at: String,
    name: String,
    model: Option<String>,
    severity: String,
    status: String,
    rows: u64,
    sample: Option<String>,
    detail: Option<String>,
    description: Option<String>,
    file: String,
    seconds: f64,
}

impl From<CheckRecord> for Check {
    fn from(check: CheckRecord) -> Self {
        Self {
            run: rfc3339(check.run),
            finished_at: rfc3339(check.finished_at),
            name: check.name,
            model: check.model,
            severity: check.severity,
            status: check.status,
            rows: check.rows,
            sample: check.sample,
            detail: check.detail,
            description: check.description,
            file: check.file,
            seconds: check.millis as f64 / 1000.0,
        }
    }
}

/// `GET /api/v1/checks`
pub(crate) async fn checks(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let limit = parameters.take_number("limit", 1, RUNS.1).unwrap_or(RUNS.0);
    parameters.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let checks = api.engine.stores.warehouse.checks(limit).await?;
    json(&CheckList { checks: checks.into_iter().map(Check::from).collect() })
}

/// `GET /api/v1/status`
pub(crate) async fn status(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    no_parameters(&request)?;
    let mut status = api.engine.status().await?;
    if !caller.may(Scope::Admin) {
        status.stores.iter_mut().for_each(hide_place);
    }
    json(&status)
}

/// Where a store lies, and how it failed, is for those who look after it.
pub(crate) fn hide_place(store: &mut StoreStatus) {
    store.name = store.store.to_owned();
    if store.detail.is_some() {
        let told = "it does not answer; a key with the scope admin is told why".to_owned();
        store.detail = Some(told);
    }
}

#[derive(Serialize)]
struct AccountingBody<'a> {
    accounting: &'a questlake_engine::status::Accounting,
    partitions: &'a [questlake_engine::status::Partition],
}

/// `GET /api/v1/accounting`
pub(crate) async fn accounting(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    no_parameters(&request)?;
    let status = api.engine.status().await?;
    json(&AccountingBody { accounting: &status.accounting, partitions: &status.partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_stores_are_hidden() {
        let mut store = StoreStatus {
            store: "landing",
            name: "landing in /srv/questlake/landing".to_owned(),
            healthy: false,
            detail: Some("/srv/questlake/landing: permission denied".to_owned()),
        };
        hide_place(&mut store);
        let told = serde_json::to_string(&store).unwrap();
        assert!(!told.contains("/srv"), "{told}");
        assert!(told.contains("does not answer"), "{told}");
        store.detail = None;
        hide_place(&mut store);
        assert_eq!((store.name.as_str(), store.detail), ("landing", None));
    }
}

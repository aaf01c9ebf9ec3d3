//! The tables of the star schema.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use questlake_engine::pipeline::{Engine, PipelineError};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Rows that are answered if the request does not say.
const DEFAULT_LIMIT: usize = 1000;

/// Most rows of one answer.
const MAX_LIMIT: usize = 100_000;

#[derive(Serialize)]
pub(crate) struct TableInfo {
    name: String,
    layer: &'static str,
    description: Option<String>,
    key: Vec<String>,
    columns: Vec<ColumnInfo>,
}

#[derive(Serialize)]
struct ColumnInfo {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    description: Option<String>,
}

pub(crate) async fn list(State(engine): State<Engine>) -> Json<Vec<TableInfo>> {
    let tables = engine.project.models.iter().map(|model| TableInfo {
        name: model.name().to_owned(),
        layer: model.source.layer.name(),
        description: model.table.comment.clone(),
        key: model.table.key.clone(),
        columns: model
            .table
            .columns
            .iter()
            .map(|column| ColumnInfo {
                name: column.name.clone(),
                data_type: column.data_type.to_string(),
                description: column.comment.clone(),
            })
            .collect(),
    });
    Json(tables.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsQuery {
    limit: Option<usize>,
}

pub(crate) async fn rows(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    query: Result<Query<RowsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|rejection| {
        ApiError::BadRequest(format!("{}; allowed: limit (a number)", rejection.body_text()))
    })?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if limit > MAX_LIMIT {
        return Err(ApiError::BadRequest(format!("limit is at most {MAX_LIMIT}")));
    }
    let model = engine
        .project
        .model(&name)
        .ok_or_else(|| ApiError::NotFound("there is no such table; see /api/v1/tables".into()))?;
    let query_error = |source| PipelineError::Query { model: name.clone(), source };
    let session = engine.session().await?;
    let table = engine.stores.warehouse.table(&model.table);
    let rows = session.read_table(table).map_err(query_error)?;
    let batches =
        rows.limit(0, Some(limit)).map_err(query_error)?.collect().await.map_err(query_error)?;
    let mut writer = arrow_json::ArrayWriter::new(Vec::new());
    for batch in &batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let mut body = writer.into_inner();
    if body.is_empty() {
        body.extend_from_slice(b"[]");
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}

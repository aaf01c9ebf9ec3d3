//! How people get at the data over HTTP.
//!
//! | route | answer |
//! |---|---|
//! | `GET /healthz` | 200 while the process serves |
//! | `GET /api/v1/status` | accounting, partitions, models, quarantine, stores |
//! | `GET /api/v1/tables` | the tables of the star schema with their columns |
//! | `GET /api/v1/tables/{name}?limit=` | rows of one table |

mod error;
mod tables;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use questlake_engine::pipeline::Engine;
use questlake_engine::status::Status;

use error::ApiError;

/// The API's routes over one installation.
pub fn api_router(engine: Engine) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/api/v1/status", get(status))
        .route("/api/v1/tables", get(tables::list))
        .route("/api/v1/tables/{name}", get(tables::rows))
        .with_state(engine)
}

async fn status(State(engine): State<Engine>) -> Result<Json<Status>, ApiError> {
    Ok(Json(engine.status().await?))
}

//! One error for all routes, and the answer to each kind (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use questlake_engine::pipeline::PipelineError;
use serde::Serialize;
use tracing::error;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// A parameter is not as it must be.
    #[error("{0}")]
    BadRequest(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PipelineError),
    /// Rows could not be written as JSON.
    #[error("could not write the answer: {0}")]
    Encode(#[from] arrow::error::ArrowError),
}

#[derive(Serialize)]
struct Problem {
    status: u16,
    title: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, title) = match &self {
            Self::NotFound(title) => (StatusCode::NOT_FOUND, title.clone()),
            Self::BadRequest(title) => (StatusCode::BAD_REQUEST, title.clone()),
            Self::Engine(_) | Self::Encode(_) => {
                // The cause may name paths and settings that are nobody's business outside.
                error!("a request failed: {self}");
                let title = "the request failed; the server's log says why";
                (StatusCode::INTERNAL_SERVER_ERROR, title.to_owned())
            }
        };
        let body = Json(Problem { status: status.as_u16(), title });
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

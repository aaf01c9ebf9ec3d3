//! The HTTP collector: `POST /v1/events`.
//!
//! Takes one JSON object, an array, or newline-delimited objects, plain or gzip. Answers 200 when
//! the batch is durable: with counts and the reasons of refused records where it was taken in, or
//! with the number of records that Kafka has acknowledged, which are taken in by other processes.
//! A client that gets any other answer, or none, can send the same events again.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::body::{BodyError, split_body, unpack};
use super::intake::{Intake, Taken};
use super::queue::{Submission, SubmissionOutcome, SubmitError};
use super::read_body::{ReadError, read_body};

/// Topic of the collector's queue.
pub const HTTP_TOPIC: &str = "http";

/// Refused records that an answer tells of; all of them are in quarantine.
const MAX_TOLD: usize = 100;

/// Where events are sent to.
const PATH: &str = "/v1/events";

/// Seconds after which a client may try again when the queue is full.
const RETRY_AFTER_SECONDS: &str = "1";

/// Bounds of a request.
#[derive(Debug, Clone, Copy)]
pub struct CollectorBounds {
    /// Longest body, unpacked.
    pub body_limit: usize,
    /// Longest time until an answer.
    pub request_timeout: Duration,
}

#[derive(Clone)]
struct Collector {
    intake: Intake,
    bounds: CollectorBounds,
}

/// The collector's routes.
pub fn collector_router(intake: Intake, bounds: CollectorBounds) -> Router {
    Router::new().route(PATH, post(collect)).with_state(Collector { intake, bounds })
}

/// The answer to a batch that Kafka has acknowledged.
#[derive(Debug, Serialize)]
struct Delivered {
    received: u64,
    delivered: u64,
}

/// The answer to a batch that was taken in.
#[derive(Debug, Serialize)]
struct Accepted {
    received: u64,
    landed: u64,
    duplicates: u64,
    quarantined: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// Position in the request, from 0.
    index: usize,
    reason: &'static str,
    detail: String,
    advice: &'static str,
}

/// An answer to a request that was not taken (RFC 9457).
#[derive(Debug, Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    instance: &'static str,
}

async fn collect(State(collector): State<Collector>, headers: HeaderMap, body: Body) -> Response {
    let limit = collector.bounds.body_limit;
    let deadline = Instant::now() + collector.bounds.request_timeout;
    let body = match timeout_at(deadline, read_body(&headers, body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(ReadError::TooLarge)) => return body_problem(&BodyError::TooLarge { limit }),
        Ok(Err(error @ ReadError::Broken(_))) => {
            return problem(StatusCode::BAD_REQUEST, error.to_string());
        }
        Err(_) => {
            return problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        }
    };
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str());
    let encoding = match encoding {
        None => None,
        Some(Ok(encoding)) => Some(encoding.to_owned()),
        Some(Err(_)) => return body_problem(&BodyError::Encoding("unreadable".to_owned())),
    };
    // To unpack and cut a large body takes longer than others may wait for their turn.
    let cut = tokio::task::spawn_blocking(move || {
        let body = unpack(body, encoding.as_deref(), limit)?;
        let records = split_body(&body)?;
        Ok::<_, BodyError>((body, records))
    });
    let (body, records) = match cut.await {
        Ok(Ok(cut)) => cut,
        Ok(Err(error)) => return body_problem(&error),
        Err(_) => {
            let detail = "the body could not be read now; sending it again is safe";
            return problem(StatusCode::SERVICE_UNAVAILABLE, detail);
        }
    };
    let submission = Submission { data: body, records, origins: Vec::new() };
    let submitted = collector.intake.submit(submission);
    match timeout_at(deadline, submitted).await {
        Ok(Ok(Taken::Landed(outcome))) => accepted(outcome),
        Ok(Ok(Taken::Delivered(records))) => {
            let answer = Delivered { received: records, delivered: records };
            (StatusCode::OK, axum::Json(answer)).into_response()
        }
        Ok(Err(error)) => submit_problem(&error),
        Err(_) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the events were not durable in time; sending them again is safe",
        ),
    }
}

fn accepted(outcome: SubmissionOutcome) -> Response {
    let refused = outcome
        .refused
        .into_iter()
        .take(MAX_TOLD)
        .map(|record| Refused {
            index: record.index,
            reason: record.reason.code(),
            detail: record.detail,
            advice: record.reason.advice(),
        })
        .collect();
    let counts = outcome.counts;
    let answer = Accepted {
        received: counts.consumed,
        landed: counts.landed,
        duplicates: counts.duplicates,
        quarantined: counts.quarantined,
        refused,
    };
    (StatusCode::OK, axum::Json(answer)).into_response()
}

fn body_problem(error: &BodyError) -> Response {
    let status = match error {
        BodyError::TooLarge { .. } | BodyError::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        BodyError::Empty | BodyError::Gzip(_) | BodyError::Array(_) => StatusCode::BAD_REQUEST,
    };
    problem(status, error.to_string())
}

fn submit_problem(error: &SubmitError) -> Response {
    let status = match error {
        SubmitError::Full => StatusCode::TOO_MANY_REQUESTS,
        SubmitError::TooLarge { .. } | SubmitError::RecordTooLarge { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        SubmitError::Failed(_) | SubmitError::Closed => StatusCode::SERVICE_UNAVAILABLE,
    };
    // The cause is in the log; it may name paths that are nobody's business outside.
    let detail = match error {
        SubmitError::Failed(_) => {
            "the events could not be made durable now; sending them again is safe".to_owned()
        }
        other => other.to_string(),
    };
    problem(status, detail)
}

fn problem(status: StatusCode, detail: impl Into<String>) -> Response {
    let (name, title) = match status {
        StatusCode::REQUEST_TIMEOUT => ("timed-out", "It took too long"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The request is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported-media-type", "The body's type is not understood")
        }
        StatusCode::TOO_MANY_REQUESTS => ("too-many-requests", "Too many requests"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "It is not there at the moment"),
        _ => ("invalid-body", "The body is not as it must be"),
    };
    let body = Problem {
        kind: format!("urn:questlake:problem:{name}"),
        title,
        status: status.as_u16(),
        detail: detail.into(),
        instance: PATH,
    };
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

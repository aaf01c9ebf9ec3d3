//! Answers to requests that are not answered as asked (RFC 9457).
//!
//! A handler gives a [`Problem`]; the gate writes its body, since only it knows the request. Causes that
//! name paths or settings go to the log: outside they are nobody's business.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use questlake_engine::pipeline::PipelineError;
use questlake_engine::project::diagnostic::Diagnostic;
use questlake_engine::query::QueryError;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use serde::Serialize;
use tracing::error;

/// Media type of a problem's body.
const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a caller may try again what is not there for a moment.
const RETRY_SOON: u64 = 1;

/// Seconds after which queries that were given up may have ended.
const RETRY_LATER: u64 = 5;

/// What kind of problem it is: stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidParameter,
    InvalidBody,
    LostCursor,
    QueryMistake,
    QueryLimit,
    NoKey,
    NoScope,
    ForeignPage,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    TooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    TimedOut,
    Unavailable,
    Internal,
}

impl Kind {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidParameter => {
                (StatusCode::BAD_REQUEST, "invalid-parameter", "A parameter is not as it must be")
            }
            Self::InvalidBody => {
                (StatusCode::BAD_REQUEST, "invalid-body", "The body is not as it must be")
            }
            Self::LostCursor => {
                (StatusCode::CONFLICT, "lost-cursor", "The cursor belongs to other rows")
            }
            Self::QueryMistake => {
                (StatusCode::BAD_REQUEST, "query-mistake", "The query has a mistake")
            }
            Self::QueryLimit => {
                (StatusCode::UNPROCESSABLE_ENTITY, "query-limit", "The query met a limit")
            }
            Self::NoKey => (StatusCode::UNAUTHORIZED, "no-key", "A key is needed"),
            Self::NoScope => {
                (StatusCode::FORBIDDEN, "no-scope", "The key is not good for this request")
            }
            Self::ForeignPage => {
                (StatusCode::FORBIDDEN, "foreign-page", "Pages of other hosts may not call")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method is not one of this address",
            ),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "No format fits"),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large")
            }
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body's type is not understood",
            ),
            Self::TooManyRequests => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
            }
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "It took too long"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "It is not there at the moment")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The request failed"),
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Mistake {
    /// The parameter, or the part of the body.
    pub(crate) parameter: String,
    /// What is wrong with it.
    pub(crate) message: String,
    /// What it may be.
    pub(crate) allowed: Option<String>,
    /// Place in the SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// Why a request was not answered as asked.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// What is wrong with this request, for a person.
    pub(crate) detail: String,
    pub(crate) mistakes: Vec<Mistake>,
    /// Seconds after which it may be tried again.
    pub(crate) retry_after: Option<u64>,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (mistakes, headers) = (Vec::new(), Vec::new());
        Self { kind, detail: detail.into(), mistakes, retry_after: None, headers }
    }

    /// One or more parameters are not as they must be.
    pub(crate) fn of_mistakes(kind: Kind, mistakes: Vec<Mistake>) -> Self {
        let told: Vec<&str> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
        Self { mistakes: mistakes.clone(), ..Self::new(kind, told.join("; ")) }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// Something failed that is not the caller's: told in the log, and nothing of it outside.
    pub(crate) fn internal(cause: &dyn std::error::Error) -> Self {
        error!("a request failed: {}", chain(cause));
        Self::new(Kind::Internal, "the server's log says why")
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_SOON), ..Self::new(Kind::Unavailable, detail) }
    }

    /// The answer, whose body names the request's path.
    pub(crate) fn response(&self, instance: &str) -> Response {
        let (status, name, title) = self.kind.parts();
        let body = Body {
            kind: format!("urn:questlake:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            errors: &self.mistakes,
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::NoKey {
            let challenge = HeaderValue::from_static("Bearer realm=\"questlake\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        response
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    errors: &'a [Mistake],
}

impl IntoResponse for Problem {
    /// The gate puts the body in.
    fn into_response(self) -> Response {
        let (status, _, _) = self.kind.parts();
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The error with the causes that its own text does not tell.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<StoreError> for Problem {
    fn from(failure: StoreError) -> Self {
        if failure.kind == StoreErrorKind::Unavailable {
            error!("a request failed: {failure}");
            return Self::unavailable("a store does not answer; the server's log names it");
        }
        Self::internal(&failure)
    }
}

impl From<PipelineError> for Problem {
    fn from(failure: PipelineError) -> Self {
        match failure {
            PipelineError::Store(failure) => failure.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<QueryError> for Problem {
    /// The mistakes and limits of a query that a caller has written.
    fn from(failure: QueryError) -> Self {
        if let Some(diagnostics) = failure.diagnostics() {
            let mistakes = diagnostics.iter().map(sql_mistake).collect();
            return Self::of_mistakes(Kind::QueryMistake, mistakes);
        }
        match failure {
            QueryError::Parameters(lines) => {
                let mistake = |message| Mistake {
                    parameter: "parameters".to_owned(),
                    message,
                    ..Mistake::default()
                };
                let mistakes = lines.into_iter().map(mistake).collect();
                Self::of_mistakes(Kind::InvalidParameter, mistakes)
            }
            QueryError::UnknownQuery { name, nearest } => {
                let hint = nearest.map(|name| format!("; did you mean `{name}`?"));
                let hint = hint.unwrap_or_else(|| "; see /api/v1/queries".to_owned());
                Self::not_found(format!("there is no saved query `{name}`{hint}"))
            }
            QueryError::Engine(failure) => failure.into(),
            QueryError::Busy => Self {
                retry_after: Some(RETRY_LATER),
                ..Self::new(Kind::Unavailable, failure.to_string())
            },
            QueryError::Spill { .. } => {
                error!("a query failed: {failure}");
                Self::unavailable("there is no room for what the query cannot hold in memory")
            }
            failure if failure.is_failed_computation() => {
                Self::new(Kind::QueryLimit, failure.to_string())
            }
            QueryError::Memory { .. }
            | QueryError::Oversized(_)
            | QueryError::TimedOut { .. }
            | QueryError::TooManyRows { .. } => Self::new(Kind::QueryLimit, failure.to_string()),
            QueryError::Failed { source, message } => match store_error(&*source) {
                Some(StoreErrorKind::Unavailable) => {
                    error!("a query failed: {message}");
                    Self::unavailable("a store does not answer; the server's log names it")
                }
                _ => Self::internal(&QueryError::Failed { source, message }),
            },
            other => Self::internal(&other),
        }
    }
}

/// The kind of the store's error that is the cause of all, if it is one.
fn store_error(error: &(dyn std::error::Error + 'static)) -> Option<StoreErrorKind> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(failure) = current.downcast_ref::<StoreError>() {
            return Some(failure.kind);
        }
        cause = current.source();
    }
    None
}

fn sql_mistake(diagnostic: &Diagnostic) -> Mistake {
    let known = |number: u64| Some(number).filter(|number| *number > 0);
    Mistake {
        parameter: "sql".to_owned(),
        message: match diagnostic.line {
            0 => diagnostic.message.clone(),
            line => format!("line {line}, column {}: {}", diagnostic.column, diagnostic.message),
        },
        allowed: None,
        line: known(diagnostic.line),
        column: known(diagnostic.column),
        length: known(diagnostic.length),
        hint: diagnostic.hint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stay_inside() {
        let source = std::io::Error::other("/var/lib/secret/path is gone");
        let failure = StoreError::new("warehouse", "read", StoreErrorKind::Internal, source);
        let problem = Problem::from(failure);
        assert_eq!(problem.kind, Kind::Internal);
        assert!(!problem.detail.contains("secret"), "{}", problem.detail);
        let away = std::io::Error::other("no route to 10.0.0.7");
        let failure = StoreError::new("hot", "read", StoreErrorKind::Unavailable, away);
        let problem = Problem::from(failure);
        assert_eq!((problem.kind, problem.retry_after), (Kind::Unavailable, Some(1)));
        assert!(!problem.detail.contains("10.0.0.7"));
    }

    #[test]
    fn callers_are_told_when_to_come_again() {
        let problem = Problem::from(QueryError::Busy);
        assert_eq!((problem.kind, problem.retry_after), (Kind::Unavailable, Some(5)));
        let response = problem.response("/api/v1/query");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }

    #[test]
    fn the_body_names_the_path() {
        let mistake = Mistake {
            parameter: "limit".to_owned(),
            message: "`x` is no number".to_owned(),
            allowed: Some("1 to 50000".to_owned()),
            ..Mistake::default()
        };
        let problem = Problem::of_mistakes(Kind::InvalidParameter, vec![mistake]);
        let response = problem.response("/api/v1/marts/m");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(problem.detail, "`x` is no number");
    }
}

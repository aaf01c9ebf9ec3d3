//! Spans of requests, by OpenTelemetry's conventions for HTTP servers. A caller's `traceparent` is
//! continued. They cost nothing unless somebody collects them.

use axum::extract::Request;
use axum::http::StatusCode;
use opentelemetry_http::HeaderExtractor;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of a request. The query is left out: it may hold what a log must not.
pub(crate) fn request(request: &Request, route: &str) -> Span {
    let method = request.method().as_str();
    let span = info_span!(
        target: "span",
        "request",
        otel.name = format!("{method} {route}").trim_end(),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
        otel.status_code = Empty,
    );
    if !span.is_disabled() {
        let caller = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        // Only a span that has begun already could refuse.
        let _ = span.set_parent(caller);
    }
    span
}

/// How it ended. What a caller has done wrong is no error of the server's.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

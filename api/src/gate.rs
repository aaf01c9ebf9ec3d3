//! What every request passes: who asks, from which page, for how long; and what every answer carries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tracing::Instrument;

use crate::access::Needs;
use crate::api::Api;
use crate::compress;
use crate::problem::{Kind, Mistake, Problem};
use crate::trace;

/// How long a browser may remember which pages may call.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// Headers of every answer. The dashboard is one page with scripts and styles of its own; nothing else
/// is loaded, and no other page may show it in a frame.
const SECURITY: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
             img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; \
             worker-src 'self' blob:; object-src 'none'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What a group of routes needs, and how long its answers may take to begin.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) api: Arc<Api>,
    pub(crate) needs: Needs,
    /// `None` for what sets its own bounds.
    pub(crate) timeout: Option<Duration>,
}

/// Lets a request pass, or tells why not.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let api = Arc::clone(&gate.api);
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let instance = request.uri().clone();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let foreign = origin.as_ref().and_then(|origin| api.pages.foreign(origin, request.headers()));
    let route = path.as_ref().map_or("", |path| path.as_str());
    let span = trace::request(&request, route);
    let packs = compress::takes(request.headers(), "gzip");
    let entered = enter(&gate, request, next, foreign).instrument(span.clone()).await;
    let mut response = entered.unwrap_or_else(IntoResponse::into_response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.response(instance.path());
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    for (name, value) in &SECURITY {
        headers.insert(name, value.clone());
    }
    if let (Some(Page::Allowed), Some(origin)) = (foreign, origin) {
        allow(headers, origin);
    }
    if packs {
        response = compress::packed(&method, response);
    }
    trace::answered(&span, response.status());
    api.metrics.answered(&method, route, response.status(), started.elapsed());
    response
}

async fn enter(
    gate: &Gate,
    mut request: Request,
    next: Next,
    foreign: Option<Page>,
) -> Result<Response, Problem> {
    let api = &gate.api;
    if request.method() == Method::OPTIONS && foreign == Some(Page::Allowed) {
        return Ok(preflight());
    }
    if let Some(message) = wrong_host(&request) {
        let mistake = Mistake {
            parameter: "host".to_owned(),
            message: message.to_owned(),
            ..Mistake::default()
        };
        return Err(Problem::of_mistakes(Kind::InvalidParameter, vec![mistake]));
    }
    if foreign == Some(Page::Refused) {
        let detail = "its origin is not among api.cors_origins";
        return Err(Problem::new(Kind::ForeignPage, detail));
    }
    if !api.access.is_required() && !names_this_machine(request.uri(), request.headers()) {
        // A page of some host whose name leads here: its scripts would call without any key.
        let detail = "call this server by localhost or its address, or let callers have keys: \
                      api.keys = \"required\"";
        return Err(Problem::new(Kind::ForeignPage, detail));
    }
    let caller = api.access.admit(request.headers(), gate.needs).await?;
    request.extensions_mut().insert(caller);
    match gate.timeout {
        None => Ok(next.run(request).await),
        Some(limit) => tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
            let mut problem = Problem::new(
                Kind::TimedOut,
                "the answer did not begin within api.request_timeout; what others may ask too goes on \
                 being computed, so that asking again may help",
            );
            problem.retry_after = Some(limit.as_secs().max(1));
            problem
        }),
    }
}

/// A page of another host that calls by a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Allowed,
    Refused,
}

/// Which pages may call.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Origins of other hosts.
    pub(crate) allowed: Vec<String>,
}

impl Pages {
    /// Whether an origin is another host's, and may call; `None` if it is our own.
    fn foreign(&self, origin: &HeaderValue, headers: &HeaderMap) -> Option<Page> {
        let Ok(origin) = origin.to_str() else { return Some(Page::Refused) };
        if self.allowed.iter().any(|allowed| allowed == origin) {
            return Some(Page::Allowed);
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").map(|(_, own)| own);
        match (own, host) {
            (Some(own), Some(host)) if own.eq_ignore_ascii_case(host) => None,
            _ => Some(Page::Refused),
        }
    }
}

/// What is wrong with the host that a request is for (RFC 9112, 3.2).
fn wrong_host<B>(request: &axum::http::Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        // What stands before this server may have looked at the other one.
        (_, Some(_)) => Some("the request has more than one Host header"),
        // HTTP/2 has it in the address, and HTTP/1.0 need not say.
        (None, None) if request.version() == Version::HTTP_11 => {
            Some("the request has no Host header")
        }
        (Some(host), None) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            Some("the Host header is no host")
        }
        _ => None,
    }
}

/// Whether the request is addressed to this machine by a name that no page of another host can have.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match uri.host() {
        Some(host) => host,
        None => match headers.get(header::HOST).map(|host| host.to_str()) {
            // Only tools of old send none; browsers always do.
            None => return true,
            Some(Ok(host)) => without_port(host),
            Some(Err(_)) => return false,
        },
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are not a port's.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let shown = "etag, retry-after, questlake-data-version, questlake-data-through";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(shown));
    let anywhere = HeaderValue::from_static("cross-origin");
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), anywhere);
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let sent = "accept, authorization, content-type, content-encoding, if-none-match, x-api-key";
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(sent));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        headers
    }

    #[test]
    fn only_names_of_this_machine_are_called_without_a_key() {
        let path = Uri::from_static("/api/v1/status");
        for own in
            ["localhost", "localhost:8080", "127.0.0.1:80", "[::1]:8080", "[::1]", "a.localhost"]
        {
            assert!(names_this_machine(&path, &host(own)), "{own}");
        }
        for other in ["example.org", "localhost.example.org:80", "127.0.0.1.example.org", "", "x:y"]
        {
            assert!(!names_this_machine(&path, &host(other)), "{other}");
        }
        assert!(names_this_machine(&path, &HeaderMap::new()));
        let whole = Uri::from_static("http://example.org/");
        assert!(!names_this_machine(&whole, &host("localhost")));
    }

    #[test]
    fn a_request_is_for_one_host() {
        let request = |version: Version, uri: &'static str, hosts: &[&'static str]| {
            let mut request = axum::http::Request::new(());
            *request.version_mut() = version;
            *request.uri_mut() = Uri::from_static(uri);
            for host in hosts {
                request.headers_mut().append(header::HOST, HeaderValue::from_static(host));
            }
            request
        };
        let cases: [(Version, &str, &[&str], bool); 9] = [
            (Version::HTTP_11, "/", &["localhost"], false),
            (Version::HTTP_11, "/", &["[::1]:8080"], false),
            (Version::HTTP_11, "/", &[""], false),
            (Version::HTTP_11, "/", &["localhost", "localhost"], true),
            (Version::HTTP_11, "/", &["a b/c"], true),
            (Version::HTTP_11, "/", &[], true),
            (Version::HTTP_11, "http://localhost/", &[], true),
            (Version::HTTP_10, "/", &[], false),
            (Version::HTTP_2, "http://localhost/", &[], false),
        ];
        for (version, uri, hosts, is_wrong) in cases {
            let wrong = wrong_host(&request(version, uri, hosts));
            assert_eq!(wrong.is_some(), is_wrong, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn pages_of_other_hosts_are_told_from_our_own() {
        let pages = Pages { allowed: vec!["https://a.org".to_owned()] };
        let page = |origin: &'static str| {
            pages.foreign(&HeaderValue::from_static(origin), &host("localhost:8080"))
        };
        assert_eq!(page("http://localhost:8080"), None);
        assert_eq!(page("https://a.org"), Some(Page::Allowed));
        for other in ["https://b.org", "null", "http://localhost:9090", "https://a.org.b.org"] {
            assert_eq!(page(other), Some(Page::Refused), "{other}");
        }
    }
}

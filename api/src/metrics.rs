//! What an operator alarms on, in the text format of Prometheus.
//!
//! Requests are counted as they are answered; what is in the stores is read when it is asked for.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use questlake_engine::clock::now_millis;
use questlake_engine::status::Status;

use crate::api::Api;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Upper bounds of the histogram of latencies, in seconds.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Latencies of one route.
#[derive(Debug, Default)]
struct Route {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    nanoseconds: AtomicU64,
    by_status: Mutex<BTreeMap<u16, u64>>,
}

/// Requests that were answered.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By route and method.
    routes: RwLock<BTreeMap<String, BTreeMap<&'static str, Arc<Route>>>>,
    connections: AtomicU64,
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let known = self.route(method, route);
        let seconds = elapsed.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            known.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        known.count.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        known.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        let mut by_status = known.by_status.lock().unwrap_or_else(PoisonError::into_inner);
        *by_status.entry(status.as_u16()).or_insert(0) += 1;
    }

    fn route(&self, method: &Method, route: &str) -> Arc<Route> {
        let method = shown_method(method);
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(route).and_then(|methods| methods.get(method)) {
            return Arc::clone(known);
        }
        drop(routes);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route.to_owned()).or_default().entry(method).or_default())
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page) {
        page.head("questlake_http_connections", "gauge", "Open connections");
        page.value("questlake_http_connections", &[], number(&self.connections));
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        page.head("questlake_http_requests_total", "counter", "Answered requests");
        let all = || {
            routes.iter().flat_map(|(route, methods)| {
                methods.iter().map(move |(method, known)| (route, *method, known))
            })
        };
        for (route, method, known) in all() {
            let by_status = known.by_status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (status, count) in by_status {
                let status = status.to_string();
                let labels = [("route", &**route), ("method", method), ("status", &status)];
                page.value("questlake_http_requests_total", &labels, count as f64);
            }
        }
        let name = "questlake_http_request_duration_seconds";
        page.head(name, "histogram", "Time until an answer begins");
        for (route, method, known) in all() {
            let labels = [("route", &**route), ("method", method)];
            let mut sum = 0.0;
            for (bucket, bound) in known.buckets.iter().zip(BUCKETS) {
                sum += number(bucket);
                let bound = bound.to_string();
                let labels = [labels[0], labels[1], ("le", &*bound)];
                page.value(&format!("{name}_bucket"), &labels, sum);
            }
            let largest = [labels[0], labels[1], ("le", "+Inf")];
            page.value(&format!("{name}_bucket"), &largest, number(&known.count));
            page.value(&format!("{name}_sum"), &labels, number(&known.nanoseconds) / 1e9);
            page.value(&format!("{name}_count"), &labels, number(&known.count));
        }
    }
}

/// Anybody can send any word as a method: there are only so many that are counted by their names.
fn shown_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn number(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Into memory.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let sign = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{sign}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }
}

/// `GET /metrics`
pub(crate) async fn metrics(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let mut page = Page::default();
    let uptime = api.started.elapsed().as_secs_f64();
    page.single("questlake_uptime_seconds", "gauge", "Time since the server began", uptime);
    api.metrics.write(&mut page);
    write_answers(&api, &mut page);
    // What is in the stores is missing while these are away; the rest is told nevertheless.
    let status = api.engine.status().await.ok();
    let is_up = f64::from(u8::from(status.is_some()));
    page.single("questlake_ledger_up", "gauge", "Whether ledger and warehouse answer", is_up);
    if let Some(status) = status {
        write_status(&status, &mut page);
    }
    if let Ok(freshness) = api.freshness.get().await {
        let age = |at: i64| (now_millis() - at).max(0) as f64 / 1000.0;
        if let Some(at) = freshness.latest_at {
            let name = "questlake_latest_commit_age_seconds";
            page.single(name, "gauge", "Time since events were committed last", age(at));
        }
        if let Some(at) = freshness.all().data_through {
            let name = "questlake_data_age_seconds";
            page.single(name, "gauge", "Age of the events up to which every table is", age(at));
        }
    }
    let mut response = Response::new(page.0.into());
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn write_answers(api: &Api, page: &mut Page) {
    let counters = &api.answers.counters;
    let name = "questlake_answers_total";
    page.head(name, "counter", "Answers that may be kept, by where they were found");
    for (found, count) in [
        ("process", &counters.near_hits),
        ("cache", &counters.hits),
        ("shared", &counters.shared),
        ("computed", &counters.computed),
        ("unchanged", &counters.unchanged),
    ] {
        page.value(name, &[("found", found)], number(count));
    }
}

fn write_status(status: &Status, page: &mut Page) {
    let accounting = &status.accounting;
    let name = "questlake_events_total";
    page.head(name, "counter", "Records by what became of them");
    for (fate, count) in [
        ("consumed", accounting.consumed),
        ("landed", accounting.landed),
        ("duplicate", accounting.duplicates),
        ("quarantined", accounting.quarantined),
    ] {
        page.value(name, &[("fate", fate)], count as f64);
    }
    let adds_up = f64::from(u8::from(accounting.adds_up));
    page.single("questlake_accounting_adds_up", "gauge", "Whether no record is missing", adds_up);
    let name = "questlake_quarantine_open";
    page.head(name, "gauge", "Quarantined records that wait");
    for group in &status.quarantine {
        let event_type = group.event_type.as_deref().unwrap_or_default();
        let labels = [("reason", &*group.reason), ("event_type", event_type)];
        page.value(name, &labels, group.open as f64);
    }
    let name = "questlake_model_behind_commits";
    page.head(name, "gauge", "Commits that a model has still to read");
    for model in &status.models {
        page.value(name, &[("model", &model.model)], model.behind_commits as f64);
    }
    let name = "questlake_model_stale_days";
    page.head(name, "gauge", "Days of a model that have to be rebuilt");
    for model in &status.models {
        page.value(name, &[("model", &model.model)], model.stale_days as f64);
    }
    let name = "questlake_model_loaded_age_seconds";
    page.head(name, "gauge", "Time since the latest load of a model");
    for model in &status.models {
        if let Some(at) = model.updated_at {
            let age = (now_millis() - at).max(0) as f64 / 1000.0;
            page.value(name, &[("model", &model.model)], age);
        }
    }
    let name = "questlake_store_up";
    page.head(name, "gauge", "Whether a store answers");
    for store in &status.stores {
        page.value(name, &[("store", store.store)], f64::from(u8::from(store.healthy)));
    }
    let help = "Checks that have found something in their latest run";
    page.single("questlake_checks_failing", "gauge", help, status.checks.len() as f64);
    let landing = &status.landing;
    let help = "Segments that are not in the archive";
    page.single("questlake_landing_segments", "gauge", help, landing.segments as f64);
    page.single("questlake_landing_bytes", "gauge", "Bytes of these", landing.bytes as f64);
    let open = status.gaps.iter().filter(|gap| gap.open).count();
    let help = "Gaps before which a partition stands";
    page.single("questlake_gaps_open", "gauge", help, open as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_and_latency() {
        let metrics = Metrics::default();
        for (status, millis) in [(200, 1), (200, 40), (404, 60_000)] {
            let status = StatusCode::from_u16(status).unwrap();
            let elapsed = Duration::from_millis(millis);
            metrics.answered(&Method::GET, "/api/v1/marts/{name}", status, elapsed);
        }
        metrics.answered(&Method::PATCH, "", StatusCode::OK, Duration::ZERO);
        metrics.connected();
        let mut page = Page::default();
        metrics.write(&mut page);
        for line in [
            "questlake_http_connections 1",
            "questlake_http_requests_total{route=\"/api/v1/marts/{name}\",method=\"GET\",status=\"200\"} 2",
            "questlake_http_requests_total{route=\"\",method=\"other\",status=\"200\"} 1",
            "questlake_http_request_duration_seconds_bucket{route=\"/api/v1/marts/{name}\",method=\"GET\",le=\"0.001\"} 1",
            "questlake_http_request_duration_seconds_bucket{route=\"/api/v1/marts/{name}\",method=\"GET\",le=\"30\"} 2",
            "questlake_http_request_duration_seconds_bucket{route=\"/api/v1/marts/{name}\",method=\"GET\",le=\"+Inf\"} 3",
        ] {
            assert!(page.0.lines().any(|found| found == line), "{line} in {}", page.0);
        }
    }

    #[test]
    fn labels_cannot_break_the_page() {
        let mut page = Page::default();
        page.value("m", &[("event_type", "a\"b\\c\nd")], 1.0);
        assert_eq!(page.0, "m{event_type=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}

//! Live counters as server-sent events: what comes in, second by second.
//!
//! The ledger is read once a second however many watch, and not at all when nobody does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use questlake_engine::clock::now_millis;
use questlake_engine::pipeline::Engine;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::api::Api;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::text::rfc3339;

const EVERY: Duration = Duration::from_secs(1);

/// Pause between two looks at whether the server stops.
const PAUSE: Duration = Duration::from_millis(100);

/// What is told each second.
#[derive(Debug, Clone, Serialize)]
struct Counters {
    at: String,
    events_per_second: f64,
    by_type: BTreeMap<String, f64>,
    consumed: u64,
    landed: u64,
    duplicates: u64,
    quarantined: u64,
    lag_commits: i64,
    active_players_5m: Option<u64>,
}

/// The counters as they were read last.
#[derive(Debug)]
struct Sample {
    at: Instant,
    sequence: i64,
    landed: u64,
    message: Bytes,
}

/// The counters, for all who watch.
pub(crate) struct LiveCounters {
    engine: Engine,
    latest: Mutex<Option<Sample>>,
}

impl LiveCounters {
    pub(crate) fn new(engine: &Engine) -> Arc<Self> {
        Arc::new(Self { engine: engine.clone(), latest: Mutex::default() })
    }

    /// The message of this second.
    async fn message(&self) -> Result<Bytes, Problem> {
        let mut latest = self.latest.lock().await;
        if let Some(sample) = &*latest
            && sample.at.elapsed() < EVERY - PAUSE
        {
            return Ok(sample.message.clone());
        }
        let sample = self.sample(latest.as_ref()).await?;
        let message = sample.message.clone();
        *latest = Some(sample);
        Ok(message)
    }

    async fn sample(&self, before: Option<&Sample>) -> Result<Sample, Problem> {
        let ledger = &self.engine.stores.ledger;
        let at = Instant::now();
        let sequence = ledger.latest_sequence().await?;
        let mut counters = Counters {
            at: rfc3339(now_millis()),
            events_per_second: 0.0,
            by_type: BTreeMap::new(),
            consumed: 0,
            landed: 0,
            duplicates: 0,
            quarantined: 0,
            lag_commits: 0,
            active_players_5m: None,
        };
        for partition in ledger.partitions().await? {
            counters.consumed += partition.counts.consumed;
            counters.landed += partition.counts.landed;
            counters.duplicates += partition.counts.duplicates;
            counters.quarantined += partition.counts.quarantined;
        }
        // Without a sample of lately there is nothing to compare with.
        if let Some(before) = before.filter(|before| before.at.elapsed() < EVERY * 10) {
            let seconds = before.at.elapsed().as_secs_f64();
            let landed = counters.landed.saturating_sub(before.landed);
            counters.events_per_second = rounded(landed as f64 / seconds);
            for entry in ledger.segments(before.sequence, sequence).await? {
                for section in &entry.segment.sections {
                    let rate = counters.by_type.entry(section.event_type.clone()).or_default();
                    *rate += section.rows() as f64 / seconds;
                }
            }
            counters.by_type.values_mut().for_each(|rate| *rate = rounded(*rate));
        }
        let progress = self.engine.stores.warehouse.progress().await?;
        let of_events = self.engine.project.models.iter().filter(|m| m.strategy.reads_events());
        let through = of_events.map(|model| {
            let known = progress.iter().find(|progress| progress.model == model.name());
            known.map_or(0, |progress| progress.ledger_sequence)
        });
        counters.lag_commits = through.min().map_or(0, |through| (sequence - through).max(0));
        let json = serde_json::to_string(&counters).unwrap_or_default();
        let message = Bytes::from(format!("event: counters\ndata: {json}\n\n"));
        Ok(Sample { at, sequence, landed: counters.landed, message })
    }
}

fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// `GET /api/v1/live`
pub(crate) async fn live(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let first = api.live.message().await?;
    let begun = stream::once(async move { Ok::<_, Infallible>(first) });
    let headers = request.headers().clone();
    let rest = stream::unfold((api, headers), |(api, headers)| async move {
        let next = Instant::now() + EVERY;
        while Instant::now() < next {
            // A server that stops does not wait for those who only watch.
            if api.stopping.load(Ordering::Relaxed) {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if !api.access.still_admits(&headers).await {
            return None;
        }
        let message = match api.live.message().await {
            Ok(message) => message,
            Err(_) => Bytes::from_static(b": the ledger does not answer\n\n"),
        };
        Some((Ok(message), (api, headers)))
    });
    let mut response = Response::new(Body::from_stream(futures::StreamExt::chain(begun, rest)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold the events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

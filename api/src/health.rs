//! Whether the process serves, and whether its stores answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use questlake_engine::status::StoreStatus;
use questlake_engine::stores::keys::Scope;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::access::Needs;
use crate::api::Api;
use crate::pipeline::hide_place;
use crate::problem::Problem;
use crate::request::json;

/// Longest wait for the stores: whoever asks wants an answer soon.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /healthz`
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// What the stores have answered last: whoever asks at the same time shares one answer, so that the
/// stores are asked once a second however many ask.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Vec<StoreStatus>)>>);

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

impl Readiness {
    async fn stores(&self, api: &Api) -> Vec<StoreStatus> {
        let mut latest = self.0.lock().await;
        if let Some((since, stores)) = &*latest
            && since.elapsed() < FRESH
        {
            return stores.clone();
        }
        let queue = async {
            match &api.queue {
                Some(queue) => Some(queue(PATIENCE).await),
                None => None,
            }
        };
        let (mut stores, queue) = tokio::join!(api.engine.reach(PATIENCE), queue);
        stores.extend(queue);
        *latest = Some((Instant::now(), stores.clone()));
        stores
    }
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Only for callers who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    stores: Option<Vec<Store>>,
}

#[derive(Serialize)]
struct Store {
    store: &'static str,
    name: String,
    ready: bool,
    /// Without the cache, answers are slower and as right.
    needed: bool,
    detail: Option<String>,
}

/// `GET /readyz`
pub(crate) async fn readyz(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Keys are in a store, too.
    let caller = tokio::time::timeout(PATIENCE, api.access.admit(&headers, Needs::AnyKey));
    let (caller, mut stores) = tokio::join!(caller, api.readiness.stores(&api));
    let caller = caller.ok().and_then(Result::ok);
    let stopping = api.stopping.load(Ordering::Relaxed);
    if caller.as_ref().is_some_and(|caller| !caller.may(Scope::Admin)) {
        stores.iter_mut().for_each(hide_place);
    }
    let stores = stores.into_iter().map(|store| Store {
        needed: store.store != "cache",
        store: store.store,
        name: store.name,
        ready: store.healthy,
        detail: store.detail,
    });
    let stores: Vec<Store> = stores.collect();
    let ready = !stopping && stores.iter().all(|store| store.ready || !store.needed);
    let mut response = json(&Ready { ready, stores: caller.is_some().then_some(stores) })?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response.into_response())
}

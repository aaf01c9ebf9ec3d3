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
    /// The latest answer, or that of `ask` if there is none that is good.
    async fn stores(&self, ask: impl Future<Output = Vec<StoreStatus>>) -> Vec<StoreStatus> {
        let mut latest = self.0.lock().await;
        if let Some((since, stores)) = &*latest
            && since.elapsed() < FRESH
        {
            return stores.clone();
        }
        let stores = ask.await;
        *latest = Some((Instant::now(), stores.clone()));
        stores
    }
}

/// Whether each store answers, and what the collector sends events to.
async fn ask(api: &Api) -> Vec<StoreStatus> {
    let queue = async {
        match &api.queue {
            Some(queue) => Some(queue(PATIENCE).await),
            None => None,
        }
    };
    let (mut stores, queue) = tokio::join!(api.engine.reach(PATIENCE), queue);
    stores.extend(queue);
    stores
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
    let (caller, mut stores) = tokio::join!(caller, api.readiness.stores(ask(&api)));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_at_the_same_time_shares_an_answer() {
        let (readiness, asked, go) = (Readiness::default(), AtomicUsize::new(0), Notify::new());
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            go.notified().await;
            vec![StoreStatus::new("hot", "the hot store".to_owned(), None)]
        };
        let probes = join_all((0..9).map(|_| readiness.stores(ask())));
        // All of them wait before the first is answered.
        let (answers, ()) = tokio::join!(probes, async { go.notify_one() });
        assert!(answers.iter().all(|stores| stores.len() == 1 && stores[0].healthy));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_answer_is_good_for_a_moment_only() {
        let state = |fault: Option<&str>| {
            let fault = fault.map(str::to_owned);
            async { vec![StoreStatus::new("hot", "the hot store".to_owned(), fault)] }
        };
        let readiness = Readiness::default();
        assert!(readiness.stores(state(None)).await[0].healthy);
        assert!(readiness.stores(state(Some("gone"))).await[0].healthy);
        if let Some((since, _)) = &mut *readiness.0.lock().await {
            *since -= FRESH;
        }
        assert!(!readiness.stores(state(Some("gone"))).await[0].healthy);
    }
}

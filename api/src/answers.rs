//! Answers that are computed once and given often.
//!
//! A key says all that an answer follows from: what was asked, in one spelling, and the version of the
//! data. So an answer is right as long as it is found, and publishing new data needs to remove nothing.
//!
//! | where an answer is looked for | by |
//! |---|---|
//! | in this process, ready to be sent | the request as it was written, whose version is compared; then what was asked, and the version |
//! | among the questions under way | what was asked, and the version: whoever comes later waits for the first |
//! | in the cache of the installation | the same; only the first looks there |
//!
//! A computation belongs to nobody: it ends, and is kept, even if whoever asked first has gone. Answers
//! that are too large to be kept are sent as they come, to one caller each. What can be made of rows in
//! memory is made at once, and no other process is asked for it: that would take longer.

mod computation;
mod ready;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use moka::policy::EvictionPolicy;
use questlake_engine::settings::ByteSize;
use questlake_engine::stores::cache::Cache;
use tokio::sync::{Semaphore, oneshot, watch};
use tracing::Instrument;

use crate::problem::Problem;
use crate::tabular::Whole;
use computation::{Collected, Computation};
pub(crate) use computation::{Part, Parts};
pub(crate) use ready::{Question, Ready};
use ready::{answer_headers, etag, matches, ready, unchanged, with_body};

/// Largest answer that is kept.
const LARGEST_KEPT: usize = 2 << 20;

/// How long an answer is kept: the version keeps it right, this keeps the cache small.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Bytes that an answer takes in this process beside its key and body, roughly.
const ENTRY_BYTES: usize = 600;

/// How a computation ended, for those who wait.
#[derive(Clone)]
enum Outcome {
    UnderWay,
    Ready(Arc<Ready>),
    Failed(Arc<Problem>),
    /// Too large to be kept: everybody computes it.
    TooLarge,
    /// It ended without a word.
    Lost,
}

/// What was found where.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// In this process.
    pub(crate) near_hits: AtomicU64,
    /// In the cache.
    pub(crate) hits: AtomicU64,
    /// Waited for a computation under way.
    pub(crate) shared: AtomicU64,
    /// Computed.
    pub(crate) computed: AtomicU64,
    /// Not asked for again: 304.
    pub(crate) unchanged: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The answers of one process.
pub(crate) struct Answers {
    /// Absent where nothing is to be kept.
    near: Option<moka::sync::Cache<String, Arc<Ready>>>,
    cache: Arc<dyn Cache>,
    under_way: Mutex<HashMap<String, watch::Receiver<Outcome>>>,
    turns: Arc<Semaphore>,
    pub(crate) counters: Counters,
}

impl Answers {
    /// No answers yet. So many bytes are kept in this process, and so many answers are computed at a
    /// time.
    pub(crate) fn new(cache: Arc<dyn Cache>, limit: ByteSize, computations: usize) -> Self {
        let near = moka::sync::Cache::builder()
            .max_capacity(limit.bytes())
            .weigher(|key: &String, ready: &Arc<Ready>| {
                // Also in gzip, which is seldom more than a quarter.
                let body = ready.body.len() + ready.body.len() / 4;
                let bytes = ENTRY_BYTES + key.len() + body;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .time_to_live(KEPT_FOR)
            // By frequency, a large answer is let in only where it is asked for more often than all the
            // small ones together that would have to go: never, and it would be computed each time.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            near: (limit.bytes() > 0).then_some(near),
            cache,
            under_way: Mutex::default(),
            turns: Arc::new(Semaphore::new(computations.max(1))),
            counters: Counters::default(),
        }
    }

    /// An answer to a request that was written exactly like this before: whether its data is still that
    /// of now is for the caller to compare. Or the answer of a key, which says of what data it is.
    pub(crate) fn near(&self, request: &str) -> Option<Arc<Ready>> {
        self.near.as_ref()?.get(request)
    }

    pub(crate) fn count_near_hit(&self) {
        count(&self.counters.near_hits);
    }

    /// Answers a question: from what is known, or by computing it. `request` is how it was written.
    pub(crate) async fn answer<Work>(
        self: &Arc<Self>,
        request: Option<String>,
        headers: &HeaderMap,
        question: Question,
        compute: impl FnOnce(Parts) -> Work + Send + 'static,
    ) -> Result<Response, Problem>
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let key = question.key();
        let etag = etag(&key);
        if question.reproducible && matches(headers, &etag) {
            count(&self.counters.unchanged);
            return Ok(unchanged(&etag, &answer_headers(&question, &etag)));
        }
        if !question.reproducible {
            return self.compute_alone(&question, compute).await;
        }
        match self.join(key) {
            Joined::Others(others) => match self.shared(others, request).await {
                Outcome::Ready(ready) => Ok(ready.response(headers)),
                Outcome::Failed(problem) => Err((*problem).clone()),
                _ => self.compute_alone(&question, compute).await,
            },
            Joined::First(place) => {
                let (give, given) = oneshot::channel();
                let lead = Lead { place, question, etag, request, give };
                tokio::spawn(lead.run(compute).in_current_span());
                match given.await {
                    Ok(result) => result,
                    Err(_) => Err(Problem::unavailable("the computation ended abnormally")),
                }
            }
        }
    }

    /// Answers a question that takes no time: from what is known in this process, or by making the
    /// answer here and now.
    pub(crate) async fn answer_at_once(
        self: &Arc<Self>,
        request: Option<String>,
        headers: &HeaderMap,
        question: Question,
        make: impl Fn() -> Result<Whole, Problem>,
    ) -> Result<Response, Problem> {
        let key = question.key();
        let etag = etag(&key);
        if matches(headers, &etag) {
            count(&self.counters.unchanged);
            return Ok(unchanged(&etag, &answer_headers(&question, &etag)));
        }
        let made = || {
            count(&self.counters.computed);
            make()
        };
        // Somebody may have asked for the same in other words.
        if let Some(ready) = self.near(&key) {
            self.count_near_hit();
            self.keep_written(request, &ready);
            return Ok(ready.response(headers));
        }
        let place = match self.join(key.clone()) {
            Joined::First(place) => place,
            Joined::Others(others) => match self.shared(others, request).await {
                Outcome::Ready(ready) => return Ok(ready.response(headers)),
                Outcome::Failed(problem) => return Err((*problem).clone()),
                _ => {
                    let Whole { body, first, .. } = made()?;
                    let headers = answer_headers(&question, &etag);
                    return Ok(with_body(headers, joined(&body, &first)));
                }
            },
        };
        // A computation that has just ended was faster.
        if let Some(ready) = self.near(&key) {
            self.count_near_hit();
            let response = ready.response(headers);
            place.end(Outcome::Ready(ready));
            return Ok(response);
        }
        match made() {
            Ok(Whole { body, first, again }) => {
                let ready = Arc::new(ready(&question, etag.clone(), joined(&body, &again)));
                if ready.body.len() <= LARGEST_KEPT {
                    self.keep_near(request, &key, &ready);
                }
                place.end(Outcome::Ready(ready));
                Ok(with_body(answer_headers(&question, &etag), joined(&body, &first)))
            }
            Err(problem) => {
                place.end(Outcome::Failed(Arc::new(problem.clone())));
                Err(problem)
            }
        }
    }

    /// Waits for the one who computes the answer.
    async fn shared(&self, others: watch::Receiver<Outcome>, request: Option<String>) -> Outcome {
        count(&self.counters.shared);
        let outcome = wait(others).await;
        if let Outcome::Ready(ready) = &outcome {
            self.keep_written(request, ready);
        }
        outcome
    }

    /// Computes an answer for one caller, without keeping it.
    async fn compute_alone<Work>(
        self: &Arc<Self>,
        question: &Question,
        compute: impl FnOnce(Parts) -> Work + Send + 'static,
    ) -> Result<Response, Problem>
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let mut computation = Computation::start(self, compute);
        let collected = computation.collect().await?;
        let etag = etag(&question.key());
        let mut headers = answer_headers(question, &etag);
        headers.remove(header::ETAG);
        Ok(match collected {
            Collected::Whole { body, first, .. } => with_body(headers, joined(&body, &first)),
            Collected::Part(body) => with_body(headers, computation.stream(body)),
        })
    }

    fn join(self: &Arc<Self>, key: String) -> Joined {
        let mut under_way = self.under_way();
        if let Some(others) = under_way.get(&key) {
            return Joined::Others(others.clone());
        }
        let (tell, told) = watch::channel(Outcome::UnderWay);
        under_way.insert(key.clone(), told);
        Joined::First(Place { answers: Arc::clone(self), key, tell })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Outcome>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer by the request as it was written, and by its key for other words.
    fn keep_near(&self, request: Option<String>, key: &str, ready: &Arc<Ready>) {
        if let Some(near) = &self.near {
            near.insert(key.to_owned(), Arc::clone(ready));
        }
        self.keep_written(request, ready);
    }

    fn keep_written(&self, request: Option<String>, ready: &Arc<Ready>) {
        if let (Some(near), Some(request)) = (&self.near, request) {
            near.insert(request, Arc::clone(ready));
        }
    }
}

enum Joined {
    First(Place),
    Others(watch::Receiver<Outcome>),
}

async fn wait(mut others: watch::Receiver<Outcome>) -> Outcome {
    match others.wait_for(|outcome| !matches!(outcome, Outcome::UnderWay)).await {
        Ok(outcome) => outcome.clone(),
        Err(_) => Outcome::Lost,
    }
}

/// Who computes an answer for all that wait for it.
struct Lead {
    place: Place,
    question: Question,
    etag: HeaderValue,
    request: Option<String>,
    /// To the one who has caused it. It may have gone.
    give: oneshot::Sender<Result<Response, Problem>>,
}

impl Lead {
    async fn run<Work>(mut self, compute: impl FnOnce(Parts) -> Work + Send + 'static)
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let answers = Arc::clone(&self.place.answers);
        // A computation that has just ended, or another process, may have been faster. Here is looked
        // first: a cache that is too slow to answer must not cause a second computation.
        if let Some(ready) = answers.near(&self.place.key) {
            answers.count_near_hit();
            let response = ready.response(&HeaderMap::new());
            return self.end(Ok(response), Outcome::Ready(ready));
        }
        if let Some(body) = answers.cache.get(&self.place.key).await {
            count(&answers.counters.hits);
            let ready = Arc::new(ready(&self.question, self.etag.clone(), body));
            answers.keep_near(self.request.take(), &self.place.key, &ready);
            let response = ready.response(&HeaderMap::new());
            return self.end(Ok(response), Outcome::Ready(ready));
        }
        let mut computation = Computation::start(&answers, compute);
        match computation.collect().await {
            Err(problem) => {
                let outcome = Outcome::Failed(Arc::new(problem.clone()));
                self.end(Err(problem), outcome);
            }
            Ok(Collected::Part(body)) => {
                let headers = answer_headers(&self.question, &self.etag);
                let response = with_body(headers, computation.stream(body));
                self.end(Ok(response), Outcome::TooLarge);
            }
            Ok(Collected::Whole { body, first, again }) => {
                let kept = joined(&body, &again);
                answers.cache.set(&self.place.key, kept.clone(), KEPT_FOR).await;
                // The cache may have a copy of its own: then that one is shared.
                let shared = answers.cache.get(&self.place.key).await.unwrap_or(kept);
                let ready = Arc::new(ready(&self.question, self.etag.clone(), shared));
                answers.keep_near(self.request.take(), &self.place.key, &ready);
                let headers = answer_headers(&self.question, &self.etag);
                let response = with_body(headers, joined(&body, &first));
                self.end(Ok(response), Outcome::Ready(ready));
            }
        }
    }

    fn end(self, result: Result<Response, Problem>, outcome: Outcome) {
        self.place.end(outcome);
        let _ = self.give.send(result);
    }
}

/// The place of the one who computes an answer, while others may wait for it.
struct Place {
    answers: Arc<Answers>,
    key: String,
    tell: watch::Sender<Outcome>,
}

impl Place {
    fn end(self, outcome: Outcome) {
        // Whoever comes from now on finds it in the cache.
        self.answers.under_way().remove(&self.key);
        self.tell.send_replace(outcome);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Also if it was ended in the middle: nobody must wait for it.
        if matches!(*self.tell.borrow(), Outcome::UnderWay) {
            self.answers.under_way().remove(&self.key);
            self.tell.send_replace(Outcome::Lost);
        }
    }
}

fn joined(body: &[u8], end: &[u8]) -> Bytes {
    Bytes::from([body, end].concat())
}

#[cfg(test)]
mod tests;

//! Answers that are computed once and given often.
//!
//! A key says all that an answer follows from: what was asked, in one spelling, and the version of the
//! data. So an answer is right as long as it is found, and publishing new data needs to remove nothing.
//!
//! | where an answer is looked for | by |
//! |---|---|
//! | in this process, ready to be sent | the request as it was written; the version is compared |
//! | in the cache of the installation | what was asked, and the version |
//! | among the computations under way | the same: whoever comes later waits for the first |
//!
//! A computation belongs to nobody: it ends, and is kept, even if whoever asked first has gone. Answers
//! that are too large to be kept are sent as they come, to one caller each.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::settings::ByteSize;
use questlake_engine::stores::cache::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::negotiate::Format;
use crate::problem::Problem;
use crate::text::rfc3339;

/// Largest answer that is kept.
const LARGEST_KEPT: usize = 2 << 20;

/// How long an answer is kept: the version keeps it right, this keeps the cache small.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Parts that may wait for the one who sends them on.
const QUEUED_PARTS: usize = 4;

/// Bytes that an answer takes in this process beside its key and body, roughly.
const ENTRY_BYTES: usize = 600;

pub(crate) const DATA_VERSION: HeaderName = HeaderName::from_static("questlake-data-version");
pub(crate) const DATA_THROUGH: HeaderName = HeaderName::from_static("questlake-data-through");

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Bytes(Bytes),
    /// The last part: as it is for the one who has caused the computation, and for all others.
    End {
        first: Bytes,
        again: Bytes,
    },
}

/// Takes the parts of an answer.
#[derive(Debug)]
pub(crate) struct Parts(mpsc::Sender<Part>);

impl Parts {
    /// Hands a part on. Returns whether somebody still wants the answer.
    pub(crate) async fn send(&self, part: Part) -> bool {
        self.0.send(part).await.is_ok()
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// All that the answer follows from but the data, in one spelling.
    pub(crate) text: String,
    pub(crate) freshness: AnswerFreshness,
    pub(crate) format: Format,
    /// Name of the file if the answer is to be saved as one.
    pub(crate) file_name: Option<String>,
    /// Whether the same question has the same answer until the data changes.
    pub(crate) reproducible: bool,
}

impl Question {
    /// The key in the cache.
    fn key(&self) -> String {
        let hash = Sha256::digest(self.text.as_bytes());
        let mut key = format!("api:1:{:016x}:{}:", self.freshness.version, self.format.name());
        for byte in hash {
            key.push_str(&format!("{byte:02x}"));
        }
        key
    }
}

/// An answer that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    version: u64,
    etag: HeaderValue,
    headers: HeaderMap,
    body: Bytes,
}

impl Ready {
    /// The data that it was made of.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn response(&self, request: &HeaderMap) -> Response {
        if matches(request, &self.etag) {
            return unchanged(&self.etag, &self.headers);
        }
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }
}

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
    near: moka::sync::Cache<String, Arc<Ready>>,
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
                let bytes = ENTRY_BYTES + key.len() + ready.body.len();
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .time_to_live(KEPT_FOR)
            .build();
        Self {
            near,
            cache,
            under_way: Mutex::default(),
            turns: Arc::new(Semaphore::new(computations.max(1))),
            counters: Counters::default(),
        }
    }

    /// An answer to a request that was written exactly like this before. Whether its data is still that
    /// of now is for the caller to compare.
    pub(crate) fn near(&self, request: &str) -> Option<Arc<Ready>> {
        self.near.get(request)
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
        let etag = etag(&question);
        if question.reproducible && matches(headers, &etag) {
            count(&self.counters.unchanged);
            return Ok(unchanged(&etag, &answer_headers(&question, &etag)));
        }
        if !question.reproducible {
            return self.compute_alone(&question, compute).await;
        }
        let key = question.key();
        if let Some(body) = self.cache.get(&key).await {
            count(&self.counters.hits);
            let ready = self.keep_near(request, ready(&question, etag, body));
            return Ok(ready.response(headers));
        }
        match self.join(&key) {
            Joined::Others(others) => {
                count(&self.counters.shared);
                match wait(others).await {
                    Outcome::Ready(ready) => {
                        if let Some(request) = request {
                            self.near.insert(request, Arc::clone(&ready));
                        }
                        Ok(ready.response(headers))
                    }
                    Outcome::Failed(problem) => Err((*problem).clone()),
                    _ => self.compute_alone(&question, compute).await,
                }
            }
            Joined::First(tell) => {
                let (give, given) = oneshot::channel();
                let lead = Lead {
                    answers: Arc::clone(self),
                    key,
                    question,
                    etag,
                    request,
                    tell,
                    give: Some(give),
                };
                tokio::spawn(lead.run(compute));
                match given.await {
                    Ok(result) => result,
                    Err(_) => Err(Problem::unavailable("the computation ended abnormally")),
                }
            }
        }
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
        let etag = etag(question);
        let mut headers = answer_headers(question, &etag);
        headers.remove(header::ETAG);
        Ok(match collected {
            Collected::Whole { body, first, .. } => with_body(headers, joined(body, &first)),
            Collected::Part(body) => with_body(headers, computation.stream(body)),
        })
    }

    fn join(&self, key: &str) -> Joined {
        let mut under_way = self.under_way();
        if let Some(others) = under_way.get(key) {
            return Joined::Others(others.clone());
        }
        let (tell, told) = watch::channel(Outcome::UnderWay);
        under_way.insert(key.to_owned(), told);
        Joined::First(tell)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Outcome>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_near(&self, request: Option<String>, ready: Ready) -> Arc<Ready> {
        let ready = Arc::new(ready);
        if let Some(request) = request {
            self.near.insert(request, Arc::clone(&ready));
        }
        ready
    }
}

enum Joined {
    First(watch::Sender<Outcome>),
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
    answers: Arc<Answers>,
    key: String,
    question: Question,
    etag: HeaderValue,
    request: Option<String>,
    tell: watch::Sender<Outcome>,
    /// To the one who has caused it. It may have gone.
    give: Option<oneshot::Sender<Result<Response, Problem>>>,
}

impl Lead {
    async fn run<Work>(mut self, compute: impl FnOnce(Parts) -> Work + Send + 'static)
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        // Another process, or a computation that has just ended, may have been faster.
        if let Some(body) = self.answers.cache.get(&self.key).await {
            let ready = Arc::new(ready(&self.question, self.etag.clone(), body));
            let response = ready.response(&HeaderMap::new());
            return self.end(Ok(response), Outcome::Ready(ready));
        }
        let mut computation = Computation::start(&self.answers, compute);
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
                let kept = joined(body.clone(), &again);
                self.answers.cache.set(&self.key, kept.clone(), KEPT_FOR).await;
                // The cache may have a copy of its own: then that one is shared.
                let shared = self.answers.cache.get(&self.key).await.unwrap_or(kept);
                let ready = ready(&self.question, self.etag.clone(), shared);
                let ready = self.answers.keep_near(self.request.take(), ready);
                let headers = answer_headers(&self.question, &self.etag);
                let response = with_body(headers, joined(body, &first));
                self.end(Ok(response), Outcome::Ready(ready));
            }
        }
    }

    fn end(&mut self, result: Result<Response, Problem>, outcome: Outcome) {
        // Whoever comes from now on finds it in the cache.
        self.answers.under_way().remove(&self.key);
        self.tell.send_replace(outcome);
        if let Some(give) = self.give.take() {
            let _ = give.send(result);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Also if it was ended in the middle: nobody must wait for it.
        if self.give.is_some() {
            self.answers.under_way().remove(&self.key);
            self.tell.send_replace(Outcome::Lost);
        }
    }
}

/// An answer that is being made.
struct Computation {
    parts: mpsc::Receiver<Part>,
    work: JoinHandle<Result<(), Problem>>,
    turn: Turn,
}

/// The turn of a computation, while it has one.
type Turn = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

fn set_turn(turn: &Turn, permit: Option<OwnedSemaphorePermit>) {
    *turn.lock().unwrap_or_else(PoisonError::into_inner) = permit;
}

/// What was collected of it.
enum Collected {
    /// All.
    Whole { body: BytesMut, first: Bytes, again: Bytes },
    /// So much that it is not kept.
    Part(BytesMut),
}

impl Computation {
    fn start<Work>(
        answers: &Arc<Answers>,
        compute: impl FnOnce(Parts) -> Work + Send + 'static,
    ) -> Self
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let (sender, parts) = mpsc::channel(QUEUED_PARTS);
        let answers = Arc::clone(answers);
        let turn = Turn::default();
        let own_turn = Arc::clone(&turn);
        let work = tokio::spawn(async move {
            // Never closed.
            set_turn(&own_turn, Arc::clone(&answers.turns).acquire_owned().await.ok());
            count(&answers.counters.computed);
            let result = compute(Parts(sender)).await;
            set_turn(&own_turn, None);
            result
        });
        Self { parts, work, turn }
    }

    /// Collects parts until the answer is whole or too large to be kept.
    async fn collect(&mut self) -> Result<Collected, Problem> {
        let mut body = BytesMut::new();
        while let Some(part) = self.parts.recv().await {
            match part {
                Part::Bytes(bytes) => body.extend_from_slice(&bytes),
                Part::End { first, again } => {
                    return Ok(Collected::Whole { body, first, again });
                }
            }
            if body.len() > LARGEST_KEPT {
                return Ok(Collected::Part(body));
            }
        }
        Err(self.failure().await)
    }

    /// Why there was no end.
    async fn failure(&mut self) -> Problem {
        match (&mut self.work).await {
            Ok(Err(problem)) => problem,
            Ok(Ok(())) => Problem::unavailable("the computation ended too early"),
            Err(error) => Problem::internal(&error),
        }
    }

    /// The rest of the answer as it comes. What fails then breaks the connection: a part must not pass
    /// for the whole.
    fn stream(self, begun: BytesMut) -> Body {
        // From here on its caller's pace is its own, which nobody else waits for.
        set_turn(&self.turn, None);
        let rest = stream::unfold(Some(self), |computation| async move {
            let mut computation = computation?;
            match computation.parts.recv().await {
                Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(computation))),
                Some(Part::End { first, .. }) => Some((Ok(first), None)),
                None => {
                    let problem = computation.failure().await;
                    tracing::warn!("an answer was broken off: {}", problem.detail);
                    Some((Err(std::io::Error::other(problem.detail)), None))
                }
            }
        });
        let begun = stream::once(async move { Ok::<_, std::io::Error>(begun.freeze()) });
        Body::from_stream(futures::StreamExt::chain(begun, rest))
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        // What nobody takes is not computed; what has ended does not mind.
        self.work.abort();
        set_turn(&self.turn, None);
    }
}

fn joined(mut body: BytesMut, end: &Bytes) -> Bytes {
    body.extend_from_slice(end);
    body.freeze()
}

fn with_body(headers: HeaderMap, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}

fn ready(question: &Question, etag: HeaderValue, body: Bytes) -> Ready {
    let headers = answer_headers(question, &etag);
    Ready { version: question.freshness.version, etag, headers, body }
}

fn answer_headers(question: &Question, etag: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let media_type = HeaderValue::from_static(question.format.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::ETAG, etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization, x-api-key"));
    let version = format!("{:016x}", question.freshness.version);
    headers.extend(HeaderValue::try_from(version).ok().map(|value| (DATA_VERSION, value)));
    let through = question.freshness.data_through.map(rfc3339);
    let through = through.and_then(|text| HeaderValue::try_from(text).ok());
    headers.extend(through.map(|value| (DATA_THROUGH, value)));
    let name = question.file_name.as_ref();
    let disposition = name.map(|name| format!("attachment; filename=\"{name}\""));
    let disposition = disposition.and_then(|text| HeaderValue::try_from(text).ok());
    headers.extend(disposition.map(|value| (header::CONTENT_DISPOSITION, value)));
    headers
}

/// Weak, because the bytes also say when the answer was made.
fn etag(question: &Question) -> HeaderValue {
    let hash = Sha256::digest(question.key().as_bytes());
    let mut text = String::from("W/\"");
    for byte in hash.iter().take(16) {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('"');
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether the caller has this answer.
fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(own) = etag.to_str().map(opaque) else { return false };
    request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|known| known.trim() == "*" || opaque(known) == own)
        })
    })
}

fn unchanged(etag: &HeaderValue, headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let kept = [header::CACHE_CONTROL, header::VARY, DATA_VERSION, DATA_THROUGH];
    for name in kept {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.headers_mut().insert(header::ETAG, etag.clone());
    response
}

#[cfg(test)]
mod tests;

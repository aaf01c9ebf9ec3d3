//! What the routes share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use questlake_engine::freshness::Freshness;
use questlake_engine::pipeline::{Engine, PipelineError};
use questlake_engine::query::limits::QueryLimits;
use questlake_engine::query::reading::TableReader;
use questlake_engine::settings::{ApiSettings, CacheSettings};
use questlake_engine::status::StoreStatus;
use tokio::sync::Mutex;

use crate::access::Access;
use crate::answers::Answers;
use crate::gate::Pages;
use crate::health::Readiness;
use crate::live::LiveCounters;
use crate::marts::Endpoint;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::remembered::Remembered;
use crate::tabular::row_texts;

/// Quarantined records to be taken in again.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// Their numbers; empty for all open ones of the selection.
    pub ids: Vec<i64>,
    /// Only this reason.
    pub reason: Option<String>,
    /// Only this event type.
    pub event_type: Option<String>,
    /// The mended bytes of the one record.
    pub mended: Option<Vec<u8>>,
}

/// What became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records that were taken in again.
    pub replayed: u64,
    /// Of these, rows landed.
    pub landed: u64,
    /// Of these, duplicates.
    pub duplicates: u64,
    /// Those that were refused again: number, reason, what is wrong.
    pub refused: Vec<(i64, String, String)>,
}

/// Takes quarantined records in again: what ingests lies beside the API, not below it.
pub type Replay = Arc<
    dyn Fn(ReplayRequest) -> BoxFuture<'static, Result<ReplayReport, ReplayError>> + Send + Sync,
>;

/// A replay that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReplayError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Asks what takes events in after the collector, such as Kafka, whether it answers; gives up after
/// this time.
pub type AskQueue = Arc<dyn Fn(Duration) -> BoxFuture<'static, StoreStatus> + Send + Sync>;

/// What an API is made from.
pub struct ApiParts {
    /// The installation.
    pub engine: Engine,
    /// Who may ask, and how much.
    pub settings: ApiSettings,
    /// How answers are kept.
    pub cache: CacheSettings,
    /// Whether only this machine can call.
    pub local_only: bool,
    /// How records are replayed, where this process can.
    pub replay: Option<Replay>,
    /// What the collector sends events to, where that is another server.
    pub queue: Option<AskQueue>,
}

/// What the routes share.
pub struct Api {
    pub(crate) engine: Engine,
    /// Of callers' own SQL, whose functions may hold threads for minutes: those that read marts, saved
    /// queries and players are others.
    pub(crate) ad_hoc: QueryLimits,
    pub(crate) reader: TableReader,
    /// The models' tables, in the order of the project.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Places of these by name.
    endpoint_of: HashMap<String, usize>,
    pub(crate) freshness: Arc<Remembered<Freshness>>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) access: Access,
    pub(crate) pages: Pages,
    pub(crate) metrics: Metrics,
    pub(crate) live: Arc<LiveCounters>,
    pub(crate) settings: ApiSettings,
    pub(crate) replay: Option<Replay>,
    pub(crate) queue: Option<AskQueue>,
    pub(crate) readiness: Readiness,
    /// The body of the catalogue, once somebody has asked for it.
    pub(crate) catalog: OnceLock<Bytes>,
    /// The OpenAPI document, once somebody has asked for it.
    pub(crate) openapi: OnceLock<Bytes>,
    /// The values of filters, and the state of the data that they are of.
    pub(crate) filters: Mutex<Option<(u64, Bytes)>>,
    pub(crate) started: Instant,
    /// No new work is begun any more.
    pub(crate) stopping: AtomicBool,
}

impl Api {
    /// An API over an installation.
    ///
    /// # Errors
    /// When no session can be made.
    pub fn new(parts: ApiParts) -> Result<Arc<Self>, PipelineError> {
        let ApiParts { engine, settings, cache, local_only, replay, queue } = parts;
        let reading = engine.clone();
        let read = move || {
            let engine = reading.clone();
            async move { engine.freshness().await.map_err(Problem::from) }
        };
        let ad_hoc = engine.queries.with_own_threads();
        let keys = Arc::clone(&engine.stores.keys);
        let required = settings.keys_required || !local_only;
        let answers = Arc::clone(&engine.stores.cache);
        let endpoints: Vec<Endpoint> = engine.project.models.iter().map(Endpoint::new).collect();
        let names = endpoints.iter().map(|endpoint| endpoint.model.name().to_owned());
        let endpoint_of = names.zip(0..).collect();
        Ok(Arc::new(Self {
            endpoints,
            endpoint_of,
            reader: TableReader::new(&engine, cache.tables_limit, row_texts)?,
            freshness: Remembered::new(read, Duration::ZERO),
            answers: Arc::new(Answers::new(answers, cache.memory_limit, settings.max_computations)),
            access: Access::new(keys, required, settings.rate_limit),
            pages: Pages { allowed: settings.cors_origins.clone() },
            metrics: Metrics::default(),
            live: LiveCounters::new(&engine),
            catalog: OnceLock::new(),
            openapi: OnceLock::new(),
            filters: Mutex::default(),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            engine,
            settings,
            replay,
            queue,
            readiness: Readiness::default(),
            ad_hoc,
        }))
    }

    /// The table of a model.
    pub(crate) fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.get(*self.endpoint_of.get(name)?)
    }

    /// Whether callers need a key.
    pub fn requires_keys(&self) -> bool {
        self.access.is_required()
    }
}

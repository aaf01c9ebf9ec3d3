//! `questlake serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use questlake_api::{Api, ApiParts, AskQueue, Replay, ReplayError, ReplayReport, ReplayRequest};
use questlake_engine::pipeline::Engine;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::status::StoreStatus;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::ledger::QuarantineFilter;
use questlake_ingest::error::IngestError;
use questlake_ingest::sources::collector::{CollectorBounds, HTTP_TOPIC, collector_router};
use questlake_ingest::sources::intake::Intake;
use questlake_ingest::sources::kafka::KafkaSink;
use questlake_ingest::sources::queue::IngestQueue;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::quarantine::{REPLAY_PAGE, Replayed, Replayer};
use crate::app::App;
use crate::error::CliError;
use crate::stop::Stop;

/// Longest wait for open requests, and for the queue behind them, when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Least time for the queue. What it has not given on by then is on disk, for the next start.
const QUEUE_GRACE: Duration = Duration::from_secs(1);

/// Memory for connections, requests, and events on their way, beside what queries take.
const INTAKE_MEMORY: usize = 256 << 20;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {}

pub(crate) async fn run(app: &App, _args: ServeArgs) -> Result<ExitCode, CliError> {
    let engine = app.stop.interrupts(app.engine()).await?;
    let server = app.stop.interrupts(Server::start(app, &engine, 0)).await?;
    server.stopped().await?;
    Ok(ExitCode::SUCCESS)
}

/// The HTTP server with the collector's queue or Kafka behind it.
pub(crate) struct Server {
    pub(crate) intake: Intake,
    /// Works on the queue, if there is one.
    worker: Option<JoinHandle<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    stop: Stop,
}

impl Server {
    /// Listens, and says where. `beside` are bytes of memory that other work of the process may take.
    pub(crate) async fn start(app: &App, engine: &Engine, beside: usize) -> Result<Self, CliError> {
        let (intake, worker) = match &app.settings.kafka {
            None => {
                let (queue, worker) = open_queue(app, engine).await?;
                (Intake::Queue(queue), Some(worker))
            }
            Some(kafka) => (Intake::Kafka(open_sink(app, engine, kafka).await?), None),
        };
        let collector = &app.settings.collector;
        let bounds = CollectorBounds {
            body_limit: collector.body_limit.as_usize(),
            request_timeout: collector.request_timeout,
        };
        let address = collector.listen.clone();
        let listen_error = |source| CliError::Listen { address: address.clone(), source };
        let listener = TcpListener::bind(&address).await.map_err(listen_error)?;
        let bound = listener.local_addr().map_err(listen_error)?;
        let mut engine = engine.clone();
        let cache = &app.settings.cache;
        // While a table is being sorted it is there twice.
        let tables = cache.tables_limit.as_usize() / 2 * 3;
        let kept = cache.memory_limit.as_usize() + tables;
        engine.queries.watch_process(kept + INTAKE_MEMORY + beside);
        let replay = Some(replay(app, &engine)?);
        let queue = match (&app.settings.kafka, &intake) {
            (Some(kafka), Intake::Kafka(sink)) => Some(ask_kafka(kafka, sink)),
            _ => None,
        };
        let api = Api::new(ApiParts {
            engine,
            settings: app.settings.api.clone(),
            cache: app.settings.cache.clone(),
            local_only: bound.ip().is_loopback(),
            replay,
            queue,
        })?;
        let router = questlake_api::router(&api, collector_router(intake.clone(), bounds));
        app.line(&format!("listening on http://{bound}"))?;
        info!(%bound, keys_required = api.requires_keys(), "listening on {bound}");
        if api.requires_keys() {
            app.note(
                "callers need a key: `questlake key create NAME --scope read,query` makes one",
            );
        }
        let stopped = Box::pin(app.stop.told());
        let serving = tokio::spawn(questlake_api::server::serve(listener, router, api, stopped));
        Ok(Self { intake, worker, serving, stop: app.stop.clone() })
    }

    /// Waits for Ctrl-C or SIGTERM, then for open requests, then for the queue.
    pub(crate) async fn stopped(self) -> Result<(), CliError> {
        self.stop.told().await;
        info!("stopping");
        let begun = Instant::now();
        // A client that keeps its connection open must keep neither the process alive nor the queue.
        let mut serving = self.serving;
        if tokio::time::timeout(GRACE, &mut serving).await.is_err() {
            // Idle connections are closed by now.
            let grace = GRACE.as_secs();
            warn!(grace, "requests that took longer than {grace} s to end are broken off");
            serving.abort();
            let _ = serving.await;
        }
        drop(self.intake);
        if let Some(worker) = self.worker {
            let left = GRACE.saturating_sub(begun.elapsed()).max(QUEUE_GRACE);
            let _ = tokio::time::timeout(left, worker).await;
        }
        Ok(())
    }
}

/// How the API takes quarantined records in again: one selection after the other.
fn replay(app: &App, engine: &Engine) -> Result<Replay, CliError> {
    let replayer = Arc::new(Replayer {
        ingester: app.ingester(engine)?,
        queue_folder: app.queue_folder(),
        bounds: app.queue_bounds(),
    });
    let turn = Arc::new(Mutex::new(()));
    Ok(Arc::new(move |request: ReplayRequest| {
        let (replayer, turn) = (Arc::clone(&replayer), Arc::clone(&turn));
        Box::pin(async move {
            let _turn = turn.lock().await;
            let ReplayRequest { ids, reason, event_type, mended } = request;
            let selection = QuarantineFilter {
                ids,
                reason,
                event_type,
                limit: REPLAY_PAGE,
                ..QuarantineFilter::default()
            };
            let replayed = replayer.replay(selection, mended.as_deref()).await;
            let Replayed { counts, refused, .. } =
                replayed.map_err(|error| ReplayError(Box::new(error)))?;
            let refused = refused.into_iter();
            Ok(ReplayReport {
                replayed: counts.consumed,
                landed: counts.landed,
                duplicates: counts.duplicates,
                refused: refused
                    .map(|(id, record)| (id, record.reason.code().to_owned(), record.detail))
                    .collect(),
            })
        })
    }))
}

/// How the API learns whether events can be sent.
fn ask_kafka(kafka: &KafkaSettings, sink: &KafkaSink) -> AskQueue {
    let (name, sink) = (kafka.name(), sink.clone());
    Arc::new(move |patience| {
        let (name, sink) = (name.clone(), sink.clone());
        Box::pin(async move {
            // The client is to say itself what is wrong.
            let asked = sink.ask(patience.mul_f64(0.9));
            StoreStatus::asked("kafka", name, patience, asked).await
        })
    })
}

/// The embedded queue, with what an ended process has left in it taken in.
async fn open_queue(app: &App, engine: &Engine) -> Result<(IngestQueue, JoinHandle<()>), CliError> {
    let ingester = app.ingester(engine)?;
    ingester.sweep_landing().await;
    let folder = app.queue_folder();
    Ok(IngestQueue::open(ingester, &folder, HTTP_TOPIC, app.queue_bounds()).await?)
}

/// The way to Kafka. Brokers that are away now are asked again with the first events.
async fn open_sink(
    app: &App,
    engine: &Engine,
    kafka: &KafkaSettings,
) -> Result<KafkaSink, CliError> {
    // What came in before there was Kafka.
    if app.queue_folder().join(HTTP_TOPIC).is_dir() {
        let (queue, worker) = open_queue(app, engine).await?;
        drop(queue);
        let _ = tokio::time::timeout(GRACE, worker).await;
    }
    let partitions = engine.stores.ledger.partitions().await?;
    let was_read =
        partitions.iter().any(|one| *one.claim.topic == *kafka.topic && one.claim.next_offset > 0);
    let sink = KafkaSink::new(kafka, app.sink_bounds(), !was_read)?;
    match sink.ensure_topic().await {
        Err(IngestError::Store(error)) if error.kind == StoreErrorKind::Unavailable => {
            warn!(%error, "events are refused until Kafka answers: {error}");
        }
        other => other?,
    }
    Ok(sink)
}

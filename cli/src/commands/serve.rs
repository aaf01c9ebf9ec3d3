//! `questlake serve`

use std::future::IntoFuture;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use clap::Args;
use questlake_api::api_router;
use questlake_engine::pipeline::Engine;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_ingest::error::IngestError;
use questlake_ingest::sources::collector::{CollectorBounds, HTTP_TOPIC, collector_router};
use questlake_ingest::sources::intake::Intake;
use questlake_ingest::sources::kafka::KafkaSink;
use questlake_ingest::sources::queue::IngestQueue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::app::App;
use crate::error::CliError;
use crate::stop::Stop;

/// Longest wait for open requests when the server stops.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {}

pub(crate) async fn run(app: &App, _args: ServeArgs) -> Result<ExitCode, CliError> {
    let engine = app.stop.interrupts(app.engine()).await?;
    let server = app.stop.interrupts(Server::start(app, &engine)).await?;
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
    /// Listens, and says where.
    pub(crate) async fn start(app: &App, engine: &Engine) -> Result<Self, CliError> {
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
        let router: Router =
            api_router(engine.clone()).merge(collector_router(intake.clone(), bounds));
        let address = collector.listen.clone();
        let listen_error = |source| CliError::Listen { address: address.clone(), source };
        let listener = TcpListener::bind(&address).await.map_err(listen_error)?;
        let bound = listener.local_addr().map_err(listen_error)?;
        app.line(&format!("listening on http://{bound}"))?;
        info!(%bound, "listening on {bound}");
        let serving = tokio::spawn(
            axum::serve(listener, router).with_graceful_shutdown(app.stop.told()).into_future(),
        );
        Ok(Self { intake, worker, serving, stop: app.stop.clone() })
    }

    /// Waits for Ctrl-C or SIGTERM, then for open requests, then for the queue.
    pub(crate) async fn stopped(self) -> Result<(), CliError> {
        self.stop.told().await;
        info!("stopping");
        // A client that keeps its connection open must not keep the process alive.
        let _ = tokio::time::timeout(GRACE, self.serving).await;
        drop(self.intake);
        if let Some(worker) = self.worker {
            let _ = tokio::time::timeout(GRACE, worker).await;
        }
        Ok(())
    }
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

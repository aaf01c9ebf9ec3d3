//! `questlake serve`

use std::future::IntoFuture;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use clap::Args;
use questlake_api::api_router;
use questlake_engine::pipeline::Engine;
use questlake_ingest::sources::collector::{CollectorBounds, HTTP_TOPIC, collector_router};
use questlake_ingest::sources::queue::IngestQueue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::info;

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

/// The HTTP server with the collector's queue behind it.
pub(crate) struct Server {
    pub(crate) queue: IngestQueue,
    worker: JoinHandle<()>,
    serving: JoinHandle<std::io::Result<()>>,
    stop: Stop,
}

impl Server {
    /// Listens, and says where.
    pub(crate) async fn start(app: &App, engine: &Engine) -> Result<Self, CliError> {
        let ingester = app.ingester(engine)?;
        ingester.sweep_landing().await;
        let (queue, worker) =
            IngestQueue::open(ingester, &app.queue_folder(), HTTP_TOPIC, app.queue_bounds())
                .await?;
        let collector = &app.settings.collector;
        let bounds = CollectorBounds {
            body_limit: collector.body_limit.as_usize(),
            request_timeout: collector.request_timeout,
        };
        let router: Router =
            api_router(engine.clone()).merge(collector_router(queue.clone(), bounds));
        let address = collector.listen.clone();
        let listen_error = |source| CliError::Listen { address: address.clone(), source };
        let listener = TcpListener::bind(&address).await.map_err(listen_error)?;
        let bound = listener.local_addr().map_err(listen_error)?;
        app.line(&format!("listening on http://{bound}"))?;
        info!(%bound, "listening on {bound}");
        let serving = tokio::spawn(
            axum::serve(listener, router).with_graceful_shutdown(app.stop.told()).into_future(),
        );
        Ok(Self { queue, worker, serving, stop: app.stop.clone() })
    }

    /// Waits for Ctrl-C or SIGTERM, then for open requests, then for the queue.
    pub(crate) async fn stopped(self) -> Result<(), CliError> {
        self.stop.told().await;
        info!("stopping");
        // A client that keeps its connection open must not keep the process alive.
        let _ = tokio::time::timeout(GRACE, self.serving).await;
        drop(self.queue);
        let _ = tokio::time::timeout(GRACE, self.worker).await;
        Ok(())
    }
}

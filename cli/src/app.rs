//! What every command starts from: settings, terminal, and the opened installation.

use std::sync::Arc;

use questlake_engine::models::CompiledProject;
use questlake_engine::pipeline::Engine;
use questlake_engine::project;
use questlake_engine::settings::Settings;
use questlake_engine::stores::Stores;
use questlake_ingest::batch::Ingester;
use questlake_ingest::sources::kafka::SinkBounds;
use questlake_ingest::sources::queue::QueueBounds;

use crate::error::CliError;
use crate::logging;
use crate::stop::Stop;
use crate::telemetry::SpanLayer;
use crate::terminal::Output;
use crate::terminal::progress::Bars;

/// One run of the program.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) bars: Bars,
    pub(crate) stop: Stop,
}

impl App {
    /// Starts logging.
    pub(crate) fn new(
        settings: Settings,
        stop: Stop,
        spans: Option<SpanLayer>,
    ) -> Result<Self, CliError> {
        let bars = Bars::stderr();
        logging::start(&settings.log, &bars, spans)?;
        Ok(Self { settings, output: Output::stdout(), bars, stop })
    }

    /// The project, checked; its warnings go to standard error.
    pub(crate) async fn project(&self) -> Result<Arc<CompiledProject>, CliError> {
        let (project, warnings) = project::load(&self.settings.project).await?;
        for warning in warnings.iter() {
            self.note(&warning.to_string());
        }
        Ok(Arc::new(project))
    }

    /// The engine over the project and the opened stores.
    pub(crate) async fn engine(&self) -> Result<Engine, CliError> {
        let project = self.project().await?;
        let stores = Stores::open(&self.settings)?;
        Ok(Engine::new(&self.settings, stores, project)?)
    }

    /// An ingester into the engine's stores.
    pub(crate) fn ingester(&self, engine: &Engine) -> Result<Ingester, CliError> {
        let contracts = &engine.project.contracts;
        Ok(Ingester::new(engine.stores.clone(), contracts, &self.settings.ingest)?)
    }

    /// Bounds of the embedded queues.
    pub(crate) fn queue_bounds(&self) -> QueueBounds {
        let ingest = &self.settings.ingest;
        QueueBounds {
            queue_bytes: ingest.queue_bytes.as_usize(),
            batch_records: ingest.batch_records,
            batch_bytes: ingest.batch_bytes.as_usize(),
        }
    }

    /// Bounds of what is sent to Kafka.
    pub(crate) fn sink_bounds(&self) -> SinkBounds {
        let ingest = &self.settings.ingest;
        SinkBounds {
            queue_bytes: ingest.queue_bytes.as_usize(),
            max_record: ingest.max_record.as_usize(),
        }
    }

    /// Folder of the embedded queues.
    pub(crate) fn queue_folder(&self) -> std::path::PathBuf {
        self.settings.data.join("queue")
    }

    /// A line on standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        self.output.line(text).map_err(CliError::Output)
    }

    /// A line on standard error.
    pub(crate) fn note(&self, text: &str) {
        // A note that nobody can read is no failure.
        let _ = self.bars.write(format!("{text}\n").as_bytes());
    }
}

//! The topic of Kafka, until the program is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use questlake_engine::settings::KafkaSettings;
use questlake_ingest::sources::file::{BatchBounds, FileOutcome};
use questlake_ingest::sources::kafka::{TopicOptions, TopicProgress, ingest_topic};

use super::PROGRESS_EVERY;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::progress::Unit;

/// Reads the topic as a member of its group. Ctrl-C and SIGTERM end it after what was read is
/// committed.
pub(super) async fn take_topic(
    app: &App,
    kafka: &KafkaSettings,
    accept_gaps: bool,
) -> Result<FileOutcome, CliError> {
    let engine = app.stop.interrupts(app.engine()).await?;
    let ingester = app.ingester(&engine)?;
    ingester.sweep_landing().await;
    let ingest = &app.settings.ingest;
    let options = TopicOptions {
        bounds: BatchBounds { records: ingest.batch_records, bytes: ingest.batch_bytes.as_usize() },
        batch_wait: ingest.batch_wait,
        queue_bytes: ingest.queue_bytes.as_usize(),
        accept_gaps,
    };
    let bar = app.bars.start(&format!("ingest {}", kafka.topic), None, Unit::Count("records"));
    let progress = Arc::new(TopicProgress::default());
    let work = ingest_topic(&ingester, kafka, options, Arc::clone(&progress));
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let stop = app.stop.told();
    tokio::pin!(stop);
    let mut stopping = false;
    let counts = loop {
        tokio::select! {
            counts = &mut work => break counts?,
            _ = ticks.tick() => bar.set_position(progress.records.load(Ordering::Relaxed)),
            () = &mut stop, if !stopping => {
                stopping = true;
                progress.stop.store(true, Ordering::Relaxed);
                app.note("stopping after what was read");
            }
        }
    };
    bar.set_position(progress.records.load(Ordering::Relaxed));
    bar.finish();
    Ok(FileOutcome { topic: kafka.topic.clone(), counts, ..FileOutcome::default() })
}

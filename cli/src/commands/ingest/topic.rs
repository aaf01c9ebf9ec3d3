//! The topic of Kafka, until the program is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use questlake_engine::pipeline::Engine;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::ledger::Counts;
use questlake_ingest::sources::file::BatchBounds;
use questlake_ingest::sources::kafka::{TopicOptions, TopicProgress, ingest_topic};

use super::PROGRESS_EVERY;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::progress::Unit;

/// When reading ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// When the program is told to stop.
    Told {
        /// Whether to go on behind records that the topic has dropped before they were read.
        accept_gaps: bool,
    },
    /// When so many records are committed.
    Records(u64),
}

/// How the topic is read, by the settings.
pub(crate) fn topic_options(app: &App, accept_gaps: bool) -> TopicOptions {
    let ingest = &app.settings.ingest;
    TopicOptions {
        bounds: BatchBounds { records: ingest.batch_records, bytes: ingest.batch_bytes.as_usize() },
        batch_wait: ingest.batch_wait,
        queue_bytes: ingest.queue_bytes.as_usize(),
        accept_gaps,
    }
}

/// Reads the topic as a member of its group. Ctrl-C and SIGTERM end it after what was read is
/// committed.
pub(crate) async fn take_topic(
    app: &App,
    engine: &Engine,
    kafka: &KafkaSettings,
    until: Until,
) -> Result<Counts, CliError> {
    let ingester = app.ingester(engine)?;
    ingester.sweep_landing().await;
    let (accept_gaps, total) = match until {
        Until::Told { accept_gaps } => (accept_gaps, None),
        Until::Records(records) => (false, Some(records)),
    };
    let bar =
        app.bars.start(&format!("ingest {}", kafka.topic), total, Unit::Count("records"));
    let progress = Arc::new(TopicProgress::default());
    let work = ingest_topic(&ingester, kafka, topic_options(app, accept_gaps), Arc::clone(&progress));
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let stop = app.stop.told();
    tokio::pin!(stop);
    let mut stopping = false;
    let counts = loop {
        tokio::select! {
            counts = &mut work => break counts?,
            _ = ticks.tick() => {
                let records = progress.records.load(Ordering::Relaxed);
                bar.set_position(records);
                if total.is_some_and(|total| records >= total) {
                    progress.stop.store(true, Ordering::Relaxed);
                }
            }
            () = &mut stop, if !stopping => {
                stopping = true;
                progress.stop.store(true, Ordering::Relaxed);
                app.note("stopping after what was read");
            }
        }
    };
    bar.set_position(progress.records.load(Ordering::Relaxed));
    bar.finish();
    Ok(counts)
}

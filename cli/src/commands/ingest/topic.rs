//! The topic of Kafka, until the program is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use questlake_engine::pipeline::Engine;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::ledger::Counts;
use questlake_ingest::sources::file::BatchBounds;
use questlake_ingest::sources::kafka::{
    PartitionLag, TopicOptions, TopicProgress, ingest_topic, topic_lag,
};

use super::super::status::leaderless;
use super::PROGRESS_EVERY;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::progress::Unit;

/// How often it is looked whether all that there was is committed.
const BACKLOG_LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is looked whether what is still to be read has a leader.
const LEADER_LOOK_EVERY: Duration = Duration::from_secs(10);

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
    /// When all that was in the topic at the beginning is committed, by whichever process.
    Drained {
        /// Whether to go on behind records that the topic has dropped before they were read.
        accept_gaps: bool,
    },
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
        Until::Drained { accept_gaps } => (accept_gaps, None),
    };
    let backlog = match until {
        Until::Drained { .. } => Some(Backlog::of(engine, kafka).await?),
        _ => None,
    };
    let bar = app.bars.start(&format!("ingest {}", kafka.topic), total, Unit::Count("records"));
    let progress = Arc::new(TopicProgress::default());
    let work =
        ingest_topic(&ingester, kafka, topic_options(app, accept_gaps), Arc::clone(&progress));
    tokio::pin!(work);
    let drained = async {
        match &backlog {
            Some(backlog) => backlog.is_committed(engine, kafka, &progress).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(drained);
    let mut is_drained = false;
    let mut failure = None;
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
            result = &mut drained, if !is_drained => {
                is_drained = true;
                if let Err(error) = result {
                    failure = Some(error);
                }
                progress.stop.store(true, Ordering::Relaxed);
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
    match failure {
        Some(error) => Err(error),
        None => Ok(counts),
    }
}

/// What was in the topic at one time and was not committed.
struct Backlog {
    topic: String,
    /// Partition and the offset behind its last record.
    ends: Vec<(i32, i64)>,
    /// Partitions that had no leader, of which nobody knows what they hold.
    leaderless: Vec<PartitionLag>,
}

impl Backlog {
    async fn of(engine: &Engine, kafka: &KafkaSettings) -> Result<Self, CliError> {
        let positions = positions(engine, &kafka.topic).await?;
        let lags = topic_lag(kafka, &positions).await?;
        let behind = lags.iter().filter(|lag| lag.lag > Some(0));
        let ends = behind.filter_map(|lag| Some((lag.partition, lag.high_watermark?))).collect();
        let leaderless = lags.iter().filter(|lag| !lag.is_led()).cloned().collect();
        Ok(Self { topic: kafka.topic.clone(), ends, leaderless })
    }

    /// Waits until it is committed. Partitions that had no leader are looked at once more then.
    ///
    /// # Errors
    /// If there are partitions of which nobody knows what they hold.
    async fn is_committed(
        &self,
        engine: &Engine,
        kafka: &KafkaSettings,
        progress: &TopicProgress,
    ) -> Result<(), CliError> {
        self.is_reached(engine, kafka, progress).await?;
        if self.leaderless.is_empty() {
            return Ok(());
        }
        let unknown = match Self::of(engine, kafka).await {
            Ok(rest) => {
                rest.is_reached(engine, kafka, progress).await?;
                let was_away = |lag: &&PartitionLag| {
                    self.leaderless.iter().any(|one| one.partition == lag.partition)
                };
                rest.leaderless.iter().filter(was_away).cloned().collect()
            }
            // Their brokers may be coming back just now.
            Err(_) => self.leaderless.clone(),
        };
        leaderless(&self.topic, &unknown).map_or(Ok(()), |text| Err(unread(kafka, text)))
    }

    async fn is_reached(
        &self,
        engine: &Engine,
        kafka: &KafkaSettings,
        progress: &TopicProgress,
    ) -> Result<(), CliError> {
        let mut looks = tokio::time::interval(BACKLOG_LOOK_EVERY);
        let mut next_leader_look = Instant::now() + LEADER_LOOK_EVERY;
        loop {
            looks.tick().await;
            let positions = positions(engine, &self.topic).await?;
            let reached = |(partition, end): &(i32, i64)| {
                positions.iter().any(|(number, next)| {
                    number == partition && (next >= end || progress.is_at_end(*number, *next))
                })
            };
            if self.ends.iter().all(reached) {
                return Ok(());
            }
            if Instant::now() < next_leader_look {
                continue;
            }
            // Brokers that do not answer are waited for: reading goes on by itself.
            if let Ok(mut lags) = topic_lag(kafka, &positions).await {
                lags.retain(|lag| {
                    self.ends.iter().any(|end| end.0 == lag.partition && !reached(end))
                });
                if let Some(text) = leaderless(&self.topic, &lags) {
                    return Err(unread(kafka, text));
                }
            }
            next_leader_look = Instant::now() + LEADER_LOOK_EVERY;
        }
    }
}

/// What is said when partitions have no leader, of which not all is read.
fn unread(kafka: &KafkaSettings, text: String) -> CliError {
    let kind = StoreErrorKind::Unavailable;
    let error = StoreError::new(kafka.name(), "read all of the topic", kind, text);
    error.with_advice("what was taken in stays; try again then").into()
}

/// The partitions of a topic, and the first record of each that is not committed.
async fn positions(engine: &Engine, topic: &str) -> Result<Vec<(i32, i64)>, CliError> {
    let partitions = engine.stores.ledger.partitions().await?;
    let claims = partitions.iter().map(|partition| &partition.claim);
    let of_topic = claims.filter(|claim| *claim.topic == *topic);
    Ok(of_topic.map(|claim| (claim.partition, claim.next_offset)).collect())
}

//! A topic of Kafka: the source of events where brokers are set, and the sink of the collector and
//! the simulator.
//!
//! Delivery semantics: a record's physical key is its topic, partition and offset. Many processes
//! share the partitions of the topic as a consumer group. A partition that comes to a process is
//! claimed in the ledger (`group.rs`), which fences whoever had it before, and read from the ledger's
//! position; what the brokers have stored about positions is never asked for. Records of all
//! partitions of a process become one stream of batches (`gather.rs`), each of which moves all of
//! its partitions in one commit. Before a partition goes to another process, what was read of it is
//! committed.
//!
//! Any failure ends the membership (`session.rs`): what is not committed is dropped, the partitions
//! go to the others, and after a pause the process joins again and reads from the ledger's
//! positions. So an outage of a store or of the brokers ends by itself. What cannot end by itself
//! ends the command: records that were dropped by the topic before they were read, a topic that was
//! made anew (`start.rs`, `mark.rs`), wrong passwords, a client that is stuck (`watch.rs`).

mod assignment;
mod client;
mod delivery;
mod flow;
mod gather;
mod group;
mod lag;
mod lines;
mod mark;
mod reader;
mod reading;
mod session;
mod shape;
mod sink;
mod start;
mod topic;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::ledger::Counts;
use questlake_engine::stores::ledger::gap::{Gap, GapReason};
use tracing::{info, warn};

use self::session::run_session;
use self::topic::ensure_topic;
use super::file::BatchBounds;
use crate::batch::Ingester;
use crate::error::IngestError;

pub use self::lag::{PartitionLag, topic_lag};
pub use self::lines::LineProducer;
pub use self::sink::{KafkaSink, SinkBounds};

/// Pause after the first failure, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long something which hardly ends by itself is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time of a membership after which what failed before it is forgotten.
const LONG_SESSION: Duration = Duration::from_secs(60);

/// How often it is looked whether it was told to stop.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// How a topic is read.
#[derive(Debug, Clone)]
pub struct TopicOptions {
    /// Bounds of a micro-batch.
    pub bounds: BatchBounds,
    /// How long the first record of a micro-batch waits for others.
    pub batch_wait: Duration,
    /// Most bytes of records that are fetched ahead.
    pub queue_bytes: usize,
    /// Whether to go on behind records that the topic has dropped before they were read.
    pub accept_gaps: bool,
}

/// How far a topic has been read by this process, and whether it is to stop; shared.
#[derive(Debug, Default)]
pub struct TopicProgress {
    /// Set to end after what was read is committed.
    pub stop: AtomicBool,
    /// Records that are committed.
    pub records: AtomicU64,
    counts: Mutex<Counts>,
    /// Positions behind the last record, where the brokers said that there is nothing more.
    ends: Mutex<BTreeMap<i32, i64>>,
}

impl TopicProgress {
    fn add(&self, counts: &Counts) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).add(counts);
        self.records.fetch_add(counts.consumed, Ordering::Relaxed);
    }

    fn reach_end(&self, partition: i32, position: i64) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert(partition, position);
    }

    /// Whether this process found nothing behind `position`, the first record that is not committed:
    /// the high watermark may lie further on, behind offsets that have no record.
    pub fn is_at_end(&self, partition: i32, position: i64) -> bool {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(&partition) == Some(&position)
    }

    /// What became of the records that are committed.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic that is read.
struct TopicSource {
    ingester: Ingester,
    settings: KafkaSettings,
    options: TopicOptions,
    progress: Arc<TopicProgress>,
    /// Whether the topic was seen to be made anew since it was read last.
    topic_changed: Arc<AtomicBool>,
}

/// Takes in the topic until it is told to stop, as a member of its group. A topic that is missing
/// is created, unless records of it were read before.
///
/// # Errors
/// If the brokers cannot be reached at first, and at any time what does not end by itself. Outages
/// after that are survived, and logged.
pub fn ingest_topic<'a>(
    ingester: &'a Ingester,
    settings: &'a KafkaSettings,
    options: TopicOptions,
    progress: Arc<TopicProgress>,
) -> BoxFuture<'a, Result<Counts, IngestError>> {
    Box::pin(async move {
        let source = TopicSource {
            ingester: ingester.clone(),
            settings: settings.clone(),
            options,
            progress,
            topic_changed: Arc::default(),
        };
        source.check_topic().await?;
        let stalls = Arc::default();
        let mut failures = 0;
        let mut lasting_since = None;
        loop {
            let begun = Instant::now();
            let before = source.progress.records.load(Ordering::Relaxed);
            let result = match failures {
                0 => run_session(&source, &stalls).await,
                // What has failed may be the topic itself.
                _ => match source.check_topic().await {
                    Ok(()) => run_session(&source, &stalls).await,
                    Err(error) => Err(error),
                },
            };
            if source.progress.stop.load(Ordering::Relaxed) {
                if let Err(error) = result {
                    warn!(%error, "the last records read will be read again: {error}");
                }
                return Ok(source.progress.counts());
            }
            let Err(error) = result else { return Ok(source.progress.counts()) };
            let committed = source.progress.records.load(Ordering::Relaxed);
            if committed > before || begun.elapsed() > LONG_SESSION {
                failures = 0;
                lasting_since = None;
            }
            failures += 1;
            match verdict(&error, committed > 0) {
                Verdict::Final => return Err(error),
                Verdict::Passing => lasting_since = None,
                Verdict::Lasting => {
                    if lasting_since.get_or_insert(begun).elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
            }
            let pause = pause_after(&error, failures);
            warn!(
                topic = settings.topic,
                failures,
                %error,
                "reading {} is interrupted, and goes on in {:.1} s: {error}",
                settings.topic,
                pause.as_secs_f64()
            );
            source.pause(pause).await;
        }
    })
}

impl TopicSource {
    /// Makes sure that the topic is there with all partitions that were read before.
    async fn check_topic(&self) -> Result<(), IngestError> {
        let ledger = &self.ingester.stores().ledger;
        let topic = &self.settings.topic;
        let statuses = ledger.partitions().await?;
        let read: Vec<(i32, i64)> = statuses
            .iter()
            .map(|status| &status.claim)
            .filter(|claim| *claim.topic == **topic && claim.next_offset > 0)
            .map(|claim| (claim.partition, claim.next_offset))
            .collect();
        let partitions = ensure_topic(&self.settings, read.is_empty()).await?;
        let Some(gap) = missing_partition(topic, &read, partitions) else {
            info!(topic, partitions, "the topic {topic} has {partitions} partitions");
            return Ok(());
        };
        ledger.record_gap(gap.clone()).await?;
        Err(IngestError::Gap(Box::new(gap)))
    }

    /// Waits, unless it is told to stop.
    async fn pause(&self, pause: Duration) {
        let stopped = async {
            while !self.progress.stop.load(Ordering::Relaxed) {
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        // Either will do.
        let _ = tokio::time::timeout(pause, stopped).await;
    }
}

/// A partition that was read and that the topic does not have: partitions are never taken away, so
/// it is another topic.
fn missing_partition(topic: &str, read: &[(i32, i64)], partitions: usize) -> Option<Gap> {
    let is_missing =
        |(number, _): &&(i32, i64)| usize::try_from(*number).is_ok_and(|n| n >= partitions);
    let (partition, next_offset) = *read.iter().find(is_missing)?;
    Some(Gap {
        topic: topic.to_owned(),
        partition,
        from_offset: next_offset,
        to_offset: 0,
        reason: GapReason::Recreated,
        detail: format!("it was read, but the topic has {partitions} partitions"),
    })
}

/// What a failure says of the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It may well succeed.
    Passing,
    /// It hardly will; but what was damaged on the way is whole the next time, a topic may be away
    /// while a cluster gets up, and a broker that goes down tells clients that they cannot log in.
    Lasting,
    /// It will not.
    Final,
}

/// `has_worked` tells whether this process has committed anything: what it is set up with is right
/// then.
fn verdict(error: &IngestError, has_worked: bool) -> Verdict {
    let IngestError::Store(error) = error else { return Verdict::Final };
    match error.kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Fenced | StoreErrorKind::Full => {
            Verdict::Passing
        }
        StoreErrorKind::Corrupt | StoreErrorKind::Incompatible => Verdict::Lasting,
        StoreErrorKind::Internal if has_worked => Verdict::Lasting,
        StoreErrorKind::InvalidData | StoreErrorKind::Internal => Verdict::Final,
    }
}

/// Longer after each failure in a row, and never the same for two processes. A fence is followed by
/// a short one: the partitions have found their owners by then.
fn pause_after(error: &IngestError, failures: u32) -> Duration {
    let longest = if error.is_fenced() { FIRST_PAUSE * 4 } else { LONGEST_PAUSE };
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let pause = doubled.min(longest);
    // Without random numbers the pause is as good as it was.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use questlake_engine::stores::error::StoreError;

    use super::*;

    fn error(kind: StoreErrorKind) -> IngestError {
        StoreError::new("store", "do something", kind, "it failed").into()
    }

    #[test]
    fn outages_end_by_themselves_and_mistakes_do_not() {
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Fenced, StoreErrorKind::Full] {
            assert_eq!(verdict(&error(kind), true), Verdict::Passing, "{kind:?}");
        }
        assert_eq!(verdict(&error(StoreErrorKind::Corrupt), false), Verdict::Lasting);
        assert_eq!(verdict(&error(StoreErrorKind::InvalidData), true), Verdict::Final);
        // A wrong password is told at once, and one that was right before may be right again.
        assert_eq!(verdict(&error(StoreErrorKind::Internal), false), Verdict::Final);
        assert_eq!(verdict(&error(StoreErrorKind::Internal), true), Verdict::Lasting);
        let gap = missing_partition("t", &[(0, 4), (3, 9)], 3).unwrap();
        assert_eq!((gap.partition, gap.from_offset), (3, 9));
        assert_eq!(verdict(&IngestError::Gap(Box::new(gap)), true), Verdict::Final);
    }

    #[test]
    fn a_topic_may_grow_and_must_not_shrink() {
        assert_eq!(missing_partition("t", &[(0, 4), (2, 9)], 3), None);
        assert_eq!(missing_partition("t", &[], 3), None);
        assert!(missing_partition("t", &[(0, 1)], 0).is_some());
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let away = error(StoreErrorKind::Unavailable);
        for (failures, longest) in [(1, 500), (2, 1_000), (5, 8_000), (6, 15_000), (1_000, 15_000)]
        {
            let longest = Duration::from_millis(longest);
            let pause = pause_after(&away, failures);
            assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
        }
        let fenced = error(StoreErrorKind::Fenced);
        assert!(pause_after(&fenced, 1_000) <= FIRST_PAUSE * 4);
    }
}

//! Sending records to the topic.
//!
//! Delivery semantics: a record is sent when all copies of its partition that are in sync have
//! acknowledged it, and a repetition by the client itself is told by its number and dropped. A
//! caller that gets an error, or no answer, may send the same records again: events that come twice
//! are told by their `event_id`. The key is the player, so that the events of a player keep their
//! order, and a duplicate comes to the partition that the first one is in.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind, StoreResult};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::warn;

use super::client::{MOST_SOCKET_TIME, common_config, kafka_error, millis};
use super::delivery::{Deliveries, Delivery};
use super::shape::Shape;
use super::topic::{ensure_topic, gone};
use crate::batch::aborted;
use crate::error::IngestError;
use crate::sources::queue::{Submission, SubmitError};

/// Bytes that one permit of the budget stands for.
const BYTES_PER_PERMIT: usize = 1024;

/// Largest request that brokers take unless they were told otherwise.
const USUAL_REQUEST: usize = 1_000_000;

/// Bytes of a request around a single record.
const REQUEST_OVERHEAD: usize = 4096;

/// How long a record waits for others to be sent with.
const LINGER: Duration = Duration::from_millis(5);

/// Pause while the client has as many records as it takes.
const ROOM_PAUSE: Duration = Duration::from_millis(5);

/// Time beyond the delivery time-out in which the client must have given up.
const GRACE: Duration = Duration::from_secs(5);

/// Bounds of a sink.
#[derive(Debug, Clone, Copy)]
pub struct SinkBounds {
    /// Bytes that may be under way.
    pub queue_bytes: usize,
    /// Largest record that is taken in later. A topic that is to hold larger ones than usual must
    /// allow it.
    pub max_record: usize,
}

/// Sends records to the topic. Cheap to clone; clones share the client.
#[derive(Clone)]
pub struct KafkaSink {
    shared: Arc<Shared>,
}

struct Shared {
    settings: KafkaSettings,
    bounds: SinkBounds,
    producer: Mutex<Arc<ThreadedProducer<Deliveries>>>,
    budget: Arc<Semaphore>,
    /// Whether the topic is known to be there.
    has_topic: AtomicBool,
    /// Whether a missing topic may be created.
    may_create: bool,
}

impl KafkaSink {
    /// A client of the cluster. Whether it answers shows later.
    ///
    /// # Errors
    /// If the settings cannot be used, such as for a certificate that is none.
    pub fn new(
        settings: &KafkaSettings,
        bounds: SinkBounds,
        may_create: bool,
    ) -> Result<Self, IngestError> {
        let producer = producer(settings, bounds)?;
        let permits = bounds.queue_bytes.div_ceil(BYTES_PER_PERMIT).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            shared: Arc::new(Shared {
                settings: settings.clone(),
                bounds,
                producer: Mutex::new(Arc::new(producer)),
                budget: Arc::new(Semaphore::new(permits)),
                has_topic: AtomicBool::new(false),
                may_create,
            }),
        })
    }

    /// Makes sure that the topic is there, and creates it if it may.
    ///
    /// # Errors
    /// If the brokers do not answer in time, refuse, or there is no such topic.
    pub fn ensure_topic(&self) -> BoxFuture<'_, Result<(), IngestError>> {
        Box::pin(async move {
            if !self.shared.has_topic.load(Ordering::Acquire) {
                ensure_topic(&self.shared.settings, self.shared.may_create).await?;
                self.shared.has_topic.store(true, Ordering::Release);
            }
            Ok(())
        })
    }

    /// Whether records could be sent now, as far as the brokers tell within this time. Nothing is
    /// created: a topic that is missing and may be made comes with the first record.
    ///
    /// # Errors
    /// If the brokers do not answer, a partition of the topic has no leader, or the topic is gone.
    pub fn ask(&self, patience: Duration) -> BoxFuture<'_, Result<(), IngestError>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let asked = tokio::task::spawn_blocking(move || shared.look(patience));
            Ok(asked.await.map_err(|error| aborted("asking Kafka", &error))??)
        })
    }

    /// Sends records and waits until they are acknowledged; returns their number. Fails at once if
    /// too much is under way.
    pub async fn submit(&self, submission: Submission) -> Result<u64, SubmitError> {
        let permits = self.permits(&submission)?;
        let budget = Arc::clone(&self.shared.budget);
        let _permit = budget.try_acquire_many_owned(permits).map_err(|_| SubmitError::Full)?;
        self.send_and_wait(submission).await
    }

    /// The same, waiting for room first.
    pub async fn submit_waiting(&self, submission: Submission) -> Result<u64, SubmitError> {
        let permits = self.permits(&submission)?;
        let budget = Arc::clone(&self.shared.budget);
        let acquired = budget.acquire_many_owned(permits).await;
        let _permit = acquired.map_err(|_| SubmitError::Closed)?;
        self.send_and_wait(submission).await
    }

    fn permits(&self, submission: &Submission) -> Result<u32, SubmitError> {
        let limit = self.shared.bounds.queue_bytes;
        let permits = submission.data.len().div_ceil(BYTES_PER_PERMIT).max(1);
        if submission.data.len() > limit {
            return Err(SubmitError::TooLarge { limit });
        }
        u32::try_from(permits).map_err(|_| SubmitError::TooLarge { limit })
    }

    async fn send_and_wait(&self, submission: Submission) -> Result<u64, SubmitError> {
        let limit = self.shared.largest_record();
        let too_large = |(_, length): &(u32, u32)| *length as usize > limit;
        if let Some(index) = submission.records.iter().position(too_large) {
            return Err(SubmitError::RecordTooLarge { index, limit });
        }
        let failed = |error: IngestError| SubmitError::Failed(Arc::new(error));
        self.ensure_topic().await.map_err(failed)?;
        let count = submission.records.len() as u64;
        let (delivery, settled) = Delivery::open();
        let deadline = Instant::now() + self.shared.settings.delivery_timeout;
        let producer = self.shared.producer();
        let (sink, sent) = (self.clone(), Arc::clone(&delivery));
        // Records are looked into for their keys.
        let sending = tokio::task::spawn_blocking(move || {
            for (start, length) in submission.records {
                let record = &submission.data[start as usize..(start + length) as usize];
                if !sink.shared.send(&producer, record, &sent, deadline) {
                    break;
                }
            }
            sent.close();
        });
        sending.await.map_err(|error| failed(aborted("sending to Kafka", &error)))?;
        let longest = deadline.saturating_duration_since(Instant::now()) + GRACE;
        if tokio::time::timeout(longest, settled).await.is_err() {
            let text = "records were not acknowledged in time";
            let kind = StoreErrorKind::Unavailable;
            let name = self.shared.settings.name();
            return Err(failed(StoreError::new(name, "send records", kind, text).into()));
        }
        match delivery.failure() {
            None => Ok(count),
            Some(error) => Err(failed(self.shared.delivery_error(&error))),
        }
    }

    /// Sends one record, waiting for room; blocks. Returns whether the client took it.
    pub(super) fn send_one(&self, record: &[u8], delivery: &Arc<Delivery>) -> bool {
        let deadline = Instant::now() + self.shared.settings.delivery_timeout;
        self.shared.send(&self.shared.producer(), record, delivery, deadline)
    }

    /// Time in which a record that was taken is settled.
    pub(super) fn settle_time(&self) -> Duration {
        self.shared.settings.delivery_timeout + GRACE
    }

    /// What a record that was not acknowledged means.
    pub(super) fn delivery_error(&self, error: &KafkaError) -> IngestError {
        self.shared.delivery_error(error)
    }
}

impl Shared {
    /// Looks at the topic; blocks for this time at most.
    fn look(&self, longest: Duration) -> StoreResult<()> {
        let (producer, topic, name) = (self.producer(), &self.settings.topic, self.settings.name());
        let operation = format!("describe the topic {topic}");
        let failed = |error: &KafkaError| {
            kafka_error(&name, &operation, error, producer.client().context().log.complaint())
        };
        let metadata = producer
            .client()
            .fetch_metadata(Some(topic), longest)
            .map_err(|error| failed(&error))?;
        let shape = Shape::of(&metadata, topic).map_err(|error| failed(&error))?;
        match shape.partitions {
            _ if shape.is_complete() => Ok(()),
            0 if self.may_create => Ok(()),
            0 => Err(gone(name, "send records", topic)),
            _ => Err(shape.incomplete(&name, topic)),
        }
    }

    fn producer(&self) -> Arc<ThreadedProducer<Deliveries>> {
        Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn largest_record(&self) -> usize {
        largest_request(self.bounds) - REQUEST_OVERHEAD
    }

    /// Hands a record to the client. Returns whether it was taken; if not, the failure is in the
    /// account.
    fn send(
        &self,
        producer: &ThreadedProducer<Deliveries>,
        record: &[u8],
        delivery: &Arc<Delivery>,
        deadline: Instant,
    ) -> bool {
        let key = player_of(record);
        delivery.add();
        loop {
            let mut message =
                BaseRecord::with_opaque_to(&self.settings.topic, Arc::clone(delivery))
                    .payload(record);
            if let Some(key) = &key {
                message = message.key(key.as_bytes());
            }
            match producer.send(message) {
                Ok(()) => return true,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < deadline =>
                {
                    thread::sleep(ROOM_PAUSE);
                }
                Err((error, _)) => {
                    delivery.settle(Some(error));
                    return false;
                }
            }
        }
    }

    /// The error for the caller. A client that has given itself up is replaced by another.
    fn delivery_error(&self, error: &KafkaError) -> IngestError {
        let producer_of_now = self.producer();
        let client = producer_of_now.client();
        let complaint = client.context().log.complaint();
        if let Some((_, reason)) = client.fatal_error() {
            warn!("a client of Kafka is replaced by another: {reason}");
            match producer(&self.settings, self.bounds) {
                Ok(another) => {
                    let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
                    if Arc::ptr_eq(&current, &producer_of_now) {
                        *current = Arc::new(another);
                    }
                }
                Err(failure) => warn!("there is no other client: {failure}"),
            }
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopic) {
            self.has_topic.store(false, Ordering::Release);
        }
        kafka_error(&self.settings.name(), "send records", error, complaint).into()
    }
}

/// Largest request that is sent: no more than brokers usually take, unless larger records are
/// wanted.
fn largest_request(bounds: SinkBounds) -> usize {
    const USUAL_RECORD: usize = 1 << 20;
    if bounds.max_record <= USUAL_RECORD {
        return USUAL_REQUEST;
    }
    bounds.max_record + REQUEST_OVERHEAD
}

fn producer(
    settings: &KafkaSettings,
    bounds: SinkBounds,
) -> Result<ThreadedProducer<Deliveries>, IngestError> {
    ThreadedProducer::from_config_and_context(
        &producer_config(settings, bounds),
        Deliveries::default(),
    )
    .map_err(|error| kafka_error(&settings.name(), "set up a client", &error, None).into())
}

fn producer_config(settings: &KafkaSettings, bounds: SinkBounds) -> ClientConfig {
    let mut config = common_config(settings);
    // A request may not wait longer for an answer than its records for an acknowledgement.
    let request_timeout = settings.request_timeout.min(settings.delivery_timeout);
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.codec", settings.compression)
        .set("linger.ms", millis(LINGER))
        .set("message.timeout.ms", millis(settings.delivery_timeout.max(LINGER * 2)))
        .set("socket.timeout.ms", millis(request_timeout.min(MOST_SOCKET_TIME)))
        .set("message.max.bytes", largest_request(bounds).to_string())
        .set("queue.buffering.max.kbytes", (bounds.queue_bytes / 1024).max(1).to_string())
        .set("queue.buffering.max.messages", "1000000")
        // As the clients of other languages spread keys, so that a player has one partition.
        .set("partitioner", "murmur2_random");
    config
}

/// The player of an event; `None` if the record is no event of a player.
fn player_of(record: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Keyed<'a> {
        #[serde(borrow)]
        player_id: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Keyed<'_>>(record).ok()?.player_id
}

#[cfg(test)]
mod tests {
    use questlake_engine::settings::{LoadOptions, Settings};

    use super::*;

    fn settings(flags: &[(&str, &str)]) -> KafkaSettings {
        let flags = [&[("kafka.brokers", "127.0.0.1:1")][..], flags].concat();
        let flags = flags.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let flags = flags.collect();
        let current_dir = std::env::temp_dir();
        let options = LoadOptions { flags, current_dir, ..LoadOptions::default() };
        Settings::load(options).unwrap().kafka.unwrap()
    }

    const BOUNDS: SinkBounds = SinkBounds { queue_bytes: 1 << 20, max_record: 1 << 20 };

    #[test]
    fn the_player_is_the_key() {
        let key = |record: &str| player_of(record.as_bytes()).map(Cow::into_owned);
        assert_eq!(key(r#"{"a":[1,{"player_id":"no"}],"player_id":"p1"}"#), Some("p1".to_owned()));
        assert_eq!(key(r#"{"player_id":"p\u0031"}"#), Some("p1".to_owned()));
        for other in [
            "",
            "[]",
            "{}",
            r#"{"player_id":null}"#,
            r#"{"player_id":7}"#,
            r#"{"player_id":"p1""#,
            r#"{"player_id":"p1","player_id":"p2"}"#,
        ] {
            assert_eq!(key(other), None, "{other}");
        }
        assert_eq!(player_of(b"{\"player_id\":\"\xff\"}"), None);
    }

    /// The client checks names and values when it is set up.
    #[test]
    fn every_setting_is_one_that_the_client_takes() {
        for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let settings = settings(&[("kafka.compression", compression)]);
            drop(producer(&settings, BOUNDS).unwrap());
        }
        for timeout in ["100ms", "5m"] {
            let settings = settings(&[
                ("kafka.delivery_timeout", timeout),
                ("kafka.request_timeout", timeout),
            ]);
            let made = producer(&settings, BOUNDS);
            assert!(made.is_ok(), "{timeout}: {:?}", made.err());
        }
    }

    #[test]
    fn larger_records_are_sent_only_if_they_are_wanted() {
        assert_eq!(largest_request(BOUNDS), USUAL_REQUEST);
        let larger = SinkBounds { max_record: 4 << 20, ..BOUNDS };
        assert!(largest_request(larger) > 4 << 20);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_before_anything_is_sent() {
        let sink = KafkaSink::new(&settings(&[]), BOUNDS, true).unwrap();
        let submission = |bytes: usize| Submission {
            data: vec![b' '; bytes].into(),
            records: vec![(0, 1), (0, bytes as u32)],
            origins: Vec::new(),
        };
        let refused = sink.submit(submission(1_000_000)).await;
        assert!(
            matches!(refused, Err(SubmitError::RecordTooLarge { index: 1, .. })),
            "{refused:?}"
        );
        let refused = sink.submit(submission(2 << 20)).await;
        assert!(matches!(refused, Err(SubmitError::TooLarge { .. })), "{refused:?}");
    }
}

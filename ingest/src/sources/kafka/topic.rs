//! The topic itself: that it is there, and what it holds.

use std::time::{Duration, Instant};

use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind, StoreResult};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{info, warn};

use super::client::{ClientLog, common_config, kafka_error};
use super::shape::Shape;
use super::start::Watermarks;
use crate::batch::aborted;
use crate::error::IngestError;

/// Copies of a topic where the cluster is large enough and the settings say nothing.
const USUAL_COPIES: usize = 3;

/// Pause between two looks at a topic that is being created.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Wait for another complaint of the client.
const COMPLAINT_WAIT: Duration = Duration::from_millis(20);

impl ConsumerContext for ClientLog {}

/// Looks at a topic without taking part in its group. Its methods block, each for the request
/// time-out of the settings at most.
pub(super) struct TopicView {
    consumer: BaseConsumer<ClientLog>,
    name: String,
    topic: String,
}

impl TopicView {
    pub(super) fn open(settings: &KafkaSettings) -> StoreResult<Self> {
        let name = settings.name();
        let consumer =
            BaseConsumer::from_config_and_context(&common_config(settings), ClientLog::default())
                .map_err(|error| kafka_error(&name, "set up a client", &error, None))?;
        Ok(Self { consumer, name, topic: settings.topic.clone() })
    }

    /// The cluster's brokers and the topic's partitions, which are none if there is no such topic.
    fn shape(&self, deadline: Instant) -> StoreResult<Shape> {
        Shape::ask_settled(&self.consumer, &self.topic, left(deadline))
            .map_err(|error| self.error(&format!("describe the topic {}", self.topic), &error))
    }

    /// What each partition of the topic has, by number; nothing is known of one without a leader.
    pub(super) fn watermarks(&self, deadline: Instant) -> StoreResult<Vec<Option<Watermarks>>> {
        let shape = self.shape(deadline)?;
        if shape.partitions == 0 {
            let text = format!("there is no topic {}", self.topic);
            let kind = StoreErrorKind::Unavailable;
            return Err(StoreError::new(&self.name, "read its positions", kind, text)
                .with_advice("the next `questlake ingest` or `questlake serve` creates it"));
        }
        let partitions = 0..i32::try_from(shape.partitions).unwrap_or(i32::MAX);
        partitions
            .map(|partition| {
                if shape.leaderless.contains(&partition) {
                    return Ok(None);
                }
                watermarks(&self.consumer, &self.topic, partition, left(deadline))
                    .map(Some)
                    .map_err(|error| self.error("read its positions", &error))
            })
            .collect()
    }

    fn error(&self, operation: &str, error: &KafkaError) -> StoreError {
        // Complaints wait for somebody to look, behind log lines, at which a poll without a wait ends.
        while self.consumer.poll(COMPLAINT_WAIT).is_some() {}
        kafka_error(&self.name, operation, error, self.consumer.context().complaint())
    }
}

/// What a partition has.
pub(super) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Watermarks, KafkaError> {
    let (low, high) = consumer.fetch_watermarks(topic, partition, timeout)?;
    Ok(Watermarks { low, high })
}

/// The time until then; never nothing, which would stand for no limit.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// What is said of a topic that is missing although records of it were read: it is not made anew.
pub(super) fn gone(name: String, operation: &str, topic: &str) -> StoreError {
    let text = format!("the topic {topic} is gone");
    StoreError::new(name, operation, StoreErrorKind::Incompatible, text).with_advice(
        "records of it were read before; restore it, or set kafka.topic to the name of a new one",
    )
}

/// Makes sure that the topic is there, and creates it if it may: a topic of which records were read
/// is not made anew. Returns the number of its partitions.
pub(super) async fn ensure_topic(
    settings: &KafkaSettings,
    may_create: bool,
) -> Result<usize, IngestError> {
    let mut shape = look(settings).await?;
    if shape.partitions == 0 {
        if !may_create {
            return Err(gone(settings.name(), "read records", &settings.topic).into());
        }
        create(settings, shape.brokers, settings.request_timeout).await?;
        // What is created is not there at once.
        let deadline = Instant::now() + settings.request_timeout;
        while shape.partitions == 0 {
            if Instant::now() >= deadline {
                return Err(shape.incomplete(&settings.name(), &settings.topic).into());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            shape = look(settings).await?;
        }
    }
    // Those of its partitions that have a leader are enough to go on with.
    if !shape.is_complete() {
        let (topic, away) = (&settings.topic, &shape.leaderless);
        warn!(topic, partitions = ?away, "the partitions {away:?} of {topic} have no leader");
    }
    Ok(shape.partitions)
}

/// Looks at the topic, for the request time-out at most.
async fn look(settings: &KafkaSettings) -> Result<Shape, IngestError> {
    let settings = settings.clone();
    let deadline = Instant::now() + settings.request_timeout;
    tokio::task::spawn_blocking(move || TopicView::open(&settings)?.shape(deadline))
        .await
        .map_err(|error| aborted("looking at the topic", &error))?
        .map_err(IngestError::from)
}

/// As many copies as the settings say, or as the cluster can hold, up to the usual number.
fn copies(settings: &KafkaSettings, brokers: usize) -> u16 {
    let by_size = brokers.clamp(1, USUAL_COPIES) as u16;
    settings.replication.unwrap_or(by_size)
}

async fn create(
    settings: &KafkaSettings,
    brokers: usize,
    timeout: Duration,
) -> Result<(), IngestError> {
    let name = settings.name();
    let operation = format!("create the topic {}", settings.topic);
    let failed = |error: &KafkaError| kafka_error(&name, &operation, error, None);
    let admin: AdminClient<ClientLog> =
        AdminClient::from_config_and_context(&common_config(settings), ClientLog::default())
            .map_err(|error| failed(&error))?;
    let copies = copies(settings, brokers);
    let mut topic = NewTopic::new(
        &settings.topic,
        i32::from(settings.partitions),
        TopicReplication::Fixed(i32::from(copies)),
    );
    // An acknowledgement by all copies in sync says little where one may be all of them.
    if usize::from(copies) >= USUAL_COPIES {
        topic = topic.set("min.insync.replicas", "2");
    }
    let options =
        AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let results = admin.create_topics([&topic], &options).await.map_err(|error| failed(&error))?;
    for result in results {
        match result {
            // Another process was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(&KafkaError::AdminOp(code)).into()),
            Ok(_) => info!(
                topic = settings.topic,
                "created the topic {} with {} partitions and {copies} copies of each",
                settings.topic,
                settings.partitions
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use questlake_engine::settings::{LoadOptions, Settings};

    use super::*;

    fn settings(replication: &str) -> KafkaSettings {
        let flags = [("kafka.brokers", "a:9092"), ("kafka.replication", replication)];
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let current_dir = std::env::temp_dir();
        let options = LoadOptions { flags, current_dir, ..LoadOptions::default() };
        Settings::load(options).unwrap().kafka.unwrap()
    }

    #[test]
    fn copies_follow_the_size_of_the_cluster_unless_they_are_set() {
        for (brokers, expected) in [(0, 1), (1, 1), (2, 2), (3, 3), (50, 3)] {
            assert_eq!(copies(&settings("0"), brokers), expected);
        }
        assert_eq!(copies(&settings("5"), 3), 5);
    }
}

//! How large cluster and topic are, and which of the topic's partitions nobody answers for.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaRespErr;

use super::topic::left;

/// Time in which a partition whose leader is gone has another, if there is a copy of it.
const ELECTION_TIME: Duration = Duration::from_secs(3);

/// Pause between two looks at an election.
const ELECTION_PAUSE: Duration = Duration::from_millis(100);

/// What the cluster's metadata say of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) brokers: usize,
    /// 0 if there is no such topic.
    pub(super) partitions: usize,
    /// Partitions without a leader: all copies of them are on brokers that are away. Nothing can be
    /// read of them, and whoever asks what they have waits in vain.
    pub(super) leaderless: BTreeSet<i32>,
}

impl Shape {
    /// The topic in an answer of the brokers.
    pub(super) fn of(metadata: &Metadata, topic: &str) -> Result<Self, KafkaError> {
        let brokers = metadata.brokers().len();
        let nothing = Self { brokers, partitions: 0, leaderless: BTreeSet::new() };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(nothing);
        };
        match found.error() {
            None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {}
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => return Ok(nothing),
            Some(other) => return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(other))),
        }
        let partitions = found.partitions();
        let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
        let leaderless = leaderless.map(|partition| partition.id()).collect();
        Ok(Self { brokers, partitions: partitions.len(), leaderless })
    }

    /// Asks the brokers; blocks.
    pub(super) fn ask<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        Self::of(&consumer.fetch_metadata(Some(topic), timeout)?, topic)
    }

    /// The same, again while partitions have no leader and an election may be under way.
    pub(super) fn ask_settled<C: ConsumerContext>(
        consumer: &BaseConsumer<C>,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let begun = Instant::now();
        let mut shape = Self::ask(consumer, topic, timeout)?;
        // The rest of the time is for what is asked next.
        let patience = ELECTION_TIME.min(timeout.saturating_sub(begun.elapsed()) / 2);
        let deadline = Instant::now() + patience;
        while !shape.leaderless.is_empty() && Instant::now() + ELECTION_PAUSE < deadline {
            thread::sleep(ELECTION_PAUSE);
            match Self::ask(consumer, topic, left(deadline)) {
                Ok(found) => shape = found,
                // What was seen last counts.
                Err(_) => break,
            }
        }
        Ok(shape)
    }

    /// Whether each partition of the topic has a leader, and there are some.
    pub(super) fn is_complete(&self) -> bool {
        self.partitions > 0 && self.leaderless.is_empty()
    }

    /// Whether there is such a partition and somebody answers for it.
    pub(super) fn has_leader(&self, partition: i32) -> bool {
        usize::try_from(partition).is_ok_and(|number| number < self.partitions)
            && !self.leaderless.contains(&partition)
    }

    /// What is said of a topic that is not complete.
    pub(super) fn incomplete(&self, name: &str, topic: &str) -> StoreError {
        let text = match self.partitions {
            0 => format!("there is no topic {topic}"),
            partitions => {
                let led = partitions - self.leaderless.len();
                format!("{led} of its {partitions} partitions have a leader")
            }
        };
        let operation = format!("use the topic {topic}");
        StoreError::new(name, operation, StoreErrorKind::Unavailable, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_complete_when_somebody_answers_for_each_partition() {
        let shape = |partitions, leaderless: &[i32]| Shape {
            brokers: 1,
            partitions,
            leaderless: leaderless.iter().copied().collect(),
        };
        assert!(shape(6, &[]).is_complete());
        assert!(!shape(6, &[3]).is_complete());
        assert!(!shape(0, &[]).is_complete());
        let one_away = shape(6, &[3]);
        let led: Vec<i32> = (-1..8).filter(|partition| one_away.has_leader(*partition)).collect();
        assert_eq!(led, [0, 1, 2, 4, 5]);
        let told = one_away.incomplete("Kafka (a:9092)", "events").to_string();
        assert!(told.contains("5 of its 6 partitions have a leader"), "{told}");
    }
}

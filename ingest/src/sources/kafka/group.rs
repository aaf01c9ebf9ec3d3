//! Taking part in the consumer group: what happens when partitions come and go.
//!
//! All of it runs in the thread that reads, inside of a poll. A partition that comes is claimed in
//! the ledger, and its position is put into the assignment itself, so that not one record is
//! fetched from anywhere else. A partition that goes is given up after everything that was read of
//! it is committed, so that its next owner goes on behind it and nobody is fenced.

pub(super) mod begin;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::ledger::Ledger;
use questlake_engine::stores::ledger::gap::Gap;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tokio::runtime::Handle;
use tracing::{debug, info};

use self::begin::Beginning;
use super::client::{ClientLog, kafka_error};
use super::flow::Flow;
use super::reading::Reading;
use super::watch::Pulse;
use crate::error::IngestError;

/// Longest wait for the batches under way when partitions go. The others of the group wait as long.
const DRAIN_TIME: Duration = Duration::from_secs(120);

/// What the thread that reads and its callbacks share.
pub(super) struct Group {
    pub(super) settings: KafkaSettings,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) runtime: Handle,
    pub(super) flow: Arc<Flow>,
    pub(super) pulse: Arc<Pulse>,
    /// Whether to go on behind records that the topic has dropped.
    pub(super) accept_gaps: bool,
    /// Whether the topic was made anew since it was read last; outlives the client.
    pub(super) topic_changed: Arc<AtomicBool>,
    pub(super) log: ClientLog,
    pub(super) reading: Mutex<Reading>,
    /// Why nothing more may be read.
    failure: Mutex<Option<IngestError>>,
    has_failed: AtomicBool,
}

/// What a group begins with.
pub(super) struct GroupParts {
    pub(super) settings: KafkaSettings,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) runtime: Handle,
    pub(super) flow: Arc<Flow>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) accept_gaps: bool,
    pub(super) topic_changed: Arc<AtomicBool>,
    pub(super) reading: Reading,
}

impl Group {
    pub(super) fn new(parts: GroupParts) -> Self {
        Self {
            settings: parts.settings,
            ledger: parts.ledger,
            runtime: parts.runtime,
            flow: parts.flow,
            pulse: parts.pulse,
            accept_gaps: parts.accept_gaps,
            topic_changed: parts.topic_changed,
            log: ClientLog::default(),
            reading: Mutex::new(parts.reading),
            failure: Mutex::new(None),
            has_failed: AtomicBool::new(false),
        }
    }

    /// What has been read. Not to be held over a poll, which may call back.
    pub(super) fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps anything more from being read. The first reason counts.
    pub(super) fn fail(&self, error: IngestError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether nothing more may be read.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Why.
    pub(super) fn failure(&self) -> Option<IngestError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// An error of the cluster.
    pub(super) fn error(&self, operation: &str, error: &KafkaError) -> IngestError {
        kafka_error(&self.settings.name(), operation, error, self.log.complaint()).into()
    }

    /// Lists a gap, and keeps anything more from being read.
    pub(super) fn fail_with_gap(&self, gap: Gap) {
        let listed = self.runtime.block_on(self.ledger.record_gap(gap.clone()));
        self.fail(match listed {
            Ok(()) => IngestError::Gap(Box::new(gap)),
            Err(error) => error.into(),
        });
    }

    /// Tells the brokers what is committed, so that their own tools show it. It has no other
    /// meaning, and nobody waits for it.
    pub(super) fn tell_brokers(&self, consumer: &BaseConsumer<Self>) {
        let ours = self.reading().gather.assignment.numbers();
        let mut positions = TopicPartitionList::new();
        for (partition, offset) in self.flow.news() {
            if ours.contains(&partition) {
                let offset = Offset::Offset(offset);
                let added = positions.add_partition_offset(&self.settings.topic, partition, offset);
                if let Err(error) = added {
                    debug!("could not tell the brokers of {partition}: {error}");
                }
            }
        }
        if positions.count() > 0
            && let Err(error) = consumer.commit(&positions, CommitMode::Async)
        {
            debug!("could not tell the brokers what is committed: {error}");
        }
    }

    /// Moves partitions behind what the client has passed without a word: the ends of transactions,
    /// which have offsets and are no records. Its position is never ahead of a record that it has not
    /// delivered.
    pub(super) fn pass(&self, consumer: &BaseConsumer<Self>) {
        // What comes after a failure is not taken, though the client has delivered it.
        if self.has_failed() {
            return;
        }
        let Ok(positions) = consumer.position() else { return };
        let now = Instant::now();
        let mut reading = self.reading();
        for position in positions.elements_for_topic(&self.settings.topic) {
            if let Offset::Offset(offset) = position.offset() {
                reading.gather.pass_to(position.partition(), offset, now);
            }
        }
    }

    /// Numbers of the partitions in a list.
    fn numbers(&self, list: &TopicPartitionList) -> Vec<i32> {
        let elements = list.elements_for_topic(&self.settings.topic);
        elements.iter().map(|element| element.partition()).collect()
    }

    /// Partitions come.
    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = self.numbers(list);
        info!(topic = self.settings.topic, ?partitions, "reading the partitions {partitions:?}");
        let mut beginning = Beginning::default();
        // Who reads nothing more must not take partitions from others.
        if !self.has_failed() && !self.reading().is_closing {
            match self.begin(consumer, &partitions) {
                Ok(found) => beginning = found,
                Err(error) => self.fail(error),
            }
        }
        let Beginning { begun, left_out } = beginning;
        let mut placed = TopicPartitionList::with_capacity(partitions.len());
        let mut result = Ok(());
        for partition in &begun {
            let (number, offset) = (partition.claim.partition, Offset::Offset(partition.offset));
            let added = placed.add_partition_offset(&self.settings.topic, number, offset);
            result = result.and(added);
        }
        // The group waits for an answer in any case. After a failure nothing is taken of what the
        // brokers' own positions give.
        let answer = if self.has_failed() { list } else { &placed };
        result = result.and(match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(answer),
            _ => consumer.assign(answer),
        });
        let mut reading = self.reading();
        reading.left_out.extend(left_out);
        for partition in begun {
            reading.gather.assignment.add(partition.claim, partition.verify);
        }
        // The client remembers that a partition was paused when it was ours before.
        result = result.and(match reading.is_paused {
            true => consumer.pause(answer),
            false => consumer.resume(answer),
        });
        if let Err(error) = result {
            self.fail(self.error("begin to read partitions", &error));
        }
    }

    /// Partitions go.
    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = self.numbers(list);
        info!(topic = self.settings.topic, ?partitions, "giving up the partitions {partitions:?}");
        let is_closing = self.reading().is_closing;
        if consumer.assignment_lost() && !is_closing {
            // Others may read them by now, and what is under way may be fenced.
            let text = "the group gave its partitions to others, since nothing was heard of it";
            let kind = StoreErrorKind::Fenced;
            let error = StoreError::new(self.settings.name(), "read records", kind, text);
            self.fail(error.into());
        } else if !is_closing {
            self.pass(consumer);
            let is_drained = self.reading().drain(&self.flow, Instant::now() + DRAIN_TIME);
            if !is_drained {
                let text = "the batches under way could not be committed in time";
                let kind = StoreErrorKind::Unavailable;
                let error = StoreError::new(self.settings.name(), "give up partitions", kind, text);
                self.fail(error.into());
            }
            self.tell_brokers(consumer);
        }
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let mut reading = self.reading();
                let mut read = TopicPartitionList::with_capacity(partitions.len());
                let mut result = Ok(());
                for partition in partitions {
                    reading.gather.assignment.remove(partition);
                    // The client refuses to give up what was not taken.
                    if !reading.left_out.remove(&partition) {
                        let topic = &self.settings.topic;
                        let added = read.add_partition_offset(topic, partition, Offset::Invalid);
                        result = result.and(added);
                    }
                }
                drop(reading);
                result.and(consumer.incremental_unassign(&read))
            }
            _ => {
                let mut reading = self.reading();
                reading.gather.assignment.clear();
                reading.left_out.clear();
                drop(reading);
                consumer.unassign()
            }
        };
        if let Err(error) = result
            && !is_closing
        {
            self.fail(self.error("give up partitions", &error));
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if tells_of_change(text, &self.settings.topic) {
            self.topic_changed.store(true, Ordering::Release);
            let text = format!("the topic {} was made anew", self.settings.topic);
            let kind = StoreErrorKind::Unavailable;
            let error = StoreError::new(self.settings.name(), "read records", kind, text);
            self.fail(error.into());
        }
        self.log.line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.complain(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.pulse.beat();
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        }
        self.pulse.beat();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            debug!("could not tell the brokers what is committed: {error}");
        }
    }
}

/// Identifier of a topic before the client knows any.
const NO_IDENTIFIER: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Whether a log line of the client says that the topic of this name has another identifier than
/// before. The client goes on at the same offset then, in another topic, and tells nobody else.
fn tells_of_change(text: &str, topic: &str) -> bool {
    let Some((_, rest)) = text.split_once(&format!("Topic {topic} changed id from ")) else {
        return false;
    };
    rest.split_once(" to ").is_some_and(|(before, after)| {
        !before.starts_with(NO_IDENTIFIER) && !after.starts_with(NO_IDENTIFIER)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_made_anew_is_seen() {
        let tells = |text: &str| tells_of_change(text, "events");
        assert!(tells(
            "[thrd:main]: Topic events changed id from 2BQkPGLJTuOHkmDSXhqmFg to K1fRfdqBQXS0lLrGTJxFWw"
        ));
        // The first one that the client gets to know.
        assert!(!tells(
            "[thrd:main]: Topic events changed id from AAAAAAAAAAAAAAAAAAAAAA to K1fRfdqBQXS0lLrGTJxFWw"
        ));
        assert!(!tells(
            "Topic events2 changed id from 2BQkPGLJTuOHkmDSXhqmFg to K1fRfdqBQXS0lLrGTJxFWw"
        ));
        assert!(!tells("[thrd:main]: Topic events partition 1 Leader 1"));
        assert!(!tells("Topic events changed id from "));
    }
}

//! The thread that reads.
//!
//! A client of its own thread, polled again and again: the client's stream for tasks can stop
//! waking them. While there is no room for a batch, the thread waits a little, and then pauses all
//! partitions and goes on polling, so that the group knows that it lives.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tracing::{info, warn};

use super::assignment::Arrival;
use super::client::{common_config, is_passing, millis};
use super::group::Group;
use super::reading::HandedOver;
use super::shape::Shape;
use super::start::other_record;
use super::topic::watermarks;
use super::watch::{Sight, StallWatch};
use super::{TopicOptions, TopicProgress};
use crate::error::IngestError;

/// Longest wait for a record.
const POLL_TIME: Duration = Duration::from_millis(100);

/// Wait for room before the thread looks for other things to do.
const ROOM_TIME: Duration = Duration::from_millis(20);

/// Time without room after which partitions are paused. Pausing throws away what was fetched ahead,
/// so that it is not done for a moment.
const PAUSE_AFTER: Duration = Duration::from_secs(5);

/// Records between two looks at everything else.
const RECORDS_PER_LOOK: usize = 512;

/// How often the brokers are told what is committed.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How often positions are compared with the watermarks.
const STALL_LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether partitions that are left out have a leader again.
const LEADER_LOOK_EVERY: Duration = Duration::from_secs(5);

/// Longest wait for brokers that nothing is read of meanwhile.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// Longest time for the batches under way when reading ends.
const CLOSE_TIME: Duration = Duration::from_secs(20);

/// Partitions whose watermarks are asked for in one look.
const MOST_LOOKED_AT: usize = 64;

/// Settings of a consumer in the group.
fn consumer_config(group: &Group, options: &TopicOptions) -> ClientConfig {
    let settings = &group.settings;
    let mut config = common_config(settings);
    let session = settings.session_timeout;
    let heartbeat = (session / 3).min(Duration::from_secs(3));
    let queued = (options.queue_bytes / 1024).clamp(1, 2_097_151);
    config
        .set("group.id", settings.group.as_str())
        .set("partition.assignment.strategy", settings.assignor.as_str())
        .set("session.timeout.ms", millis(session))
        .set("heartbeat.interval.ms", millis(heartbeat))
        .set("max.poll.interval.ms", millis(settings.poll_timeout.max(session)))
        // Positions are the ledger's: what the brokers know is never where reading begins.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // Behind the last record may lie the end of a transaction, of which nothing else is told.
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", queued.to_string())
        .set("fetch.queue.backoff.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "60000")
        // By these lines it shows that a topic was made anew.
        .set("debug", "metadata")
        .set_log_level(RDKafkaLogLevel::Debug);
    config
}

/// What a reader begins with.
pub(super) struct ReaderParts {
    pub(super) group: Group,
    pub(super) options: TopicOptions,
    pub(super) progress: Arc<TopicProgress>,
    pub(super) stalls: Arc<Mutex<StallWatch>>,
}

/// Reads until it is told to stop or something fails. Blocks.
pub(super) fn read(parts: ReaderParts) -> Result<(), IngestError> {
    let ReaderParts { group, options, progress, stalls } = parts;
    let config = consumer_config(&group, &options);
    let (name, topic) = (group.settings.name(), group.settings.topic.clone());
    let consumer = BaseConsumer::from_config_and_context(&config, group)
        .map_err(|error| super::client::kafka_error(&name, "set up a client", &error, None))?;
    let now = Instant::now();
    let mut reader = Reader {
        consumer,
        progress,
        stalls,
        full_since: None,
        next_telling: now + TELL_EVERY,
        next_look: now + STALL_LOOK_EVERY,
        next_leader_look: now + LEADER_LOOK_EVERY,
        led: BTreeSet::new(),
        ended: RefCell::default(),
    };
    reader.stalls().forget_last();
    let result = match reader.consumer.subscribe(&[topic.as_str()]) {
        Ok(()) => reader.run(),
        Err(error) => Err(reader.group().error("join the group", &error)),
    };
    reader.close(result.is_ok());
    result
}

struct Reader {
    consumer: BaseConsumer<Group>,
    progress: Arc<TopicProgress>,
    stalls: Arc<Mutex<StallWatch>>,
    /// Since when there is no room.
    full_since: Option<Instant>,
    next_telling: Instant,
    next_look: Instant,
    next_leader_look: Instant,
    /// Partitions that were left out and had a leader at the last look.
    led: BTreeSet<i32>,
    /// Partitions that came to their end since the last look, and behind which record.
    ended: RefCell<BTreeMap<i32, i64>>,
}

impl Reader {
    fn group(&self) -> &Group {
        self.consumer.context()
    }

    fn stalls(&self) -> std::sync::MutexGuard<'_, StallWatch> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&mut self) -> Result<(), IngestError> {
        loop {
            self.group().pulse.beat();
            if let Some(failure) = self.group().failure() {
                return Err(failure);
            }
            if self.progress.stop.load(Ordering::Relaxed) || self.group().flow.has_ended() {
                return Ok(());
            }
            if self.is_full()? {
                self.wait_for_room()?;
            } else {
                self.read_some()?;
            }
            let now = Instant::now();
            if now >= self.next_telling {
                self.next_telling = now + TELL_EVERY;
                self.group().tell_brokers(&self.consumer);
            }
            if now >= self.next_look {
                self.next_look = now + STALL_LOOK_EVERY;
                self.look_for_stall()?;
            }
            if now >= self.next_leader_look {
                self.next_leader_look = now + LEADER_LOOK_EVERY;
                self.look_for_leaders()?;
            }
        }
    }

    /// Whether a batch waits for room; hands it over if there is some by now.
    fn is_full(&mut self) -> Result<bool, IngestError> {
        let group = self.group();
        let mut reading = group.reading();
        match reading.hand_over(&group.flow) {
            HandedOver::Full => return Ok(true),
            // Somebody else will tell why.
            HandedOver::Closed => {
                drop(reading);
                group.flow.wait(ROOM_TIME);
                return Ok(true);
            }
            HandedOver::Nothing => {}
        }
        let is_paused = std::mem::take(&mut reading.is_paused);
        drop(reading);
        self.full_since = None;
        if is_paused {
            info!("reading on: there is room again");
            let assignment = self.consumer.assignment();
            let resumed = assignment.and_then(|partitions| self.consumer.resume(&partitions));
            resumed.map_err(|error| self.group().error("read on", &error))?;
        }
        Ok(false)
    }

    /// Waits a moment. When that takes too long in all, the partitions are paused and the client is
    /// polled meanwhile.
    fn wait_for_room(&mut self) -> Result<(), IngestError> {
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PAUSE_AFTER {
            self.group().flow.wait(ROOM_TIME);
            return Ok(());
        }
        self.stalls().forget_last();
        if !self.group().reading().is_paused {
            info!("pausing: the batches under way take their time");
            let assignment = self.consumer.assignment();
            let paused = assignment.and_then(|partitions| self.consumer.pause(&partitions));
            paused.map_err(|error| self.group().error("pause", &error))?;
            self.group().reading().is_paused = true;
        }
        match self.consumer.poll(POLL_TIME) {
            None => Ok(()),
            Some(Err(error)) => self.judge(&error),
            // It was on its way when the partitions were paused.
            Some(Ok(message)) => self.take(&message).map(|_| ()),
        }
    }

    /// Reads until the batch is due, or nothing comes, or there is something else to do.
    fn read_some(&mut self) -> Result<(), IngestError> {
        let now = Instant::now();
        let due_in = self.group().reading().gather.due_in(now);
        let wait = due_in.map_or(POLL_TIME, |due_in| due_in.min(POLL_TIME));
        let mut is_full = false;
        for _ in 0..RECORDS_PER_LOOK {
            match self.consumer.poll(wait) {
                None => break,
                Some(Err(error)) => self.judge(&error)?,
                Some(Ok(message)) => is_full = self.take(&message)?,
            }
            if is_full {
                break;
            }
        }
        self.settle_ends();
        let group = self.group();
        let mut reading = group.reading();
        if is_full || reading.gather.is_due(Instant::now()) {
            reading.end_batch();
        }
        Ok(())
    }

    /// Takes a record. Returns whether the batch is full.
    fn take(&self, message: &BorrowedMessage<'_>) -> Result<bool, IngestError> {
        let group = self.group();
        // What comes after a failure may be of another topic of the same name.
        if group.has_failed() {
            return Ok(true);
        }
        let (partition, offset) = (message.partition(), message.offset());
        let timestamp = message.timestamp().to_millis();
        let payload = message.payload().unwrap_or_default();
        let mut reading = group.reading();
        let gather = &mut reading.gather;
        match gather.arrive(partition, offset, timestamp, payload, Instant::now()) {
            Arrival::Take | Arrival::Skip => Ok(gather.is_full()),
            Arrival::Changed { next_offset } => {
                drop(reading);
                let topic = &group.settings.topic;
                group.fail_with_gap(other_record(topic, partition, next_offset, offset));
                Ok(true)
            }
        }
    }

    /// Ends reading unless an error says no more than that the client is at work.
    fn judge(&self, error: &KafkaError) -> Result<(), IngestError> {
        match error {
            KafkaError::PartitionEOF(partition) => {
                let positions = self.group().reading().gather.assignment.positions();
                let position = positions.into_iter().find(|(number, _)| number == partition);
                self.ended.borrow_mut().extend(position);
                Ok(())
            }
            KafkaError::MessageConsumption(code) if is_passing(*code) => Ok(()),
            other => Err(self.group().error("read records", other)),
        }
    }

    /// Notes which partitions were read to their ends, and passes what is no record there.
    fn settle_ends(&self) {
        let ended = std::mem::take(&mut *self.ended.borrow_mut());
        if ended.is_empty() {
            return;
        }
        let group = self.group();
        let positions = || group.reading().gather.assignment.positions();
        let before: BTreeMap<i32, i64> = positions().into_iter().collect();
        group.pass(&self.consumer);
        for (partition, position) in positions() {
            // Where more has come since, there is another end.
            if ended.get(&partition).is_some_and(|end| before.get(&partition) == Some(end)) {
                self.stalls().reach_end(partition, position);
                self.progress.reach_end(partition, position);
            }
        }
    }

    /// Ends the membership when a partition that was left out has had a leader for two looks: it
    /// begins with the next.
    fn look_for_leaders(&mut self) -> Result<(), IngestError> {
        let group = self.group();
        let left_out = group.reading().left_out.clone();
        let topic = &group.settings.topic;
        if left_out.is_empty() || group.has_failed() {
            return Ok(());
        }
        let timeout = group.settings.request_timeout.min(LOOK_TIME);
        // Brokers that do not answer now are asked again.
        let Ok(shape) = Shape::ask(&self.consumer, topic, timeout) else { return Ok(()) };
        let led: BTreeSet<i32> =
            left_out.into_iter().filter(|partition| shape.has_leader(*partition)).collect();
        if let Some(partition) = led.intersection(&self.led).next() {
            let text = format!("{topic}/{partition} has a leader again");
            group.reading().drain(&group.flow, Instant::now() + CLOSE_TIME);
            let kind = StoreErrorKind::Unavailable;
            let name = group.settings.name();
            return Err(StoreError::new(name, "read records", kind, text).into());
        }
        self.led = led;
        Ok(())
    }

    /// Compares positions with what the partitions have. Brokers that do not answer are no stall.
    fn look_for_stall(&self) -> Result<(), IngestError> {
        if self.full_since.is_some() {
            return Ok(());
        }
        let group = self.group();
        let positions = group.reading().gather.assignment.positions();
        let timeout = group.settings.request_timeout.min(LOOK_TIME);
        let shape = Shape::ask(&self.consumer, &group.settings.topic, timeout);
        let Ok(shape) = shape else { return Ok(()) };
        let led = positions.into_iter().filter(|(partition, _)| shape.has_leader(*partition));
        let mut sights = BTreeMap::new();
        for (partition, position) in led.take(MOST_LOOKED_AT) {
            group.pulse.beat();
            match watermarks(&self.consumer, &group.settings.topic, partition, timeout) {
                Ok(topic_has) => {
                    sights.insert(partition, Sight { position, high: topic_has.high });
                }
                Err(_) => return Ok(()),
            }
        }
        match self.stalls().look(sights) {
            None => Ok(()),
            Some(partition) => {
                let text = format!(
                    "nothing has come of {}/{partition} for {} s though there is more",
                    group.settings.topic,
                    STALL_LOOK_EVERY.as_secs()
                );
                let kind = StoreErrorKind::Unavailable;
                Err(StoreError::new(group.settings.name(), "read records", kind, text).into())
            }
        }
    }

    /// Leaves the group, after what was read is committed if all is well.
    fn close(self, is_well: bool) {
        let group = self.group();
        let deadline = Instant::now() + CLOSE_TIME;
        let is_drained = if is_well {
            group.pass(&self.consumer);
            let is_drained = group.reading().drain(&group.flow, deadline);
            group.reading().close();
            is_drained
        } else {
            group.reading().close();
            group.flow.wait_until_idle(deadline)
        };
        if !is_drained && is_well && !group.flow.has_ended() {
            warn!("not all of what was read could be committed in time; it will be read again");
        }
        if is_well {
            group.tell_brokers(&self.consumer);
        }
        // Leaves the group.
        drop(self.consumer);
    }
}

//! A topic of its own for each test, and what only its owner does to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::sandbox::{Finished, Running, Sandbox, wait_for, wait_up_to};
use crate::services::{address, block_on};

/// Longest wait for an answer of the broker, which may be busy with other tests.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Longest time to take in all of a topic.
const LONGEST_DRAIN: Duration = Duration::from_secs(600);

static NEXT_TOPIC: AtomicU32 = AtomicU32::new(0);

/// Where the broker is.
pub(crate) fn brokers() -> String {
    address("QUESTLAKE_TEST_KAFKA_BROKERS")
}

/// A topic that no other test knows.
pub(crate) struct Topic {
    pub(crate) name: String,
    admin: AdminClient<DefaultClientContext>,
    producer: BaseProducer,
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("allow.auto.create.topics", "false");
    config
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIME)).operation_timeout(Some(ANSWER_TIME))
}

impl Topic {
    /// A name for a topic that is not there yet.
    pub(crate) fn named() -> Self {
        let number = NEXT_TOPIC.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("test-{}-{number}", std::process::id()),
            admin: config().create().unwrap(),
            producer: config().set("linger.ms", "1").create().unwrap(),
        }
    }

    /// A topic with so many partitions.
    pub(crate) fn create(partitions: i32) -> Self {
        let topic = Self::named();
        topic.make(partitions);
        topic
    }

    /// Makes the topic.
    pub(crate) fn make(&self, partitions: i32) {
        self.make_with(partitions, &[]);
    }

    /// A topic of one partition that keeps the latest record of each key alone. What is cleaned are
    /// files that are full, or so old.
    pub(crate) fn compacted() -> Self {
        let topic = Self::named();
        topic.make_with(
            1,
            &[
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0"),
                ("segment.ms", "100"),
            ],
        );
        topic
    }

    fn make_with(&self, partitions: i32, settings: &[(&str, &str)]) {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        // A topic that is being deleted is in the way for a moment.
        wait_for("the topic to be created", || {
            let results = block_on(self.admin.create_topics([&new], &options())).unwrap();
            match &results[0] {
                Ok(_) => Some(()),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => None,
                Err((_, error)) => panic!("{}: {error}", self.name),
            }
        });
        let watermarks = |partition| self.try_watermarks(partition);
        wait_for("the topic's leaders", || {
            (0..partitions).all(|partition| watermarks(partition).is_some()).then_some(())
        });
    }

    /// Adds partitions, up to so many.
    pub(crate) fn grow(&self, partitions: usize) {
        let new = NewPartitions::new(&self.name, partitions);
        let results = block_on(self.admin.create_partitions([&new], &options())).unwrap();
        results[0].as_ref().unwrap();
        wait_for("the new partitions", || self.try_watermarks(partitions as i32 - 1).map(|_| ()));
    }

    /// Deletes the topic.
    pub(crate) fn delete(&self) {
        block_on(self.admin.delete_topics(&[self.name.as_str()], &options())).unwrap()[0]
            .as_ref()
            .unwrap();
    }

    /// Whether the brokers know nothing of it.
    pub(crate) fn is_gone(&self) -> bool {
        let client = self.producer.client();
        let metadata = client.fetch_metadata(Some(&self.name), ANSWER_TIME).unwrap();
        metadata.topics().iter().all(|topic| topic.error().is_some())
    }

    /// Drops the records of a partition before an offset.
    pub(crate) fn drop_records(&self, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.name, partition, Offset::Offset(before)).unwrap();
        block_on(self.admin.delete_records(&offsets, &options())).unwrap();
        let begins_there = || (self.watermarks(partition).0 == before).then_some(());
        wait_for("records to be dropped", begins_there);
    }

    /// First offset of a partition, and the one behind the last.
    pub(crate) fn watermarks(&self, partition: i32) -> (i64, i64) {
        self.try_watermarks(partition).unwrap()
    }

    fn try_watermarks(&self, partition: i32) -> Option<(i64, i64)> {
        let consumer: BaseConsumer = config().create().unwrap();
        consumer.fetch_watermarks(&self.name, partition, ANSWER_TIME).ok()
    }

    /// Sends records to one partition and waits until they are there.
    pub(crate) fn send(&self, partition: i32, records: &[&[u8]]) {
        for record in records {
            let message =
                BaseRecord::<[u8], [u8]>::to(&self.name).partition(partition).payload(*record);
            self.producer.send(message).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(ANSWER_TIME).unwrap();
    }

    /// Sends a record of a key, or its deletion, to a topic of one partition and waits until it is
    /// there.
    pub(crate) fn send_for(&self, key: &str, record: Option<&[u8]>) {
        let mut message = BaseRecord::<str, [u8]>::to(&self.name).partition(0).key(key);
        message.payload = record;
        self.producer.send(message).map_err(|(error, _)| error).unwrap();
        self.producer.flush(ANSWER_TIME).unwrap();
    }

    /// The offsets of a topic of one partition at which there is a record.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        let (low, high) = self.watermarks(0);
        let consumer: BaseConsumer = config()
            .set("group.id", &self.name)
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&self.name, 0, Offset::Offset(low)).unwrap();
        consumer.assign(&from).unwrap();
        let mut offsets = Vec::new();
        while offsets.last().is_none_or(|last| *last < high - 1) {
            offsets.push(consumer.poll(ANSWER_TIME).unwrap().unwrap().offset());
        }
        offsets
    }

    /// Sends lines, each to the partition of its player, and waits until they are there.
    pub(crate) fn send_lines(&self, lines: &[Vec<u8>]) {
        for line in lines {
            let line = line.trim_ascii_end();
            let event: Option<Value> = serde_json::from_slice(line).ok();
            let player = event.and_then(|event| event["player_id"].as_str().map(str::to_owned));
            loop {
                let mut message = BaseRecord::<str, [u8]>::to(&self.name).payload(line);
                if let Some(player) = &player {
                    message = message.key(player.as_str());
                }
                match self.producer.send(message) {
                    Ok(()) => break,
                    // The client has as many records as it takes: wait for acknowledgements.
                    Err((error, _)) => {
                        let code = error.rdkafka_error_code();
                        assert_eq!(code, Some(RDKafkaErrorCode::QueueFull), "{error}");
                        self.producer.poll(Duration::from_millis(10));
                    }
                }
            }
        }
        self.producer.flush(ANSWER_TIME).unwrap();
    }

    /// Sends records in transactions, of which every second one is given up: their offsets, and
    /// those of the transactions' ends, are passed over by readers.
    pub(crate) fn send_in_transactions(&self, transactions: &[Vec<Vec<u8>>]) {
        let producer: BaseProducer =
            config().set("transactional.id", self.name.as_str()).create().unwrap();
        producer.init_transactions(ANSWER_TIME).unwrap();
        for records in transactions {
            for is_committed in [true, false] {
                producer.begin_transaction().unwrap();
                for record in records {
                    let message =
                        BaseRecord::<[u8], [u8]>::to(&self.name).partition(0).payload(record);
                    producer.send(message).map_err(|(error, _)| error).unwrap();
                }
                producer.flush(ANSWER_TIME).unwrap();
                if is_committed {
                    producer.commit_transaction(ANSWER_TIME).unwrap();
                } else {
                    producer.abort_transaction(ANSWER_TIME).unwrap();
                }
            }
        }
    }

    /// The flags by which the binary finds the topic; the group has its name.
    pub(crate) fn flags(&self) -> Vec<String> {
        let brokers = brokers();
        let flags = [
            ["--kafka-brokers", brokers.as_str()],
            ["--kafka-topic", self.name.as_str()],
            ["--kafka-group", self.name.as_str()],
            // As short as brokers allow.
            ["--kafka-session-timeout", "6s"],
        ];
        flags.concat().into_iter().map(str::to_owned).collect()
    }

    /// The arguments of a command on this topic.
    pub(crate) fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let own = arguments.iter().map(|argument| (*argument).to_owned());
        own.chain(self.flags()).collect()
    }

    /// Starts an ingester of the topic in small batches.
    pub(crate) fn ingester(&self, sandbox: &Sandbox, flags: &[&str]) -> Running {
        let mut small = vec!["ingest", "--ingest-batch-wait", "20ms"];
        if !flags.contains(&"--ingest-batch-records") {
            small.extend(["--ingest-batch-records", "500"]);
        }
        let arguments = self.arguments(&[&small[..], flags].concat());
        Running::start(&mut sandbox.command(&arguments))
    }

    /// What `questlake status` says, whether or not all is well.
    pub(crate) fn status(&self, sandbox: &Sandbox) -> Finished {
        sandbox.run(&self.arguments(&["status", "--format", "json"]))
    }

    /// Waits until everything that is in the topic is committed.
    pub(crate) fn wait_until_read(&self, sandbox: &Sandbox) {
        // Whoever has died in the middle of a transaction is waited for, by the brokers first, and
        // then by the ledger.
        wait_up_to(Duration::from_secs(300), "everything to be read", || {
            let status = self.status(sandbox).json();
            (status["kafka"]["lag"] == 0).then_some(())
        });
    }

    /// Takes in everything that is in the topic.
    pub(crate) fn take_in(&self, sandbox: &Sandbox, flags: &[&str]) {
        // After a kill there is much that FerretDB has to be asked about.
        let ingester = self.ingester(sandbox, &[&["--drain"][..], flags].concat());
        let finished = ingester.finish_within(LONGEST_DRAIN);
        assert!(finished.status.success(), "{finished:#?}");
        let status = self.status(sandbox).json();
        assert_eq!(status["kafka"]["lag"], 0, "{finished:#?}");
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // A test may have deleted it; what stays goes with `make services-down`.
        let _ = block_on(self.admin.delete_topics(&[self.name.as_str()], &options()));
    }
}

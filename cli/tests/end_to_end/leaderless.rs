//! A topic of which some partitions have no leader: their brokers are away, and the others are read on.
//!
//! The cluster is the one that Kafka's client brings for tests: a single real broker, as the tests of
//! services have it, is away with all its partitions or with none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::RDKafkaApiKey;

use crate::api_client::fetch;
use crate::collector::{Server, agent, post};
use crate::dataset::{Dataset, whole_event};
use crate::inspect::{Sent, accounting, assert_exactly_once};
use crate::sandbox::{Finished, Running, Sandbox, wait_for};

const TOPIC: &str = "events";
/// The partition that loses its leader.
const LOST: i32 = 1;

/// Longest wait for the brokers' answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);

struct Cluster {
    brokers: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    /// Brokers with a topic of three partitions.
    fn start() -> Self {
        Self::with_partitions(3)
    }

    fn with_partitions(partitions: i32) -> Self {
        let brokers = MockCluster::new(3).unwrap();
        // Of later versions their answers name the leader, and where there is none they crash.
        brokers.apiversion(RDKafkaApiKey::Produce, Some(3), Some(9)).unwrap();
        brokers.apiversion(RDKafkaApiKey::Fetch, Some(4), Some(11)).unwrap();
        brokers.create_topic(TOPIC, partitions, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers.bootstrap_servers());
        Self { producer: config.create().unwrap(), brokers }
    }

    fn lose_leaders(&self, partitions: &[i32]) {
        for partition in partitions {
            self.brokers.partition_leader(TOPIC, *partition, None).unwrap();
        }
    }

    fn find_leaders(&self, partitions: &[i32]) {
        for partition in partitions {
            self.brokers.partition_leader(TOPIC, *partition, Some(1)).unwrap();
        }
    }

    /// Sends lines to these partitions in turn, and waits until they are there.
    fn send_to(&self, partitions: &[i32], lines: &[Vec<u8>]) {
        for (partition, line) in partitions.iter().cycle().zip(lines) {
            let line = line.trim_ascii_end();
            let record = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(*partition).payload(line);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(ANSWER_TIME).unwrap();
    }

    /// The installation, reading this topic.
    fn on(&self, sandbox: &Sandbox, assignor: &str) -> Sandbox {
        sandbox.with_variables(&[
            ("QUESTLAKE_KAFKA_BROKERS", self.brokers.bootstrap_servers()),
            ("QUESTLAKE_KAFKA_TOPIC", TOPIC.to_owned()),
            ("QUESTLAKE_KAFKA_ASSIGNOR", assignor.to_owned()),
            ("QUESTLAKE_KAFKA_SESSION_TIMEOUT", "6s".to_owned()),
            ("QUESTLAKE_INGEST_BATCH_WAIT", "20ms".to_owned()),
        ])
    }
}

fn status(sandbox: &Sandbox) -> Finished {
    sandbox.run(&["status", "--format", "json"])
}

/// Waits by a status that does not ask Kafka, where partitions without a leader are given some time.
fn wait_for_records(sandbox: &Sandbox, records: u64) {
    wait_for("records to be taken in", || {
        let consumed = status(sandbox).json()["accounting"]["consumed"].as_u64();
        (consumed >= Some(records)).then_some(())
    });
    assert_eq!(accounting(sandbox).lines, records);
}

#[test]
fn partitions_that_have_a_leader_are_read_and_the_others_later_by_cooperative_members() {
    read_with_and_without_leader("cooperative-sticky");
}

#[test]
fn partitions_that_have_a_leader_are_read_and_the_others_later_by_eager_members() {
    read_with_and_without_leader("range");
}

fn read_with_and_without_leader(assignor: &str) {
    let cluster = Cluster::start();
    let plain = Sandbox::new();
    let sandbox = cluster.on(&plain, assignor);
    let dataset = Dataset::simulate(30, 6, 23);
    let (first, second) = dataset.lines.split_at(dataset.lines.len() / 2);
    cluster.send_to(&[0, LOST, 2], first);
    cluster.lose_leaders(&[LOST]);

    // Never read before, and the topic is there: what can be read is.
    let ingester = Running::start(&mut sandbox.command(&["ingest"]));
    let lost = first.iter().skip(1).step_by(3).count();
    wait_for_records(&plain, (first.len() - lost) as u64);
    let told = status(&sandbox);
    assert_eq!(told.status.code(), Some(1), "{told:#?}");
    let kafka = &told.json()["kafka"];
    assert_eq!(kafka["lag"], 0, "{kafka}");
    let of_lost = &kafka["partitions"][LOST as usize];
    assert!(of_lost["lag"].is_null() && of_lost["high_watermark"].is_null(), "{kafka}");
    let text = sandbox.run(&["status"]).stdout;
    assert!(text.contains("events/1 has no leader: start the brokers"), "{text}");

    // Who wants all of it is told what it cannot have.
    let other = Running::start(&mut sandbox.command(&["ingest", "--drain"])).finish();
    assert_eq!(other.status.code(), Some(1), "{other:#?}");
    assert!(other.stderr.contains("events/1 has no leader"), "{other:#?}");

    cluster.find_leaders(&[LOST]);
    wait_for_records(&plain, first.len() as u64);

    // It is lost again while it is read, which is nothing to the others.
    cluster.lose_leaders(&[LOST]);
    let (others, late) = second.split_at(second.len() / 2);
    cluster.send_to(&[0, 2], others);
    wait_for_records(&plain, (first.len() + others.len()) as u64);
    cluster.find_leaders(&[LOST]);
    cluster.send_to(&[LOST], late);
    wait_for_records(&plain, dataset.lines.len() as u64);

    ingester.signal("TERM");
    let finished = ingester.finish();
    assert!(finished.status.success(), "{finished:#?}");
    assert!(
        finished
            .stderr
            .contains("the partitions [1] of events have no leader; the others are read"),
        "{finished:#?}"
    );
    assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    let drained = sandbox.succeed(&["ingest", "--drain"]);
    assert!(status(&sandbox).status.success(), "{drained:#?}");
    plain.etl();
    assert_exactly_once(&plain, &dataset, Sent::Once, assignor);
}

#[test]
fn a_server_that_cannot_send_to_a_partition_is_not_ready() {
    let cluster = Cluster::start();
    let sandbox = cluster.on(&Sandbox::new(), "range");
    let server = Server::start(&sandbox, &[]);
    let ready = || fetch(&agent(), &format!("{}/readyz", server.url), &[]);
    wait_for("the server to be ready", || (ready().status == 200).then_some(()));
    cluster.lose_leaders(&[LOST]);
    let reply = wait_for("the server to see it", || {
        let reply = ready();
        (reply.status == 503).then_some(reply)
    });
    let detail = reply.only_not_ready("kafka");
    assert!(detail.contains("2 of its 3 partitions have a leader"), "{detail}");
    cluster.find_leaders(&[LOST]);
    wait_for("the server to be ready again", || (ready().status == 200).then_some(()));
    assert!(server.stop("TERM").success());
}

/// One that is started meanwhile takes the events of the other partitions.
#[test]
fn a_server_takes_the_events_of_partitions_that_have_a_leader() {
    let cluster = Cluster::start();
    cluster.lose_leaders(&[LOST]);
    let plain = Sandbox::new();
    let sandbox = cluster.on(&plain, "range").with_variables(&[
        ("QUESTLAKE_KAFKA_REQUEST_TIMEOUT", "1s".to_owned()),
        ("QUESTLAKE_KAFKA_DELIVERY_TIMEOUT", "2s".to_owned()),
    ]);
    let server = Server::start(&sandbox, &[]);
    let dataset = Dataset::simulate(12, 3, 4);
    let mut answers = BTreeMap::<u16, u32>::new();
    let mut players = BTreeSet::new();
    for line in &dataset.lines {
        let Some(event) = whole_event(line) else { continue };
        if players.insert(event["player_id"].to_string()) {
            let answer = post(&agent(), &server.url, line, None).unwrap();
            *answers.entry(answer.status).or_default() += 1;
        }
        if answers.len() == 2 {
            break;
        }
    }
    // Where the player's partition has none, the sender is told to try again.
    assert!(answers.get(&200) > Some(&0) && answers.get(&503) > Some(&0), "{answers:?}");
    assert_eq!(answers.len(), 2, "{answers:?}");
    let taken = u64::from(answers[&200]);
    let ingester = Running::start(&mut sandbox.command(&["ingest"]));
    wait_for_records(&plain, taken);
    ingester.signal("TERM");
    assert!(ingester.finish().status.success());
    assert!(server.stop("TERM").success());
}

#[test]
fn partitions_without_a_leader_change_hands_among_cooperative_members() {
    change_members_without_leaders("cooperative-sticky");
}

#[test]
fn partitions_without_a_leader_change_hands_among_eager_members() {
    change_members_without_leaders("range");
}

/// Members come and go while only one of the partitions has a leader: whoever comes gets others of them.
fn change_members_without_leaders(assignor: &str) {
    let cluster = Cluster::with_partitions(4);
    let lost = [1, 2, 3];
    cluster.lose_leaders(&lost);
    let plain = Sandbox::new();
    let sandbox = cluster.on(&plain, assignor);
    let dataset = Dataset::simulate(20, 4, 29);
    let (first, second) = dataset.lines.split_at(dataset.lines.len() / 2);
    let (early, late) = first.split_at(first.len() / 2);
    cluster.send_to(&[0], early);
    let [one, other] = ["one", "other"].map(|name| sandbox.path(name));
    let member = |log: &Path| {
        let mut command = sandbox.command(&["ingest", "--log-level", "info"]);
        Running::start(command.stderr(File::create(log).unwrap()))
    };
    let wait_for_line = |log: &Path, line: &str| {
        wait_for(line, || fs::read_to_string(log).unwrap().contains(line).then_some(()));
    };
    let stays = member(&one);
    wait_for_records(&plain, early.len() as u64);
    let goes = member(&other);
    // Two of four, so that one of them at least has no leader.
    wait_for_line(&other, "; the others are read meanwhile");
    wait_for_line(&one, "giving up the partitions [");
    cluster.send_to(&[0], late);
    wait_for_records(&plain, first.len() as u64);
    goes.signal("TERM");
    let finished = goes.finish();
    assert!(finished.status.success(), "{finished:#?}");
    // What was left out was claimed by nobody.
    let told = status(&sandbox).json();
    let claimed = told["partitions"].as_array().unwrap();
    assert_eq!(claimed.len(), 1, "{told}");
    cluster.find_leaders(&lost);
    cluster.send_to(&[0, 1, 2, 3], second);
    wait_for_records(&plain, dataset.lines.len() as u64);
    stays.signal("TERM");
    let finished = stays.finish();
    assert!(finished.status.success(), "{finished:#?}");
    for log in [one, other] {
        let log = fs::read_to_string(log).unwrap();
        assert!(!log.contains("could not give up partitions"), "{log}");
    }
    plain.etl();
    assert_exactly_once(&plain, &dataset, Sent::Once, assignor);
}

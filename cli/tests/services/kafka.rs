//! Events over Kafka, when nothing goes wrong but what events suffer anyway.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::collector::{Server, agent, post};
use crate::dataset::{Dataset, whole_event};
use crate::inspect::{Sent, accounting, assert_exactly_once};
use crate::kafka_topic::Topic;
use crate::sandbox::{Sandbox, wait_for};
use crate::services::use_services;

#[test]
fn what_is_in_the_topic_is_taken_in_once_by_both_assignors() {
    let _services = use_services();
    for assignor in ["cooperative-sticky", "range"] {
        let dataset = Dataset::simulate(60, 14, 7);
        let (topic, sandbox) = (Topic::create(6), Sandbox::new());
        topic.send_lines(&dataset.lines);
        topic.take_in(&sandbox, &["--kafka-assignor", assignor]);
        // What is there by now is not read again.
        topic.take_in(&sandbox, &["--kafka-assignor", assignor]);
        sandbox.etl();
        assert_exactly_once(&sandbox, &dataset, Sent::Once, assignor);
    }
}

#[test]
fn the_simulator_sends_to_a_topic_that_it_creates() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::named(), Sandbox::new());
    let truth = sandbox.path("truth.json");
    let simulate =
        ["simulate", "--kafka", "--players", "80", "--days", "10", "--faults", "typical"];
    let with_truth = [&simulate[..], &["--truth", truth.to_str().unwrap()]].concat();
    let with_partitions = [&with_truth[..], &["--kafka-partitions", "4"]].concat();
    sandbox.succeed(&topic.arguments(&with_partitions));
    let sent: i64 = (0..4).map(|partition| topic.watermarks(partition).1).sum();
    assert!(sent > 1_000, "{sent}");
    assert!((0..4).all(|partition| topic.watermarks(partition).1 > 0));
    topic.take_in(&sandbox, &[]);
    sandbox.etl();
    assert_eq!(accounting(&sandbox).lines, sent as u64);
    sandbox.succeed(&["verify", "--truth", truth.to_str().unwrap()]);
}

#[test]
fn the_simulator_keeps_to_its_rate() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    let begin = Instant::now();
    let simulate = ["simulate", "--kafka", "--rate", "400", "--players", "5", "--days", "2"];
    sandbox.succeed(&topic.arguments(&simulate));
    let sent = topic.watermarks(0).1 as f64;
    let least = Duration::from_secs_f64((sent - 1.0) / 400.0);
    assert!(sent > 10.0 && begin.elapsed() >= least, "{sent} in {:?}", begin.elapsed());
}

#[test]
fn the_collector_answers_when_kafka_has_acknowledged() {
    let _services = use_services();
    let dataset = Dataset::simulate(20, 5, 3);
    let (topic, sandbox) = (Topic::named(), Sandbox::new());
    let flags = topic.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start(&sandbox, &flags);
    let mut delivered = 0;
    for part in dataset.parts(5) {
        let lines = part.iter().filter(|byte| **byte == b'\n').count();
        let answer = post(&agent(), &server.url, &part, None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body, json!({ "received": lines, "delivered": lines }));
        delivered += lines as i64;
        // The answer is the promise that they are there.
        let there: i64 = (0..6).map(|partition| topic.watermarks(partition).1).sum();
        assert_eq!(there, delivered);
    }
    assert!(server.stop("TERM").success());
    // Nothing was taken in by the collector itself.
    assert_eq!(accounting(&sandbox).lines, 0);
    topic.take_in(&sandbox, &[]);
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "over the collector");
}

#[test]
fn bad_records_at_both_ends_are_quarantined_and_hold_nothing_up() {
    let _services = use_services();
    let dataset = Dataset::simulate(5, 3, 11);
    let whole: Vec<&[u8]> = dataset
        .lines
        .iter()
        .filter(|line| whole_event(line).is_some())
        .map(|line| line.trim_ascii_end())
        .take(3)
        .collect();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    let mut records: Vec<&[u8]> = vec![b"not json at all"];
    records.extend(&whole);
    records.extend([&b""[..], b"{\"event_id\":"]);
    topic.send(0, &records);
    topic.take_in(&sandbox, &[]);
    let found = accounting(&sandbox);
    assert_eq!((found.lines, found.landed, found.quarantined), (6, 3, 3));
    let partition = &topic.status(&sandbox).json()["partitions"][0];
    assert_eq!(partition["next_offset"], 6);
    let listed = sandbox.succeed(&["quarantine", "list", "--format", "json"]).json();
    let text = listed.to_string();
    assert!(text.contains("\"offset\":0") && text.contains("\"offset\":5"), "{text}");
}

#[test]
fn offsets_that_have_no_record_are_passed_over() {
    let _services = use_services();
    let dataset = Dataset::simulate(30, 6, 5);
    let whole: Vec<Vec<u8>> = dataset
        .lines
        .iter()
        .filter(|line| whole_event(line).is_some())
        .map(|line| line.trim_ascii_end().to_vec())
        .collect();
    let transactions: Vec<Vec<Vec<u8>>> =
        whole.chunks(whole.len().div_ceil(5)).map(<[Vec<u8>]>::to_vec).collect();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    let ingester = topic.ingester(&sandbox, &[]);
    topic.send_in_transactions(&transactions);
    // The ledger is not there before the ingester has made it.
    wait_for("all records", || {
        let consumed = topic.status(&sandbox).json()["accounting"]["consumed"].as_u64();
        consumed.filter(|consumed| *consumed >= whole.len() as u64)
    });
    ingester.signal("TERM");
    assert!(ingester.finish().status.success());
    assert_eq!(accounting(&sandbox).lines, whole.len() as u64);
    assert!(topic.watermarks(0).1 > 2 * whole.len() as i64);
    // The end of the last transaction is no record: it is passed, and nobody misses it when the topic
    // drops it.
    topic.take_in(&sandbox, &[]);
    assert_eq!(accounting(&sandbox).lines, whole.len() as u64);
    topic.drop_records(0, topic.watermarks(0).1);
    topic.send(0, &[b"one more"]);
    topic.take_in(&sandbox, &[]);
    let found = accounting(&sandbox);
    assert_eq!((found.lines, found.quarantined), (whole.len() as u64 + 1, 1));
    assert!(topic.status(&sandbox).json()["gaps"].as_array().unwrap().is_empty());
}

#[test]
fn status_tells_the_lag_of_each_partition() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(3), Sandbox::new());
    topic.send(1, &[&b"{}"[..]; 5]);
    let lag = |expected: [i64; 3]| {
        let kafka = &topic.status(&sandbox).json()["kafka"];
        assert_eq!(kafka["lag"], expected.iter().sum::<i64>());
        for (partition, expected) in expected.into_iter().enumerate() {
            assert_eq!(kafka["partitions"][partition]["lag"], expected, "{kafka}");
        }
    };
    lag([0, 5, 0]);
    topic.take_in(&sandbox, &[]);
    lag([0, 0, 0]);
    topic.send(1, &[&b"{}"[..]; 2]);
    topic.send(2, &[&b"{}"[..]; 4]);
    lag([0, 2, 4]);
    let text = sandbox.run(&topic.arguments(&["status"])).stdout;
    assert!(text.contains("high watermark") && text.contains("6 records behind"), "{text}");
}

#[test]
fn brokers_that_are_not_there_are_named_in_time() {
    // Nobody listens at a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let broker = format!("127.0.0.1:{port}");
    let flags = ["--kafka-brokers", &broker, "--kafka-request-timeout", "2s"];
    let sandbox = Sandbox::new();
    for command in [&["ingest"][..], &["simulate", "--kafka", "--players", "1", "--days", "1"]] {
        let begin = Instant::now();
        let finished = sandbox.fail(&[command, &flags].concat());
        assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
        let named = format!("Kafka ({broker}): could not describe the topic events");
        assert!(finished.stderr.contains(&named), "{finished:#?}");
    }
    let begin = Instant::now();
    let status = sandbox.fail(&[&["status", "--format", "json"][..], &flags].concat());
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    let status = status.json();
    let stores = status["stores"].as_array().unwrap();
    let kafka = stores.iter().find(|store| store["store"] == "kafka").unwrap();
    assert_eq!(kafka["healthy"], false);
    assert!(status.get("kafka").is_none());

    // The collector goes on listening, and tells its clients to come again.
    let mut own = flags.to_vec();
    own.extend(["--kafka-delivery-timeout", "2s"]);
    let server = Server::start(&sandbox, &own);
    let answer = post(&agent(), &server.url, b"{}", None).unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("1")), "{answer:?}");
    assert!(server.stop("TERM").success());
}

//! What goes wrong with the topic and the broker.

use crate::api_client::fetch;
use crate::collector::{Server, agent, post};
use crate::dataset::{Dataset, whole_event};
use crate::inspect::{Sent, accounting, assert_exactly_once};
use crate::kafka_topic::Topic;
use crate::sandbox::{Sandbox, wait_for};
use crate::services::{own_services, service, use_services};

/// So many broken records, which are counted like any other.
fn records(count: usize, text: &str) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{text} {number}").into_bytes()).collect()
}

fn send(topic: &Topic, count: usize, text: &str) {
    let records = records(count, text);
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    topic.send(0, &records);
}

/// The only gap that the status tells, and that all is not well as long as it is open.
fn gap(topic: &Topic, sandbox: &Sandbox) -> serde_json::Value {
    let finished = topic.status(sandbox);
    let status = finished.json();
    let gaps = status["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{status}");
    assert_eq!(gaps[0]["open"] == true, !finished.status.success(), "{status}");
    gaps[0].clone()
}

#[test]
fn records_that_were_dropped_unread_stop_the_ingester_until_they_are_given_up() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    send(&topic, 10, "read");
    topic.take_in(&sandbox, &[]);
    send(&topic, 10, "more");
    topic.drop_records(0, 15);
    for _ in 0..2 {
        let refused = sandbox.fail(&topic.arguments(&["ingest"]));
        let text = format!("{}/0 has a gap: record 10 comes next, but it begins at 15", topic.name);
        assert!(refused.stderr.contains(&text), "{refused:#?}");
        assert!(refused.stderr.contains("--accept-gaps"), "{refused:#?}");
    }
    let found = gap(&topic, &sandbox);
    assert_eq!((&found["reason"], &found["open"]), (&"truncated".into(), &true.into()));
    assert_eq!((&found["from_offset"], &found["to_offset"]), (&10.into(), &15.into()));
    assert_eq!(accounting(&sandbox).lines, 10);
    topic.take_in(&sandbox, &["--accept-gaps"]);
    assert_eq!(accounting(&sandbox).lines, 15);
    let given_up = gap(&topic, &sandbox);
    assert_eq!(given_up["open"], false);
    assert!(given_up["accepted_at"].is_i64());
}

#[test]
fn records_that_were_dropped_after_they_were_read_are_not_missed() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    send(&topic, 10, "read");
    topic.take_in(&sandbox, &[]);
    for before in [5, 10] {
        topic.drop_records(0, before);
        send(&topic, 3, "more");
        topic.take_in(&sandbox, &[]);
    }
    assert_eq!(accounting(&sandbox).lines, 16);
    assert!(topic.status(&sandbox).json()["gaps"].as_array().unwrap().is_empty());
}

#[test]
fn a_topic_that_nobody_has_read_begins_where_it_does() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    send(&topic, 10, "old");
    topic.drop_records(0, 4);
    topic.take_in(&sandbox, &[]);
    assert_eq!(accounting(&sandbox).lines, 6);
}

#[test]
fn records_that_the_broker_has_replaced_by_later_ones_are_not_missed() {
    let _services = use_services();
    let dataset = Dataset::simulate(30, 6, 13);
    let mut whole = dataset.lines.iter().filter(|line| whole_event(line).is_some());
    let mut next = || whole.next().unwrap().trim_ascii_end();
    let (topic, sandbox) = (Topic::compacted(), Sandbox::new());
    const KEYS: i64 = 40;
    let keys = || (0..KEYS).map(|number| format!("key {number}"));
    // Some of the records that will be removed are read before, the others never.
    for (number, key) in (0..).zip(keys()) {
        topic.send_for(&key, Some(next()));
        if number == KEYS / 4 {
            topic.take_in(&sandbox, &[]);
        }
    }
    let read = accounting(&sandbox).lines;
    assert_eq!(read, KEYS as u64 / 4 + 1);
    keys().for_each(|key| topic.send_for(&key, Some(next())));
    topic.send_for("deleted", None);
    let mut fillers = 0;
    let left = wait_for("the log cleaner", || {
        // A file is closed when there is a later record, whose key has no other.
        fillers += 1;
        topic.send_for(&format!("filler {fillers}"), Some(next()));
        let left = topic.offsets();
        (left[0] == KEYS).then_some(left)
    });
    assert_eq!(left.len() as i64, KEYS + 1 + fillers);
    // Nothing was deleted: they are missing in between.
    assert_eq!(topic.watermarks(0), (0, 2 * KEYS + 1 + fillers));
    topic.take_in(&sandbox, &[]);
    let found = accounting(&sandbox);
    assert_eq!(found.lines, read + left.len() as u64);
    // The deletion of a key is no event.
    assert_eq!((found.duplicates, found.quarantined), (0, 1));
    assert_eq!(found.landed, found.lines - 1);
    assert!(topic.status(&sandbox).json()["gaps"].as_array().unwrap().is_empty());
}

#[test]
fn a_server_whose_topic_is_gone_is_not_ready() {
    let _services = use_services();
    let dataset = Dataset::simulate(5, 3, 2);
    let (topic, sandbox) = (Topic::named(), Sandbox::new());
    let flags = topic.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ready = |server: &Server| fetch(&agent(), &format!("{}/readyz", server.url), &[]);
    let server = Server::start(&sandbox, &flags);
    assert_eq!(ready(&server).ok()["ready"], true);
    // As long as nothing of it was read, the next events make it anew.
    topic.delete();
    let still = wait_for("the topic to be gone", || topic.is_gone().then(|| ready(&server)));
    assert_eq!(still.ok()["ready"], true);
    // Who is told that they did not arrive sends them again.
    wait_for("the topic to be made anew", || {
        let answer = post(&agent(), &server.url, &dataset.bytes(), None).unwrap();
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    assert!(server.stop("TERM").success());

    topic.take_in(&sandbox, &[]);
    let server = Server::start(&sandbox, &flags);
    assert_eq!(ready(&server).ok()["ready"], true);
    topic.delete();
    let reply = wait_for("the server to see that it is gone", || {
        let reply = ready(&server);
        (reply.status == 503).then_some(reply)
    });
    let detail = reply.only_not_ready("kafka");
    assert!(detail.contains(&format!("the topic {} is gone", topic.name)), "{detail}");
    assert!(detail.contains("set kafka.topic"), "{detail}");
}

#[test]
fn a_topic_that_was_made_anew_stops_the_ingester() {
    let _services = use_services();
    // Shorter than the old one, as long, and longer.
    for (count, told) in [
        (3, "records up to 9 were read, but it ends at 2"),
        (10, "record 9 is another than the one that was read"),
        (30, "record 9 is another than the one that was read"),
    ] {
        let (topic, sandbox) = (Topic::create(1), Sandbox::new());
        send(&topic, 10, "old");
        topic.take_in(&sandbox, &[]);
        topic.delete();
        topic.make(1);
        send(&topic, count, "new");
        for accept in [&[][..], &["--accept-gaps"]] {
            let arguments = topic.arguments(&[&["ingest"][..], accept].concat());
            let refused = sandbox.fail(&arguments);
            assert!(refused.stderr.contains(told), "{refused:#?}");
            assert!(refused.stderr.contains("set kafka.topic"), "{refused:#?}");
        }
        assert_eq!(gap(&topic, &sandbox)["reason"], "recreated");
        assert_eq!(accounting(&sandbox).lines, 10);
    }
}

#[test]
fn a_topic_that_is_made_anew_under_a_running_ingester_stops_it() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    send(&topic, 10, "old");
    let ingester = topic.ingester(&sandbox, &[]);
    topic.wait_until_read(&sandbox);
    topic.delete();
    topic.make(1);
    send(&topic, 30, "new");
    let finished = ingester.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:#?}");
    assert!(finished.stderr.contains("has a gap"), "{finished:#?}");
    assert_eq!(accounting(&sandbox).lines, 10);
}

#[test]
fn a_topic_that_is_gone_is_not_made_anew() {
    let _services = use_services();
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    send(&topic, 10, "old");
    topic.take_in(&sandbox, &[]);
    topic.delete();
    let refused = sandbox.fail(&topic.arguments(&["ingest"]));
    assert!(refused.stderr.contains("is gone"), "{refused:#?}");
}

#[test]
fn partitions_that_are_added_are_read() {
    let _services = use_services();
    let dataset = Dataset::simulate(30, 6, 9);
    let (topic, sandbox) = (Topic::create(1), Sandbox::new());
    let (first, second) = dataset.lines.split_at(dataset.lines.len() / 2);
    topic.send_lines(first);
    topic.take_in(&sandbox, &[]);
    topic.grow(3);
    topic.send_lines(second);
    topic.take_in(&sandbox, &[]);
    sandbox.etl();
    // A player has another partition than before: duplicates are told across partitions.
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "grown");
}

#[test]
fn a_broker_that_dies_and_comes_back_costs_nothing_but_time() {
    let _services = own_services();
    let dataset = Dataset::simulate(80, 14, 17);
    let (topic, sandbox) = (Topic::create(6), Sandbox::new());
    let (first, second) = dataset.lines.split_at(dataset.lines.len() / 2);
    topic.send_lines(first);
    let ingester = topic.ingester(&sandbox, &["--ingest-batch-records", "100"]);
    wait_for("the first batches", || {
        let consumed = &topic.status(&sandbox).json()["accounting"]["consumed"];
        (consumed.as_u64() > Some(0)).then_some(())
    });
    service("kill", "kafka");
    service("start", "kafka");
    topic.send_lines(second);
    topic.wait_until_read(&sandbox);
    service("restart", "kafka");
    topic.wait_until_read(&sandbox);
    ingester.signal("TERM");
    let finished = ingester.finish();
    assert!(finished.status.success(), "{finished:#?}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "broker restarted");
}

/// While the broker stands still, an ingester that is told to stop does, and the collector refuses.
#[test]
fn a_broker_that_stands_still_keeps_nobody_from_ending() {
    let _services = own_services();
    let (topic, sandbox) = (Topic::create(2), Sandbox::new());
    send(&topic, 10, "record");
    let ingester = topic.ingester(&sandbox, &[]);
    topic.wait_until_read(&sandbox);
    service("pause", "kafka");
    let status = topic.arguments(&["status", "--format", "json", "--kafka-request-timeout", "2s"]);
    let status = sandbox.run(&status);
    ingester.signal("TERM");
    let finished = ingester.finish();
    service("resume", "kafka");
    assert_eq!(status.status.code(), Some(1), "{status:#?}");
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(accounting(&sandbox).lines, 10);
}

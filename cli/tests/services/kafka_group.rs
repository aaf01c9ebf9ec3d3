//! Several processes share a topic, come and go, and die.

use std::collections::BTreeSet;

use crate::dataset::Dataset;
use crate::inspect::{Sent, assert_exactly_once};
use crate::installation::Installation;
use crate::kafka_topic::Topic;
use crate::sandbox::{Running, Sandbox, wait_for};
use crate::services::use_services;

const PARTITIONS: i32 = 6;

/// Whether to do it at full length: `QUESTLAKE_TORTURE=full`.
fn is_full() -> bool {
    std::env::var("QUESTLAKE_TORTURE").is_ok_and(|asked| asked == "full")
}

/// Events of some 10,000 records, or of more than half a million.
fn dataset(seed: u64) -> Dataset {
    if is_full() { Dataset::simulate(3_000, 30, seed) } else { Dataset::simulate(80, 20, seed) }
}

fn committed(sandbox: &Sandbox, topic: &Topic) -> i64 {
    let status = topic.status(sandbox).json();
    status["accounting"]["consumed"].as_i64().unwrap()
}

/// Waits until more is committed than before.
fn wait_for_progress(sandbox: &Sandbox, topic: &Topic, before: i64) {
    wait_for("progress", || (committed(sandbox, topic) > before).then_some(()));
}

fn end(ingester: Running) {
    ingester.signal("TERM");
    let finished = ingester.finish();
    assert!(finished.status.success(), "{finished:#?}");
}

#[test]
fn members_that_join_leave_and_die_lose_nothing_and_count_nothing_twice() {
    let _services = use_services();
    for assignor in ["cooperative-sticky", "range"] {
        let dataset = dataset(21);
        let (topic, sandbox) = (Topic::create(PARTITIONS), Sandbox::new());
        let flags = ["--kafka-assignor", assignor];
        let chunks: Vec<&[Vec<u8>]> =
            dataset.lines.chunks(dataset.lines.len().div_ceil(6)).collect();
        let mut members = vec![topic.ingester(&sandbox, &flags)];
        for (index, chunk) in chunks.into_iter().enumerate() {
            let before = committed(&sandbox, &topic);
            topic.send_lines(chunk);
            match index {
                // Others join while the first one reads.
                0 | 1 => members.push(topic.ingester(&sandbox, &flags)),
                // One leaves in good order.
                2 => end(members.remove(0)),
                // One dies in the middle.
                3 => members[0].kill(),
                // Another one joins, and one dies.
                4 => {
                    members.push(topic.ingester(&sandbox, &flags));
                    members[1].kill();
                }
                _ => {}
            }
            wait_for_progress(&sandbox, &topic, before);
        }
        topic.wait_until_read(&sandbox);
        for mut member in members {
            if !member.has_ended() {
                end(member);
            }
        }
        sandbox.etl();
        assert_exactly_once(&sandbox, &dataset, Sent::Once, assignor);
    }
}

#[test]
fn partitions_are_shared_among_the_members() {
    let _services = use_services();
    let dataset = Dataset::simulate(40, 6, 4);
    let (topic, sandbox) = (Topic::create(PARTITIONS), Sandbox::new());
    topic.send_lines(&dataset.lines);
    let members: Vec<Running> = (0..3).map(|_| topic.ingester(&sandbox, &[])).collect();
    topic.wait_until_read(&sandbox);
    let status = topic.status(&sandbox).json();
    let partitions: BTreeSet<i64> = status["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| partition["partition"].as_i64().unwrap())
        .collect();
    assert_eq!(partitions.len(), PARTITIONS as usize);
    for member in members {
        end(member);
    }
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "three members");
}

/// A process that stands still past its session has lost its partitions; what it commits when it
/// goes on hits no row. It may stand still in the middle of a transaction.
#[test]
fn a_member_that_stood_still_too_long_commits_nothing() {
    let _services = use_services();
    // Both at once: what takes long is to wait for a session to end.
    std::thread::scope(|scope| {
        for assignor in ["cooperative-sticky", "range"] {
            scope.spawn(move || stands_still_too_long(assignor));
        }
    });
}

fn stands_still_too_long(assignor: &str) {
    // What is under way when it stands still is small: FerretDB takes its time to give it over.
    let mut dataset = Dataset::simulate(30, 12, 33);
    let installation = Installation::new(PARTITIONS);
    let (topic, sandbox) = (&installation.topic, &installation.sandbox);
    let flags = ["--kafka-assignor", assignor, "--ingest-batch-records", "100"];
    let half = dataset.lines.len() / 2;
    let still = topic.ingester(sandbox, &flags);
    topic.send_lines(&dataset.lines[..half]);
    wait_for_progress(sandbox, topic, 0);
    still.signal("STOP");
    let other = topic.ingester(sandbox, &flags);
    topic.send_lines(&dataset.lines[half..]);
    // The other one gets all partitions only after the session of the first one is over.
    topic.wait_until_read(sandbox);
    still.signal("CONT");
    // Both take part again.
    topic.send(0, &[b"{}"]);
    topic.wait_until_read(sandbox);
    end(other);
    topic.send(0, &[b"{}"]);
    topic.wait_until_read(sandbox);
    end(still);
    sandbox.etl();
    dataset.truth.accounting.lines += 2;
    dataset.truth.accounting.quarantined += 2;
    installation.assert_exactly_once(&dataset, Sent::Once, assignor);
}

#[test]
fn ingesters_killed_over_and_over_lose_nothing() {
    let _services = use_services();
    let kills = if is_full() { 50 } else { 6 };
    let dataset = dataset(55);
    let (topic, sandbox) = (Topic::create(PARTITIONS), Sandbox::new());
    let chunks: Vec<&[Vec<u8>]> =
        dataset.lines.chunks(dataset.lines.len().div_ceil(kills)).collect();
    for chunk in chunks {
        let before = committed(&sandbox, &topic);
        topic.send_lines(chunk);
        let mut ingester = topic.ingester(&sandbox, &[]);
        // In the middle of its work, as far as that can be said of a process.
        wait_for_progress(&sandbox, &topic, before);
        ingester.kill();
    }
    topic.take_in(&sandbox, &[]);
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "killed over and over");
}

/// At each failpoint between reading and committing.
#[test]
fn a_crash_at_any_step_loses_nothing() {
    let _services = use_services();
    for failpoint in [
        "ingest.after_decode",
        "hot.in_insert",
        "ingest.after_hot_insert",
        "landing.after_rename",
        "ledger.before_commit",
        "ledger.after_commit",
        "ingest.after_commit",
    ] {
        let dataset = Dataset::simulate(30, 6, 8);
        let (topic, sandbox) = (Topic::create(2), Sandbox::new());
        topic.send_lines(&dataset.lines);
        let arguments = topic.arguments(&["ingest", "--ingest-batch-records", "200"]);
        let mut command = sandbox.command(&arguments);
        command.env("QUESTLAKE_FAILPOINTS", format!("{failpoint}=abort@2"));
        let crashed = Running::start(&mut command).finish();
        assert!(crashed.was_killed_by(6), "{failpoint}: {crashed:#?}");
        topic.take_in(&sandbox, &[]);
        sandbox.etl();
        assert_exactly_once(&sandbox, &dataset, Sent::Once, failpoint);
    }
}

//! Servers that are killed and started again in the middle of the work; in full also such that are away
//! for a minute.

use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::Installation;
use crate::sandbox::{Running, wait_for};
use crate::services::{own_services, service};

/// How long a server is away, if it is not only restarted: `QUESTLAKE_TORTURE=full`.
fn outage() -> Duration {
    let is_full = std::env::var("QUESTLAKE_TORTURE").is_ok_and(|asked| asked == "full");
    Duration::from_secs(if is_full { 60 } else { 0 })
}

/// The stores of every day, with landing and archive on HDFS.
fn survives(unit: &str) {
    let _services = own_services();
    survives_on(&Installation::new(6), unit);
}

/// An ingester reads, models run and events move to the archive all the time; meanwhile the server
/// is restarted, and then away for a while.
fn survives_on(installation: &Installation, unit: &str) {
    let dataset = Dataset::simulate(40, 10, 61);
    let (sandbox, topic) = (&installation.sandbox, &installation.topic);
    let ingester = topic.ingester(sandbox, &["--ingest-batch-records", "50"]);
    // Nothing as long as the ledger does not answer.
    let consumed = || installation.try_accounting().map_or(0, |found| found.lines);
    let mut thirds = dataset.lines.chunks(dataset.lines.len().div_ceil(3));
    let mut next = || topic.send_lines(thirds.next().unwrap());
    let mut models: Vec<Running> = Vec::new();
    let mut start_model = || models.push(Running::start(&mut sandbox.command(&["etl", "run"])));

    next();
    wait_for("the first batches", || (consumed() > 0).then_some(()));
    start_model();
    service("kill", unit);
    service("start", unit);
    next();
    let before = wait_for("the ledger", || installation.try_accounting()).lines;
    wait_for("batches after the restart", || (consumed() > before).then_some(()));

    start_model();
    if unit != "kafka" {
        next();
    }
    if !outage().is_zero() {
        service("kill", unit);
        let begun = Instant::now();
        wait_for("the end of the outage", || (begun.elapsed() >= outage()).then_some(()));
        service("start", unit);
    }
    if unit == "kafka" {
        next();
    }
    // The lag drains by itself.
    wait_for("everything to be taken in", || {
        (consumed() == dataset.truth.accounting.lines).then_some(())
    });
    ingester.signal("TERM");
    let finished = ingester.finish();
    assert!(finished.status.success(), "{unit}: {finished:#?}");
    for model in models {
        // It may have failed, and said so.
        let finished = model.finish();
        assert!(!finished.text().contains("panicked"), "{unit}: {finished:#?}");
    }
    sandbox.etl();
    sandbox.archive(&[]);
    installation.assert_exactly_once(&dataset, Sent::Once, unit);
}

#[test]
fn of_postgresql() {
    survives("postgres");
}

#[test]
fn of_mongodb() {
    survives("mongo");
}

#[test]
fn of_a_data_node() {
    survives("hdfs-datanode-1");
}

#[test]
fn of_the_name_node() {
    survives("hdfs-namenode");
}

#[test]
fn of_the_bucket() {
    let _services = own_services();
    survives_on(&Installation::in_bucket(6), "s3");
}

#[test]
fn of_kafka() {
    survives("kafka");
}

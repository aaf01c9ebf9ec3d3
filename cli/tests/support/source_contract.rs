//! What every source does, whichever way events come in: each record once, in the accounts and in every
//! store, though the process dies in between; bad records go to quarantine and hold nothing up.

use std::collections::BTreeSet;

use crate::dataset::{Dataset, whole_event};
use crate::inspect::{Sent, accounting, assert_exactly_once};
use crate::sandbox::{Finished, Running, Sandbox};

/// Where the process is to die: rows have landed, and nothing of them is committed.
const CRASH: (&str, &str) = ("QUESTLAKE_FAILPOINTS", "ledger.before_commit=abort@1");

/// `abort()`.
const SIGABRT: i32 = 6;

/// Longer than any event of the simulator.
const MAX_RECORD: usize = 64 << 10;

/// A way in to an installation.
pub(crate) trait Source {
    /// How failures name it.
    fn name(&self) -> &'static str;

    /// The installation, of [`installation`].
    fn sandbox(&self) -> &Sandbox;

    /// What becomes of records whose process has died before it told what became of them.
    fn after_a_crash(&self) -> Sent;

    /// Gives these lines, and takes in all of them.
    fn take_in(&self, lines: &[Vec<u8>]);

    /// Gives these lines to a process that dies while it takes them in.
    fn crash(&self, lines: &[Vec<u8>]);

    /// Goes on after a crash, as whoever runs the source would: what nobody has acknowledged is given
    /// again.
    fn recover(&self, lines: &[Vec<u8>]);
}

/// An empty installation that works in many small batches.
pub(crate) fn installation() -> Sandbox {
    Sandbox::new().with_variables(&[
        ("QUESTLAKE_INGEST_BATCH_RECORDS", "50".to_owned()),
        ("QUESTLAKE_INGEST_MAX_RECORD", MAX_RECORD.to_string()),
    ])
}

/// Runs a command that dies while it takes records in.
pub(crate) fn run_to_the_crash(sandbox: &Sandbox, arguments: &[String], input: Vec<u8>) {
    let mut command = sandbox.command(arguments);
    let running = Running::start_with_input(command.env(CRASH.0, CRASH.1), input);
    assert_crashed(&running.finish());
}

/// The variable that makes a process die.
pub(crate) fn crash_variable() -> (&'static str, &'static str) {
    CRASH
}

fn assert_crashed(finished: &Finished) {
    assert!(finished.was_killed_by(SIGABRT), "{finished:#?}");
}

pub(crate) fn suite(source: &dyn Source) {
    let (name, sandbox) = (source.name(), source.sandbox());
    let dataset = Dataset::simulate(30, 6, 31);
    let mut parts = dataset.lines.chunks(dataset.lines.len().div_ceil(3));
    let [first, second, third] = [(); 3].map(|()| parts.next().unwrap());

    source.take_in(first);
    assert_eq!(accounting(sandbox).lines, first.len() as u64, "{name}");
    source.crash(second);
    let after_the_crash = accounting(sandbox).lines;
    assert!(after_the_crash < (first.len() + second.len()) as u64, "{name}: {after_the_crash}");
    source.recover(second);
    source.take_in(third);
    sandbox.etl();
    assert_exactly_once(sandbox, &dataset, source.after_a_crash(), name);

    // Bad records at both ends, one that is too long, and an event that is known.
    let known = first.iter().find(|line| whole_event(line).is_some()).unwrap().clone();
    let too_long = format!("{{\"event_id\":\"{}\"}}\n", "x".repeat(MAX_RECORD)).into_bytes();
    let odd = [b"not json at all\n".to_vec(), known, too_long, b"{\"event_id\":\n".to_vec()];
    let (before, places) = (accounting(sandbox), quarantined_at(sandbox));
    source.take_in(&odd);
    let after = accounting(sandbox);
    assert_eq!(after.lines - before.lines, 4, "{name}");
    assert_eq!(after.landed, before.landed, "{name}");
    assert_eq!(after.duplicates - before.duplicates, 1, "{name}");
    assert_eq!(after.quarantined - before.quarantined, 3, "{name}");
    // Each has a place of its own, by which it is found.
    assert_eq!(quarantined_at(sandbox).len(), places.len() + 3, "{name}");
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{name}: {status}");
}

/// Topic, partition and offset of each quarantined record.
fn quarantined_at(sandbox: &Sandbox) -> BTreeSet<String> {
    let arguments = ["quarantine", "list", "--limit", "100000", "--format", "json"];
    let listed = sandbox.succeed(&arguments).json();
    let records = listed["records"].as_array().unwrap().iter();
    records
        .map(|record| format!("{}/{}:{}", record["topic"], record["partition"], record["offset"]))
        .collect()
}

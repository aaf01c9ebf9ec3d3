//! Every failpoint, as a crash and as an error, on several passes.

use std::collections::BTreeSet;
use std::path::Path;

use questlake_engine::failpoint::FAILPOINTS;

use crate::dataset::Dataset;
use crate::effort;
use crate::inspect::{Sent, assert_exactly_once};
use crate::random::Random;
use crate::sandbox::{Finished, Running, Sandbox};

/// `abort()`.
const SIGABRT: i32 = 6;

/// The passes on which a failpoint acts: the first, and one of the next few.
const LATEST_PASS: u64 = 4;

/// One failpoint, armed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) failpoint: &'static str,
    pub(crate) action: &'static str,
    pub(crate) pass: u64,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn describe(&self) -> String {
        format!("{}={}@{}, seed {}", self.failpoint, self.action, self.pass, self.seed)
    }

    /// Runs a command with the failpoint armed; returns whether the failpoint was reached.
    pub(crate) fn run_armed(
        &self,
        sandbox: &Sandbox,
        arguments: &[&str],
        input: Option<Vec<u8>>,
    ) -> bool {
        let Self { failpoint, action, pass, .. } = self;
        let mut command = sandbox.command(arguments);
        command.env("QUESTLAKE_FAILPOINTS", format!("{failpoint}={action}@{pass}"));
        let running = match input {
            Some(input) => Running::start_with_input(&mut command, input),
            None => Running::start(&mut command),
        };
        let finished = running.finish();
        let reached = !finished.status.success();
        if reached {
            self.assert_injected(&finished);
        }
        reached
    }

    /// A command that fails does so for this reason and no other.
    fn assert_injected(&self, finished: &Finished) {
        let what = self.describe();
        if self.action == "abort" {
            assert!(finished.was_killed_by(SIGABRT), "{what}: {finished:#?}");
        } else {
            assert_eq!(finished.status.code(), Some(1), "{what}: {finished:#?}");
            assert!(finished.text().contains(self.failpoint), "{what}: {finished:#?}");
        }
    }
}

/// Every failpoint that `wanted` accepts, with each action, on the first and on a later pass.
fn cases(wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    cases_of(if effort().full { 20 } else { 2 }, wanted)
}

/// The same for so many seeds.
pub(crate) fn cases_of(seeds: u64, wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let effort = effort();
    let mut cases = Vec::new();
    for seed in effort.first_seed..effort.first_seed + seeds {
        let mut random = Random::new(seed);
        for failpoint in FAILPOINTS.iter().copied().filter(|name| wanted(name)) {
            for action in ["abort", "error"] {
                for pass in [1, 2 + random.below(LATEST_PASS - 1)] {
                    cases.push(Case { failpoint, action, pass, seed });
                }
            }
        }
    }
    cases
}

/// Fails if a failpoint was not reached with each action.
pub(crate) fn assert_all_reached(cases: &[Case], reached: &BTreeSet<(&str, &str)>) {
    assert!(!cases.is_empty());
    for case in cases {
        assert!(
            reached.contains(&(case.failpoint, case.action)),
            "nothing has passed the failpoint {} that was to {}",
            case.failpoint,
            case.action
        );
    }
}

fn of_the_pipeline(name: &str) -> bool {
    name.starts_with("etl.")
}

pub(crate) fn of_the_archive(name: &str) -> bool {
    name.starts_with("archive.")
}

fn of_the_queue(name: &str) -> bool {
    name.starts_with("spool.")
}

fn ingest_arguments(file: &Path) -> [&str; 4] {
    ["ingest", "--ingest-batch-records", "200", file.to_str().unwrap()]
}

#[test]
fn ingest_survives_every_failpoint() {
    let cases =
        cases(|name| !of_the_pipeline(name) && !of_the_queue(name) && !of_the_archive(name));
    let mut reached = BTreeSet::new();
    let mut dataset: Option<(u64, Dataset)> = None;
    for case in &cases {
        dataset.take_if(|(seed, _)| *seed != case.seed);
        let (_, dataset) =
            dataset.get_or_insert_with(|| (case.seed, Dataset::simulate(40, 10, case.seed)));
        let sandbox = Sandbox::new();
        let file = sandbox.write("events.ndjson", dataset.bytes());
        if case.run_armed(&sandbox, &ingest_arguments(&file), None) {
            reached.insert((case.failpoint, case.action));
        }
        sandbox.succeed(&ingest_arguments(&file));
        sandbox.etl();
        assert_exactly_once(&sandbox, dataset, Sent::Once, &case.describe());
    }
    assert_all_reached(&cases, &reached);
}

#[test]
fn the_pipeline_survives_every_failpoint() {
    let cases = cases(of_the_pipeline);
    let mut reached = BTreeSet::new();
    let mut prepared: Option<(u64, Dataset, Sandbox)> = None;
    for case in &cases {
        prepared.take_if(|(seed, ..)| *seed != case.seed);
        let (_, dataset, before) = prepared.get_or_insert_with(|| {
            let dataset = Dataset::simulate(40, 10, case.seed);
            let sandbox = half_loaded(&dataset);
            (case.seed, dataset, sandbox)
        });
        let sandbox = Sandbox::copy_of(before);
        if case.run_armed(&sandbox, &["etl", "run"], None) {
            reached.insert((case.failpoint, case.action));
        }
        sandbox.etl();
        assert_exactly_once(&sandbox, dataset, Sent::Once, &case.describe());
    }
    assert_all_reached(&cases, &reached);
}

/// Everything has landed, and the star schema knows the first half.
fn half_loaded(dataset: &Dataset) -> Sandbox {
    let sandbox = Sandbox::new();
    let parts = dataset.parts(2);
    let first = sandbox.write("first.ndjson", &parts[0]);
    let second = sandbox.write("second.ndjson", &parts[1]);
    sandbox.ingest(&[&first]);
    sandbox.etl();
    sandbox.ingest(&[&second]);
    sandbox
}

/// What comes through a pipe cannot be read again: what was queued lands without it, and what is
/// sent again is a duplicate.
#[test]
fn the_queue_survives_every_failpoint_of_ingest() {
    let cases = cases(|name| !of_the_pipeline(name) && !of_the_archive(name));
    // The pipe takes all that there is as one batch: what matters are the steps, not the passes.
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.pass == 1).collect();
    let mut reached = BTreeSet::new();
    let mut dataset: Option<(u64, Dataset)> = None;
    for case in &cases {
        dataset.take_if(|(seed, _)| *seed != case.seed);
        let (_, dataset) =
            dataset.get_or_insert_with(|| (case.seed, Dataset::simulate(20, 8, case.seed)));
        let sandbox = Sandbox::new();
        if case.run_armed(&sandbox, &["ingest", "-"], Some(dataset.bytes())) {
            reached.insert((case.failpoint, case.action));
        }
        let again = sandbox.run_with_input(&["ingest", "-"], &dataset.bytes());
        assert!(again.status.success(), "{}: {again:#?}", case.describe());
        sandbox.etl();
        assert_exactly_once(&sandbox, dataset, Sent::Again, &case.describe());
    }
    assert_all_reached(&cases, &reached);
}

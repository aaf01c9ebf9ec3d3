//! `kill -9` at random instants.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::effort;
use crate::inspect::{Sent, assert_exactly_once};
use crate::random::Random;
use crate::sandbox::{Running, Sandbox};

/// Kills after which the accounts are checked and a new data set begins.
const KILLS_PER_ROUND: usize = 4;

/// `kill -9`.
const SIGKILL: i32 = 9;

/// Files that the events arrive in.
const FILES: usize = 3;

/// How long the commands take when nobody disturbs them.
struct Pace {
    ingest: Duration,
    etl: Duration,
}

impl Pace {
    fn measure(dataset: &Dataset) -> Self {
        let sandbox = Sandbox::new();
        let file = sandbox.write("events.ndjson", dataset.bytes());
        let started = Instant::now();
        sandbox.succeed(&ingest_arguments(&[&file]));
        let ingest = started.elapsed();
        sandbox.etl();
        Self { ingest, etl: started.elapsed() - ingest }
    }
}

fn ingest_arguments<'a>(files: &[&'a Path]) -> Vec<&'a str> {
    let mut arguments = vec!["ingest", "--ingest-batch-records", "200"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    arguments
}

#[test]
fn killed_at_any_instant_nothing_is_lost_or_counted_twice() {
    let effort = effort();
    let kills = if effort.full { 100 } else { 8 };
    let pace = Pace::measure(&Dataset::simulate(60, 14, effort.first_seed));
    for round in 0..kills / KILLS_PER_ROUND {
        let seed = effort.first_seed + round as u64;
        eprintln!("seed {seed}");
        run_round(seed, &pace);
    }
}

fn run_round(seed: u64, pace: &Pace) {
    let mut random = Random::new(seed);
    let dataset = Dataset::simulate(60, 14, seed);
    let sandbox = Sandbox::new();
    let files: Vec<_> = dataset
        .parts(FILES)
        .iter()
        .enumerate()
        .map(|(index, part)| sandbox.write(&format!("part-{index}.ndjson"), part))
        .collect();
    let files: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
    let mut kills = 0;
    let mut runs = 0;
    while kills < KILLS_PER_ROUND {
        runs += 1;
        assert!(
            runs < KILLS_PER_ROUND * 20,
            "seed {seed}: the processes end before they are killed"
        );
        let (mut command, typical) = if random.below(2) == 0 {
            // Some of the files at a time, so that there is something left to take in.
            let known = files.len().min(1 + kills);
            (sandbox.command(&ingest_arguments(&files[..known])), pace.ingest)
        } else {
            (sandbox.command(&["etl", "run"]), pace.etl)
        };
        let mut running = Running::start(&mut command);
        // Not a wait for anything: the instant of the kill is what is left to chance.
        std::thread::sleep(random.shorter_than(typical));
        if !running.has_ended() {
            running.kill();
        }
        let finished = running.finish();
        if finished.was_killed_by(SIGKILL) {
            kills += 1;
        } else {
            assert!(finished.status.success(), "seed {seed}: {finished:#?}");
        }
    }
    sandbox.succeed(&ingest_arguments(&files));
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, &format!("seed {seed}"));
}

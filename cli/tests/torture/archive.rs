//! The archive is ended at every step and at any instant, while events come in and queries run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::effort;
use crate::failpoints::{assert_all_reached, cases_of, of_the_archive};
use crate::inspect::{Sent, assert_exactly_once, files_below, number};
use crate::random::Random;
use crate::sandbox::{Running, Sandbox};
use crate::watch::{age_archive, while_queries_run};

/// Everything that `questlake archive` can do. Queries begin and end within the hour.
const ARCHIVE: [&str; 7] =
    ["archive", "--archive-grace", "1h", "--optimize", "--vacuum", "--archive-vacuum-after", "1h"];

/// Kills after which the accounts are checked and a new data set begins.
const KILLS_PER_ROUND: usize = 4;

/// Files that the events arrive in, in a round of kills.
const FILES: usize = 6;

/// `kill -9`.
const SIGKILL: i32 = 9;

fn ingest(files: &[&Path]) -> Vec<String> {
    let mut arguments = ["ingest", "--ingest-batch-records", "200"].map(str::to_owned).to_vec();
    arguments.extend(files.iter().map(|file| file.to_str().unwrap().to_owned()));
    arguments
}

/// Parts of a data set whose lines are spread over all of it, so that each touches every day.
fn spread(dataset: &Dataset, parts: usize) -> Vec<Vec<u8>> {
    let mut spread = vec![Vec::new(); parts];
    for (index, line) in dataset.lines.iter().enumerate() {
        spread[index % parts].extend_from_slice(line);
    }
    spread
}

fn write_parts(sandbox: &Sandbox, dataset: &Dataset, parts: usize) -> Vec<PathBuf> {
    let parts = spread(dataset, parts).into_iter().enumerate();
    parts.map(|(index, part)| sandbox.write(&format!("part-{index}.ndjson"), part)).collect()
}

/// An installation in which every step of the archive has something to do: files to put together
/// and such that were replaced, segments to prune and such to move; and the part that is still to
/// come.
fn prepared(dataset: &Dataset) -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let mut parts = spread(dataset, 4);
    let last = parts.pop().unwrap();
    for (index, part) in parts.iter().enumerate() {
        let file = sandbox.write(&format!("part-{index}.ndjson"), part);
        sandbox.succeed(&ingest(&[&file]));
        sandbox.etl();
        if index < 2 {
            sandbox.succeed(&["archive", "--optimize"]);
        }
    }
    (sandbox, last)
}

/// At the end nothing is left to do, and everything is there once.
fn finish(sandbox: &Sandbox, dataset: &Dataset, what: &str) {
    sandbox.etl();
    sandbox.archive(&["--optimize", "--vacuum", "--archive-vacuum-after", "0s"]);
    let left = number(sandbox, "SELECT count(*) FROM meta_segments");
    assert_eq!(left, 0, "segments in the ledger, {what}");
    assert_exactly_once(sandbox, dataset, Sent::Once, what);
    let status = sandbox.status();
    assert_eq!(status["archive"]["under_way"], false, "{what}: {status}");
    assert_eq!(files_below(sandbox, "archive", ".tmp"), [] as [PathBuf; 0], "{what}");
}

#[test]
fn the_archive_survives_every_failpoint_beside_ingest_and_queries() {
    let seeds = if effort().full { 5 } else { 1 };
    let mut cases = cases_of(seeds, of_the_archive);
    if !effort().full {
        cases.retain(|case| case.pass == 1);
    }
    let mut reached = BTreeSet::new();
    let mut known: Option<(u64, Dataset, Sandbox, Vec<u8>)> = None;
    for case in &cases {
        known.take_if(|(seed, ..)| *seed != case.seed);
        let (_, dataset, before, last) = known.get_or_insert_with(|| {
            eprintln!("seed {}", case.seed);
            let dataset = Dataset::simulate(30, 6, case.seed);
            let (sandbox, last) = prepared(&dataset);
            (case.seed, dataset, sandbox, last)
        });
        let sandbox = Sandbox::copy_of(before);
        age_archive(&sandbox);
        let file = sandbox.write("last.ndjson", &*last);
        let what = case.describe();
        while_queries_run(&sandbox, case.seed, &what, || {
            let ingester = Running::start(&mut sandbox.command(&ingest(&[&file])));
            if case.run_armed(&sandbox, &ARCHIVE, None) {
                reached.insert((case.failpoint, case.action));
            }
            let finished = ingester.finish();
            assert!(finished.status.success(), "{what}: {finished:#?}");
            // Whatever was left half done, the next run goes on with it.
            sandbox.succeed(&ARCHIVE);
        });
        finish(&sandbox, dataset, &what);
        assert_eq!(files_below(&sandbox, "landing", ".qls"), [] as [PathBuf; 0], "{what}");
    }
    assert_all_reached(&cases, &reached);
}

/// How long the archive takes when nobody disturbs it.
fn measure(seed: u64) -> Duration {
    let (sandbox, _) = prepared(&Dataset::simulate(40, 8, seed));
    age_archive(&sandbox);
    let started = Instant::now();
    sandbox.succeed(&ARCHIVE);
    started.elapsed()
}

#[test]
fn killed_at_any_instant_the_archive_loses_nothing_and_shows_nothing_twice() {
    let effort = effort();
    let kills = if effort.full { 100 } else { 8 };
    let typical = measure(effort.first_seed);
    for round in 0..kills / KILLS_PER_ROUND {
        let seed = effort.first_seed + round as u64;
        eprintln!("seed {seed}");
        run_round(seed, typical);
    }
}

fn run_round(seed: u64, typical: Duration) {
    let what = format!("seed {seed}");
    let mut random = Random::new(seed);
    let dataset = Dataset::simulate(40, 8, seed);
    let sandbox = Sandbox::new();
    let files = write_parts(&sandbox, &dataset, FILES);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    sandbox.succeed(&ingest(&files[..1]));
    sandbox.etl();
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS_PER_ROUND {
        runs += 1;
        assert!(runs < KILLS_PER_ROUND * 20, "{what}: the archive ends before it is killed");
        // What was archived and replaced in the runs before may be removed in this one.
        age_archive(&sandbox);
        let known = files.len().min(1 + runs);
        let beside = match random.below(2) {
            0 => ingest(&files[..known]),
            _ => vec!["etl".to_owned(), "run".to_owned()],
        };
        let killed = while_queries_run(&sandbox, random.bits(), &what, || {
            let mut beside = Running::start(&mut sandbox.command(&beside));
            let mut archive = Running::start(&mut sandbox.command(&ARCHIVE));
            // Not a wait for anything: the instant of the kill is what is left to chance.
            std::thread::sleep(random.shorter_than(typical));
            if !archive.has_ended() {
                archive.kill();
            }
            let both = random.below(3) == 0 && !beside.has_ended();
            if both {
                beside.kill();
            }
            let (archive, beside) = (archive.finish(), beside.finish());
            assert!(both || beside.status.success(), "{what}: {beside:#?}");
            assert!(
                archive.was_killed_by(SIGKILL) || archive.status.success(),
                "{what}: {archive:#?}"
            );
            archive.was_killed_by(SIGKILL)
        });
        kills += usize::from(killed);
    }
    sandbox.succeed(&ingest(&files));
    finish(&sandbox, &dataset, &what);
}

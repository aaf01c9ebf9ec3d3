//! Two processes take the same events in while a third loads them.

use std::path::PathBuf;

use crate::dataset::{Dataset, whole_event};
use crate::effort;
use crate::inspect::{Sent, accounting, assert_exactly_once};
use crate::sandbox::{Running, Sandbox};

#[test]
fn two_ingesters_of_overlapping_files_and_a_pipeline_agree() {
    let effort = effort();
    let rounds = if effort.full { 20 } else { 2 };
    for seed in effort.first_seed..effort.first_seed + rounds {
        eprintln!("seed {seed}");
        run_round(seed);
    }
}

fn run_round(seed: u64) {
    let dataset = Dataset::simulate(50, 12, seed);
    let sandbox = Sandbox::new();
    let lines = &dataset.lines;
    // The first 60 % and the last 60 %: one line in five is in both.
    let first = &lines[..lines.len() * 3 / 5];
    let second = &lines[lines.len() * 2 / 5..];
    let one = sandbox.write("one.ndjson", first.concat());
    let two = sandbox.write("two.ndjson", second.concat());
    let ingest = |files: [&PathBuf; 2]| {
        let mut arguments = vec!["ingest", "--ingest-batch-records", "100"];
        arguments.extend(files.map(|file| file.to_str().unwrap()));
        Running::start(&mut sandbox.command(&arguments))
    };
    let mut ingesters = [ingest([&one, &two]), ingest([&two, &one])];
    let mut loads = 0;
    while loads < 2 || !ingesters.iter_mut().all(Running::has_ended) {
        sandbox.etl();
        // The accounts hold at any instant, not only when nobody writes.
        let status = sandbox.status();
        assert_eq!(status["accounting"]["adds_up"], true, "seed {seed}: {status}");
        loads += 1;
    }
    for ingester in ingesters {
        let finished = ingester.finish();
        assert!(finished.status.success(), "seed {seed}: {finished:#?}");
    }
    sandbox.etl();
    let what = format!("seed {seed}");
    let found = accounting(&sandbox);
    let sent = || first.iter().chain(second);
    assert_eq!(found.lines, sent().count() as u64, "{what}");
    let refused = sent().filter(|line| whole_event(line).is_none()).count();
    assert_eq!(found.quarantined, refused as u64, "{what}");
    assert_exactly_once(&sandbox, &dataset, Sent::Again, &what);
}

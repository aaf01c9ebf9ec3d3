//! Models that meet the memory limit.

use crate::dataset::{Dataset, whole_event};
use crate::inspect::{Sent, assert_exactly_once, assert_same_tables, star_tables};
use crate::sandbox::Sandbox;

fn landed(dataset: &Dataset) -> Sandbox {
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&file]);
    sandbox
}

/// Beside each other the models need more than there is. Those that are refused begin anew alone,
/// and spill; the star schema is the same.
#[test]
fn models_that_are_refused_memory_spill_and_give_the_same_rows() {
    let dataset = Dataset::simulate(600, 30, 91);
    let ample = landed(&dataset);
    ample.etl();
    let short = landed(&dataset);
    // Sorts of many partitions ask for more than there is, whatever else runs on the machine.
    // With 16 MiB one of them fails now and then, alone too: that is too little for its sort.
    let limits = ["--engine-memory-limit", "24MiB", "--engine-threads", "4"];
    let mut run = short.command(&[&["etl", "run"], limits.as_slice()].concat());
    run.env("QUESTLAKE_LOG", "questlake_engine=debug");
    let run = crate::sandbox::Running::start(&mut run).finish();
    assert!(run.status.success(), "{run:#?}");
    assert!(run.stderr.contains("met engine.memory_limit"), "nothing was refused: {run:#?}");
    assert_same_tables(&star_tables(&ample, false), &star_tables(&short, false), "short of memory");
    // So does what goes to the archive: of the same rows, days are larger than what may be sorted.
    for (what, sandbox) in [("short of memory", &short), ("backfilled", &backfilled(&dataset))] {
        sandbox.archive(&["--engine-memory-limit", "16MiB", "--engine-threads", "4"]);
        assert_exactly_once(sandbox, &dataset, Sent::Once, what);
    }
}

/// The same events sorted by player: all of landing has rows of all days.
fn backfilled(dataset: &Dataset) -> Sandbox {
    let sandbox = Sandbox::new();
    let player = |line: &[u8]| {
        let event = whole_event(line)?;
        event["player_id"].as_str().map(str::to_owned)
    };
    let mut lines = dataset.lines.clone();
    lines.sort_by_cached_key(|line| player(line));
    let file = sandbox.write("events.ndjson", lines.concat());
    sandbox.ingest(&[&file]);
    sandbox.etl();
    sandbox
}

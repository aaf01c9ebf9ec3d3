//! Ingester, models and archiver on servers, killed over and over.

use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::Installation;
use crate::random::Random;
use crate::sandbox::{Running, wait_for};
use crate::services::use_services;

/// Whether to do it at full length: `QUESTLAKE_TORTURE=full`.
fn is_full() -> bool {
    std::env::var("QUESTLAKE_TORTURE").is_ok_and(|asked| asked == "full")
}

/// Longest time that a command is left alone.
const LONGEST_LIFE: Duration = Duration::from_millis(1_500);

#[test]
fn ingester_models_and_archiver_killed_over_and_over_lose_nothing() {
    killed_over_and_over("QUESTLAKE_TEST_MONGODB_URL");
}

/// FerretDB is spoken to otherwise than MongoDB: here as MongoDB is.
#[test]
fn the_same_with_a_hot_store_that_is_like_mongodb() {
    killed_over_and_over("QUESTLAKE_TEST_MONGOLIKE_URL");
}

fn killed_over_and_over(hot_store: &str) {
    let _services = use_services();
    // FerretDB goes through all events for each duplicate: the more rounds, not the more events.
    let (rounds, players) = if is_full() { (60, 100) } else { (8, 60) };
    let seed = 41;
    let mut random = Random::new(seed);
    let dataset = Dataset::simulate(players, 20, seed);
    let installation = Installation::with_hot_store(hot_store, 6);
    let sandbox = &installation.sandbox;
    let chunk = dataset.lines.len().div_ceil(rounds);
    for lines in dataset.lines.chunks(chunk) {
        installation.topic.send_lines(lines);
        let etl = ["etl", "run"];
        let archive = ["archive", "--archive-after", "0s", "--archive-grace", "0s"];
        let mut running = vec![
            installation.topic.ingester(sandbox, &[]),
            Running::start(&mut sandbox.command(&etl)),
            Running::start(&mut sandbox.command(&archive)),
        ];
        let begun = Instant::now();
        for command in &mut running {
            let life = random.shorter_than(LONGEST_LIFE);
            wait_for("the time to kill", || (begun.elapsed() >= life).then_some(()));
            command.kill();
        }
    }
    installation.topic.take_in(sandbox, &[]);
    sandbox.etl();
    installation.assert_exactly_once(&dataset, Sent::Once, "killed over and over");
    sandbox.archive(&[]);
    sandbox.etl();
    installation.assert_exactly_once(&dataset, Sent::Once, "in the archive");
}

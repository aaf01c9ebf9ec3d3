//! One server is away for good, or hears and never answers: every command ends, and names it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::Installation;
use crate::sandbox::Running;
use crate::services::use_services;

/// Longest time for a command to give up.
const PATIENCE: Duration = Duration::from_secs(270);

/// How a server is not there.
#[derive(Debug, Clone, Copy)]
enum Away {
    /// Nothing listens at its port.
    Gone,
    /// It takes connections and never answers.
    Silent,
}

/// A store, and the commands that cannot do without it.
struct Store {
    variable: &'static str,
    /// The URL of one at this port.
    url: fn(u16) -> String,
    needed_by: &'static [&'static str],
}

const STORES: &[Store] = &[
    Store {
        variable: "QUESTLAKE_STORES_WAREHOUSE",
        url: |port| format!("postgres://me:secret@127.0.0.1:{port}/questlake"),
        needed_by: &["ingest", "etl", "archive", "query", "status"],
    },
    Store {
        variable: "QUESTLAKE_STORES_HOT",
        url: |port| format!("mongodb://me:secret@127.0.0.1:{port}/questlake"),
        needed_by: &["ingest", "status"],
    },
    Store {
        variable: "QUESTLAKE_STORES_LANDING",
        url: |port| format!("hdfs://127.0.0.1:{port}/landing"),
        // `archive` is tried without its store: two of it would be in each other's way.
        needed_by: &["ingest", "etl", "query", "status"],
    },
    Store {
        variable: "QUESTLAKE_STORES_ARCHIVE",
        url: |port| format!("hdfs://127.0.0.1:{port}/archive"),
        needed_by: &["archive", "status"],
    },
    Store {
        variable: "QUESTLAKE_KAFKA_BROKERS",
        url: |port| format!("127.0.0.1:{port}"),
        needed_by: &["topic", "status"],
    },
];

fn every_command_ends(away: Away) {
    let _services = use_services();
    let dataset = Dataset::simulate(10, 4, 5);
    let installation = Installation::new(2);
    let events = installation.sandbox.write("events.ndjson", dataset.bytes());
    let more = Dataset::simulate(3, 2, 6);
    let more = installation.sandbox.write("more.ndjson", more.bytes());
    // Something is in the archive, something is to be moved there, and something is to be read.
    let [older, newer] = [(7, "older.ndjson"), (8, "newer.ndjson")].map(|(seed, name)| {
        installation.sandbox.write(name, Dataset::simulate(5, 3, seed).bytes())
    });
    installation.sandbox.ingest(&[&events]);
    installation.sandbox.etl();
    installation.sandbox.archive(&[]);
    installation.sandbox.ingest(&[&older]);
    installation.sandbox.etl();
    installation.sandbox.ingest(&[&newer]);
    let more = more.to_str().unwrap();
    let commands: &[(&str, &[&str])] = &[
        ("ingest", &["ingest", more]),
        ("topic", &["ingest"]),
        ("etl", &["etl", "run"]),
        ("archive", &["archive", "--archive-after", "0s", "--archive-grace", "0s"]),
        ("query", &["query", "SELECT count(*) FROM events.envelope"]),
        ("status", &["status"]),
    ];
    let mut started = Vec::new();
    for store in STORES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = match away {
            Away::Silent => Some(listener),
            Away::Gone => None,
        };
        let sandbox = installation.sandbox.with_variables(&[(store.variable, (store.url)(port))]);
        for (name, arguments) in commands {
            if store.needed_by.contains(name) {
                let running = Running::start(&mut sandbox.command(arguments));
                started.push((store.variable, *name, port, running, Instant::now()));
            }
        }
        // Kept until the end: its commands talk to it.
        std::mem::forget(listener);
    }
    let mut mistakes = Vec::new();
    for (variable, command, port, running, begun) in started {
        let finished = running.finish_within(PATIENCE);
        let took = begun.elapsed();
        let text = finished.text();
        let is_named = text.contains(&format!("127.0.0.1:{port}"));
        // Whatever is away, `status` tells that others are there.
        let tells_of_others = command != "status" || finished.stdout.contains("answers");
        if finished.status.success()
            || took > PATIENCE
            || !is_named
            || !tells_of_others
            || text.contains("secret")
        {
            mistakes.push(format!("{variable} {away:?}, {command}, {took:?}: {finished:#?}"));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn every_command_ends_when_a_server_is_gone() {
    every_command_ends(Away::Gone);
}

#[test]
fn every_command_ends_when_a_server_is_silent() {
    every_command_ends(Away::Silent);
}

/// Only what is to be forgotten needs it, after all else is done.
#[test]
fn without_the_hot_store_events_move_to_the_archive() {
    let _services = use_services();
    let dataset = Dataset::simulate(10, 4, 5);
    let installation = Installation::new(1);
    let sandbox = &installation.sandbox;
    let events = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&events]);
    sandbox.etl();
    let landed = dataset.truth.accounting.landed;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = ("QUESTLAKE_STORES_HOT", format!("mongodb://me:secret@{address}/questlake"));
    let forget = ["--archive-hot-retention", "1ms"];
    let archive = ["archive", "--archive-after", "0s", "--archive-grace", "0s"];
    let failed = sandbox.with_variables(&[away]).fail(&[&archive[..], &forget].concat());
    assert!(failed.stderr.contains(&address.to_string()), "{failed:#?}");
    assert!(!failed.text().contains("secret"), "{failed:#?}");
    let status = sandbox.status();
    assert_eq!(
        (&status["landing"]["rows"], &status["archive"]["rows"]),
        (&0.into(), &landed.into())
    );
    installation.assert_exactly_once(&dataset, Sent::Once, "archived without the hot store");
    // The next run does what is left.
    let report = sandbox.archive(&forget);
    assert_eq!(report["pruned_documents"], landed, "{report}");
    let counted = sandbox.query("SELECT count(*) AS events FROM events.envelope");
    assert_eq!(counted[0]["events"], landed);
}

/// Answers are computed anew then.
#[test]
fn without_the_cache_all_is_well() {
    let _services = use_services();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let installation = Installation::new(1);
    let away = ("QUESTLAKE_STORES_CACHE", format!("redis://:secret@127.0.0.1:{port}/0"));
    let status = installation.sandbox.with_variables(&[away]).succeed(&["status"]);
    assert!(status.stdout.contains(&format!("127.0.0.1:{port}")), "{status:#?}");
    assert!(!status.text().contains("secret"), "{status:#?}");
}

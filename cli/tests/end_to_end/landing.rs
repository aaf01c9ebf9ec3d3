//! What was landed is checked whenever it is read.

use std::fs;

use crate::dataset::Dataset;
use crate::inspect::{Sent, assert_exactly_once, number, segment_names, star_tables, warehouse};
use crate::sandbox::Sandbox;

#[test]
fn a_segment_that_was_changed_is_named_and_nothing_of_it_is_loaded() {
    let dataset = Dataset::simulate(60, 10, 51);
    let sandbox = Sandbox::new();
    let parts = dataset.parts(2);
    let first = sandbox.write("first.ndjson", &parts[0]);
    let second = sandbox.write("second.ndjson", &parts[1]);
    sandbox.ingest(&[&first]);
    sandbox.etl();
    let before = star_tables(&sandbox, true);
    sandbox.ingest(&[&second]);
    let name = segment_names(&sandbox).pop().unwrap();
    let path = sandbox.data().join("landing").join(&name);
    let intact = fs::read(&path).unwrap();
    // A byte of the section that fact_purchase reads.
    let offset = number(
        &sandbox,
        "SELECT \"offset\" + length / 2 FROM meta_sections WHERE event_type = 'purchase' \
         ORDER BY sequence DESC LIMIT 1",
    );
    let mut damaged = intact.clone();
    damaged[offset as usize] ^= 0x10;
    fs::write(&path, &damaged).unwrap();
    let refused = sandbox.fail(&["etl", "run"]);
    assert!(refused.text().contains(&name), "{refused:#?}");
    assert!(refused.text().contains("checksum"), "{refused:#?}");
    let after = star_tables(&sandbox, true);
    assert_eq!(before["fact_purchase"], after["fact_purchase"]);
    let progress = warehouse(&sandbox)
        .query_row(
            "SELECT ledger_sequence FROM meta_models WHERE model = 'fact_purchase'",
            [],
            |row| row.get::<_, i64>(0),
        )
        .unwrap();
    assert!(progress < number(&sandbox, "SELECT max(sequence) FROM meta_segments"));

    // A file that is cut off, and one that is gone.
    let mismatches = || {
        let status = sandbox.fail(&["status", "--format", "json"]).json();
        status["accounting"]["mismatches"].to_string()
    };
    fs::write(&path, &intact[..offset as usize]).unwrap();
    let refused = sandbox.fail(&["etl", "run"]);
    assert!(refused.text().contains(&name), "{refused:#?}");
    assert!(mismatches().contains(&format!("{name} has {offset} bytes")), "{}", mismatches());
    fs::remove_file(&path).unwrap();
    let refused = sandbox.fail(&["etl", "run"]);
    assert!(refused.text().contains(&name), "{refused:#?}");
    assert!(mismatches().contains(&format!("{name} is missing")), "{}", mismatches());

    fs::write(&path, &intact).unwrap();
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the segment was restored");
}

/// What the hot store does not know is no duplicate when it is sent again.
#[test]
fn a_hot_store_that_was_lost_shows_in_the_status() {
    let dataset = Dataset::simulate(10, 4, 52);
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&file]);
    sandbox.succeed(&["status"]);
    for name in ["hot.db", "hot.db-wal", "hot.db-shm"] {
        let _ = fs::remove_file(sandbox.data().join(name));
    }
    let shown = sandbox.fail(&["status"]);
    assert!(shown.stdout.contains("but the hot store 0; put it back"), "{shown:#?}");
}

#[test]
fn segments_that_no_commit_lists_are_read_by_nobody() {
    let dataset = Dataset::simulate(30, 6, 52);
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&file]);
    let name = segment_names(&sandbox).pop().unwrap();
    let path = sandbox.data().join("landing").join(&name);
    fs::copy(&path, path.with_file_name("orphan.qls")).unwrap();
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "with an orphan");
}

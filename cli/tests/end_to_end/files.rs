//! Files are taken in exactly once, whatever they are called and however often they are given.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::dataset::{Dataset, whole_event};
use crate::gzip::gzip;
use crate::inspect::{Sent, accounting, assert_exactly_once, landed_keys, number};
use crate::sandbox::{Running, Sandbox, wait_for};

fn consumed(report: &Value) -> u64 {
    report["totals"]["consumed"].as_u64().unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn the_same_content_lands_once_under_any_name() {
    let dataset = Dataset::simulate(60, 8, 21);
    let bytes = dataset.bytes();
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", &bytes);
    let report = sandbox.ingest(&[&file]);
    assert_eq!(consumed(&report), dataset.truth.accounting.lines);
    assert_eq!(report["totals"]["landed"], dataset.truth.accounting.landed, "{report}");
    assert_eq!(report["totals"]["duplicates"], dataset.truth.accounting.duplicates, "{report}");
    assert_eq!(report["totals"]["quarantined"], dataset.truth.accounting.quarantined, "{report}");
    assert_eq!(report["files"][0]["skipped_bytes"], 0, "{report}");

    let packed = sandbox.write("packed.gz", gzip(&bytes));
    let renamed = sandbox.write("renamed.json", &bytes);
    for again in [&file, &packed, &renamed] {
        let report = sandbox.ingest(&[again]);
        assert_eq!(consumed(&report), 0, "{report}");
        assert_eq!(report["files"][0]["skipped_bytes"], bytes.len(), "{report}");
    }
    let report = sandbox.ingest(&[&file, &packed, &renamed]);
    assert_eq!(consumed(&report), 0, "{report}");
    assert_eq!(report["files"].as_array().unwrap().len(), 3, "{report}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "given seven times");
}

#[test]
fn a_file_that_grows_goes_on_where_it_was_read_to() {
    let dataset = Dataset::simulate(60, 8, 22);
    let sandbox = Sandbox::new();
    let parts = dataset.parts(3);
    let path = sandbox.path("growing.ndjson");
    let mut content = Vec::new();
    let mut before = 0;
    for (index, part) in parts.iter().enumerate() {
        content.extend_from_slice(part);
        // Packed, plain or under another name: what counts is the content.
        let path = match index {
            1 => sandbox.write("grown.gz", gzip(&content)),
            _ => sandbox.write("growing.ndjson", &content),
        };
        let report = sandbox.ingest(&[&path]);
        assert_eq!(report["files"][0]["skipped_bytes"], before, "{report}");
        let lines = part.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(consumed(&report), lines as u64, "{report}");
        before = content.len();
    }
    assert!(path.exists());
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "a growing file");
}

#[test]
fn an_interrupted_ingest_ends_cleanly_and_goes_on() {
    let dataset = Dataset::simulate(400, 30, 23);
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset.bytes());
    let arguments = ["ingest", "--ingest-batch-records", "500", file.to_str().unwrap()];
    let mut running = Running::start(&mut sandbox.command(&arguments));
    wait_for("the first commits", || {
        assert!(!running.has_ended(), "it ended before it could be interrupted");
        (committed_bytes(&sandbox) > 0).then_some(())
    });
    running.signal("INT");
    let interrupted = running.finish();
    assert_eq!(interrupted.status.code(), Some(130), "{interrupted:#?}");
    let so_far = accounting(&sandbox);
    assert!(so_far.lines > 0 && so_far.lines < dataset.truth.accounting.lines, "{so_far:?}");

    let report = sandbox.ingest(&[&file]);
    assert_eq!(consumed(&report), dataset.truth.accounting.lines - so_far.lines, "{report}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "interrupted");
}

/// Whenever it comes, an interrupt is answered by the program and not by the system.
#[test]
fn an_interrupt_between_files_ends_cleanly_too() {
    let dataset = Dataset::simulate(20, 10, 26);
    let sandbox = Sandbox::new();
    let mut arguments = vec!["ingest".to_owned()];
    for (number, part) in dataset.parts(60).iter().enumerate() {
        let file = sandbox.write(&format!("part-{number}.ndjson"), part);
        arguments.push(file.display().to_string());
    }
    let mut enough = 0;
    for _ in 0..8 {
        let before = committed_files(&sandbox);
        let mut running = Running::start(&mut sandbox.command(&arguments));
        wait_for("another file", || {
            (running.has_ended() || committed_files(&sandbox) > before).then_some(())
        });
        if !running.has_ended() {
            running.signal("INT");
        }
        let finished = running.finish();
        assert!(matches!(finished.status.code(), Some(130 | 0)), "{finished:#?}");
        enough += usize::from(finished.status.code() == Some(130));
    }
    assert!(enough > 0, "it was never interrupted");
    sandbox.succeed(&arguments);
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "interrupted between files");
}

/// Files of which something is committed.
fn committed_files(sandbox: &Sandbox) -> i64 {
    let Ok(connection) = rusqlite::Connection::open(sandbox.data().join("warehouse.db")) else {
        return 0;
    };
    let files = "SELECT count(*) FROM meta_partitions WHERE next_offset > 0";
    connection.query_row(files, [], |row| row.get(0)).unwrap_or(0)
}

/// How far the ledger has come, as soon as there is one.
fn committed_bytes(sandbox: &Sandbox) -> i64 {
    let Ok(connection) = rusqlite::Connection::open(sandbox.data().join("warehouse.db")) else {
        return 0;
    };
    let position = "SELECT coalesce(max(next_offset), 0) FROM meta_partitions";
    connection.query_row(position, [], |row| row.get(0)).unwrap_or(0)
}

/// Whoever writes a file may be in the middle of a line when it is read.
#[test]
fn a_line_that_is_being_written_waits_for_its_end() {
    let dataset = Dataset::simulate(20, 5, 26);
    let sandbox = Sandbox::new();
    let bytes = dataset.bytes();
    // Cut in the middle of an event, wherever faults stand.
    let half = dataset.lines.len() / 2;
    let is_whole = |line: &Vec<u8>| whole_event(line).is_some();
    let line = half + dataset.lines[half..].iter().position(is_whole).unwrap();
    let before: usize = dataset.lines[..line].iter().map(Vec::len).sum();
    let cut = before + dataset.lines[line].len() / 2;
    let file = sandbox.write("events.ndjson", &bytes[..cut]);
    for skipped in [0, before] {
        let report = sandbox.ingest(&[&file]);
        assert_eq!(report["files"][0]["unfinished_bytes"], cut - before, "{report}");
        assert_eq!(report["files"][0]["skipped_bytes"], skipped, "{report}");
    }
    sandbox.write("events.ndjson", &bytes);
    let report = sandbox.ingest(&[&file]);
    assert_eq!(report["files"][0]["unfinished_bytes"], 0, "{report}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "read while it was written");
}

/// What is longer than any record is read past.
#[test]
fn a_very_long_line_is_quarantined_and_what_is_around_it_lands() {
    let dataset = Dataset::simulate(10, 4, 27);
    let (before, behind) = dataset.lines.split_at(dataset.lines.len() / 2);
    let long = vec![b'x'; 80 << 20];
    let bytes = [before.concat(), long, b"\n".to_vec(), behind.concat()].concat();
    for from_pipe in [false, true] {
        let sandbox = Sandbox::new();
        let report = if from_pipe {
            sandbox.run_with_input(&["ingest", "-", "--format", "json"], &bytes).json()
        } else {
            let file = sandbox.write("events.ndjson", &bytes);
            let report = sandbox.ingest(&[&file]);
            let again = sandbox.ingest(&[&file]);
            assert_eq!(consumed(&again), 0, "{again}");
            assert_eq!(again["files"][0]["skipped_bytes"], bytes.len(), "{again}");
            report
        };
        assert_eq!(consumed(&report), dataset.truth.accounting.lines + 1, "{report}");
        assert_eq!(report["totals"]["landed"], dataset.truth.accounting.landed, "{report}");
        let kept = "SELECT max(length(raw)) FROM meta_quarantine WHERE reason = 'record_too_long'";
        assert_eq!(number(&sandbox, kept), 8 << 20);
    }
}

#[test]
fn standard_input_is_a_file_that_cannot_be_read_again() {
    let dataset = Dataset::simulate(40, 8, 24);
    let sandbox = Sandbox::new();
    let finished = sandbox.run_with_input(&["ingest", "-", "--format", "json"], &dataset.bytes());
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(consumed(&finished.json()), dataset.truth.accounting.lines);
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "standard input");

    // The same through a file: other physical keys, so every event is a duplicate.
    let file = sandbox.write("events.ndjson", dataset.bytes());
    let report = sandbox.ingest(&[&file]);
    assert_eq!(report["totals"]["landed"], 0, "{report}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Again, "standard input, then a file");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_taken_in() {
    let dataset = Dataset::simulate(10, 4, 25);
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset.bytes());
    let refused = sandbox.refuse(&["ingest", "no-such-file.ndjson"]);
    assert!(refused.text().contains("no-such-file.ndjson"), "{refused:#?}");
    let folder = sandbox.path("folder");
    fs::create_dir(&folder).unwrap();
    let refused = sandbox.fail(&[Path::new("ingest"), &folder]);
    assert!(refused.text().contains("folder"), "{refused:#?}");
    let truncated = gzip(&dataset.bytes());
    let truncated = sandbox.write("cut.gz", &truncated[..truncated.len() / 2]);
    let refused = sandbox.fail(&[Path::new("ingest"), &truncated]);
    assert!(refused.text().contains("cut.gz"), "{refused:#?}");
    assert!(refused.text().contains("is cut off"), "{refused:#?}");
    // Nobody writes into it: to open it is to wait.
    let pipe = sandbox.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let refused = sandbox.fail(&[Path::new("ingest"), &pipe]);
    assert!(refused.text().contains("is a pipe"), "{refused:#?}");
    let packed = sandbox.write("events.zst", b"\x28\xB5\x2F\xFD\x04\x00\x01");
    let refused = sandbox.fail(&[Path::new("ingest"), &packed]);
    assert!(refused.text().contains("zstd -dc"), "{refused:#?}");
    assert_eq!(accounting(&sandbox).lines, 0);
    sandbox.ingest(&[&file]);
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after files that cannot be read");
}

/// The senders of an event may disagree on everything but its identifier.
#[test]
fn one_identifier_is_one_event_whoever_it_is_said_to_be_of() {
    let sandbox = Sandbox::new();
    let line = |player: &str, minute: u32| {
        format!(
            "{{\"event_id\":\"e1\",\"event_type\":\"session_start\",\
             \"event_time\":\"2026-01-05T10:{minute:02}:00Z\",\"player_id\":\"{player}\",\
             \"session_id\":\"s-{player}\",\"properties\":{{\"session_number\":1}}}}\n"
        )
    };
    let players = ["m", "z", "a", "k", "b"];
    let lines: Vec<String> =
        players.iter().zip(0..).map(|(player, minute)| line(player, minute)).collect();
    let together = sandbox.write("together.ndjson", lines[..3].concat());
    let report = sandbox.ingest(&[&together]);
    assert_eq!(report["totals"]["landed"], 1, "{report}");
    assert_eq!(report["totals"]["duplicates"], 2, "{report}");
    let later = sandbox.write("later.ndjson", lines[3..].concat());
    let report = sandbox.ingest(&[&later]);
    assert_eq!(report["totals"]["duplicates"], 2, "{report}");
    sandbox.etl();
    assert_eq!(landed_keys(&sandbox), ["e1"]);
    assert_eq!(number(&sandbox, "SELECT count(*) FROM dim_player"), 1);
}

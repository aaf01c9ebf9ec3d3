//! Events move to the archive, and nobody who asks for them can tell.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dataset::{Dataset, event_day};
use crate::increments::partitioned_models;
use crate::inspect::{
    Sent, archive_files, assert_exactly_once, assert_same_tables, files_below, hot_keys,
    ledger_days, number, queried_days, star_tables, true_days,
};
use crate::sandbox::{Running, Sandbox};

/// Removes what nobody reads, however young. Nobody may be reading.
const VACUUM_NOW: [&str; 3] = ["--vacuum", "--archive-vacuum-after", "0s"];

/// Takes in a part of a data set and brings the star schema up to date.
fn load(sandbox: &Sandbox, name: &str, lines: &[u8]) {
    land(sandbox, name, lines);
    sandbox.etl();
}

fn land(sandbox: &Sandbox, name: &str, lines: &[u8]) {
    let file = sandbox.write(&format!("{name}.ndjson"), lines);
    sandbox.ingest(&[&file]);
}

/// Rows that a run of the archive moved.
fn moved_rows(report: &Value) -> u64 {
    report["moved"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum()
}

/// The sum of one figure over all tables of an upkeep report.
fn total(report: &Value, part: &str, figure: &str) -> u64 {
    report[part].as_array().unwrap().iter().map(|table| table[figure].as_u64().unwrap()).sum()
}

fn landing_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_below(sandbox, "landing", ".qls")
}

/// Everything is in the archive, and nothing is left in landing.
fn archived(dataset: &Dataset, parts: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for (index, part) in dataset.parts(parts).iter().enumerate() {
        load(&sandbox, &format!("part-{index}"), part);
        sandbox.archive(&[]);
    }
    assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);
    sandbox
}

#[test]
fn every_answer_stays_while_events_move() {
    let dataset = Dataset::simulate(120, 20, 71);
    let sandbox = Sandbox::new();
    for (index, part) in dataset.parts(3).iter().enumerate() {
        load(&sandbox, &format!("part-{index}"), part);
        let before = queried_days(&sandbox);
        assert_eq!(before, ledger_days(&sandbox), "part {index}");
        let landed = sandbox.status()["landing"]["rows"].as_u64().unwrap();
        let report = sandbox.archive(&[]);
        assert_eq!(moved_rows(&report), landed, "{report}");
        assert_eq!(report["waiting_commits"], 0, "{report}");
        assert!(report["pruned_segments"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(queried_days(&sandbox), before, "part {index}");
        assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);

        let status = sandbox.status();
        assert_eq!(status["accounting"]["adds_up"], true, "{status}");
        assert_eq!(status["archive"]["rows"], status["accounting"]["landed"], "{status}");
        assert_eq!(status["archive"]["through"], status["landing"]["latest_sequence"], "{status}");
        assert_eq!(status["archive"]["under_way"], false, "{status}");
        assert_eq!(
            (&status["landing"]["segments"], &status["landing"]["rows"]),
            (&0.into(), &0.into())
        );
    }
    assert_eq!(queried_days(&sandbox), true_days(&dataset));
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "archived three times");
    let text = sandbox.succeed(&["status"]).stdout;
    assert!(text.contains("archive"), "{text}");
    let again = sandbox.succeed(&["archive"]).stdout;
    assert!(again.contains("nothing new to archive"), "{again}");
}

/// Files stay in landing for a while, for those who have begun to read them; what is in both places
/// counts once.
#[test]
fn segments_stay_until_nobody_reads_them() {
    let dataset = Dataset::simulate(60, 10, 72);
    let sandbox = Sandbox::new();
    load(&sandbox, "events", &dataset.bytes());
    let files = landing_files(&sandbox);
    let text = sandbox.succeed(&["archive"]).stdout;
    assert!(text.contains("archive.grace"), "{text}");
    assert_eq!(landing_files(&sandbox), files);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "in both places");
    let report = sandbox.archive(&[]);
    assert_eq!(moved_rows(&report), 0, "{report}");
    assert_eq!(report["pruned_segments"], files.len() as u64, "{report}");
    assert!(report["pruned_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "in the archive alone");
}

#[test]
fn late_events_are_appended_to_archived_days() {
    let dataset = Dataset::simulate(100, 16, 73);
    let late_days = ["2026-01-06", "2026-01-07"];
    let is_late =
        |line: &[u8]| event_day(line).is_some_and(|day| late_days.contains(&day.as_str()));
    let (late, punctual): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
        dataset.lines.iter().cloned().partition(|line| is_late(line));
    // A third of each day comes in time.
    let (some, rest): (Vec<_>, Vec<_>) =
        late.iter().enumerate().partition(|(index, _)| index % 3 == 0);
    let lines = |part: Vec<(usize, &Vec<u8>)>| -> Vec<u8> {
        part.into_iter().flat_map(|(_, line)| line.iter().copied()).collect()
    };
    let sandbox = Sandbox::new();
    load(&sandbox, "punctual", &[punctual.concat(), lines(some)].concat());
    sandbox.archive(&[]);
    let files_of = |day: &str| {
        let folder = format!("purchase/event_date={day}");
        files_below(&sandbox, &format!("archive/{folder}"), ".parquet").len()
    };
    assert_eq!(late_days.map(files_of), [1, 1]);
    load(&sandbox, "late", &lines(rest));
    let report = sandbox.archive(&[]);
    let tables = report["moved"].as_array().unwrap();
    assert!(tables.iter().all(|table| table["days"].as_u64().unwrap() <= 2), "{report}");
    assert_eq!(late_days.map(files_of), [2, 2]);
    assert_eq!(files_of("2026-01-10"), 1);
    assert_eq!(queried_days(&sandbox), true_days(&dataset));
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "late events");
}

#[test]
fn rebuilds_read_the_archive() {
    let dataset = Dataset::simulate(100, 24, 74);
    let sandbox = archived(&dataset, 2);
    let before = star_tables(&sandbox, true);
    sandbox.succeed(&["etl", "run", "--full-refresh"]);
    assert_same_tables(&before, &star_tables(&sandbox, true), "full refresh");
    let mut backfill = vec!["etl", "run", "--from", "2026-01-09", "--to", "2026-01-15"];
    let models = partitioned_models(&sandbox);
    for model in &models {
        backfill.extend(["--select", model]);
    }
    sandbox.succeed(&backfill);
    assert_same_tables(&before, &star_tables(&sandbox, true), "backfill");
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "rebuilt from the archive");

    // From archive and landing together, with tables that were lost.
    let half = Sandbox::new();
    let parts = dataset.parts(2);
    load(&half, "first", &parts[0]);
    half.archive(&[]);
    load(&half, "second", &parts[1]);
    half.succeed(&["etl", "run", "--full-refresh"]);
    assert_same_tables(&star_tables(&sandbox, false), &star_tables(&half, false), "both");
    assert_exactly_once(&half, &dataset, Sent::Once, "rebuilt from both");
}

#[test]
fn a_move_that_was_cut_off_ends_and_what_came_since_follows() {
    let dataset = Dataset::simulate(60, 8, 81);
    let parts = dataset.parts(2);
    let sandbox = Sandbox::new();
    load(&sandbox, "first", &parts[0]);
    let mut cut_off = sandbox.command(&["archive", "--archive-after", "0s"]);
    cut_off.env("QUESTLAKE_FAILPOINTS", "archive.before_ledger_commit=abort@1");
    assert!(!Running::start(&mut cut_off).finish().status.success());
    assert_eq!(sandbox.status()["archive"]["under_way"], true);
    load(&sandbox, "second", &parts[1]);
    let report = sandbox.archive(&[]);
    assert_eq!(moved_rows(&report), dataset.keys.events.len() as u64);
    assert_eq!(number(&sandbox, "SELECT count(*) FROM meta_segments"), 0);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after both moves");
}

#[test]
fn what_a_model_has_still_to_read_stays_in_landing() {
    let dataset = Dataset::simulate(60, 12, 75);
    let parts = dataset.parts(3);
    let sandbox = Sandbox::new();
    land(&sandbox, "part-0", &parts[0]);
    let report = sandbox.archive(&[]);
    assert_eq!((moved_rows(&report), &report["through"]), (0, &0.into()), "{report}");
    assert!(report["waiting_commits"].as_i64().unwrap() > 0, "{report}");

    sandbox.etl();
    let first = number(&sandbox, "SELECT max(sequence) FROM meta_segments");
    land(&sandbox, "part-1", &parts[1]);
    // All but one model read on.
    let models: Vec<String> =
        star_tables(&sandbox, true).into_keys().filter(|name| name != "fact_purchase").collect();
    let mut run = vec!["etl", "run"];
    for model in &models {
        run.extend(["--select", model]);
    }
    sandbox.succeed(&run);
    let waiting = landing_files(&sandbox);
    let report = sandbox.archive(&[]);
    assert_eq!(report["through"], first, "{report}");
    assert_eq!(report["waiting_for"], "fact_purchase", "{report}");
    let latest = number(&sandbox, "SELECT max(sequence) FROM meta_segments");
    assert_eq!(report["waiting_commits"], latest - first, "{report}");
    assert!(landing_files(&sandbox).len() < waiting.len());
    assert!(!landing_files(&sandbox).is_empty());
    let text = sandbox.succeed(&["archive"]).stdout;
    assert!(text.contains("in landing until read by fact_purchase"), "{text}");
    assert_eq!(queried_days(&sandbox), ledger_days(&sandbox));

    load(&sandbox, "part-2", &parts[2]);
    let report = sandbox.archive(&[]);
    assert_eq!((&report["waiting_commits"], &report["waiting_for"]), (&0.into(), &Value::Null));
    assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the model caught up");
}

#[test]
fn young_events_stay_in_landing() {
    let dataset = Dataset::simulate(60, 16, 80);
    let sandbox = Sandbox::new();
    for (index, part) in dataset.parts(4).iter().enumerate() {
        load(&sandbox, &format!("part-{index}"), part);
    }
    let before = landing_files(&sandbox);
    // Of the four portions of four days each, the first is wholly older, and the last two are not.
    let report = sandbox.archive(&["--before", "2026-01-10"]);
    assert!(moved_rows(&report) > 0, "{report}");
    let young = report["young_commits"].as_u64().unwrap();
    assert_eq!(landing_files(&sandbox).len() as u64, young);
    assert!(young >= 2 && young < before.len() as u64, "{report}");
    let latest = "SELECT max(event_date) < unixepoch('2026-01-10') / 86400 FROM meta_archive_days";
    assert_eq!(number(&sandbox, latest), 1);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "old events in the archive");
    let text = sandbox.succeed(&["archive", "--before", "2026-01-10"]).stdout;
    assert!(text.contains("too young"), "{text}");
    assert!(text.contains("nothing new to archive"), "{text}");
    let report = sandbox.archive(&[]);
    assert_eq!((&report["young_commits"], &report["waiting_commits"]), (&0.into(), &0.into()));
    assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "all events in the archive");
}

#[test]
fn small_files_are_put_together_and_replaced_ones_removed() {
    let dataset = Dataset::simulate(60, 8, 76);
    // Parts that hold events of every day.
    let mut parts = vec![Vec::new(); 3];
    for (index, line) in dataset.lines.iter().enumerate() {
        parts[index % 3].extend_from_slice(line);
    }
    let sandbox = Sandbox::new();
    for (index, part) in parts.iter().enumerate() {
        load(&sandbox, &format!("part-{index}"), part);
        sandbox.archive(&[]);
    }
    let before = (queried_days(&sandbox), archive_files(&sandbox));
    let report = sandbox.archive(&["--optimize", "--vacuum"]);
    let (merged, made) =
        (total(&report, "optimized", "files_before"), total(&report, "optimized", "files_after"));
    assert!(merged >= 2 * made && made > 0, "{report}");
    // The replaced files may still be read by somebody.
    assert_eq!(total(&report, "vacuumed", "files_removed"), 0, "{report}");
    assert_eq!(archive_files(&sandbox).len() as u64, before.1.len() as u64 + made);
    assert_eq!(queried_days(&sandbox), before.0);
    let again = sandbox.succeed(&["archive", "--optimize"]).stdout;
    assert!(again.contains("nothing to optimize"), "{again}");

    let all = archive_files(&sandbox);
    let asked = sandbox.archive(&[VACUUM_NOW.as_slice(), &["--dry-run"]].concat());
    assert_eq!(total(&asked, "vacuumed", "files_removed"), merged, "{asked}");
    assert_eq!(archive_files(&sandbox), all);
    let text = sandbox.succeed(&[&["archive", "--dry-run"], VACUUM_NOW.as_slice()].concat()).stdout;
    assert!(text.contains("would remove"), "{text}");
    let done = sandbox.archive(&VACUUM_NOW);
    assert_eq!(done["vacuumed"], asked["vacuumed"]);
    assert_eq!(archive_files(&sandbox).len() as u64, all.len() as u64 - merged);
    assert_eq!(queried_days(&sandbox), before.0);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "optimized and vacuumed");
    let text = sandbox.succeed(&[&["archive"], VACUUM_NOW.as_slice()].concat()).stdout;
    assert!(text.contains("nothing to vacuum"), "{text}");
    // Further events find their way to the merged files.
    sandbox.succeed(&["etl", "run", "--full-refresh"]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "rebuilt from merged files");
    sandbox.refuse(&["archive", "--dry-run"]);
}

/// The data files of an event type's table.
fn files_of(sandbox: &Sandbox, event_type: &str) -> Vec<PathBuf> {
    let table = sandbox.data().join("archive").join(event_type);
    archive_files(sandbox).into_iter().filter(|path| path.starts_with(&table)).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn nothing_is_pruned_that_the_archive_does_not_hold() {
    let dataset = Dataset::simulate(60, 8, 77);
    let sandbox = Sandbox::new();
    load(&sandbox, "events", &dataset.bytes());
    // In both places: the archive holds all, and landing has not been pruned.
    sandbox.succeed(&["archive"]);
    let landing = landing_files(&sandbox);
    assert!(!landing.is_empty());
    let prune = ["archive", "--archive-grace", "0s"];
    let refused = |what: &str, named: &str| {
        let text = sandbox.fail(&prune).text();
        assert!(text.contains(named), "{what}: {text}");
        assert!(text.contains("archive"), "{what}: {text}");
        assert_eq!(landing_files(&sandbox), landing, "{what}");
        let kept = number(&sandbox, "SELECT count(*) FROM meta_segments");
        assert_eq!(kept, landing.len() as i64, "{what}");
    };
    let path = files_of(&sandbox, "purchase").swap_remove(0);
    let name = file_name(&path);
    let intact = fs::read(&path).unwrap();
    // Each part of a file: its head, data, footer, and the last byte.
    for place in [0, 5, intact.len() / 2, intact.len() - 100, intact.len() - 1] {
        let mut damaged = intact.clone();
        damaged[place] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        refused("flipped bits", name);
    }
    for length in [0, 3, intact.len() / 2, intact.len() - 1] {
        fs::write(&path, &intact[..length]).unwrap();
        refused("cut off", name);
    }
    fs::write(&path, [intact.as_slice(), b"more"].concat()).unwrap();
    refused("longer", name);
    fs::remove_file(&path).unwrap();
    refused("gone", name);
    // Whole, but of another day.
    let other = files_of(&sandbox, "purchase").swap_remove(0);
    fs::copy(other, &path).unwrap();
    refused("another file", name);
    fs::write(&path, &intact).unwrap();

    // A log that lost its latest entry knows less than the ledger.
    let entries = files_below(&sandbox, "archive/purchase/_delta_log", ".json");
    let entry = entries.last().unwrap();
    let content = fs::read(entry).unwrap();
    fs::remove_file(entry).unwrap();
    refused("an entry of the log is gone", "purchase");
    fs::write(entry, content).unwrap();

    let report = sandbox.archive(&[]);
    assert_eq!(report["pruned_segments"], landing.len() as u64, "{report}");
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the file was restored");
}

#[test]
fn an_archive_that_is_gone_is_not_an_empty_one() {
    let dataset = Dataset::simulate(60, 8, 78);
    let parts = dataset.parts(2);
    let sandbox = Sandbox::new();
    load(&sandbox, "first", &parts[0]);
    sandbox.archive(&[]);
    load(&sandbox, "second", &parts[1]);
    let landing = landing_files(&sandbox);
    let (there, away) = (sandbox.data().join("archive"), sandbox.path("elsewhere"));
    fs::rename(&there, &away).unwrap();
    for command in [
        vec!["query", "SELECT count(*) FROM events.purchase"],
        vec!["query", "SELECT count(*) FROM events.envelope"],
        vec!["etl", "run", "--full-refresh"],
        vec!["archive", "--archive-grace", "0s"],
    ] {
        let text = sandbox.fail(&command).text();
        assert!(text.contains("archive"), "{command:?}: {text}");
    }
    assert_eq!(landing_files(&sandbox), landing);
    assert!(!there.exists() || archive_files(&sandbox).is_empty(), "a new archive was begun");
    let status = sandbox.run(&["status", "--format", "json"]).json();
    let stores = status["stores"].as_array().unwrap();
    let archive = stores.iter().find(|store| store["store"] == "archive").unwrap();
    assert_eq!(archive["healthy"], false, "{status}");

    // Only what is archived needs it.
    sandbox.succeed(&["query", "SELECT count(*) FROM star.dim_player"]);
    let _ = fs::remove_dir_all(&there);
    fs::rename(&away, &there).unwrap();
    // Nothing of the failed rebuilds was published.
    sandbox.etl();
    sandbox.archive(&[]);
    assert_eq!(landing_files(&sandbox), [] as [PathBuf; 0]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the archive was mounted again");
}

#[test]
fn the_hot_store_forgets_what_is_archived_and_old() {
    let dataset = Dataset::simulate(60, 8, 79);
    let parts = dataset.parts(2);
    let landed = dataset.truth.accounting.landed;
    let sandbox = Sandbox::new();
    load(&sandbox, "first", &parts[0]);
    sandbox.archive(&[]);
    land(&sandbox, "second", &parts[1]);
    let forget = ["--archive-hot-retention", "1ms"];
    // The star schema has not read the second part, so that it is not in the archive: documents of
    // its time stay.
    let report = sandbox.archive(&forget);
    assert_eq!(report["pruned_documents"], 0, "{report}");
    assert_eq!(hot_keys(&sandbox).len() as u64, landed);
    sandbox.etl();
    let report = sandbox.archive(&[]);
    assert_eq!(report["pruned_documents"], 0, "{report}");
    // In the archive, but not for so long.
    let report = sandbox.archive(&["--archive-hot-retention", "1h"]);
    assert_eq!(report["pruned_documents"], 0, "{report}");
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "before anything was forgotten");
    let report = sandbox.archive(&forget);
    assert_eq!(report["pruned_documents"], landed, "{report}");
    assert_eq!(hot_keys(&sandbox), [] as [String; 0]);
    assert_eq!(number_in_hot(&sandbox, "player_runs"), 0);
    assert_eq!(queried_days(&sandbox), true_days(&dataset));
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
    assert_eq!(status["hot"]["events"], 0, "{status}");
}

fn number_in_hot(sandbox: &Sandbox, table: &str) -> i64 {
    rusqlite::Connection::open(sandbox.data().join("hot.db"))
        .unwrap()
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
        .unwrap()
}

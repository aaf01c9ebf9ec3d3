//! The archive beside a project or a warehouse that does not fit it: refused, with nothing lost.

use std::fs;
use std::path::PathBuf;

use crate::dataset::Dataset;
use crate::inspect::{
    Sent, archive_files, assert_exactly_once, files_below, queried_days, true_days,
};
use crate::sandbox::{Sandbox, bundled_project, copy_folder};

/// Whatever is old enough moves; segments are not removed for an hour.
const ARCHIVE: [&str; 3] = ["archive", "--archive-after", "0s"];

fn load(sandbox: &Sandbox, name: &str, lines: &[u8]) {
    let file = sandbox.write(&format!("{name}.ndjson"), lines);
    sandbox.ingest(&[&file]);
    sandbox.etl();
}

fn segments(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_below(sandbox, "landing", ".qls")
}

#[test]
fn events_without_a_contract_stay_until_it_is_back() {
    let dataset = Dataset::simulate(60, 8, 80);
    let sandbox = Sandbox::new();
    load(&sandbox, "events", &dataset.bytes());
    let landed = segments(&sandbox);

    // No model of the bundled project reads these events by their type.
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    fs::remove_file(project.join("sql/events/social_action.sql")).unwrap();
    let without_contract = sandbox.with_other_project(&project);
    for attempt in ["first", "second"] {
        let text = without_contract.fail(&ARCHIVE).text();
        assert!(text.contains("events of type social_action have landed"), "{attempt}: {text}");
        assert!(text.contains("put it back"), "{attempt}: {text}");
        assert_eq!(segments(&sandbox), landed, "{attempt}");
        // Whoever has the contract still sees everything, and each event once.
        assert_eq!(queried_days(&sandbox), true_days(&dataset), "{attempt}");
    }

    let contract = "sql/events/social_action.sql";
    fs::copy(bundled_project().join(contract), project.join(contract)).unwrap();
    let report = without_contract.archive(&[]);
    assert_eq!(report["pruned_segments"], landed.len() as u64, "{report}");
    assert_eq!(segments(&sandbox), [] as [PathBuf; 0]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the contract was put back");
}

/// The files of the warehouse's database, with their content.
fn backup(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(sandbox.data()).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with("warehouse.db"))
        .map(|entry| (entry.path(), fs::read(entry.path()).unwrap()))
        .collect()
}

fn restore(sandbox: &Sandbox, files: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in backup(sandbox) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in files {
        fs::write(path, content).unwrap();
    }
}

#[test]
fn an_old_backup_of_the_warehouse_does_not_archive_events_again() {
    let dataset = Dataset::simulate(60, 8, 81);
    let parts = dataset.parts(3);
    let sandbox = Sandbox::new();
    load(&sandbox, "first", &parts[0]);
    sandbox.succeed(&ARCHIVE);
    load(&sandbox, "second", &parts[1]);
    let old = backup(&sandbox);
    sandbox.succeed(&ARCHIVE);
    let latest = backup(&sandbox);

    // The archive holds the second part, of which the backup knows only that it has landed. What
    // lands next would move together with it.
    restore(&sandbox, &old);
    load(&sandbox, "third", &parts[2]);
    let (files, landed) = (archive_files(&sandbox), segments(&sandbox));
    for attempt in ["first", "second"] {
        let text = sandbox.fail(&ARCHIVE).text();
        assert!(text.contains("holds commits up to"), "{attempt}: {text}");
        assert!(text.contains("old backup"), "{attempt}: {text}");
        assert_eq!(archive_files(&sandbox), files, "{attempt}");
        assert_eq!(segments(&sandbox), landed, "{attempt}");
        assert_eq!(queried_days(&sandbox), true_days(&dataset), "{attempt}");
    }

    // The way out that the message names. The third part is unknown to this warehouse.
    restore(&sandbox, &latest);
    load(&sandbox, "third", &parts[2]);
    sandbox.archive(&[]);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "after the right backup was restored");
}

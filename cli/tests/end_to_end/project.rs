//! Projects and settings: new ones, broken ones, and those that change.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::Dataset;
use crate::inspect::{Sent, assert_exactly_once, number, star_tables, warehouse};
use crate::sandbox::{Sandbox, bundled_project, copy_folder};

/// A copy of the bundled project to break.
fn copy_project(sandbox: &Sandbox) -> PathBuf {
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    project
}

/// Replaces a text of a file, and returns the line and column where it stood, from 1.
fn edit(project: &Path, file: &str, old: &str, new: &str) -> (usize, usize) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).unwrap();
    let offset = text.find(old).unwrap_or_else(|| panic!("{file} has no `{old}`"));
    let line_start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
    (text[..offset].matches('\n').count() + 1, text[line_start..offset].chars().count() + 1)
}

#[test]
fn every_mistake_is_shown_with_its_place_and_nothing_runs() {
    let sandbox = Sandbox::new();
    let project = copy_project(&sandbox);
    let column =
        edit(&project, "sql/facts/fact_purchase.sql", "    purchase_id,", "    purchase_idd,");
    let table = edit(
        &project,
        "sql/facts/fact_ad_impression.sql",
        "events.ad_impression",
        "events.ad_impresion",
    );
    let setting = edit(&project, "sql/facts/fact_session.sql", "lookback: 1 day", "lookbak: 1 day");
    let column_type = edit(&project, "sql/events/level_end.sql", "INTEGER", "INTEGRE");
    let broken = sandbox.with_other_project(&project);
    for command in [["etl", "run"], ["etl", "plan"], ["ingest", "-"]] {
        let refused = broken.fail(&command);
        let text = refused.text();
        for (file, (line, column), source_line) in [
            ("sql/facts/fact_purchase.sql", (column.0, column.1 + 4), "purchase_idd,"),
            ("sql/facts/fact_ad_impression.sql", table, "FROM events.ad_impresion"),
            ("sql/facts/fact_session.sql", setting, "lookbak: 1 day"),
            ("sql/events/level_end.sql", column_type, "INTEGRE"),
        ] {
            assert!(
                text.contains(&format!("{file}:{line}:{column}")),
                "{file}:{line}:{column}\n{text}"
            );
            assert!(text.contains(source_line), "{text}");
        }
        assert!(text.matches("hint:").count() >= 3, "{text}");
        assert!(text.contains("ad_impression"), "the nearest name: {text}");
    }
    assert!(!broken.data().join("warehouse.db").exists(), "something ran");
}

#[test]
fn a_cycle_and_a_type_that_cannot_be_stored_are_mistakes() {
    let sandbox = Sandbox::new();
    let project = copy_project(&sandbox);
    let model = |name: &str, sql: &str| {
        fs::write(project.join(format!("sql/marts/{name}.sql")), sql).unwrap();
    };
    model("mart_one", "-- One.\nSELECT date FROM star.mart_two\n");
    model("mart_two", "-- Two.\nSELECT date FROM star.mart_one\n");
    model(
        "mart_list",
        "-- A list.\nSELECT date, array_agg(player_id) AS players\n\
                        FROM star.fact_purchase GROUP BY date\n",
    );
    let broken = sandbox.with_other_project(&project);
    let text = broken.fail(&["etl", "run"]).text();
    assert!(text.contains("mart_one") && text.contains("mart_two"), "{text}");
    assert!(text.contains("sql/marts/mart_list.sql:2:"), "{text}");
    assert!(text.contains("cannot be stored"), "{text}");
}

#[test]
fn settings_that_nobody_knows_are_refused_with_the_nearest_one() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("settings.toml", "[engine]\nmemory_limt = \"1GiB\"\n");
    let refused =
        sandbox.refuse(&["status".as_ref(), "--config".as_ref(), file.as_os_str()]).text();
    assert!(refused.contains("settings.toml:2"), "{refused}");
    assert!(refused.contains("memory_limit"), "{refused}");

    let mut command = sandbox.command(&["status"]);
    command.env("QUESTLAKE_ENGINE_MEMRY_LIMIT", "1GiB");
    let refused = crate::sandbox::Running::start(&mut command).finish();
    assert_eq!(refused.status.code(), Some(2), "{refused:#?}");
    assert!(refused.text().contains("QUESTLAKE_ENGINE_MEMORY_LIMIT"), "{refused:#?}");

    sandbox.refuse(&["status", "--engine-memory-limit", "a lot"]);
    sandbox.refuse(&["status", "--no-such-flag", "1"]);
}

#[test]
fn the_settings_in_force_are_a_settings_file() {
    let sandbox = Sandbox::new();
    let shown = sandbox.succeed(&["config", "--engine-memory-limit", "64MiB"]).stdout;
    assert!(shown.contains("64MiB"), "{shown}");
    let file = sandbox.write("again.toml", &shown);
    let again = sandbox.succeed(&["config".as_ref(), "--config".as_ref(), file.as_os_str()]).stdout;
    assert!(again.contains("64MiB"), "{again}");
}

#[test]
fn a_new_project_runs_as_it_is() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("puzzle");
    sandbox.succeed(&["init".as_ref(), folder.as_os_str(), "--name".as_ref(), "Puzzle".as_ref()]);
    let project = sandbox.with_other_project(&folder);
    let report = project.ingest(&[&folder.join("events.ndjson")]);
    assert_eq!(report["totals"]["landed"], 20, "{report}");
    assert_eq!(report["totals"]["quarantined"], 0, "{report}");
    project.etl();
    assert_eq!(number(&project, "SELECT count(*) FROM fact_level"), 15);
    assert_eq!(number(&project, "SELECT sum(levels_completed) FROM mart_daily"), 15);
    assert_eq!(number(&project, "SELECT sum(events) FROM dim_player"), 20);
    let status = project.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
    let refused = sandbox.fail(&["init".as_ref(), folder.as_os_str()]);
    assert!(refused.text().contains("README.md"), "{refused:#?}");
}

#[test]
fn a_nullable_column_is_added_by_itself_and_anything_else_is_refused() {
    let sandbox = Sandbox::new();
    let project = copy_project(&sandbox);
    let changing = sandbox.with_other_project(&project);
    let dataset = Dataset::simulate(40, 8, 61);
    let parts = dataset.parts(2);
    let first = changing.write("first.ndjson", &parts[0]);
    let second = changing.write("second.ndjson", &parts[1]);
    changing.ingest(&[&first]);
    changing.etl();

    edit(
        &project,
        "sql/events/purchase.sql",
        "CREATE TABLE purchase (\n",
        "CREATE TABLE purchase (\n    campaign VARCHAR(32), -- Where the offer was shown\n",
    );
    edit(&project, "sql/facts/fact_purchase.sql", "    store\n", "    store,\n    campaign\n");
    changing.ingest(&[&second]);
    changing.etl();
    assert_eq!(
        number(&changing, "SELECT count(*) FROM fact_purchase WHERE campaign IS NOT NULL"),
        0
    );
    assert_exactly_once(&changing, &dataset, Sent::Once, "a column was added");

    edit(
        &project,
        "sql/facts/fact_purchase.sql",
        "    quantity,\n",
        "    CAST(quantity AS TEXT) AS quantity,\n",
    );
    let before = star_tables(&changing, true);
    let text = changing.fail(&["etl", "run"]).text();
    assert!(text.contains("fact_purchase.quantity"), "{text}");
    assert!(text.contains("--full-refresh --select fact_purchase"), "the way out: {text}");
    assert_eq!(before, star_tables(&changing, true));
    changing.succeed(&["etl", "run", "--full-refresh", "--select", "fact_purchase"]);
    let quantity = warehouse(&changing)
        .query_row("SELECT DISTINCT typeof(quantity) FROM fact_purchase", [], |row| {
            row.get::<_, String>(0)
        })
        .unwrap();
    assert_eq!(quantity, "text");
    changing.etl();
    assert_exactly_once(&changing, &dataset, Sent::Once, "a column has another type");
}

#[test]
fn a_model_that_does_not_exist_is_refused_with_the_nearest_name() {
    let sandbox = Sandbox::new();
    let refused = sandbox.fail(&["etl", "run", "--select", "fact_sesion"]);
    assert!(refused.text().contains("fact_session"), "{refused:#?}");
}

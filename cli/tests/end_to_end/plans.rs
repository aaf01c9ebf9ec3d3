//! What `questlake etl plan` says before a run, and that a run rebuilds no more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dataset::Dataset;
use crate::inspect::{Sent, assert_exactly_once, number, warehouse};
use crate::sandbox::{Sandbox, bundled_project, copy_folder};

/// An installation of a copy of the bundled project, with events and an up-to-date star schema.
fn loaded(players: u32, days: u32, seed: u64) -> (Sandbox, PathBuf, Dataset) {
    let sandbox = Sandbox::new();
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    let sandbox = sandbox.with_other_project(&project);
    let dataset = Dataset::simulate(players, days, seed);
    let events = sandbox.write("events.ndjson", dataset.lines.concat());
    sandbox.ingest(&[&events]);
    sandbox.etl();
    (sandbox, project, dataset)
}

fn edit(project: &Path, file: &str, old: &str, new: &str) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no `{old}`");
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
}

/// The plan by model.
fn plan(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let plan = sandbox.succeed(&["etl", "plan", "--format", "json"]).json();
    let models = plan["models"].as_array().unwrap().iter();
    models.map(|model| (model["model"].as_str().unwrap().to_owned(), model.clone())).collect()
}

/// What a run does, by model: its state.
fn run(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let report = sandbox.succeed(&["etl", "run", "--format", "json"]).json();
    let models = report["models"].as_array().unwrap().iter();
    let text = |model: &Value, key: &str| model[key].as_str().unwrap().to_owned();
    models.map(|model| (text(model, "model"), text(model, "state"))).collect()
}

/// The models that a run has loaded.
fn loaded_models(states: &BTreeMap<String, String>) -> Vec<&str> {
    let loaded = states.iter().filter(|(_, state)| *state == "loaded");
    loaded.map(|(model, _)| model.as_str()).collect()
}

#[test]
fn comments_and_layout_change_nothing() {
    let (sandbox, project, _) = loaded(30, 5, 61);
    let file = "sql/facts/fact_ad_impression.sql";
    edit(&project, file, "-- One row per advertisement shown.", "-- A row for each advertisement.");
    edit(
        &project,
        file,
        "-- @network: Advertising network",
        "-- @network: The advertising network",
    );
    edit(
        &project,
        file,
        "FROM events.ad_impression",
        "FROM\n    events.ad_impression -- all of them",
    );
    edit(&project, file, "coalesce(platform, 'unknown')   AS", "coalesce(platform,'unknown') AS");
    for (name, model) in plan(&sandbox) {
        assert_eq!(model["changes"], false, "{name}: {model:#}");
    }
    assert_eq!(loaded_models(&run(&sandbox)), Vec::<&str>::new());
}

#[test]
fn a_changed_model_over_events_is_rebuilt_and_leaves_alone_what_does_not_read_the_change() {
    let (sandbox, project, dataset) = loaded(60, 8, 62);
    let file = "sql/facts/fact_ad_impression.sql";
    // A column that no model reads: every row of the old definition must go.
    edit(&project, file, "    placement,\n", "    upper(placement) AS placement,\n");
    let planned = plan(&sandbox);
    let fact = &planned["fact_ad_impression"];
    assert_eq!(fact["action"], "build anew", "{fact:#}");
    assert_eq!(fact["reason"], "its definition has changed");
    assert!(fact["events"].as_u64().unwrap() > 0, "{fact:#}");
    let downstream: Vec<&str> =
        fact["downstream"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(downstream.contains(&"mart_ltv") && downstream.contains(&"mart_daily_kpi"), "{fact:#}");
    assert!(!downstream.contains(&"dim_player"), "{fact:#}");
    assert!(!planned["mart_ltv"]["follows"].is_null(), "{:#}", planned["mart_ltv"]);
    assert_eq!(planned["fact_purchase"]["changes"], false);
    let text = sandbox.succeed(&["etl", "plan"]).stdout;
    assert!(text.contains("fact_ad_impression changed: same columns"), "{text}");
    assert!(text.contains("follows"), "{text}");

    assert_eq!(loaded_models(&run(&sandbox)), ["fact_ad_impression"]);
    let lower = "SELECT count(*) FROM fact_ad_impression WHERE placement <> upper(placement)";
    assert_eq!(number(&sandbox, lower), 0);
    assert!(number(&sandbox, "SELECT count(*) FROM fact_ad_impression") > 0);
    assert_eq!(number(&sandbox, "SELECT count(*) FROM meta_stale"), 0);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "a fact was rebuilt");

    // A value that marts do read: they follow.
    edit(
        &project,
        file,
        "    revenue_usd\n",
        "    CAST(revenue_usd * 2 AS DECIMAL(12, 6)) AS revenue_usd\n",
    );
    let states = run(&sandbox);
    let loaded = loaded_models(&states);
    assert!(loaded.contains(&"mart_ltv") && loaded.contains(&"mart_daily_kpi"), "{loaded:?}");
    assert!(!loaded.contains(&"mart_retention"), "{loaded:?}");
}

#[test]
fn an_added_column_gets_its_values_for_all_history_and_is_nobody_elses_business() {
    let (sandbox, project, dataset) = loaded(60, 8, 63);
    // In the middle, so that the table is made anew.
    edit(
        &project,
        "sql/facts/fact_purchase.sql",
        "    store\n",
        "    upper(store) AS store_name,\n    store\n",
    );
    let planned = plan(&sandbox);
    let columns = &planned["fact_purchase"]["definition_change"]["columns"];
    assert_eq!(columns[0]["name"], "store_name", "{:#}", planned["fact_purchase"]);
    assert!(columns[0]["before"].is_null() && columns[0]["after"] == "TEXT");
    assert_eq!(planned["fact_purchase"]["definition_change"]["refused"], false);
    let text = sandbox.succeed(&["etl", "plan"]).stdout;
    assert!(text.contains("fact_purchase changed: + store_name TEXT"), "{text}");

    assert_eq!(loaded_models(&run(&sandbox)), ["fact_purchase"]);
    let wrong = "SELECT count(*) FROM fact_purchase WHERE store_name IS NOT upper(store)";
    assert_eq!(number(&sandbox, wrong), 0);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "a column was added");

    // Of a model over another one, removed: who does not read it is left alone.
    edit(
        &project,
        "sql/dimensions/dim_date.sql",
        "    CAST(date_part('week', date) AS BIGINT)             AS iso_week,\n",
        "",
    );
    edit(&project, "sql/dimensions/dim_date.sql", "-- @iso_week: ISO week of the year.\n", "");
    let text = sandbox.succeed(&["etl", "plan"]).stdout;
    assert!(text.contains("dim_date changed: - iso_week BIGINT"), "{text}");
    assert_eq!(loaded_models(&run(&sandbox)), ["dim_date"]);
    assert!(number(&sandbox, "SELECT count(*) FROM dim_date") > 0);
}

#[test]
fn a_change_that_a_run_refuses_is_told_before() {
    let (sandbox, project, _) = loaded(30, 5, 64);
    edit(
        &project,
        "sql/facts/fact_purchase.sql",
        "    quantity,\n",
        "    CAST(quantity AS TEXT) AS quantity,\n",
    );
    let text = sandbox.succeed(&["etl", "plan"]).stdout;
    assert!(text.contains("~ quantity BIGINT → TEXT"), "{text}");
    assert!(text.contains("--full-refresh --select fact_purchase"), "{text}");
    sandbox.fail(&["etl", "run"]);
    let refresh = ["etl", "plan", "--full-refresh", "--select", "fact_purchase"];
    let text = sandbox.succeed(&refresh).stdout;
    assert!(!text.contains("refuses"), "{text}");
}

/// The days of a JSON list.
fn days(list: &Value) -> BTreeSet<String> {
    let days = list.as_array().into_iter().flatten();
    days.map(|day| day.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_run_rebuilds_no_partition_that_the_plan_has_not_named() {
    let dataset = Dataset::simulate(60, 12, 66);
    let sandbox = Sandbox::new();
    let mut exact = 0;
    for (index, part) in dataset.parts(6).iter().enumerate() {
        let file = sandbox.write(&format!("part-{index}.ndjson"), part);
        sandbox.ingest(&[&file]);
        let planned = plan(&sandbox);
        let report = sandbox.succeed(&["etl", "run", "--format", "json"]).json();
        for model in report["models"].as_array().unwrap() {
            let name = model["model"].as_str().unwrap();
            let (planned, follows) = (&planned[name], &planned[name]["follows"]);
            if model["state"] != "loaded" || model["partitions"].is_null() {
                continue;
            }
            let mut named = days(&planned["partitions"]);
            named.extend(days(&follows["partitions"]));
            let rebuilt = days(&model["partitions"]);
            if follows["everything"] != true && follows["more_partitions"] != true {
                let others: Vec<&String> = rebuilt.difference(&named).collect();
                assert!(others.is_empty(), "{name} also rebuilt {others:?}: {planned:#}");
            }
            // What is added to a fact is known by its day.
            if ["mart_economy", "mart_economy_reason"].contains(&name) {
                assert_eq!(rebuilt, named, "{name}, increment {index}");
                exact += 1;
            }
        }
    }
    assert_eq!(exact, 10, "both marts in all increments but the first");
}

#[test]
fn the_plan_of_late_events_names_their_days_and_the_run_keeps_to_it() {
    let dataset = Dataset::simulate(80, 20, 65);
    let late_day = "2026-01-09";
    let is_late = |line: &[u8]| {
        let Ok(event) = serde_json::from_slice::<Value>(line) else { return false };
        event["event_type"] == "purchase"
            && event["event_time"].as_str().is_some_and(|time| time.starts_with(late_day))
    };
    let (late, punctual): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
        dataset.lines.iter().cloned().partition(|line| is_late(line));
    assert!(!late.is_empty(), "nobody buys anything on {late_day}");
    let sandbox = Sandbox::new();
    let first = sandbox.write("punctual.ndjson", punctual.concat());
    let second = sandbox.write("late.ndjson", late.concat());
    sandbox.ingest(&[&first]);
    sandbox.etl();
    for (name, model) in plan(&sandbox) {
        assert_eq!(model["changes"], false, "{name}: {model:#}");
    }
    sandbox.ingest(&[&second]);
    let planned = plan(&sandbox);
    let kpi = &planned["mart_daily_kpi"];
    let days: Vec<&str> =
        kpi["follows"]["partitions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(days.contains(&late_day), "{kpi:#}");
    assert!(kpi["rows"].as_u64().is_some(), "{kpi:#}");
    let purchases = planned["fact_purchase"]["events"].as_u64().unwrap();
    assert!(purchases >= 1 && purchases <= late.len() as u64, "{:#}", planned["fact_purchase"]);
    assert_eq!(planned["fact_ad_impression"]["events"], 0);

    let updated =
        "SELECT count(*) FROM meta_stale WHERE consumer = 'mart_daily_kpi' AND day IS NULL";
    sandbox.succeed(&["etl", "run", "--select", "fact_purchase"]);
    assert_eq!(number(&sandbox, updated), 0);
    let marked: Vec<String> = warehouse(&sandbox)
        .prepare("SELECT DISTINCT day FROM meta_stale WHERE consumer = 'mart_daily_kpi'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(marked, [late_day]);

    // A partition that is made of a day, its month, is stale as far as the header says.
    sandbox.succeed(&["etl", "run", "--select", "mart_experiment_daily"]);
    let months = plan(&sandbox)["fact_experiment_month"]["partitions"].clone();
    let days: Vec<&str> = months.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!((days.first(), days.last()), (Some(&"2025-12-02"), Some(&late_day)), "{months}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "late purchases");
}

//! However the events arrive in portions, the star schema is the same.

use std::path::Path;

use questlake_ingest::simulate::{FaultRates, SimulationOptions, simulate};

use crate::dataset::Dataset;
use crate::inspect::{
    Sent, assert_exactly_once, assert_same_tables, number, segment_names, star_tables, warehouse,
};
use crate::sandbox::Sandbox;

/// Takes the events in as so many files, and runs the pipeline after each.
fn load_in(increments: usize, dataset: &Dataset) -> Sandbox {
    let sandbox = Sandbox::new();
    for (index, part) in dataset.parts(increments).iter().enumerate() {
        let file = sandbox.write(&format!("part-{index}.ndjson"), part);
        sandbox.ingest(&[&file]);
        sandbox.etl();
    }
    assert_exactly_once(&sandbox, dataset, Sent::Once, &format!("{increments} increments"));
    sandbox
}

#[test]
fn one_two_or_seven_increments_and_a_rebuild_give_the_same_tables() {
    let dataset = Dataset::simulate(150, 40, 31);
    let at_once = load_in(1, &dataset);
    let expected = star_tables(&at_once, false);
    for increments in [2, 7] {
        let sandbox = load_in(increments, &dataset);
        let what = format!("{increments} increments");
        assert_same_tables(&expected, &star_tables(&sandbox, false), &what);

        let before = star_tables(&sandbox, true);
        sandbox.succeed(&["etl", "run", "--full-refresh"]);
        assert_same_tables(&before, &star_tables(&sandbox, true), "full refresh");
        let backfill = ["etl", "run", "--from", "2026-01-12", "--to", "2026-01-18"];
        let models: Vec<String> = partitioned_models(&sandbox);
        let mut arguments = backfill.to_vec();
        for model in &models {
            arguments.extend(["--select", model]);
        }
        sandbox.succeed(&arguments);
        assert_same_tables(&before, &star_tables(&sandbox, true), "backfill");
        assert_exactly_once(&sandbox, &dataset, Sent::Once, "after rebuilds");
    }
}

/// Sixty days in one, two and fifty increments, each of them compared with the truth; with
/// QUESTLAKE_TORTURE=full of as many players as it takes to have every mart well filled.
fn sixty_days_equal_the_truth(seed: u64) {
    let is_full = std::env::var("QUESTLAKE_TORTURE").is_ok_and(|value| value == "full");
    let players = if is_full { 200 } else { 20 };
    let dataset = Dataset::simulate(players, 60, seed);
    let expected = star_tables(&load_in(1, &dataset), false);
    for increments in [2, 50] {
        let sandbox = load_in(increments, &dataset);
        let what = format!("seed {seed}, {increments} increments");
        assert_same_tables(&expected, &star_tables(&sandbox, false), &what);
    }
}

// Each seed is a test of its own, so that they share the machine.
#[test]
fn sixty_days_in_one_two_and_fifty_increments_equal_the_truth() {
    sixty_days_equal_the_truth(61);
}

#[test]
fn sixty_days_of_a_second_seed_equal_the_truth() {
    sixty_days_equal_the_truth(62);
}

#[test]
fn sixty_days_of_a_third_seed_equal_the_truth() {
    sixty_days_equal_the_truth(63);
}

/// Tables of which single days can be rebuilt: all but those that are made of events and have no days.
pub(crate) fn partitioned_models(sandbox: &Sandbox) -> Vec<String> {
    let without_days = [
        "dim_app_version",
        "dim_country",
        "dim_experiment",
        "dim_item",
        "dim_level",
        "dim_player",
        "fact_experiment_exposure",
    ];
    let tables = star_tables(sandbox, true);
    tables.into_keys().filter(|name| !without_days.contains(&name.as_str())).collect()
}

#[test]
fn a_backfill_mends_what_was_changed_behind_the_pipelines_back() {
    let dataset = Dataset::simulate(80, 20, 32);
    let sandbox = load_in(2, &dataset);
    let before = star_tables(&sandbox, true);
    let connection = warehouse(&sandbox);
    let broken = connection
        .execute("DELETE FROM fact_purchase WHERE date BETWEEN '2026-01-08' AND '2026-01-10'", [])
        .unwrap();
    assert!(broken > 0);
    let broken = connection
        .execute("UPDATE fact_session SET events = 0 WHERE session_date = '2026-01-09'", [])
        .unwrap();
    assert!(broken > 0);
    drop(connection);
    sandbox.succeed(&[
        "etl",
        "run",
        "--from",
        "2026-01-08",
        "--to",
        "2026-01-10",
        "--select",
        "fact_purchase+",
        "--select",
        "fact_session+",
    ]);
    assert_same_tables(&before, &star_tables(&sandbox, true), "backfill");
}

/// A backfill takes in what is new first; when that fails, the history says so.
#[test]
fn a_failed_increment_before_a_backfill_is_recorded() {
    let dataset = Dataset::simulate(40, 8, 34);
    let sandbox = Sandbox::new();
    let parts = dataset.parts(2);
    let first = sandbox.write("first.ndjson", &parts[0]);
    let second = sandbox.write("second.ndjson", &parts[1]);
    sandbox.ingest(&[&first]);
    sandbox.etl();
    sandbox.ingest(&[&second]);
    let name = segment_names(&sandbox).pop().unwrap();
    std::fs::remove_file(sandbox.data().join("landing").join(name)).unwrap();
    let failed = "SELECT count(*) FROM meta_runs WHERE model = 'fact_session' AND state = 'failed'";
    assert_eq!(number(&sandbox, failed), 0);
    let backfill = ["etl", "run", "--from", "2026-01-02", "--to", "2026-01-03"];
    sandbox.fail(&[backfill.as_slice(), &["--select", "fact_session"]].concat());
    assert_eq!(number(&sandbox, failed), 1);
}

#[test]
fn a_run_without_news_changes_nothing() {
    let dataset = Dataset::simulate(40, 8, 33);
    let sandbox = load_in(1, &dataset);
    let progress = "SELECT max(updated_at) FROM meta_models";
    let before = (star_tables(&sandbox, true), number(&sandbox, progress));
    sandbox.etl();
    assert_eq!(before.1, number(&sandbox, progress));
    assert_same_tables(&before.0, &star_tables(&sandbox, true), "second run");
    assert_eq!(number(&sandbox, "SELECT count(*) FROM meta_stale"), 0);
}

/// The cut of a player is that of the first event, on all days since: also on those that lie further
/// after it than the mart looks back.
#[test]
fn a_first_event_that_comes_very_late_moves_its_player_on_all_days_since() {
    let sandbox = Sandbox::new();
    let event = |id: &str, day: &str, player: &str, platform: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"event_type\":\"experiment_exposure\",\"event_time\":\
             \"2026-{day}T12:00:00Z\",\"player_id\":\"{player}\",\"platform\":\"{platform}\",\
             \"properties\":{{\"experiment_id\":\"map\",\"variant\":\"{platform}\"}}}}\n"
        )
    };
    let punctual = [
        event("1", "01-01", "anna", "ios"),
        event("2", "02-20", "bert", "web"),
        event("3", "03-15", "bert", "web"),
        event("4", "03-15", "anna", "ios"),
    ];
    let first = sandbox.write("punctual.ndjson", punctual.concat());
    let second = sandbox.write("late.ndjson", event("5", "01-05", "bert", "ios"));
    sandbox.ingest(&[&first]);
    sandbox.etl();
    sandbox.ingest(&[&second]);
    sandbox.etl();
    let on_ios = "SELECT current_players FROM mart_player_state \
                  WHERE date = '2026-03-15' AND platform = 'ios' AND country = 'all'";
    assert_eq!(number(&sandbox, on_ios), 2);
    for model in ["mart_player_state", "mart_experiment_daily"] {
        let by_days = format!(
            "SELECT count(*) FROM meta_runs WHERE model = '{model}' AND mode LIKE 'rebuild % days'"
        );
        assert_eq!(number(&sandbox, &by_days), 1, "{model}");
    }
    // Most of the game's tables are empty here.
    let filled = || {
        let mut tables = star_tables(&sandbox, true);
        tables.retain(|_, rows| !rows.is_empty());
        tables
    };
    let before = filled();
    assert!(before.contains_key("mart_player_state"));
    sandbox.succeed(&["etl", "run", "--full-refresh"]);
    assert_same_tables(&before, &filled(), "full refresh");
}

#[test]
fn events_that_come_ten_days_late_rebuild_their_days_and_no_others() {
    let mut options = SimulationOptions::new().unwrap();
    (options.players, options.days, options.seed) = (120, 24, 34);
    options.faults = FaultRates::default();
    let dataset = Dataset::of(&options);
    // The events of two days in the middle arrive after everything else.
    let late_days = ["2026-01-13", "2026-01-14"];
    let is_late = |line: &[u8]| {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        event["event_time"].as_str().is_some_and(|time| late_days.contains(&&time[..10]))
    };
    let (late, punctual): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
        dataset.lines.iter().cloned().partition(|line| is_late(line));
    assert!(late.len() > 100);
    let sandbox = Sandbox::new();
    let first = sandbox.write("punctual.ndjson", punctual.concat());
    let second = sandbox.write("late.ndjson", late.concat());
    sandbox.ingest(&[&first]);
    sandbox.etl();
    sandbox.ingest(&[&second]);

    let planned = sandbox.succeed(&["etl", "plan", "--format", "json"]).json();
    assert!(planned.to_string().contains("new"), "{planned}");
    // The facts alone: what they make stale waits for the marts.
    sandbox.succeed(&["etl", "run", "--select", "fact_purchase,fact_ad_impression"]);
    let stale: Vec<String> = warehouse(&sandbox)
        .prepare("SELECT DISTINCT day FROM meta_stale WHERE consumer = 'mart_daily_kpi' ORDER BY 1")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(stale, late_days);
    let tables = star_tables(&sandbox, true).into_keys();
    let upstream: Vec<String> = tables.filter(|name| !name.starts_with("mart_")).collect();
    sandbox.succeed(&["etl", "run", "--select", &upstream.join(",")]);
    let planned = sandbox.succeed(&["etl", "plan", "--format", "json"]).json();
    let plan = |mart: &str| {
        let models = planned["models"].as_array().unwrap();
        models.iter().find(|model| model["model"] == mart).unwrap()["partitions"].clone()
    };
    for mart in ["mart_economy", "mart_economy_reason"] {
        assert_eq!(plan(mart), serde_json::json!(late_days), "{mart}");
    }
    sandbox.etl();
    assert_eq!(number(&sandbox, "SELECT count(*) FROM meta_stale"), 0);
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "late events");

    let at_once = load_in(1, &dataset);
    let expected = star_tables(&at_once, false);
    assert_same_tables(&expected, &star_tables(&sandbox, false), "late events");
}

#[test]
fn models_that_are_left_behind_catch_up_by_themselves() {
    let dataset = Dataset::simulate(60, 12, 35);
    let sandbox = Sandbox::new();
    for (index, part) in dataset.parts(4).iter().enumerate() {
        let file = sandbox.write(&format!("part-{index}.ndjson"), part);
        sandbox.ingest(&[Path::new(&file)]);
        let selection = ["fact_session", "+mart_daily_kpi", "dim_player+", "fact_purchase"][index];
        sandbox.succeed(&["etl", "run", "--select", selection]);
    }
    let status = sandbox.status();
    let behind = |model: &serde_json::Value| model["behind_commits"].as_u64().unwrap_or(1) > 0;
    assert!(status["models"].as_array().unwrap().iter().any(behind), "{status}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "models at different places");
}

#[test]
fn the_simulator_and_its_truth_agree_through_the_command_line() {
    let sandbox = Sandbox::new();
    let mut output = Vec::new();
    let options = SimulationOptions::new().unwrap();
    simulate(&SimulationOptions { players: 30, days: 5, ..options }, &mut output, &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let events = sandbox.path("events.ndjson");
    let truth = sandbox.path("truth.json");
    let paths = [events.to_str().unwrap(), truth.to_str().unwrap()];
    sandbox.succeed(&[
        "simulate",
        "--players",
        "30",
        "--days",
        "5",
        "--seed",
        "1",
        "--start",
        "2026-01-01",
        "--faults",
        "none",
        "--output",
        paths[0],
        "--truth",
        paths[1],
    ]);
    assert!(output == std::fs::read(&events).unwrap());
    sandbox.ingest(&[&events]);
    sandbox.etl();
    sandbox.succeed(&["verify", "--truth", paths[1]]);

    // One cent, one row, one event: each is seen.
    for damage in [
        "UPDATE mart_daily_kpi SET dau = dau + 1 WHERE date = '2026-01-02' AND platform = 'all' \
         AND country = 'all'",
        "DELETE FROM mart_retention WHERE day_n = 1 AND platform = 'all' AND country = 'all'",
        "UPDATE mart_ltv SET cumulative_revenue_usd = cumulative_revenue_usd + 0.01 \
         WHERE day_n = 2 AND platform = 'all' AND country = 'all'",
    ] {
        let connection = warehouse(&sandbox);
        assert!(connection.execute(damage, []).unwrap() > 0);
        let refused = sandbox.fail(&["verify", "--truth", paths[1]]);
        assert!(refused.text().contains("mart_"), "{refused:#?}");
        sandbox.succeed(&["etl", "run", "--full-refresh"]);
        sandbox.succeed(&["verify", "--truth", paths[1]]);
    }
}

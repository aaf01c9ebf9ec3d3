//! What a run, a plan and a query say of tables that are not what they are meant to be.

use std::fs;

use serde_json::{Value, json};

use crate::inspect::{assert_same_tables, number, segment_names, star_tables};
use crate::shop::{Shop, order};

#[test]
fn a_full_refresh_that_failed_says_how_to_go_on_until_it_is_done() {
    let shop = Shop::open();
    let before = star_tables(&shop.sandbox, true);
    // The segment of the orders is away: the second that was taken in.
    let landing = shop.sandbox.data().join("landing");
    let orders = landing.join(segment_names(&shop.sandbox).pop().unwrap());
    let away = shop.sandbox.path("away");
    fs::rename(&orders, &away).unwrap();
    let failed = shop.etl_fails(&["run", "--full-refresh"]);
    let way_on = "questlake etl run --full-refresh --select fact_order mart_day mart_three_days";
    let lines: Vec<&str> = failed.stderr.trim_end().lines().collect();
    assert_eq!(
        lines[lines.len() - 3..],
        [
            "refreshed: dim_item",
            "not refreshed, and as they were: fact_order, mart_day, mart_three_days",
            &format!("to go on: {way_on}"),
        ]
    );
    assert_same_tables(&before, &star_tables(&shop.sandbox, true), "failed refresh");
    let json = ["etl", "run", "--full-refresh", "--format", "json"];
    let report = shop.sandbox.fail(&json).json();
    assert_eq!(report["not_refreshed"], json!(["fact_order", "mart_day", "mart_three_days"]));
    fs::rename(&away, &orders).unwrap();

    // It is not forgotten by a run that has nothing to do with it.
    shop.ingest("second.ndjson", &[order("o3", 2, 4)]);
    for arguments in [&["plan"][..], &["run"], &["plan"]] {
        let text = shop.etl(arguments).stderr;
        assert!(text.contains("was not done") && text.contains(way_on), "{arguments:?}: {text}");
    }
    let status = shop.etl(&["status"]).stdout;
    assert!(status.contains("full refresh") && status.contains("was not done"), "{status}");
    let status = shop.etl(&["status", "--format", "json"]).json();
    assert_eq!(status["not_refreshed"], json!(["fact_order", "mart_day", "mart_three_days"]));

    let arguments: Vec<&str> = way_on.split(' ').skip(2).collect();
    let text = shop.etl(&arguments).stderr;
    assert!(!text.contains("was not done") && !text.contains("to go on"), "{text}");
    for arguments in [&["plan"][..], &["run"], &["status"]] {
        let text = shop.etl(arguments).text();
        assert!(!text.contains("was not done"), "{arguments:?}: {text}");
    }
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 9);
}

#[test]
fn a_mart_over_a_table_of_a_former_definition_is_not_built_without_a_word() {
    let shop = Shop::open();
    shop.edit("sql/facts/fact_order.sql", "item, amount", "item, amount * 10 AS amount");
    let wrong = "mart_day is made of fact_order, which was built by a former definition and is not \
                 selected; to build it first: --select +mart_day";
    for arguments in [&["plan", "--select", "mart_day"], &["run", "--select", "mart_day"]] {
        let text = shop.etl(arguments).stderr;
        assert!(text.contains(&format!("warning: {wrong}")), "{arguments:?}: {text}");
        let json = [&arguments[..], &["--format", "json"]].concat();
        assert_eq!(shop.etl(&json).json()["warnings"], json!([wrong]));
    }
    // Also further up.
    let text = shop.etl(&["run", "--select", "mart_three_days"]).stderr;
    assert!(text.contains("mart_three_days is made of fact_order, which was built by"), "{text}");
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 5);

    // Whoever asks for the fact's rows is told, too.
    let warned = |sql: &str| {
        let asked = shop.sandbox.succeed(&["query", "--format", "csv", sql]);
        asked.stderr.contains("warning: star.fact_order was built by a former definition")
    };
    assert!(warned("SELECT sum(amount) FROM star.fact_order"));
    assert!(warned("SELECT d.date FROM mart_day d JOIN fact_order USING (date)"));
    assert!(!warned("SELECT sum(amount) FROM star.mart_day"));

    let text = shop.etl(&["run", "--select", "+mart_day"]).stderr;
    assert!(!text.contains("warning"), "{text}");
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 50);
    assert!(!warned("SELECT sum(amount) FROM star.fact_order"));
}

/// The partitions of each model that a plan names, or that a run has rebuilt.
fn partitions(document: &Value) -> Vec<(String, Vec<String>)> {
    let texts = |days: &Value| -> Vec<String> {
        let days = days.as_array().into_iter().flatten();
        days.map(|day| day.as_str().unwrap().to_owned()).collect()
    };
    let models = document["models"].as_array().unwrap().iter();
    let mut found: Vec<(String, Vec<String>)> = models
        .map(|model| {
            assert_ne!(model["follows"]["everything"], true, "{model:#}");
            assert_ne!(model["follows"]["more_partitions"], true, "{model:#}");
            let mut days = texts(&model["partitions"]);
            days.extend(texts(&model["follows"]["partitions"]));
            days.sort();
            days.dedup();
            (model["model"].as_str().unwrap().to_owned(), days)
        })
        .filter(|(_, days)| !days.is_empty())
        .collect();
    found.sort();
    found
}

#[test]
fn a_plan_names_exactly_the_partitions_that_the_run_rebuilds() {
    let shop = Shop::open();
    let days = |days: &[u32]| -> Vec<String> {
        days.iter().map(|day| format!("2026-03-{day:02}")).collect()
    };
    let mut all = Vec::new();
    for (name, lines, of_day, of_three_days) in [
        // The day before is over.
        ("next", vec![order("o3", 2, 1)], &[1, 2][..], &[1, 2][..]),
        ("same", vec![order("o4", 2, 2)], &[2], &[2]),
        // On the days between nothing happened.
        ("gap", vec![order("o5", 5, 3)], &[2, 3, 4, 5], &[2, 3, 4, 5]),
        ("late", vec![order("o6", 3, 4)], &[3], &[3, 4, 5]),
        ("late and next", vec![order("o7", 1, 5), order("o8", 6, 6)], &[1, 5, 6], &[1, 2, 3, 5, 6]),
        ("nothing", Vec::new(), &[], &[]),
    ] {
        if !lines.is_empty() {
            shop.ingest(&format!("{name}.ndjson"), &lines);
        }
        let planned = partitions(&shop.etl(&["plan", "--format", "json"]).json());
        let rebuilt = partitions(&shop.etl(&["run", "--format", "json"]).json());
        assert_eq!(planned, rebuilt, "{name}");
        let mut expected = vec![
            ("mart_day".to_owned(), days(of_day)),
            ("mart_three_days".to_owned(), days(of_three_days)),
        ];
        expected.retain(|(_, days)| !days.is_empty());
        assert_eq!(rebuilt, expected, "{name}");
        all.extend(lines);
    }
    let before = star_tables(&shop.sandbox, true);
    shop.etl(&["run", "--full-refresh"]);
    assert_same_tables(&before, &star_tables(&shop.sandbox, true), "full refresh");
}

#[test]
fn a_check_of_several_models_that_names_none_is_told_to_keep_nothing_back() {
    let shop = Shop::open();
    let file = "sql/checks/days_add_up.sql";
    let check = "-- A day is not the sum of its orders.\n--\n-- severity: error\n\
                 SELECT d.date FROM star.mart_day d JOIN star.fact_order f ON d.date = f.date \
                 GROUP BY d.date, d.amount HAVING d.amount <> sum(f.amount)\n";
    shop.write(file, check);
    let text = shop.etl(&["plan"]).stderr;
    for part in [
        "sql/checks/days_add_up.sql:4:20: warning: the check reads fact_order and mart_day",
        "keeps no row back",
        "`-- on: fact_order`",
    ] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
    shop.edit(file, "severity: error", "severity: warn");
    assert_eq!(shop.etl(&["plan"]).stderr, "");
    shop.edit(file, "severity: warn", "on: mart_day");
    assert_eq!(shop.etl(&["plan"]).stderr, "");
}

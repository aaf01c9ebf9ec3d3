//! Checks: what they keep from being published, what they say, and what they look at.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::dataset::Dataset;
use crate::inspect::{number, warehouse};
use crate::sandbox::{Sandbox, bundled_project, copy_folder};
use crate::shop::{Shop, event};

const ITEMS: &str = "sql/dimensions/dim_item.sql";
const ORDERS: &str = "sql/facts/fact_order.sql";

/// The shop, with checks in the headers of its models.
fn shop() -> Shop {
    let shop = Shop::new();
    let combined = "-- combine: title = max\n";
    shop.edit(ITEMS, combined, &format!("{combined}-- not_null: title\n"));
    let checks = "-- accepted: store = 'web' | 'app'\n-- references: item = dim_item.item\n";
    shop.edit(ORDERS, "SELECT ", &format!("{checks}SELECT "));
    shop.edit(ORDERS, "item, amount", "item, store, amount");
    shop
}

fn order(id: &str, day: u32, item: &str, store: &str, amount: i64) -> String {
    event(id, "order_placed", day, &json!({ "item": item, "store": store, "amount": amount }))
}

fn listed(id: &str, item: &str, title: Option<&str>) -> String {
    event(id, "item_listed", 1, &json!({ "item": item, "title": title }))
}

/// A shop with two orders on 1 March, loaded.
fn open_shop() -> Shop {
    let shop = shop();
    let sandbox = &shop.sandbox;
    let lines = [
        listed("i1", "rune", Some("Rune")),
        order("o1", 1, "rune", "web", 2),
        order("o2", 1, "rune", "app", 3),
    ];
    shop.ingest("first.ndjson", &lines);
    sandbox.etl();
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 5);
    shop
}

#[test]
fn rows_that_break_a_check_are_not_published_until_it_is_mended() {
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    assert_eq!(sandbox.status()["checks"], json!([]));
    let lines = [
        order("o3", 2, "rune", "web", 10),
        order("bad1", 2, "rune", "fair", 20),
        order("bad2", 2, "rune", "fair", 30),
        listed("i2", "gem", Some("Gem")),
    ];
    shop.ingest("second.ndjson", &lines);
    for _ in 0..2 {
        let refused = sandbox.fail(&["etl", "run"]).text();
        for part in [
            "error: check fact_order.accepted(store): 2 rows are wrong: `store` is none of web, app",
            "--> sql/facts/fact_order.sql:6",
            "event_id = bad1, store = fair",
            "event_id = bad2, store = fair",
            "the new rows of fact_order were not published: accepted(store) (2 rows) did not pass",
            "model mart_day was not run because fact_order failed",
        ] {
            assert!(refused.contains(part), "`{part}` in\n{refused}");
        }
        assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 2, "old rows stay");
        assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 5);
        assert_eq!(number(sandbox, "SELECT count(*) FROM dim_item"), 2, "other models go on");
    }
    let status = sandbox.fail(&["status", "--format", "json"]).json();
    assert_eq!(status["checks"][0]["name"], "accepted(store)", "{status}");
    assert_eq!(status["checks"].as_array().unwrap().len(), 1, "{status}");
    let checks = sandbox.fail(&["checks"]).stdout;
    assert!(checks.contains("fact_order.accepted(store)"), "{checks}");
    assert!(checks.contains("fact_order.references(item)"), "{checks}");
    assert!(checks.contains("event_id = bad1, store = fair"), "{checks}");

    shop.edit(ORDERS, "'web' | 'app'", "'web' | 'app' | 'fair'");
    sandbox.etl();
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 5);
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 65);
    assert_eq!(sandbox.status()["checks"], json!([]));
    let history = sandbox.query(
        "SELECT \"check\", status, rows, sample FROM meta.checks \
         WHERE model = 'fact_order' AND \"check\" = 'accepted(store)' ORDER BY finished_at",
    );
    let seen: Vec<(&str, i64)> = history
        .iter()
        .map(|row| (row["status"].as_str().unwrap(), row["rows"].as_i64().unwrap()))
        .collect();
    assert_eq!(seen, [("passed", 0), ("failed", 2), ("failed", 2), ("passed", 0)]);
    let keys = sandbox.query("SELECT status FROM meta.checks WHERE \"check\" = 'key'");
    assert!(keys.len() > 3 && keys.iter().all(|row| row["status"] == "passed"), "{keys:?}");
}

#[test]
fn a_reference_holds_as_soon_as_what_it_names_has_come() {
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    let lines = [order("o3", 2, "gem", "web", 1), order("o4", 2, "rune", "web", 1)];
    shop.ingest("early.ndjson", &lines);
    let refused = sandbox.fail(&["etl", "run"]).text();
    let wrong = "check fact_order.references(item): 1 row is wrong: `item` is not in dim_item.item";
    assert!(refused.contains(wrong) && refused.contains("event_id = o3, item = gem"), "{refused}");
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 2);
    shop.ingest("late.ndjson", &[listed("i2", "gem", Some("Gem"))]);
    // Alone, it would be compared with a dimension that has not read the event yet.
    let alone = sandbox.fail(&["etl", "run", "--select", "fact_order"]).text();
    let why = "fact_order.references(item) could not be evaluated: dim_item has not read all";
    assert!(alone.contains(why), "{alone}");
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 2);
    sandbox.etl();
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 4);
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 7);
}

#[test]
fn a_warning_is_told_and_keeps_nothing_back() {
    let shop = shop();
    let sandbox = &shop.sandbox;
    shop.edit(ORDERS, "'web' | 'app'", "'web' | 'app' (warn)");
    let lines = [listed("i1", "rune", Some("Rune")), order("o1", 1, "rune", "fair", 2)];
    shop.ingest("events.ndjson", &lines);
    let run = sandbox.succeed(&["etl", "run"]);
    let warning = "warning: check fact_order.accepted(store): 1 row is wrong";
    assert!(run.stderr.contains(warning), "{run:#?}");
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 2);
    let status = sandbox.status();
    assert_eq!(status["checks"][0]["severity"], "warn", "{status}");
    sandbox.succeed(&["checks"]);
}

#[test]
fn what_merging_makes_of_a_row_is_checked_not_what_came() {
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    shop.ingest("again.ndjson", &[listed("i2", "rune", None)]);
    sandbox.etl();
    shop.ingest("new.ndjson", &[listed("i3", "gem", None), listed("i4", "rune", None)]);
    let refused = sandbox.fail(&["etl", "run"]).text();
    assert!(refused.contains("check dim_item.not_null(title): 1 row is wrong"), "{refused}");
    assert!(refused.contains("item = gem, title = NULL"), "{refused}");
    assert_eq!(number(sandbox, "SELECT count(*) FROM dim_item"), 1);
}

/// A check that is a file, with this header.
fn negative_amounts(header: &str) -> String {
    format!(
        "-- An order of less than nothing.\n--\n{header}\
         SELECT event_id, date, amount FROM star.fact_order WHERE amount < 0\n"
    )
}

#[test]
fn a_check_sees_the_partitions_that_the_run_touches_and_no_others() {
    const CHECK: &str = "sql/checks/negative_amounts.sql";
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    shop.ingest("old.ndjson", &[order("old", 1, "rune", "web", -1)]);
    sandbox.etl();
    shop.write(CHECK, &negative_amounts(""));
    shop.ingest("third.ndjson", &[order("o3", 3, "rune", "web", 1)]);
    sandbox.etl();
    assert_eq!(sandbox.status()["checks"], json!([]), "1 March was not touched");

    shop.ingest("late.ndjson", &[order("late", 1, "rune", "web", 1)]);
    let refused = sandbox.fail(&["etl", "run"]).text();
    let wrong = "error: check fact_order.negative_amounts: 1 row is wrong: An order of less than";
    assert!(refused.contains(wrong), "{refused}");
    assert!(refused.contains("event_id = old, date = 2026-03-01, amount = -1"), "{refused}");
    assert!(refused.contains(&format!("--> {CHECK}")), "{refused}");
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 4);

    shop.write(CHECK, &negative_amounts("-- severity: warn\n"));
    sandbox.etl();
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_order"), 5);
    shop.ingest("fourth.ndjson", &[order("o4", 3, "rune", "web", 1)]);
    let quiet = sandbox.succeed(&["etl", "run"]);
    assert!(!quiet.stderr.contains("negative_amounts"), "{quiet:#?}");
    shop.write(CHECK, &negative_amounts("-- severity: warn\n-- lookback: 2 days\n"));
    shop.ingest("fifth.ndjson", &[order("o5", 3, "rune", "web", 1)]);
    let told = sandbox.succeed(&["etl", "run"]);
    assert!(told.stderr.contains("event_id = old"), "two days before 3 March: {told:#?}");
}

#[test]
fn a_check_of_a_rebuilt_mart_sees_it_as_it_will_be() {
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    shop.write(
        "sql/checks/days_add_up.sql",
        "-- A day has another amount than its orders.\n--\n-- on: mart_day\n\
         WITH orders AS (SELECT date, sum(amount) AS amount FROM star.fact_order GROUP BY date)\n\
         SELECT mart.date, mart.amount, orders.amount AS ordered\n\
         FROM star.mart_day AS mart JOIN orders ON orders.date = mart.date\n\
         WHERE orders.amount <> mart.amount\n",
    );
    shop.ingest("second.ndjson", &[order("o3", 1, "rune", "web", 10)]);
    sandbox.etl();
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 15);
    shop.edit("sql/marts/mart_day.sql", "sum(amount)", "sum(amount) + 1");
    let refused = sandbox.fail(&["etl", "run"]).text();
    assert!(refused.contains("date = 2026-03-01, amount = 16, ordered = 15"), "{refused}");
    assert_eq!(number(sandbox, "SELECT sum(amount) FROM mart_day"), 15);
    shop.edit("sql/marts/mart_day.sql", "sum(amount) + 1", "sum(amount)");
    sandbox.etl();
    assert_eq!(sandbox.status()["checks"], json!([]));
}

#[test]
fn a_check_of_several_models_fails_the_run_and_keeps_nothing_back() {
    let shop = open_shop();
    let sandbox = &shop.sandbox;
    shop.write(
        "sql/checks/never_ordered.sql",
        "-- An item that nobody has ordered.\n\
         SELECT item FROM star.dim_item WHERE item NOT IN (SELECT item FROM star.fact_order)\n",
    );
    sandbox.etl();
    shop.ingest("second.ndjson", &[listed("i2", "gem", Some("Gem"))]);
    let refused = sandbox.fail(&["etl", "run"]).text();
    assert!(refused.contains("error: check never_ordered"), "{refused}");
    assert!(refused.contains("item = gem"), "{refused}");
    assert_eq!(number(sandbox, "SELECT count(*) FROM dim_item"), 2);
}

#[test]
fn mistakes_in_checks_have_their_place() {
    let shop = shop();
    let sandbox = &shop.sandbox;
    let file = |name: &str, sql: &str| shop.write(&format!("sql/checks/{name}.sql"), sql);
    file("unknown_column", "-- A.\nSELECT amont\nFROM star.fact_order\n");
    file("unknown_table", "-- B.\nSELECT 1\nFROM star.fact_ordr\n");
    file("other_schema", "-- C.\nSELECT count(*) FROM meta.runs\n");
    file("too_early", "-- D.\n-- on: fact_order\nSELECT 1 FROM star.fact_order, star.mart_day\n");
    file("nothing_read", "-- E.\n--\n-- on: mart_day\nSELECT 1 FROM star.fact_order\n");
    file("severity", "-- F.\n-- severity: eror\nSELECT 1 FROM star.fact_order\n");
    file("two", "-- G.\nSELECT 1;\nDELETE FROM star.fact_order\n");
    shop.edit(ORDERS, "'web' | 'app'", "'web' | app");
    shop.edit(ITEMS, "not_null: title", "not_nul: title");
    let text = sandbox.fail(&["etl", "plan"]).text();
    for place in ["sql/facts/fact_order.sql:6:30", "sql/dimensions/dim_item.sql:5:4"] {
        assert!(text.contains(place), "{place} in\n{text}");
    }
    shop.edit(ORDERS, "'web' | app", "'web' | 'app'");
    shop.edit(ITEMS, "not_nul: title", "not_null: titel");
    let text = sandbox.fail(&["etl", "plan"]).text();
    assert!(text.contains("sql/dimensions/dim_item.sql:5:14"), "{text}");
    assert!(text.contains("did you mean `title`?"), "{text}");
    shop.edit(ITEMS, "titel", "title");
    let text = sandbox.fail(&["etl", "plan"]).text();
    for (place, words) in [
        ("unknown_column.sql:2:8", "did you mean `amount`?"),
        ("unknown_table.sql:3:6", "did you mean `star.fact_order`?"),
        ("other_schema.sql:2:22", "run.event_counts"),
        ("too_early.sql:3:", "comes after star.fact_order"),
        ("nothing_read.sql:3:8", "does not read star.mart_day"),
        ("severity.sql:2:14", "did you mean `error`?"),
        ("two.sql:3:1", "DELETE is not allowed"),
    ] {
        assert!(text.contains(&format!("sql/checks/{place}")), "{place} in\n{text}");
        assert!(text.contains(words), "{words} in\n{text}");
    }
}

/// The bundled project with only these of its checks, in a folder of the sandbox.
fn bundled_copy(sandbox: &Sandbox) -> PathBuf {
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    project
}

#[test]
fn the_bundled_checks_pass_and_see_what_is_missing() {
    let sandbox = Sandbox::new();
    let dataset = Dataset::simulate(60, 10, 71);
    for (number, part) in dataset.parts(3).iter().enumerate() {
        let file = sandbox.write(&format!("{number}.ndjson"), part);
        sandbox.ingest(&[&file]);
        sandbox.etl();
    }
    let bad = "SELECT \"check\", model, sample FROM meta.checks \
               WHERE status NOT IN ('passed', 'skipped') AND severity = 'error'";
    assert_eq!(sandbox.query(bad), Vec::<Value>::new());
    let evaluated = sandbox.query("SELECT DISTINCT \"check\" FROM meta.checks");
    let names: Vec<&str> = evaluated.iter().map(|row| row["check"].as_str().unwrap()).collect();
    for name in [
        "purchases_add_up",
        "ad_impressions_add_up",
        "freshness",
        "volume",
        "key",
        "hot_store_has_events",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }

    let warehouse_file = warehouse(&sandbox);
    let (lost, day): (String, String) = warehouse_file
        .query_row("SELECT event_id, date FROM fact_purchase ORDER BY 1 LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    warehouse_file.execute("DELETE FROM fact_purchase WHERE event_id = ?1", [&lost]).unwrap();
    let more = json!({
        "event_id": "one-more", "event_type": "purchase", "player_id": "p",
        "event_time": format!("{day}T10:00:00Z"),
        "properties": { "purchase_id": "r", "item_id": "i", "item_category": "gear",
                        "price_usd": "1.00", "quantity": 1, "store": "steam" },
    });
    let file = sandbox.write("more.ndjson", format!("{more}\n"));
    sandbox.ingest(&[&file]);
    let refused = sandbox.fail(&["etl", "run"]).text();
    assert!(refused.contains("error: check fact_purchase.purchases_add_up: 1 row"), "{refused}");
    assert!(refused.contains(&format!("date = {day}, landed_events = ")), "{refused}");
    sandbox.succeed(&["etl", "run", "--full-refresh", "--select", "fact_purchase"]);
    sandbox.etl();
    assert_eq!(sandbox.query("SELECT 1 FROM fact_purchase WHERE event_id = 'one-more'").len(), 1);
}

#[test]
fn events_that_the_hot_store_has_lost_are_warned_of() {
    let sandbox = Sandbox::new();
    let dataset = Dataset::simulate(20, 3, 72);
    let parts = dataset.parts(2);
    sandbox.ingest(&[&sandbox.write("0.ndjson", &parts[0])]);
    let run = sandbox.succeed(&["etl", "run"]);
    assert!(!run.stderr.contains("hot_store_has_events"), "{run:#?}");
    sandbox.ingest(&[&sandbox.write("1.ndjson", &parts[1])]);
    let hot = rusqlite::Connection::open(sandbox.data().join("hot.db")).unwrap();
    hot.execute("DELETE FROM events", []).unwrap();
    drop(hot);
    let run = sandbox.succeed(&["etl", "run"]);
    assert!(run.stderr.contains("warning: check hot_store_has_events: "), "{run:#?}");
    let lost = sandbox.query(
        "SELECT rows FROM meta.checks WHERE \"check\" = 'hot_store_has_events' \
         ORDER BY finished_at DESC LIMIT 1",
    );
    assert!(lost[0]["rows"].as_i64().unwrap() > 20, "{lost:?}");
}

#[test]
fn old_events_and_few_events_are_warned_of() {
    let sandbox = Sandbox::new();
    let project = bundled_copy(&sandbox);
    let volume = project.join("sql/checks/volume.sql");
    let text = fs::read_to_string(&volume).unwrap();
    assert!(text.contains("BIGINT = 1000"), "{text}");
    fs::write(&volume, text.replace("BIGINT = 1000", "BIGINT = 10")).unwrap();
    let sandbox = sandbox.with_other_project(&project);
    let now = chrono::Utc::now();
    let social = |id: String, time: chrono::DateTime<chrono::Utc>| {
        let line = json!({
            "event_id": id, "event_type": "achievement_unlocked", "player_id": "p",
            "event_time": time.to_rfc3339(),
            "properties": { "achievement_id": "a", "achievement_name": "A", "points": 1, "tier": "gold" },
        });
        format!("{line}\n")
    };
    // Twenty on the day a week before the last that is over, nine on that.
    let mut lines: Vec<String> = Vec::new();
    let over = now - chrono::Duration::days(3);
    for number in 0..20 {
        lines.push(social(format!("before-{number}"), over - chrono::Duration::days(7)));
    }
    for number in 0..9 {
        lines.push(social(format!("on-{number}"), over));
    }
    lines.push(social("latest".to_owned(), now - chrono::Duration::hours(25)));
    let file = sandbox.write("old.ndjson", lines.concat());
    let report = sandbox.ingest(&[&file]);
    assert_eq!(report["totals"]["quarantined"], 0, "{report}");
    let run = sandbox.succeed(&["etl", "run"]);
    assert!(run.stderr.contains("warning: check freshness: 1 row"), "{run:#?}");
    assert!(run.stderr.contains("age_hours = 25"), "{run:#?}");
    assert!(run.stderr.contains("warning: check volume: 1 row"), "{run:#?}");
    assert!(run.stderr.contains("events = 9, events_week_before = 20"), "{run:#?}");
    // Nothing new, and it is still old.
    let again = sandbox.succeed(&["etl", "run"]);
    assert!(again.stderr.contains("warning: check freshness"), "{again:#?}");

    let file = sandbox.write("new.ndjson", social("now".to_owned(), now));
    sandbox.ingest(&[&file]);
    let fresh = sandbox.succeed(&["etl", "run"]);
    assert!(!fresh.stderr.contains("freshness"), "{fresh:#?}");
}

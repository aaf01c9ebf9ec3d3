//! Bad input is kept, mended and replayed.

use std::fs;

use serde_json::{Value, json};

use crate::inspect::{accounting, hot_keys, landed_keys, number};
use crate::sandbox::Sandbox;

fn purchase(id: &str) -> Value {
    json!({
        "event_id": id,
        "event_type": "purchase",
        "event_time": "2026-01-05T10:00:00Z",
        "player_id": "p1",
        "platform": "ios",
        "properties": {
            "purchase_id": format!("pay-{id}"), "item_id": "sword", "item_category": "gear",
            "price_usd": 4.99, "quantity": 1, "store": "app_store"
        }
    })
}

fn with(mut event: Value, property: &str, value: Value) -> Value {
    event["properties"][property] = value;
    event
}

/// One good record and four bad ones.
fn ingest_some(sandbox: &Sandbox) {
    let mut unknown = purchase("q4");
    unknown["event_type"] = json!("refund");
    let lines = [
        purchase("good").to_string(),
        with(purchase("q1"), "quantity", json!(0)).to_string(),
        with(purchase("q2"), "price_usd", json!("free")).to_string(),
        "{\"event_id\":\"q3\",".to_owned(),
        unknown.to_string(),
    ];
    let file = sandbox.write("events.ndjson", lines.join("\n"));
    let report = sandbox.ingest(&[&file]);
    assert_eq!(report["totals"]["quarantined"], 4, "{report}");
}

/// The listed records: number and reason.
fn list(sandbox: &Sandbox, flags: &[&str]) -> Vec<(i64, String)> {
    let listed = sandbox.succeed(&[&["quarantine", "list", "--format", "json"], flags].concat());
    let records = listed.json()["records"].as_array().cloned().unwrap();
    records
        .iter()
        .map(|record| {
            (record["id"].as_i64().unwrap(), record["reason"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn reasons(records: &[(i64, String)]) -> Vec<&str> {
    records.iter().map(|(_, reason)| reason.as_str()).collect()
}

#[test]
fn records_are_listed_shown_mended_and_land_once() {
    let sandbox = Sandbox::new();
    ingest_some(&sandbox);
    let records = list(&sandbox, &[]);
    let all = ["check_violated", "wrong_type", "malformed_json", "unknown_event_type"];
    assert_eq!(reasons(&records), all);
    assert_eq!(reasons(&list(&sandbox, &["--reason", "wrong_type"])), ["wrong_type"]);
    assert_eq!(list(&sandbox, &["--event-type", "purchase"]).len(), 2);
    assert_eq!(list(&sandbox, &["--limit", "3"]).len(), 3);

    // The bytes are as they came, and the text says what to do.
    let id = records[0].0.to_string();
    let raw = sandbox.succeed(&["quarantine", "show", &id, "--raw"]).stdout;
    assert_eq!(raw, with(purchase("q1"), "quantity", json!(0)).to_string());
    let shown = sandbox.succeed(&["quarantine", "show", &id]).stdout;
    assert!(shown.contains("check_violated") && shown.contains("quantity"), "{shown}");

    // Replayed as it was, it stays.
    let refused = sandbox.fail(&["quarantine", "replay", &id]);
    assert!(refused.text().contains("check_violated"), "{refused:#?}");
    assert_eq!(list(&sandbox, &[]).len(), 4);

    // Mended, it lands, once.
    let mended = with(purchase("q1"), "quantity", json!(2)).to_string();
    let mended = sandbox.write("mended.json", format!("{mended}\n"));
    let replay = ["quarantine", "replay", &id, "--with", mended.to_str().unwrap()];
    let outcome = sandbox.succeed(&[replay.as_slice(), &["--format", "json"]].concat()).json();
    assert_eq!(outcome["landed"], 1, "{outcome}");
    let again = sandbox.succeed(&[replay.as_slice(), &["--format", "json"]].concat()).json();
    assert_eq!((&again["replayed"], &again["landed"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(list(&sandbox, &[]).len(), 3);
    assert_eq!(list(&sandbox, &["--all"]).len(), 4);

    // A record that turns out to be known is a duplicate, and done with.
    let id = records[1].0.to_string();
    let known = sandbox.write("known.json", purchase("good").to_string());
    let replay = ["quarantine", "replay", &id, "--with", known.to_str().unwrap()];
    let outcome = sandbox.succeed(&[replay.as_slice(), &["--format", "json"]].concat()).json();
    assert_eq!((&outcome["landed"], &outcome["duplicates"]), (&json!(0), &json!(1)), "{outcome}");
    assert_eq!(list(&sandbox, &[]).len(), 2);

    sandbox.etl();
    let mut landed = landed_keys(&sandbox);
    landed.sort();
    assert_eq!(landed, ["good", "q1"]);
    let mut hot = hot_keys(&sandbox);
    hot.sort();
    assert_eq!(hot, ["good", "q1"]);
    let sold = "SELECT quantity FROM fact_purchase WHERE event_id = 'q1'";
    assert_eq!(number(&sandbox, sold), 2);
    let found = accounting(&sandbox);
    // 5 records of the file and 3 replays, one of them refused again.
    assert_eq!((found.lines, found.landed), (8, 2), "{found:?}");
    assert_eq!((found.duplicates, found.quarantined), (1, 5), "{found:?}");
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
}

#[test]
fn a_new_contract_lets_the_old_records_in() {
    let sandbox = Sandbox::new();
    ingest_some(&sandbox);
    let project = sandbox.path("project");
    crate::sandbox::copy_folder(
        &crate::sandbox::bundled_project().join("sql"),
        &project.join("sql"),
    );
    let contract = fs::read_to_string(project.join("sql/events/purchase.sql")).unwrap();
    let contract = contract.replace("BETWEEN 1 AND 1000", "BETWEEN 0 AND 1000");
    fs::write(project.join("sql/events/purchase.sql"), contract).unwrap();
    let refund = "-- A payment was given back.\nCREATE TABLE refund (\n    \
                  purchase_id VARCHAR(64) NOT NULL -- The payment\n);\n";
    fs::write(project.join("sql/events/refund.sql"), refund).unwrap();
    let newer = sandbox.with_other_project(&project);

    let replay = newer.run(&["quarantine", "replay", "--format", "json"]);
    assert_eq!(replay.status.code(), Some(1), "{replay:#?}");
    let outcome = replay.json();
    assert_eq!((&outcome["replayed"], &outcome["landed"]), (&json!(4), &json!(2)), "{outcome}");
    assert_eq!(outcome["refused"].as_array().map(Vec::len), Some(2), "{outcome}");
    assert_eq!(reasons(&list(&newer, &[])), ["wrong_type", "malformed_json"]);
    let by_reason = ["quarantine", "replay", "--reason", "wrong_type"];
    newer.fail(&by_reason);
    newer.fail(&by_reason);
    let mut landed = landed_keys(&newer);
    landed.sort();
    assert_eq!(landed, ["good", "q1", "q4"]);
    let status = newer.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
    assert_eq!(status["accounting"]["consumed"], 5 + 4 + 1 + 1, "{status}");
}

#[test]
fn wrong_selections_are_refused() {
    let sandbox = Sandbox::new();
    ingest_some(&sandbox);
    sandbox.refuse(&["quarantine", "list", "--reason", "no_such_reason"]);
    sandbox.refuse(&["quarantine", "show", "99"]);
    let mended = sandbox.write("mended.json", "{}");
    let several = ["quarantine", "replay", "1", "2", "--with", mended.to_str().unwrap()];
    sandbox.refuse(&several);
    let found = accounting(&sandbox);
    assert_eq!((found.lines, found.quarantined), (5, 4), "{found:?}");
}

//! Contracts that change while events of the older ones are there.

use serde_json::json;

use crate::collector::{Server, agent, post};
use crate::inspect::number;
use crate::shop::{Shop, event, order};

const CONTRACT: &str = "sql/events/order_placed.sql";

#[test]
fn a_new_column_that_older_events_lack_is_refused_before_anything_runs() {
    let shop = Shop::open();
    let runs = "SELECT count(*) FROM meta_runs";
    let before = number(&shop.sandbox, runs);
    shop.edit(CONTRACT, "    store TEXT", "    campaign TEXT NOT NULL,\n    store TEXT");
    for arguments in [&["plan"][..], &["run"], &["run", "--full-refresh"]] {
        let text = shop.etl_fails(arguments).text();
        for part in [
            "sql/events/order_placed.sql:4:5: error: column `campaign` does not fit 1 segment of \
             landing (commit 2, 2 events): it is NOT NULL, and they do not have it",
            "CHECK (campaign IS NOT NULL)",
        ] {
            assert!(text.contains(part), "{arguments:?}: `{part}` in\n{text}");
        }
        assert!(!text.contains("backup"), "{text}");
    }
    assert_eq!(number(&shop.sandbox, runs), before);
    // Who does not read it goes on, and so does a query that does not.
    shop.etl(&["run", "--full-refresh", "--select", "dim_item"]);
    assert_eq!(shop.sandbox.query("SELECT sum(amount) AS n FROM events.order_placed")[0]["n"], 5);
    let query = ["query", "SELECT campaign FROM events.order_placed"];
    let text = shop.sandbox.fail(&query).text();
    assert!(text.contains("column `campaign` in sql/events/order_placed.sql"), "{text}");
    assert!(!text.contains("backup"), "{text}");

    // The way out that the message names.
    let nullable = "campaign TEXT CHECK (campaign IS NOT NULL)";
    shop.edit(CONTRACT, "campaign TEXT NOT NULL", nullable);
    shop.etl(&["run", "--full-refresh"]);
    let late = shop.sandbox.write("late.ndjson", order("o3", 2, 1));
    let report = shop.sandbox.ingest(&[&late]);
    assert_eq!(report["totals"]["quarantined"], 1, "{report}");
    let properties = json!({ "item": "rune", "amount": 4, "campaign": "spring" });
    shop.ingest("new.ndjson", &[event("o4", "order_placed", 2, &properties)]);
    shop.sandbox.etl();
    let campaigns = "SELECT campaign FROM events.order_placed ORDER BY campaign NULLS FIRST";
    let found = shop.sandbox.query(campaigns);
    assert_eq!((found.len(), &found[2]["campaign"]), (3, &json!("spring")));
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 9);
}

#[test]
fn a_dropped_column_is_not_read_and_a_type_may_only_widen() {
    let shop = Shop::open();
    shop.edit(CONTRACT, "    store TEXT, -- Where\n", "");
    shop.edit(CONTRACT, "amount INTEGER", "amount BIGINT");
    shop.etl(&["run", "--full-refresh"]);
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 5);

    for (now, other) in [("BIGINT", "SMALLINT"), ("SMALLINT", "DECIMAL(4, 0)")] {
        shop.edit(CONTRACT, &format!("amount {now}"), &format!("amount {other}"));
        let text = shop.etl_fails(&["plan"]).text();
        let wrong = format!(
            "sql/events/order_placed.sql:4:5: error: column `amount` does not fit 1 segment of \
             landing (commit 2, 2 events): it is {other}, and theirs INTEGER"
        );
        assert!(text.contains(&wrong) && text.contains("former type INTEGER"), "{text}");
    }
}

#[test]
fn a_column_of_which_older_events_may_be_without_a_value_cannot_be_required() {
    let shop = Shop::open();
    shop.edit(CONTRACT, "store TEXT,", "store TEXT NOT NULL,");
    let text = shop.etl_fails(&["run"]).text();
    let wrong = "column `store` does not fit 1 segment of landing (commit 2, 2 events): it is NOT \
                 NULL, and theirs may be NULL";
    assert!(text.contains(wrong), "{text}");
}

#[test]
fn what_is_archived_counts_like_what_has_landed() {
    let shop = Shop::open();
    let report = shop.sandbox.archive(&[]);
    assert_eq!(report["through"], 2, "{report}");
    shop.edit(CONTRACT, "amount INTEGER", "amount BIGINT");
    // The fact's table is made of that column, so it would be built anew from the archive.
    let text = shop.etl_fails(&["plan"]).text();
    let wrong = "sql/events/order_placed.sql:5:5: error: column `amount` does not fit the archive \
                 (2 events): it is BIGINT, and theirs INTEGER";
    assert!(text.contains(wrong), "{text}");
    shop.edit(CONTRACT, "amount BIGINT", "amount INTEGER");
    shop.edit(CONTRACT, "    store TEXT", "    campaign TEXT NOT NULL,\n    store TEXT");
    let text = shop.etl_fails(&["run", "--full-refresh"]).text();
    assert!(text.contains("column `campaign` does not fit the archive (2 events)"), "{text}");
    shop.edit(CONTRACT, "campaign TEXT NOT NULL", "campaign TEXT");
    shop.etl(&["run", "--full-refresh"]);
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 5);
}

/// A division by zero in one event must hold no other up, now or after a restart.
#[test]
fn a_check_that_cannot_be_evaluated_is_about_one_event() {
    let shop = Shop::new();
    shop.edit(CONTRACT, "amount INTEGER NOT NULL", "amount INTEGER CHECK (100 / amount > 1)");
    let file = shop.sandbox.write(
        "orders.ndjson",
        [order("o1", 1, 2), order("o2", 1, 0), order("o3", 1, 90), order("o4", 1, 4)].concat(),
    );
    let report = shop.sandbox.ingest(&[&file]);
    assert_eq!(report["totals"]["landed"], 2, "{report}");
    let listed = shop.sandbox.succeed(&["quarantine", "list", "--format", "json"]).json();
    let details: Vec<&str> =
        (0..2).map(|row| listed["records"][row]["detail"].as_str().unwrap()).collect();
    assert!(details[0].contains("could not be evaluated: "), "{details:?}");
    assert!(details[0].contains("ivide by zero"), "{details:?}");
    assert!(details[1].contains("is not fulfilled"), "{details:?}");
    for id in ["o5", "o6"] {
        let server = Server::start(&shop.sandbox, &[]);
        let body = [order(id, 2, 5), order(&format!("{id}-bad"), 2, 0)].concat();
        let answer = post(&agent(), &server.url, body.as_bytes(), None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["landed"], 1, "{answer:?}");
        assert!(server.stop("TERM").success());
    }
    shop.sandbox.etl();
    assert_eq!(number(&shop.sandbox, "SELECT sum(amount) FROM mart_day"), 16);
}

#[test]
fn a_check_that_can_never_be_evaluated_is_a_mistake_of_the_contract() {
    let shop = Shop::new();
    shop.edit(CONTRACT, "amount INTEGER NOT NULL", "amount INTEGER CHECK (amount > 1 / 0)");
    let text = shop.etl_fails(&["plan"]).text();
    assert!(text.contains("sql/events/order_placed.sql:5:"), "{text}");
    assert!(text.contains("ivide by zero"), "{text}");
}

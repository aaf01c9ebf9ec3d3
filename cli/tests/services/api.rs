//! The API over PostgreSQL, MongoDB, HDFS and Redis: two servers share what they have computed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api_client::fetch;
use crate::collector::{Server, agent};
use crate::dataset::Dataset;
use crate::installation::Installation;
use crate::sandbox::{Sandbox, wait_up_to};
use crate::services::use_services;

/// Addresses whose answers are rows. When an event has come is the one thing that differs.
const TABLES: [&str; 3] = [
    "/api/v1/marts/mart_daily_kpi?platform=*&country=*&limit=20000",
    "/api/v1/marts/mart_retention?order=-retention,day_n&limit=500",
    "/api/v1/tables/dim_player?columns=player_id,display_name,first_event_at,purchases&limit=20",
];

#[test]
fn servers_share_their_answers_and_give_what_the_embedded_stores_give() {
    let _services = use_services();
    let dataset = Dataset::simulate(80, 8, 11);
    let installation = Installation::new(1);
    let embedded = Sandbox::new();
    for sandbox in [&installation.sandbox, &embedded] {
        let file = sandbox.write("events.ndjson", dataset.bytes());
        sandbox.ingest(&[&file]);
        sandbox.etl();
    }
    let servers =
        [Server::start(&installation.sandbox, &[]), Server::start(&installation.sandbox, &[])];
    let own = Server::start(&embedded, &[]);
    let agent = agent();
    let get = |server: &Server, path: &str| fetch(&agent, &format!("{}{path}", server.url), &[]);
    for path in TABLES {
        let first = get(&servers[0], path);
        let second = get(&servers[1], path);
        assert_eq!(first.ok()["meta"]["cached"], false, "{path}");
        assert_eq!(second.ok()["meta"]["cached"], true, "{path}");
        assert_eq!(first.headers["etag"], second.headers["etag"]);
        assert_eq!(first.ok()["rows"], second.ok()["rows"]);
        assert_eq!(first.ok()["rows"], get(&own, path).ok()["rows"], "{path}");
    }
    // Stores that are busy may take longer than it waits.
    wait_up_to(Duration::from_secs(60), "all stores to answer", || {
        let ready = get(&servers[0], "/readyz");
        eprintln!("{}", ready.text());
        (ready.status == 200 && ready.json()["ready"] == true).then_some(())
    });

    // A key that one process makes and revokes opens every server.
    let made = installation
        .sandbox
        .succeed(&["key", "create", "k", "--scope", "read", "--format", "json"])
        .json();
    let authorization = format!("Bearer {}", made["key"].as_str().unwrap());
    let address = format!("{}/api/v1/session", servers[1].url);
    let session = fetch(&agent, &address, &[("authorization", &authorization)]).ok();
    assert_eq!((&session["name"], &session["scopes"]), (&json!("k"), &json!(["read"])));

    // Pages on the server's own order.
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/api/v1/marts/mart_daily_kpi?platform=*&country=*&order=-arpdau,dau&limit=333{cursor}"
        );
        let body = get(&servers[0], &path).ok();
        rows.extend(body["rows"].as_array().unwrap().iter().cloned());
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let whole = "/api/v1/marts/mart_daily_kpi?platform=*&country=*&order=-arpdau,dau&limit=20000";
    assert_eq!(Value::Array(rows), get(&servers[0], whole).ok()["rows"]);
}

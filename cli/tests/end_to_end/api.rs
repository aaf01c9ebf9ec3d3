//! The API over the binary: rows, formats, paging, caching, mistakes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use crate::api_client::{Reply, encoded, fetch, send};
use crate::collector::{Server, agent, post};
use crate::dataset::Dataset;
use crate::inspect::number;
use crate::sandbox::{Sandbox, wait_for};

/// What is in the installation of these tests.
pub(crate) fn dataset() -> Dataset {
    Dataset::simulate(150, 12, 5)
}

/// An installation with a few days of a small game, loaded, which nobody opens: it is copied. It goes
/// with the last test that has it.
fn prepared() -> Arc<Sandbox> {
    static PREPARED: Mutex<Weak<Sandbox>> = Mutex::new(Weak::new());
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sandbox) = prepared.upgrade() {
        return sandbox;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.write("events.ndjson", dataset().bytes());
    sandbox.ingest(&[&file]);
    sandbox.etl();
    let sandbox = Arc::new(sandbox);
    *prepared = Arc::downgrade(&sandbox);
    sandbox
}

/// A client of a server over a copy of that installation.
pub(crate) struct Client {
    server: Server,
    agent: Agent,
    pub(crate) sandbox: Sandbox,
    _prepared: Arc<Sandbox>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with_variables(&[])
    }

    pub(crate) fn with_variables(variables: &[(&'static str, String)]) -> Self {
        let prepared = prepared();
        let sandbox = Sandbox::copy_of(&prepared).with_variables(variables);
        let server = Server::start(&sandbox, &[]);
        Self { server, agent: agent(), sandbox, _prepared: prepared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        fetch(&self.agent, &self.url(path), headers)
    }

    pub(crate) fn query(&self, body: &Value) -> Reply {
        send(&self.agent, &self.url("/api/v1/query"), &[], body)
    }
}

#[test]
fn a_mart_is_an_endpoint_that_explains_itself() {
    let client = Client::new();
    let list = client.get("/api/v1/marts").ok();
    let marts = list["marts"].as_array().unwrap();
    let daily = marts.iter().find(|mart| mart["name"] == "mart_daily_kpi").unwrap();
    assert_eq!(daily["key"], json!(["date", "platform", "country"]));
    assert_eq!(daily["url"], "/api/v1/marts/mart_daily_kpi");
    assert_eq!(daily["filters"][0], json!({"column": "platform", "default": "all"}));
    assert!(daily["data_through"].is_string(), "{daily}");

    // Without parameters: the uncut figures, by day.
    let reply = client.get("/api/v1/marts/mart_daily_kpi");
    let body = reply.ok();
    assert_eq!(body["columns"][0]["role"], "date");
    assert_eq!(body["columns"][1]["role"], "key");
    assert!(body["columns"][0]["description"].is_string());
    assert_eq!(body["meta"]["chart"]["x"], "date");
    assert_eq!(body["meta"]["data_through"], reply.headers["questlake-data-through"]);
    let rows = reply.rows();
    assert!(rows.iter().all(|row| row["platform"] == "all" && row["country"] == "all"));
    let days: Vec<&str> = rows.iter().map(|row| row["date"].as_str().unwrap()).collect();
    assert!(days.is_sorted() && days.len() > 5, "{days:?}");
    let sandbox = &client.sandbox;
    let total =
        |column: &str| -> i64 { rows.iter().map(|row| row[column].as_i64().unwrap()).sum() };
    let of_all = "FROM mart_daily_kpi WHERE platform = 'all' AND country = 'all'";
    assert_eq!(total("dau"), number(sandbox, &format!("SELECT sum(dau) {of_all}")));
    assert_eq!(total("sessions"), number(sandbox, &format!("SELECT sum(sessions) {of_all}")));
    // Money is a text with all its digits.
    assert!(rows[0]["total_revenue_usd"].is_string(), "{:?}", rows[0]);

    let platforms = client.get("/api/v1/marts/mart_daily_kpi/values/platform").ok();
    let platforms: BTreeSet<&str> =
        platforms["values"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(platforms.contains("all") && platforms.len() > 2, "{platforms:?}");
    let filters = client.get("/api/v1/filters").ok();
    assert_eq!(filters["first_day"], days[0]);
    assert!(!filters["platforms"].as_array().unwrap().contains(&json!("all")), "{filters}");

    let some = client
        .get("/api/v1/marts/mart_daily_kpi?platform=*&country=all&columns=platform,dau&order=-dau,platform&limit=7");
    let rows = some.rows();
    assert_eq!(rows.len(), 7);
    let figures: Vec<i64> = rows.iter().map(|row| row["dau"].as_i64().unwrap()).collect();
    assert!(figures.is_sorted_by(|left, right| left >= right), "{figures:?}");
    assert_eq!(rows[0].len(), 2);
    let day = days[3];
    let one = client.get(&format!("/api/v1/marts/mart_daily_kpi?from={day}&to={day}")).rows();
    assert_eq!(one.len(), 1);
    let Client { server, sandbox, .. } = client;
    assert!(server.stop("TERM").success());
    drop(sandbox);
}

#[test]
fn pages_of_any_size_give_every_row_once() {
    let client = Client::new();
    let sandbox = &client.sandbox;
    let expected = number(sandbox, "SELECT count(*) FROM mart_retention");
    for (order, size) in [("", 997), ("-retention,day_n", 1_250), ("rolling_retention", 3_000)] {
        let mut keys = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let path = format!(
                "/api/v1/marts/mart_retention?platform=*&country=*&limit={size}&order={order}\
                 &columns=cohort_date,platform,country,day_n{cursor}"
            );
            let reply = client.get(&path);
            let body = reply.ok();
            for row in body["rows"].as_array().unwrap() {
                assert_eq!(row.as_array().unwrap().len(), 4, "columns of the cursor are shown");
                assert!(keys.insert(row.to_string()), "{row} comes twice by {order}");
            }
            match body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(keys.len() as i64, expected, "order {order}");
    }
    let foreign = client.get("/api/v1/marts/mart_daily_kpi?limit=1").ok();
    let cursor = foreign["next_cursor"].as_str().unwrap();
    let refused = client.get(&format!("/api/v1/marts/mart_retention?cursor={cursor}"));
    assert_eq!((refused.status, refused.mistakes()), (409, vec!["cursor".to_owned()]));
    let broken = client.get("/api/v1/marts/mart_retention?cursor=%20");
    assert_eq!((broken.status, broken.mistakes()), (400, vec!["cursor".to_owned()]));
}

#[test]
fn the_same_rows_come_in_every_format() {
    let client = Client::new();
    let path = "/api/v1/marts/mart_daily_kpi?platform=*";
    let rows = client.get(&format!("{path}&limit=50000")).rows();
    let csv = client.get_with(path, &[("accept", "text/csv")]);
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.text().lines().count(), rows.len() + 1);
    assert!(csv.text().starts_with("date,platform,country,new_players,dau"));
    let file = client.get(&format!("{path}&format=csv"));
    assert_eq!(file.bytes, csv.bytes);
    assert!(file.headers["content-disposition"].contains("mart_daily_kpi.csv"));
    let lines = client.get_with(path, &[("accept", "application/x-ndjson")]);
    let first: Value = serde_json::from_str(lines.text().lines().next().unwrap()).unwrap();
    assert_eq!(first["date"], rows[0]["date"]);
    assert_eq!(lines.text().lines().count(), rows.len());
    let arrow = client.get_with(path, &[("accept", "application/vnd.apache.arrow.stream")]);
    // A stream begins with a schema message behind this mark.
    assert_eq!(arrow.bytes[..4], [255; 4]);
    assert!(arrow.bytes.len() > 1_000);
    assert_eq!(client.get_with(path, &[("accept", "image/png")]).status, 406);
}

#[test]
fn mistakes_are_told_with_what_is_allowed() {
    let client = Client::new();
    let mistakes = |query: &str| {
        let reply = client.get(&format!("/api/v1/marts/mart_daily_kpi?{query}"));
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        let body = reply.json();
        assert_eq!(body["type"], "urn:questlake:problem:invalid-parameter");
        assert_eq!(body["instance"], "/api/v1/marts/mart_daily_kpi");
        reply.mistakes()
    };
    assert_eq!(mistakes("limit=0&from=31.1.2026&colums=dau"), ["from", "limit", "colums"]);
    assert_eq!(mistakes("columns=date,reveneu&order=-nothing"), ["columns", "order"]);
    assert_eq!(mistakes("from=2026-02-01&to=2026-01-01"), ["from"]);
    assert_eq!(mistakes("limit=50001"), ["limit"]);
    assert_eq!(mistakes("limit=1&limit=2"), ["limit"]);
    assert_eq!(mistakes("platform=*&platform=ios"), ["platform"]);
    assert_eq!(mistakes("cursor=x&format=xml"), ["format", "cursor"]);
    let reply = client.get("/api/v1/marts/mart_daily_kpi?columns=reveneu");
    assert!(reply.text().contains("total_revenue_usd"), "{}", reply.text());
    for path in [
        "/api/v1/marts/mart_daily",
        "/api/v1/marts/fact_session",
        "/api/v1/marts/..%2f..%2fetc%2fpasswd",
        "/api/v1/marts/%FF",
        "/api/v1/marts/mart_daily_kpi/values/dau",
        "/api/v1/queries/nothing",
        "/api/v1/models/nothing",
        "/api/v1/players/nobody-of-that-name",
        "/api/v1/nothing",
        "/api/v2",
        "/nothing.js",
    ] {
        let reply = client.get(path);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
        assert!(reply.mistakes().is_empty());
    }
    let table = client.get("/api/v1/marts/fact_session").text();
    assert!(table.contains("/api/v1/tables/fact_session"), "{table}");
    let address = format!("{}/api/v1/marts", client.server.url);
    let posted = send(&client.agent, &address, &[], &json!({}));
    assert_eq!(posted.status, 405, "{}", posted.text());
    assert!(posted.headers["allow"].contains("GET"));
}

#[test]
fn answers_are_kept_until_the_data_changes() {
    let client = Client::new();
    let sandbox = &client.sandbox;
    let path = "/api/v1/marts/mart_daily_kpi?columns=date,new_players";
    let first = client.get(path);
    assert_eq!(first.ok()["meta"]["cached"], false);
    let second = client.get(path);
    assert_eq!(second.ok()["meta"]["cached"], true);
    assert_eq!(second.ok()["rows"], first.ok()["rows"]);
    let etag = first.headers["etag"].as_str();
    assert_eq!(etag, second.headers["etag"]);
    let unchanged = client.get_with(path, &[("if-none-match", etag)]);
    assert_eq!((unchanged.status, unchanged.bytes.len()), (304, 0));
    assert_eq!(unchanged.headers["etag"], etag);
    // The same question in other words.
    let other =
        client.get("/api/v1/marts/mart_daily_kpi?platform=all&columns=date&columns=new_players");
    assert_eq!((&other.ok()["meta"]["cached"], &*other.headers["etag"]), (&json!(true), etag));

    let event = json!({
        "event_id": "someone-new", "event_type": "session_start",
        "event_time": "2026-01-03T10:00:00Z", "player_id": "someone-new",
        "session_id": "someone-new-1", "platform": "ios", "country": "DE",
        "properties": {"session_number": 1}
    });
    let sent = post(&client.agent, &client.server.url, event.to_string().as_bytes(), None).unwrap();
    assert_eq!(sent.body["landed"], 1, "{sent:?}");
    sandbox.etl();
    let changed = wait_for("the new player", || {
        let reply = client.get_with(path, &[("if-none-match", etag)]);
        (reply.status == 200).then_some(reply)
    });
    let total = |reply: &Reply| -> i64 {
        reply.rows().iter().map(|row| row["new_players"].as_i64().unwrap()).sum()
    };
    assert_eq!(total(&changed), total(&first) + 1);
    assert_ne!(changed.headers["etag"], etag);
    assert_ne!(changed.ok()["meta"]["data_version"], first.ok()["meta"]["data_version"]);
    assert!(
        changed.ok()["meta"]["data_through"].as_str() > first.ok()["meta"]["data_through"].as_str()
    );
}

#[test]
fn many_who_ask_at_once_cause_one_computation() {
    const CLIENTS: usize = 40;
    let client = Client::new();
    let url = client.url("/api/v1/marts/mart_retention?limit=5000&order=-retention");
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, barrier) = (url.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let agent = agent();
                barrier.wait();
                fetch(&agent, &url, &[]).ok()["rows"].clone()
            })
        })
        .collect();
    let answers: Vec<Value> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(answers.iter().all(|rows| *rows == answers[0]));
    let metrics = client.get("/metrics").text();
    let computed = "questlake_answers_total{found=\"computed\"} 1";
    assert!(metrics.lines().any(|line| line == computed), "{metrics}");
}

/// Those who wait hold next to nothing, however large the statement is that they wait for.
#[test]
fn a_crowd_that_waits_for_a_saved_query_is_answered_by_one_computation() {
    const CROWD: usize = 1_500;
    let client = Client::new();
    let memory_before = client.server.resident_bytes();
    let address = client.server.url.trim_start_matches("http://");
    let request = format!(
        "GET /api/v1/queries/cheat_suspects HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    let crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let grown = client.server.resident_bytes().saturating_sub(memory_before);
    for mut stream in crowd {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(grown < 256 << 20, "{CROWD} who wait took {grown} bytes");
    let metrics = client.get("/metrics").text();
    let computed = "questlake_answers_total{found=\"computed\"} 1";
    assert!(metrics.lines().any(|line| line == computed), "{metrics}");
}

#[test]
fn the_pipeline_shows_itself() {
    let client = Client::new();
    let models = client.get("/api/v1/models").ok();
    let models = models["models"].as_array().unwrap();
    let daily = models.iter().find(|model| model["name"] == "mart_daily_kpi").unwrap();
    assert!(daily["upstream"].as_array().unwrap().contains(&json!("fact_session")), "{daily}");
    assert_eq!(daily["last_run"]["state"], "loaded");
    assert_eq!(daily["behind_commits"], 0);
    let session = client.get("/api/v1/models/fact_session").ok();
    assert!(session["sql"].as_str().unwrap().contains("SELECT"));
    let upstream = session["upstream"].as_array().unwrap();
    assert!(upstream.iter().any(|table| table.as_str().unwrap().starts_with("events.")));
    let lineage = client.get("/api/v1/lineage").ok();
    let ids: BTreeSet<&str> = lineage["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    for edge in lineage["edges"].as_array().unwrap() {
        assert!(ids.contains(edge["from"].as_str().unwrap()), "{edge}");
        assert!(ids.contains(edge["to"].as_str().unwrap()), "{edge}");
    }
    for edge in lineage["column_edges"].as_array().unwrap() {
        assert!(ids.contains(edge["from_table"].as_str().unwrap()), "{edge}");
    }
    let runs = client.get("/api/v1/runs?limit=3").ok();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 3);
    let accounting = client.get("/api/v1/accounting").ok();
    assert_eq!(accounting["accounting"]["adds_up"], true);
    let quarantine = client.get("/api/v1/quarantine?limit=2").ok();
    let records = quarantine["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records[0]["raw"].is_string(), "on this machine everything is shown");
    let next = quarantine["next_cursor"].as_str().unwrap();
    let page = client.get(&format!("/api/v1/quarantine?limit=2&cursor={next}")).ok();
    assert!(page["records"][0]["id"].as_i64() > records[1]["id"].as_i64());
    let ready = client.get("/readyz").ok();
    assert_eq!(ready["ready"], true);
    assert!(ready["stores"].as_array().unwrap().len() >= 5);
    let catalog = client.get("/api/v1/catalog").ok();
    assert!(catalog.to_string().contains("mart_daily_kpi"));
    let document = client.get("/openapi.json").ok();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(client.get("/docs").headers["content-type"], "text/html; charset=utf-8");
    let page = client.get("/");
    assert!(page.headers["content-security-policy"].contains("default-src 'self'"));
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    let metrics = client.get("/metrics").text();
    for name in ["questlake_events_total", "questlake_store_up", "questlake_data_age_seconds"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[test]
fn a_player_is_found_and_followed() {
    let client = Client::new();
    let sandbox = &client.sandbox;
    let found = client.get("/api/v1/players?limit=3").rows();
    assert_eq!(found.len(), 3);
    let id = found[0]["player_id"].as_str().unwrap();
    let by_beginning =
        client.get(&format!("/api/v1/players?search={}", encoded(&id[..id.len() - 1])));
    assert!(by_beginning.rows().iter().any(|row| row["player_id"] == id));
    let player = client.get(&format!("/api/v1/players/{}", encoded(id))).ok();
    assert_eq!(player["profile"]["player_id"], id);
    assert!(player["last_event_at"].is_string(), "{player}");
    // Page by page, latest first, each event once.
    let mut seen = BTreeSet::new();
    let mut last_time = "9".to_owned();
    let mut cursor = String::new();
    loop {
        let page =
            client.get(&format!("/api/v1/players/{}/timeline?limit=7{cursor}", encoded(id))).ok();
        for event in page["events"].as_array().unwrap() {
            let time = event["event_time"].as_str().unwrap().to_owned();
            assert!(time <= last_time, "{time} after {last_time}");
            last_time = time;
            assert!(seen.insert(event["event_id"].as_str().unwrap().to_owned()), "{event}");
            assert_eq!(event["document"]["player_id"], id, "{event}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected = sandbox
        .query(&format!("SELECT count(*) AS n FROM events.envelope WHERE player_id = '{id}'"));
    assert_eq!(seen.len() as i64, expected[0]["n"].as_i64().unwrap());
}

/// A cache that is away makes answers slower, and never others.
#[test]
fn without_the_cache_answers_are_the_same() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let without = Client::with_variables(&[
        ("QUESTLAKE_STORES_CACHE", format!("redis://{away}/0")),
        ("QUESTLAKE_CACHE_MEMORY_LIMIT", "0".to_owned()),
    ]);
    let with = Client::new();
    for path in ["/api/v1/marts/mart_daily_kpi?country=*", "/api/v1/queries/ad_fatigue"] {
        let expected = with.get(path).ok()["rows"].clone();
        for _ in 0..2 {
            let reply = without.get(path).ok();
            assert_eq!((&reply["rows"], &reply["meta"]["cached"]), (&expected, &json!(false)));
        }
    }
    let ready = without.get("/readyz").ok();
    let cache = ready["stores"].as_array().unwrap().iter().find(|store| store["store"] == "cache");
    assert_eq!(cache.unwrap()["ready"], false, "{ready}");
    assert_eq!(ready["ready"], true, "only the cache is away: {ready}");
}

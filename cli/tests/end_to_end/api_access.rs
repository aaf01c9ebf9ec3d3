//! Who may ask what.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api_client::{Reply, fetch, send};
use crate::collector::{Server, agent};
use crate::sandbox::{Sandbox, wait_for};

/// Makes a key and returns its text.
fn key(sandbox: &Sandbox, flags: &[&str]) -> String {
    let made = sandbox.succeed(&[&["key", "create", "--format", "json"], flags].concat()).json();
    made["key"].as_str().unwrap().to_owned()
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// Everything that can be asked, with the scope that it needs.
const ROUTES: [(&str, &str); 12] = [
    ("/api/v1/marts", "read"),
    ("/api/v1/marts/mart_daily_kpi", "read"),
    ("/api/v1/filters", "read"),
    ("/api/v1/queries", "read"),
    ("/api/v1/catalog", "read"),
    ("/api/v1/models", "read"),
    ("/api/v1/lineage", "read"),
    ("/api/v1/runs", "read"),
    ("/api/v1/quarantine", "read"),
    ("/api/v1/status", "read"),
    ("/metrics", "read"),
    ("/api/v1/players", "read"),
];

#[test]
fn nothing_is_told_without_a_key_and_each_scope_opens_its_own() {
    let sandbox = Sandbox::new();
    let reader = key(&sandbox, &["reader", "--scope", "read"]);
    let asker = key(&sandbox, &["asker", "--scope", "query"]);
    let sender = key(&sandbox, &["sender", "--scope", "ingest"]);
    let admin = key(&sandbox, &["admin", "--scope", "admin,ingest"]);
    let server = Server::start(&sandbox, &["--api-keys", "required"]);
    let agent = agent();
    let get = |path: &str, key: Option<&str>| -> Reply {
        let authorization = key.map(bearer);
        let headers: Vec<(&str, &str)> =
            authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        fetch(&agent, &format!("{}{path}", server.url), &headers)
    };
    let post = |path: &str, key: Option<&str>, body: &Value| -> Reply {
        let authorization = key.map(bearer);
        let headers: Vec<(&str, &str)> =
            authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        send(&agent, &format!("{}{path}", server.url), &headers, body)
    };
    for (path, _) in ROUTES {
        let refused = get(path, None);
        assert_eq!(refused.status, 401, "{path}: {}", refused.text());
        assert!(refused.headers["www-authenticate"].starts_with("Bearer"));
        assert!(refused.mistakes().is_empty());
        assert_eq!(get(path, Some("qlk_aaaaaaaaaaaa_x")).status, 401, "{path}");
        assert_eq!(get(path, Some(&reader)).status, 200, "{path}");
        assert_eq!(get(path, Some(&admin)).status, 200, "{path}");
        for other in [&asker, &sender] {
            assert_eq!(get(path, Some(other)).status, 403, "{path}");
        }
    }
    for path in
        ["/api", "/api/", "/api/v1/nothing", "/openapi.json", "/api/v1/session", "/api/v1/live"]
    {
        assert_eq!(get(path, None).status, 401, "{path}");
    }
    // What tells nothing is open: the page that asks for the key has to come from somewhere.
    assert_eq!(get("/healthz", None).status, 200);
    assert_eq!(get("/", None).status, 200);
    let ready = get("/readyz", None).ok();
    assert_eq!(ready, json!({"ready": true}));
    assert!(get("/readyz", Some(&reader)).ok()["stores"].is_array());

    // Where stores lie is for those who look after them.
    let place = sandbox.data().display().to_string();
    for path in ["/api/v1/status", "/readyz"] {
        assert!(!get(path, Some(&reader)).text().contains(&place), "{path}");
        assert!(get(path, Some(&admin)).text().contains(&place), "{path}");
    }

    let select = json!({"sql": "SELECT 1 AS one"});
    for (key, expected) in [
        (None, 401),
        (Some(&reader), 403),
        (Some(&sender), 403),
        (Some(&asker), 200),
        (Some(&admin), 200),
    ] {
        let reply = post("/api/v1/query", key.map(String::as_str), &select);
        assert_eq!(reply.status, expected, "{}", reply.text());
    }
    let event = json!({
        "event_id": "e1", "event_type": "nonsense", "event_time": "2026-01-05T10:00:00Z",
        "player_id": "p1", "properties": {"secret": "of a player"}
    });
    for (key, expected) in
        [(None, 401), (Some(&reader), 403), (Some(&asker), 403), (Some(&sender), 200)]
    {
        let reply = post("/v1/events", key.map(String::as_str), &event);
        assert_eq!(reply.status, expected, "{}", reply.text());
    }
    // The bytes of bad records are for the admin alone, whichever way they are asked for.
    let listed = get("/api/v1/quarantine", Some(&reader));
    assert_eq!(listed.ok()["records"][0]["raw"], Value::Null);
    assert!(!listed.text().contains("of a player"));
    assert!(get("/api/v1/quarantine", Some(&admin)).text().contains("of a player"));
    let raw = json!({"sql": "SELECT raw FROM meta.quarantine"});
    assert_eq!(post("/api/v1/query", Some(&asker), &raw).status, 400);
    assert_eq!(post("/api/v1/query", Some(&admin), &raw).status, 200);
    let ids = json!({"ids": [1]});
    for (key, expected) in [(&reader, 403), (&asker, 403), (&sender, 403), (&admin, 200)] {
        let reply = post("/api/v1/quarantine/replay", Some(key), &ids);
        assert_eq!(reply.status, expected, "{}", reply.text());
        if expected == 200 {
            assert_eq!(reply.ok()["replayed"], 1, "{}", reply.text());
            assert_eq!(reply.ok()["refused"][0]["id"], 1);
        }
    }
    let session = get("/api/v1/session", Some(&reader)).ok();
    assert_eq!(session, json!({"required": true, "name": "reader", "scopes": ["read"]}));

    // Revoked while the server runs.
    sandbox.succeed(&["key", "revoke", "reader"]);
    wait_for("the end of the key", || {
        (get("/api/v1/marts", Some(&reader)).status == 401).then_some(())
    });
    let listed = sandbox.succeed(&["key", "list", "--format", "json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
    let all = sandbox.succeed(&["key", "list", "--all"]).stdout;
    assert!(all.contains("revoked") && !all.contains(&reader), "{all}");
    // Neither the key nor its secret is kept anywhere.
    let secret = admin.rsplit('_').next().unwrap();
    for entry in std::fs::read_dir(sandbox.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    assert!(server.stop("TERM").success());
}

#[test]
fn a_key_may_ask_only_so_often() {
    let sandbox = Sandbox::new();
    let slow = key(&sandbox, &["slow", "--scope", "read", "--rate-limit", "3"]);
    let server = Server::start(&sandbox, &["--api-keys", "required"]);
    let agent = agent();
    let address = format!("{}/api/v1/session", server.url);
    let authorization = bearer(&slow);
    let ask = || fetch(&agent, &address, &[("authorization", &authorization)]);
    let refused = wait_for("the limit", || Some(ask()).filter(|reply| reply.status == 429));
    assert_eq!(refused.headers["retry-after"], "1");
    wait_for("another turn", || (ask().status == 200).then_some(()));
    sandbox.refuse(&["key", "create", "x", "--scope", "everything"]);
    sandbox.refuse(&["key", "create", "", "--scope", "read"]);
    sandbox.refuse(&["key", "revoke", "nobody"]);
}

#[test]
fn pages_of_other_hosts_may_call_only_if_they_are_named() {
    let sandbox = Sandbox::new();
    let agent = agent();
    let server = Server::start(&sandbox, &["--api-cors-origins", "https://good.example"]);
    let address = format!("{}/api/v1/marts", server.url);
    let with = |origin: &str| fetch(&agent, &address, &[("origin", origin)]);
    let good = with("https://good.example");
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(good.headers["access-control-allow-origin"], "https://good.example");
    for origin in ["https://evil.example", "null", "https://good.example.evil"] {
        let refused = with(origin);
        assert_eq!(refused.status, 403, "{origin}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(with(&server.url).status, 200, "our own page");
    // A name that leads here is not this machine's.
    let rebound = fetch(&agent, &address, &[("host", "evil.example")]);
    assert_eq!(rebound.status, 403, "{}", rebound.text());
}

#[test]
fn beyond_this_machine_keys_are_needed() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &["--collector-listen", "0.0.0.0:0"]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let address = format!("http://127.0.0.1:{port}/api/v1/marts");
    assert_eq!(fetch(&agent(), &address, &[]).status, 401);
}

#[test]
fn ten_thousand_connections_cost_little_and_end_with_those_who_hold_them() {
    const CALLERS: usize = 8;
    const EACH: usize = 1_250;
    /// Those beyond the limit are in the system's queue, and beyond that nowhere.
    const PATIENCE: Duration = Duration::from_millis(20);
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let agent = agent();
    let status = format!("{}/api/v1/accounting", server.url);
    let before = fetch(&agent, &status, &[]).ok();
    let memory_before = server.resident_bytes();
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let held: Vec<TcpStream> = std::thread::scope(|scope| {
        let call = || {
            let connect = || TcpStream::connect_timeout(&address, PATIENCE).ok();
            let mut held: Vec<TcpStream> = (0..EACH).filter_map(|_| connect()).collect();
            // A head that never ends; a connection that was refused meanwhile may be closed.
            held.retain_mut(|stream| stream.write_all(b"GET /api/v1/marts HTTP/1.1\r\n").is_ok());
            held
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert!(held.len() >= 4_096, "{}: is `ulimit -n` lower?", held.len());
    let grown = server.resident_bytes().saturating_sub(memory_before);
    assert!(grown < 256 << 20, "{} connections took {grown} bytes", held.len());
    drop(held);
    wait_for("the next answer", || {
        let answer = fetch(&agent, &status, &[]);
        (answer.status == 200).then(|| assert_eq!(answer.ok(), before))
    });
}

#[test]
fn a_live_stream_ends_with_its_key() {
    let sandbox = Sandbox::new();
    let watcher = key(&sandbox, &["watcher", "--scope", "read"]);
    let server = Server::start(&sandbox, &["--api-keys", "required"]);
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET /api/v1/live HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\n\r\n",
        bearer(&watcher)
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    sandbox.succeed(&["key", "revoke", "watcher"]);
    // The last chunk of an answer is empty: the stream is over, though the connection may be kept.
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while !seen.ends_with(b"\r\n0\r\n\r\n") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..read]);
    }
}

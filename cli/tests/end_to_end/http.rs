//! The collector, and the answers beside it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::collector::{Answer, Server, agent, get, post};
use crate::gzip::gzip;
use crate::inspect::{accounting, hot_keys, landed_keys, number};
use crate::random::Random;
use crate::sandbox::{Sandbox, wait_for};

/// An event that fits its contract.
fn event(id: &str) -> Value {
    json!({
        "event_id": id,
        "event_type": "ad_impression",
        "event_time": "2026-01-05T10:00:00Z",
        "player_id": "p1",
        "session_id": "s1",
        "platform": "ios",
        "country": "DE",
        "properties": {
            "impression_id": id, "network": "n1", "placement": "main", "ad_format": "banner",
            "revenue_usd": 0.25
        }
    })
}

fn counts(answer: &Answer) -> [u64; 4] {
    assert_eq!(answer.status, 200, "{answer:?}");
    ["received", "landed", "duplicates", "quarantined"]
        .map(|name| answer.body[name].as_u64().unwrap_or_else(|| panic!("{answer:?}")))
}

#[test]
fn objects_arrays_lines_and_gzip_are_counted_and_duplicates_found() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let agent = agent();
    let send = |body: &[u8], encoding| post(&agent, &server.url, body, encoding).unwrap();

    let object = event("e1").to_string();
    assert_eq!(counts(&send(object.as_bytes(), None)), [1, 1, 0, 0]);
    assert_eq!(counts(&send(object.as_bytes(), None)), [1, 0, 1, 0]);
    let array = json!([event("e2"), event("e3"), event("e2")]).to_string();
    assert_eq!(counts(&send(array.as_bytes(), None)), [3, 2, 1, 0]);
    let lines = format!("{}\n{}\r\n\n{}", event("e4"), event("e1"), event("e5"));
    assert_eq!(counts(&send(lines.as_bytes(), None)), [3, 2, 1, 0]);
    let pretty = serde_json::to_string_pretty(&event("e6")).unwrap();
    assert_eq!(counts(&send(pretty.as_bytes(), None)), [1, 1, 0, 0]);
    let packed = gzip(event("e7").to_string().as_bytes());
    assert_eq!(counts(&send(&packed, Some("gzip"))), [1, 1, 0, 0]);
    // Gzip that does not say so, and a byte order mark.
    let packed = gzip(event("e7-packed").to_string().as_bytes());
    assert_eq!(counts(&send(&packed, None)), [1, 1, 0, 0]);
    let marked = format!("\u{feff}{}", json!([event("e7-marked"), event("e7-marked-too")]));
    assert_eq!(counts(&send(marked.as_bytes(), None)), [2, 2, 0, 0]);
    assert_eq!(counts(&send(b"[]", None)), [0, 0, 0, 0]);

    let mut wrong_type = event("e8");
    wrong_type["properties"]["revenue_usd"] = json!("a lot");
    let mut unknown = event("e9");
    unknown["event_type"] = json!("ad_impresion");
    let batch = format!("{wrong_type}\n{}\n{unknown}\n{{\"event_id\"\n", event("e10"));
    let answer = send(batch.as_bytes(), None);
    assert_eq!(counts(&answer), [4, 1, 0, 3]);
    let refused: Vec<(u64, &str)> = answer.body["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| {
            assert!(!refused["detail"].as_str().unwrap().is_empty(), "{refused}");
            assert!(!refused["advice"].as_str().unwrap().is_empty(), "{refused}");
            (refused["index"].as_u64().unwrap(), refused["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(refused, [(0, "wrong_type"), (2, "unknown_event_type"), (3, "malformed_json")]);

    let health = get(&agent, &server.url, "/healthz").unwrap();
    assert_eq!(health.status, 200);
    let status = get(&agent, &server.url, "/api/v1/status").unwrap();
    assert_eq!(status.body["accounting"]["adds_up"], true, "{status:?}");
    assert_eq!(status.body["accounting"]["landed"], 11, "{status:?}");
    let tables = get(&agent, &server.url, "/api/v1/tables").unwrap();
    assert!(tables.body.to_string().contains("fact_ad_impression"), "{tables:?}");
    let missing = get(&agent, &server.url, "/api/v1/tables/no_such_table").unwrap();
    assert_eq!(missing.status, 404, "{missing:?}");

    // The pipeline is another process; the server shows what it has made.
    sandbox.etl();
    // It looks for new data once a second.
    let shown = wait_for("the new rows", || {
        let path = "/api/v1/tables/fact_ad_impression?limit=5";
        let rows = get(&agent, &server.url, path).unwrap();
        assert_eq!(rows.status, 200, "{rows:?}");
        rows.body["rows"].as_array().map(Vec::len).filter(|shown| *shown > 0)
    });
    assert_eq!(shown, 5);
    assert!(server.stop("TERM").success());
    assert_eq!(number(&sandbox, "SELECT count(*) FROM fact_ad_impression"), 11);
}

#[test]
fn bodies_that_cannot_be_taken_are_refused_as_a_whole() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &["--collector-body-limit", "4KiB"]);
    let agent = agent();
    let status = |body: &[u8], encoding| {
        let answer = post(&agent, &server.url, body, encoding).unwrap();
        assert_eq!(answer.body["status"], answer.status, "{answer:?}");
        assert!(!answer.body["title"].as_str().unwrap().is_empty(), "{answer:?}");
        answer.status
    };
    let large = vec![b' '; 5_000];
    assert_eq!(status(&large, None), 413);
    // Small on the way and large when unpacked.
    assert_eq!(status(&gzip(&large), Some("gzip")), 413);
    let packed = gzip(event("e1").to_string().as_bytes());
    assert_eq!(status(&packed[..packed.len() - 6], Some("gzip")), 400);
    assert_eq!(status(event("e1").to_string().as_bytes(), Some("gzip")), 400);
    assert_eq!(status(&packed, Some("br")), 415);
    assert_eq!(status(b"", None), 400);
    assert_eq!(status(b" \r\n", None), 400);
    assert_eq!(status(b"[{\"event_id\":", None), 400);

    let mut random = Random::new(41);
    for _ in 0..20 {
        let length = random.below(600) as usize + 2;
        let garbage: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        let answer = post(&agent, &server.url, &garbage, None).unwrap();
        assert!(matches!(answer.status, 200 | 400), "{answer:?} to {garbage:02x?}");
    }
    let landed = "SELECT coalesce(sum(landed), 0) FROM meta_partitions";
    assert_eq!(number(&sandbox, landed), 0);
    assert_eq!(counts(&post(&agent, &server.url, &packed, Some("gzip")).unwrap()), [1, 1, 0, 0]);
    assert!(server.stop("INT").success());
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
}

/// A few kilobytes when it is well packed; each record of it would take memory for its answer.
#[test]
fn a_body_of_very_many_records_is_refused_as_a_whole() {
    const MOST: usize = 100_000;
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let agent = agent();
    let lines = "{}\n".repeat(MOST + 1);
    let array = format!("[{}0]", "0,".repeat(MOST));
    for body in [lines.as_bytes(), array.as_bytes()] {
        let packed = gzip(body);
        for (body, encoding) in [(body, None), (&packed[..], Some("gzip"))] {
            let answer = post(&agent, &server.url, body, encoding).unwrap();
            assert_eq!(answer.status, 413, "{answer:?}");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains("100000 records"), "{detail}");
        }
    }
    let landed = "SELECT coalesce(sum(landed + quarantined), 0) FROM meta_partitions";
    assert_eq!(number(&sandbox, landed), 0);
    let body = event("e1").to_string();
    assert_eq!(counts(&post(&agent, &server.url, body.as_bytes(), None).unwrap()), [1, 1, 0, 0]);
    assert!(server.stop("TERM").success());
}

/// The answer comes before all of the body has been sent; the client must see it nevertheless.
#[test]
fn a_body_that_is_far_too_long_is_answered_and_not_cut_off() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &["--collector-body-limit", "4KiB"]);
    let agent = agent();
    let large = vec![b' '; (8 << 20) - 4_096];
    for _ in 0..5 {
        assert_eq!(post(&agent, &server.url, &large, None).unwrap().status, 413);
    }
    let body = event("e1").to_string();
    assert_eq!(counts(&post(&agent, &server.url, body.as_bytes(), None).unwrap()), [1, 1, 0, 0]);
    assert!(server.stop("TERM").success());
}

#[test]
fn a_full_queue_sends_clients_away_for_a_moment() {
    const CLIENTS: usize = 8;
    let sandbox = Sandbox::new();
    let server = Server::start(
        &sandbox,
        &[
            "--ingest-queue-bytes",
            "1MiB",
            "--ingest-batch-bytes",
            "1MiB",
            "--collector-body-limit",
            "1MiB",
        ],
    );
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (url, barrier) = (server.url.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                // Two of these do not fit into the queue together.
                let lines: Vec<String> = (0..2_400)
                    .map(|line| event(&format!("c{client}-{line}")).to_string())
                    .collect();
                let body = lines.join("\n");
                assert!(body.len() > 520 << 10 && body.len() < 1 << 20, "{}", body.len());
                let agent = agent();
                let mut sent_away = 0;
                barrier.wait();
                let landed = wait_for("room in the queue", || {
                    let answer = post(&agent, &url, body.as_bytes(), None).unwrap();
                    if answer.status == 429 {
                        assert!(answer.retry_after.is_some(), "{answer:?}");
                        sent_away += 1;
                        return None;
                    }
                    Some(counts(&answer))
                });
                assert_eq!(landed, [2_400, 2_400, 0, 0]);
                sent_away
            })
        })
        .collect();
    let sent_away: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(sent_away > 0, "no client was ever sent away");
    assert!(server.stop("TERM").success());
    assert_eq!(hot_keys(&sandbox).len(), CLIENTS * 2_400);
    let mut landed = landed_keys(&sandbox);
    landed.sort();
    landed.dedup();
    assert_eq!(landed.len(), CLIENTS * 2_400);
}

#[test]
fn a_server_that_is_asked_to_stop_keeps_what_it_has_answered() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let url = server.url.clone();
    let client = std::thread::spawn(move || {
        let agent = agent();
        let mut answered = 0;
        for number in 0.. {
            let body = event(&format!("e{number}")).to_string();
            match post(&agent, &url, body.as_bytes(), None) {
                Ok(answer) if answer.status == 200 => answered += 1,
                Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                Err(_) => break,
            }
            let _ = sender.send(());
        }
        answered
    });
    for _ in 0..5 {
        receiver.recv().unwrap();
    }
    assert!(server.stop("TERM").success());
    let answered = client.join().unwrap();
    // The last one may have landed though its answer did not arrive.
    let landed = accounting(&sandbox).landed;
    assert!(landed == answered || landed == answered + 1, "{landed} landed, {answered} answered");
    assert_eq!(hot_keys(&sandbox).len() as u64, landed);
}

/// A server that has said that it listens can be asked to stop at once.
#[test]
fn a_server_that_has_just_begun_stops_in_good_order() {
    let sandbox = Sandbox::new();
    for signal in ["TERM", "INT"].into_iter().cycle().take(20) {
        let stopped = Server::start(&sandbox, &[]).stop(signal);
        assert!(stopped.success(), "{signal}: {stopped}");
    }
}

#[test]
fn two_servers_on_the_same_data_have_queues_of_their_own() {
    let sandbox = Sandbox::new();
    let servers = [Server::start(&sandbox, &[]), Server::start(&sandbox, &[])];
    let agent = agent();
    for (index, server) in servers.iter().enumerate() {
        let body = format!("{}\n{}", event("shared"), event(&format!("own-{index}")));
        let expected = [2, 2 - index as u64, index as u64, 0];
        assert_eq!(counts(&post(&agent, &server.url, body.as_bytes(), None).unwrap()), expected);
    }
    for server in servers {
        assert!(server.stop("TERM").success());
    }
    assert_eq!(number(&sandbox, "SELECT count(*) FROM meta_partitions WHERE topic = 'http'"), 2);
    let mut landed = landed_keys(&sandbox);
    landed.sort();
    assert_eq!(landed, ["own-0", "own-1", "shared"]);
}

/// Machines have a data folder each, and may lose it.
#[test]
fn servers_with_the_same_stores_and_folders_of_their_own_give_no_key_twice() {
    let stores = Sandbox::new();
    let shared = |name: &str| stores.path(name).display().to_string();
    let variables = [
        ("QUESTLAKE_STORES_WAREHOUSE", format!("sqlite://{}", shared("warehouse.db"))),
        ("QUESTLAKE_STORES_HOT", format!("sqlite://{}", shared("hot.db"))),
        ("QUESTLAKE_STORES_LANDING", format!("file://{}", shared("landing"))),
    ];
    let machine = || Sandbox::new().with_variables(&variables);
    let machines = [machine(), machine()];
    let agent = agent();
    let mut sent = Vec::new();
    let mut send = |server: &Server| {
        let id = format!("event-{:02}", sent.len());
        let answer = post(&agent, &server.url, event(&id).to_string().as_bytes(), None).unwrap();
        assert_eq!(counts(&answer), [1, 1, 0, 0], "{id}");
        sent.push(id);
    };
    for _ in 0..2 {
        let servers = machines.each_ref().map(|machine| Server::start(machine, &[]));
        for _ in 0..3 {
            servers.iter().for_each(&mut send);
        }
        for server in servers {
            assert!(server.stop("TERM").success());
        }
    }
    // The third comes instead of one whose folder is lost.
    let third = machine();
    send(&Server::start(&third, &[]));
    let rows = third.query("SELECT event_id FROM events.envelope ORDER BY event_id");
    let landed: Vec<&str> = rows.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
    assert_eq!(landed, sent);
    let rows = third
        .query("SELECT DISTINCT source_partition FROM events.envelope WHERE source_topic = 'http'");
    assert_eq!(rows.len(), 3, "{rows:?}");
}

/// A connection to the server on which this was written.
fn written(server: &Server, request: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn a_download_that_nobody_reads_keeps_no_server_alive() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let sql = "SELECT repeat('x', 1000) AS x FROM generate_series(1, 900000)";
    let body = json!({ "sql": sql }).to_string();
    let request = format!(
        "POST /api/v1/query?format=csv HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stalled = written(&server, &request);
    let mut first = [0; 1024];
    stalled.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    let asked = Instant::now();
    let (status, said) = server.stop_and_hear("TERM");
    assert!(status.success(), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("are broken off")), "{said:#?}");
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
}

#[test]
fn a_request_has_one_host() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    for (hosts, expected) in
        [("Host: localhost\r\n", "200"), ("Host: localhost\r\nHost: x\r\n", "400"), ("", "400")]
    {
        let request = format!("GET /api/v1/session HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let mut answer = String::new();
        written(&server, &request).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
    }
}

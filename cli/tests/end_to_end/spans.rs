//! Spans, as a collector of OpenTelemetry gets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::api_client::fetch;
use crate::collector::{Server, agent};
use crate::sandbox::Sandbox;

/// Longest wait for a span; they are sent every five seconds, and at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes what is sent to it. Ends with the test.
struct SpanCollector {
    address: String,
    bodies: Receiver<Vec<u8>>,
}

impl SpanCollector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, bodies) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || take_all(stream, &sender));
            }
        });
        Self { address, bodies }
    }

    /// What has come until this text was in it. Protobuf holds texts as they are.
    fn until(&self, text: &[u8]) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !contains(&seen, text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let body = self.bodies.recv_timeout(left);
            seen.extend(body.unwrap_or_else(|error| {
                panic!("{error}: {} in {}", text.escape_ascii(), seen.escape_ascii())
            }));
        }
        seen
    }
}

/// Answers the requests of one connection.
fn take_all(stream: TcpStream, bodies: &Sender<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        bodies.send(body).ok()?;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_run_and_a_request_tell_their_spans_and_continue_the_callers() {
    let collector = SpanCollector::start();
    let sandbox = Sandbox::new();
    let told = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address.clone());
    let sandbox = sandbox.with_variables(&[told]);
    let ran = sandbox.succeed(&["etl", "run", "--select", "dim_date"]);
    assert!(!ran.text().contains("etl run{"), "spans are not for the log: {}", ran.text());
    let spans = collector.until(b"etl run");
    for text in ["model dim_date", "service.name", "questlake"] {
        assert!(contains(&spans, text.as_bytes()), "{text} in {}", spans.escape_ascii());
    }

    let server = Server::start(&sandbox, &[]);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let path = "/api/v1/marts/mart_daily_kpi";
    let url = format!("{}{path}", server.url);
    assert_eq!(fetch(&agent(), &url, &[("traceparent", caller)]).status, 200);
    let spans = collector.until(path.as_bytes());
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let parent = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
    assert!(contains(&spans, &trace), "the caller's trace in {}", spans.escape_ascii());
    assert!(contains(&spans, &parent), "the caller's span in {}", spans.escape_ascii());
    assert!(contains(&spans, b"http.response.status_code"));
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let sandbox = Sandbox::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}"));
    let started = Instant::now();
    sandbox.with_variables(&[told]).succeed(&["etl", "run", "--select", "dim_date"]);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let wrong = ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address".to_owned());
    let refused = sandbox.with_variables(&[wrong]).fail(&["etl", "status"]);
    assert!(refused.stderr.contains("OTEL_EXPORTER_OTLP"), "{}", refused.stderr);
}

//! The contract of every source, of those over Kafka.

use crate::collector::{Server, agent, post};
use crate::inspect::Sent;
use crate::kafka_topic::Topic;
use crate::sandbox::Sandbox;
use crate::services::use_services;
use crate::source_contract::{Source, installation, run_to_the_crash, suite};

/// Records that some producer has sent.
struct Kafka {
    sandbox: Sandbox,
    topic: Topic,
}

impl Source for Kafka {
    fn name(&self) -> &'static str {
        "Kafka"
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn after_a_crash(&self) -> Sent {
        Sent::Once
    }

    fn take_in(&self, lines: &[Vec<u8>]) {
        self.topic.send_lines(lines);
        self.topic.take_in(&self.sandbox, &[]);
    }

    fn crash(&self, lines: &[Vec<u8>]) {
        self.topic.send_lines(lines);
        run_to_the_crash(&self.sandbox, &self.topic.arguments(&["ingest"]), Vec::new());
    }

    fn recover(&self, _lines: &[Vec<u8>]) {
        self.topic.take_in(&self.sandbox, &[]);
    }
}

/// Records that the collector has sent.
struct HttpOverKafka(Kafka);

impl HttpOverKafka {
    fn post(&self, lines: &[Vec<u8>]) {
        let flags = self.0.topic.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let server = Server::start(&self.0.sandbox, &flags);
        let answer = post(&agent(), &server.url, &lines.concat(), None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(server.stop("TERM").success());
    }
}

impl Source for HttpOverKafka {
    fn name(&self) -> &'static str {
        "HTTP over Kafka"
    }

    fn sandbox(&self) -> &Sandbox {
        &self.0.sandbox
    }

    fn after_a_crash(&self) -> Sent {
        Sent::Once
    }

    fn take_in(&self, lines: &[Vec<u8>]) {
        self.post(lines);
        self.0.topic.take_in(&self.0.sandbox, &[]);
    }

    fn crash(&self, lines: &[Vec<u8>]) {
        self.post(lines);
        run_to_the_crash(&self.0.sandbox, &self.0.topic.arguments(&["ingest"]), Vec::new());
    }

    fn recover(&self, lines: &[Vec<u8>]) {
        self.0.recover(lines);
    }
}

#[test]
fn kafka_keeps_the_contract() {
    let _services = use_services();
    suite(&Kafka { sandbox: installation(), topic: Topic::create(3) });
}

#[test]
fn http_over_kafka_keeps_the_contract() {
    let _services = use_services();
    suite(&HttpOverKafka(Kafka { sandbox: installation(), topic: Topic::create(3) }));
}

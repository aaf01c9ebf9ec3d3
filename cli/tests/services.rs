//! The binary with real services behind it. `make services` starts them, and `scripts/services.sh env`
//! says where they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/http.rs"]
mod api_client;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/collector.rs"]
mod collector;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/dataset.rs"]
mod dataset;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/inspect.rs"]
mod inspect;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/kafka_topic.rs"]
mod kafka_topic;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/random.rs"]
mod random;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/sandbox.rs"]
mod sandbox;
#[path = "support/services.rs"]
mod services;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/source_contract.rs"]
mod source_contract;

#[path = "services/api.rs"]
mod api;
#[path = "services/away.rs"]
mod away;
#[path = "services/demo.rs"]
mod demo;
#[path = "services/kafka.rs"]
mod kafka;
#[path = "services/kafka_faults.rs"]
mod kafka_faults;
#[path = "services/kafka_group.rs"]
mod kafka_group;
#[path = "services/kills.rs"]
mod kills;
#[path = "services/name_service.rs"]
mod name_service;
#[path = "services/outages.rs"]
mod outages;
#[path = "services/refusals.rs"]
mod refusals;
#[path = "services/s3.rs"]
mod s3;
#[path = "services/sources.rs"]
mod sources;
#[path = "services/tls.rs"]
mod tls;

/// The embedded stores beside the services wait for a disk as they do in earnest.
const SANDBOXES_IN_MEMORY: bool = false;

//! The binary from end to end, as its users meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "support/http.rs"]
mod api_client;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/collector.rs"]
mod collector;
#[path = "support/dataset.rs"]
mod dataset;
#[path = "support/gzip.rs"]
mod gzip;
#[path = "support/inspect.rs"]
mod inspect;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/random.rs"]
mod random;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/sandbox.rs"]
mod sandbox;
#[path = "support/shop.rs"]
mod shop;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/source_contract.rs"]
mod source_contract;

#[path = "end_to_end/api.rs"]
mod api;
#[path = "end_to_end/api_access.rs"]
mod api_access;
#[path = "end_to_end/api_query.rs"]
mod api_query;
#[path = "end_to_end/api_truth.rs"]
mod api_truth;
#[path = "end_to_end/arcade.rs"]
mod arcade;
#[path = "end_to_end/archive.rs"]
mod archive;
#[path = "end_to_end/archive_backups.rs"]
mod archive_backups;
#[path = "end_to_end/checks.rs"]
mod checks;
#[path = "end_to_end/chess.rs"]
mod chess;
#[path = "end_to_end/contracts.rs"]
mod contracts;
#[path = "end_to_end/definitions.rs"]
mod definitions;
#[path = "end_to_end/demo.rs"]
mod demo;
#[path = "end_to_end/docs.rs"]
mod docs;
#[path = "end_to_end/files.rs"]
mod files;
#[path = "end_to_end/http.rs"]
mod http;
#[path = "end_to_end/increments.rs"]
mod increments;
#[path = "end_to_end/landing.rs"]
mod landing;
#[path = "end_to_end/leaderless.rs"]
mod leaderless;
#[path = "end_to_end/memory.rs"]
mod memory;
#[path = "end_to_end/plans.rs"]
mod plans;
#[path = "end_to_end/project.rs"]
mod project;
#[path = "end_to_end/quarantine.rs"]
mod quarantine;
#[path = "end_to_end/query.rs"]
mod query;
#[path = "end_to_end/readiness.rs"]
mod readiness;
#[path = "end_to_end/runs.rs"]
mod runs;
#[path = "end_to_end/sources.rs"]
mod sources;
#[path = "end_to_end/spans.rs"]
mod spans;
#[path = "end_to_end/unit_tests.rs"]
mod unit_tests;

/// Some of the data sets are too large for a small machine's memory.
const SANDBOXES_IN_MEMORY: bool = false;

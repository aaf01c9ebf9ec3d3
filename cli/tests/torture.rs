//! Nothing is lost and nothing counted twice, whatever ends the process, and wherever.
//!
//! `QUESTLAKE_TORTURE=full` does it many times over, and a number instead of `full` starts at that
//! seed; every seed is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/collector.rs"]
mod collector;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/dataset.rs"]
mod dataset;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/inspect.rs"]
mod inspect;
#[path = "support/random.rs"]
mod random;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/sandbox.rs"]
mod sandbox;

#[path = "torture/archive.rs"]
mod archive;
#[path = "torture/concurrent.rs"]
mod concurrent;
#[path = "torture/failpoints.rs"]
mod failpoints;
#[path = "torture/http.rs"]
mod http;
#[path = "torture/interleavings.rs"]
mod interleavings;
#[path = "torture/kills.rs"]
mod kills;
#[path = "torture/watch.rs"]
mod watch;

/// Thousands of commits: without waiting for a disk at each.
const SANDBOXES_IN_MEMORY: bool = true;

/// What `QUESTLAKE_TORTURE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effort {
    full: bool,
    first_seed: u64,
}

fn effort() -> Effort {
    let asked = std::env::var("QUESTLAKE_TORTURE").unwrap_or_default();
    Effort { full: asked == "full", first_seed: asked.parse().unwrap_or(20_260_101) }
}

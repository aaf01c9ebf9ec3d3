//! Fault injection for crash tests.
//!
//! A failpoint is a named place where a test can end the process or make the step fail. It is
//! armed by the environment variable `QUESTLAKE_FAILPOINTS`, such as
//! `ingest.after_hot_insert=abort@3;etl.before_publish=error@1`: the third time the first place is
//! reached the process aborts (as `kill -9` would end it), the first time at the second place the
//! step returns an error. Without the variable a failpoint costs one atomic load, and each stands
//! where a step runs once per batch or model, never per row.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every failpoint, in the order in which an event passes them.
pub const FAILPOINTS: &[&str] = &[
    "spool.after_write",
    "ingest.after_decode",
    "hot.in_insert",
    "ingest.after_hot_insert",
    "landing.after_temporary_write",
    "landing.after_rename",
    "ingest.after_seal",
    "ledger.before_commit",
    "ledger.after_commit",
    "ingest.after_commit",
    "etl.after_stage",
    "etl.before_publish",
    "etl.after_publish",
    "archive.after_files",
    "archive.before_commit",
    "archive.after_commit",
    "archive.before_ledger_commit",
    "archive.after_ledger_commit",
    "archive.after_remove",
    "archive.after_forget",
    "archive.optimize.after_files",
    "archive.optimize.after_commit",
    "archive.vacuum.before_delete",
];

#[derive(Debug)]
enum Action {
    Abort,
    Error,
}

#[derive(Debug)]
struct Armed {
    action: Action,
    /// The pass, from 1, on which it acts.
    on_pass: u64,
    passes: AtomicU64,
}

/// An injected failure.
#[derive(Debug, thiserror::Error)]
#[error("failpoint `{0}` is armed by QUESTLAKE_FAILPOINTS")]
pub struct InjectedFailure(pub &'static str);

static ARMED: OnceLock<HashMap<String, Armed>> = OnceLock::new();

/// Passes the failpoint `name`: does nothing, ends the process, or returns an error.
pub fn pass(name: &'static str) -> Result<(), InjectedFailure> {
    let armed =
        ARMED.get_or_init(|| parse(&std::env::var("QUESTLAKE_FAILPOINTS").unwrap_or_default()));
    if armed.is_empty() {
        return Ok(());
    }
    let Some(point) = armed.get(name) else { return Ok(()) };
    let pass = point.passes.fetch_add(1, Ordering::Relaxed) + 1;
    if pass != point.on_pass {
        return Ok(());
    }
    match point.action {
        Action::Abort => std::process::abort(),
        Action::Error => Err(InjectedFailure(name)),
    }
}

fn parse(text: &str) -> HashMap<String, Armed> {
    let mut armed = HashMap::new();
    for entry in text.split(';').filter(|entry| !entry.trim().is_empty()) {
        let Some((name, action)) = entry.split_once('=') else { continue };
        let (action, on_pass) = action.split_once('@').unwrap_or((action, "1"));
        let action = if action.trim() == "error" { Action::Error } else { Action::Abort };
        let on_pass = on_pass.trim().parse().unwrap_or(1);
        armed.insert(name.trim().to_owned(), Armed { action, on_pass, passes: AtomicU64::new(0) });
    }
    armed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_parsed_with_their_pass() {
        let armed = parse("a=abort@3; b=error ;;c");
        assert_eq!(armed.len(), 2);
        assert_eq!(armed["a"].on_pass, 3);
        assert!(matches!(armed["a"].action, Action::Abort));
        assert_eq!(armed["b"].on_pass, 1);
        assert!(matches!(armed["b"].action, Action::Error));
    }
}

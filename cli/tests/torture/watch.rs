//! Queries that go on while something else happens, and see each event exactly once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::inspect::ledger_days;
use crate::random::Random;
use crate::sandbox::Sandbox;

/// Does `work` while queries run, one after the other.
///
/// Each must find every event that was committed before it began, none that was not committed when
/// it had ended, and none twice.
pub(crate) fn while_queries_run<T>(
    sandbox: &Sandbox,
    seed: u64,
    what: &str,
    work: impl FnOnce() -> T,
) -> T {
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut random = Random::new(seed);
            loop {
                let last = stopped.load(Ordering::Relaxed);
                look(sandbox, &mut random, what);
                if last {
                    break;
                }
            }
        });
        // Also if the work panics: the scope waits for the queries.
        let guard = Stop(&stopped);
        let result = work();
        drop(guard);
        if let Err(panic) = looks.join() {
            std::panic::resume_unwind(panic);
        }
        result
    })
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Committed rows by event type.
fn committed(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let mut types = BTreeMap::new();
    for (event_type, _, rows) in ledger_days(sandbox) {
        *types.entry(event_type).or_insert(0) += rows;
    }
    types
}

/// Asks for all types at once, or for one of them.
fn look(sandbox: &Sandbox, random: &mut Random, what: &str) {
    let before = committed(sandbox);
    let chosen = (random.below(2) == 0 && !before.is_empty())
        .then(|| before.keys().nth(random.below(before.len() as u64) as usize).cloned())
        .flatten();
    let figures = "count(*) AS found, count(DISTINCT event_id) AS events";
    let rows =
        match &chosen {
            Some(name) => sandbox
                .query(&format!("SELECT '{name}' AS event_type, {figures} FROM events.{name}")),
            None => sandbox
                .query(&format!("SELECT event_type, {figures} FROM events.envelope GROUP BY 1")),
        };
    let after = committed(sandbox);
    let mut found = BTreeMap::new();
    for row in &rows {
        assert_eq!(row["found"], row["events"], "there several times: {row}, {what}");
        let name = row["event_type"].as_str().unwrap().to_owned();
        found.insert(name, row["found"].as_u64().unwrap());
    }
    for (event_type, rows) in &before {
        if chosen.as_ref().is_none_or(|name| name == event_type) {
            let seen = found.get(event_type).copied().unwrap_or(0);
            assert!(seen >= *rows, "{event_type}: {seen} of {rows} events are seen, {what}");
        }
    }
    for (event_type, seen) in &found {
        let rows = after.get(event_type).copied().unwrap_or(0);
        assert!(*seen <= rows, "{event_type}: {seen} events of {rows} are seen, {what}");
    }
}

/// Makes the archive older than `archive.grace` and any vacuum's bound, as if two hours had passed.
/// No process may be running.
pub(crate) fn age_archive(sandbox: &Sandbox) {
    const TWO_HOURS_MS: i64 = 2 * 60 * 60 * 1000;
    crate::inspect::warehouse(sandbox)
        .execute("UPDATE meta_segments SET archived_at = archived_at - ?1", [TWO_HOURS_MS])
        .unwrap();
    for path in crate::inspect::archive_files(sandbox) {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        let older = modified - std::time::Duration::from_millis(TWO_HOURS_MS as u64);
        file.set_modified(older).unwrap();
    }
    // When a file left its table stands in the log.
    for path in crate::inspect::files_below(sandbox, "archive", ".json") {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("\"deletionTimestamp\"") {
            let lines = text.lines().map(|line| {
                let mut action: Value = serde_json::from_str(line).unwrap();
                let removed_at = action.pointer_mut("/remove/deletionTimestamp");
                if let Some(removed_at) = removed_at.filter(|time| time.is_i64()) {
                    *removed_at = (removed_at.as_i64().unwrap() - TWO_HOURS_MS).into();
                }
                format!("{action}\n")
            });
            let aged: String = lines.collect();
            std::fs::write(&path, aged).unwrap();
        }
    }
}

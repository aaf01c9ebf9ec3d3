//! Ends a query before its process holds more memory than it may.
//!
//! Operators reserve most of what they hold in the pool of [`super::limits`], but not all: the sets of
//! several `count(DISTINCT …)` of texts pass from operator to operator unaccounted. So what the system
//! says that the process holds is looked at as well. Where a process does nothing but answer queries,
//! all of that is theirs; a server may hold what it held at its start and what its other work may take
//! on top. Which query took what the system does not tell: all that run end.

use std::time::{Duration, Instant};

use super::error::QueryError;
use crate::settings::ByteSize;

/// How often the process is looked at. Operators take some 100 MiB a second.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Longest wait for the memory of operators that were ended.
const LONGEST_RELEASE: Duration = Duration::from_secs(2);

/// What the process may hold.
#[derive(Debug)]
pub(super) struct ResidentGuard {
    setting: ByteSize,
    most: usize,
    next_look: Instant,
}

impl ResidentGuard {
    /// A guard that lets the process hold so many hundredths of `query.memory_limit`.
    pub(super) fn new(setting: ByteSize, percent: usize) -> Self {
        let most = setting.as_usize() / 100 * percent;
        Self { setting, most, next_look: Instant::now() }
    }

    /// A guard that lets the process hold so many bytes. Short queries end before the first look: of these
    /// there can be thousands a second.
    pub(super) fn of_process(setting: ByteSize, most: usize) -> Self {
        Self { setting, most, next_look: Instant::now() + LOOK_EVERY }
    }

    /// Looks at the process, if it is time to.
    ///
    /// # Errors
    /// [`QueryError::Memory`] if it holds too much.
    pub(super) fn look(&mut self) -> Result<(), QueryError> {
        let now = Instant::now();
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK_EVERY;
        match resident_bytes() {
            Some(held) if held > self.most => Err(QueryError::Memory {
                limit: self.setting,
                detail: format!("the process holds {} MiB", held >> 20),
            }),
            _ => Ok(()),
        }
    }

    /// Waits until what was ended has given its memory back, or does not seem to.
    pub(super) async fn released(mut self) {
        let started = Instant::now();
        while self.look().is_err() && started.elapsed() < LONGEST_RELEASE {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Bytes of memory that the process holds, where the system tells.
pub(super) fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let (_, rest) = status.split_once("VmRSS:")?;
    let kibibytes: usize = rest.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_holds_too_much_is_seen() {
        let held = resident_bytes().unwrap();
        assert!(held > 1 << 20);
        let error =
            ResidentGuard::new(ByteSize::from_bytes(held as u64 / 2), 100).look().unwrap_err();
        assert!(matches!(error, QueryError::Memory { .. }), "{error}");
        ResidentGuard::new(ByteSize::from_bytes(held as u64 * 16), 100).look().unwrap();
    }
}

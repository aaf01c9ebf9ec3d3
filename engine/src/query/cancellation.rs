//! When a query has to end, for those of its parts that do not give way.
//!
//! A task ends where it waits. A join without equality, a function over a large text, or a planner
//! that folds constants does not wait for long; these ask here instead, each time before they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result};

/// Why a query's parts stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// Nobody waits for the rows any more.
    #[error("the query was left")]
    Left,
    /// Its time is over.
    #[error("the query took longer than query.timeout")]
    TimedOut(Duration),
}

/// Tells the parts of one query when to end.
#[derive(Debug)]
pub(super) struct Cancellation {
    started: Instant,
    timeout: Option<Duration>,
    left: AtomicBool,
}

impl Cancellation {
    /// For a query that began then and may take so long, its planning included.
    pub(super) fn new(started: Instant, timeout: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { started, timeout, left: AtomicBool::new(false) })
    }

    /// Tells that nobody waits for the query any more.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Longest time for the query.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Time that is left to the query.
    pub(super) fn time_left(&self) -> Duration {
        self.timeout.map_or(Duration::MAX, |limit| limit.saturating_sub(self.started.elapsed()))
    }

    /// Whether the query may go on.
    ///
    /// # Errors
    /// [`Stopped`], as a cause.
    pub(super) fn check(&self) -> Result<()> {
        let stopped = match self.timeout {
            _ if self.left.load(Ordering::Relaxed) => Stopped::Left,
            Some(limit) if self.started.elapsed() >= limit => Stopped::TimedOut(limit),
            _ => return Ok(()),
        };
        Err(DataFusionError::External(Box::new(stopped)))
    }
}

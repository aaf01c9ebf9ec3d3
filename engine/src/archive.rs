//! Moves events from landing to the archive, and prunes what is safely there.
//!
//! Delivery semantics: a move goes up to a commit that every model has read. Its rows are written,
//! read back and compared with landing by counts and key checksums, committed in each type's Delta
//! table under the move's transaction identifier, and made real by one transaction of the ledger. A
//! crash anywhere leaves a move that the next run goes on with; types whose Delta commit was made are
//! recognized by the identifier. Files in landing are removed only after the archive has been read
//! again and found whole, and after those who began to read before have had time to end.

mod mover;
mod order;
mod prune;
mod upkeep;

pub use upkeep::UpkeepReport;

use std::collections::BTreeSet;
use std::time::Duration;

use datafusion::common::DataFusionError;
use futures::future::BoxFuture;
use tracing::instrument;

use crate::clock::now_millis;
use crate::pipeline::{Engine, PipelineError};
use crate::stores::error::StoreError;

const MILLIS_PER_DAY: i64 = 86_400_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// An archive operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A store did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Landed events could not be read or sorted.
    #[error("events of type {event_type} could not be moved to the archive: {}", crate::pipeline::describe(.source))]
    Query {
        /// The event type.
        event_type: String,
        /// The cause.
        source: DataFusionError,
    },
    /// Events have landed of a type that the project does not know any more.
    #[error(
        "events of type {event_type} have landed, but sql/events/ has no contract for them; put it back, then archive again"
    )]
    MissingContract {
        /// The event type.
        event_type: String,
    },
    /// What was read differs from what the ledger says.
    #[error(
        "{place} holds {found} rows of {event_type} on {day} where the ledger has {expected}{keys}; nothing was removed. {advice}"
    )]
    Differs {
        /// `landing` or `the archive`.
        place: &'static str,
        /// The event type.
        event_type: String,
        /// The day, such as `2026-01-31`.
        day: String,
        /// Rows found.
        found: u64,
        /// Rows expected.
        expected: u64,
        /// Says so if the rows are as many but not the same.
        keys: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A table is gone that the ledger knows.
    #[error(
        "{archive} has no table of {event_type}, though events of that type were moved to it; check that its folder is there and mounted, or restore it from a backup"
    )]
    Missing {
        /// The event type.
        event_type: String,
        /// How messages name the archive.
        archive: String,
    },
    /// The archive is further than the ledger.
    #[error(
        "the archive of {event_type} holds commits up to {archived}, but the ledger has moved only up to {known}; is the warehouse an old backup? Restore both from the same time"
    )]
    Ahead {
        /// The event type.
        event_type: String,
        /// Transaction identifier in the archive.
        archived: i64,
        /// How far the ledger is.
        known: i64,
    },
    /// The models' progress could not be read.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// How the archive is kept.
#[derive(Debug, Clone, Copy)]
pub struct ArchivePolicy {
    /// Age of the newest day in a segment beyond which it moves.
    pub after: Duration,
    /// How long files stay that nobody begins to read any more: longer than any query.
    pub grace: Duration,
    /// Age of events beyond which the hot store forgets them; `None` to keep them.
    pub hot_retention: Option<Duration>,
    /// Age beyond which replaced files of the archive are removed.
    pub vacuum_after: Duration,
}

/// One event type's part in a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// The event type.
    pub event_type: String,
    /// Rows that moved.
    pub rows: u64,
    /// Days (since 1970) that they belong to.
    pub days: BTreeSet<i32>,
}

/// What a run of the archive did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Commits up to this one are in the archive.
    pub through: i64,
    /// Commits whose newest day is not old enough yet.
    pub young: i64,
    /// Commits that a model has still to read.
    pub waiting: i64,
    /// The model that is behind, if commits wait for one.
    pub waiting_for: Option<String>,
    /// What moved, by event type.
    pub moved: Vec<MovedTable>,
    /// Segments whose files were removed from landing.
    pub pruned_segments: u64,
    /// Bytes of those files.
    pub pruned_bytes: u64,
    /// Documents that the hot store forgot.
    pub pruned_documents: u64,
}

impl ArchiveReport {
    /// A type moves twice in a run that first ends a move which was cut off.
    fn add(&mut self, moved: MovedTable) {
        match self.moved.iter_mut().find(|known| known.event_type == moved.event_type) {
            Some(known) => {
                known.rows += moved.rows;
                known.days.extend(moved.days);
            }
            None => self.moved.push(moved),
        }
    }
}

/// Is told of each table that has moved.
pub type Observer<'a> = &'a (dyn Fn(&MovedTable) + Send + Sync);

impl Engine {
    /// Moves to the archive what every model has read and is old enough, and prunes what is safely
    /// there. `before` (days since 1970) stands in for the policy's age: all days of a segment that
    /// moves are earlier.
    #[instrument(target = "span", name = "archive", skip_all)]
    pub fn archive<'a>(
        &'a self,
        policy: &'a ArchivePolicy,
        before: Option<i32>,
        observer: Observer<'a>,
    ) -> BoxFuture<'a, Result<ArchiveReport, ArchiveError>> {
        Box::pin(async move {
            let _lock = self.stores.warehouse.lock("archive").await?;
            let mut report = ArchiveReport::default();
            let before = before.unwrap_or_else(|| day_of(now_millis()) - days_in(policy.after));
            self.move_events(before, &mut report, observer).await?;
            self.prune(policy, &mut report).await?;
            Ok(report)
        })
    }
}

/// The day (days since 1970) of a time in milliseconds since 1970.
fn day_of(millis: i64) -> i32 {
    i32::try_from(millis.div_euclid(MILLIS_PER_DAY)).unwrap_or(i32::MAX)
}

/// Whole days, rounded up.
fn days_in(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs().div_ceil(SECONDS_PER_DAY)).unwrap_or(i32::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A day for people.
fn date_text(day: i32) -> String {
    arrow::temporal_conversions::date32_to_datetime(day)
        .map(|time| time.date().to_string())
        .unwrap_or_default()
}

//! What can fail while events are taken in.

use std::path::PathBuf;

use questlake_engine::failpoint::InjectedFailure;
use questlake_engine::project::checks::CheckError;
use questlake_engine::stores::error::StoreError;
use questlake_engine::stores::ledger::gap::{Gap, GapReason};

/// An ingest operation that failed. What was committed before stays; the rest is read again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A store did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("could not {operation} {}: {source}", .path.display())]
    File {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A queued file is damaged.
    #[error("{}: {reason}; move the file away to go on without its records", .path.display())]
    DamagedQueue {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A constraint of a contract cannot be evaluated.
    #[error("CHECK `{}` of a contract: {}", .0.constraint.name, .0.source.find_root())]
    Check(Box<CheckError>),
    /// Rows could not be brought into a segment.
    #[error("could not encode a segment: {0}")]
    Encode(#[from] arrow::error::ArrowError),
    /// A topic no longer has records that were never read. The gap is listed in the ledger.
    #[error(
        "{}/{} has a gap: {}; {}", .0.topic, .0.partition, .0.detail, advice_on_gap(.0)
    )]
    Gap(Box<Gap>),
    /// Another process keeps taking the same partition over.
    #[error("{topic}/{partition} is read by another process; let one of them end")]
    Contended {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// A step ended abnormally.
    #[error("{step} ended abnormally: {reason}")]
    Aborted {
        /// The step.
        step: &'static str,
        /// What happened.
        reason: String,
    },
    /// The operation was stopped.
    #[error("stopped")]
    Stopped,
    /// A failpoint is armed.
    #[error(transparent)]
    Injected(#[from] InjectedFailure),
}

/// What a person can do about a gap.
fn advice_on_gap(gap: &Gap) -> String {
    match gap.reason {
        GapReason::Truncated => format!(
            "nothing was skipped; `questlake ingest --accept-gaps` gives the records {} to {} up \
             for lost and goes on behind them",
            gap.from_offset,
            gap.to_offset - 1
        ),
        GapReason::Recreated => "nothing more is read, since its positions have lost their \
             meaning; restore the topic, or set kafka.topic to the name of a new one"
            .to_owned(),
    }
}

impl IngestError {
    /// Whether another process has taken the partition over.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_fenced())
    }
}

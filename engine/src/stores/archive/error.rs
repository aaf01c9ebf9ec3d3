//! What went wrong in the archive, classified by what a caller can do.

use std::error::Error;

use datafusion::common::DataFusionError;
use deltalake_core::{DeltaTableError, ObjectStoreError};
use parquet::errors::ParquetError;

use crate::stores::error::{StoreError, StoreErrorKind};
use crate::stores::objects::meaning_of;

/// Why the archive is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file is not what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file's path below the archive.
        file: String,
        /// What does not match.
        what: String,
    },
    /// Rows that were read do not match those that were written or replaced.
    #[error("{what} of {day} hold {found_rows} events instead of {expected_rows}, or other events")]
    OtherRows {
        /// Which rows.
        what: &'static str,
        /// Their day.
        day: String,
        /// Events that are there.
        found_rows: u64,
        /// Events that should be there.
        expected_rows: u64,
    },
    /// Another process has archived the same part of the ledger.
    #[error("events up to {found} of the ledger are archived already, {expected} was expected")]
    ArchivedByAnother {
        /// How far the table is.
        found: i64,
        /// How far it was when the rows were chosen.
        expected: i64,
    },
    /// The table can not be written as the contract wants it.
    #[error("{0}")]
    Unsuitable(String),
    /// A table is gone.
    #[error("there is no table of {0}, though events of that type were archived")]
    Missing(String),
    /// Rows came in another order than the archive keeps.
    #[error("rows are not sorted by event_date, player_id and event_time")]
    Unsorted,
    /// Others wrote so often that no commit came through.
    #[error("{0} attempts to commit met a commit of another process")]
    Contended(usize),
}

/// An error of the archive `store` while doing `operation`.
pub(super) fn failed(
    store: &str,
    operation: impl Into<String>,
    error: impl Error + Send + Sync + 'static,
) -> StoreError {
    let (kind, advice) = classify(&error);
    let failure = StoreError::new(store, operation, kind, error);
    match advice {
        Some(advice) => failure.with_advice(advice),
        None => failure,
    }
}

const RESTORE: &str = "restore the file from a backup; nothing is pruned until it is whole";

/// What the cause, or the first of its own causes that says so, means for a caller.
fn classify(error: &(dyn Error + 'static)) -> (StoreErrorKind, Option<&'static str>) {
    let (mut damaged, mut unreachable) = (false, false);
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ArchiveError>() {
            return classify_own(error);
        }
        // Rows come from other stores, whose errors are classified already.
        if let Some(error) = error.downcast_ref::<StoreError>() {
            return (error.kind, None);
        }
        if let Some((kind, advice)) = meaning_of(error) {
            return (kind, advice.or((kind == StoreErrorKind::Corrupt).then_some(RESTORE)));
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            // What a writer makes of a store's error has lost what it means.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ObjectStoreError>());
            let Some(inner) = inner else { return classify_io(error.kind()) };
            cause = Some(inner);
            continue;
        }
        if let Some(DataFusionError::ResourcesExhausted(_)) = error.downcast_ref() {
            return (StoreErrorKind::Unavailable, Some("raise engine.memory_limit"));
        }
        unreachable |= error.is::<ObjectStoreError>();
        damaged |= error.is::<ParquetError>()
            || error.is::<arrow::error::ArrowError>()
            || error.is::<DeltaTableError>();
        cause = error.source();
    }
    // What could not be read may be whole.
    if damaged && !unreachable {
        return (StoreErrorKind::Corrupt, Some(RESTORE));
    }
    (StoreErrorKind::Unavailable, None)
}

fn classify_io(kind: std::io::ErrorKind) -> (StoreErrorKind, Option<&'static str>) {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Full, Some("free some disk space and run the command again"))
        }
        ErrorKind::NotFound | ErrorKind::UnexpectedEof => (StoreErrorKind::Corrupt, Some(RESTORE)),
        _ => (
            StoreErrorKind::Unavailable,
            Some("check that the archive's storage is up and can be written"),
        ),
    }
}

fn classify_own(error: &ArchiveError) -> (StoreErrorKind, Option<&'static str>) {
    match error {
        ArchiveError::Damaged { .. } | ArchiveError::OtherRows { .. } => {
            (StoreErrorKind::Corrupt, Some(RESTORE))
        }
        ArchiveError::ArchivedByAnother { .. } => {
            (StoreErrorKind::Fenced, Some("run one archive command at a time"))
        }
        ArchiveError::Unsuitable(_) => (StoreErrorKind::Incompatible, None),
        ArchiveError::Missing(_) => (
            StoreErrorKind::Corrupt,
            Some("check that the archive's folder is there and mounted, or restore it"),
        ),
        ArchiveError::Unsorted => (StoreErrorKind::Internal, None),
        ArchiveError::Contended(_) => (StoreErrorKind::Unavailable, Some("run the command again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_classified_however_deep_they_lie() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let store = ObjectStoreError::Generic { store: "local", source: Box::new(full) };
        let parquet = ParquetError::External(Box::new(store));
        assert_eq!(failed("archive", "write", parquet).kind, StoreErrorKind::Full);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let store = ObjectStoreError::Generic { store: "local", source: Box::new(full) };
        let written = ParquetError::External(Box::new(std::io::Error::from(store)));
        assert_eq!(failed("archive", "write", written).kind, StoreErrorKind::Full);
        let cut = ParquetError::EOF("cut off".to_owned());
        assert_eq!(failed("archive", "read", cut).kind, StoreErrorKind::Corrupt);
        let silent = ObjectStoreError::Generic { store: "archive", source: "no answer".into() };
        let parquet = ParquetError::External(Box::new(silent));
        assert_eq!(failed("archive", "read", parquet).kind, StoreErrorKind::Unavailable);
        let log = DeltaTableError::Generic("not an entry of a log".to_owned());
        assert_eq!(failed("archive", "open", log).kind, StoreErrorKind::Corrupt);
        let landing = StoreError::new("landing", "read", StoreErrorKind::Full, "no room");
        let rows = DataFusionError::External(Box::new(landing));
        assert_eq!(failed("archive", "read rows", rows).kind, StoreErrorKind::Full);
        let other = ArchiveError::ArchivedByAnother { found: 5, expected: 4 };
        assert!(failed("archive", "append", other).is_fenced());
    }
}

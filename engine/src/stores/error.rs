//! The error of every store, classified by what the caller can do.

use std::error::Error;

/// What a caller can do about a failed store operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The store cannot be reached or is busy: the same call may succeed later.
    Unavailable,
    /// Another process has taken the partition or model over: stop, nothing was written.
    Fenced,
    /// Stored data does not match its checksum or its own structure.
    Corrupt,
    /// The store's tables or files do not fit this version or this project.
    Incompatible,
    /// The data cannot be stored as it is: mend the input or the model.
    InvalidData,
    /// There is no room left.
    Full,
    /// Anything else.
    Internal,
}

/// A store operation that failed: which store, which operation, why, and what to do.
#[derive(Debug)]
pub struct StoreError {
    /// The store as a person knows it, such as `warehouse (data/warehouse.db)`.
    pub store: String,
    /// What was being done, such as `commit a batch`.
    pub operation: String,
    /// What a caller can do.
    pub kind: StoreErrorKind,
    /// What a person can do, if it is not obvious from the cause.
    pub advice: Option<String>,
    /// The cause.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// An error with the given cause.
    pub fn new(
        store: impl Into<String>,
        operation: impl Into<String>,
        kind: StoreErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            store: store.into(),
            operation: operation.into(),
            kind,
            advice: None,
            source: source.into(),
        }
    }

    /// The same error with a sentence on what to do.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether another process has taken over.
    pub fn is_fenced(&self) -> bool {
        self.kind == StoreErrorKind::Fenced
    }

    /// An I/O error on a path, classified.
    pub fn io(store: &str, operation: impl Into<String>, source: std::io::Error) -> Self {
        let (kind, advice) = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                (StoreErrorKind::Full, Some("free some disk space and run the command again"))
            }
            std::io::ErrorKind::PermissionDenied => (
                StoreErrorKind::Unavailable,
                Some("check the owner and permissions of the data folder"),
            ),
            std::io::ErrorKind::NotFound => (StoreErrorKind::Corrupt, None),
            _ => (StoreErrorKind::Unavailable, None),
        };
        let error = Self::new(store, operation, kind, source);
        match advice {
            Some(advice) => error.with_advice(advice),
            None => error,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: could not {}: {}", self.store, self.operation, self.source)?;
        match &self.advice {
            Some(advice) => write!(formatter, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The cause's message is part of ours; hand on what lies below it.
        self.source.source()
    }
}

//! Why something was not done, and what a caller can do about it.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::error::DbError;

use crate::failpoint::InjectedFailure;
use crate::stores::error::{StoreError, StoreErrorKind};

/// Why work over a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refused it, or the connection broke.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The server did not answer in time.
    #[error("the server has not answered for {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// Another process has taken over.
    #[error("{what}")]
    Fenced { what: String, advice: &'static str },
    /// The data cannot be stored as it is.
    #[error("{what}")]
    Invalid { what: String, advice: &'static str },
    /// The database or a table of it does not fit.
    #[error("{what}")]
    Incompatible { what: String, advice: String },
    /// The database holds what Questlake never writes.
    #[error("{0}")]
    Corrupt(String),
    /// A test made it fail.
    #[error(transparent)]
    Injected(#[from] InjectedFailure),
}

impl Failure {
    /// The server's own error, if it is one.
    pub(crate) fn server_error(&self) -> Option<&DbError> {
        match self {
            Self::Postgres(error) => error.as_db_error(),
            _ => None,
        }
    }

    /// The server's SQLSTATE, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.server_error().map_or("", |error| error.code().code())
    }

    /// Whether the same work may succeed soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Postgres(error) => match error.as_db_error() {
                Some(_) => {
                    let code = self.code();
                    code.starts_with("08") || code.starts_with("57P") || PASSING.contains(&code)
                }
                // Anything but the server's word: connections that break or cannot be made.
                None => error.is_closed() || has_io_error(error),
            },
            _ => false,
        }
    }

    /// Whether the connection is lost, and others probably with it.
    pub(crate) fn breaks_connections(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Postgres(_) => {
                let code = self.code();
                self.may_pass() && !PASSING.contains(&code)
            }
            _ => false,
        }
    }

    /// Whether the server has said so itself, and does not speak of its own end.
    pub(crate) fn is_an_answer(&self) -> bool {
        self.server_error().is_some() && !self.code().starts_with("57P")
    }

    /// Whether work that ends with COMMIT may have been done all the same: its answer is lost.
    pub(crate) fn leaves_commit_open(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            // A server that says why it refuses has refused, unless it speaks of its own end.
            Self::Postgres(error) => error.as_db_error().is_none() || self.breaks_connections(),
            _ => false,
        }
    }

    pub(super) fn into_store_error(self, store: &str, operation: &str) -> StoreError {
        let (kind, advice) = self.verdict();
        let error = StoreError::new(store, operation, kind, self);
        match advice {
            Some(advice) => error.with_advice(advice),
            None => error,
        }
    }

    fn verdict(&self) -> (StoreErrorKind, Option<String>) {
        match self {
            Self::Fenced { advice, .. } => (StoreErrorKind::Fenced, Some((*advice).to_owned())),
            Self::Invalid { advice, .. } => {
                (StoreErrorKind::InvalidData, Some((*advice).to_owned()))
            }
            Self::Incompatible { advice, .. } => {
                (StoreErrorKind::Incompatible, Some(advice.clone()))
            }
            Self::Corrupt(_) => (StoreErrorKind::Corrupt, None),
            Self::Injected(_) => (StoreErrorKind::Unavailable, None),
            Self::NoAnswer(_) => {
                (StoreErrorKind::Unavailable, Some("check that the server is alive".to_owned()))
            }
            Self::Postgres(error) => {
                let (kind, advice) = match error.as_db_error() {
                    Some(error) => verdict_of_code(error.code().code()),
                    None if self.may_pass() => (
                        StoreErrorKind::Unavailable,
                        Some("check that the server runs and can be reached from here"),
                    ),
                    None if refuses_certificate(error) => (
                        StoreErrorKind::Internal,
                        Some(
                            "check sslrootcert in stores.warehouse, and that the server's \
                             certificate has its name",
                        ),
                    ),
                    None => (StoreErrorKind::Internal, None),
                };
                (kind, advice.map(str::to_owned))
            }
        }
    }
}

/// Errors of the server that pass though the connection stays: serialization failure, deadlock,
/// a lock not given in time, too many connections.
const PASSING: &[&str] = &["40001", "40P01", "55P03", "53300"];

fn verdict_of_code(code: &str) -> (StoreErrorKind, Option<&'static str>) {
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        ("08", _) => (StoreErrorKind::Unavailable, Some("check that the server runs")),
        (_, "57014") => (
            StoreErrorKind::Unavailable,
            Some("somebody cancelled it, or a time-out of the server did; try again"),
        ),
        ("57", _) => (StoreErrorKind::Unavailable, Some("the server is going down or coming up")),
        ("40", _) => (StoreErrorKind::Unavailable, Some("others were in the way; try again")),
        (_, "55P03") => (
            StoreErrorKind::Unavailable,
            Some("another session holds a lock: see pg_stat_activity and pg_locks"),
        ),
        (_, "53300") => (
            StoreErrorKind::Unavailable,
            Some("raise max_connections of the server, or let fewer processes use it"),
        ),
        (_, "54000") => (
            StoreErrorKind::InvalidData,
            Some(
                "a key is too long for an index of the server: make it shorter in the model's SQL, \
                  by left(column, 500) or md5(column)",
            ),
        ),
        (_, "53100") => (StoreErrorKind::Full, Some("free some space on the server's disk")),
        ("53", _) => (StoreErrorKind::Unavailable, Some("the server is short of resources")),
        (_, "25006") => (
            StoreErrorKind::Unavailable,
            Some(
                "the server is a standby; name the primary, or all hosts with \
                  target_session_attrs=read-write",
            ),
        ),
        (_, "28P01" | "28000") => {
            (StoreErrorKind::Internal, Some("check user and password in stores.warehouse"))
        }
        (_, "3D000") => (StoreErrorKind::Internal, Some("create the database first")),
        (_, "42501") => (
            StoreErrorKind::Internal,
            Some(
                "the role needs CREATE and TEMPORARY on the database, or the schemas questlake \
                  and star as its own",
            ),
        ),
        (_, "2BP01") => (
            StoreErrorKind::Incompatible,
            Some("drop the views that depend on the table, and make them again afterwards"),
        ),
        (_, "42P01" | "42703" | "3F000") => (
            StoreErrorKind::Incompatible,
            Some("somebody has removed it; `questlake etl run` makes missing tables anew"),
        ),
        ("22" | "23", _) => (
            StoreErrorKind::InvalidData,
            Some("cast the column in the model's SQL to a type that fits"),
        ),
        ("XX", _) => (StoreErrorKind::Corrupt, Some("see the server's log")),
        _ => (StoreErrorKind::Internal, None),
    }
}

/// An error with its causes: the server's words, or what the network said.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let mut text = error.message().to_owned();
        if let Some(detail) = error.detail() {
            let _ = write!(text, " ({detail})");
        }
        let _ = write!(text, " [{}]", error.code().code());
        return text;
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Whether the server's certificate was not good enough for us.
fn refuses_certificate(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string().contains("peer certificate"))
}

fn has_io_error(error: &tokio_postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            // A certificate that is refused stays refused.
            return error.kind() != std::io::ErrorKind::InvalidData;
        }
        cause = error.source();
    }
    // A time-out while connecting has no cause.
    error.to_string().contains("timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, kind) in [
            ("57P01", StoreErrorKind::Unavailable),
            ("08006", StoreErrorKind::Unavailable),
            ("40P01", StoreErrorKind::Unavailable),
            ("53100", StoreErrorKind::Full),
            ("28P01", StoreErrorKind::Internal),
            ("22003", StoreErrorKind::InvalidData),
            ("XX001", StoreErrorKind::Corrupt),
            ("42P01", StoreErrorKind::Incompatible),
        ] {
            assert_eq!(verdict_of_code(code).0, kind, "{code}");
        }
    }

    #[test]
    fn only_a_lost_answer_leaves_a_commit_open() {
        assert!(Failure::NoAnswer(Duration::from_secs(1)).leaves_commit_open());
        let fenced = Failure::Fenced { what: "moved".to_owned(), advice: "stop" };
        assert!(!fenced.leaves_commit_open() && !fenced.may_pass());
    }
}

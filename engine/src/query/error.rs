//! Why a query was not answered: what is wrong with its text, or which limit it met.

use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use super::bounds::Oversized;
use super::cancellation::Stopped;
use crate::models::errors::tidy;
use crate::pipeline::PipelineError;
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::settings::{ByteSize, format_duration};

/// A query that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no SQL.
    #[error("{0}")]
    Syntax(Box<Diagnostic>),
    /// The text is SQL, but does more than read.
    #[error("{0}")]
    NotAllowed(Box<Diagnostic>),
    /// The text names what is not there, or combines what does not go together.
    #[error("{0}")]
    Plan(Diagnostics),
    /// Parameters are missing, unknown, or no values of their types. One line for each.
    #[error("{}", .0.join("\n"))]
    Parameters(Vec<String>),
    /// There is no saved query of that name.
    #[error("there is no saved query `{name}`{}", hint(.nearest))]
    UnknownQuery {
        /// The name.
        name: String,
        /// A saved query with a similar name.
        nearest: Option<String>,
    },
    /// The query needs more memory than it may have, and cannot spill what it needs.
    #[error(
        "the query needs more memory than query.memory_limit ({limit}) allows ({detail}); raise it, \
         or read less: fewer days, fewer columns, no grouping or join of everything"
    )]
    Memory {
        /// The setting.
        limit: ByteSize,
        /// Which operator asked for how much.
        detail: String,
    },
    /// A function of the query would make more than it may at once.
    #[error(transparent)]
    Oversized(Oversized),
    /// Queries that were left before their end still hold all threads that they may.
    #[error(
        "queries that were given up still hold the threads for queries, and end when their operators give \
         way; try again in a few seconds"
    )]
    Busy,
    /// The query took too long.
    #[error(
        "the query took longer than query.timeout ({}); raise it, or read less",
        format_duration(*.limit)
    )]
    TimedOut {
        /// The setting.
        limit: Duration,
    },
    /// The result has too many rows. Those up to the limit were given.
    #[error(
        "the result has more rows than query.max_rows ({limit}) allows; raise it (0 for no limit), \
         or add a LIMIT"
    )]
    TooManyRows {
        /// The setting.
        limit: u64,
    },
    /// What does not fit into memory could not be written to disk.
    #[error(
        "the query could not spill to engine.spill_dir: {detail}; free some space there, or raise \
         query.memory_limit"
    )]
    Spill {
        /// What happened.
        detail: String,
    },
    /// Whoever asked has gone.
    #[error("the query was cancelled")]
    Cancelled,
    /// The query failed on its way, such as by a division by zero or an unreadable file.
    #[error("the query failed: {message}")]
    Failed {
        /// What happened.
        message: String,
        /// The cause.
        source: Box<DataFusionError>,
    },
    /// A task of the query ended abnormally.
    #[error("the query ended abnormally: {reason}; this is a mistake in Questlake")]
    Aborted {
        /// What happened.
        reason: String,
    },
    /// The stores could not be asked what there is.
    #[error(transparent)]
    Engine(#[from] PipelineError),
    /// The result could not be written.
    #[error("could not write the result: {0}")]
    Write(#[from] std::io::Error),
    /// A row could not be encoded.
    #[error("could not encode the result: {0}")]
    Encode(String),
}

impl QueryError {
    /// The mistakes in the query's text, if that is what is wrong.
    pub fn diagnostics(&self) -> Option<Diagnostics> {
        match self {
            Self::Syntax(diagnostic) | Self::NotAllowed(diagnostic) => {
                Some(std::iter::once((**diagnostic).clone()).collect())
            }
            Self::Plan(diagnostics) => Some(diagnostics.clone()),
            _ => None,
        }
    }

    /// Whether the caller has to change the query or its parameters: nothing was executed.
    pub fn is_mistake(&self) -> bool {
        matches!(
            self,
            Self::Syntax(_)
                | Self::NotAllowed(_)
                | Self::Plan(_)
                | Self::Parameters(_)
                | Self::UnknownQuery { .. }
        )
    }

    /// Whether the query itself is to blame for having failed on its way, such as by a division by
    /// zero or by an argument that a function does not take, rather than a store.
    pub fn is_failed_computation(&self) -> bool {
        let Self::Failed { source, .. } = self else { return false };
        match source.find_root() {
            DataFusionError::ArrowError(error, _) => {
                !matches!(**error, ArrowError::IoError(..) | ArrowError::ExternalError(_))
            }
            DataFusionError::Execution(_)
            | DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_) => true,
            _ => false,
        }
    }

    /// An error of a running query, classified. `memory` is what the pool was made from.
    pub(crate) fn of_execution(error: DataFusionError, memory: ByteSize) -> Self {
        if let Some(io) = io_error(&error)
            && matches!(
                io.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        {
            return Self::Spill { detail: io.to_string() };
        }
        if let DataFusionError::External(cause) = error.find_root() {
            if let Some(oversized) = cause.downcast_ref::<Oversized>() {
                return Self::Oversized(oversized.clone());
            }
            match cause.downcast_ref::<Stopped>() {
                Some(Stopped::TimedOut(limit)) => return Self::TimedOut { limit: *limit },
                Some(Stopped::Left) => return Self::Cancelled,
                None => {}
            }
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(message) => {
                // What follows is a list on further lines, of operators by their places in the plan.
                let first_line = message.lines().next().unwrap_or_default();
                let summary = first_line.split(" with top memory consumers").next();
                let detail = tidy(summary.unwrap_or(first_line));
                // The same kind of error tells of memory and of the space for spilling.
                if message.contains("disk space") || message.contains("DiskManager") {
                    Self::Spill { detail }
                } else {
                    Self::Memory { limit: memory, detail }
                }
            }
            root => {
                let message = match root {
                    DataFusionError::External(cause) => cause.to_string(),
                    other => tidy(&other.to_string()),
                };
                Self::Failed { message, source: Box::new(error) }
            }
        }
    }
}

/// The error of the system below it all, if there is one.
fn io_error(error: &DataFusionError) -> Option<&std::io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        cause = current.source();
    }
    None
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `questlake query --list` shows those of the project".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ByteSize = ByteSize::from_bytes(64 << 20);

    #[test]
    fn limits_are_named() {
        let message = "Additional allocation failed for Sort[0] with top memory consumers (across \
                       reservations) as:\n  Sort[1] …";
        let memory = DataFusionError::ResourcesExhausted(message.to_owned());
        let error = QueryError::of_execution(memory.context("sorting"), LIMIT).to_string();
        let told = "query.memory_limit (64MiB) allows (Additional allocation failed for Sort[0]);";
        assert!(error.contains(told), "{error}");
        let disk = "The used disk space during the spilling process has exceeded".to_owned();
        let error = QueryError::of_execution(DataFusionError::ResourcesExhausted(disk), LIMIT);
        assert!(matches!(error, QueryError::Spill { .. }), "{error}");
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = QueryError::of_execution(DataFusionError::IoError(full), LIMIT);
        assert!(error.to_string().contains("engine.spill_dir"), "{error}");
        let error = QueryError::TimedOut { limit: Duration::from_secs(90) };
        assert!(error.to_string().contains("query.timeout"), "{error}");
        assert!(QueryError::TooManyRows { limit: 5 }.to_string().contains("query.max_rows (5)"));
    }

    #[test]
    fn other_failures_keep_their_cause() {
        let cause = DataFusionError::Execution("odd".to_owned());
        let error = QueryError::of_execution(cause, LIMIT);
        assert_eq!(error.to_string(), "the query failed: odd");
        assert!(std::error::Error::source(&error).is_some());
    }
}

//! What a command can fail with, and how it is told.

use std::io::IsTerminal;
use std::process::ExitCode;

use questlake_api::keys::RandomError;
use questlake_engine::archive::ArchiveError;
use questlake_engine::pipeline::PipelineError;
use questlake_engine::project::diagnostic::{Diagnostics, Style};
use questlake_engine::project::init::InitError;
use questlake_engine::query::QueryError;
use questlake_engine::settings::SettingsErrors;
use questlake_engine::stores::error::StoreError;
use questlake_ingest::error::IngestError;
use questlake_ingest::simulate::SimulateError;
use questlake_ingest::sources::queue::SubmitError;
use questlake_ingest::sources::stdin::PipeError;
use questlake_ingest::verify::VerifyError;

use crate::logging::LoggingError;
use crate::telemetry::TelemetryError;
use crate::terminal::takes_colours;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("could not find the current folder: {0}")]
    CurrentFolder(std::io::Error),
    #[error("could not start: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Project(#[from] Diagnostics),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Pipe(#[from] PipeError),
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error("could not {operation} {path}: {source}")]
    File { operation: &'static str, path: String, source: std::io::Error },
    #[error("{path} is not a truth file of `questlake simulate --truth`: {source}")]
    Truth { path: String, source: serde_json::Error },
    #[error("could not write to standard output: {0}")]
    Output(std::io::Error),
    #[error("could not write JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("could not listen on {address}: {source}; choose another with --collector-listen")]
    Listen { address: String, source: std::io::Error },
    #[error("could not read a line: {0}")]
    ReadLine(#[from] rustyline::error::ReadlineError),
    #[error("{0}")]
    Usage(String),
    #[error("stopped; run the command again to go on from where it was")]
    Interrupted,
}

/// A cause without the prefixes that only say in which library it passed.
fn without_wrappers(cause: &str) -> &str {
    let mut text = cause;
    while let Some(inner) = ["Arrow error: ", "External error: ", "Execution error: "]
        .iter()
        .find_map(|wrapper| text.strip_prefix(wrapper))
    {
        text = inner;
    }
    text
}

impl CliError {
    /// Tells a person what failed.
    pub(crate) fn print(&self) {
        let colours = takes_colours(std::io::stderr().is_terminal());
        let text = match self {
            Self::Project(diagnostics) | Self::Pipeline(PipelineError::Contracts(diagnostics)) => {
                let style = if colours { Style::Ansi } else { Style::Plain };
                diagnostics.display(style).to_string()
            }
            Self::Settings(errors) => errors.to_string(),
            Self::Query(error) if error.diagnostics().is_some() => {
                let style = if colours { Style::Ansi } else { Style::Plain };
                let diagnostics = error.diagnostics().unwrap_or_default();
                let shown: Vec<String> =
                    diagnostics.iter().map(|one| one.display(style).to_string()).collect();
                shown.join("\n")
            }
            other => {
                let mut text = format!("error: {other}");
                let mut source = std::error::Error::source(other);
                while let Some(cause) = source {
                    let cause_text = cause.to_string();
                    if !text.contains(without_wrappers(&cause_text)) {
                        text.push_str(&format!("\n  because: {cause_text}"));
                    }
                    source = cause.source();
                }
                text
            }
        };
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to be told if standard error is closed.
        let _ = std::io::Write::write_all(&mut stderr, format!("{}\n", text.trim_end()).as_bytes());
    }

    /// 130 after an interrupt, as shells expect; 2 for wrong usage, settings or parameters; else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted | Self::Query(QueryError::Cancelled) => ExitCode::from(130),
            Self::Settings(_)
            | Self::Usage(_)
            | Self::Query(QueryError::Parameters(_) | QueryError::UnknownQuery { .. }) => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        assert_eq!(
            without_wrappers("External error: Arrow error: Divide by zero"),
            "Divide by zero"
        );
        assert_eq!(without_wrappers("Parquet error: EOF"), "Parquet error: EOF");
    }
}

//! The commands, one file each.

mod archive;
mod checks;
mod config;
mod demo;
mod docs;
mod etl;
mod ingest;
mod init;
mod key;
mod kpi;
mod quarantine;
mod query;
mod serve;
mod shell;
mod simulate;
mod status;
mod test;
mod verify;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use crate::app::App;
use crate::error::CliError;

/// How a command writes what it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text and tables for people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole way on simulated data: events in, star schema out, proven against the truth
    Demo(demo::DemoArgs),
    /// Write a small project to begin with
    Init(init::InitArgs),
    /// Take in events from Kafka, files or standard input
    Ingest(ingest::IngestArgs),
    /// Take in events over HTTP, and answer requests
    Serve(serve::ServeArgs),
    /// Bring the star schema up to date
    #[command(subcommand)]
    Etl(etl::EtlCommand),
    /// Show what the checks of the latest run have found
    Checks(checks::ChecksArgs),
    /// Run the unit tests of the models: given rows in, expected rows out
    Test(test::TestArgs),
    /// Write a catalogue of the project as pages: tables, columns, lineage
    Docs(docs::DocsArgs),
    /// Move events that every model has read to the archive
    Archive(archive::ArchiveArgs),
    /// Ask a question in SQL, or run a saved query
    Query(query::QueryArgs),
    /// Ask one question after the other
    Shell(shell::ShellArgs),
    /// Show the accounting, the progress of each model, and the health of the stores
    Status(status::StatusArgs),
    /// List, show and replay records that did not fit their contract
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Make, list and revoke the keys of the API
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make events of a game that does not exist, and the truth about them
    Simulate(simulate::SimulateArgs),
    /// Compare the star schema with the truth of a simulation, cell by cell
    Verify(verify::VerifyArgs),
    /// Show the settings in force and where each comes from, as a file that can be used again
    Config,
}

impl Command {
    /// Runs the command. Those that have something to bring to its end when they are told to stop
    /// see to it themselves.
    pub(crate) async fn run(self, app: &App) -> Result<ExitCode, CliError> {
        match self {
            Self::Demo(args) => demo::run(app, args).await,
            Self::Init(args) => init::run(app, args),
            Self::Ingest(args) => ingest::run(app, args).await,
            Self::Serve(args) => serve::run(app, args).await,
            Self::Etl(command) => app.stop.interrupts(etl::run(app, command)).await,
            Self::Checks(args) => app.stop.interrupts(checks::run(app, args)).await,
            Self::Test(args) => app.stop.interrupts(test::run(app, args)).await,
            Self::Docs(args) => app.stop.interrupts(docs::run(app, args)).await,
            Self::Archive(args) => app.stop.interrupts(archive::run(app, args)).await,
            Self::Query(args) => query::run(app, args).await,
            Self::Shell(args) => shell::run(app, args).await,
            Self::Status(args) => app.stop.interrupts(status::run(app, args)).await,
            Self::Quarantine(command) => app.stop.interrupts(quarantine::run(app, command)).await,
            Self::Key(command) => app.stop.interrupts(key::run(app, command)).await,
            Self::Simulate(args) => simulate::run(app, args).await,
            Self::Verify(args) => app.stop.interrupts(verify::run(app, args)).await,
            Self::Config => config::run(app),
        }
    }
}

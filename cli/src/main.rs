//! `questlake`: one binary from a game's telemetry to answers.

mod allocator;
mod app;
mod commands;
mod error;
mod logging;
mod results;
mod settings_args;
mod stop;
mod telemetry;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use questlake_engine::settings::{LoadOptions, Settings, process_environment};

use app::App;
use commands::Command;
use error::CliError;
use stop::Stop;
use telemetry::Telemetry;

/// Turns a game's telemetry into answers.
///
/// Every setting is also a flag: `questlake help` lists the commands, `questlake --help` the
/// settings as well. `questlake config` shows what is in force.
#[derive(Debug, Parser)]
#[command(name = "questlake", version, propagate_version = true)]
struct Cli {
    /// Settings file [default: questlake.toml of the project]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let matches = settings_args::with_setting_args(Cli::command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli, settings_args::flags_from(&matches)) {
        Ok(code) => code,
        Err(error) => {
            error.print();
            error.exit_code()
        }
    }
}

fn run(cli: Cli, flags: Vec<(String, String)>) -> Result<ExitCode, CliError> {
    let current_dir = std::env::current_dir().map_err(CliError::CurrentFolder)?;
    let options =
        LoadOptions { file: cli.config, environment: process_environment(), flags, current_dir };
    let settings = Settings::load(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.engine.threads.max(2))
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let stop = {
        let _within = runtime.enter();
        Stop::on_signals()?
    };
    let telemetry = Telemetry::from_environment(runtime.handle())?;
    let app = App::new(settings, stop, telemetry.layer())?;
    let result = runtime.block_on(cli.command.run(&app));
    telemetry.end();
    // What still runs in the background ends with the process; commits are atomic.
    runtime.shutdown_background();
    result
}

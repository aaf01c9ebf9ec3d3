//! `questlake demo`: the whole way on simulated data, in one process.

mod live;
mod services;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use questlake_engine::pipeline::Engine;
use questlake_engine::pipeline::plan::RunOptions;
use questlake_ingest::simulate::{FaultRates, SimulationOptions, Truth};
use questlake_ingest::verify::verify;

use super::{Format, archive, etl, ingest, kpi, simulate, status};
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::duration;

/// What marks a data folder as the demo's own.
const MARKER: &str = "demo-data";

/// What the demo makes in its data folder, and removes when it begins anew.
const OWN_FILES: &[&str] =
    &["hot.db", "warehouse.db", "landing", "archive", "queue", "spill", "demo"];

/// The latest days, which the demo leaves in landing.
const KEPT_DAYS: u32 = 7;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Players who register in all
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    players: u32,
    /// Days, all of them over
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// First day (UTC) [default: so that yesterday is the last one]
    #[arg(long, value_name = "DATE", value_parser = simulate::parse_date)]
    start: Option<chrono::NaiveDate>,
    /// Everything that is left to chance follows from it and from the first day
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Go by way of Kafka into the stores that the settings name, which must be empty
    #[arg(long)]
    services: bool,
    /// End when the figures are proven, instead of going on with live events
    #[arg(long)]
    exit: bool,
}

pub(crate) async fn run(app: &App, args: DemoArgs) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    app.project().await?;
    let mut options = SimulationOptions::new()?;
    options.players = args.players;
    options.days = args.days;
    options.seed = args.seed;
    // The live events of today go on where the simulated ones end.
    let days = chrono::Days::new(u64::from(args.days));
    let before = chrono::Utc::now().date_naive().checked_sub_days(days);
    options.start = args.start.or(before).unwrap_or(options.start);
    options.faults = FaultRates::typical();
    simulate::check_days(&options)?;
    let (engine, truth) = if args.services {
        services::take_in(app, &options).await?
    } else {
        take_in_file(app, &options).await?
    };
    app.line(&app.output.style(Style::Bold, "\nStar schema"))?;
    let report = app.stop.interrupts(etl::run_models(app, &engine, &RunOptions::default())).await?;
    etl::print_report(app, &report, &[], Format::Text)?;
    if !report.succeeded() {
        return Ok(ExitCode::FAILURE);
    }
    let policy = &app.settings.archive;
    let kept_from =
        options.start + chrono::Days::new(u64::from(args.days.saturating_sub(KEPT_DAYS)));
    let moving = archive::move_events(app, &engine, policy, Some(kept_from));
    app.line(&app.output.style(Style::Bold, "\nArchive"))?;
    let moved = app.stop.interrupts(moving).await?;
    archive::print(app, &moved, policy.grace)?;
    let state = app.stop.interrupts(async { Ok(engine.status().await?) }).await?;
    app.line("")?;
    status::print_accounting(app, &state)?;
    app.line(&app.output.style(Style::Bold, "\nProof"))?;
    let verified = app.stop.interrupts(async { Ok(verify(&engine, &truth).await?) }).await?;
    super::verify::print(app, &verified)?;
    app.stop.interrupts(kpi::print(app, &engine)).await?;
    let proven = verified.holds() && state.accounting.adds_up;
    let way = if args.services { "simulate → Kafka → ingest" } else { "simulate → ingest" };
    app.line(&app.output.style(
        Style::Bold,
        &format!("\n{way} → etl → archive → verify in {}", duration(started.elapsed())),
    ))?;
    if args.exit || !proven {
        return Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    live::go_live(app, &engine).await?;
    Ok(ExitCode::SUCCESS)
}

/// Simulates into a file of the data folder, and takes it in.
async fn take_in_file(app: &App, options: &SimulationOptions) -> Result<(Engine, Truth), CliError> {
    let folder = begin_anew(app)?;
    let events = folder.join("events.ndjson");
    let truth = simulate::write_events(app, options, &events)?;
    simulate::write_truth(&truth, &folder.join("truth.json"))?;
    let engine = app.stop.interrupts(app.engine()).await?;
    let ingester = app.ingester(&engine)?;
    let outcome = ingest::take_file(app, &ingester, &events).await?;
    if outcome.stopped {
        return Err(CliError::Interrupted);
    }
    Ok((engine, truth))
}

/// Removes an earlier demo's data. Anything else in the data folder is left alone: then the demo
/// does not begin.
fn begin_anew(app: &App) -> Result<PathBuf, CliError> {
    let data = &app.settings.data;
    let marker = data.join(MARKER);
    let in_use = OWN_FILES.iter().any(|name| data.join(name).exists());
    if in_use && !marker.exists() {
        return Err(CliError::Usage(format!(
            "{} holds data that is not the demo's; choose another folder with --data DIR",
            data.display()
        )));
    }
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A database has companions, such as hot.db-wal.
        if !OWN_FILES.iter().any(|own| name == *own || name.starts_with(&format!("{own}-"))) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(|error| file_error("remove", &path, error))?;
    }
    let folder = own_folder(app)?;
    std::fs::write(&marker, "This folder holds the data of `questlake demo`, which replaces it.\n")
        .map_err(|error| file_error("write", &marker, error))?;
    Ok(folder)
}

/// Where the demo keeps what is in no store: its events and their truth.
fn own_folder(app: &App) -> Result<PathBuf, CliError> {
    let folder = app.settings.data.join("demo");
    std::fs::create_dir_all(&folder).map_err(|error| file_error("create", &folder, error))?;
    Ok(folder)
}

fn file_error(operation: &'static str, path: &Path, source: std::io::Error) -> CliError {
    CliError::File { operation, path: path.display().to_string(), source }
}

//! `questlake simulate`

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use questlake_ingest::simulate::{
    FaultRates, Personas, SimulateError, SimulationOptions, Truth, simulate,
};
use questlake_ingest::sources::kafka::{KafkaSink, LineProducer};

use crate::app::App;
use crate::error::CliError;
use crate::terminal::numbers;
use crate::terminal::progress::Unit;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Faults {
    /// Nothing goes wrong.
    None,
    /// A little of everything, as in real life.
    Typical,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Players who register in all
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    players: u32,
    /// Days, all of them over
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// Everything that is left to chance follows from it
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// First day (UTC), YYYY-MM-DD
    #[arg(long, default_value = "2026-01-01", value_parser = parse_date)]
    start: chrono::NaiveDate,
    /// Where the events go, - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Send the events to the topic of Kafka instead
    #[arg(long, conflicts_with = "output")]
    kafka: bool,
    /// Most events a second that are sent to Kafka
    #[arg(
        long,
        requires = "kafka",
        value_name = "EVENTS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    rate: Option<u32>,
    /// Where the truth goes: what the star schema must contain
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// What goes wrong on the way
    #[arg(long, value_enum, default_value = "none")]
    faults: Faults,
    /// Share of events that are sent twice
    #[arg(long, value_name = "SHARE")]
    duplicates: Option<f64>,
    /// Share of events that arrive up to ten days late
    #[arg(long, value_name = "SHARE")]
    late: Option<f64>,
    /// Share of events that arrive up to minutes late
    #[arg(long, value_name = "SHARE")]
    out_of_order: Option<f64>,
    /// Share of events with a wrong clock
    #[arg(long, value_name = "SHARE")]
    skewed: Option<f64>,
    /// Share of additional broken records
    #[arg(long, value_name = "SHARE")]
    malformed: Option<f64>,
    /// File with other personas
    #[arg(long, value_name = "FILE")]
    personas: Option<PathBuf>,
}

pub(crate) fn parse_date(text: &str) -> Result<chrono::NaiveDate, String> {
    text.parse().map_err(|_| "it must be a date, such as 2026-01-31".to_owned())
}

pub(crate) async fn run(app: &App, args: SimulateArgs) -> Result<ExitCode, CliError> {
    let mut options = SimulationOptions::new()?;
    options.players = args.players;
    options.days = args.days;
    options.seed = args.seed;
    options.start = args.start;
    options.faults = match args.faults {
        Faults::None => FaultRates::default(),
        Faults::Typical => FaultRates::typical(),
    };
    let faults = &mut options.faults;
    for (given, rate) in [
        (args.duplicates, &mut faults.duplicates),
        (args.late, &mut faults.late),
        (args.out_of_order, &mut faults.out_of_order),
        (args.skewed, &mut faults.skewed),
        (args.malformed, &mut faults.malformed),
    ] {
        if let Some(given) = given {
            *rate = given;
        }
    }
    if let Some(path) = &args.personas {
        options.personas = Personas::read(path).map_err(SimulateError::from)?;
    }
    check_days(&options)?;
    if args.truth.as_deref() == Some(Path::new("-")) {
        let advice = "name a file; standard output is for the events";
        return Err(CliError::Usage(format!("--truth cannot be -: {advice}")));
    }
    let truth = if args.kafka {
        send_events(app, &options, args.rate).await?
    } else {
        match write_events(app, &options, &args.output) {
            // Whoever reads standard output has seen enough, as with `| head`.
            Err(CliError::Simulate(SimulateError::Write(error)))
                if error.kind() == ErrorKind::BrokenPipe && args.output == Path::new("-") =>
            {
                return Ok(ExitCode::SUCCESS);
            }
            other => other?,
        }
    };
    if let Some(path) = &args.truth {
        write_truth(&truth, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses days that are not over: events from the future are quarantined, as they should be, and
/// the truth would not be what comes out.
pub(crate) fn check_days(options: &SimulationOptions) -> Result<(), CliError> {
    check_days_on(options, chrono::Utc::now().date_naive())
}

fn check_days_on(options: &SimulationOptions, today: chrono::NaiveDate) -> Result<(), CliError> {
    let (start, days) = (options.start, options.days);
    let most = today.signed_duration_since(start).num_days();
    if i64::from(days) <= most {
        return Ok(());
    }
    Err(CliError::Usage(match most {
        ..1 => format!("the first day, {start}, is not over; begin before {today} (UTC)"),
        1 => format!("{days} days from {start} on reach into the future: --days can be 1 today"),
        _ => format!(
            "{days} days from {start} on reach into the future: --days can be at most {most} today"
        ),
    }))
}

/// Writes the events to a file (or standard output for `-`), with progress.
pub(crate) fn write_events(
    app: &App,
    options: &SimulationOptions,
    path: &Path,
) -> Result<Truth, CliError> {
    let file_error =
        |operation, source| CliError::File { operation, path: path.display().to_string(), source };
    let mut output: Box<dyn Write> = if path == Path::new("-") {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(File::create(path).map_err(|error| file_error("create", error))?)
    };
    let truth = simulate_to(app, options, &mut output)?;
    output.flush().map_err(|error| file_error("write", error))?;
    Ok(truth)
}

/// Sends the events to the topic of Kafka, with progress.
pub(crate) async fn send_events(
    app: &App,
    options: &SimulationOptions,
    rate: Option<u32>,
) -> Result<Truth, CliError> {
    let Some(kafka) = &app.settings.kafka else {
        return Err(CliError::Usage("--kafka needs brokers: set --kafka-brokers".to_owned()));
    };
    let sink = KafkaSink::new(kafka, app.sink_bounds(), true)?;
    app.stop.interrupts(async { Ok(sink.ensure_topic().await?) }).await?;
    let is_stopped = || app.stop.is_told();
    let mut output = LineProducer::new(sink, rate, &is_stopped);
    let truth = simulate_to(app, options, &mut output);
    if app.stop.is_told() {
        return Err(CliError::Interrupted);
    }
    let truth = truth?;
    app.note(&format!(
        "simulate: {} records are acknowledged by {}",
        numbers::thousands(output.sent()),
        kafka.name()
    ));
    Ok(truth)
}

/// Simulates, with progress.
fn simulate_to(
    app: &App,
    options: &SimulationOptions,
    output: &mut dyn Write,
) -> Result<Truth, CliError> {
    let progress = app.bars.start("simulate", Some(u64::from(options.days)), Unit::Count("days"));
    let mut events = 0;
    let mut bytes = 0;
    let result = simulate(options, output, &mut |report| {
        progress.set_position(u64::from(report.days_done));
        events = report.events;
        bytes = report.bytes;
        if app.stop.is_told() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let truth = match result {
        Err(SimulateError::Stopped) => return Err(CliError::Interrupted),
        other => other?,
    };
    progress.finish();
    app.note(&format!(
        "simulate: {} events ({} lines, {})",
        numbers::thousands(truth.accounting.landed),
        numbers::thousands(truth.accounting.lines),
        numbers::bytes(bytes)
    ));
    Ok(truth)
}

/// Writes the truth as JSON.
pub(crate) fn write_truth(truth: &Truth, path: &Path) -> Result<(), CliError> {
    let file_error =
        |source| CliError::File { operation: "write", path: path.display().to_string(), source };
    let file = File::create(path).map_err(file_error)?;
    let mut writer = std::io::BufWriter::new(file);
    serde_json::to_writer(&mut writer, truth)?;
    writer.flush().map_err(file_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(start: &str, days: u32, today: &str) -> Result<(), String> {
        let mut options = SimulationOptions::new().unwrap();
        options.start = start.parse().unwrap();
        options.days = days;
        check_days_on(&options, today.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_days_that_are_over_are_simulated() {
        assert_eq!(check("2026-01-01", 30, "2026-01-31"), Ok(()));
        assert_eq!(check("2025-12-31", 1, "2026-01-01"), Ok(()));
        let refused = check("2026-01-01", 31, "2026-01-31").unwrap_err();
        assert!(refused.ends_with("--days can be at most 30 today"), "{refused}");
        let refused = check("2026-01-01", 9, "2026-01-02").unwrap_err();
        assert!(refused.ends_with("--days can be 1 today"), "{refused}");
        for today in ["2026-01-01", "2025-07-01"] {
            let refused = check("2026-01-01", 1, today).unwrap_err();
            assert!(refused.contains(&format!("begin before {today}")), "{refused}");
        }
    }
}

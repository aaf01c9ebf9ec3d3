//! `questlake etl plan | run | status`

mod plan;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use questlake_engine::pipeline::Engine;
use questlake_engine::pipeline::plan::RunOptions;
use questlake_engine::pipeline::run::{ModelReport, ModelState, RunReport};
use questlake_engine::pipeline::warnings::{pending_text, refresh_command};
use serde_json::json;

use super::Format;
use super::checks::{outcome_json, outcome_text};
use super::simulate::parse_date;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::{duration, thousands};
use crate::terminal::progress::{Progress, Unit};
use crate::terminal::table::{Cell, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum EtlCommand {
    /// Show what a run would do, and why
    Plan(EtlArgs),
    /// Bring the selected models up to date
    Run(EtlArgs),
    /// Show the latest runs
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EtlArgs {
    /// Models: `name`, `name+` (and all downstream), `+name` (and all upstream)
    #[arg(long, value_name = "MODEL", num_args = 1..)]
    select: Vec<String>,
    /// Build the selected models anew from all history
    #[arg(long, conflicts_with_all = ["from", "to"])]
    full_refresh: bool,
    /// Build the days from this one on anew
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "to")]
    from: Option<chrono::NaiveDate>,
    /// Build the days up to this one anew
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "from")]
    to: Option<chrono::NaiveDate>,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Entries to show
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// A hundred years: each day is a partition of every model, whether or not there are events of it.
const MOST_BACKFILL_DAYS: i64 = 36_525;

impl EtlArgs {
    fn options(&self) -> Result<RunOptions, CliError> {
        let backfill = match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                return Err(CliError::Usage(format!("--from {from} is later than --to {to}")));
            }
            (Some(from), Some(to)) => {
                let (first, last) = (day_number(from), day_number(to));
                let days = i64::from(last) - i64::from(first) + 1;
                if days > MOST_BACKFILL_DAYS {
                    return Err(CliError::Usage(format!(
                        "--from {from} --to {to} are {days} days; at most {MOST_BACKFILL_DAYS} are \
                         built anew at once"
                    )));
                }
                Some((first, last))
            }
            _ => None,
        };
        Ok(RunOptions { select: self.select.clone(), full_refresh: self.full_refresh, backfill })
    }
}

/// Days since 1970.
pub(crate) fn day_number(date: chrono::NaiveDate) -> i32 {
    let epoch = chrono::NaiveDate::default();
    i32::try_from(date.signed_duration_since(epoch).num_days()).unwrap_or(0)
}

pub(crate) async fn run(app: &App, command: EtlCommand) -> Result<ExitCode, CliError> {
    match command {
        EtlCommand::Plan(args) => {
            let options = args.options()?;
            let engine = app.engine().await?;
            plan::show(app, &engine, &options, args.format).await
        }
        EtlCommand::Run(args) => {
            let options = args.options()?;
            let engine = app.engine().await?;
            let warnings = engine.warnings(&options).await?;
            warn(app, &warnings);
            let report = run_models(app, &engine, &options).await?;
            print_report(app, &report, &warnings, args.format)?;
            Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        EtlCommand::Status(args) => show_runs(app, &args).await,
    }
}

/// Runs the models, with progress.
pub(crate) async fn run_models(
    app: &App,
    engine: &Engine,
    options: &RunOptions,
) -> Result<RunReport, CliError> {
    let total = engine.project.models.len() as u64;
    let progress: Arc<Progress> =
        Arc::new(app.bars.start("etl", Some(total), Unit::Count("models")));
    let shown = Arc::clone(&progress);
    let observer = Arc::new(move |_: &ModelReport| shown.add(1));
    let report = engine.run(options, Some(observer)).await?;
    Ok(report)
}

/// Prints what a run did.
pub(crate) fn print_report(
    app: &App,
    report: &RunReport,
    warnings: &[String],
    format: Format,
) -> Result<(), CliError> {
    let (refreshed, not_refreshed) = report.refreshed();
    let is_cut_short = report.full_refresh && !not_refreshed.is_empty();
    if format == Format::Json {
        let models: Vec<_> = report
            .models
            .iter()
            .map(|model| {
                let (state, rows, error) = state_of(model);
                json!({
                    "model": model.model,
                    "action": model.action,
                    "partitions": model.partitions.as_ref().map(plan::dates),
                    "state": state,
                    "rows": rows,
                    "seconds": model.elapsed.as_secs_f64(),
                    "error": error,
                })
            })
            .collect();
        let checks: Vec<_> = report.all_checks().map(outcome_json).collect();
        let document = json!({
            "through": report.through,
            "migrations": report.migrations,
            "warnings": warnings,
            "models": models,
            "checks": checks,
            "not_refreshed": if is_cut_short { not_refreshed.as_slice() } else { &[] },
        });
        return app.line(&serde_json::to_string_pretty(&document)?);
    }
    print_migrations(app, &report.migrations)?;
    let columns = [
        Column::text("model"),
        Column::word("state"),
        Column::text("action"),
        Column::number("rows"),
        Column::number("time"),
    ];
    let rows: Vec<Vec<Cell>> = report
        .models
        .iter()
        .map(|model| {
            let (state, rows, _) = state_of(model);
            let action = match model.state {
                // The same words would stand there twice.
                ModelState::UpToDate => String::new(),
                _ => model.action.clone(),
            };
            let style = match model.state {
                ModelState::Loaded(_) => Style::Good,
                ModelState::UpToDate => Style::Dim,
                ModelState::Failed(_) => Style::Bad,
                ModelState::Skipped(_) => Style::Warning,
            };
            vec![
                model.model.clone().into(),
                Cell::styled(style, state),
                action.into(),
                rows.map(thousands).unwrap_or_default().into(),
                duration(model.elapsed).into(),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))?;
    for model in &report.models {
        if let (_, _, Some(error)) = state_of(model) {
            app.note(&format!("error: {error}"));
        }
    }
    for check in report.all_checks().filter(|check| check.is_bad()) {
        app.note(&outcome_text(check));
    }
    if is_cut_short {
        if !refreshed.is_empty() {
            app.note(&format!("refreshed: {}", refreshed.join(", ")));
        }
        app.note(&format!("not refreshed, and as they were: {}", not_refreshed.join(", ")));
        app.note(&format!("to go on: {}", refresh_command(&not_refreshed)));
    }
    Ok(())
}

/// Tells what a run or plan should be asked for otherwise, on standard error.
fn warn(app: &App, warnings: &[String]) {
    for warning in warnings {
        app.note(&format!("warning: {warning}"));
    }
}

/// Prints what has changed in the warehouse's tables; those that are new in one sentence.
fn print_migrations(app: &App, migrations: &[String]) -> Result<(), CliError> {
    const CREATED: &str = "created table ";
    let created: Vec<&str> =
        migrations.iter().filter_map(|migration| migration.strip_prefix(CREATED)).collect();
    if created.len() > 1 {
        let sentence = app.output.labelled("created tables ", None, &created.join(", "));
        app.line(&sentence)?;
    }
    for migration in migrations {
        if created.len() < 2 || !migration.starts_with(CREATED) {
            app.line(&app.output.sentence(migration))?;
        }
    }
    Ok(())
}

fn state_of(report: &ModelReport) -> (&'static str, Option<u64>, Option<String>) {
    match &report.state {
        ModelState::Loaded(outcome) => ("loaded", Some(outcome.rows_staged), None),
        ModelState::UpToDate => ("up to date", None, None),
        ModelState::Failed(error) => ("failed", None, Some(error.to_string())),
        ModelState::Skipped(error) => ("skipped", None, Some(error.to_string())),
    }
}

async fn show_runs(app: &App, args: &StatusArgs) -> Result<ExitCode, CliError> {
    let engine = app.engine().await?;
    let runs = engine.stores.warehouse.runs(args.limit).await?;
    let pending = engine.pending_refreshes().await?;
    if args.format == Format::Json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| {
                json!({
                    "started_at": run.started_at,
                    "finished_at": run.finished_at,
                    "model": run.model,
                    "state": run.state,
                    "action": run.mode,
                    "rows": run.rows,
                    "error": run.error,
                })
            })
            .collect();
        app.line(&serde_json::to_string_pretty(
            &json!({ "runs": runs, "not_refreshed": pending }),
        )?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        app.line("nothing has run yet; `questlake etl run` loads the star schema")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut columns = vec![
        Column::word("run ended"),
        Column::text("model"),
        Column::word("state"),
        Column::text("action"),
        Column::number("rows"),
        Column::number("time"),
    ];
    if runs.iter().any(|run| run.error.is_some()) {
        columns.push(Column::text("error"));
    }
    let rows: Vec<Vec<Cell>> = runs
        .into_iter()
        .map(|run| {
            let style = match run.state.as_str() {
                "failed" => Style::Bad,
                "skipped" => Style::Warning,
                _ => Style::Good,
            };
            let millis = (run.finished_at - run.started_at).unsigned_abs();
            vec![
                time_text(run.finished_at).into(),
                run.model.into(),
                Cell::styled(style, run.state),
                run.mode.into(),
                thousands(run.rows).into(),
                duration(Duration::from_millis(millis)).into(),
                run.error.unwrap_or_default().into(),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))?;
    if let Some(text) = pending_text(&pending) {
        app.line(&app.output.sentence(&text))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A time (milliseconds since 1970) as `YYYY-MM-DD HH:MM:SS` UTC.
pub(crate) fn time_text(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

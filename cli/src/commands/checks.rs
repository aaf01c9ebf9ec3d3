//! `questlake checks`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use questlake_engine::checks::{CheckOutcome, CheckStatus, full_name, severity_name};
use questlake_engine::stores::warehouse::CheckRecord;
use serde_json::{Value, json};

use super::Format;
use super::etl::time_text;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::{counted, duration, thousands};
use crate::terminal::table::{Cell, Column};

#[derive(Debug, Args)]
pub(crate) struct ChecksArgs {
    /// Only checks about the rows of this model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Show what was found in each of the latest runs, not only in the last one
    #[arg(long)]
    history: bool,
    /// Entries of the history to show
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(app: &App, args: ChecksArgs) -> Result<ExitCode, CliError> {
    let engine = app.engine().await?;
    let mut checks = match args.history {
        true => engine.stores.warehouse.checks(usize::MAX).await?,
        false => engine.latest_checks().await?,
    };
    if let Some(model) = &args.model {
        checks.retain(|check| check.model.as_ref() == Some(model));
    }
    if args.history {
        checks.truncate(args.limit);
    }
    let models = engine.model_states(engine.stores.ledger.latest_sequence().await?).await?;
    let failing = engine.failing_checks(&models).await?;
    let exit = match failing.iter().any(|check| check.severity == "error") {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    };
    if args.format == Format::Json {
        let checks: Vec<Value> = checks.iter().map(record_json).collect();
        app.line(&serde_json::to_string_pretty(&json!({ "checks": checks }))?)?;
        return Ok(exit);
    }
    if checks.is_empty() {
        app.line("no check has been evaluated yet; `questlake etl run` does")?;
        return Ok(exit);
    }
    print(app, &checks)?;
    Ok(exit)
}

fn print(app: &App, checks: &[CheckRecord]) -> Result<(), CliError> {
    let columns = [
        Column::text("check"),
        Column::word("result"),
        Column::number("rows"),
        Column::number("time"),
        Column::word("run ended"),
        Column::text("what is wrong"),
    ];
    let rows: Vec<Vec<Cell>> = checks
        .iter()
        .map(|check| {
            let (style, result) = match (check.status.as_str(), check.severity.as_str()) {
                ("passed", _) => (Style::Good, "passed"),
                ("skipped", _) => (Style::Dim, "skipped"),
                ("broken", _) => (Style::Bad, "broken"),
                (_, "warn") => (Style::Warning, "warning"),
                _ => (Style::Bad, "failed"),
            };
            let wrong = match check.status.as_str() {
                "passed" => "",
                _ => check.detail.as_deref().or(check.description.as_deref()).unwrap_or_default(),
            };
            let rows = if check.rows > 0 { thousands(check.rows) } else { String::new() };
            let time = match check.millis {
                // It took less than is worth telling.
                0 => String::new(),
                millis => duration(Duration::from_millis(millis)),
            };
            vec![
                full_name(check.model.as_deref(), &check.name).into(),
                Cell::styled(style, result),
                rows.into(),
                time.into(),
                time_text(check.finished_at).into(),
                wrong.to_owned().into(),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))?;
    for check in checks.iter().filter(|check| check.status == "failed") {
        let Some(sample) = &check.sample else { continue };
        let title = full_name(check.model.as_deref(), &check.name);
        app.line(&app.output.style(Style::Bold, &format!("\n{title}  {}", check.file)))?;
        for line in sample.lines() {
            app.line(&format!("  {line}"))?;
        }
    }
    Ok(())
}

fn record_json(check: &CheckRecord) -> Value {
    json!({
        "run": check.run,
        "finished_at": check.finished_at,
        "check": check.name,
        "model": check.model,
        "severity": check.severity,
        "status": check.status,
        "rows": check.rows,
        "sample": check.sample.as_deref().map(|sample| sample.lines().collect::<Vec<_>>()),
        "detail": check.detail,
        "description": check.description,
        "file": check.file,
        "milliseconds": check.millis,
    })
}

/// What a check found in a run, as JSON.
pub(crate) fn outcome_json(check: &CheckOutcome) -> Value {
    json!({
        "check": check.name,
        "model": check.model,
        "severity": severity_name(check.severity),
        "status": check.status.name(),
        "rows": check.rows,
        "sample": check.sample,
        "detail": check.detail,
        "description": check.description,
        "file": check.file,
        "seconds": check.elapsed.as_secs_f64(),
    })
}

/// What a check found in a run, for a person.
pub(crate) fn outcome_text(check: &CheckOutcome) -> String {
    let kind = if check.is_error() { "error" } else { "warning" };
    let name = check.full_name();
    let mut text = match check.status {
        CheckStatus::Broken => format!("{kind}: check {name} could not be evaluated"),
        _ => {
            let is = if check.rows == 1 { "is" } else { "are" };
            format!("{kind}: check {name}: {} {is} wrong", counted(check.rows, "row"))
        }
    };
    if let Some(what) = check.detail.as_ref().or(check.description.as_ref()) {
        text.push_str(&format!(": {what}"));
    }
    text.push_str(&format!("\n  --> {}", check.file));
    for line in &check.sample {
        text.push_str(&format!("\n  {line}"));
    }
    let hidden = check.rows.saturating_sub(check.sample.len() as u64);
    if hidden > 0 && !check.sample.is_empty() {
        text.push_str(&format!("\n  … and {}", counted(hidden, "more row")));
    }
    text
}

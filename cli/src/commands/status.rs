//! `questlake status`

use std::process::ExitCode;

use clap::Args;
use questlake_engine::status::Status;

use super::Format;
use super::etl::time_text;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::{bytes, counted, thousands};
use crate::terminal::table::{Cell, Column};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(app: &App, args: StatusArgs) -> Result<ExitCode, CliError> {
    let status = app.engine().await?.status().await?;
    match args.format {
        Format::Json => app.line(&serde_json::to_string_pretty(&status)?)?,
        Format::Text => print(app, &status)?,
    }
    Ok(if status.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(app: &App, status: &Status) -> Result<(), CliError> {
    print_accounting(app, status)?;
    print_models(app, status)?;
    print_quarantine(app, status)?;
    print_stores(app, status)
}

/// The accounting, by topic and in total.
pub(crate) fn print_accounting(app: &App, status: &Status) -> Result<(), CliError> {
    let output = &app.output;
    app.line(&output.style(Style::Bold, "Accounting"))?;
    let columns = [
        Column::text("partition"),
        Column::number("consumed"),
        Column::number("landed"),
        Column::number("duplicates"),
        Column::number("quarantined"),
        Column::number("next offset"),
        Column::word("last commit").optional(),
    ];
    let mut rows: Vec<Vec<String>> = status
        .partitions
        .iter()
        .map(|partition| {
            vec![
                format!("{}/{}", partition.topic, partition.partition),
                thousands(partition.consumed),
                thousands(partition.landed),
                thousands(partition.duplicates),
                thousands(partition.quarantined),
                thousands(partition.next_offset.unsigned_abs()),
                if partition.updated_at > 0 {
                    time_text(partition.updated_at)
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    let accounting = &status.accounting;
    rows.push(vec![
        "total".to_owned(),
        thousands(accounting.consumed),
        thousands(accounting.landed),
        thousands(accounting.duplicates),
        thousands(accounting.quarantined),
        String::new(),
        String::new(),
    ]);
    app.line(&output.table(&columns, &rows))?;
    let verdict = if accounting.adds_up {
        output.style(Style::Good, "consumed = landed + duplicates + quarantined: adds up")
    } else {
        output.style(Style::Bad, "the accounting does not add up")
    };
    app.line(&verdict)?;
    for mismatch in &accounting.mismatches {
        app.line(&format!("  {mismatch}"))?;
    }
    Ok(())
}

fn print_models(app: &App, status: &Status) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "\nModels"))?;
    let columns = [
        Column::text("model"),
        Column::word("layer"),
        Column::text("state"),
        Column::word("last load"),
    ];
    let rows: Vec<Vec<Cell>> = status
        .models
        .iter()
        .map(|model| {
            let waiting = |text: String| Cell::styled(Style::Warning, text);
            let state = match model.ledger_sequence {
                None => waiting("never loaded".to_owned()),
                Some(_) if model.behind_commits > 0 => {
                    let commits = counted(model.behind_commits.unsigned_abs(), "commit");
                    waiting(format!("{commits} behind"))
                }
                Some(_) if model.stale_days > 0 => waiting(counted(model.stale_days, "stale day")),
                Some(_) if model.definition_changed => {
                    waiting("its SQL has changed; --full-refresh rebuilds it".to_owned())
                }
                Some(_) => Cell::styled(Style::Good, "up to date"),
            };
            vec![
                model.model.clone().into(),
                model.layer.to_owned().into(),
                state,
                model.updated_at.map(time_text).unwrap_or_default().into(),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))
}

fn print_quarantine(app: &App, status: &Status) -> Result<(), CliError> {
    if status.quarantine.is_empty() {
        return Ok(());
    }
    app.line(&app.output.style(Style::Bold, "\nQuarantine"))?;
    let columns = [
        Column::word("reason"),
        Column::text("event type"),
        Column::number("open"),
        Column::number("replayed"),
    ];
    let rows: Vec<Vec<String>> = status
        .quarantine
        .iter()
        .map(|group| {
            vec![
                group.reason.clone(),
                group.event_type.clone().unwrap_or_default(),
                thousands(group.open),
                thousands(group.replayed),
            ]
        })
        .collect();
    app.line(&app.output.table(&columns, &rows))
}

fn print_stores(app: &App, status: &Status) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "\nStores"))?;
    let columns = [Column::text("store"), Column::text("state"), Column::text("holds")];
    let landing = &status.landing;
    let rows: Vec<Vec<Cell>> = status
        .stores
        .iter()
        .map(|store| {
            let holds = match store.store {
                "hot" => {
                    status.hot.events.map(|events| counted(events, "event")).unwrap_or_default()
                }
                "landing" => format!(
                    "{} in {}, {}",
                    counted(landing.rows, "row"),
                    counted(landing.segments, "segment"),
                    bytes(landing.bytes)
                ),
                "archive" => match (&status.archive.first_day, &status.archive.last_day) {
                    (Some(first), Some(last)) => format!(
                        "{} of {}, {first} to {last}",
                        counted(status.archive.rows, "row"),
                        counted(status.archive.tables, "event type")
                    ),
                    _ => "nothing yet".to_owned(),
                },
                "cache" => String::new(),
                "ledger" => {
                    format!("commit {}", thousands(landing.latest_sequence.unsigned_abs()))
                }
                _ => counted(status.models.len() as u64, "model"),
            };
            let state = match &store.detail {
                None => Cell::styled(Style::Good, "answers"),
                Some(detail) => Cell::styled(Style::Bad, detail),
            };
            vec![store.name.clone().into(), state, holds.into()]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))
}

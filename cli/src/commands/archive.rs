//! `questlake archive`: moves events to the archive, prunes what is safely there, keeps its files.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use questlake_engine::archive::{ArchivePolicy, ArchiveReport, MovedTable, UpkeepReport};
use questlake_engine::pipeline::Engine;
use questlake_engine::settings::format_duration;
use serde_json::json;

use super::Format;
use super::etl::day_number;
use super::simulate::parse_date;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::numbers::{bytes, counted, thousands};
use crate::terminal::progress::{Progress, Unit};
use crate::terminal::table::Column;

#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// Move what is earlier than this day, whatever archive.after says
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    before: Option<chrono::NaiveDate>,
    /// Then put small files of the same day together
    #[arg(long)]
    optimize: bool,
    /// Then remove files that nobody reads any more
    #[arg(long)]
    vacuum: bool,
    /// With --vacuum, only say what would be removed
    #[arg(long, requires = "vacuum")]
    dry_run: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(app: &App, args: ArchiveArgs) -> Result<ExitCode, CliError> {
    let engine = app.engine().await?;
    let policy = app.settings.archive;
    let report = move_events(app, &engine, &policy, args.before).await?;
    let mut upkeep = UpkeepReport::default();
    if args.optimize {
        engine.optimize_archive(&mut upkeep).await?;
    }
    if args.vacuum {
        engine.vacuum_archive(policy.vacuum_after, args.dry_run, &mut upkeep).await?;
    }
    match args.format {
        Format::Json => app.line(&serde_json::to_string_pretty(&document(&report, &upkeep))?)?,
        Format::Text => {
            print(app, &report, policy.grace)?;
            print_upkeep(app, &args, &upkeep)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Moves what every model has read, with progress.
pub(crate) async fn move_events(
    app: &App,
    engine: &Engine,
    policy: &ArchivePolicy,
    before: Option<chrono::NaiveDate>,
) -> Result<ArchiveReport, CliError> {
    let progress: Arc<Progress> = Arc::new(app.bars.start("archive", None, Unit::Count("rows")));
    let observer = |table: &MovedTable| progress.add(table.rows);
    Ok(engine.archive(policy, before.map(day_number), &observer).await?)
}

/// Prints what was moved and pruned.
pub(crate) fn print(app: &App, report: &ArchiveReport, grace: Duration) -> Result<(), CliError> {
    if report.moved.is_empty() {
        app.line("nothing new to archive")?;
    } else {
        let columns =
            [Column::text("event type"), Column::number("rows archived"), Column::number("days")];
        let mut rows: Vec<Vec<String>> = report
            .moved
            .iter()
            .map(|table| {
                let days = thousands(table.days.len() as u64);
                vec![table.event_type.clone(), thousands(table.rows), days]
            })
            .collect();
        let total = report.moved.iter().map(|table| table.rows).sum();
        rows.push(vec!["total".to_owned(), thousands(total), String::new()]);
        app.line(&app.output.table(&columns, &rows))?;
    }
    if report.waiting > 0 {
        let model = report.waiting_for.as_deref().unwrap_or("a model");
        app.line(&app.output.sentence(&format!(
            "{} in landing until read by {model}: questlake etl run",
            staying(report.waiting)
        )))?;
    }
    if report.young > 0 {
        app.line(&app.output.sentence(&format!(
            "{} in landing, with events that are too young for the archive",
            staying(report.young)
        )))?;
    }
    if report.pruned_segments > 0 {
        app.line(&format!(
            "removed {} ({}) from landing",
            counted(report.pruned_segments, "verified segment"),
            bytes(report.pruned_bytes)
        ))?;
    } else if !report.moved.is_empty() {
        app.line(&app.output.sentence(&format!(
            "their segments leave landing with the first run after archive.grace ({})",
            format_duration(grace)
        )))?;
    }
    if report.pruned_documents > 0 {
        app.line(&format!(
            "removed {} from the hot store",
            counted(report.pruned_documents, "archived document")
        ))?;
    }
    Ok(())
}

/// `1 commit stays`, `3 commits stay`
fn staying(commits: i64) -> String {
    let verb = if commits == 1 { "stays" } else { "stay" };
    format!("{} {verb}", counted(commits.unsigned_abs(), "commit"))
}

fn print_upkeep(app: &App, args: &ArchiveArgs, upkeep: &UpkeepReport) -> Result<(), CliError> {
    if args.optimize && upkeep.optimized.is_empty() {
        app.line("nothing to optimize")?;
    } else if args.optimize {
        let columns = [
            Column::text("optimized"),
            Column::number("files before"),
            Column::number("after"),
            Column::number("size before"),
            Column::number("after"),
        ];
        let rows: Vec<Vec<String>> = upkeep
            .optimized
            .iter()
            .map(|(event_type, done)| {
                vec![
                    event_type.clone(),
                    thousands(done.files_before),
                    thousands(done.files_after),
                    bytes(done.bytes_before),
                    bytes(done.bytes_after),
                ]
            })
            .collect();
        app.line(&app.output.table(&columns, &rows))?;
    }
    if args.vacuum && upkeep.vacuumed.is_empty() {
        app.line("nothing to vacuum")?;
    } else if args.vacuum {
        let heading = if args.dry_run { "would remove" } else { "removed" };
        let columns = [Column::text(heading), Column::number("files"), Column::number("size")];
        let rows: Vec<Vec<String>> = upkeep
            .vacuumed
            .iter()
            .map(|(event_type, done)| {
                vec![event_type.clone(), thousands(done.files_removed), bytes(done.bytes_removed)]
            })
            .collect();
        app.line(&app.output.table(&columns, &rows))?;
    }
    Ok(())
}

fn document(report: &ArchiveReport, upkeep: &UpkeepReport) -> serde_json::Value {
    let moved: Vec<_> = report
        .moved
        .iter()
        .map(|table| json!({ "event_type": table.event_type, "rows": table.rows, "days": table.days.len() }))
        .collect();
    let optimized: Vec<_> = upkeep
        .optimized
        .iter()
        .map(|(event_type, done)| {
            json!({
                "event_type": event_type,
                "files_before": done.files_before,
                "files_after": done.files_after,
                "bytes_before": done.bytes_before,
                "bytes_after": done.bytes_after,
            })
        })
        .collect();
    let vacuumed: Vec<_> = upkeep
        .vacuumed
        .iter()
        .map(|(event_type, done)| {
            json!({
                "event_type": event_type,
                "files_removed": done.files_removed,
                "bytes_removed": done.bytes_removed,
            })
        })
        .collect();
    json!({
        "through": report.through,
        "young_commits": report.young,
        "waiting_commits": report.waiting,
        "waiting_for": report.waiting_for,
        "moved": moved,
        "pruned_segments": report.pruned_segments,
        "pruned_bytes": report.pruned_bytes,
        "pruned_documents": report.pruned_documents,
        "optimized": optimized,
        "vacuumed": vacuumed,
    })
}

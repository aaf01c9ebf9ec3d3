//! `questlake verify`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use questlake_ingest::simulate::Truth;
use questlake_ingest::verify::{VerifyReport, verify};

use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::thousands;
use crate::terminal::table::{Cell, Column};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The truth, from `questlake simulate --truth`
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
}

pub(crate) async fn run(app: &App, args: VerifyArgs) -> Result<ExitCode, CliError> {
    let truth = read_truth(&args.truth)?;
    let engine = app.engine().await?;
    let report = verify(&engine, &truth).await?;
    print(app, &report)?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a truth file.
pub(crate) fn read_truth(path: &Path) -> Result<Truth, CliError> {
    let shown = path.display().to_string();
    let text = std::fs::read(path).map_err(|source| CliError::File {
        operation: "read",
        path: shown.clone(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| CliError::Truth { path: shown, source })
}

/// Prints how everything compares.
pub(crate) fn print(app: &App, report: &VerifyReport) -> Result<(), CliError> {
    let columns = [
        Column::text("compared with the truth"),
        Column::number("rows"),
        Column::number("cells"),
        Column::number("differing"),
    ];
    let rows: Vec<Vec<Cell>> = report
        .tables
        .iter()
        .map(|table| {
            let style = if table.differing == 0 { Style::Good } else { Style::Bad };
            vec![
                table.table.clone().into(),
                thousands(table.rows).into(),
                thousands(table.cells).into(),
                Cell::styled(style, thousands(table.differing)),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))?;
    for table in &report.tables {
        for difference in &table.differences {
            app.line(&format!(
                "{}: {}: {}: expected {}, found {}",
                table.table,
                difference.row,
                difference.column,
                difference.expected,
                difference.found
            ))?;
        }
    }
    let verdict = if report.holds() {
        app.output.style(Style::Good, "every cell equals the truth")
    } else {
        app.output.style(Style::Bad, "the star schema differs from the truth")
    };
    app.line(&verdict)
}

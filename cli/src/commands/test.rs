//! `questlake test`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use questlake_engine::unit_tests::{
    self, DifferenceKind, ModelTest, Outcome, RowDifference, TESTS_FOLDER, TestReport,
};
use serde_json::json;

use super::Format;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::{duration, thousands};
use crate::terminal::table::{Cell, Column};

/// Most rows of one test whose differences are shown as text.
const MOST_ROWS: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only tests whose name, model or file contains this; `*` stands for any text
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(app: &App, args: TestArgs) -> Result<ExitCode, CliError> {
    let started = Instant::now();
    let project = app.project().await?;
    let (tests, mistakes) = unit_tests::load(&app.settings.project, &project);
    let tests: Vec<ModelTest> = mistakes.into_result(tests)?;
    let known = tests.len();
    let tests: Vec<Arc<ModelTest>> = tests
        .into_iter()
        .filter(|test| args.pattern.as_ref().is_none_or(|pattern| test.matches(pattern)))
        .map(Arc::new)
        .collect();
    if let (Some(pattern), true) = (&args.pattern, tests.is_empty()) {
        let message = format!("no test matches `{pattern}`; there are {}", thousands(known as u64));
        return Err(CliError::Usage(message));
    }
    let reports = unit_tests::run(&project, &tests, app.settings.engine.threads).await;
    match args.format {
        Format::Json => print_json(app, &tests, &reports)?,
        Format::Text => print_text(app, &tests, &reports, started.elapsed())?,
    }
    let passed = reports.iter().all(TestReport::passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_json(app: &App, tests: &[Arc<ModelTest>], reports: &[TestReport]) -> Result<(), CliError> {
    let mut entries = Vec::with_capacity(reports.len());
    for report in reports {
        let test = &tests[report.index];
        let mut entry = json!({
            "file": test.file,
            "line": test.name.line,
            "model": test.model.name(),
            "name": test.name.value,
            "description": test.description,
            "seconds": report.elapsed.as_secs_f64(),
        });
        let outcome = serde_json::to_value(&report.outcome)?;
        if let (Some(entry), Some(outcome)) = (entry.as_object_mut(), outcome.as_object()) {
            entry.extend(outcome.clone());
        }
        entries.push(entry);
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let document = json!({ "passed": reports.len() - failed, "failed": failed, "tests": entries });
    app.line(&serde_json::to_string_pretty(&document)?)
}

fn print_text(
    app: &App,
    tests: &[Arc<ModelTest>],
    reports: &[TestReport],
    elapsed: Duration,
) -> Result<(), CliError> {
    if reports.is_empty() {
        let sentence = format!(
            "the project has no tests; `questlake init` writes an example of a file in {TESTS_FOLDER}/"
        );
        return app.line(&app.output.sentence(&sentence));
    }
    let mut file = "";
    for report in reports {
        let test = &tests[report.index];
        if test.file != file {
            file = &test.file;
            app.line(&app.output.style(Style::Bold, file))?;
        }
        let (style, mark) = match report.outcome {
            Outcome::Passed => (Style::Good, "passed"),
            Outcome::Failed { .. } => (Style::Bad, "FAILED"),
            Outcome::Broken { .. } => (Style::Bad, "BROKEN"),
        };
        let model = app.output.style(Style::Dim, test.model.name());
        let line = format!("  {}  {model}: {}", app.output.style(style, mark), test.name.value);
        app.line(&line)?;
    }
    for report in reports {
        print_failure(app, &tests[report.index], report)?;
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let style = if failed == 0 { Style::Good } else { Style::Bad };
    let passed = reports.len() - failed;
    let verdict = match failed {
        0 => format!("all {} tests passed", thousands(passed as u64)),
        _ => format!("{} of {} tests failed", thousands(failed as u64), reports.len()),
    };
    app.line(&format!("{} in {}", app.output.style(style, &verdict), duration(elapsed)))
}

fn print_failure(app: &App, test: &ModelTest, report: &TestReport) -> Result<(), CliError> {
    let heading = format!("\n{}:{}: {}", test.file, test.name.line, test.name.value);
    match &report.outcome {
        Outcome::Passed => Ok(()),
        Outcome::Broken { error } => {
            app.line(&app.output.style(Style::Bold, &heading))?;
            let model = &test.model.source.file;
            app.line(&app.output.sentence(&format!("{} failed: {error}", model.path())))
        }
        Outcome::Failed { differences } => {
            app.line(&app.output.style(Style::Bold, &heading))?;
            print_differences(app, &differences[..differences.len().min(MOST_ROWS)])?;
            if differences.len() > MOST_ROWS {
                let more = differences.len() - MOST_ROWS;
                app.line(&format!("and {} more rows", thousands(more as u64)))?;
            }
            Ok(())
        }
    }
}

/// One line for what is expected of a row and one for what was found; cells that differ are marked.
fn print_differences(app: &App, differences: &[RowDifference]) -> Result<(), CliError> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names: Vec<&str> = Vec::new();
    for cell in differences.iter().flat_map(|difference| &difference.cells) {
        places.entry(&cell.column).or_insert_with(|| {
            names.push(&cell.column);
            names.len() - 1
        });
    }
    let mut columns = vec![Column::word("")];
    columns.extend(names.iter().map(|name| Column::text(name)));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for difference in differences {
        let mut line = |style: Style, word: &str, cells: Vec<(usize, Cell)>| {
            let mut row: Vec<Cell> = vec![String::new().into(); names.len() + 1];
            row[0] = Cell::styled(style, word);
            for (place, cell) in cells {
                row[place + 1] = cell;
            }
            rows.push(row);
        };
        let cells = |style: Style, found: bool| -> Vec<(usize, Cell)> {
            let text = |cell: &unit_tests::CellDifference| {
                let text = if found { &cell.found } else { &cell.expected };
                let text = text.clone().unwrap_or_default();
                // Where there are no colours, the mark tells which cells differ.
                if cell.differs { Cell::styled(style, format!("{text} ≠")) } else { text.into() }
            };
            let cells = difference.cells.iter();
            cells.map(|cell| (places[cell.column.as_str()], text(cell))).collect()
        };
        match difference.kind {
            DifferenceKind::Differs => {
                line(Style::Dim, "expected", cells(Style::Good, false));
                line(Style::Bad, "found", cells(Style::Bad, true));
            }
            DifferenceKind::Missing => line(Style::Bad, "missing", cells(Style::Good, false)),
            DifferenceKind::Unexpected => line(Style::Bad, "unexpected", cells(Style::Bad, true)),
            DifferenceKind::Key => line(Style::Bad, "key not unique", cells(Style::Bad, true)),
        }
    }
    app.line(&app.output.styled_table(&columns, &rows))
}

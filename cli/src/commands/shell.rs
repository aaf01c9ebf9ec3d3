//! `questlake shell`: one question after the other.
//!
//! At a terminal lines are edited, completed and remembered; from a pipe they are read as they are.
//! A statement ends with `;` at the end of a line, a directive begins with `\` and is one line.

mod completion;
mod directives;
mod editor;
mod input;

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use questlake_engine::pipeline::Engine;
use questlake_engine::project::source::SourceFile;
use questlake_engine::query::tables::{TableDescription, tables};
use questlake_engine::query::{PreparedStatement, QueryError};
use tokio::signal::unix::{SignalKind, signal};

use super::query::{execute, tell};
use crate::allocator;
use crate::app::App;
use crate::error::CliError;
use crate::results::{Destination, Layout, ResultFormat};
use crate::stop::{Stop, next_interrupt};
use crate::terminal::Style;
use editor::LineEditor;
use input::{Accumulator, bare_directive};

/// Name of the file of earlier lines, in the data folder.
const HISTORY_FILE: &str = "shell_history";

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// How rows are written
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
}

/// Whether the shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    Quit,
}

/// What the shell knows and remembers.
struct Shell<'a> {
    app: &'a App,
    engine: Engine,
    tables: Vec<TableDescription>,
    format: ResultFormat,
    expanded: bool,
    timing: bool,
    /// Where the next result goes, if not to standard output.
    next_output: Option<PathBuf>,
    /// Files that are being read by `\i`, one inside the other.
    depth: usize,
    /// Whether any statement or directive has failed.
    failed: bool,
}

/// What shells expect of a program that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

pub(crate) async fn run(app: &App, args: ShellArgs) -> Result<ExitCode, CliError> {
    let mut engine = app.stop.interrupts(app.engine()).await?;
    engine.queries.alone = true;
    allocator::give_back_soon();
    let tables = tables(&engine.project);
    let mut shell = Shell {
        app,
        engine,
        tables,
        format: args.format,
        expanded: false,
        timing: true,
        next_output: None,
        depth: 0,
        failed: false,
    };
    let talks = std::io::stdin().is_terminal();
    tokio::spawn(leave_when_told(app.stop.clone(), talks));
    if talks {
        shell.converse().await?;
        return Ok(ExitCode::SUCCESS);
    }
    shell.timing = false;
    let interrupted = shell.read_pipe().await?;
    Ok(match (interrupted, shell.failed) {
        (true, _) => CliError::from(QueryError::Cancelled).exit_code(),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Ends the program when it is told to stop while it waits for a line, which nothing interrupts. At a
/// terminal Ctrl-C is a key like any other, and a stop comes from elsewhere.
async fn leave_when_told(stop: Stop, talks: bool) {
    const TIME_TO_CANCEL: Duration = Duration::from_secs(2);
    if talks {
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            terminated.recv().await;
            std::process::exit(EXIT_INTERRUPTED);
        }
        return;
    }
    stop.told().await;
    // A query under way is cancelled, and says so.
    tokio::time::sleep(TIME_TO_CANCEL).await;
    std::process::exit(EXIT_INTERRUPTED);
}

impl Shell<'_> {
    /// Reads from a terminal until Ctrl-D or `\q`.
    async fn converse(&mut self) -> Result<(), CliError> {
        let history = self.app.settings.data.join(HISTORY_FILE);
        let mut editor = LineEditor::open(&self.engine, &self.tables, history)?;
        self.app.line(&self.app.output.style(
            Style::Dim,
            "; ends a statement · \\? shows what else there is · Tab completes · Ctrl-D ends",
        ))?;
        loop {
            // Reading a line blocks, and completion needs no task of the runtime.
            let Some(text) = tokio::task::block_in_place(|| editor.read())? else { return Ok(()) };
            if self.run_text(&text, "shell").await? == Flow::Quit {
                return Ok(());
            }
        }
    }

    /// Reads what is piped in. Returns whether it was interrupted.
    async fn read_pipe(&mut self) -> Result<bool, CliError> {
        let mut pending = Accumulator::default();
        loop {
            let mut line = String::new();
            let read = tokio::task::block_in_place(|| std::io::stdin().lock().read_line(&mut line));
            let read = read.map_err(|source| CliError::File {
                operation: "read",
                path: "standard input".to_owned(),
                source,
            })?;
            let texts = if read == 0 { pending.finish() } else { pending.add_line(&line) };
            for text in texts {
                match self.run_one(&text, "standard input").await {
                    Ok(Flow::Quit) => return Ok(false),
                    Ok(Flow::GoOn) => {}
                    Err(CliError::Query(QueryError::Cancelled)) => {
                        self.report(&CliError::Query(QueryError::Cancelled));
                        return Ok(true);
                    }
                    Err(error) => self.report(&error),
                }
            }
            if read == 0 {
                return Ok(false);
            }
        }
    }

    /// Runs every statement and directive of a text. What fails is told, and the shell goes on.
    async fn run_text(&mut self, text: &str, origin: &str) -> Result<Flow, CliError> {
        let mut pending = Accumulator::default();
        let mut texts = Vec::new();
        for line in text.split_inclusive('\n') {
            texts.extend(pending.add_line(line));
        }
        texts.extend(pending.finish());
        for text in texts {
            match self.run_one(&text, origin).await {
                Ok(Flow::Quit) => return Ok(Flow::Quit),
                Ok(Flow::GoOn) => {}
                // Nobody is left to be told.
                Err(error @ CliError::Output(_)) => return Err(error),
                Err(error) => self.report(&error),
            }
        }
        Ok(Flow::GoOn)
    }

    async fn run_one(&mut self, text: &str, origin: &str) -> Result<Flow, CliError> {
        if let Some(directive) = text.trim_start().strip_prefix('\\') {
            return self.run_directive(directive.trim()).await;
        }
        if let Some(directive) = bare_directive(text) {
            return self.run_directive(directive).await;
        }
        let statement = PreparedStatement::new(SourceFile::new(origin, text))?;
        self.run_statement(&statement, &BTreeMap::new()).await?;
        Ok(Flow::GoOn)
    }

    async fn run_statement(
        &mut self,
        statement: &PreparedStatement,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), CliError> {
        let file = self.next_output.take();
        let format = match &file {
            Some(path) => ResultFormat::default_for(Some(path)),
            None => self.format,
        };
        let layout = if self.expanded { Layout::Expanded } else { Layout::Rows };
        let destination = Destination { format, layout, file: file.clone() };
        destination.check()?;
        let interrupted = next_interrupt();
        let summary =
            execute(self.app, &self.engine, statement, parameters, destination, interrupted)
                .await?;
        if self.timing || file.is_some() || summary.truncated {
            tell(self.app, &summary, file.as_deref());
        }
        Ok(())
    }

    /// Runs the statements of a file.
    async fn include(&mut self, path: &Path) -> Result<Flow, CliError> {
        const DEEPEST: usize = 8;
        if self.depth == DEEPEST {
            return Err(CliError::Usage("files that include each other go too deep".to_owned()));
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| CliError::File {
            operation: "read",
            path: name.clone(),
            source,
        })?;
        self.depth += 1;
        let flow = Box::pin(self.run_text(&text, &name)).await;
        self.depth -= 1;
        flow
    }

    fn report(&mut self, error: &CliError) {
        self.failed = true;
        error.print();
    }
}

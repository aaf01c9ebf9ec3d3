//! Results of queries on their way out: to the terminal, a pipe or a file.
//!
//! Rows are written by a thread of their own, so that a pipe that nobody reads does not keep an
//! interrupt from being seen.

pub(crate) mod expanded;
mod file;
pub(crate) mod plan;
pub(crate) mod table;
mod values;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;
use questlake_engine::query::export::{ExportFormat, Exporter};
use questlake_engine::query::{QueryError, QueryStream};
use tokio::sync::mpsc;

use crate::error::CliError;
use crate::terminal::{Output, printable};
use expanded::ExpandedWriter;
use file::PendingFile;
use plan::PlanWriter;
use table::TableWriter;

/// Batches that may wait for the writer.
const QUEUED_BATCHES: usize = 2;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// A table for people, fitted to the terminal
    Table,
    /// Comma-separated values with a heading
    Csv,
    /// One JSON array of objects
    Json,
    /// One JSON object per line
    Ndjson,
    /// An Arrow IPC file
    Arrow,
    /// A Parquet file
    Parquet,
}

impl ResultFormat {
    /// The format for programs, unless it is the table.
    fn export(self) -> Option<ExportFormat> {
        Some(match self {
            Self::Table => return None,
            Self::Csv => ExportFormat::Csv,
            Self::Json => ExportFormat::Json,
            Self::Ndjson => ExportFormat::Ndjson,
            Self::Arrow => ExportFormat::Arrow,
            Self::Parquet => ExportFormat::Parquet,
        })
    }

    /// The format that nobody has asked for: that of the file's name; a table at a terminal; CSV
    /// elsewhere.
    pub(crate) fn default_for(file: Option<&Path>) -> Self {
        let Some(file) = file else {
            return if io::stdout().is_terminal() { Self::Table } else { Self::Csv };
        };
        match ExportFormat::of_file_name(&file.to_string_lossy()) {
            Some(ExportFormat::Json) => Self::Json,
            Some(ExportFormat::Ndjson) => Self::Ndjson,
            Some(ExportFormat::Arrow | ExportFormat::ArrowStream) => Self::Arrow,
            Some(ExportFormat::Parquet) => Self::Parquet,
            Some(ExportFormat::Csv) | None => Self::Csv,
        }
    }

    /// Whether only people read it.
    pub(crate) fn is_for_people(self) -> bool {
        self == Self::Table
    }
}

/// The layout of results for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One line per row, or one per value where rows are wider than the terminal can show.
    Rows,
    /// One line per value.
    Expanded,
    /// The text of a plan.
    Plan,
}

/// Where and how a result is written.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) format: ResultFormat,
    /// Matters to the table only.
    pub(crate) layout: Layout,
    /// Standard output if there is none.
    pub(crate) file: Option<PathBuf>,
}

impl Destination {
    /// Refuses what nobody can want.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let binary = self.format.export().is_some_and(|format| !format.is_text());
        if binary && self.file.is_none() && io::stdout().is_terminal() {
            return Err(CliError::Usage(
                "this format is not for a terminal; add --output FILE, or pipe it on".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) elapsed: Duration,
    /// Whether rows beyond `query.max_rows` were left out.
    pub(crate) truncated: bool,
}

enum Message {
    Rows(RecordBatch),
    End,
}

/// Writes all rows of a query. A file is there when all of them are, or not at all.
pub(crate) async fn write(
    stream: &mut QueryStream,
    destination: &Destination,
    output: Output,
    started: Instant,
) -> Result<Summary, CliError> {
    let mut pending = match &destination.file {
        None => None,
        Some(path) => Some(PendingFile::create(path)?),
    };
    let sink: Box<dyn Write + Send> = match &mut pending {
        None => Box::new(BufWriter::new(io::stdout())),
        Some(file) => Box::new(BufWriter::new(file.writer()?)),
    };
    // A table in a file has neither colours nor a width to fit.
    let output = if pending.is_some() { Output::plain() } else { output };
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let (format, layout, schema) =
        (destination.format, destination.layout, stream.schema().clone());
    let writer = tokio::task::spawn_blocking(move || {
        write_rows(format, layout, &schema, output, sink, receiver)
    });
    let mut failure = None;
    loop {
        let message = match stream.next().await {
            Ok(Some(batch)) => Message::Rows(batch),
            Ok(None) => Message::End,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let is_end = matches!(message, Message::End);
        // The writer has ended if it takes no more; why, is told below.
        if sender.send(message).await.is_err() || is_end {
            break;
        }
    }
    drop(sender);
    let written =
        writer.await.unwrap_or_else(|error| Err(QueryError::Aborted { reason: error.to_string() }));
    if let Some(error) = failure {
        return Err(error.into());
    }
    match written {
        Ok(()) => {}
        // A reader that has seen enough (`| head`) is no failure.
        Err(QueryError::Write(error))
            if error.kind() == io::ErrorKind::BrokenPipe && pending.is_none() => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(file) = pending {
        file.complete()?;
    }
    Ok(Summary { rows: stream.rows(), elapsed: started.elapsed(), truncated: stream.truncated() })
}

/// Writes what arrives. Without an end, the file stays unfinished: its reader is to notice.
fn write_rows(
    format: ResultFormat,
    layout: Layout,
    schema: &SchemaRef,
    output: Output,
    mut sink: Box<dyn Write + Send>,
    mut receiver: mpsc::Receiver<Message>,
) -> Result<(), QueryError> {
    if let Some(format) = format.export() {
        let mut exporter = Exporter::new(format, schema, sink)?;
        while let Some(message) = receiver.blocking_recv() {
            match message {
                Message::Rows(batch) => exporter.write(&batch)?,
                Message::End => {
                    exporter.finish()?;
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    let mut writer = match layout {
        Layout::Rows => PeopleWriter::Table(TableWriter::new(schema, output)),
        Layout::Expanded => PeopleWriter::Expanded(ExpandedWriter::new(names(schema), output)),
        Layout::Plan => PeopleWriter::Plan(PlanWriter::new(output)),
    };
    let mut ended = false;
    while let Some(message) = receiver.blocking_recv() {
        match message {
            Message::Rows(batch) => writer.write(&batch, &mut sink)?,
            Message::End => {
                ended = true;
                break;
            }
        }
    }
    // What was gathered is shown also when the query failed on its way.
    writer.finish(&mut sink, ended)?;
    sink.flush()?;
    Ok(())
}

/// The names of the columns, as they can be shown.
fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| printable(field.name())).collect()
}

enum PeopleWriter {
    Table(TableWriter),
    Expanded(ExpandedWriter),
    Plan(PlanWriter),
}

impl PeopleWriter {
    fn write(&mut self, batch: &RecordBatch, sink: &mut dyn Write) -> Result<(), QueryError> {
        match self {
            Self::Table(writer) => writer.write(batch, sink),
            Self::Expanded(writer) => writer.write(batch, sink),
            Self::Plan(writer) => writer.write(batch, sink),
        }
    }

    fn finish(&mut self, sink: &mut dyn Write, ended: bool) -> Result<(), QueryError> {
        match self {
            Self::Table(writer) => writer.finish(sink, ended),
            Self::Expanded(_) | Self::Plan(_) => Ok(()),
        }
    }
}

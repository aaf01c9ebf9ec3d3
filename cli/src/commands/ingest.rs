//! `questlake ingest`

mod topic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use questlake_engine::stores::ledger::Counts;
use questlake_ingest::batch::Ingester;
use questlake_ingest::sources::file::{BatchBounds, FileOutcome, FileProgress, ingest_file};
use questlake_ingest::sources::queue::IngestQueue;
use questlake_ingest::sources::stdin::{PipeBounds, STDIN_TOPIC, ingest_pipe};
use serde::Serialize;

use super::Format;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::numbers::thousands;
use crate::terminal::progress::Unit;
use crate::terminal::table::Column;

pub(crate) use self::topic::{Until, take_topic, topic_options};

/// How often the progress bar is moved.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files of newline-delimited JSON, plain or gzip; - for standard input. Without any, the topic
    /// of Kafka is read until the program is told to stop
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same
    #[arg(long = "file", value_name = "FILE", num_args = 1..)]
    more_files: Vec<PathBuf>,
    /// Go on behind records that Kafka has dropped before they were read
    #[arg(long, conflicts_with_all = ["files", "more_files"])]
    accept_gaps: bool,
    /// End when all that is in the topic of Kafka now is taken in
    #[arg(long, conflicts_with_all = ["files", "more_files"])]
    drain: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    topic: String,
    skipped_bytes: u64,
    unfinished_bytes: u64,
    consumed: u64,
    landed: u64,
    duplicates: u64,
    quarantined: u64,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    consumed: u64,
    landed: u64,
    duplicates: u64,
    quarantined: u64,
}

#[derive(Debug, Serialize)]
struct IngestReport {
    files: Vec<FileReport>,
    totals: Totals,
}

pub(crate) async fn run(app: &App, args: IngestArgs) -> Result<ExitCode, CliError> {
    let files: Vec<PathBuf> = args.files.into_iter().chain(args.more_files).collect();
    if files.is_empty() {
        let Some(kafka) = &app.settings.kafka else {
            return Err(CliError::Usage(
                "nothing to ingest: name files, or - for standard input, or brokers of Kafka with \
                 --kafka-brokers; `questlake serve` takes events over HTTP"
                    .to_owned(),
            ));
        };
        let engine = app.stop.interrupts(app.engine()).await?;
        let accept_gaps = args.accept_gaps;
        let until = match args.drain {
            true => Until::Drained { accept_gaps },
            false => Until::Told { accept_gaps },
        };
        let counts = take_topic(app, &engine, kafka, until).await?;
        let outcome = FileOutcome { topic: kafka.topic.clone(), counts, ..FileOutcome::default() };
        let mut report = IngestReport { files: Vec::new(), totals: Totals::default() };
        report.add(Path::new(&kafka.topic), &outcome);
        print(app, &report, args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    for file in &files {
        if file != Path::new("-") && !file.exists() {
            return Err(CliError::Usage(format!("{} does not exist", file.display())));
        }
    }
    let engine = app.stop.interrupts(app.engine()).await?;
    let ingester = app.ingester(&engine)?;
    ingester.sweep_landing().await;
    let mut report = IngestReport { files: Vec::new(), totals: Totals::default() };
    let mut stopped = false;
    for file in &files {
        if app.stop.is_told() {
            stopped = true;
            break;
        }
        let outcome = if file == Path::new("-") {
            take_pipe(app, &ingester).await?
        } else {
            take_file(app, &ingester, file).await?
        };
        stopped = outcome.stopped;
        report.add(file, &outcome);
        if stopped {
            break;
        }
    }
    print(app, &report, args.format)?;
    if stopped { Err(CliError::Interrupted) } else { Ok(ExitCode::SUCCESS) }
}

/// Takes in one file, with progress; Ctrl-C ends after the batches under way.
pub(crate) async fn take_file(
    app: &App,
    ingester: &Ingester,
    path: &Path,
) -> Result<FileOutcome, CliError> {
    let total = std::fs::metadata(path).ok().map(|metadata| metadata.len());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let label = format!("ingest {}", name.unwrap_or_default());
    let bar = app.bars.start(&label, total, Unit::Bytes);
    let progress = Arc::new(FileProgress::default());
    let bounds = BatchBounds {
        records: app.settings.ingest.batch_records,
        bytes: app.settings.ingest.batch_bytes.as_usize(),
    };
    let work = ingest_file(ingester, path, bounds, Arc::clone(&progress));
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let stop = app.stop.told();
    tokio::pin!(stop);
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome?,
            _ = ticks.tick() => bar.set_position(progress.bytes_committed.load(Ordering::Relaxed)),
            () = &mut stop, if !stopping => {
                stopping = true;
                progress.stop.store(true, Ordering::Relaxed);
                app.note("stopping after the batches under way");
            }
        }
    };
    bar.set_position(progress.bytes_committed.load(Ordering::Relaxed));
    bar.finish();
    Ok(outcome)
}

async fn take_pipe(app: &App, ingester: &Ingester) -> Result<FileOutcome, CliError> {
    let (queue, worker) =
        IngestQueue::open(ingester.clone(), &app.queue_folder(), STDIN_TOPIC, app.queue_bounds())
            .await?;
    let bar = app.bars.start("ingest standard input", None, Unit::Count("records"));
    let ingest = &app.settings.ingest;
    let bounds = PipeBounds {
        bytes: ingest.batch_bytes.as_usize().min(ingest.queue_bytes.as_usize()),
        wait: ingest.batch_wait,
        longest_line: ingester.longest_line(),
    };
    let counts = app
        .stop
        .interrupts(async {
            let observe = |counts: &Counts| bar.set_position(counts.consumed);
            let input = tokio::io::stdin();
            Ok(ingest_pipe(&queue, input, bounds, observe).await?)
        })
        .await?;
    drop(queue);
    worker.await.map_err(|error| CliError::Usage(error.to_string()))?;
    bar.finish();
    Ok(FileOutcome { topic: STDIN_TOPIC.to_owned(), counts, ..FileOutcome::default() })
}

impl IngestReport {
    fn add(&mut self, file: &Path, outcome: &FileOutcome) {
        let counts = &outcome.counts;
        self.totals.consumed += counts.consumed;
        self.totals.landed += counts.landed;
        self.totals.duplicates += counts.duplicates;
        self.totals.quarantined += counts.quarantined;
        self.files.push(FileReport {
            file: file.display().to_string(),
            topic: outcome.topic.clone(),
            skipped_bytes: outcome.skipped_bytes,
            unfinished_bytes: outcome.unfinished_bytes,
            consumed: counts.consumed,
            landed: counts.landed,
            duplicates: counts.duplicates,
            quarantined: counts.quarantined,
        });
    }
}

fn print(app: &App, report: &IngestReport, format: Format) -> Result<(), CliError> {
    if format == Format::Json {
        return app.line(&serde_json::to_string_pretty(report)?);
    }
    let columns = [
        Column::text("source"),
        Column::number("consumed"),
        Column::number("landed"),
        Column::number("duplicates"),
        Column::number("quarantined"),
    ];
    let mut rows: Vec<Vec<String>> = report
        .files
        .iter()
        .map(|file| {
            vec![
                file.file.clone(),
                thousands(file.consumed),
                thousands(file.landed),
                thousands(file.duplicates),
                thousands(file.quarantined),
            ]
        })
        .collect();
    let totals = &report.totals;
    if rows.len() > 1 {
        rows.push(vec![
            "total".to_owned(),
            thousands(totals.consumed),
            thousands(totals.landed),
            thousands(totals.duplicates),
            thousands(totals.quarantined),
        ]);
    }
    app.line(&app.output.table(&columns, &rows))?;
    for file in report.files.iter().filter(|file| file.skipped_bytes > 0) {
        let skipped = crate::terminal::numbers::bytes(file.skipped_bytes);
        app.line(&format!("{}: {skipped} had been taken in before", file.file))?;
    }
    for file in report.files.iter().filter(|file| file.unfinished_bytes > 0) {
        let unfinished = crate::terminal::numbers::bytes(file.unfinished_bytes);
        app.line(&format!(
            "{}: its last line is unfinished ({unfinished}) and was left; it is taken in by another \
             run when it has its line feed",
            file.file
        ))?;
    }
    if totals.quarantined > 0 {
        app.line("`questlake quarantine list` shows what is wrong with the quarantined records")?;
    }
    Ok(())
}

//! `questlake quarantine list | show | replay`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use questlake_engine::stores::ledger::{Counts, QuarantineEntry, QuarantineFilter};
use questlake_ingest::batch::Ingester;
use questlake_ingest::decode::RejectReason;
use questlake_ingest::sources::queue::{IngestQueue, QueueBounds, RefusedRecord};
use questlake_ingest::sources::replay::{REPLAY_TOPIC, replay};
use serde_json::json;

use super::Format;
use super::etl::time_text;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::numbers::{counted, thousands};
use crate::terminal::table::Column;
use crate::terminal::{Style, printable};

/// Records replayed at a time.
pub(super) const REPLAY_PAGE: usize = 1000;

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List quarantined records
    List(ListArgs),
    /// Show one record: where it came from, what is wrong, its bytes
    Show(ShowArgs),
    /// Take records in again, mended or under a newer contract
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only this reason, such as missing_field
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only this event type
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Replayed records too
    #[arg(long)]
    all: bool,
    /// Records to list
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Number of the record
    id: i64,
    /// Only its bytes, as they came
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Numbers of the records [default: all open ones of the selection]
    ids: Vec<i64>,
    #[command(flatten)]
    selection: Selection,
    /// File with the mended bytes of the one record
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) async fn run(app: &App, command: QuarantineCommand) -> Result<ExitCode, CliError> {
    match command {
        QuarantineCommand::List(args) => list(app, args).await,
        QuarantineCommand::Show(args) => show(app, args).await,
        QuarantineCommand::Replay(args) => replay_records(app, args).await,
    }
}

fn filter(selection: &Selection, limit: usize) -> Result<QuarantineFilter, CliError> {
    if let Some(reason) = &selection.reason
        && RejectReason::from_code(reason).is_none()
    {
        return Err(CliError::Usage(format!(
            "`{reason}` is not a reason; `questlake status` shows those that occur"
        )));
    }
    Ok(QuarantineFilter {
        reason: selection.reason.clone(),
        event_type: selection.event_type.clone(),
        limit,
        ..QuarantineFilter::default()
    })
}

async fn list(app: &App, args: ListArgs) -> Result<ExitCode, CliError> {
    let mut filter = filter(&args.selection, args.limit)?;
    filter.include_replayed = args.all;
    let engine = app.engine().await?;
    let entries = engine.stores.ledger.quarantine(&filter).await?;
    if args.format == Format::Json {
        let records: Vec<_> = entries.iter().map(entry_json).collect();
        app.line(&serde_json::to_string_pretty(&json!({ "records": records }))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        app.line("no quarantined records")?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        Column::number("id"),
        Column::word("state"),
        Column::word("reason"),
        Column::word("event type"),
        Column::text("detail"),
        Column::word("from").optional(),
    ];
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                entry.state.name().to_owned(),
                entry.record.reason.clone(),
                shortened(entry.record.event_type.as_deref().unwrap_or_default()),
                entry.record.detail.clone(),
                entry.record.key.to_string(),
            ]
        })
        .collect();
    app.line(&app.output.table(&columns, &rows))?;
    if entries.len() == args.limit {
        app.line(&format!("the first {}; --limit shows more", thousands(args.limit as u64)))?;
    }
    app.line("`questlake quarantine show ID` shows the record and what to do")?;
    Ok(ExitCode::SUCCESS)
}

/// The beginning of an event type, which anybody can send in any length.
fn shortened(event_type: &str) -> String {
    const LONGEST: usize = 40;
    if event_type.chars().count() <= LONGEST {
        return event_type.to_owned();
    }
    event_type.chars().take(LONGEST - 1).chain(std::iter::once('…')).collect()
}

fn entry_json(entry: &QuarantineEntry) -> serde_json::Value {
    json!({
        "id": entry.id,
        "state": entry.state.name(),
        "attempts": entry.attempts,
        "reason": entry.record.reason,
        "detail": entry.record.detail,
        "event_type": entry.record.event_type,
        "contract_version": entry.record.contract_version.map(|version| format!("{version:016x}")),
        "topic": &*entry.record.key.topic,
        "partition": entry.record.key.partition,
        "offset": entry.record.key.offset,
        "quarantined_at": entry.quarantined_at,
        "raw": String::from_utf8_lossy(&entry.record.raw),
    })
}

async fn show(app: &App, args: ShowArgs) -> Result<ExitCode, CliError> {
    let engine = app.engine().await?;
    let wanted = QuarantineFilter {
        ids: vec![args.id],
        include_replayed: true,
        limit: 1,
        ..QuarantineFilter::default()
    };
    let entries = engine.stores.ledger.quarantine(&wanted).await?;
    let Some(entry) = entries.first() else {
        return Err(CliError::Usage(format!("there is no quarantined record {}", args.id)));
    };
    if args.raw {
        let mut stdout = std::io::stdout().lock();
        std::io::Write::write_all(&mut stdout, &entry.record.raw).map_err(CliError::Output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let record = &entry.record;
    app.line(&app.output.style(Style::Bold, &format!("Record {}", entry.id)))?;
    let state = match entry.attempts {
        0 => entry.state.name().to_owned(),
        attempts => {
            let replays = counted(u64::from(attempts), "replay");
            format!("{}, after {replays}", entry.state.name())
        }
    };
    let field = |name: &str, text: &str| {
        app.line(&app.output.labelled(&format!("  {name:<11}  "), None, &printable(text)))
    };
    field("state", &state)?;
    field("from", &record.key.to_string())?;
    field("quarantined", &time_text(entry.quarantined_at))?;
    if let Some(event_type) = &record.event_type {
        field("event type", event_type)?;
    }
    if let Some(version) = record.contract_version {
        field("contract", &format!("version {version:016x}"))?;
    }
    field("reason", &record.reason)?;
    field("detail", &record.detail)?;
    if let Some(reason) = RejectReason::from_code(&record.reason) {
        field("what to do", reason.advice())?;
    }
    app.line(&app.output.style(Style::Bold, "\nAs it came"))?;
    app.line(&printable(&String::from_utf8_lossy(&record.raw)))?;
    app.line(&app.output.style(Style::Bold, "\nTo mend it"))?;
    app.line(&format!(
        "  questlake quarantine show {0} --raw > record.json\n  \
         questlake quarantine replay {0} --with record.json",
        entry.id
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What became of records that were taken in again.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) counts: Counts,
    /// Those that were refused again, by their numbers.
    pub(super) refused: Vec<(i64, RefusedRecord)>,
    /// The numbers of all of them.
    pub(super) ids: BTreeSet<i64>,
}

/// Takes quarantined records in again.
pub(super) struct Replayer {
    pub(super) ingester: Ingester,
    pub(super) queue_folder: PathBuf,
    pub(super) bounds: QueueBounds,
}

impl Replayer {
    /// Replays the open records of a selection, or its one record with the mended bytes.
    pub(super) async fn replay(
        &self,
        mut wanted: QuarantineFilter,
        mended: Option<&[u8]>,
    ) -> Result<Replayed, CliError> {
        let (ingester, ledger) = (self.ingester.clone(), &self.ingester.stores().ledger);
        let opening = IngestQueue::open(ingester, &self.queue_folder, REPLAY_TOPIC, self.bounds);
        let (queue, worker) = opening.await?;
        let mut replayed = Replayed::default();
        loop {
            let entries = ledger.quarantine(&wanted).await?;
            let Some(last) = entries.last() else { break };
            wanted.after_id = last.id;
            let mended = mended.map(<[u8]>::trim_ascii);
            let outcome = replay(&queue, &entries, mended).await?;
            replayed.counts.add(&outcome.counts);
            replayed.ids.extend(entries.iter().map(|entry| entry.id));
            for record in outcome.refused {
                replayed.refused.push((entries[record.index].id, record));
            }
        }
        drop(queue);
        worker.await.map_err(|error| CliError::Usage(error.to_string()))?;
        Ok(replayed)
    }
}

async fn replay_records(app: &App, args: ReplayArgs) -> Result<ExitCode, CliError> {
    let mended = match &args.with {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|source| CliError::File {
            operation: "read",
            path: path.display().to_string(),
            source,
        })?),
    };
    if mended.is_some() && args.ids.len() != 1 {
        return Err(CliError::Usage("--with mends one record: name its number".to_owned()));
    }
    let mut wanted = filter(&args.selection, REPLAY_PAGE)?;
    wanted.ids.clone_from(&args.ids);
    let engine = app.engine().await?;
    let replayer = Replayer {
        ingester: app.ingester(&engine)?,
        queue_folder: app.queue_folder(),
        bounds: app.queue_bounds(),
    };
    let replayed = replayer.replay(wanted, mended.as_deref()).await?;
    let Replayed { counts, refused: refused_ids, .. } = &replayed;
    let not_open: Vec<i64> =
        args.ids.iter().copied().filter(|id| !replayed.ids.contains(id)).collect();
    if args.format == Format::Json {
        let refused: Vec<_> = refused_ids
            .iter()
            .map(|(id, record)| {
                json!({ "id": id, "reason": record.reason.code(), "detail": record.detail })
            })
            .collect();
        app.line(&serde_json::to_string_pretty(&json!({
            "replayed": counts.consumed,
            "landed": counts.landed,
            "duplicates": counts.duplicates,
            "refused": refused,
            "not_open": not_open,
        }))?)?;
    } else if counts.consumed == 0 {
        app.line("no open records to replay")?;
    } else {
        app.line(&app.output.sentence(&format!(
            "replayed {}: {} landed, {} duplicates, {} refused again",
            counted(counts.consumed, "record"),
            thousands(counts.landed),
            thousands(counts.duplicates),
            thousands(counts.quarantined)
        )))?;
        for (id, record) in refused_ids.iter().take(20) {
            app.line(&format!("  {id}: {}: {}", record.reason.code(), printable(&record.detail)))?;
        }
    }
    if !not_open.is_empty() {
        let numbers: Vec<String> = not_open.iter().map(ToString::to_string).collect();
        app.note(&format!(
            "not open, or not there: {} (`questlake quarantine list --all` tells)",
            numbers.join(", ")
        ));
    }
    Ok(if refused_ids.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `questlake status`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use questlake_engine::checks::full_name;
use questlake_engine::pipeline::{Engine, PipelineError};
use questlake_engine::settings::KafkaSettings;
use questlake_engine::status::{Status, StoreStatus};
use questlake_ingest::sources::kafka::{PartitionLag, topic_lag};
use serde::Serialize;

use super::Format;
use super::etl::time_text;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::{bytes, counted, thousands};
use crate::terminal::table::{Cell, Column};

/// How long the status is waited for before it is asked which stores answer.
const SOON: Duration = Duration::from_secs(3);

/// How long a store is waited for if the ledger does not answer.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The state of the installation, and how far it is behind Kafka.
#[derive(Debug, Serialize)]
struct WholeStatus {
    #[serde(flatten)]
    status: Status,
    /// Absent without Kafka, and if it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka: Option<KafkaStatus>,
}

/// How far the ledger is behind the topic.
#[derive(Debug, Serialize)]
struct KafkaStatus {
    topic: String,
    /// Sum over the partitions that have a leader.
    lag: i64,
    partitions: Vec<PartitionLag>,
}

/// What is known where the ledger or the warehouse does not answer.
#[derive(Debug, Serialize)]
struct StoresAlone {
    stores: Vec<StoreStatus>,
}

pub(crate) async fn run(app: &App, args: StatusArgs) -> Result<ExitCode, CliError> {
    let engine = app.engine().await?;
    let (status, reached) = status_or_reach(app, &engine).await;
    let mut status = match status {
        Ok(status) => status,
        Err(error) => {
            let stores = match reached {
                Some(stores) => stores,
                None => reach(app, &engine).await,
            };
            let alone = StoresAlone { stores };
            match args.format {
                Format::Json => app.line(&serde_json::to_string_pretty(&alone)?)?,
                Format::Text => print_stores(app, &alone.stores, |_| String::new())?,
            }
            return Err(error.into());
        }
    };
    // A Kafka that has not answered is not waited for again.
    let silent = reached.into_iter().flatten().find(|one| one.store == "kafka" && !one.healthy);
    let kafka = match (&app.settings.kafka, silent) {
        (Some(kafka), None) => ask_kafka(kafka, &mut status).await,
        (_, silent) => {
            status.stores.extend(silent);
            None
        }
    };
    let whole = WholeStatus { status, kafka };
    match args.format {
        Format::Json => app.line(&serde_json::to_string_pretty(&whole)?)?,
        Format::Text => print(app, &whole)?,
    }
    Ok(if whole.status.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The status, and which stores answer: they are asked while it is waited for, if it does not come
/// soon.
async fn status_or_reach(
    app: &App,
    engine: &Engine,
) -> (Result<Status, PipelineError>, Option<Vec<StoreStatus>>) {
    let mut status = engine.status();
    match tokio::time::timeout(SOON, &mut status).await {
        Ok(status) => (status, None),
        Err(_) => {
            let (status, stores) = tokio::join!(status, reach(app, engine));
            (status, Some(stores))
        }
    }
}

/// Which stores answer, and whether Kafka does.
async fn reach(app: &App, engine: &Engine) -> Vec<StoreStatus> {
    let kafka = async {
        let kafka = app.settings.kafka.as_ref()?;
        let asked = topic_lag(kafka, &[]);
        Some(StoreStatus::asked("kafka", kafka.name(), STORE_PATIENCE, asked).await)
    };
    let (mut stores, kafka) = tokio::join!(engine.reach(STORE_PATIENCE), kafka);
    stores.extend(kafka);
    stores
}

/// The lag. That Kafka does not answer is part of the status.
async fn ask_kafka(kafka: &KafkaSettings, status: &mut Status) -> Option<KafkaStatus> {
    let positions: Vec<(i32, i64)> = status
        .partitions
        .iter()
        .filter(|partition| partition.topic == kafka.topic)
        .map(|partition| (partition.partition, partition.next_offset))
        .collect();
    let asked = topic_lag(kafka, &positions).await;
    let fault = match &asked {
        Ok(partitions) => leaderless(&kafka.topic, partitions),
        Err(error) => Some(error.to_string()),
    };
    status.stores.push(StoreStatus::new("kafka", kafka.name(), fault));
    let partitions = asked.ok()?;
    let lag = partitions.iter().filter_map(|partition| partition.lag).sum();
    Some(KafkaStatus { topic: kafka.topic.clone(), lag, partitions })
}

/// What is said of partitions of which nothing can be read.
pub(super) fn leaderless(topic: &str, partitions: &[PartitionLag]) -> Option<String> {
    let names: Vec<String> = partitions
        .iter()
        .filter(|partition| !partition.is_led())
        .map(|partition| format!("{topic}/{}", partition.partition))
        .collect();
    let verb = if names.len() == 1 { "has" } else { "have" };
    (!names.is_empty()).then(|| {
        format!("{} {verb} no leader: start the brokers that hold copies", names.join(", "))
    })
}

fn print(app: &App, whole: &WholeStatus) -> Result<(), CliError> {
    let status = &whole.status;
    print_accounting(app, status)?;
    print_gaps(app, status)?;
    if let Some(kafka) = &whole.kafka {
        print_lag(app, kafka)?;
    }
    print_models(app, status)?;
    print_checks(app, status)?;
    print_quarantine(app, status)?;
    app.line("")?;
    print_stores(app, &status.stores, |store| holds(whole, store))
}

/// Records that a topic has lost before they were read.
fn print_gaps(app: &App, status: &Status) -> Result<(), CliError> {
    if status.gaps.is_empty() {
        return Ok(());
    }
    app.line(&app.output.style(Style::Bold, "\nGaps"))?;
    let columns = [
        Column::text("partition"),
        Column::number("from"),
        Column::number("to"),
        Column::text("what was found"),
        Column::word("found"),
        Column::text("state"),
    ];
    let rows: Vec<Vec<Cell>> = status
        .gaps
        .iter()
        .map(|gap| {
            let state = match gap.accepted_at {
                Some(time) => Cell::from(format!("given up for lost {}", time_text(time))),
                None if gap.open => Cell::styled(Style::Bad, "stopped"),
                None => Cell::from("over".to_owned()),
            };
            vec![
                format!("{}/{}", gap.topic, gap.partition).into(),
                thousands(gap.from_offset.unsigned_abs()).into(),
                thousands(gap.to_offset.unsigned_abs()).into(),
                format!("{}: {}", gap.reason, gap.detail).into(),
                time_text(gap.found_at).into(),
                state,
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))
}

/// How far each partition is behind the topic.
fn print_lag(app: &App, kafka: &KafkaStatus) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "\nKafka"))?;
    let columns = [
        Column::text("partition"),
        Column::number("next offset"),
        Column::number("high watermark"),
        Column::number("lag"),
    ];
    let mut rows: Vec<Vec<String>> = kafka
        .partitions
        .iter()
        .map(|partition| {
            vec![
                format!("{}/{}", kafka.topic, partition.partition),
                partition
                    .next_offset
                    .map(|offset| thousands(offset.unsigned_abs()))
                    .unwrap_or_default(),
                partition.high_watermark.map_or_else(
                    || "no leader".to_owned(),
                    |offset| thousands(offset.unsigned_abs()),
                ),
                partition.lag.map(|lag| thousands(lag.unsigned_abs())).unwrap_or_default(),
            ]
        })
        .collect();
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        String::new(),
        thousands(kafka.lag.unsigned_abs()),
    ]);
    app.line(&app.output.table(&columns, &rows))
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
                    waiting("its SQL has changed; the next run rebuilds it".to_owned())
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

/// Checks that have found something.
fn print_checks(app: &App, status: &Status) -> Result<(), CliError> {
    if status.checks.is_empty() {
        return Ok(());
    }
    app.line(&app.output.style(Style::Bold, "\nChecks"))?;
    let columns = [
        Column::text("check"),
        Column::word("result"),
        Column::number("rows"),
        Column::text("what is wrong"),
    ];
    let rows: Vec<Vec<Cell>> = status
        .checks
        .iter()
        .map(|check| {
            let result = match (check.status.as_str(), check.severity.as_str()) {
                ("broken", _) => Cell::styled(Style::Bad, "broken"),
                (_, "warn") => Cell::styled(Style::Warning, "warning"),
                _ => Cell::styled(Style::Bad, "failed"),
            };
            let rows = if check.rows > 0 { thousands(check.rows) } else { String::new() };
            vec![
                full_name(check.model.as_deref(), &check.name).into(),
                result,
                rows.into(),
                check.reason.clone().unwrap_or_default().into(),
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

/// A line for each store; `holds` says what is in it.
fn print_stores(
    app: &App,
    stores: &[StoreStatus],
    holds: impl Fn(&StoreStatus) -> String,
) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "Stores"))?;
    let held: Vec<String> = stores.iter().map(holds).collect();
    let is_known = held.iter().any(|held| !held.is_empty());
    let mut columns = vec![Column::text("store"), Column::text("state")];
    columns.extend(is_known.then(|| Column::text("holds")));
    let rows: Vec<Vec<Cell>> = stores
        .iter()
        .zip(held)
        .map(|(store, held)| {
            let state = match &store.detail {
                None => Cell::styled(Style::Good, "answers"),
                Some(detail) => Cell::styled(Style::Bad, detail),
            };
            let mut row = vec![store.name.clone().into(), state];
            row.extend(is_known.then(|| held.into()));
            row
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))
}

/// What is in a store.
fn holds(whole: &WholeStatus, store: &StoreStatus) -> String {
    let status = &whole.status;
    let landing = &status.landing;
    match store.store {
        "hot" => status.hot.events.map(|events| counted(events, "event")).unwrap_or_default(),
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
        "ledger" => format!("commit {}", thousands(landing.latest_sequence.unsigned_abs())),
        "kafka" => whole.kafka.as_ref().map_or_else(String::new, |kafka| {
            format!("{} behind", counted(kafka.lag.unsigned_abs(), "record"))
        }),
        _ => counted(status.models.len() as u64, "model"),
    }
}

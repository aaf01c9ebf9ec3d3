//! The live part of the demo: events go on coming in, and the star schema is kept up to date.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use questlake_engine::clock::now_millis;
use questlake_engine::pipeline::Engine;
use questlake_engine::pipeline::plan::RunOptions;
use questlake_ingest::decode::split_lines;
use questlake_ingest::simulate::{LiveSimulator, SimulationOptions};
use questlake_ingest::sources::intake::Intake;
use questlake_ingest::sources::kafka::{TopicProgress, ingest_topic};
use questlake_ingest::sources::queue::Submission;
use tokio::task::JoinHandle;
use tracing::error;

use crate::app::App;
use crate::commands::ingest::topic_options;
use crate::commands::serve::Server;
use crate::error::CliError;
use crate::stop::Stop;

/// Players of the live part: they give some ten events a second.
const LIVE_PLAYERS: u32 = 100_000;

/// How often live events are handed over, and the star schema is brought up to date.
const LIVE_EVERY: Duration = Duration::from_secs(1);
const RUN_EVERY: Duration = Duration::from_secs(10);

/// Longest wait for what was read of Kafka to be committed at the end.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// Goes on with live events, brings the star schema up to date, and serves.
pub(super) async fn go_live(app: &App, engine: &Engine) -> Result<(), CliError> {
    // The models are brought up to date by this process. What the system says that it holds is more
    // than what operators reserve.
    let models = app.settings.engine.memory_limit.as_usize() * 2;
    let server = app.stop.interrupts(Server::start(app, engine, models)).await?;
    app.line("live events come in now; Ctrl-C ends")?;
    let feeding = tokio::spawn(feed(server.intake.clone(), app.stop.clone()));
    let running = tokio::spawn(keep_current(engine.clone(), app.stop.clone()));
    let reading = read_topic(app, engine)?;
    server.stopped().await?;
    feeding.abort();
    running.abort();
    if let Some(reader) = reading {
        reader.progress.stop.store(true, Ordering::Relaxed);
        // What is not committed by then is read again by whoever comes next.
        let _ = tokio::time::timeout(DRAIN_TIME, reader.task).await;
    }
    Ok(())
}

/// A topic that is read beside the server.
struct TopicReader {
    progress: Arc<TopicProgress>,
    task: JoinHandle<()>,
}

/// With Kafka, the server hands its events to the topic, and they are taken in from there.
fn read_topic(app: &App, engine: &Engine) -> Result<Option<TopicReader>, CliError> {
    let Some(kafka) = app.settings.kafka.clone() else {
        return Ok(None);
    };
    let ingester = app.ingester(engine)?;
    let options = topic_options(app, false);
    let progress = Arc::new(TopicProgress::default());
    let shared = Arc::clone(&progress);
    let task = tokio::spawn(async move {
        if let Err(failure) = ingest_topic(&ingester, &kafka, options, shared).await {
            error!("live events are no longer taken in: {failure}");
        }
    });
    Ok(Some(TopicReader { progress, task }))
}

async fn feed(intake: Intake, stop: Stop) {
    let options = SimulationOptions::new().map(|mut options| {
        options.players = LIVE_PLAYERS;
        options
    });
    let mut simulator = match options.and_then(|options| LiveSimulator::new(options, now_millis()))
    {
        Ok(simulator) => simulator,
        Err(failure) => {
            error!("no live events: {failure}");
            return;
        }
    };
    let mut ticks = tokio::time::interval(LIVE_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.told() => return,
        }
        let mut lines = Vec::new();
        simulator.next_events(now_millis(), &mut lines);
        let records: Vec<(u32, u32)> =
            split_lines(&lines, 0, 0).iter().map(|span| (span.start, span.length)).collect();
        if records.is_empty() {
            continue;
        }
        let submission = Submission { data: Bytes::from(lines), records, origins: Vec::new() };
        if let Err(failure) = intake.submit_waiting(submission).await {
            error!("live events were not taken: {failure}");
        }
    }
}

async fn keep_current(engine: Engine, stop: Stop) {
    let mut ticks = tokio::time::interval(RUN_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.told() => return,
        }
        if let Err(failure) = engine.run(&RunOptions::default(), None).await {
            error!("the star schema could not be brought up to date: {failure}");
        }
    }
}

//! One membership in the group: a thread that reads, and the tasks that take its batches in.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use super::flow::Flow;
use super::gather::Gather;
use super::group::begin::BEGIN_TIME;
use super::group::{Group, GroupParts};
use super::reader::{ReaderParts, read};
use super::reading::Reading;
use super::watch::{Pulse, StallWatch};
use super::{TopicProgress, TopicSource};
use crate::batch::stream::ingest_stream;
use crate::error::IngestError;

/// Batches that wait between the thread and the first step.
const QUEUED_BATCHES: usize = 1;

/// Longest wait for the batches under way after a stop, and for the thread to end.
const STOP_TIME: Duration = Duration::from_secs(25);

/// How often it is looked whether it was told to stop.
const STOP_LOOK: Duration = Duration::from_millis(200);

/// Joins the group and takes in what comes, until it is told to stop.
///
/// # Errors
/// The first failure of a step or of the thread. What is committed stays, and the partitions have
/// been left to the others.
pub(super) async fn run_session(
    source: &TopicSource,
    stalls: &Arc<Mutex<StallWatch>>,
) -> Result<(), IngestError> {
    let flow = Arc::new(Flow::default());
    let pulse = Arc::new(Pulse::default());
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let gather =
        Gather::new(&source.settings.topic, source.options.bounds, source.options.batch_wait);
    let group = Group::new(GroupParts {
        settings: source.settings.clone(),
        ledger: Arc::clone(&source.ingester.stores().ledger),
        runtime: Handle::current(),
        flow: Arc::clone(&flow),
        pulse: Arc::clone(&pulse),
        accept_gaps: source.options.accept_gaps,
        topic_changed: Arc::clone(&source.topic_changed),
        reading: Reading::new(gather, sender),
    });
    let parts = ReaderParts {
        group,
        options: source.options.clone(),
        progress: Arc::clone(&source.progress),
        stalls: Arc::clone(stalls),
    };
    let (end, ended) = oneshot::channel();
    thread::Builder::new()
        .name("kafka reader".to_owned())
        .spawn(move || {
            // Nobody waits any more if it took too long.
            let _ = end.send(read(parts));
        })
        .map_err(|error| IngestError::Aborted {
            step: "starting the reader of Kafka",
            reason: error.to_string(),
        })?;
    let observe = |outcome: &crate::batch::BatchOutcome| {
        flow.commit();
        source.progress.add(&outcome.counts);
    };
    let taken_in = tokio::select! {
        result = ingest_stream(&source.ingester, receiver, observe) => result,
        () = pulse.stands_still() => Err(stuck(source)),
        () = stop_is_overdue(&source.progress) => {
            warn!("the batches under way take too long; they will be read again");
            Ok(())
        }
    };
    flow.end();
    let read = match timeout(patience(source), ended).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(IngestError::Aborted {
            step: "reading Kafka",
            reason: "its thread ended without a result".to_owned(),
        }),
        Err(_) => Err(stuck(source)),
    };
    taken_in.and(read)
}

/// How long the thread may take to end. Nobody waits for long when the program is to stop; else it may
/// have partitions to begin with, or wait until the group's coordinator is back.
fn patience(source: &TopicSource) -> Duration {
    match source.progress.stop.load(Ordering::Relaxed) {
        true => STOP_TIME,
        false => source.settings.session_timeout.max(BEGIN_TIME) + STOP_TIME,
    }
}

/// Returns some time after it was told to stop.
async fn stop_is_overdue(progress: &TopicProgress) {
    while !progress.stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_LOOK).await;
    }
    tokio::time::sleep(STOP_TIME).await;
}

/// The thread cannot be ended, and holds on to its partitions: the process has to end.
fn stuck(source: &TopicSource) -> IngestError {
    IngestError::Aborted {
        step: "reading Kafka",
        reason: format!(
            "the client of {} has not come back for a long time; start the command again: it goes \
             on from where it was",
            source.settings.name()
        ),
    }
}

//! Where events go that are sent to this process: into the embedded queue, or to Kafka.

use futures::future::BoxFuture;

use super::kafka::KafkaSink;
use super::queue::{IngestQueue, Submission, SubmissionOutcome, SubmitError};

/// Takes events that cannot be asked for again. Cheap to clone.
#[derive(Clone)]
pub enum Intake {
    /// They are taken in by this process.
    Queue(IngestQueue),
    /// They are taken in by whoever reads the topic.
    Kafka(KafkaSink),
}

/// What became of events that are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// They are committed.
    Landed(SubmissionOutcome),
    /// So many records were acknowledged by Kafka.
    Delivered(u64),
}

impl Intake {
    /// Hands records over and waits until they are durable. Fails at once if too many wait.
    pub fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Taken, SubmitError>> {
        Box::pin(async move {
            match self {
                Self::Queue(queue) => queue.submit(submission).await.map(Taken::Landed),
                Self::Kafka(sink) => sink.submit(submission).await.map(Taken::Delivered),
            }
        })
    }

    /// Hands records over, waiting for room first.
    pub fn submit_waiting(
        &self,
        submission: Submission,
    ) -> BoxFuture<'_, Result<Taken, SubmitError>> {
        Box::pin(async move {
            match self {
                Self::Queue(queue) => queue.submit_waiting(submission).await.map(Taken::Landed),
                Self::Kafka(sink) => sink.submit_waiting(submission).await.map(Taken::Delivered),
            }
        })
    }
}

//! An answer that is being made: its parts as they come.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tracing::{Instrument, info_span};

use super::{Answers, LARGEST_KEPT, count};
use crate::problem::Problem;

/// Parts that may wait for the one who sends them on.
const QUEUED_PARTS: usize = 4;

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Bytes(Bytes),
    /// The last part: as it is for the one who has caused the computation, and for all others.
    End {
        first: Bytes,
        again: Bytes,
    },
}

/// Takes the parts of an answer.
#[derive(Debug)]
pub(crate) struct Parts(mpsc::Sender<Part>);

impl Parts {
    /// Hands a part on. Returns whether somebody still wants the answer.
    pub(crate) async fn send(&self, part: Part) -> bool {
        self.0.send(part).await.is_ok()
    }
}

/// An answer that is being made.
pub(super) struct Computation {
    parts: mpsc::Receiver<Part>,
    work: JoinHandle<Result<(), Problem>>,
    turn: Turn,
}

/// The turn of a computation, while it has one.
type Turn = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

fn set_turn(turn: &Turn, permit: Option<OwnedSemaphorePermit>) {
    *turn.lock().unwrap_or_else(PoisonError::into_inner) = permit;
}

/// What was collected of it.
pub(super) enum Collected {
    /// All.
    Whole { body: BytesMut, first: Bytes, again: Bytes },
    /// So much that it is not kept.
    Part(BytesMut),
}

impl Computation {
    pub(super) fn start<Work>(
        answers: &Arc<Answers>,
        compute: impl FnOnce(Parts) -> Work + Send + 'static,
    ) -> Self
    where
        Work: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let (sender, parts) = mpsc::channel(QUEUED_PARTS);
        let answers = Arc::clone(answers);
        let turn = Turn::default();
        let own_turn = Arc::clone(&turn);
        let computing = async move {
            // Never closed.
            set_turn(&own_turn, Arc::clone(&answers.turns).acquire_owned().await.ok());
            count(&answers.counters.computed);
            let result = compute(Parts(sender)).await;
            set_turn(&own_turn, None);
            result
        };
        let work = tokio::spawn(computing.instrument(info_span!(target: "span", "compute")));
        Self { parts, work, turn }
    }

    /// Collects parts until the answer is whole or too large to be kept.
    pub(super) async fn collect(&mut self) -> Result<Collected, Problem> {
        let mut body = BytesMut::new();
        while let Some(part) = self.parts.recv().await {
            match part {
                Part::Bytes(bytes) => body.extend_from_slice(&bytes),
                Part::End { first, again } => {
                    return Ok(Collected::Whole { body, first, again });
                }
            }
            if body.len() > LARGEST_KEPT {
                return Ok(Collected::Part(body));
            }
        }
        Err(self.failure().await)
    }

    /// Why there was no end.
    async fn failure(&mut self) -> Problem {
        match (&mut self.work).await {
            Ok(Err(problem)) => problem,
            Ok(Ok(())) => Problem::unavailable("the computation ended too early"),
            Err(error) => Problem::internal(&error),
        }
    }

    /// The rest of the answer as it comes. What fails then breaks the connection: a part must not pass
    /// for the whole.
    pub(super) fn stream(self, begun: BytesMut) -> Body {
        // From here on its caller's pace is its own, which nobody else waits for.
        set_turn(&self.turn, None);
        let rest = stream::unfold(Some(self), |computation| async move {
            let mut computation = computation?;
            match computation.parts.recv().await {
                Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(computation))),
                Some(Part::End { first, .. }) => Some((Ok(first), None)),
                None => {
                    let problem = computation.failure().await;
                    tracing::warn!("an answer was broken off: {}", problem.detail);
                    Some((Err(std::io::Error::other(problem.detail)), None))
                }
            }
        });
        let begun = stream::once(async move { Ok::<_, std::io::Error>(begun.freeze()) });
        Body::from_stream(futures::StreamExt::chain(begun, rest))
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        // What nobody takes is not computed; what has ended does not mind.
        self.work.abort();
        set_turn(&self.turn, None);
    }
}

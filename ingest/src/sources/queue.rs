//! The embedded queue: what stands between senders that cannot be asked again (HTTP clients,
//! standard input, a replay) and the batches.
//!
//! Delivery semantics: a submission is answered when its records are committed in the ledger.
//! Before that they are on disk ([`spool`](super::spool)) under physical keys of their own, so that
//! after a crash they land exactly once even if the sender never comes back; if it does, they are
//! duplicates. Submissions that wait while a batch is under way become the next batch together.

mod slots;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use questlake_engine::failpoint;
use questlake_engine::stores::ledger::{Claim, Counts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{error, info};

use self::slots::{MAX_SLOTS, claim_partition, lock_slot, slot_folder, take_slot};
use super::spool::{Spool, SpooledRecords};
use crate::batch::{Batch, BatchOutcome, Ingester, PartitionAdvance, ReplayOrigin};
use crate::decode::{RawRecords, RecordSpan, RejectReason};
use crate::error::IngestError;

/// Bytes that one permit of the queue's budget stands for.
const BYTES_PER_PERMIT: usize = 1024;

/// Bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueBounds {
    /// Bytes that may wait.
    pub queue_bytes: usize,
    /// Most records in one batch.
    pub batch_records: usize,
    /// Most bytes in one batch.
    pub batch_bytes: usize,
}

/// Records of one sender.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// The bytes that the records lie in.
    pub data: Bytes,
    /// Start and length of each record.
    pub records: Vec<(u32, u32)>,
    /// For replays, each record's origin; else empty.
    pub origins: Vec<ReplayOrigin>,
}

/// A record of a submission that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its index in the submission.
    pub index: usize,
    /// Why.
    pub reason: RejectReason,
    /// What is wrong, for a person.
    pub detail: String,
}

/// What became of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmissionOutcome {
    /// Totals.
    pub counts: Counts,
    /// The records that went to quarantine.
    pub refused: Vec<RefusedRecord>,
}

/// Why a submission was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full.
    #[error("the queue is full; try again in a moment")]
    Full,
    /// A single submission is larger than the whole queue.
    #[error("the submission is larger than the queue ({limit} bytes); send less at a time")]
    TooLarge {
        /// The queue's size in bytes.
        limit: usize,
    },
    /// A record is larger than what Kafka takes.
    #[error("record {index} is larger than {limit} bytes; leave it out and send the others again")]
    RecordTooLarge {
        /// Its index in the submission, from 0.
        index: usize,
        /// Largest record in bytes.
        limit: usize,
    },
    /// It could not be taken in now. Its records may be on disk and land later; sending them again
    /// is safe.
    #[error("the events could not be made durable: {0}; sending them again is safe")]
    Failed(Arc<IngestError>),
    /// The queue has been closed.
    #[error("the collector is stopping")]
    Closed,
}

struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Result<SubmissionOutcome, SubmitError>>,
    _permit: OwnedSemaphorePermit,
}

/// The sending side of a queue. The queue ends when every clone is dropped.
#[derive(Clone)]
pub struct IngestQueue {
    sender: mpsc::Sender<Waiting>,
    budget: Arc<Semaphore>,
    bounds: QueueBounds,
}

impl IngestQueue {
    /// Opens the queue `topic` in `folder`, takes in what an ended process has left in it, and
    /// returns it with the task that works on it.
    pub fn open<'a>(
        ingester: Ingester,
        folder: &'a Path,
        topic: &'a str,
        bounds: QueueBounds,
    ) -> BoxFuture<'a, Result<(Self, tokio::task::JoinHandle<()>), IngestError>> {
        Box::pin(async move {
            let folder = folder.join(topic);
            let (slot, lock) = take_slot(&folder)?;
            let mut worker =
                Worker::in_slot(ingester.clone(), &folder, topic, slot, lock, bounds).await?;
            worker.drain().await?;
            drain_abandoned(&ingester, &folder, topic, bounds).await?;
            let (sender, receiver) = mpsc::channel(1024);
            let permits = bounds.queue_bytes.div_ceil(BYTES_PER_PERMIT).min(Semaphore::MAX_PERMITS);
            let queue = Self { sender, budget: Arc::new(Semaphore::new(permits)), bounds };
            let task = tokio::spawn(worker.work(receiver));
            Ok((queue, task))
        })
    }

    /// Hands records over and waits until they are committed. Fails at once if the queue is full.
    pub async fn submit(&self, submission: Submission) -> Result<SubmissionOutcome, SubmitError> {
        let permit = self.reserve(&submission)?;
        let permit = Arc::clone(&self.budget)
            .try_acquire_many_owned(permit)
            .map_err(|_| SubmitError::Full)?;
        self.hand_over(submission, permit).await
    }

    /// Hands records over, waiting for room first.
    pub async fn submit_waiting(
        &self,
        submission: Submission,
    ) -> Result<SubmissionOutcome, SubmitError> {
        let permit = self.reserve(&submission)?;
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(permit)
            .await
            .map_err(|_| SubmitError::Closed)?;
        self.hand_over(submission, permit).await
    }

    fn reserve(&self, submission: &Submission) -> Result<u32, SubmitError> {
        let limit = self.bounds.queue_bytes;
        let permits = submission.data.len().div_ceil(BYTES_PER_PERMIT).max(1);
        if submission.data.len() > limit {
            return Err(SubmitError::TooLarge { limit });
        }
        u32::try_from(permits).map_err(|_| SubmitError::TooLarge { limit })
    }

    async fn hand_over(
        &self,
        submission: Submission,
        permit: OwnedSemaphorePermit,
    ) -> Result<SubmissionOutcome, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { submission, answer, _permit: permit };
        self.sender.send(waiting).await.map_err(|_| SubmitError::Closed)?;
        answered.await.map_err(|_| SubmitError::Closed)?
    }
}

/// The one task that takes queued records in.
struct Worker {
    ingester: Ingester,
    spool: Spool,
    claim: Claim,
    bounds: QueueBounds,
    /// Number behind the last record on disk.
    next_number: i64,
    /// Held as long as the slot is ours.
    _slot: File,
}

impl Worker {
    /// The worker of the slot whose lock is `lock`.
    async fn in_slot(
        ingester: Ingester,
        folder: &Path,
        topic: &str,
        slot: i32,
        lock: File,
        bounds: QueueBounds,
    ) -> Result<Self, IngestError> {
        let spool = Spool::open(&slot_folder(folder, slot))?;
        let ledger = Arc::clone(&ingester.stores().ledger);
        let claim = claim_partition(&*ledger, topic, folder, slot).await?;
        let next_number = claim.next_offset;
        Ok(Self { ingester, spool, claim, bounds, next_number, _slot: lock })
    }

    /// Takes in everything that is on disk.
    async fn drain(&mut self) -> Result<(), IngestError> {
        let (topic, partition) = (Arc::clone(&self.claim.topic), self.claim.partition);
        self.claim = self.ingester.stores().ledger.claim(&topic, partition).await?;
        self.next_number = self.claim.next_offset;
        for first in self.spool.list()? {
            if first < self.claim.next_offset {
                // Committed, but the process ended before the file was removed: nobody else moves
                // the partition of this folder.
                self.spool.remove(first)?;
                continue;
            }
            if first > self.claim.next_offset {
                return Err(IngestError::DamagedQueue {
                    path: PathBuf::from(format!("{topic}/{partition}")),
                    reason: format!(
                        "records {} to {} are missing from the queue",
                        self.claim.next_offset,
                        first - 1
                    ),
                });
            }
            let records = self.spool.read(first)?;
            let count = records.lengths.len();
            self.next_number = first + count as i64;
            let outcome = self.take_in(first, records).await?;
            info!(
                topic = &*topic,
                records = count,
                landed = outcome.counts.landed,
                "took in {count} records that an ended process had left in the queue {topic}"
            );
        }
        Ok(())
    }

    async fn work(mut self, mut receiver: mpsc::Receiver<Waiting>) {
        let mut in_doubt = false;
        while let Some(first) = receiver.recv().await {
            let batch = self.gather(first, &mut receiver);
            if in_doubt && let Err(failure) = self.drain().await {
                answer_failed(batch, failure);
                continue;
            }
            in_doubt = false;
            let records = join_submissions(&batch);
            match self.queue_and_take_in(records).await {
                Ok(outcome) => answer_all(batch, &outcome),
                Err(failure) => {
                    error!(
                        topic = &*self.claim.topic,
                        "queued events could not be taken in: {failure}"
                    );
                    in_doubt = true;
                    answer_failed(batch, failure);
                }
            }
        }
    }

    /// The submission and those that wait behind it, up to a batch.
    fn gather(&self, first: Waiting, receiver: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
        let mut records = first.submission.records.len();
        let mut bytes = first.submission.data.len();
        let mut batch = vec![first];
        while records < self.bounds.batch_records && bytes < self.bounds.batch_bytes {
            let Ok(next) = receiver.try_recv() else { break };
            records += next.submission.records.len();
            bytes += next.submission.data.len();
            batch.push(next);
        }
        batch
    }

    async fn queue_and_take_in(
        &mut self,
        records: SpooledRecords,
    ) -> Result<BatchOutcome, IngestError> {
        if records.lengths.is_empty() {
            return Ok(BatchOutcome::default());
        }
        let first = self.next_number;
        let spool = self.spool.clone();
        let records = tokio::task::spawn_blocking(move || {
            spool.write(first, &records)?;
            Ok::<_, IngestError>(records)
        })
        .await
        .map_err(|error| crate::batch::aborted("queueing", &error))??;
        self.next_number += records.lengths.len() as i64;
        failpoint::pass("spool.after_write")?;
        self.take_in(first, records).await
    }

    async fn take_in(
        &mut self,
        first: i64,
        records: SpooledRecords,
    ) -> Result<BatchOutcome, IngestError> {
        let mut spans = Vec::with_capacity(records.lengths.len());
        let mut start = 0;
        for (index, length) in records.lengths.iter().enumerate() {
            spans.push(RecordSpan {
                start,
                length: *length,
                partition: self.claim.partition,
                offset: first + index as i64,
            });
            start += length;
        }
        let next_offset = first + spans.len() as i64;
        let batch = Batch {
            records: RawRecords {
                topic: Arc::clone(&self.claim.topic),
                data: Bytes::from(records.data),
                records: spans,
            },
            advances: vec![PartitionAdvance {
                claim: self.claim.clone(),
                next_offset,
                content: None,
            }],
            origins: records.origins,
        };
        let outcome = self.ingester.ingest(batch).await?;
        self.claim.next_offset = next_offset;
        self.spool.remove(first)?;
        Ok(outcome)
    }
}

/// Takes in what ended processes have left in slots that nobody holds: where several processes had
/// the queue open, fewer of them may come back.
async fn drain_abandoned(
    ingester: &Ingester,
    folder: &Path,
    topic: &str,
    bounds: QueueBounds,
) -> Result<(), IngestError> {
    for slot in 0..MAX_SLOTS {
        if !slot_folder(folder, slot).is_dir() {
            continue;
        }
        let Some(lock) = lock_slot(folder, slot)? else { continue };
        if Spool::open(&slot_folder(folder, slot))?.list()?.is_empty() {
            continue;
        }
        let mut worker =
            Worker::in_slot(ingester.clone(), folder, topic, slot, lock, bounds).await?;
        worker.drain().await?;
    }
    Ok(())
}

fn join_submissions(batch: &[Waiting]) -> SpooledRecords {
    let mut joined = SpooledRecords::default();
    for waiting in batch {
        let submission = &waiting.submission;
        for (start, length) in &submission.records {
            let start = *start as usize;
            joined.data.extend_from_slice(&submission.data[start..start + *length as usize]);
            joined.lengths.push(*length);
        }
        joined.origins.extend(submission.origins.iter().cloned());
    }
    joined
}

/// Gives each sender its part of the outcome.
fn answer_all(batch: Vec<Waiting>, outcome: &BatchOutcome) {
    let mut first = 0;
    for waiting in batch {
        let count = waiting.submission.records.len();
        let range = first..first + count;
        first += count;
        let refused: Vec<RefusedRecord> = outcome
            .rejected
            .iter()
            .filter(|rejection| range.contains(&(rejection.record as usize)))
            .map(|rejection| RefusedRecord {
                index: rejection.record as usize - range.start,
                reason: rejection.reason,
                detail: rejection.detail.clone(),
            })
            .collect();
        let duplicates =
            outcome.duplicates.iter().filter(|record| range.contains(&(**record as usize))).count()
                as u64;
        let quarantined = refused.len() as u64;
        let consumed = count as u64;
        let counts = Counts {
            consumed,
            landed: consumed - duplicates - quarantined,
            duplicates,
            quarantined,
        };
        // A sender that has gone away needs no answer.
        let _ = waiting.answer.send(Ok(SubmissionOutcome { counts, refused }));
    }
}

fn answer_failed(batch: Vec<Waiting>, failure: IngestError) {
    let failure = Arc::new(failure);
    for waiting in batch {
        let _ = waiting.answer.send(Err(SubmitError::Failed(Arc::clone(&failure))));
    }
}

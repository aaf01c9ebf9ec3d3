//! Files of newline-delimited JSON, plain or gzip. The offset of a record is the position of its
//! first byte in the (unpacked) content.

mod batches;
mod open;

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use questlake_engine::stores::ledger::{Claim, Counts};
use tokio::sync::mpsc;
use tracing::warn;

use self::batches::{Filled, batch_end, fill, pass_line, unfinished_line};
use self::open::open;
use super::content::{ContentHash, identify};
use crate::batch::stream::ingest_stream;
use crate::batch::{Batch, Ingester, PartitionAdvance};
use crate::decode::{RawRecords, split_lines};
use crate::error::IngestError;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Times that a file taken over by another process is claimed without a commit in between.
const MAX_CLAIMS: u32 = 5;

/// Bounds of a micro-batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchBounds {
    /// Most records.
    pub records: usize,
    /// Most bytes.
    pub bytes: usize,
}

/// How far the files have been read, for a progress bar and for stopping; shared.
#[derive(Debug, Default)]
pub struct FileProgress {
    /// Bytes of the file as it lies on disk whose records are committed.
    pub bytes_committed: AtomicU64,
    /// Records that are committed.
    pub records: AtomicU64,
    /// Set to end after the batches under way.
    pub stop: AtomicBool,
    /// Bytes of the file as it lies on disk that have been read.
    bytes_read: AtomicU64,
    /// For each batch under way, the bytes that had been read when it was complete.
    under_way: Mutex<VecDeque<u64>>,
}

impl FileProgress {
    fn batch_is_read(&self) {
        let bytes = self.bytes_read.load(Ordering::Relaxed);
        self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push_back(bytes);
    }

    /// The batches under way were dropped; they are read again.
    fn starts_anew(&self) {
        self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        self.bytes_read.store(0, Ordering::Relaxed);
    }

    fn batch_is_committed(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        let mut under_way = self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bytes) = under_way.pop_front() {
            self.bytes_committed.store(bytes, Ordering::Relaxed);
        }
    }
}

/// What was read of one file.
#[derive(Debug, Clone, Default)]
pub struct FileOutcome {
    /// Its topic in the ledger.
    pub topic: String,
    /// Bytes of its content that had been taken in before.
    pub skipped_bytes: u64,
    /// What became of the records read now.
    pub counts: Counts,
    /// Whether reading was stopped before the end.
    pub stopped: bool,
    /// Bytes of a last line that is still being written: it is taken in when it has its line feed.
    pub unfinished_bytes: u64,
}

/// Takes in one file, from where its content was read to.
pub fn ingest_file<'a>(
    ingester: &'a Ingester,
    path: &'a Path,
    bounds: BatchBounds,
    progress: Arc<FileProgress>,
) -> BoxFuture<'a, Result<FileOutcome, IngestError>> {
    Box::pin(async move {
        let mut outcome = FileOutcome::default();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let start = start_file(ingester, path).await?;
            progress.starts_anew();
            if outcome.topic.is_empty() {
                outcome.topic = start.claim.topic.to_string();
                outcome.skipped_bytes = start.position;
            }
            let (topic, partition) = (start.claim.topic.to_string(), start.claim.partition);
            let (sender, receiver) = mpsc::channel(1);
            let reading = {
                let (path, progress) = (path.to_path_buf(), Arc::clone(&progress));
                tokio::task::spawn_blocking(move || {
                    read_file(&path, start, bounds, &progress, &sender)
                })
            };
            let counts = &mut outcome.counts;
            let mut has_moved = false;
            let result = ingest_stream(ingester, receiver, |batch| {
                has_moved = true;
                counts.add(&batch.counts);
                progress.batch_is_committed(batch.counts.consumed);
            })
            .await;
            let read =
                reading.await.map_err(|error| crate::batch::aborted("reading a file", &error))?;
            match result {
                Err(error) if error.is_fenced() => {
                    // Processes that take turns all get on; one that never commits is stuck.
                    if has_moved {
                        attempt = 1;
                    }
                    if attempt >= MAX_CLAIMS {
                        return Err(IngestError::Contended { topic, partition });
                    }
                    warn!(
                        topic,
                        attempt, "{topic} was taken over by another process; claiming it again"
                    );
                    tokio::time::sleep(pause_before_claim(attempt)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    outcome.stopped = read == ReadEnd::Stopped;
                    if let ReadEnd::EndOfFile { unfinished } = read {
                        outcome.unfinished_bytes = unfinished as u64;
                    }
                    return Ok(outcome);
                }
            }
        }
    })
}

/// Pause before a partition is claimed again: between half of 50 ms a time and all of it, so that
/// two processes that have fenced each other do not do it again in step.
fn pause_before_claim(attempt: u32) -> Duration {
    let longest = Duration::from_millis(50) * attempt;
    // Without random numbers the pause is as good as it was.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// Where reading begins.
struct FileStart {
    claim: Claim,
    position: u64,
    hash: ContentHash,
    longest_line: usize,
}

async fn start_file(ingester: &Ingester, path: &Path) -> Result<FileStart, IngestError> {
    let partitions = ingester.stores().ledger.partitions().await?;
    let owned = path.to_path_buf();
    let identified = tokio::task::spawn_blocking(move || {
        let name = owned.file_name().map(|name| name.to_string_lossy().into_owned());
        let progress = Arc::new(FileProgress::default());
        identify(&name.unwrap_or_default(), &partitions, || open(&owned, &progress))
            .map_err(|source| file_error("read", &owned, source))
    })
    .await
    .map_err(|error| crate::batch::aborted("reading a file", &error))??;
    let claim = ingester.stores().ledger.claim(&identified.topic, 0).await?;
    // Between the look at the ledger and the claim another process may have gone on.
    if u64::try_from(claim.next_offset).unwrap_or(0) != identified.position {
        return Box::pin(start_file(ingester, path)).await;
    }
    Ok(FileStart {
        claim,
        position: identified.position,
        hash: identified.hash,
        longest_line: ingester.longest_line(),
    })
}

fn file_error(operation: &'static str, path: &Path, source: std::io::Error) -> IngestError {
    IngestError::File { operation, path: path.to_path_buf(), source }
}

/// Why reading ended.
#[derive(Debug, PartialEq, Eq)]
enum ReadEnd {
    EndOfFile {
        /// Bytes of an unfinished last line, which was left.
        unfinished: usize,
    },
    Stopped,
    /// An error was handed on, or nobody takes batches any more.
    Failed,
}

fn read_file(
    path: &Path,
    start: FileStart,
    bounds: BatchBounds,
    progress: &Arc<FileProgress>,
    sender: &mpsc::Sender<Result<Batch, IngestError>>,
) -> ReadEnd {
    let read = || -> Result<ReadEnd, std::io::Error> {
        let mut content = open(path, progress)?;
        skip(&mut content, start.position)?;
        read_batches(&mut content, start, bounds, progress, sender)
    };
    match read() {
        Ok(end) => end,
        Err(error) => {
            let _ = sender.blocking_send(Err(file_error("read", path, error)));
            ReadEnd::Failed
        }
    }
}

fn skip(content: &mut dyn Read, bytes: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut content.take(bytes), &mut std::io::sink())?;
    if skipped < bytes {
        return Err(std::io::Error::other("it became shorter while it was read"));
    }
    Ok(())
}

fn read_batches(
    content: &mut dyn Read,
    start: FileStart,
    bounds: BatchBounds,
    progress: &FileProgress,
    sender: &mpsc::Sender<Result<Batch, IngestError>>,
) -> std::io::Result<ReadEnd> {
    let FileStart { mut claim, mut hash, longest_line, .. } = start;
    let mut rest: Vec<u8> = Vec::new();
    let mut unfinished = 0;
    loop {
        if progress.stop.load(Ordering::Relaxed) {
            return Ok(ReadEnd::Stopped);
        }
        let mut data = Vec::with_capacity(bounds.bytes.min(64 << 20) + READ_BYTES);
        data.append(&mut rest);
        let filled = fill(content, &mut data, bounds, longest_line)?;
        let at_end = filled == Filled::AtEnd;
        if at_end && unfinished == 0 {
            unfinished = unfinished_line(&data);
            data.truncate(data.len() - unfinished);
        }
        let end = batch_end(&data, bounds, at_end);
        let mut passed = 0;
        if end == 0 && filled == Filled::LongLine {
            hash.update(&data);
            (passed, rest) = pass_line(content, &mut hash)?;
        } else {
            rest = data.split_off(end);
            hash.update(&data);
        }
        if data.is_empty() && at_end {
            return Ok(ReadEnd::EndOfFile { unfinished });
        }
        if !data.is_empty() {
            let next_offset = claim.next_offset + (data.len() + passed) as i64;
            let batch = Batch {
                records: RawRecords {
                    topic: Arc::clone(&claim.topic),
                    records: split_lines(&data, claim.next_offset, claim.partition),
                    data: Bytes::from(data),
                },
                advances: vec![PartitionAdvance {
                    claim: claim.clone(),
                    next_offset,
                    content: Some(hash.mark()),
                }],
                origins: Vec::new(),
            };
            claim.next_offset = next_offset;
            progress.batch_is_read();
            if sender.blocking_send(Ok(batch)).is_err() {
                return Ok(ReadEnd::Failed);
            }
        }
        if at_end && rest.is_empty() {
            return Ok(ReadEnd::EndOfFile { unfinished });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a fence the file is read again: the dropped batches must not be taken for those that
    /// are committed then.
    #[test]
    fn progress_starts_anew_with_the_file() {
        let progress = FileProgress::default();
        for bytes in [100, 200] {
            progress.bytes_read.store(bytes, Ordering::Relaxed);
            progress.batch_is_read();
        }
        progress.starts_anew();
        assert_eq!(progress.bytes_read.load(Ordering::Relaxed), 0);
        progress.bytes_read.store(300, Ordering::Relaxed);
        progress.batch_is_read();
        progress.batch_is_committed(7);
        assert_eq!(progress.bytes_committed.load(Ordering::Relaxed), 300);
        assert!(progress.under_way.lock().unwrap().is_empty());
    }

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 1..MAX_CLAIMS {
            let longest = Duration::from_millis(50) * attempt;
            let pauses: Vec<Duration> = (0..64).map(|_| pause_before_claim(attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause >= longest / 2 && *pause <= longest));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}

//! Newline-delimited JSON from a pipe. What has been read is queued durably, since a pipe cannot be
//! read again.

use std::time::Duration;

use bytes::Bytes;
use questlake_engine::stores::ledger::Counts;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::queue::{IngestQueue, Submission, SubmitError};
use crate::decode::split_lines;

/// Topic of the queue.
pub const STDIN_TOPIC: &str = "stdin";

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// A pipe that could not be taken in to its end.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// Reading failed.
    #[error("could not read standard input: {0}")]
    Read(#[from] std::io::Error),
    /// The queue did not take the records.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Takes in `input` to its end. A batch is handed on when it has `batch_bytes`, or when nothing more
/// has come for `batch_wait`.
pub async fn ingest_pipe(
    queue: &IngestQueue,
    mut input: impl AsyncRead + Unpin,
    batch_bytes: usize,
    batch_wait: Duration,
    mut observe: impl FnMut(&Counts),
) -> Result<Counts, PipeError> {
    let mut totals = Counts::default();
    let mut data: Vec<u8> = Vec::with_capacity(READ_BYTES);
    let mut at_end = false;
    while !at_end {
        let mut idle = false;
        while data.len() < batch_bytes && !at_end && !idle {
            data.reserve(READ_BYTES);
            let mut limited = (&mut input).take(READ_BYTES as u64);
            match tokio::time::timeout(batch_wait, limited.read_buf(&mut data)).await {
                Ok(read) => at_end = read? == 0,
                Err(_) => idle = !data.is_empty(),
            }
        }
        let end = if at_end {
            data.len()
        } else {
            memchr::memrchr(b'\n', &data).map_or(0, |position| position + 1)
        };
        if end == 0 && !at_end {
            continue;
        }
        let rest = data.split_off(end);
        let lines = std::mem::replace(&mut data, rest);
        let records: Vec<(u32, u32)> =
            split_lines(&lines, 0, 0).iter().map(|span| (span.start, span.length)).collect();
        if records.is_empty() {
            continue;
        }
        let submission = Submission { data: Bytes::from(lines), records, origins: Vec::new() };
        let outcome = queue.submit_waiting(submission).await?;
        totals.add(&outcome.counts);
        observe(&totals);
    }
    Ok(totals)
}

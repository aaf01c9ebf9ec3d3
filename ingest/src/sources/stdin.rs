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

/// What is taken from a pipe at a time.
#[derive(Debug, Clone, Copy)]
pub struct PipeBounds {
    /// A batch is handed on when it has so many bytes.
    pub bytes: usize,
    /// Or when nothing more has come for so long.
    pub wait: Duration,
    /// Bytes of a line that are kept: see [`Ingester::longest_line`](crate::batch::Ingester::longest_line).
    pub longest_line: usize,
}

/// Takes in `input` to its end.
pub async fn ingest_pipe(
    queue: &IngestQueue,
    mut input: impl AsyncRead + Unpin,
    bounds: PipeBounds,
    mut observe: impl FnMut(&Counts),
) -> Result<Counts, PipeError> {
    let mut totals = Counts::default();
    let mut data: Vec<u8> = Vec::with_capacity(READ_BYTES);
    let mut at_end = false;
    while !at_end {
        let mut idle = false;
        let mut has_line = data.contains(&b'\n');
        while !at_end && !idle && is_short(data.len(), has_line, bounds) {
            let before = data.len();
            data.reserve(READ_BYTES);
            let mut limited = (&mut input).take(READ_BYTES as u64);
            match tokio::time::timeout(bounds.wait, limited.read_buf(&mut data)).await {
                Ok(read) => at_end = read? == 0,
                Err(_) => idle = !data.is_empty(),
            }
            has_line |= data[before..].contains(&b'\n');
        }
        if !has_line && data.len() > bounds.longest_line {
            let behind = pass_line(&mut input).await?;
            data.push(b'\n');
            data.extend_from_slice(&behind);
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

/// Whether a batch needs more bytes: it has a whole line, or one that is too long to be read as a whole.
fn is_short(bytes: usize, has_line: bool, bounds: PipeBounds) -> bool {
    if has_line { bytes < bounds.bytes } else { bytes <= bounds.longest_line }
}

/// Reads on to the end of a line without keeping it. Returns what was read behind it.
async fn pass_line(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(READ_BYTES);
    loop {
        piece.clear();
        if input.take(READ_BYTES as u64).read_buf(&mut piece).await? == 0 {
            return Ok(piece);
        }
        if let Some(line_feed) = memchr::memchr(b'\n', &piece) {
            return Ok(piece.split_off(line_feed + 1));
        }
    }
}

//! Replays of the quarantine: mended records, or the same ones under a newer contract.
//!
//! A replay goes through a queue of its own, so that a crash in the middle neither loses nor
//! repeats a record; its commit closes the quarantined record in the same transaction.

use bytes::Bytes;
use futures::future::BoxFuture;
use questlake_engine::stores::ledger::QuarantineEntry;

use super::queue::{IngestQueue, Submission, SubmissionOutcome, SubmitError};
use crate::batch::ReplayOrigin;

/// Topic of the replay queue.
pub const REPLAY_TOPIC: &str = "replay";

/// Replays these records, each with its mended bytes or as it was.
pub fn replay<'a>(
    queue: &'a IngestQueue,
    entries: &'a [QuarantineEntry],
    mended: Option<&'a [u8]>,
) -> BoxFuture<'a, Result<SubmissionOutcome, SubmitError>> {
    Box::pin(async move {
        let mut data = Vec::new();
        let mut records = Vec::with_capacity(entries.len());
        let mut origins = Vec::with_capacity(entries.len());
        for entry in entries {
            let bytes = mended.unwrap_or(&entry.record.raw);
            records.push((data.len() as u32, bytes.len() as u32));
            data.extend_from_slice(bytes);
            origins.push(ReplayOrigin { quarantine_id: entry.id, key: entry.record.key.clone() });
        }
        queue.submit_waiting(Submission { data: Bytes::from(data), records, origins }).await
    })
}

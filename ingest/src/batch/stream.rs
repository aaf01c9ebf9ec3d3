//! A stream of batches of one source, with the steps of consecutive batches side by side.
//!
//! While one batch is inserted into the hot store the next is decoded and the one before is sealed
//! and committed. Each step handles the batches in order, and each queue holds one batch, so that
//! memory stays bounded. Commits happen in order; after an error nothing more is committed.

use tokio::sync::mpsc;

use super::dedup::Deduplicated;
use super::prepare::Prepared;
use super::{Batch, BatchOutcome, Ingester, aborted};
use crate::error::IngestError;

/// Batches that wait between two steps.
const QUEUED_BATCHES: usize = 1;

/// Takes in every batch that comes in, telling `observe` of each that is committed. Returns when
/// the sender is dropped and the last batch is committed, or at the first error.
pub async fn ingest_stream(
    ingester: &Ingester,
    mut batches: mpsc::Receiver<Result<Batch, IngestError>>,
    mut observe: impl FnMut(&BatchOutcome),
) -> Result<(), IngestError> {
    let (prepared_sender, mut prepared) = mpsc::channel::<Prepared>(QUEUED_BATCHES);
    let (deduplicated_sender, mut deduplicated) = mpsc::channel::<Deduplicated>(QUEUED_BATCHES);
    let decode = async {
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            let worker = ingester.clone();
            let prepared = tokio::task::spawn_blocking(move || worker.prepare(batch))
                .await
                .map_err(|error| aborted("decoding", &error))??;
            if prepared_sender.send(prepared).await.is_err() {
                break;
            }
        }
        drop(prepared_sender);
        Ok::<(), IngestError>(())
    };
    let insert = async {
        while let Some(batch) = prepared.recv().await {
            let batch = ingester.deduplicate(batch).await?;
            if deduplicated_sender.send(batch).await.is_err() {
                break;
            }
        }
        drop(deduplicated_sender);
        Ok::<(), IngestError>(())
    };
    let publish = async {
        while let Some(batch) = deduplicated.recv().await {
            let outcome = ingester.publish(batch).await?;
            observe(&outcome);
        }
        Ok::<(), IngestError>(())
    };
    tokio::try_join!(decode, insert, publish)?;
    Ok(())
}

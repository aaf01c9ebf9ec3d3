//! One attempt to commit to a table's Delta log.
//!
//! A commit is one file whose name is the next version, written so that it fails if that name is
//! taken. What to do then is decided by who wanted to commit, on the new state of the table: the
//! rules for conflicts that the Delta library has let two compactions of the same files both
//! commit, which would double their rows.

use std::time::Duration;

use bytes::Bytes;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitData, TransactionError};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef};
use deltalake_core::protocol::DeltaOperation;
use serde_json::Value;
use uuid::Uuid;

use super::error::{ArchiveError, failed};
use crate::stores::error::StoreResult;

/// Name of Questlake's own transactions in a table's log.
pub(super) const APPLICATION: &str = "questlake";

/// Most attempts to commit while others commit in between.
pub(super) const MAX_ATTEMPTS: usize = 32;

/// Waits, in milliseconds, before an entry is written again whose name is refused though it is not
/// there: another request is about to take it.
const CONFLICT_WAITS: [u64; 5] = [100, 200, 400, 800, 1600];

/// What a commit does.
pub(super) struct Change {
    /// Files added and removed, or a new schema.
    pub(super) actions: Vec<Action>,
    /// What it is called in the table's history.
    pub(super) operation: DeltaOperation,
    /// How far in the ledger the table's rows are afterwards.
    pub(super) through: Option<i64>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The version is ours.
    Committed,
    /// Another process has committed this version.
    Taken,
}

/// Tries to write `change` as this version of the table.
pub(super) async fn attempt(
    archive: &str,
    log: &LogStoreRef,
    version: u64,
    change: &Change,
) -> StoreResult<Attempt> {
    // Tells our entry from another's if the answer of the store is lost.
    let token = Uuid::new_v4().to_string();
    let appends = matches!(change.operation, DeltaOperation::Write { .. });
    let metadata = [
        ("commitToken".to_owned(), Value::String(token.clone())),
        ("isBlindAppend".to_owned(), Value::Bool(appends)),
        ("clientVersion".to_owned(), concat!("questlake.", env!("CARGO_PKG_VERSION")).into()),
    ];
    let now = crate::clock::now_millis();
    let transaction = change
        .through
        .map(|through| Transaction::new_with_last_update(APPLICATION, through, Some(now)));
    let bytes = CommitData::new(
        change.actions.clone(),
        change.operation.clone(),
        metadata.into_iter().collect(),
        transaction.into_iter().collect(),
    )
    .get_bytes()
    .map_err(|error| failed(archive, "prepare a commit", DeltaTableError::from(error)))?;
    for wait in CONFLICT_WAITS {
        if let Some(outcome) = write(archive, log, version, &bytes, &token).await? {
            return Ok(outcome);
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let error = ArchiveError::Contended(CONFLICT_WAITS.len());
    Err(failed(archive, format!("commit version {version} of a table"), error))
}

/// Writes an entry that has this token. `None` if the name is refused and there is no such entry: a
/// bucket answers so while another request for the name is under way, which may be an earlier one of
/// ours and may still fail.
async fn write(
    archive: &str,
    log: &LogStoreRef,
    version: u64,
    bytes: &Bytes,
    token: &str,
) -> StoreResult<Option<Attempt>> {
    let entry = CommitOrBytes::LogBytes(bytes.clone());
    let Err(error) = log.write_commit_entry(version, entry, Uuid::new_v4()).await else {
        return Ok(Some(Attempt::Committed));
    };
    let is_refused = matches!(error, TransactionError::VersionAlreadyExists(_));
    // A store that did not answer, or that tried twice by itself, may have written it.
    let found = log
        .read_commit_entry(version)
        .await
        .map_err(|error| failed(archive, format!("read version {version} of a table"), error))?;
    match found {
        Some(entry) if contains(&entry, token.as_bytes()) => Ok(Some(Attempt::Committed)),
        Some(_) if is_refused => Ok(Some(Attempt::Taken)),
        None if is_refused => Ok(None),
        _ => {
            let error = DeltaTableError::from(error);
            Err(failed(archive, format!("commit version {version} of a table"), error))
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

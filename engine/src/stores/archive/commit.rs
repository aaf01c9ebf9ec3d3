//! One attempt to commit to a table's Delta log.
//!
//! A commit is one file whose name is the next version, written so that it fails if that name is
//! taken. What to do then is decided by who wanted to commit, on the new state of the table: the
//! rules for conflicts that the Delta library has let two compactions of the same files both
//! commit, which would double their rows.

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitData, TransactionError};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef};
use deltalake_core::protocol::DeltaOperation;
use serde_json::Value;
use uuid::Uuid;

use super::error::failed;
use crate::stores::error::StoreResult;

/// Name of Questlake's own transactions in a table's log.
pub(super) const APPLICATION: &str = "questlake";

/// Most attempts to commit while others commit in between.
pub(super) const MAX_ATTEMPTS: usize = 32;

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
    let entry = CommitOrBytes::LogBytes(bytes);
    let Err(error) = log.write_commit_entry(version, entry, Uuid::new_v4()).await else {
        return Ok(Attempt::Committed);
    };
    // A store that did not answer, or that tried twice by itself, may have written it.
    let found = log
        .read_commit_entry(version)
        .await
        .map_err(|error| failed(archive, format!("read version {version} of a table"), error))?;
    match found {
        Some(entry) if contains(&entry, token.as_bytes()) => Ok(Attempt::Committed),
        Some(_) if matches!(error, TransactionError::VersionAlreadyExists(_)) => Ok(Attempt::Taken),
        _ => {
            let error = DeltaTableError::from(error);
            Err(failed(archive, format!("commit version {version} of a table"), error))
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

//! Inserts: chunks of documents in any order, and then the settling of what was there.
//!
//! A chunk is one message with one answer, so that an error of the connection hides the outcome of
//! that chunk alone. It is sent again then: what was inserted before turns out to be our own.
//!
//! A duplicate says that a unique index has the value, but not always which one. The document is
//! looked up by `_id`. If it is there, its owner tells a replay from a conflict. If it is not, and
//! still is not after another insert, another index refuses it, and it is reported as refused.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use mongodb::bson::raw::RawArrayBuf;
use mongodb::bson::{DateTime, RawDocumentBuf, rawdoc};

use super::super::{HotBatch, HotConflict, HotInserted, HotRefusal, TakeOver};
use super::document::{EnvelopeColumns, encode, event_id, owner_of};
use super::error::{is_duplicate, is_refusal};
use super::owners;
use super::server::{EVENTS, Server};
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};

const INSERT: &str = "insert events";

/// Most documents of one message.
const CHUNK_DOCUMENTS: usize = 2_000;

/// Bytes of raw documents after which a message ends.
const CHUNK_BYTES: usize = 4 << 20;

/// Times that what was there is looked at. Each but the first takes somebody who removes or changes
/// one of the documents in between.
const MAX_ROUNDS: u32 = 8;

/// Inserts a batch.
pub(super) async fn insert(server: &Server, batch: &Arc<HotBatch>) -> StoreResult<HotInserted> {
    let all = (0..batch.rows.len()).collect();
    let written = write(server, batch, all).await?;
    failpoint::pass("hot.in_insert")
        .map_err(|failure| server.error(INSERT, StoreErrorKind::Unavailable, failure))?;
    let mut inserted = HotInserted { refused: written.refused, ..HotInserted::default() };
    settle(server, batch, written.duplicates, &mut inserted).await?;
    inserted.conflicts.sort_unstable_by_key(|conflict| conflict.row);
    inserted.refused.sort_unstable_by_key(|refusal| refusal.row);
    Ok(inserted)
}

/// What became of rows that were sent and not inserted.
#[derive(Default)]
struct Written {
    /// A unique index has them already.
    duplicates: Vec<Duplicate>,
    refused: Vec<HotRefusal>,
}

/// A row that some unique index has already.
struct Duplicate {
    row: usize,
    /// The index is that of `_id`; `None` where the server does not say.
    is_of_id: Option<bool>,
    /// The server's words.
    message: String,
}

/// Messages that are made ahead, of some megabytes each: a server with one writer waits for none.
const MESSAGES_AHEAD: usize = 2;

/// Sends rows in chunks, several at a time.
async fn write(server: &Server, batch: &Arc<HotBatch>, rows: Vec<usize>) -> StoreResult<Written> {
    let chunks = cut(batch, rows).into_iter();
    let (name, max_document) = (Arc::clone(&server.name), server.max_document);
    let shared = Arc::clone(batch);
    let messages = chunks.map(move |chunk| make_message(&name, &shared, chunk, max_document));
    let mut answers = stream::iter(messages)
        .buffered(MESSAGES_AHEAD)
        .map(|message| async move { send(server, message?).await })
        .buffer_unordered(server.dialect.writers());
    let mut written = Written::default();
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        written.duplicates.extend(answer.duplicates);
        written.refused.extend(answer.refused);
    }
    Ok(written)
}

fn cut(batch: &HotBatch, rows: Vec<usize>) -> Vec<Vec<usize>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let length = batch.rows[row].length as usize;
        if chunk.len() == CHUNK_DOCUMENTS || (!chunk.is_empty() && bytes + length > CHUNK_BYTES) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += length;
        chunk.push(row);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// A message to be sent.
struct Message {
    command: RawDocumentBuf,
    /// The rows of its documents, in their order.
    rows: Vec<usize>,
    /// Those that it has no document of.
    refused: Vec<HotRefusal>,
}

/// Begins to make a message at once, whether or not somebody waits for it already.
fn make_message(
    name: &Arc<str>,
    batch: &Arc<HotBatch>,
    rows: Vec<usize>,
    max_document: usize,
) -> impl Future<Output = StoreResult<Message>> + use<> {
    let (name, batch) = (Arc::clone(name), Arc::clone(batch));
    let making = tokio::task::spawn_blocking(move || compose(&batch, rows, max_document));
    async move {
        making
            .await
            .map_err(|error| StoreError::new(&*name, INSERT, StoreErrorKind::Internal, error))
    }
}

async fn send(server: &Server, message: Message) -> StoreResult<Written> {
    let Message { command, rows, refused } = message;
    let mut written = Written { refused, ..Written::default() };
    if rows.is_empty() {
        return Ok(written);
    }
    let is_expected = |code| is_duplicate(code) || is_refusal(code);
    let answer = server.write(INSERT, &command, is_expected).await?;
    for error in answer.errors {
        let Some(row) = rows.get(error.index).copied() else { continue };
        if is_duplicate(error.code) {
            let duplicate = Duplicate { row, is_of_id: error.is_of_id, message: error.message };
            written.duplicates.push(duplicate);
        } else {
            let reason = format!("{} (code {})", error.message, error.code);
            written.refused.push(HotRefusal { row, reason });
        }
    }
    Ok(written)
}

fn compose(batch: &HotBatch, rows: Vec<usize>, max_document: usize) -> Message {
    let columns: Vec<EnvelopeColumns<'_>> = batch.tables.iter().map(EnvelopeColumns::of).collect();
    let inserted_at = DateTime::from_millis(now_millis());
    let mut documents = RawArrayBuf::new();
    let mut sent = Vec::with_capacity(rows.len());
    let mut refused = Vec::new();
    for index in rows {
        let row = &batch.rows[index];
        let reason = match encode(batch, &columns[row.table as usize], row, inserted_at) {
            Ok(document) if document.as_bytes().len() <= max_document => {
                documents.push(&document);
                sent.push(index);
                continue;
            }
            Ok(document) => format!(
                "its document has {} bytes, and the server takes {max_document} at most",
                document.as_bytes().len()
            ),
            Err(reason) => reason,
        };
        refused.push(HotRefusal { row: index, reason });
    }
    let command = rawdoc! {
        "insert": EVENTS,
        "ordered": false,
        "writeConcern": Server::durably(),
        "documents": documents,
    };
    Message { command, rows: sent, refused }
}

/// Finds out what the duplicates are: replays, whose epoch is raised, conflicts, or refused.
async fn settle(
    server: &Server,
    batch: &Arc<HotBatch>,
    mut pending: Vec<Duplicate>,
    inserted: &mut HotInserted,
) -> StoreResult<()> {
    let mut was_absent = HashSet::new();
    for _ in 0..MAX_ROUNDS {
        if pending.is_empty() {
            return Ok(());
        }
        let rows = pending.iter().map(|duplicate| &batch.rows[duplicate.row]);
        let ids: Vec<String> = rows.map(|row| event_id(batch, row).to_owned()).collect();
        let stored = owners::look_up(server, &ids).await?;
        let mut absent = Vec::new();
        let mut older = Vec::new();
        let mut raises = Vec::new();
        for duplicate in pending {
            let row = &batch.rows[duplicate.row];
            let own = owner_of(batch, row);
            let id = event_id(batch, row);
            let Some(owner) = stored.get(id) else {
                let by_another_index = duplicate.is_of_id == Some(false);
                if by_another_index || !was_absent.insert(duplicate.row) {
                    let reason = duplicate.message;
                    inserted.refused.push(HotRefusal { row: duplicate.row, reason });
                } else {
                    absent.push(duplicate.row);
                }
                continue;
            };
            if owner.key != own.key {
                let conflict = HotConflict { row: duplicate.row, stored: owner.clone() };
                inserted.conflicts.push(conflict);
            } else if owner.epoch < own.epoch {
                raises.push(TakeOver { event_id: id.to_owned(), from: owner.clone(), to: own });
                older.push(duplicate);
            }
        }
        // What somebody removed in between can be inserted now.
        let again = write(server, batch, absent).await?;
        inserted.refused.extend(again.refused);
        pending = again.duplicates;
        // What somebody else was faster to change is looked at anew.
        let raised = owners::change(server, &raises).await?;
        let changed_elsewhere = older.into_iter().zip(raised).filter(|(_, raised)| !raised);
        pending.extend(changed_elsewhere.map(|(duplicate, _)| duplicate));
    }
    if pending.is_empty() {
        return Ok(());
    }
    let reason = format!("other processes changed the same events {MAX_ROUNDS} times in between");
    Err(server
        .error(INSERT, StoreErrorKind::Unavailable, reason)
        .with_advice("end the other processes that read the same events, or try again"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::HotRow;
    use super::*;

    fn batch(lengths: &[u32]) -> HotBatch {
        let row = |length: &u32| HotRow {
            table: 0,
            row: 0,
            start: 0,
            length: *length,
            partition: 0,
            offset: 0,
            epoch: 0,
        };
        HotBatch {
            topic: "topic".into(),
            tables: Vec::new(),
            rows: lengths.iter().map(row).collect(),
            data: Bytes::new(),
        }
    }

    #[test]
    fn chunks_are_bounded_and_complete() {
        let sizes = |lengths: &[u32]| -> Vec<usize> {
            let chunks = cut(&batch(lengths), (0..lengths.len()).collect());
            assert_eq!(chunks.concat(), (0..lengths.len()).collect::<Vec<_>>());
            chunks.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1; 4001]), [2000, 2000, 1]);
        // One that is larger than a message goes alone.
        assert_eq!(sizes(&[1, 8 << 20, 1, 3 << 20, 1 << 20]), [1, 1, 2, 1]);
    }
}

//! Whose documents are: look-ups by `_id`, and changes by comparison in the server.
//!
//! The server compares and changes a document in one step, so a change needs no transaction. Its
//! answer to a bulk of updates is one number. When that is the number of updates, all of them changed
//! their documents; else the documents say which ones did, and one that is the new owner's already is
//! as good as changed. So a bulk may be sent twice.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use mongodb::bson::raw::RawArrayBuf;
use mongodb::bson::{RawDocumentBuf, rawdoc};

use super::super::{Owner, TakeOver};
use super::document::{ReadResult, append_owner, owner_fields, read_owner};
use super::server::{CALL_TIMEOUT, Dialect, EVENTS, IDS_PER_MESSAGE, Server, with_ids};
use super::transitions;
use crate::stores::error::StoreResult;

pub(super) const CHANGE: &str = "take events over";
pub(super) const LOOK_UP: &str = "look events up";

/// Owners by event identifier; what is not there is absent.
pub(super) type Owners = HashMap<String, Owner>;

/// Look-ups at the same time.
const LOOK_UPS: usize = 4;

/// Looks up whose these documents are.
pub(super) async fn look_up(server: &Server, ids: &[String]) -> StoreResult<Owners> {
    if server.dialect == Dialect::FerretDb1 {
        return transitions::look_up(server, ids).await;
    }
    let reads: Vec<_> = ids.chunks(IDS_PER_MESSAGE).map(|ids| look_up_some(server, ids)).collect();
    let mut answers = stream::iter(reads).buffer_unordered(LOOK_UPS);
    let mut owners = Owners::new();
    while let Some(answer) = answers.next().await {
        owners.extend(answer?);
    }
    Ok(owners)
}

async fn look_up_some(server: &Server, ids: &[String]) -> StoreResult<Vec<(String, Owner)>> {
    let read = || async { find(server, ids).await };
    server.call(LOOK_UP, CALL_TIMEOUT, read).await
}

async fn find(server: &Server, ids: &[String]) -> ReadResult<Vec<(String, Owner)>> {
    let mut cursor = server
        .events
        .find(with_ids(ids))
        .projection(owner_fields())
        .batch_size(IDS_PER_MESSAGE as u32 + 1)
        .await?;
    let mut owners = Vec::with_capacity(ids.len());
    while cursor.advance().await? {
        owners.push(read_owner(cursor.current())?);
    }
    Ok(owners)
}

/// Gives each document to its new owner if it is still the old one's; says for each whether it is
/// the new one's.
pub(super) async fn change(server: &Server, documents: &[TakeOver]) -> StoreResult<Vec<bool>> {
    if server.dialect == Dialect::FerretDb1 {
        return transitions::change(server, documents).await;
    }
    let mut changed = Vec::with_capacity(documents.len());
    for some in documents.chunks(server.dialect.updates_per_message()) {
        changed.extend(change_some(server, some).await?);
    }
    Ok(changed)
}

async fn change_some(server: &Server, documents: &[TakeOver]) -> StoreResult<Vec<bool>> {
    let mut updates = RawArrayBuf::new();
    for TakeOver { event_id, from, to } in documents {
        let mut unchanged = rawdoc! { "_id": event_id.as_str() };
        append_owner(&mut unchanged, from);
        let mut owner = RawDocumentBuf::new();
        append_owner(&mut owner, to);
        updates.push(rawdoc! { "q": unchanged, "u": { "$set": owner } });
    }
    let answer = server.write(CHANGE, &update_command(updates), |_| false).await?;
    if answer.count == documents.len() as u64 {
        return Ok(vec![true; documents.len()]);
    }
    let ids: Vec<String> = documents.iter().map(|document| document.event_id.clone()).collect();
    let stored = look_up(server, &ids).await?;
    Ok(documents
        .iter()
        .map(|document| stored.get(&document.event_id) == Some(&document.to))
        .collect())
}

/// A durable update of the events.
pub(super) fn update_command(updates: RawArrayBuf) -> RawDocumentBuf {
    rawdoc! {
        "update": EVENTS,
        "ordered": false,
        "writeConcern": Server::durably(),
        "updates": updates,
    }
}

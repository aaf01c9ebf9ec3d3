//! Whose documents are, on a server that finds a document and changes it in two steps (FerretDB 1).
//!
//! There, somebody else's change may come between the steps and be lost. What such a server does in
//! one step is the insert of an `_id`. So each change of an owner is a document of its own, in the
//! collection `owners`, whose `_id` is the number of the change: of those who saw the same owner and
//! want to make the next change, one succeeds. Whose an event is follows from its document and the
//! changes after the one that the document knows.
//!
//! The event's document is brought up to date after that when it is another record's now. When that
//! fails, or comes late and puts an older owner in, the way from there leads to the same end.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use mongodb::Collection;
use mongodb::bson::raw::{RawArrayBuf, cstr};
use mongodb::bson::{DateTime, RawBsonRef, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::super::{Owner, TakeOver};
use super::document::{ReadResult, append_owner, owner_fields, read_owner};
use super::error::is_duplicate;
use super::owners::{CHANGE, LOOK_UP, Owners, update_command};
use super::server::{CALL_TIMEOUT, IDS_PER_MESSAGE, Server, with_ids};
use crate::stores::error::StoreResult;

/// The collection of the changes.
pub(super) const OWNERS: &str = "owners";

/// Look-ups of one document at the same time.
const SINGLE_LOOK_UPS: usize = 8;

/// Look-ups of many documents at the same time.
const LONG_LOOK_UPS: usize = 2;

/// Where an event is on its way from owner to owner.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Station {
    owner: Owner,
    /// Changes up to here.
    changes: i64,
    /// When the event's document was inserted: another document of the same event, after this one
    /// was forgotten, has a way of its own.
    inserted_at: DateTime,
}

/// Looks up whose these documents are.
pub(super) async fn look_up(server: &Server, ids: &[String]) -> StoreResult<Owners> {
    let stations = stations(server, ids).await?;
    Ok(stations.into_iter().map(|(id, station)| (id, station.owner)).collect())
}

/// Where these events are; what is not there is absent.
async fn stations(server: &Server, ids: &[String]) -> StoreResult<HashMap<String, Station>> {
    let changes: Collection<RawDocumentBuf> = server.database.collection(OWNERS);
    let mut stations = find(server, &server.events, ids).await?;
    let mut moving: HashMap<String, String> = stations
        .iter()
        .map(|(event_id, station)| (change_id(event_id, station), event_id.clone()))
        .collect();
    while !moving.is_empty() {
        let ids: Vec<String> = moving.keys().cloned().collect();
        let next = find(server, &changes, &ids).await?;
        let mut moved = HashMap::with_capacity(next.len());
        for (id, station) in next {
            if let Some(event_id) = moving.remove(&id) {
                moved.insert(change_id(&event_id, &station), event_id.clone());
                stations.insert(event_id, station);
            }
        }
        moving = moved;
    }
    Ok(stations)
}

/// The stations in the documents with these `_id`s.
async fn find(
    server: &Server,
    collection: &Collection<RawDocumentBuf>,
    ids: &[String],
) -> StoreResult<HashMap<String, Station>> {
    let size = server.dialect.ids_per_message(ids.len());
    let at_once = if size == 1 { SINGLE_LOOK_UPS } else { LONG_LOOK_UPS };
    let reads: Vec<_> = ids.chunks(size).map(|ids| find_some(server, collection, ids)).collect();
    let mut answers = stream::iter(reads).buffer_unordered(at_once);
    let mut stations = HashMap::with_capacity(ids.len());
    while let Some(answer) = answers.next().await {
        stations.extend(answer?);
    }
    Ok(stations)
}

async fn find_some(
    server: &Server,
    collection: &Collection<RawDocumentBuf>,
    ids: &[String],
) -> StoreResult<Vec<(String, Station)>> {
    let read = || async { find_once(collection, ids).await };
    let timeout = if ids.len() == 1 { CALL_TIMEOUT } else { server.dialect.read_timeout() };
    server.call(LOOK_UP, timeout, read).await
}

async fn find_once(
    collection: &Collection<RawDocumentBuf>,
    ids: &[String],
) -> ReadResult<Vec<(String, Station)>> {
    let mut fields = owner_fields();
    fields.extend(doc! { "changes": 1, "inserted_at": 1 });
    let batch_size = u32::try_from(ids.len() + 1).unwrap_or(u32::MAX);
    let mut cursor =
        collection.find(with_ids(ids)).projection(fields).batch_size(batch_size).await?;
    let mut stations = Vec::with_capacity(ids.len());
    while cursor.advance().await? {
        stations.push(read_station(cursor.current())?);
    }
    Ok(stations)
}

/// The `_id` of a document and the station in it.
fn read_station(document: &RawDocument) -> ReadResult<(String, Station)> {
    let (id, owner) = read_owner(document)?;
    let changes = match document.get("changes")? {
        Some(RawBsonRef::Int64(changes)) => changes,
        _ => 0,
    };
    let inserted_at = document.get_datetime("inserted_at")?;
    Ok((id, Station { owner, changes, inserted_at }))
}

/// The `_id` of the change that comes next.
fn change_id(event_id: &str, station: &Station) -> String {
    let inserted_at = station.inserted_at.timestamp_millis();
    format!("{}/{inserted_at}/{event_id}", station.changes.saturating_add(1))
}

/// Gives each document to its new owner if it is still the old one's; says for each whether it is
/// the new one's.
pub(super) async fn change(server: &Server, documents: &[TakeOver]) -> StoreResult<Vec<bool>> {
    let mut changed = Vec::with_capacity(documents.len());
    for some in documents.chunks(IDS_PER_MESSAGE) {
        changed.extend(change_some(server, some).await?);
    }
    Ok(changed)
}

async fn change_some(server: &Server, documents: &[TakeOver]) -> StoreResult<Vec<bool>> {
    let ids: Vec<String> = documents.iter().map(|document| document.event_id.clone()).collect();
    let before = stations(server, &ids).await?;
    let mut changes = RawArrayBuf::new();
    for TakeOver { event_id, from, to } in documents {
        if let Some(station) = before.get(event_id)
            && station.owner == *from
        {
            changes.push(change_document(event_id, station, to));
        }
    }
    if !changes.is_empty() {
        let command = rawdoc! {
            "insert": OWNERS,
            "ordered": false,
            "writeConcern": Server::durably(),
            "documents": changes,
        };
        server.write(CHANGE, &command, is_duplicate).await?;
    }
    let after = stations(server, &ids).await?;
    let mut changed = Vec::with_capacity(documents.len());
    let mut updates = Vec::new();
    for TakeOver { event_id, from, to } in documents {
        let station = after.get(event_id).filter(|station| station.owner == *to);
        // A later epoch is left to the log of changes: each update goes through the whole
        // collection, and the document is the same record's.
        if let Some(station) = station
            && from.key != to.key
        {
            updates.push(update(event_id, station));
        }
        changed.push(station.is_some());
    }
    for some in updates.chunks(server.dialect.updates_per_message()) {
        let some: RawArrayBuf = some.iter().map(|update| &**update).collect();
        server.write(CHANGE, &update_command(some), |_| false).await?;
    }
    Ok(changed)
}

fn change_document(event_id: &str, station: &Station, to: &Owner) -> RawDocumentBuf {
    let mut change = rawdoc! { "_id": change_id(event_id, station) };
    append_owner(&mut change, to);
    change.append(cstr!("changes"), station.changes.saturating_add(1));
    change.append(cstr!("inserted_at"), station.inserted_at);
    change
}

/// Brings an event's document up to date.
fn update(event_id: &str, station: &Station) -> RawDocumentBuf {
    let mut fields = RawDocumentBuf::new();
    append_owner(&mut fields, &station.owner);
    fields.append(cstr!("changes"), station.changes);
    rawdoc! { "q": { "_id": event_id }, "u": { "$set": fields } }
}

#[cfg(test)]
mod tests {
    use super::super::super::PhysicalKey;
    use super::*;

    #[test]
    fn a_change_leads_to_the_next_station() {
        let owner = |offset| Owner {
            key: PhysicalKey { topic: "topic".into(), partition: 2, offset },
            epoch: 4,
        };
        let inserted_at = DateTime::from_millis(77);
        let station = Station { owner: owner(1), changes: 0, inserted_at };
        let change = change_document("e/1", &station, &owner(9));
        assert_eq!(change.get_str("_id").unwrap(), "1/77/e/1");
        let (id, next) = read_station(&change).unwrap();
        assert_eq!(id, "1/77/e/1");
        assert_eq!(next, Station { owner: owner(9), changes: 1, inserted_at });
        assert_eq!(change_id("e/1", &next), "2/77/e/1");
    }
}

//! Forgets documents that were inserted long ago, a bounded number with each message, so that inserts
//! come in between. A document that is forgotten may be inserted anew at once: what a message removes
//! is looked up by its time too.

use mongodb::Collection;
use mongodb::bson::raw::RawArrayBuf;
use mongodb::bson::{DateTime, RawDocumentBuf, doc, rawdoc};
use mongodb::options::Hint;

use super::document::ReadResult;
use super::server::{Dialect, EVENTS, Server, from_primary, insert_index};
use super::transitions::OWNERS;
use crate::stores::error::StoreResult;

const FORGET: &str = "forget old events";

/// Most documents of one message. FerretDB 1 compares each document with each of the identifiers.
fn documents_per_message(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::MongoDb => 5_000,
        Dialect::FerretDb1 => 250,
    }
}

/// The last moment of the year 9999: beyond it some servers know no dates.
const LATEST: i64 = 253_402_300_799_999;

/// Forgets what was inserted before this time (milliseconds since 1970, UTC).
pub(super) async fn prune(server: &Server, before: i64) -> StoreResult<u64> {
    let before = DateTime::from_millis(before.clamp(0, LATEST));
    let removed = prune_collection(server, EVENTS, before).await?;
    if server.dialect == Dialect::FerretDb1 {
        // The events of such old changes are gone by now.
        prune_collection(server, OWNERS, before).await?;
    }
    Ok(removed)
}

async fn prune_collection(server: &Server, name: &str, before: DateTime) -> StoreResult<u64> {
    let collection: Collection<RawDocumentBuf> =
        server.database.collection_with_options(name, from_primary());
    let mut removed = 0;
    loop {
        let read = || async { find(server.dialect, &collection, before).await };
        let ids = server.call(FORGET, server.dialect.read_timeout(), read).await?;
        if ids.is_empty() {
            return Ok(removed);
        }
        let command = rawdoc! {
            "delete": name,
            "ordered": false,
            "writeConcern": Server::durably(),
            "deletes": deletes(&ids, before),
        };
        server.write(FORGET, &command, |_| false).await?;
        // Not what the answer counts: a message whose answer was lost is sent again, and then there
        // is nothing left to remove.
        removed += ids.len() as u64;
    }
}

async fn find(
    dialect: Dialect,
    collection: &Collection<RawDocumentBuf>,
    before: DateTime,
) -> ReadResult<Vec<String>> {
    let mut find = collection
        .find(doc! { "inserted_at": { "$lt": before } })
        .projection(doc! { "_id": 1 })
        .limit(i64::from(documents_per_message(dialect)))
        .batch_size(documents_per_message(dialect) + 1);
    if dialect == Dialect::MongoDb {
        find = find.sort(insert_index()).hint(Hint::Keys(insert_index()));
    }
    let mut cursor = find.await?;
    let mut ids = Vec::new();
    while cursor.advance().await? {
        ids.push(cursor.current().get_str("_id")?.to_owned());
    }
    Ok(ids)
}

/// One deletion of all of them: FerretDB 1 goes through the whole collection for each.
fn deletes(ids: &[String], before: DateTime) -> RawArrayBuf {
    let ids: RawArrayBuf = ids.iter().map(String::as_str).collect();
    let old = rawdoc! { "_id": { "$in": ids }, "inserted_at": { "$lt": before } };
    let mut deletes = RawArrayBuf::new();
    deletes.push(rawdoc! { "q": old, "limit": 0 });
    deletes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the look and the deletion an event may have been forgotten by somebody else and come
    /// again.
    #[test]
    fn only_what_is_old_is_deleted() {
        let before = DateTime::from_millis(7);
        let deletes = deletes(&["a".to_owned(), "b".to_owned()], before);
        let delete = deletes.get_document(0).unwrap();
        let wanted = delete.get_document("q").unwrap();
        let ids = wanted.get_document("_id").unwrap().get_array("$in").unwrap();
        assert_eq!(ids.into_iter().count(), 2);
        let time = wanted.get_document("inserted_at").unwrap().get_datetime("$lt").unwrap();
        assert_eq!(time, before);
    }
}

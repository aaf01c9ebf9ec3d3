//! Rows as documents, and documents as events.
//!
//! The game's own JSON is one text, as it came: whatever names, nesting and numbers a game thinks of,
//! nothing in it can offend a server. The envelope stands beside it, typed, for indexes and people.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use mongodb::bson::raw::{CStr, cstr};
use mongodb::bson::{DateTime, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use super::super::{HotBatch, HotEvent, HotRow, HotTable, Owner, PhysicalKey};
use crate::project::contract::envelope;

/// Result of reading a document of the collection.
pub(super) type ReadResult<T> = Result<T, mongodb::error::Error>;

/// The envelope columns of one table that a document needs.
pub(super) struct EnvelopeColumns<'a> {
    event_type: &'a str,
    event_id: &'a StringArray,
    event_time: &'a [i64],
    player_id: &'a StringArray,
    optional: Vec<(&'static CStr, &'a StringArray)>,
}

impl<'a> EnvelopeColumns<'a> {
    pub(super) fn of(table: &'a HotTable) -> Self {
        let optional = [
            (cstr!("session_id"), envelope::SESSION_ID),
            (cstr!("game"), envelope::GAME),
            (cstr!("platform"), envelope::PLATFORM),
            (cstr!("country"), envelope::COUNTRY),
            (cstr!("app_version"), envelope::APP_VERSION),
        ];
        let rows = &table.rows;
        Self {
            event_type: &table.event_type,
            event_id: rows.column(0).as_string::<i32>(),
            event_time: rows.column(1).as_primitive::<TimestampMicrosecondType>().values(),
            player_id: rows.column(2).as_string::<i32>(),
            optional: optional
                .into_iter()
                .filter_map(|(name, column)| {
                    Some((name, rows.column_by_name(column)?.as_string_opt::<i32>()?))
                })
                .collect(),
        }
    }
}

/// The event identifier of a row.
pub(super) fn event_id<'a>(batch: &'a HotBatch, row: &HotRow) -> &'a str {
    batch.tables[row.table as usize].rows.column(0).as_string::<i32>().value(row.row as usize)
}

/// Whose the document of a row is when it is ours.
pub(super) fn owner_of(batch: &HotBatch, row: &HotRow) -> Owner {
    let key = PhysicalKey {
        topic: Arc::clone(&batch.topic),
        partition: row.partition,
        offset: row.offset,
    };
    Owner { key, epoch: row.epoch }
}

/// A row as a document; what is wrong with it if it cannot be one.
pub(super) fn encode(
    batch: &HotBatch,
    columns: &EnvelopeColumns<'_>,
    row: &HotRow,
    inserted_at: DateTime,
) -> Result<RawDocumentBuf, String> {
    let at = row.row as usize;
    let raw = &batch.data[row.start as usize..row.start as usize + row.length as usize];
    let Ok(text) = std::str::from_utf8(raw) else {
        return Err("the record is not UTF-8".to_owned());
    };
    let micros = columns.event_time[at];
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), columns.event_id.value(at));
    document.append(cstr!("event_type"), columns.event_type);
    document.append(cstr!("event_time"), DateTime::from_millis(micros.div_euclid(1000)));
    // MongoDB's dates end at milliseconds; what is finer stands beside them.
    let finer = micros.rem_euclid(1000) as i32;
    if finer > 0 {
        document.append(cstr!("event_micros"), finer);
    }
    document.append(cstr!("player_id"), columns.player_id.value(at));
    for (name, column) in &columns.optional {
        if column.is_valid(at) {
            document.append(*name, column.value(at));
        }
    }
    append_owner(&mut document, &owner_of(batch, row));
    document.append(cstr!("inserted_at"), inserted_at);
    document.append(cstr!("document"), text);
    Ok(document)
}

/// What a look-up of owners reads.
pub(super) fn owner_fields() -> Document {
    doc! { "topic": 1, "partition": 1, "offset": 1, "epoch": 1 }
}

/// What a scan reads.
pub(super) fn event_fields(with_documents: bool) -> Document {
    let mut fields = doc! {
        "event_type": 1, "event_time": 1, "event_micros": 1, "player_id": 1,
        "topic": 1, "partition": 1, "offset": 1,
    };
    if with_documents {
        fields.insert("document", 1);
    }
    fields
}

/// Adds an owner to a document, a filter or an update.
pub(super) fn append_owner(document: &mut RawDocumentBuf, owner: &Owner) {
    document.append(cstr!("topic"), &*owner.key.topic);
    document.append(cstr!("partition"), owner.key.partition);
    document.append(cstr!("offset"), owner.key.offset);
    document.append(cstr!("epoch"), owner.epoch);
}

/// Identifier and owner of a document.
pub(super) fn read_owner(document: &RawDocument) -> ReadResult<(String, Owner)> {
    let owner = Owner { key: read_key(document)?, epoch: document.get_i64("epoch")? };
    Ok((document.get_str("_id")?.to_owned(), owner))
}

/// A document as an event; its JSON is empty where it was not read.
pub(super) fn read_event(document: &RawDocument) -> ReadResult<HotEvent> {
    let finer = match document.get("event_micros")? {
        Some(RawBsonRef::Int32(finer)) => i64::from(finer),
        _ => 0,
    };
    let text = match document.get("document")? {
        Some(RawBsonRef::String(text)) => text.to_owned(),
        _ => String::new(),
    };
    let millis = document.get_datetime("event_time")?.timestamp_millis();
    Ok(HotEvent {
        event_id: document.get_str("_id")?.to_owned(),
        event_type: document.get_str("event_type")?.to_owned(),
        event_time: millis.saturating_mul(1000).saturating_add(finer),
        player_id: document.get_str("player_id")?.to_owned(),
        key: read_key(document)?,
        document: text,
    })
}

fn read_key(document: &RawDocument) -> ReadResult<PhysicalKey> {
    Ok(PhysicalKey {
        topic: document.get_str("topic")?.into(),
        partition: document.get_i32("partition")?,
        offset: document.get_i64("offset")?,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
    use bytes::Bytes;

    use super::*;

    /// One event with everything in it, whose time ends in these microseconds.
    fn batch(raw: &'static [u8], micros: i64) -> HotBatch {
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let times = TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC");
        let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        let rows = RecordBatch::try_from_iter([
            ("event_id", text("e1")),
            ("event_time", Arc::new(times) as ArrayRef),
            ("player_id", text("p1")),
            ("session_id", text("s1")),
            ("country", none),
        ])
        .unwrap();
        let row = HotRow {
            table: 0,
            row: 0,
            start: 0,
            length: raw.len() as u32,
            partition: 3,
            offset: 1 << 40,
            epoch: 7,
        };
        HotBatch {
            topic: "events".into(),
            tables: vec![HotTable { event_type: "jump".into(), rows }],
            rows: vec![row],
            data: Bytes::from_static(raw),
        }
    }

    fn encoded(batch: &HotBatch) -> Result<RawDocumentBuf, String> {
        let columns = EnvelopeColumns::of(&batch.tables[0]);
        encode(batch, &columns, &batch.rows[0], DateTime::from_millis(5))
    }

    #[test]
    fn a_row_reads_back_the_same() {
        let raw = br#"{"a.b":[[1]],"$c":1e999}"#;
        for micros in [1_767_607_200_123_456, 1_767_607_200_123_000, -1, 0] {
            let batch = batch(raw, micros);
            let document = encoded(&batch).unwrap();
            let event = read_event(&document).unwrap();
            assert_eq!(event.event_time, micros);
            assert_eq!(event.event_id, "e1");
            assert_eq!(event.event_type, "jump");
            assert_eq!(event.player_id, "p1");
            assert_eq!(event.document.as_bytes(), raw);
            let owner = owner_of(&batch, &batch.rows[0]);
            assert_eq!(event.key, owner.key);
            assert_eq!(read_owner(&document).unwrap(), ("e1".to_owned(), owner));
            assert_eq!(document.get_str("session_id").unwrap(), "s1");
            assert_eq!(document.get("country").unwrap(), None);
        }
    }

    #[test]
    fn what_cannot_be_a_document_says_why() {
        assert_eq!(encoded(&batch(b"\xff", 0)), Err("the record is not UTF-8".to_owned()));
    }

    #[test]
    fn a_document_of_somebody_else_is_an_error() {
        let foreign = RawDocumentBuf::try_from(&doc! { "_id": 5 }).unwrap();
        assert!(read_owner(&foreign).is_err());
        assert!(read_event(&foreign).is_err());
    }
}

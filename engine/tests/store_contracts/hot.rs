//! What every hot store does.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use questlake_engine::project::contract::timestamp_type;
use questlake_engine::stores::hot::{
    HotBatch, HotConflict, HotRow, HotStore, HotTable, Owner, PhysicalKey, TakeOver,
};

const UUID: &str = "0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6f7";

fn key(topic: &str, offset: i64) -> PhysicalKey {
    PhysicalKey { topic: topic.into(), partition: 0, offset }
}

/// A batch of events (identifier, player, time in seconds), read under a claim with this epoch, with
/// offsets from `first` on.
fn batch(topic: &str, first: i64, epoch: i64, events: &[(&str, &str, i64)]) -> Arc<HotBatch> {
    let schema = Schema::new(vec![
        Field::new("event_id", DataType::Utf8, false),
        Field::new("event_time", timestamp_type(), false),
        Field::new("player_id", DataType::Utf8, false),
    ]);
    let ids = StringArray::from_iter_values(events.iter().map(|event| event.0));
    let times =
        TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.2 * 1_000_000))
            .with_timezone("UTC");
    let players = StringArray::from_iter_values(events.iter().map(|event| event.1));
    let rows = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(ids), Arc::new(times), Arc::new(players)],
    )
    .unwrap();
    let mut data = Vec::new();
    let mut documents = Vec::new();
    for (row, event) in events.iter().enumerate() {
        let document = format!("{{\"event_id\":\"{}\",\"n\":{first}}}", event.0);
        documents.push(HotRow {
            table: 0,
            row: row as u32,
            start: data.len() as u32,
            length: document.len() as u32,
            partition: 0,
            offset: first + row as i64,
            epoch,
        });
        data.extend_from_slice(document.as_bytes());
    }
    Arc::new(HotBatch {
        topic: topic.into(),
        tables: vec![HotTable { event_type: "purchase".into(), rows }],
        rows: documents,
        data: Bytes::from(data),
    })
}

fn owner(topic: &str, offset: i64, epoch: i64) -> Owner {
    Owner { key: key(topic, offset), epoch }
}

fn take_over(event_id: &str, from: &Owner, to: &Owner) -> TakeOver {
    TakeOver { event_id: event_id.to_owned(), from: from.clone(), to: to.clone() }
}

pub(crate) async fn suite(store: &dyn HotStore) {
    let events = [(UUID, "anna", 3), ("free text", "bela", 2), ("ünï\"code", "anna", 1)];
    assert_eq!(store.insert(batch("a", 10, 1, &events)).await.unwrap(), []);
    assert_eq!(store.count().await.unwrap(), 3);
    // The same records again are replays, however they are cut into batches.
    assert_eq!(store.insert(batch("a", 11, 1, &events[1..])).await.unwrap(), []);
    assert_eq!(store.count().await.unwrap(), 3);
    // The same event under another key is reported with its owner.
    let again = [("new", "anna", 4), (UUID, "anna", 3), ("new", "anna", 4)];
    let conflicts = store.insert(batch("b", 0, 5, &again)).await.unwrap();
    assert_eq!(
        conflicts,
        [
            HotConflict { row: 1, stored: owner("a", 10, 1) },
            HotConflict { row: 2, stored: owner("b", 0, 5) },
        ]
    );
    assert_eq!(store.count().await.unwrap(), 4);
    // A replay raises the epoch of its document, and an older one does not lower it.
    for (epoch, stored) in [(3, 3), (2, 3)] {
        assert_eq!(store.insert(batch("a", 10, epoch, &events[..1])).await.unwrap(), []);
        let conflicts = store.insert(batch("c", 0, 9, &events[..1])).await.unwrap();
        assert_eq!(conflicts, [HotConflict { row: 0, stored: owner("a", 10, stored) }]);
    }
    // A document changes hands once, and only from the owner at the epoch that was seen. Those
    // that do not leave the others alone.
    let (old, new, other) = (owner("a", 10, 3), owner("b", 1, 5), owner("c", 5, 7));
    let documents = vec![
        take_over(UUID, &owner("a", 10, 1), &other),
        take_over(UUID, &owner("a", 11, 3), &other),
        take_over(UUID, &old, &new),
        take_over(UUID, &old, &other),
        take_over("unknown", &old, &other),
        take_over("free text", &owner("a", 11, 1), &other),
    ];
    let changed = store.take_over(documents).await.unwrap();
    assert_eq!(changed, [false, false, true, false, false, true]);
    let conflicts = store.insert(batch("a", 10, 9, &events[..2])).await.unwrap();
    assert_eq!(
        conflicts,
        [HotConflict { row: 0, stored: new }, HotConflict { row: 1, stored: other }]
    );
    assert_eq!(store.take_over(Vec::new()).await.unwrap(), Vec::<bool>::new());
}

pub(crate) async fn suite_after_reopening(store: &dyn HotStore) {
    let timeline = store.player_timeline("anna", 10).await.unwrap();
    let seen: Vec<(&str, i64)> =
        timeline.iter().map(|event| (event.event_id.as_str(), event.event_time)).collect();
    assert_eq!(seen, [("new", 4_000_000), (UUID, 3_000_000), ("ünï\"code", 1_000_000)]);
    assert_eq!(timeline[1].key, key("b", 1));
    assert_eq!(timeline[1].document, format!("{{\"event_id\":\"{UUID}\",\"n\":10}}"));
    assert_eq!(timeline[1].event_type, "purchase");
    assert_eq!(store.player_timeline("anna", 1).await.unwrap().len(), 1);
    assert_eq!(store.player_timeline("nobody", 1).await.unwrap(), []);
}

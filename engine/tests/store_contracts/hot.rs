//! What every hot store does.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use futures::future::join_all;
use questlake_engine::clock::now_millis;
use questlake_engine::project::contract::timestamp_type;
use questlake_engine::stores::hot::{
    HotBatch, HotConflict, HotEvent, HotFilter, HotInserted, HotRow, HotStore, HotTable, Owner,
    PhysicalKey, TakeOver,
};

const UUID: &str = "0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6f7";

fn key(topic: &str, offset: i64) -> PhysicalKey {
    PhysicalKey { topic: topic.into(), partition: 0, offset }
}

/// A batch of events (identifier, player, time in seconds), read under a claim with this epoch, with
/// offsets from `first` on.
pub(crate) fn batch(
    topic: &str,
    first: i64,
    epoch: i64,
    events: &[(&str, &str, i64)],
) -> Arc<HotBatch> {
    let documents: Vec<String> = events
        .iter()
        .map(|event| format!("{{\"event_id\":\"{}\",\"n\":{first}}}", event.0))
        .collect();
    let events: Vec<(&str, &str, i64, &str)> = events
        .iter()
        .zip(&documents)
        .map(|((event, player, seconds), document)| {
            (*event, *player, *seconds * 1_000_000, document.as_str())
        })
        .collect();
    batch_of(topic, first, epoch, &events)
}

/// The same with times in microseconds, and with documents.
pub(crate) fn batch_of(
    topic: &str,
    first: i64,
    epoch: i64,
    events: &[(&str, &str, i64, &str)],
) -> Arc<HotBatch> {
    let schema = Schema::new(vec![
        Field::new("event_id", DataType::Utf8, false),
        Field::new("event_time", timestamp_type(), false),
        Field::new("player_id", DataType::Utf8, false),
    ]);
    let ids = StringArray::from_iter_values(events.iter().map(|event| event.0));
    let times = TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.2))
        .with_timezone("UTC");
    let players = StringArray::from_iter_values(events.iter().map(|event| event.1));
    let rows = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(ids), Arc::new(times), Arc::new(players)],
    )
    .unwrap();
    let mut data = Vec::new();
    let mut documents = Vec::new();
    for (row, (_, _, _, document)) in events.iter().enumerate() {
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

/// Inserts a batch of which nothing is refused.
async fn insert(store: &dyn HotStore, batch: Arc<HotBatch>) -> Vec<HotConflict> {
    let HotInserted { conflicts, refused } = store.insert(batch).await.unwrap();
    assert_eq!(refused, []);
    conflicts
}

pub(crate) async fn suite(store: &dyn HotStore) {
    let events = [(UUID, "anna", 3), ("free text", "bela", 2), ("ünï\"code", "anna", 1)];
    assert_eq!(insert(store, batch("a", 10, 1, &events)).await, []);
    assert_eq!(store.count().await.unwrap(), 3);
    let asked = ["free text", "nobody", UUID, "0190a1b2-0000-7e5f-8091-a2b3c4d5e6f7", "ünï\"code"];
    let missing = store.missing(asked.map(str::to_owned).to_vec()).await.unwrap();
    assert_eq!(missing, ["nobody", "0190a1b2-0000-7e5f-8091-a2b3c4d5e6f7"]);
    assert_eq!(store.missing(Vec::new()).await.unwrap(), Vec::<String>::new());
    // The same records again are replays, however they are cut into batches.
    assert_eq!(insert(store, batch("a", 11, 1, &events[1..])).await, []);
    assert_eq!(store.count().await.unwrap(), 3);
    // The same event under another key is reported with its owner.
    let again = [("new", "anna", 4), (UUID, "anna", 3), ("new", "anna", 4)];
    let conflicts = insert(store, batch("b", 0, 5, &again)).await;
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
        assert_eq!(insert(store, batch("a", 10, epoch, &events[..1])).await, []);
        let conflicts = insert(store, batch("c", 0, 9, &events[..1])).await;
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
    let conflicts = insert(store, batch("a", 10, 9, &events[..2])).await;
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

/// All pages of a scan, by event.
async fn scan(store: &dyn HotStore, filter: &HotFilter) -> Vec<HotEvent> {
    let mut events = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(filter, after).await.unwrap();
        events.extend(page.events);
        after = page.next;
        if after.is_none() {
            events.sort_by(|left, right| left.event_id.cmp(&right.event_id));
            return events;
        }
    }
}

pub(crate) async fn scans(store: &dyn HotStore) {
    assert!(scan(store, &HotFilter::default()).await.is_empty());
    let names: Vec<(String, String)> = (0..10_000)
        .map(|number| (format!("event {number:05}"), format!("player {}", number % 7)))
        .collect();
    let events: Vec<(&str, &str, i64)> = names
        .iter()
        .enumerate()
        .map(|(number, (event, player))| (event.as_str(), player.as_str(), number as i64))
        .collect();
    insert(store, batch("a", 0, 1, &events)).await;
    let all = scan(store, &HotFilter { with_documents: true, ..HotFilter::default() }).await;
    assert_eq!(all.len(), 10_000);
    assert_eq!(all[12].event_id, "event 00012");
    assert_eq!((all[12].player_id.as_str(), all[12].event_time), ("player 5", 12_000_000));
    assert_eq!(all[12].key, key("a", 12));
    assert!(all[12].document.contains("event 00012"));
    let of_player = HotFilter { player_id: Some("player 3".to_owned()), ..HotFilter::default() };
    let found = scan(store, &of_player).await;
    assert_eq!(found.len(), 1429);
    assert!(found.iter().all(|event| event.player_id == "player 3" && event.document.is_empty()));
    let some = HotFilter {
        event_types: Some(vec!["purchase".to_owned()]),
        from: Some(5_000_000),
        through: Some(9_000_000),
        ..HotFilter::default()
    };
    assert_eq!(scan(store, &some).await.len(), 5);
    let none = HotFilter { event_types: Some(vec!["other".to_owned()]), ..some };
    assert!(scan(store, &none).await.is_empty());
    // What comes after the first page was read is not part of the scan.
    let first = store.scan(&HotFilter::default(), None).await.unwrap();
    insert(store, batch("a", 10_000, 1, &[("late", "player 1", 1)])).await;
    let mut seen = first.events.len();
    let mut after = first.next;
    while let Some(position) = after {
        let page = store.scan(&HotFilter::default(), Some(position)).await.unwrap();
        assert!(page.events.iter().all(|event| event.event_id != "late"));
        seen += page.events.len();
        after = page.next;
    }
    assert_eq!(seen, 10_000);
}

/// Documents are forgotten by the time of their insert. The store must be empty.
pub(crate) async fn pruning(store: &dyn HotStore, count: i64) {
    let names: Vec<(String, String)> = (0..count)
        .map(|number| (format!("old {number:05}"), format!("player {}", number % 3)))
        .collect();
    let old: Vec<(&str, &str, i64)> =
        names.iter().map(|(event, player)| (event.as_str(), player.as_str(), 1)).collect();
    assert_eq!(store.prune(i64::MAX).await.unwrap(), 0);
    let beginning = now_millis();
    insert(store, batch("a", 0, 1, &old)).await;
    let between = later_than(now_millis());
    // A replay, which changes nothing, and one new event among known ones.
    insert(store, batch("a", 0, 2, &old[..10])).await;
    let mut mixed = old[..5].to_vec();
    mixed.push(("new", "player 0", 2));
    assert_eq!(insert(store, batch("a", count, 2, &mixed)).await.len(), 5);
    assert_eq!(store.prune(beginning).await.unwrap(), 0);
    assert_eq!(store.prune(between).await.unwrap(), count as u64);
    assert_eq!(store.prune(between).await.unwrap(), 0);
    assert_eq!(store.count().await.unwrap(), 1);
    assert_eq!(store.count_exactly().await.unwrap(), 1);
    assert_eq!(store.player_timeline("player 1", 10).await.unwrap(), []);
    let left = store.player_timeline("player 0", 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].event_id, "new");
    // What was forgotten is new when it comes again.
    assert_eq!(insert(store, batch("b", 0, 3, &old[..2])).await, []);
    assert_eq!(store.count().await.unwrap(), 3);
    assert_eq!(store.player_timeline("player 1", 10).await.unwrap().len(), 1);
    assert_eq!(store.prune(later_than(now_millis())).await.unwrap(), 3);
    assert_eq!(store.count().await.unwrap(), 0);
}

/// Whatever a game calls its things is kept as it is; times are exact. The store must be empty.
pub(crate) async fn anything_goes(store: &dyn HotStore) {
    let long = "x".repeat(2_000);
    let nested = "[".repeat(100) + &"]".repeat(100);
    let document = format!(
        "{{\"a.b\":{{\"$set\":[[1,[2]]]}},\"\":null,\"deep\":{nested},\"n\":[1e999,-0.0,\
         123456789012345678901234567890],\"_id\":\"ü \\u0041\"}}"
    );
    let odd = [
        "$where",
        "a.b.c",
        "line\nbreak",
        "quote\"'`",
        "ключ 🔑",
        "0190A1B2-C3D4-7E5F-8091-A2B3C4D5E6F7",
        "507f1f77bcf86cd799439011",
        "0",
        "-1",
        "null",
        " ",
        "a/b/c",
        long.as_str(),
    ];
    let events: Vec<(&str, &str, i64, &str)> = odd
        .iter()
        .enumerate()
        .map(|(number, name)| (*name, *name, number as i64 - 5, document.as_str()))
        .collect();
    assert_eq!(insert(store, batch_of("$topic.\"ü\"", 0, 1, &events)).await, []);
    assert_eq!(insert(store, batch_of("$topic.\"ü\"", 0, 2, &events)).await, []);
    assert_eq!(store.count().await.unwrap(), odd.len() as u64);
    for (number, name) in odd.iter().enumerate() {
        let timeline = store.player_timeline(name, 10).await.unwrap();
        assert_eq!(timeline.len(), 1, "{name}");
        assert_eq!(timeline[0].event_id, *name);
        assert_eq!(timeline[0].event_time, number as i64 - 5);
        assert_eq!(timeline[0].document, document);
        assert_eq!(timeline[0].key, key("$topic.\"ü\"", number as i64));
    }
    // Microseconds count, at the end of a timeline too.
    let same_millisecond: Vec<(&str, &str, i64, &str)> =
        [("m1", 3), ("m2", 1), ("m3", 4), ("m4", 2)]
            .iter()
            .map(|(name, micros)| (*name, "micro", 7_000 + *micros, "{}"))
            .collect();
    assert_eq!(insert(store, batch_of("m", 0, 1, &same_millisecond)).await, []);
    for (limit, expected) in [
        (0, vec![]),
        (1, vec!["m3"]),
        (3, vec!["m3", "m1", "m4"]),
        (9, vec!["m3", "m1", "m4", "m2"]),
    ] {
        let timeline = store.player_timeline("micro", limit).await.unwrap();
        let seen: Vec<&str> = timeline.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
    let filter = HotFilter {
        player_id: Some("micro".to_owned()),
        from: Some(7_002),
        through: Some(7_003),
        ..HotFilter::default()
    };
    let found = scan(store, &filter).await;
    let seen: Vec<&str> = found.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(seen, ["m1", "m4"]);
}

/// Of several who want the same, one gets it. The stores are the same one as two processes have it,
/// and empty.
pub(crate) async fn races(first: &dyn HotStore, second: &dyn HotStore) {
    let names: Vec<String> = (0..300).map(|number| format!("event {number}")).collect();
    let events: Vec<(&str, &str, i64)> =
        names.iter().map(|name| (name.as_str(), "anna", 1)).collect();
    let store = |number: usize| if number.is_multiple_of(2) { first } else { second };
    let inserts = (0..4).map(|number| {
        let batch = batch(&format!("topic {number}"), 0, 1, &events);
        insert(store(number), batch)
    });
    let conflicts = join_all(inserts).await;
    assert_eq!(conflicts.iter().map(Vec::len).sum::<usize>(), 3 * names.len());
    assert_eq!(first.count().await.unwrap(), names.len() as u64);
    for row in 0..names.len() {
        let owners: Vec<&Owner> = conflicts
            .iter()
            .flatten()
            .filter(|conflict| conflict.row == row)
            .map(|conflict| &conflict.stored)
            .collect();
        assert!(owners.iter().all(|owner| *owner == owners[0] && owner.key.offset == row as i64));
    }
    let owners: Vec<Owner> = (0..names.len())
        .map(|row| {
            let of_row = |conflict: &&HotConflict| conflict.row == row;
            conflicts.iter().flatten().find(of_row).unwrap().stored.clone()
        })
        .collect();
    // Each takes what no other one wants, all of them at once.
    let take_overs = (0..4).map(|number| {
        let rows = 60 + number * 60..120 + number * 60;
        let wanted = rows
            .map(|row| take_over(&names[row], &owners[row], &owner("everything", row as i64, 9)));
        store(number).take_over(wanted.collect())
    });
    for changed in join_all(take_overs).await {
        assert_eq!(changed.unwrap(), [true; 60]);
    }
    // Each has seen the same owners, and wants to be the next.
    let owners = &owners[..50];
    let take_overs = (0..4).map(|number| {
        let wanted = owners.iter().zip(&names).enumerate().map(|(row, (from, name))| {
            take_over(name, from, &owner(&format!("taker {number}"), row as i64, 9))
        });
        store(number).take_over(wanted.collect())
    });
    let changed = join_all(take_overs).await;
    for row in 0..owners.len() {
        let winners: Vec<usize> =
            (0..4).filter(|number| changed[*number].as_ref().unwrap()[row]).collect();
        assert_eq!(winners.len(), 1, "row {row}");
        let of_winner = owner(&format!("taker {}", winners[0]), row as i64, 9);
        let conflicts = insert(first, batch("late", 0, 1, &events[row..=row])).await;
        assert_eq!(conflicts, [HotConflict { row: 0, stored: of_winner }]);
    }
    // Who had it before finds it gone, under a later claim too, and does not get it back by that.
    let Owner { key: before, .. } = &owners[0];
    let again = insert(first, batch(&before.topic, 0, 20, &events[..1])).await;
    assert_eq!(again.len(), 1);
    assert!(again[0].stored.key.topic.starts_with("taker "));
    // What was taken can be taken back.
    let back = vec![take_over(&names[0], &again[0].stored, &owners[0])];
    assert_eq!(second.take_over(back).await.unwrap(), [true]);
    let conflicts = insert(first, batch("late", 0, 1, &events[..1])).await;
    assert_eq!(conflicts, [HotConflict { row: 0, stored: owners[0].clone() }]);
    let once_more = vec![take_over(&names[0], &owners[0], &owner("taker 9", 0, 10))];
    assert_eq!(first.take_over(once_more).await.unwrap(), [true]);
}

/// Waits until the clock shows a later time than this, and returns it.
fn later_than(time: i64) -> i64 {
    loop {
        let now = now_millis();
        if now > time {
            return now;
        }
        std::thread::yield_now();
    }
}

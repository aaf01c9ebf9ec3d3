//! Two readers of the same event in different partitions, interleaved at the worst moments.

use std::path::Path;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use questlake_engine::project::contract_parser::parse_contract;
use questlake_engine::project::source::SourceFile;
use questlake_engine::settings::{LoadOptions, Settings};
use questlake_engine::stores::Stores;
use questlake_engine::stores::error::StoreResult;
use questlake_engine::stores::hot::{
    HotEvent, HotFilter, HotInserted, HotPage, HotRefusal, HotStore,
};
use questlake_engine::stores::ledger::gap::{Gap, GapReason};
use questlake_engine::stores::ledger::{BatchCommit, Counts, PositionAdvance};

use super::*;
use crate::batch::{Batch, PartitionAdvance};
use crate::decode::{RawRecords, RecordSpan};

const CONTRACT: &str = "CREATE TABLE jump (height BIGINT NOT NULL);";

/// What happens to a reader at a take-over.
type Moment = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A hot store in which something happens right before a take-over, and which may end the reader
/// right after it.
struct Interrupted {
    inner: Arc<dyn HotStore>,
    before: Mutex<Vec<Moment>>,
    crash_after: bool,
}

#[async_trait]
impl HotStore for Interrupted {
    async fn insert(&self, batch: Arc<HotBatch>) -> StoreResult<HotInserted> {
        self.inner.insert(batch).await
    }

    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>> {
        let moment = self.before.lock().unwrap().pop();
        if let Some(moment) = moment {
            moment.await;
        }
        let changed = self.inner.take_over(documents).await?;
        if self.crash_after {
            let kind = StoreErrorKind::Unavailable;
            return Err(StoreError::new("test", "take events over", kind, "the reader crashed"));
        }
        Ok(changed)
    }

    async fn prune(&self, before: i64) -> StoreResult<u64> {
        self.inner.prune(before).await
    }

    async fn player_timeline(&self, player_id: &str, limit: usize) -> StoreResult<Vec<HotEvent>> {
        self.inner.player_timeline(player_id, limit).await
    }

    async fn scan(&self, filter: &HotFilter, after: Option<String>) -> StoreResult<HotPage> {
        self.inner.scan(filter, after).await
    }

    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
        self.inner.missing(event_ids).await
    }

    async fn count(&self) -> StoreResult<u64> {
        self.inner.count().await
    }

    async fn ask(&self) -> StoreResult<()> {
        Ok(())
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

fn settings(folder: &Path) -> Settings {
    let flags = vec![
        ("data".to_owned(), folder.join("data").display().to_string()),
        ("project".to_owned(), folder.display().to_string()),
    ];
    let current_dir = folder.to_path_buf();
    Settings::load(LoadOptions { file: None, environment: Vec::new(), flags, current_dir }).unwrap()
}

/// An ingester into stores in `folder`, as a process of its own would have it.
pub(in crate::batch) fn ingester(folder: &Path) -> Ingester {
    let settings = settings(folder);
    let file = SourceFile::new("sql/events/jump.sql", CONTRACT);
    let contracts = [Arc::new(parse_contract(&file).unwrap())];
    let stores = Stores::open(&settings).unwrap();
    let mut ingester = Ingester::new(stores, &contracts, &settings.ingest).unwrap();
    // The other reader is dead, unless a test says otherwise.
    ingester.patience.standstill = Duration::ZERO;
    ingester
}

fn interrupted(folder: &Path, before: Vec<Moment>, crash_after: bool) -> Ingester {
    let mut ingester = ingester(folder);
    let inner = Arc::clone(&ingester.stores.hot);
    ingester.stores.hot = Arc::new(Interrupted { inner, before: Mutex::new(before), crash_after });
    ingester
}

/// A batch of one event as the only record of `topic`, under a new claim.
async fn batch(ingester: &Ingester, topic: &str) -> Batch {
    let record = r#"{"event_id":"e1","event_type":"jump","event_time":"2026-01-05T10:00:00Z","player_id":"p1","properties":{"height":3}}"#;
    let claim = ingester.stores().ledger.claim(topic, 0).await.unwrap();
    let span = RecordSpan { start: 0, length: record.len() as u32, partition: 0, offset: 0 };
    Batch {
        records: RawRecords {
            topic: topic.into(),
            data: Bytes::from_static(record.as_bytes()),
            records: vec![span],
        },
        advances: vec![PartitionAdvance { claim, next_offset: 1, content: None }],
        origins: Vec::new(),
    }
}

/// Reads the only record of `topic` up to the insert.
async fn begin(ingester: &Ingester, topic: &str) -> Deduplicated {
    let prepared = ingester.prepare(batch(ingester, topic).await).unwrap();
    ingester.deduplicate(prepared).await.unwrap()
}

/// Reads the only record of `topic` and commits it.
pub(in crate::batch) async fn read_whole(ingester: &Ingester, topic: &str) -> Counts {
    let batch = batch(ingester, topic).await;
    ingester.ingest(batch).await.unwrap().counts
}

async fn landed(ingester: &Ingester) -> u64 {
    let partitions = ingester.stores().ledger.partitions().await.unwrap();
    assert!(partitions.iter().all(|partition| partition.counts.adds_up()));
    partitions.iter().map(|partition| partition.counts.landed).sum()
}

/// A hot store that takes nothing.
struct Refusing(Arc<dyn HotStore>);

#[async_trait]
impl HotStore for Refusing {
    async fn insert(&self, batch: Arc<HotBatch>) -> StoreResult<HotInserted> {
        let refuse = |row| HotRefusal { row, reason: "E11000 on somebody's index".to_owned() };
        let refused = (0..batch.rows.len()).map(refuse).collect();
        Ok(HotInserted { conflicts: Vec::new(), refused })
    }

    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>> {
        self.0.take_over(documents).await
    }

    async fn prune(&self, before: i64) -> StoreResult<u64> {
        self.0.prune(before).await
    }

    async fn player_timeline(&self, player_id: &str, limit: usize) -> StoreResult<Vec<HotEvent>> {
        self.0.player_timeline(player_id, limit).await
    }

    async fn scan(&self, filter: &HotFilter, after: Option<String>) -> StoreResult<HotPage> {
        self.0.scan(filter, after).await
    }

    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
        self.0.missing(event_ids).await
    }

    async fn count(&self) -> StoreResult<u64> {
        self.0.count().await
    }

    async fn ask(&self) -> StoreResult<()> {
        Ok(())
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

#[tokio::test]
async fn what_the_hot_store_refuses_is_quarantined_and_not_swallowed() {
    let folder = tempfile::tempdir().unwrap();
    let mut ingester = ingester(folder.path());
    ingester.stores.hot = Arc::new(Refusing(Arc::clone(&ingester.stores.hot)));
    let batch = batch(&ingester, "topic").await;
    let outcome = ingester.ingest(batch).await.unwrap();
    assert_eq!(outcome.counts, Counts { consumed: 1, quarantined: 1, ..Counts::default() });
    assert_eq!(outcome.rejected[0].reason, RejectReason::RefusedByHotStore);
    assert!(outcome.rejected[0].detail.contains("E11000"), "{:?}", outcome.rejected);
    assert_eq!(landed(&ingester).await, 0);
}

#[tokio::test]
async fn a_document_of_a_dead_reader_changes_hands_and_the_dead_one_cannot_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (ingester(folder.path()), ingester(folder.path()));
    let dead = begin(&left, "left").await;
    assert_eq!(read_whole(&right, "right").await.landed, 1);
    assert!(left.publish(dead).await.unwrap_err().is_fenced());
    assert_eq!(read_whole(&left, "left").await.duplicates, 1);
    assert_eq!(landed(&left).await, 1);
}

#[tokio::test]
async fn a_reader_that_is_about_to_commit_is_not_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let (left, mut right) = (ingester(folder.path()), ingester(folder.path()));
    right.patience.standstill = Duration::from_secs(3_600);
    let under_way = begin(&left, "left").await;
    let copy = read_whole(&right, "right");
    tokio::pin!(copy);
    let waits = tokio::time::timeout(Duration::from_millis(300), &mut copy).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(left.publish(under_way).await.unwrap().counts.landed, 1);
    assert_eq!(copy.await.duplicates, 1);
    assert_eq!(landed(&left).await, 1);
}

#[tokio::test]
async fn a_reader_that_was_fenced_meanwhile_fences_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (ingester(folder.path()), ingester(folder.path()));
    let under_way = begin(&left, "left").await;
    let prepared = right.prepare(batch(&right, "right").await).unwrap();
    right.stores().ledger.claim("right", 0).await.unwrap();
    assert!(right.deduplicate(prepared).await.unwrap_err().is_fenced());
    assert_eq!(left.publish(under_way).await.unwrap().counts.landed, 1);
}

/// Its topic has dropped the record before anybody could read it again.
#[tokio::test]
async fn a_document_whose_record_was_given_up_changes_hands() {
    for (accepted, again) in [(true, "other"), (true, "topic"), (false, "other")] {
        let folder = tempfile::tempdir().unwrap();
        let (dead, reader) = (ingester(folder.path()), ingester(folder.path()));
        begin(&dead, "topic").await;
        let ledger = Arc::clone(&reader.stores().ledger);
        let claim = ledger.claim("topic", 0).await.unwrap();
        let gap = Gap {
            topic: "topic".to_owned(),
            partition: 0,
            from_offset: 0,
            to_offset: 5,
            reason: GapReason::Truncated,
            detail: String::new(),
        };
        if accepted {
            ledger.accept_gap(&claim, gap).await.unwrap();
        } else {
            let advance = PositionAdvance {
                claim,
                next_offset: 5,
                counts: Counts { consumed: 5, landed: 5, ..Counts::default() },
                content: None,
            };
            let batch = BatchCommit { advances: vec![advance], ..BatchCommit::default() };
            ledger.commit(batch).await.unwrap();
        }
        let counts = if again == "topic" {
            let mut batch = batch(&reader, again).await;
            batch.records.records[0].offset = 5;
            batch.advances[0].next_offset = 6;
            reader.ingest(batch).await.unwrap().counts
        } else {
            read_whole(&reader, again).await
        };
        let expected = u64::from(accepted);
        assert_eq!((counts.landed, counts.duplicates), (expected, 1 - expected), "{again}");
        // From now on it is a duplicate like any other.
        assert_eq!(read_whole(&dead, "third").await.duplicates, 1);
    }
}

/// The dead reader comes back right before the document is taken, and commits after the other one
/// has crashed.
#[tokio::test]
async fn a_reader_that_comes_back_keeps_its_document_though_the_other_one_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let left = ingester(folder.path());
    drop(begin(&left, "left").await);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let back = left.clone();
    let comes_back: Moment = Box::pin(async move {
        sender.send(begin(&back, "left").await).unwrap();
    });
    let crashing = interrupted(folder.path(), vec![comes_back], true);
    let crashed = batch(&crashing, "right").await;
    assert!(crashing.ingest(crashed).await.is_err());
    let back = receiver.recv().await.unwrap();
    assert_eq!(left.publish(back).await.unwrap().counts.landed, 1);
    assert_eq!(read_whole(&ingester(folder.path()), "right").await.duplicates, 1);
    assert_eq!(landed(&left).await, 1);
}

/// The same without the crash: the document is judged anew, and the other partition fenced again.
#[tokio::test]
async fn a_reader_that_comes_back_and_does_not_commit_in_time_is_fenced_again() {
    let folder = tempfile::tempdir().unwrap();
    let left = ingester(folder.path());
    drop(begin(&left, "left").await);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut moments: Vec<Moment> = Vec::new();
    for _ in 0..2 {
        let (back, sender) = (left.clone(), sender.clone());
        moments.push(Box::pin(async move {
            sender.send(begin(&back, "left").await).unwrap();
        }));
    }
    let right = interrupted(folder.path(), moments, false);
    assert_eq!(read_whole(&right, "right").await.landed, 1);
    for _ in 0..2 {
        let back = receiver.recv().await.unwrap();
        assert!(left.publish(back).await.unwrap_err().is_fenced());
    }
    assert_eq!(read_whole(&left, "left").await.duplicates, 1);
    assert_eq!(landed(&left).await, 1);
}

#[tokio::test]
async fn a_reader_that_comes_back_and_commits_in_time_makes_the_other_the_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let left = ingester(folder.path());
    drop(begin(&left, "left").await);
    let back = left.clone();
    let comes_back: Moment = Box::pin(async move {
        assert_eq!(read_whole(&back, "left").await.landed, 1);
    });
    let right = interrupted(folder.path(), vec![comes_back], false);
    assert_eq!(read_whole(&right, "right").await.duplicates, 1);
    assert_eq!(landed(&left).await, 1);
}

/// A crash after the take-over leaves a document that is its own when it comes back, and in doubt
/// for the other reader.
#[tokio::test]
async fn after_a_crash_behind_the_take_over_whoever_comes_first_lands_the_event() {
    for first in ["left", "right"] {
        let folder = tempfile::tempdir().unwrap();
        let reader = ingester(folder.path());
        drop(begin(&reader, "left").await);
        let crashing = interrupted(folder.path(), Vec::new(), true);
        let crashed = batch(&crashing, "right").await;
        assert!(crashing.ingest(crashed).await.is_err());
        assert_eq!(read_whole(&reader, first).await.landed, 1, "{first} comes first");
        let second = if first == "left" { "right" } else { "left" };
        assert_eq!(read_whole(&reader, second).await.duplicates, 1, "{first} comes first");
        assert_eq!(landed(&reader).await, 1, "{first} comes first");
    }
}

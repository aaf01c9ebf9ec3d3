//! What every landing store does.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::landing::Landing;

pub(crate) async fn suite(store: &dyn Landing) {
    assert_eq!(store.list().await.unwrap(), []);
    store.ask().await.unwrap();
    let parts = vec![Bytes::from_static(b"hello "), Bytes::new(), Bytes::from_static(b"world")];
    store.seal("2026-01-01/a.qls", parts.clone()).await.unwrap();
    let read = store.read("2026-01-01/a.qls", 3..9).await.unwrap();
    assert_eq!(&read[..], b"lo wor");
    // A name is taken once and for all.
    assert!(store.seal("2026-01-01/a.qls", vec![Bytes::from_static(b"other")]).await.is_err());
    let read = store.read("2026-01-01/a.qls", 0..11).await.unwrap();
    assert_eq!(&read[..], b"hello world");
    // What is missing or short is told as damage.
    for (name, range) in [("2026-01-01/a.qls", 5..12), ("2026-01-01/b.qls", 0..1)] {
        let error = store.read(name, range).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.to_string().contains(&store.name()), "{error}");
    }
    store.seal("2026-01-02/c.qls", parts).await.unwrap();
    let listed = store.list().await.unwrap();
    assert_eq!(listed, [("2026-01-01/a.qls".to_owned(), 11), ("2026-01-02/c.qls".to_owned(), 11)]);
    store.remove("2026-01-01/a.qls").await.unwrap();
    store.remove("2026-01-01/a.qls").await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 1);
    // What is sealed is finished, however old.
    assert_eq!(store.remove_unfinished(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(store.list().await.unwrap().len(), 1);
    store.remove("2026-01-02/c.qls").await.unwrap();
}

/// Larger than any buffer on the way, so that parts of it may come in another order or not at all.
pub(crate) async fn large_files(store: &dyn Landing) {
    let name = "2026-01-03/large.qls";
    let bytes: Vec<u8> = (0..24_u32 << 20).map(|index| (index % 253) as u8).collect();
    let whole = Bytes::from(bytes);
    let parts = vec![whole.slice(..5_000_001), whole.slice(5_000_001..)];
    store.seal(name, parts).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [(name.to_owned(), whole.len() as u64)]);
    let last = whole.len() - 1;
    for range in [0..whole.len(), 5_000_000..5_000_003, 8 << 20..(16 << 20) + 7, last..last + 1] {
        let read = store.read(name, range.start as u64..range.end as u64).await.unwrap();
        assert!(read[..] == whole[range.clone()], "{range:?}");
    }
    store.remove(name).await.unwrap();
}

/// `other` is the same store, opened once more.
pub(crate) async fn writers_of_one_name(store: &dyn Landing, other: &dyn Landing) {
    for round in 0..8 {
        let name = format!("2026-01-04/{round}.qls");
        let ours = vec![Bytes::from_static(b"ours"); 1000];
        let theirs = vec![Bytes::from_static(b"theirs"); 1000];
        let (first, second) = tokio::join!(store.seal(&name, ours), other.seal(&name, theirs));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let expected: &[u8] = if first.is_ok() { b"ours" } else { b"theirs" };
        let length = 1000 * expected.len() as u64;
        let read = other.read(&name, 0..length).await.unwrap();
        assert!(read.chunks(expected.len()).all(|part| part == expected));
        assert_eq!(store.list().await.unwrap(), [(name.clone(), length)]);
        store.remove(&name).await.unwrap();
    }
    // Whoever was refused has left nothing behind.
    assert_eq!(store.remove_unfinished(Duration::ZERO).await.unwrap(), 0);
}

/// Where an ended process has left the beginning of a file.
pub(crate) async fn unfinished_files(store: &dyn Landing) {
    assert_eq!(store.list().await.unwrap(), []);
    let hour = Duration::from_secs(3600);
    assert_eq!(store.remove_unfinished(hour).await.unwrap(), 0);
    // Times of files are whole milliseconds; wait until the last one is over.
    let end = SystemTime::now() + Duration::from_millis(2);
    while SystemTime::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(store.remove_unfinished(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(store.remove_unfinished(Duration::ZERO).await.unwrap(), 0);
}

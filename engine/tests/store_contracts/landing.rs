//! What every landing store does.

use std::time::Duration;

use bytes::Bytes;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::landing::Landing;

pub(crate) async fn suite(store: &dyn Landing) {
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
}

//! What every store of keys does, seen by two processes.

use questlake_engine::stores::keys::{ApiKey, KeyStore, Scope};

fn key(id: &str, created_at: i64) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        name: "it's a \"name\" ü".to_owned(),
        secret_hash: [id.len() as u8; 32],
        scopes: vec![Scope::Ingest, Scope::Admin],
        rate_limit: None,
        created_at,
        expires_at: None,
        revoked_at: None,
    }
}

pub(crate) async fn suite(keys: &dyn KeyStore, other: &dyn KeyStore) {
    assert_eq!(keys.list().await.unwrap(), []);
    let first = key("b", 1_767_225_600_123);
    let second = ApiKey {
        rate_limit: Some(u32::MAX),
        expires_at: Some(1_767_225_700_000),
        scopes: Scope::ALL.to_vec(),
        ..key("a", 1_767_225_600_124)
    };
    keys.add(&second).await.unwrap();
    other.add(&first).await.unwrap();
    // In the order in which they were made, whoever has made them.
    assert_eq!(keys.list().await.unwrap(), [first.clone(), second.clone()]);
    // An identifier is somebody's.
    let stranger = ApiKey { secret_hash: [9; 32], ..first.clone() };
    assert!(keys.add(&stranger).await.is_err());
    assert_eq!(other.list().await.unwrap(), [first.clone(), second.clone()]);

    assert!(!keys.revoke("c", 5).await.unwrap());
    assert!(keys.revoke("a", 1_767_225_650_000).await.unwrap());
    // It keeps when it was revoked first.
    assert!(other.revoke("a", 1_767_225_660_000).await.unwrap());
    let listed = other.list().await.unwrap();
    assert_eq!(listed[0], first);
    assert_eq!(listed[1].revoked_at, Some(1_767_225_650_000));
    assert!(listed[0].is_good(i64::MAX) && !listed[1].is_good(0));
    let ending = ApiKey { expires_at: Some(10), ..first };
    assert!(ending.is_good(9) && !ending.is_good(10));
}

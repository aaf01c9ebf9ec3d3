//! What every cache does.

use std::time::{Duration, Instant};

use bytes::Bytes;
use questlake_engine::settings::ServerUrl;
use questlake_engine::stores::cache::Cache;
use questlake_engine::stores::cache::redis::RedisCache;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn suite(cache: &dyn Cache) {
    // A server may hold what an earlier run left there.
    let run = Uuid::new_v4();
    let key = |name: &str| format!("{run} {name}");
    assert_eq!(cache.fault().await, None);
    assert_eq!(cache.get(&key("a")).await, None);
    let bytes = Bytes::from_static(b"\x00\xff\r\n$ any bytes");
    cache.set(&key("a"), bytes.clone(), HOUR).await;
    cache.set(&key("ü \r\n*"), Bytes::new(), HOUR).await;
    assert_eq!(cache.get(&key("a")).await, Some(bytes.clone()));
    assert_eq!(cache.get(&key("ü \r\n*")).await, Some(Bytes::new()));
    assert_eq!(cache.get(&key("A")).await, None);
    // A later value replaces an earlier one, and its time too.
    let other = Bytes::from(vec![7; 20_000]);
    cache.set(&key("a"), other.clone(), HOUR).await;
    assert_eq!(cache.get(&key("a")).await, Some(other));
    // What is over is gone, and nothing is kept for no time.
    cache.set(&key("a"), bytes.clone(), Duration::ZERO).await;
    assert_eq!(cache.get(&key("a")).await, None);
    cache.set(&key("b"), bytes.clone(), Duration::MAX).await;
    assert_eq!(cache.get(&key("b")).await, Some(bytes.clone()));
    cache.set(&key("b"), bytes, Duration::from_millis(30)).await;
    let end = Instant::now() + Duration::from_secs(30);
    while cache.get(&key("b")).await.is_some() {
        assert!(Instant::now() < end, "it does not get old");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn redis() {
    let Ok(url) = std::env::var("QUESTLAKE_TEST_REDIS_URL") else {
        panic!(
            "QUESTLAKE_TEST_REDIS_URL is not set: run `make services`, then \
                `eval \"$(scripts/services.sh env)\"`"
        );
    };
    let timeout = Duration::from_secs(10);
    suite(&RedisCache::new(&ServerUrl::new(url), timeout).unwrap()).await;
}

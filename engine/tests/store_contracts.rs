//! One suite per store trait. Every implementation passes the same suite.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "store_contracts/cache.rs"]
mod cache;
#[path = "store_contracts/hdfs.rs"]
mod hdfs;
#[path = "store_contracts/hdfs_faults.rs"]
mod hdfs_faults;
#[path = "store_contracts/hot.rs"]
mod hot;
#[path = "store_contracts/keys.rs"]
mod keys;
#[path = "store_contracts/landing.rs"]
mod landing;
#[path = "store_contracts/ledger.rs"]
mod ledger;
#[path = "store_contracts/mongo.rs"]
mod mongo;
#[path = "store_contracts/name_service.rs"]
mod name_service;
#[path = "store_contracts/postgres.rs"]
mod postgres;
#[path = "store_contracts/s3.rs"]
mod s3;
#[path = "store_contracts/s3_faults.rs"]
mod s3_faults;
#[path = "store_contracts/warehouse.rs"]
mod warehouse;

mod embedded {
    use questlake_engine::settings::ByteSize;
    use questlake_engine::stores::cache::memory::MemoryCache;
    use questlake_engine::stores::hot::sqlite::SqliteHotStore;
    use questlake_engine::stores::keys::sqlite::SqliteKeys;
    use questlake_engine::stores::landing::local::LocalLanding;
    use questlake_engine::stores::ledger::sqlite::SqliteLedger;
    use questlake_engine::stores::warehouse::sqlite::SqliteWarehouse;

    use super::{cache, hot, keys, landing, ledger, warehouse};

    #[tokio::test]
    async fn hot_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.db");
        let store = SqliteHotStore::open(&path).unwrap();
        hot::suite(&store).await;
        // What was inserted is there for the next process.
        hot::suite_after_reopening(&SqliteHotStore::open(&path).unwrap()).await;
        hot::scans(&SqliteHotStore::open(&folder.path().join("other.db")).unwrap()).await;
        let pruned = SqliteHotStore::open(&folder.path().join("pruned.db")).unwrap();
        hot::pruning(&pruned, 25_000).await;
        hot::anything_goes(&SqliteHotStore::open(&folder.path().join("odd.db")).unwrap()).await;
        let path = folder.path().join("races.db");
        let first = SqliteHotStore::open(&path).unwrap();
        hot::races(&first, &SqliteHotStore::open(&path).unwrap()).await;
    }

    #[tokio::test]
    async fn cache_of_answers() {
        cache::suite(&MemoryCache::new(ByteSize::from_bytes(1 << 20))).await;
    }

    #[tokio::test]
    async fn landing_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalLanding::open(folder.path()).unwrap();
        landing::suite(&store).await;
        landing::large_files(&store).await;
        landing::writers_of_one_name(&store, &LocalLanding::open(folder.path()).unwrap()).await;
        std::fs::write(folder.path().join(".tmp/begun"), "half").unwrap();
        landing::unfinished_files(&store).await;
    }

    #[tokio::test]
    async fn ledger_store() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteWarehouse::open_database(&folder.path().join("warehouse.db")).unwrap();
        let first = SqliteLedger::open(database.clone()).unwrap();
        let second = SqliteLedger::open(database).unwrap();
        ledger::suite(&first, &second).await;
    }

    #[tokio::test]
    async fn key_store() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteWarehouse::open_database(&folder.path().join("warehouse.db")).unwrap();
        let first = SqliteKeys::open(database.clone()).unwrap();
        keys::suite(&first, &SqliteKeys::open(database).unwrap()).await;
    }

    #[tokio::test]
    async fn warehouse_store() {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteWarehouse::open_database(&folder.path().join("warehouse.db")).unwrap();
        warehouse::suite(&SqliteWarehouse::open(database).unwrap()).await;
    }
}

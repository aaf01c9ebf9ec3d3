//! Where data lives: one trait per pair of an embedded store and a server.
//!
//! | trait | embedded | server | holds |
//! |---|---|---|---|
//! | [`hot::HotStore`] | SQLite | MongoDB | raw documents by event and player; the dedup index |
//! | [`landing::Landing`] | local files | HDFS, S3 | sealed Arrow segments |
//! | [`ledger::Ledger`] | SQLite | PostgreSQL | positions, segments, accounting, quarantine |
//! | [`warehouse::Warehouse`] | SQLite | PostgreSQL | the star schema and each model's progress |
//! | [`keys::KeyStore`] | SQLite | PostgreSQL | the keys of the API |
//! | [`cache::Cache`] | this process's memory | Redis | answers that were computed before |
//!
//! Ledger, warehouse and keys are in one database.
//!
//! [`archive::Archive`] needs no trait: `object_store` is what its places have in common.

pub mod archive;
pub mod cache;
pub mod error;
pub mod hot;
pub mod keys;
pub mod landing;
pub mod ledger;
mod objects;
pub mod postgres;
pub mod retry;
pub mod sqlite;
pub mod tls;
pub mod warehouse;

use std::sync::Arc;

use crate::settings::{Settings, StoreUrl};
use error::{StoreError, StoreErrorKind, StoreResult};

/// The stores of one installation, opened.
#[derive(Clone)]
pub struct Stores {
    /// Raw documents and the dedup index.
    pub hot: Arc<dyn hot::HotStore>,
    /// Sealed segments.
    pub landing: Arc<dyn landing::Landing>,
    /// The commit point.
    pub ledger: Arc<dyn ledger::Ledger>,
    /// The keys of the API.
    pub keys: Arc<dyn keys::KeyStore>,
    /// The star schema.
    pub warehouse: Arc<dyn warehouse::Warehouse>,
    /// Old events.
    pub archive: archive::Archive,
    /// Answers that were computed before.
    pub cache: Arc<dyn cache::Cache>,
}

impl Stores {
    /// Opens every store that the settings name, creating what is missing.
    pub fn open(settings: &Settings) -> StoreResult<Self> {
        tls::look_for_trusted_file();
        let stores = &settings.stores;
        let hot = open_hot(&stores.hot)?;
        let cache = open_cache(settings)?;
        let Database { ledger, warehouse, keys } = open_warehouse(&stores.warehouse)?;
        let spool = &settings.engine.spill_dir;
        let landing = landing::open(&stores.landing, spool)?;
        let archive = archive::Archive::open(&stores.archive, spool)?;
        Ok(Self { archive, cache, hot, keys, landing, ledger, warehouse })
    }
}

/// What shares one database.
struct Database {
    ledger: Arc<dyn ledger::Ledger>,
    warehouse: Arc<dyn warehouse::Warehouse>,
    keys: Arc<dyn keys::KeyStore>,
}

fn open_warehouse(url: &StoreUrl) -> StoreResult<Database> {
    match url {
        StoreUrl::Sqlite(path) => {
            let database = warehouse::sqlite::SqliteWarehouse::open_database(path)?;
            let ledger = ledger::sqlite::SqliteLedger::open(database.clone())?;
            let keys = keys::sqlite::SqliteKeys::open(database.clone())?;
            let warehouse = warehouse::sqlite::SqliteWarehouse::open(database)?;
            Ok(Database {
                ledger: Arc::new(ledger),
                warehouse: Arc::new(warehouse),
                keys: Arc::new(keys),
            })
        }
        StoreUrl::Postgres(url) => {
            let database = postgres::PostgresDatabase::open("warehouse", url)?;
            let ledger = ledger::postgres::PostgresLedger::new(database.clone());
            let keys = keys::postgres::PostgresKeys::new(database.clone());
            let warehouse = warehouse::postgres::PostgresWarehouse::new(database);
            Ok(Database {
                ledger: Arc::new(ledger),
                warehouse: Arc::new(warehouse),
                keys: Arc::new(keys),
            })
        }
        other => Err(wrong_scheme("stores.warehouse", other, "sqlite:// or postgres://")),
    }
}

fn open_hot(url: &StoreUrl) -> StoreResult<Arc<dyn hot::HotStore>> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(hot::sqlite::SqliteHotStore::open(path)?)),
        StoreUrl::MongoDb(url) => Ok(Arc::new(hot::mongo::MongoHotStore::new(url)?)),
        other => Err(wrong_scheme("stores.hot", other, "sqlite:// or mongodb://")),
    }
}

fn open_cache(settings: &Settings) -> StoreResult<Arc<dyn cache::Cache>> {
    let cache = &settings.cache;
    match &settings.stores.cache {
        StoreUrl::Memory => Ok(Arc::new(cache::memory::MemoryCache::new(cache.memory_limit))),
        StoreUrl::Redis(url) => Ok(Arc::new(cache::redis::RedisCache::new(url, cache.timeout)?)),
        other => Err(wrong_scheme("stores.cache", other, "redis:// or memory:")),
    }
}

fn wrong_scheme(setting: &str, url: &StoreUrl, wanted: &str) -> StoreError {
    StoreError::new(
        setting,
        "open the store",
        StoreErrorKind::Incompatible,
        format!("{url} has another scheme than {wanted}"),
    )
}

//! Where data lives: one trait per pair of an embedded store and a server.
//!
//! | trait | embedded | holds |
//! |---|---|---|
//! | [`hot::HotStore`] | SQLite | raw documents by event and player; the dedup index |
//! | [`landing::Landing`] | local files; HDFS, S3 | sealed Arrow segments |
//! | [`ledger::Ledger`] | SQLite, in the warehouse file | positions, segments, accounting, quarantine |
//! | [`warehouse::Warehouse`] | SQLite | the star schema and each model's progress |
//!
//! [`archive::Archive`] needs no trait: `object_store` is what its places have in common.

pub mod archive;
pub mod error;
pub mod hot;
pub mod landing;
pub mod ledger;
mod objects;
pub mod retry;
pub mod sqlite;
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
    /// The star schema.
    pub warehouse: Arc<dyn warehouse::Warehouse>,
    /// Old events.
    pub archive: archive::Archive,
}

impl Stores {
    /// Opens every store that the settings name, creating what is missing.
    pub fn open(settings: &Settings) -> StoreResult<Self> {
        let stores = &settings.stores;
        let hot = hot::sqlite::SqliteHotStore::open(sqlite_path("stores.hot", &stores.hot)?)?;
        let path = sqlite_path("stores.warehouse", &stores.warehouse)?;
        let database = warehouse::sqlite::SqliteWarehouse::open_database(path)?;
        let ledger = ledger::sqlite::SqliteLedger::open(database.clone())?;
        let warehouse = warehouse::sqlite::SqliteWarehouse::open(database)?;
        let spool = &settings.engine.spill_dir;
        let landing = landing::open(&stores.landing, spool)?;
        let archive = archive::Archive::open(&stores.archive, spool)?;
        Ok(Self {
            archive,
            hot: Arc::new(hot),
            landing,
            ledger: Arc::new(ledger),
            warehouse: Arc::new(warehouse),
        })
    }
}

fn sqlite_path<'a>(setting: &str, url: &'a StoreUrl) -> StoreResult<&'a std::path::Path> {
    match url {
        StoreUrl::Sqlite(path) => Ok(path),
        other => Err(wrong_scheme(setting, other, "sqlite://")),
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

//! Where data lives: one trait per pair of an embedded store and a server.
//!
//! | trait | embedded | holds |
//! |---|---|---|
//! | [`hot::HotStore`] | SQLite | raw documents by event and player; the dedup index |
//! | [`landing::Landing`] | local files | sealed Arrow segments |
//! | [`ledger::Ledger`] | SQLite, in the warehouse file | positions, segments, accounting, quarantine |
//! | [`warehouse::Warehouse`] | SQLite | the star schema and each model's progress |
//!
//! Ledger and warehouse are in one database: SQLite, or PostgreSQL.
//!
//! [`archive::Archive`] needs no trait: `object_store` is what its places have in common.

pub mod archive;
pub mod error;
pub mod hot;
pub mod landing;
pub mod ledger;
pub mod postgres;
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
        let (ledger, warehouse) = open_warehouse(&stores.warehouse)?;
        let landing = match &stores.landing {
            StoreUrl::File(path) => landing::local::LocalLanding::open(path)?,
            other => return Err(wrong_scheme("stores.landing", other, "file://")),
        };
        let archive = archive::Archive::open(&stores.archive)?;
        Ok(Self { archive, hot: Arc::new(hot), landing: Arc::new(landing), ledger, warehouse })
    }
}

/// The ledger and the warehouse, which share a database.
fn open_warehouse(
    url: &StoreUrl,
) -> StoreResult<(Arc<dyn ledger::Ledger>, Arc<dyn warehouse::Warehouse>)> {
    match url {
        StoreUrl::Sqlite(path) => {
            let database = warehouse::sqlite::SqliteWarehouse::open_database(path)?;
            let ledger = ledger::sqlite::SqliteLedger::open(database.clone())?;
            let warehouse = warehouse::sqlite::SqliteWarehouse::open(database)?;
            Ok((Arc::new(ledger), Arc::new(warehouse)))
        }
        StoreUrl::Postgres(url) => {
            let database = postgres::PostgresDatabase::open("warehouse", url)?;
            let ledger = ledger::postgres::PostgresLedger::new(database.clone());
            let warehouse = warehouse::postgres::PostgresWarehouse::new(database);
            Ok((Arc::new(ledger), Arc::new(warehouse)))
        }
        other => Err(wrong_scheme("stores.warehouse", other, "sqlite:// and postgres://")),
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

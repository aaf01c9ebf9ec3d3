//! The keys in the embedded warehouse's database.

use async_trait::async_trait;
use rusqlite::Row;

use super::{ApiKey, KeyStore, scopes_from_text, scopes_text};
use crate::stores::error::StoreResult;
use crate::stores::sqlite::SqliteDatabase;

const SCHEMA: &str = include_str!("schema.sql");

/// The keys on SQLite.
#[derive(Clone)]
pub struct SqliteKeys {
    database: SqliteDatabase,
}

impl SqliteKeys {
    /// Creates the table of keys in `database` where it is missing.
    pub fn open(database: SqliteDatabase) -> StoreResult<Self> {
        let connection = database.connect()?;
        connection
            .execute_batch(SCHEMA)
            .map_err(|error| database.error("create the table of keys", error))?;
        Ok(Self { database })
    }
}

#[async_trait]
impl KeyStore for SqliteKeys {
    async fn add(&self, key: &ApiKey) -> StoreResult<()> {
        const OPERATION: &str = "add a key";
        let (database, key) = (self.database.clone(), key.clone());
        self.database
            .with_writer(OPERATION, move |connection| {
                connection
                    .execute(
                        "INSERT INTO meta_api_keys (id, name, secret_hash, scopes, rate_limit, \
                         created_at, expires_at, revoked_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        (
                            &key.id,
                            &key.name,
                            key.secret_hash,
                            scopes_text(&key.scopes),
                            key.rate_limit,
                            key.created_at,
                            key.expires_at,
                            key.revoked_at,
                        ),
                    )
                    .map(|_| ())
                    .map_err(|error| database.error(OPERATION, error))
            })
            .await
    }

    async fn list(&self) -> StoreResult<Vec<ApiKey>> {
        self.database
            .read("read the keys", |connection| {
                connection
                    .prepare(
                        "SELECT id, name, secret_hash, scopes, rate_limit, created_at, \
                         expires_at, revoked_at FROM meta_api_keys ORDER BY created_at, id",
                    )?
                    .query_map([], key_from_row)?
                    .collect()
            })
            .await
    }

    async fn revoke(&self, id: &str, now: i64) -> StoreResult<bool> {
        const OPERATION: &str = "revoke a key";
        let (database, id) = (self.database.clone(), id.to_owned());
        self.database
            .with_writer(OPERATION, move |connection| {
                connection
                    .execute(
                        "UPDATE meta_api_keys SET revoked_at = coalesce(revoked_at, ?2) \
                         WHERE id = ?1",
                        (&id, now),
                    )
                    .map(|changed| changed > 0)
                    .map_err(|error| database.error(OPERATION, error))
            })
            .await
    }

    fn name(&self) -> String {
        self.database.store().replacen("warehouse", "keys", 1)
    }
}

fn key_from_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    let scopes: String = row.get(3)?;
    Ok(ApiKey {
        id: row.get(0)?,
        name: row.get(1)?,
        secret_hash: row.get(2)?,
        scopes: scopes_from_text(&scopes),
        rate_limit: row.get(4)?,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
        revoked_at: row.get(7)?,
    })
}

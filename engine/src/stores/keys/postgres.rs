//! The keys in PostgreSQL, in the database of ledger and warehouse.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::{ApiKey, KeyStore, scopes_from_text, scopes_text};
use crate::stores::error::StoreResult;
use crate::stores::postgres::values::{Parameters, storable_text, time};
use crate::stores::postgres::{Failure, PostgresDatabase};

/// The keys on PostgreSQL.
#[derive(Clone)]
pub struct PostgresKeys {
    database: PostgresDatabase,
}

impl PostgresKeys {
    /// The keys in `database`, which the warehouse shares.
    pub fn new(database: PostgresDatabase) -> Self {
        Self { database }
    }
}

#[async_trait]
impl KeyStore for PostgresKeys {
    async fn add(&self, key: &ApiKey) -> StoreResult<()> {
        let (id, name) = (&storable_text(&key.id), &storable_text(&key.name));
        let (hash, scopes) = (&key.secret_hash.to_vec(), &scopes_text(&key.scopes));
        let rate_limit = &key.rate_limit.map(i64::from);
        let created_at = &time(key.created_at);
        let (expires_at, revoked_at) = (&key.expires_at.map(time), &key.revoked_at.map(time));
        self.database
            .attempt("add a key", |session| async move {
                let parameters: &Parameters<'_> =
                    &[id, name, hash, scopes, rate_limit, created_at, expires_at, revoked_at];
                // A row with the same secret is ours: the answer to it was lost.
                let added = session
                    .execute(
                        "INSERT INTO questlake.api_keys AS k (id, name, secret_hash, scopes, \
                         rate_limit, created_at, expires_at, revoked_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                         ON CONFLICT (id) DO UPDATE SET id = excluded.id \
                         WHERE k.secret_hash = excluded.secret_hash",
                        parameters,
                    )
                    .await?;
                if added == 0 {
                    return Err(Failure::Invalid {
                        what: format!("there is a key {id} already"),
                        advice: "make another one",
                    });
                }
                session.end(())
            })
            .await
    }

    async fn list(&self) -> StoreResult<Vec<ApiKey>> {
        self.database
            .attempt("read the keys", |session| async move {
                let rows = session
                    .query(
                        "SELECT id, name, secret_hash, scopes, rate_limit, created_at, expires_at, \
                         revoked_at FROM questlake.api_keys ORDER BY created_at, id",
                        &[],
                    )
                    .await?;
                let keys = rows.iter().map(key_from_row).collect::<Result<_, Failure>>()?;
                session.end(keys)
            })
            .await
    }

    async fn revoke(&self, id: &str, now: i64) -> StoreResult<bool> {
        let (id, now) = (&storable_text(id), &time(now));
        self.database
            .attempt("revoke a key", |session| async move {
                let parameters: &Parameters<'_> = &[id, now];
                let revoked = session
                    .execute(
                        "UPDATE questlake.api_keys SET revoked_at = coalesce(revoked_at, $2) \
                         WHERE id = $1",
                        parameters,
                    )
                    .await?;
                session.end(revoked > 0)
            })
            .await
    }

    fn name(&self) -> String {
        self.database.store().replacen("warehouse", "keys", 1)
    }
}

fn key_from_row(row: &Row) -> Result<ApiKey, Failure> {
    let hash: &[u8] = row.try_get(2)?;
    let secret_hash = hash
        .try_into()
        .map_err(|_| Failure::Corrupt(format!("a hash has {} bytes, not 32", hash.len())))?;
    let scopes: &str = row.try_get(3)?;
    let rate_limit: Option<i64> = row.try_get(4)?;
    let created_at: DateTime<Utc> = row.try_get(5)?;
    let expires_at: Option<DateTime<Utc>> = row.try_get(6)?;
    let revoked_at: Option<DateTime<Utc>> = row.try_get(7)?;
    Ok(ApiKey {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        secret_hash,
        scopes: scopes_from_text(scopes),
        rate_limit: rate_limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        created_at: created_at.timestamp_millis(),
        expires_at: expires_at.map(|time| time.timestamp_millis()),
        revoked_at: revoked_at.map(|time| time.timestamp_millis()),
    })
}

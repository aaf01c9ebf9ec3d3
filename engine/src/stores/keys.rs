//! The keys of the API: who may ask what.
//!
//! A key is known by its identifier, which is no secret, and proven by a secret of which only a hash is
//! kept. Keys lie in the database of ledger and warehouse, so that every server of an installation knows
//! the same ones. A key that is revoked stays in the list: whoever looks later sees that it was there.

pub mod postgres;
pub mod sqlite;

use async_trait::async_trait;

use super::error::StoreResult;

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Read marts, saved queries, players, and the state of the pipeline.
    Read,
    /// Ask anything in SQL.
    Query,
    /// See and replay quarantined records, and whatever comes with the others but sending events.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Query, Self::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Query => "query",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What it is known by.
    pub id: String,
    /// Whose it is, for people.
    pub name: String,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// What it is good for, each once and in order.
    pub scopes: Vec<Scope>,
    /// Most requests per second; `None` for the setting's.
    pub rate_limit: Option<u32>,
    /// When it was made (milliseconds since 1970, UTC).
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

impl ApiKey {
    /// Whether it is good at this time (milliseconds since 1970, UTC).
    pub fn is_good(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// The scopes as they are stored.
fn scopes_text(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",")
}

/// The scopes back. One that a newer program has stored is left out: it gives less, never more.
fn scopes_from_text(text: &str) -> Vec<Scope> {
    text.split(',').filter_map(Scope::from_name).collect()
}

/// The keys. Every method ends within the store's time-outs.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Adds a key, durably. An identifier that is there already is an error.
    async fn add(&self, key: &ApiKey) -> StoreResult<()>;

    /// Every key, by the time it was made and its identifier.
    async fn list(&self) -> StoreResult<Vec<ApiKey>>;

    /// Revokes a key, durably. One that was revoked before keeps its time. Returns whether there is
    /// such a key.
    async fn revoke(&self, id: &str, now: i64) -> StoreResult<bool>;

    /// How messages name this store.
    fn name(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_back() {
        let scopes = vec![Scope::Ingest, Scope::Query];
        assert_eq!(scopes_from_text(&scopes_text(&scopes)), scopes);
        assert_eq!(scopes_from_text("read,erase"), [Scope::Read]);
        assert_eq!(scopes_from_text(""), []);
    }
}

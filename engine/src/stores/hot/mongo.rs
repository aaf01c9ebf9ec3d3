//! The hot store on a MongoDB server: one collection, `events`, in the database that the URL names.
//!
//! A document's `_id` is its event's identifier, and MongoDB's own index of `_id` is the dedup
//! index. In a sharded cluster that index is one only if `_id` is the shard key (hashed).
//!
//! Every write is acknowledged by a majority of the replica set and in its journal before it counts.
//! Every write may also be made twice without harm: what was inserted without an answer is found to
//! be our own when it is inserted again, and owners are compared before they change. So each call has
//! a time-out and is made again while what failed may pass.
//!
//! | file | does |
//! |---|---|
//! | `server.rs` | connects, finds out what the server is, makes the indexes, bounds each call |
//! | `document.rs` | rows to documents and back |
//! | `insert.rs` | inserts in chunks and settles what was there |
//! | `owners.rs` | reads and changes whose documents are: by comparing in the server |
//! | `transitions.rs` | the same where the server cannot compare (FerretDB 1) |
//! | `scan.rs` | pages by index; `cursors.rs` where no index is used (FerretDB 1) |
//! | `prune.rs` | forgets old documents |

mod answer;
mod cursors;
mod document;
mod error;
mod insert;
mod owners;
mod prune;
mod scan;
mod server;
mod transitions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::doc;
use mongodb::options::ConnectionString;
use tokio::sync::OnceCell;

use super::{HotBatch, HotEvent, HotFilter, HotInserted, HotPage, HotStore, TakeOver};
use crate::settings::ServerUrl;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use cursors::Cursors;
pub use server::Dialect;
use server::Server;

/// Longest time to connect, or to wait for another call that connects.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(90);

/// The hot store on MongoDB. It connects when it is used first.
pub struct MongoHotStore {
    url: ServerUrl,
    name: Arc<str>,
    dialect: Option<Dialect>,
    server: OnceCell<Server>,
    cursors: Cursors,
}

impl MongoHotStore {
    /// The store at this URL.
    ///
    /// # Errors
    /// The URL is not one that MongoDB's driver understands.
    pub fn new(url: &ServerUrl) -> StoreResult<Self> {
        let name: Arc<str> = format!("hot store ({url})").into();
        if let Err(error) = ConnectionString::parse(url.reveal()) {
            let reason = url.scrub(&error.kind.to_string());
            return Err(StoreError::new(
                &*name,
                "read its URL",
                StoreErrorKind::Incompatible,
                reason,
            )
            .with_advice("write mongodb://user:password@host:27017/database"));
        }
        Ok(Self {
            url: url.clone(),
            name,
            dialect: None,
            server: OnceCell::new(),
            cursors: Cursors::default(),
        })
    }

    /// The same store, which takes the server for one of this kind whatever it says: FerretDB
    /// answers what MongoDB is asked as well, only slowly.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    async fn server(&self) -> StoreResult<&Server> {
        let connect = || Server::connect(&self.url, Arc::clone(&self.name), self.dialect);
        // One connects and the others wait, of whom each would try in its turn.
        match tokio::time::timeout(CONNECT_TIMEOUT, self.server.get_or_try_init(connect)).await {
            Ok(server) => server,
            Err(_) => Err(StoreError::new(
                &*self.name,
                "connect",
                StoreErrorKind::Unavailable,
                format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            )
            .with_advice("check that MongoDB runs and can be reached")),
        }
    }
}

#[async_trait]
impl HotStore for MongoHotStore {
    async fn insert(&self, batch: Arc<HotBatch>) -> StoreResult<HotInserted> {
        insert::insert(self.server().await?, &batch).await
    }

    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>> {
        owners::change(self.server().await?, &documents).await
    }

    async fn prune(&self, before: i64) -> StoreResult<u64> {
        prune::prune(self.server().await?, before).await
    }

    async fn player_timeline(&self, player_id: &str, limit: usize) -> StoreResult<Vec<HotEvent>> {
        scan::timeline(self.server().await?, player_id, limit).await
    }

    async fn scan(&self, filter: &HotFilter, after: Option<String>) -> StoreResult<HotPage> {
        let server = self.server().await?;
        match server.dialect {
            Dialect::MongoDb => scan::page(server, filter, after.as_deref()).await,
            Dialect::FerretDb1 => self.cursors.page(server, filter, after.as_deref()).await,
        }
    }

    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
        scan::missing(self.server().await?, event_ids).await
    }

    async fn count(&self) -> StoreResult<u64> {
        let server = self.server().await?;
        server
            .call("count events", server.dialect.read_timeout(), || async {
                server.events.estimated_document_count().await
            })
            .await
    }

    async fn count_exactly(&self) -> StoreResult<u64> {
        let server = self.server().await?;
        server
            .call("count events", server.dialect.read_timeout(), || async {
                server.events.count_documents(doc! {}).await
            })
            .await
    }

    async fn ask(&self) -> StoreResult<()> {
        self.server().await?.ping().await
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

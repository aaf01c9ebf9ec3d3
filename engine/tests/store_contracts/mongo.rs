//! The hot store on the server that `QUESTLAKE_TEST_MONGODB_URL` names, and on another that speaks
//! as MongoDB does, which `QUESTLAKE_TEST_MONGOLIKE_URL` names.
//!
//! The suites run twice on the first, as Questlake speaks to it, and as it speaks to MongoDB: where it is
//! FerretDB 1, these are two ways, and FerretDB understands both.

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Database, IndexModel};
use questlake_engine::settings::ServerUrl;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::hot::mongo::{Dialect, MongoHotStore};
use questlake_engine::stores::hot::{HotFilter, HotStore};
use uuid::Uuid;

use super::hot;

/// A database of this test's own.
struct Fresh {
    url: ServerUrl,
    database: Database,
    dialect: Option<Dialect>,
}

impl Fresh {
    async fn new((variable, dialect): Case) -> Self {
        let url = std::env::var(variable).unwrap_or_default();
        assert!(
            !url.is_empty(),
            "{variable} is not set: run `make services`, then `eval \"$(scripts/services.sh env)\"`"
        );
        let name = format!("questlake_test_{}", Uuid::new_v4().simple());
        let url = with_database(&url, &name);
        let database = Client::with_uri_str(&url).await.unwrap().database(&name);
        Self { url: ServerUrl::new(url), database, dialect }
    }

    /// The store as another process has it.
    fn store(&self) -> MongoHotStore {
        let store = MongoHotStore::new(&self.url).unwrap();
        match self.dialect {
            Some(dialect) => store.with_dialect(dialect),
            None => store,
        }
    }

    async fn drop(self) {
        self.database.drop().await.unwrap();
    }
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, ""), |(left, right)| (left, right));
    let (scheme, rest) = address.split_once("://").unwrap();
    let hosts = rest.rsplit_once('/').map_or(rest, |(hosts, _)| hosts);
    format!("{scheme}://{hosts}/{name}?{options}")
}

/// The variable that names a server, and how to speak to it if not as it asks for.
type Case = (&'static str, Option<Dialect>);

/// Each server, as Questlake speaks to it.
const SERVERS: [Case; 2] =
    [("QUESTLAKE_TEST_MONGODB_URL", None), ("QUESTLAKE_TEST_MONGOLIKE_URL", None)];

/// The same, and one of them as if it were MongoDB.
const CASES: [Case; 3] =
    [SERVERS[0], SERVERS[1], ("QUESTLAKE_TEST_MONGODB_URL", Some(Dialect::MongoDb))];

/// The driver would look for the server for half a minute, and not say which file it was.
#[tokio::test]
async fn files_of_the_url_are_looked_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, empty] = ["missing.pem", "empty.pem"].map(|name| folder.path().join(name));
    std::fs::write(&empty, "").unwrap();
    for (option, file, what) in [
        ("tlsCAFile", &missing, "No such file"),
        ("tlsCAFile", &empty, "no certificate"),
        ("tlsCertificateKeyFile", &missing, "No such file"),
        ("tlsCertificateKeyFile", &empty, "no certificate"),
    ] {
        let shown = file.display().to_string();
        let url = format!("mongodb://127.0.0.1:1/questlake?tls=true&{option}={shown}");
        let error = MongoHotStore::new(&ServerUrl::new(url)).unwrap().count().await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Incompatible, "{error}");
        let text = error.to_string();
        assert!([option, &shown, what].iter().all(|part| text.contains(part)), "{text}");
    }
}

#[tokio::test]
async fn hot_store() {
    for case in CASES {
        let fresh = Fresh::new(case).await;
        hot::suite(&fresh.store()).await;
        hot::suite_after_reopening(&fresh.store()).await;
        fresh.drop().await;
    }
}

#[tokio::test]
async fn scans() {
    for case in CASES {
        let fresh = Fresh::new(case).await;
        hot::scans(&fresh.store()).await;
        fresh.drop().await;
    }
}

#[tokio::test]
async fn pruning() {
    for case in CASES {
        let fresh = Fresh::new(case).await;
        hot::pruning(&fresh.store(), 3_000).await;
        fresh.drop().await;
    }
}

#[tokio::test]
async fn anything_goes() {
    for case in CASES {
        let fresh = Fresh::new(case).await;
        hot::anything_goes(&fresh.store()).await;
        fresh.drop().await;
    }
}

/// FerretDB cannot be raced as if it were MongoDB.
#[tokio::test]
async fn races() {
    for server in SERVERS {
        let fresh = Fresh::new(server).await;
        hot::races(&fresh.store(), &fresh.store()).await;
        fresh.drop().await;
    }
}

/// A duplicate on somebody else's unique index is no duplicate of the event.
#[tokio::test]
async fn another_unique_index_refuses() {
    for case in CASES {
        let fresh = Fresh::new(case).await;
        let store = fresh.store();
        let unique = IndexModel::builder()
            .keys(doc! { "player_id": 1 })
            .options(IndexOptions::builder().unique(true).build())
            .build();
        fresh.database.collection::<Document>("events").create_index(unique).await.unwrap();
        let events = [("e1", "anna", 1), ("e2", "anna", 2), ("e3", "bela", 3), ("e2", "carl", 4)];
        let inserted = store.insert(hot::batch("a", 0, 1, &events[..3])).await.unwrap();
        assert_eq!(inserted.conflicts, []);
        assert_eq!(inserted.refused.len(), 1);
        assert_eq!(inserted.refused[0].row, 1);
        assert!(inserted.refused[0].reason.contains("E11000"), "{inserted:?}");
        // A replay finds the same.
        let inserted = store.insert(hot::batch("a", 0, 2, &events[..3])).await.unwrap();
        assert_eq!(inserted.conflicts, []);
        assert_eq!(inserted.refused.iter().map(|refusal| refusal.row).collect::<Vec<_>>(), [1]);
        // An event that was refused may come another way, and then it is there.
        let inserted = store.insert(hot::batch("a", 0, 3, &events)).await.unwrap();
        assert_eq!(inserted.conflicts.iter().map(|conflict| conflict.row).collect::<Vec<_>>(), [1]);
        assert_eq!(inserted.refused, []);
        let inserted = store.insert(hot::batch("b", 0, 2, &events[..1])).await.unwrap();
        assert_eq!(inserted.conflicts.len(), 1);
        assert_eq!(inserted.refused, []);
        assert_eq!(store.count().await.unwrap(), 3);
        fresh.drop().await;
    }
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused_and_no_other() {
    for server in SERVERS {
        let fresh = Fresh::new(server).await;
        let store = fresh.store();
        let large = format!("\"{}\"", "x".repeat(17 << 20));
        let events = [("e1", "p", 1, "{}"), ("e2", "p", 2, large.as_str()), ("e3", "p", 3, "{}")];
        let inserted = store.insert(hot::batch_of("a", 0, 1, &events)).await.unwrap();
        assert_eq!(inserted.conflicts, []);
        assert_eq!(inserted.refused.len(), 1);
        assert_eq!(inserted.refused[0].row, 1);
        assert!(inserted.refused[0].reason.contains("bytes"), "{:?}", inserted.refused[0].reason);
        assert_eq!(store.count().await.unwrap(), 2);
        fresh.drop().await;
    }
}

/// What somebody else wrote into the collection is an error, and not an event.
#[tokio::test]
async fn a_document_of_somebody_else_is_told() {
    for server in SERVERS {
        let fresh = Fresh::new(server).await;
        let foreign = doc! { "_id": "foreign", "player_id": "p" };
        fresh.database.collection("events").insert_one(foreign).await.unwrap();
        let store = fresh.store();
        let error = store.scan(&HotFilter::default(), None).await.unwrap_err().to_string();
        assert!(error.contains("a database of its own"), "{error}");
        fresh.drop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!(
        "mongodb://anna:s3cret@127.0.0.1:{port}/game?serverSelectionTimeoutMS=50&connectTimeoutMS=50"
    );
    let store = MongoHotStore::new(&ServerUrl::new(url)).unwrap();
    let error = store.count().await.unwrap_err().to_string();
    assert!(error.starts_with("hot store (mongodb://anna:***@127.0.0.1"), "{error}");
    assert!(error.contains("check that MongoDB runs"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

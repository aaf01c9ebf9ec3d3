//! An installation on servers: a database of its own in PostgreSQL and one in MongoDB, folders of
//! its own in HDFS or a bucket, a topic of its own; and what is in them, seen past the binary.

use mongodb::bson::{Document, doc};
use questlake_ingest::simulate::Accounting;
use tokio_postgres::{NoTls, Row};

use crate::dataset::{Dataset, write_truth};
use crate::inspect::{Sent, assert_same_keys, true_days};
use crate::kafka_topic::{Topic, brokers};
use crate::sandbox::Sandbox;
use crate::services::{address, block_on};

/// The installation. Dropping it removes its databases.
pub(crate) struct Installation {
    pub(crate) sandbox: Sandbox,
    pub(crate) topic: Topic,
    postgres: String,
    mongo: String,
    /// Of its databases.
    pub(crate) name: String,
}

impl Installation {
    /// An empty one; its topic has so many partitions.
    pub(crate) fn new(partitions: i32) -> Self {
        Self::of(Topic::create(partitions))
    }

    /// An empty one, whose topic is not there yet.
    pub(crate) fn without_topic() -> Self {
        Self::of(Topic::named())
    }

    /// An empty one whose landing and archive are in the bucket.
    pub(crate) fn in_bucket(partitions: i32) -> Self {
        let mut installation = Self::new(partitions);
        let (bucket, name) = (address("QUESTLAKE_TEST_S3_URL"), &installation.name);
        installation.sandbox = installation.sandbox.with_variables(&[
            ("QUESTLAKE_STORES_LANDING", in_bucket(&bucket, &format!("{name}/landing"))),
            ("QUESTLAKE_STORES_ARCHIVE", in_bucket(&bucket, &format!("{name}/archive"))),
        ]);
        installation
    }

    /// An empty one whose hot store is on the server that this variable of the services names.
    pub(crate) fn with_hot_store(variable: &str, partitions: i32) -> Self {
        let mut installation = Self::new(partitions);
        installation.mongo = with_database(&address(variable), &installation.name);
        let hot = ("QUESTLAKE_STORES_HOT", installation.mongo.clone());
        installation.sandbox = installation.sandbox.with_variables(&[hot]);
        installation
    }

    fn of(topic: Topic) -> Self {
        let name = topic.name.replace('-', "_");
        let server = address("QUESTLAKE_TEST_POSTGRES_URL");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        block_on(query(&server, &create));
        let postgres = with_database(&server, &name);
        let mongo = with_database(&address("QUESTLAKE_TEST_MONGODB_URL"), &name);
        let folder = format!("{}/questlake-test/{name}", address("QUESTLAKE_TEST_HDFS_URL"));
        let sandbox = Sandbox::new().with_variables(&[
            ("QUESTLAKE_STORES_WAREHOUSE", postgres.clone()),
            ("QUESTLAKE_STORES_HOT", mongo.clone()),
            ("QUESTLAKE_STORES_LANDING", format!("{folder}/landing")),
            ("QUESTLAKE_STORES_ARCHIVE", format!("{folder}/archive")),
            ("QUESTLAKE_STORES_CACHE", address("QUESTLAKE_TEST_REDIS_URL")),
            ("QUESTLAKE_KAFKA_BROKERS", brokers()),
            ("QUESTLAKE_KAFKA_TOPIC", topic.name.clone()),
            ("QUESTLAKE_KAFKA_GROUP", topic.name.clone()),
        ]);
        Self { sandbox, topic, postgres, mongo, name }
    }

    /// Asserts that every event of the data set is in every store exactly once, that the accounts
    /// are exact, and that the marts equal the truth. The star schema must be up to date.
    pub(crate) fn assert_exactly_once(&self, dataset: &Dataset, sent: Sent, what: &str) {
        let found = self.accounting();
        let expected = dataset.truth.accounting;
        match sent {
            Sent::Once => assert_eq!(found, expected, "accounting, {what}"),
            Sent::Again => assert_eq!(found.landed, expected.landed, "landed, {what}"),
        }
        assert_eq!(found.lines, found.landed + found.duplicates + found.quarantined, "{what}");
        assert_same_keys(self.hot_keys(), &dataset.keys.events, "hot store", what);
        let rows = self.sandbox.query("SELECT event_id FROM events.envelope");
        let keys = rows.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect();
        assert_same_keys(keys, &dataset.keys.events, "events.envelope", what);
        assert_eq!(self.ledger_days(), true_days(dataset), "rows by type and day, {what}");
        for (table, key, expected) in [
            ("fact_purchase", "event_id", &dataset.keys.purchases),
            ("fact_ad_impression", "event_id", &dataset.keys.ad_impressions),
            ("fact_session", "session_id", &dataset.keys.sessions),
            ("dim_player", "player_id", &dataset.keys.players),
        ] {
            let keys = self.texts(&format!("SELECT {key} FROM star.{table}"));
            assert_same_keys(keys, expected, table, what);
        }
        let mut truth = dataset.truth.clone();
        truth.accounting = found;
        let truth = write_truth(&self.sandbox, &truth);
        let verified =
            self.sandbox.run(&["verify".as_ref(), "--truth".as_ref(), truth.as_os_str()]);
        assert!(verified.status.success(), "{what}: {verified:#?}");
    }

    /// The totals of all partitions.
    pub(crate) fn accounting(&self) -> Accounting {
        self.try_accounting().unwrap()
    }

    /// The totals of all partitions, if the server answers and there are any.
    pub(crate) fn try_accounting(&self) -> Option<Accounting> {
        let rows = block_on(try_query(
            &self.postgres,
            "SELECT coalesce(sum(consumed), 0)::bigint, coalesce(sum(landed), 0)::bigint, \
             coalesce(sum(duplicates), 0)::bigint, coalesce(sum(quarantined), 0)::bigint \
             FROM questlake.partitions",
        ))
        .ok()?;
        let count = |index| rows[0].get::<_, i64>(index) as u64;
        Some(Accounting {
            lines: count(0),
            landed: count(1),
            duplicates: count(2),
            quarantined: count(3),
        })
    }

    /// Rows by event type and day as the ledger counts them, in landing and archive.
    fn ledger_days(&self) -> Vec<(String, String, u64)> {
        let rows = self.rows(
            "SELECT event_type, event_date::text, sum(\"rows\")::bigint FROM ( \
             SELECT event_type, event_date, \"rows\" FROM questlake.section_days \
             JOIN questlake.segments USING (sequence) WHERE archived_at IS NULL UNION ALL \
             SELECT event_type, event_date, \"rows\" FROM questlake.archive_days) AS both_places \
             GROUP BY 1, 2 ORDER BY 1, 2",
        );
        rows.iter().map(|row| (row.get(0), row.get(1), row.get::<_, i64>(2) as u64)).collect()
    }

    /// The documents in the hot store.
    pub(crate) async fn hot_events(&self) -> mongodb::Collection<Document> {
        let client = mongodb::Client::with_uri_str(&self.mongo).await.unwrap();
        client.database(&self.name).collection("events")
    }

    /// Identifiers of the documents in the hot store.
    fn hot_keys(&self) -> Vec<String> {
        block_on(async {
            let events = self.hot_events().await;
            let mut cursor = events.find(doc! {}).projection(doc! { "_id": 1 }).await.unwrap();
            let mut keys = Vec::new();
            while cursor.advance().await.unwrap() {
                keys.push(cursor.current().get_str("_id").unwrap().to_owned());
            }
            keys
        })
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        self.rows(sql).iter().map(|row| row.get(0)).collect()
    }

    fn rows(&self, sql: &str) -> Vec<Row> {
        block_on(query(&self.postgres, sql))
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // Folders go with `make services-down`, and so does what cannot be removed now.
        let server = address("QUESTLAKE_TEST_POSTGRES_URL");
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        block_on(async {
            if let Ok((client, connection)) = tokio_postgres::connect(&server, NoTls).await {
                tokio::spawn(connection);
                let _ = client.batch_execute(&sql).await;
            }
            if let Ok(client) = mongodb::Client::with_uri_str(&self.mongo).await {
                let _ = client.database(&self.name).drop().await;
            }
        });
    }
}

async fn query(server: &str, sql: &str) -> Vec<Row> {
    try_query(server, sql).await.unwrap()
}

async fn try_query(server: &str, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    tokio::spawn(connection);
    client.query(sql, &[]).await
}

/// The URL of a folder in this bucket.
pub(crate) fn in_bucket(bucket: &str, folder: &str) -> String {
    match bucket.split_once('?') {
        Some((bucket, options)) => format!("{bucket}/{folder}?{options}"),
        None => format!("{bucket}/{folder}"),
    }
}

/// The URL with another database.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (address, options) =
        url.split_once('?').map_or((url, None), |(left, right)| (left, Some(right)));
    let (hosts, _) = address.rsplit_once('/').unwrap();
    match options {
        Some(options) => format!("{hosts}/{name}?{options}"),
        None => format!("{hosts}/{name}"),
    }
}

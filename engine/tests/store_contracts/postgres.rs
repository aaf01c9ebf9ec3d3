//! Ledger and warehouse on a PostgreSQL server: the suites, and what only a server can do wrong.

#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/first_load.rs"]
mod first_load;
#[path = "postgres/proxy.rs"]
mod proxy;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::MemTable;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::join_all;
use questlake_engine::settings::ServerUrl;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::keys::KeyStore;
use questlake_engine::stores::keys::postgres::PostgresKeys;
use questlake_engine::stores::ledger::postgres::PostgresLedger;
use questlake_engine::stores::ledger::{BatchCommit, Ledger};
use questlake_engine::stores::postgres::PostgresDatabase;
use questlake_engine::stores::warehouse::postgres::PostgresWarehouse;
use questlake_engine::stores::warehouse::postgres::aggregate::optimizer_rules;
use questlake_engine::stores::warehouse::{Combine, LoadMode, TableDefinition, Warehouse};

use crate::{keys, ledger, warehouse};
use database::with_database;
use proxy::Proxy;

/// The message by which a transaction is committed, and nothing else.
const COMMIT: &str = "COMMIT\0";

fn open(url: &ServerUrl) -> PostgresDatabase {
    PostgresDatabase::open("warehouse", url).unwrap()
}

#[tokio::test]
async fn ledger_store() {
    with_database(async |url| {
        let (first, second) = (PostgresLedger::new(open(&url)), PostgresLedger::new(open(&url)));
        // Two processes begin at the same time, and neither finds the tables.
        let (left, right) = tokio::join!(first.latest_sequence(), second.latest_sequence());
        assert_eq!((left.unwrap(), right.unwrap()), (0, 0));
        ledger::suite(&first, &second).await;
    })
    .await;
}

#[tokio::test]
async fn key_store() {
    with_database(async |url| {
        let (first, second) = (PostgresKeys::new(open(&url)), PostgresKeys::new(open(&url)));
        keys::suite(&first, &second).await;
    })
    .await;
}

#[tokio::test]
async fn tables_of_an_earlier_version_are_added_to() {
    with_database(async |url| {
        PostgresLedger::new(open(&url)).latest_sequence().await.unwrap();
        let client = database::connect(&url).await;
        client
            .batch_execute(
                "DROP TABLE questlake.api_keys; UPDATE questlake.installation SET version = 2",
            )
            .await
            .unwrap();
        assert_eq!(PostgresKeys::new(open(&url)).list().await.unwrap(), []);
        let row = client.query_one("SELECT version FROM questlake.installation", &[]).await;
        assert!(row.unwrap().get::<_, i32>(0) > 1);
    })
    .await;
}

#[tokio::test]
async fn warehouse_store() {
    with_database(async |url| warehouse::suite(&PostgresWarehouse::new(open(&url))).await).await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    with_database(async |url| {
        let proxy = Proxy::start(&url).await;
        let through_proxy = PostgresLedger::new(open(&proxy.url()));
        let claim = through_proxy.claim("t", 0).await.unwrap();
        for (number, segment) in [(0, Some(ledger::segment("lost"))), (1, None)] {
            let mut claim = claim.clone();
            claim.next_offset = number;
            let batch = BatchCommit {
                segment,
                advances: vec![ledger::advance(&claim, number + 1, ledger::counts(1, 0, 0))],
                ..BatchCommit::default()
            };
            proxy.lose_answer_to(COMMIT);
            let sequence = through_proxy.commit(batch).await.unwrap();
            assert_eq!(sequence, if number == 0 { 1 } else { 0 });
            assert!(proxy.has_lost());
        }
        let direct = PostgresLedger::new(open(&url));
        let partitions = direct.partitions().await.unwrap();
        assert_eq!(partitions[0].claim.next_offset, 2);
        assert_eq!(partitions[0].counts, ledger::counts(2, 0, 0));
        assert_eq!(direct.segments(0, 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made() {
    with_database(async |url| {
        let proxy = Proxy::start(&url).await;
        let through_proxy = PostgresLedger::new(open(&proxy.url()));
        let claim = through_proxy.claim("t", 0).await.unwrap();
        let batch = BatchCommit {
            segment: Some(ledger::segment("late")),
            advances: vec![ledger::advance(&claim, 5, ledger::counts(5, 0, 0))],
            ..BatchCommit::default()
        };
        proxy.lose_request(COMMIT);
        assert_eq!(through_proxy.commit(batch).await.unwrap(), 1);
        assert!(proxy.has_lost());
        assert_eq!(through_proxy.position("t", 0).await.unwrap(), Some(5));
    })
    .await;
}

#[tokio::test]
async fn a_publication_whose_answer_is_lost_is_looked_up() {
    with_database(async |url| {
        let proxy = Proxy::start(&url).await;
        let through_proxy = PostgresWarehouse::new(open(&proxy.url()));
        through_proxy.prepare(&[warehouse::table()], &Default::default()).await.unwrap();
        let rows: [warehouse::Row; 1] = [("a", 1, 1, None, None)];
        for (mode, expected, sequence) in
            [(LoadMode::Append, None, 1), (LoadMode::Upsert, Some(1), 2)]
        {
            proxy.lose_answer_to(COMMIT);
            let publication = warehouse::publication(mode, expected, sequence);
            warehouse::load(&through_proxy, &rows, publication).await.unwrap();
            assert!(proxy.has_lost());
        }
        assert_eq!(warehouse::select(&through_proxy, "").await, "a 1970-01-02 2");
        // One that did not arrive is a failure, and nothing is there.
        proxy.lose_request(COMMIT);
        let publication = warehouse::publication(LoadMode::Upsert, Some(2), 3);
        warehouse::load(&through_proxy, &rows, publication).await.unwrap_err();
        assert!(proxy.has_lost());
        assert_eq!(through_proxy.progress().await.unwrap()[0].ledger_sequence, 2);
        assert_eq!(warehouse::select(&through_proxy, "").await, "a 1970-01-02 2");
    })
    .await;
}

#[tokio::test]
async fn connections_that_the_server_has_ended_are_made_again() {
    with_database(async |url| {
        let ledger = PostgresLedger::new(open(&url));
        ledger.claim("t", 0).await.unwrap();
        let admin = database::connect(&url).await;
        let ended = admin
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() \
                 AND backend_type = 'client backend'",
                &[],
            )
            .await
            .unwrap();
        assert!(!ended.is_empty());
        assert_eq!(ledger.claim("t", 0).await.unwrap().epoch, 2);
    })
    .await;
}

#[tokio::test]
async fn whether_the_server_answers_is_asked_over_a_connection_that_works() {
    with_database(async |url| {
        const PATIENCE: Duration = Duration::from_secs(30);
        let mut proxy = Proxy::start(&url).await;
        let ledger = PostgresLedger::new(open(&proxy.url()));
        for sequence in join_all((0..3).map(|_| ledger.latest_sequence())).await {
            sequence.unwrap();
        }
        // Connections that nobody uses are lost without a word: the first that is asked over is one
        // of them.
        let admin = database::connect(&url).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND backend_type = 'client backend'";
        assert!(admin.query_one(end, &[]).await.unwrap().get::<_, i64>(0) > 1);
        ledger.ask(PATIENCE).await.unwrap();
        proxy.end().await;
        let begun = Instant::now();
        let error = ledger.ask(PATIENCE).await.unwrap_err();
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(&proxy.address()), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_lock_ends_with_its_holder() {
    with_database(async |url| {
        let (first, second) =
            (PostgresWarehouse::new(open(&url)), PostgresWarehouse::new(open(&url)));
        let held = first.lock("pipeline").await.unwrap();
        let error = second.lock("pipeline").await.err().unwrap().to_string();
        assert!(error.contains("another pipeline run is under way"), "{error}");
        drop(held);
        // The server hears of it when the connection's end has arrived.
        let admin = database::connect(&url).await;
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while admin.query_one(locks, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
        second.lock("pipeline").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn people_find_their_way_in_psql() {
    with_database(async |url| {
        let store = PostgresWarehouse::new(open(&url));
        let mut table = warehouse::table();
        table.comment = Some("A player's day".to_owned());
        store.prepare(&[table.clone()], &Default::default()).await.unwrap();
        table.columns[1].comment = Some("It's the day".to_owned());
        store.prepare(&[table], &Default::default()).await.unwrap();
        let admin = database::connect(&url).await;
        let one = async |sql: &str| admin.query_one(sql, &[]).await.unwrap().get::<_, String>(0);
        let comment = one("SELECT obj_description('star.fact_day'::regclass, 'pg_class')").await;
        assert_eq!(comment, "A player's day");
        let comment = one("SELECT col_description('star.fact_day'::regclass, 2)").await;
        assert_eq!(comment, "It's the day");
        let indexes = one("SELECT string_agg(indexdef, '; ' ORDER BY indexdef) FROM pg_indexes \
                           WHERE schemaname = 'star'")
        .await;
        assert!(indexes.contains("UNIQUE INDEX") && indexes.contains("(player_id)"), "{indexes}");
        assert!(indexes.contains("btree (day)"), "{indexes}");
        let undescribed = one("SELECT coalesce(string_agg(c.relname, ', '), '') FROM pg_class c \
                               WHERE c.relnamespace = 'questlake'::regnamespace \
                               AND c.relkind = 'r' AND obj_description(c.oid, 'pg_class') IS NULL")
        .await;
        assert_eq!(undescribed, "");
    })
    .await;
}

/// A table with a column of each type.
fn types_table() -> TableDefinition {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let column = |name, data_type| warehouse::column(name, data_type, Combine::Replace);
    TableDefinition {
        name: "types".to_owned(),
        columns: vec![
            column("text", DataType::Utf8),
            column("number", DataType::Int64),
            column("share", DataType::Float64),
            column("usd", DataType::Decimal128(38, 10)),
            column("day", DataType::Date32),
            column("at", timestamp),
            column("paid", DataType::Boolean),
        ],
        key: Vec::new(),
        partition: None,
        comment: None,
    }
}

/// Values that are easily mistaken for each other.
fn types_rows() -> RecordBatch {
    let most = 10_i128.pow(38) - 1;
    let decimals = Decimal128Array::from(vec![Some(most), Some(-1), None, Some(-1), Some(0)]);
    let times = vec![Some(-1), Some(0), None, Some(1_767_225_600_000_001), Some(0)];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a"), Some("B"), None, Some("ä"), Some("")])),
        Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None, Some(1), Some(0)])),
        Arc::new(Float64Array::from(vec![
            Some(f64::MAX),
            Some(f64::MIN_POSITIVE),
            None,
            Some(f64::NEG_INFINITY),
            Some(0.1),
        ])),
        Arc::new(decimals.with_precision_and_scale(38, 10).unwrap()),
        Arc::new(Date32Array::from(vec![Some(-719_162), Some(0), None, Some(20_454), Some(0)])),
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true)])),
    ];
    RecordBatch::try_new(types_table().schema(), columns).unwrap()
}

/// A session with the table on the server and the same rows in memory.
async fn compared_session(store: &PostgresWarehouse) -> SessionContext {
    let table = types_table();
    store.prepare(std::slice::from_ref(&table), &Default::default()).await.unwrap();
    let mut load = store.begin_load(&table, &LoadMode::Append).await.unwrap();
    load.write(types_rows()).await.unwrap();
    let mut publication = warehouse::publication(LoadMode::Append, None, 1);
    publication.progress.model = table.name.clone();
    publication.watches.clear();
    load.publish(publication).await.unwrap();
    let decimals = "datafusion.sql_parser.parse_float_as_decimal";
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().set_bool(decimals, true))
        .with_default_features()
        .with_optimizer_rules(optimizer_rules())
        .build();
    let session = SessionContext::new_with_state(state);
    session.register_table("server", store.table(&table)).unwrap();
    let memory = MemTable::try_new(table.schema(), vec![vec![types_rows()]]).unwrap();
    session.register_table("memory", Arc::new(memory)).unwrap();
    session
}

async fn answer(session: &SessionContext, sql: &str) -> (String, String) {
    let frame = session.sql(sql).await.unwrap();
    let plan = frame.clone().create_physical_plan().await.unwrap();
    let plan = datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string();
    let rows = frame.collect().await.unwrap();
    (pretty_format_batches(&rows).unwrap().to_string(), plan)
}

#[tokio::test]
async fn the_server_answers_as_datafusion_does() {
    with_database(async |url| {
        let store = PostgresWarehouse::new(open(&url));
        let session = compared_session(&store).await;
        for (sql, on_server) in [
            ("SELECT * FROM t ORDER BY number", "FilterExec"),
            ("SELECT text FROM t WHERE text > 'B' ORDER BY text", "FilterExec"),
            ("SELECT number FROM t WHERE text LIKE '%a%' OR paid ORDER BY 1", "FilterExec"),
            ("SELECT text FROM t WHERE usd <= -0.0000000001 ORDER BY text", "FilterExec"),
            ("SELECT text FROM t WHERE day BETWEEN DATE '0001-01-01' AND DATE '1970-01-01' \
              ORDER BY text", "FilterExec"),
            ("SELECT text FROM t WHERE at < arrow_cast('1970-01-01T00:00:00Z', \
              'Timestamp(Microsecond, Some(\"UTC\"))') ORDER BY text",
             "FilterExec"),
            ("SELECT text FROM t WHERE NOT (number IN (1, 0)) ORDER BY text", "FilterExec"),
            ("SELECT count(*), count(text), count(DISTINCT usd), count(DISTINCT text) FROM t",
             "AggregateExec"),
            ("SELECT min(text), max(text), min(usd), max(usd), min(day), max(at) FROM t",
             "AggregateExec"),
            ("SELECT day, sum(number), count(*) FROM t WHERE number < 5 GROUP BY day ORDER BY day",
             "AggregateExec"),
            ("SELECT paid, sum(usd), count(*) FILTER (WHERE text = 'a') FROM t \
              WHERE usd < 1 GROUP BY paid ORDER BY paid", "AggregateExec"),
            ("SELECT DISTINCT day FROM t ORDER BY day", "AggregateExec"),
            ("SELECT sum(usd) FROM t WHERE text = 'nobody'", "AggregateExec"),
            ("SELECT count(*) FROM t WHERE text = 'nobody'", "AggregateExec"),
        ] {
            let (theirs, plan) = answer(&session, &sql.replace("FROM t", "FROM server AS t")).await;
            let (ours, _) = answer(&session, &sql.replace("FROM t", "FROM memory AS t")).await;
            assert_eq!(theirs, ours, "{sql}");
            assert!(!plan.contains(on_server), "{sql}: {plan}");
        }
        // What is left to DataFusion is right as well.
        for sql in [
            "SELECT text FROM t WHERE share > CAST(0.05 AS DOUBLE) ORDER BY text",
            "SELECT avg(number), sum(share) FROM t WHERE number BETWEEN 0 AND 1",
            "SELECT date_trunc('month', at), count(*) FROM t GROUP BY 1 ORDER BY 1",
            "SELECT count(*) FROM (SELECT * FROM t LIMIT 2)",
        ] {
            let (theirs, _) = answer(&session, &sql.replace("FROM t", "FROM server AS t")).await;
            let (ours, _) = answer(&session, &sql.replace("FROM t", "FROM memory AS t")).await;
            assert_eq!(theirs, ours, "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_that_the_server_refuses_does_not_stop_a_model() {
    with_database(async |url| {
        let store = PostgresWarehouse::new(open(&url));
        store.prepare(&[warehouse::table()], &Default::default()).await.unwrap();
        let rows: [warehouse::Row; 1] = [("a\0b", 1, 1, None, None)];
        let publication = warehouse::publication(LoadMode::Append, None, 1);
        warehouse::load(&store, &rows, publication).await.unwrap();
        assert_eq!(warehouse::select(&store, "").await, "a\u{fffd}b 1970-01-02 1");
    })
    .await;
}

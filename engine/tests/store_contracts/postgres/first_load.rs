//! A table that is filled for the first time, beside people who read it or have built on it.

use questlake_engine::settings::ServerUrl;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::warehouse::postgres::PostgresWarehouse;
use questlake_engine::stores::warehouse::{LoadMode, Warehouse};
use tokio_postgres::Client;

use super::{COMMIT, Proxy, database, open, warehouse, with_database};

const ROWS: [warehouse::Row; 2] = [("b", 2, 1, None, None), ("a", 1, 1, None, Some("ios"))];
const AS_TEXT: &str = "a 1970-01-02 1  ios\nb 1970-01-03 1";

async fn one(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// What tells one table from another that was put in its place.
async fn identity(client: &Client) -> String {
    one(client, "SELECT to_regclass('star.fact_day')::oid::text").await
}

/// All that a person sees of the table, beside its rows.
async fn description(client: &Client) -> String {
    one(
        client,
        "SELECT concat_ws('; ', obj_description('star.fact_day'::regclass, 'pg_class'), \
         (SELECT string_agg(concat_ws(' ', attname, atttypid::regtype, attnotnull, \
          col_description(attrelid, attnum)), ', ' ORDER BY attnum) FROM pg_attribute \
          WHERE attrelid = 'star.fact_day'::regclass AND attnum > 0), \
         (SELECT string_agg(indexdef, ', ' ORDER BY indexdef) FROM pg_indexes \
          WHERE schemaname = 'star'), \
         (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname) \
          FROM pg_constraint WHERE connamespace = 'star'::regnamespace), \
         (SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'star'))",
    )
    .await
}

/// A store with an empty table, and a person's connection.
async fn prepared(url: &ServerUrl) -> (PostgresWarehouse, Client) {
    let store = PostgresWarehouse::new(open(url));
    let mut table = warehouse::table();
    table.comment = Some("A player's day".to_owned());
    store.prepare(&[table], &Default::default()).await.unwrap();
    (store, database::connect(url).await)
}

async fn fill(store: &PostgresWarehouse) {
    let publication = warehouse::publication(LoadMode::ReplaceAll, None, 1);
    assert_eq!(warehouse::load(store, &ROWS, publication).await.unwrap(), 2);
    assert_eq!(warehouse::select(store, "").await, AS_TEXT);
}

#[tokio::test]
async fn a_new_table_takes_the_place_of_the_empty_one() {
    with_database(async |url| {
        let (store, client) = prepared(&url).await;
        let (before, empty) = (description(&client).await, identity(&client).await);
        fill(&store).await;
        assert_ne!(identity(&client).await, empty, "the rows went into the table itself");
        // The comment of the table is that of the load's definition, which has none.
        let expected = before.replace("A player's day; ", "");
        assert_eq!(description(&client).await, expected);
    })
    .await;
}

#[tokio::test]
async fn what_was_built_on_an_empty_table_stays() {
    with_database(async |url| {
        let (store, client) = prepared(&url).await;
        client
            .batch_execute(
                "CREATE VIEW star.players AS SELECT player_id FROM star.fact_day; \
                 GRANT SELECT ON star.fact_day TO public",
            )
            .await
            .unwrap();
        let before = identity(&client).await;
        fill(&store).await;
        assert_eq!(identity(&client).await, before);
        let players = "SELECT string_agg(player_id, ' ' ORDER BY player_id) FROM star.players";
        assert_eq!(one(&client, players).await, "a b");
        let rights = "SELECT relacl::text FROM pg_class WHERE oid = 'star.fact_day'::regclass";
        assert!(one(&client, rights).await.contains("=r/"));
    })
    .await;
}

#[tokio::test]
async fn a_first_load_does_not_wait_for_those_who_read_for_long() {
    with_database(async |url| {
        let (store, client) = prepared(&url).await;
        client.batch_execute("BEGIN; SELECT FROM star.fact_day").await.unwrap();
        let before = identity(&client).await;
        fill(&store).await;
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(identity(&client).await, before);
        assert_eq!(one(&client, "SELECT count(*)::text FROM star.fact_day").await, "2");
    })
    .await;
}

#[tokio::test]
async fn a_first_load_that_fails_leaves_the_empty_table() {
    with_database(async |url| {
        let (store, client) = prepared(&url).await;
        let before = (description(&client).await, identity(&client).await);
        let twice: [warehouse::Row; 2] = [("q", 1, 1, None, None), ("q", 2, 1, None, None)];
        let publication = || warehouse::publication(LoadMode::ReplaceAll, None, 1);
        let error = warehouse::load(&store, &twice, publication()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains("player_id = q"), "{error}");
        // A COMMIT that never arrives.
        let proxy = Proxy::start(&url).await;
        let through_proxy = PostgresWarehouse::new(open(&proxy.url()));
        proxy.lose_request(COMMIT);
        warehouse::load(&through_proxy, &ROWS, publication()).await.unwrap_err();
        assert!(proxy.has_lost());
        assert_eq!((description(&client).await, identity(&client).await), before);
        // One whose answer is lost was made.
        proxy.lose_answer_to(COMMIT);
        warehouse::load(&through_proxy, &ROWS, publication()).await.unwrap();
        assert!(proxy.has_lost());
        assert_eq!(warehouse::select(&store, "").await, AS_TEXT);
    })
    .await;
}

//! A hot store that refuses a part of a batch: what it refuses is in quarantine, with its words, and
//! the rest is taken in.

use mongodb::IndexModel;
use mongodb::bson::doc;
use mongodb::options::IndexOptions;

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::Installation;
use crate::services::{block_on, use_services};

/// Somebody has made an index by which each player can have one event.
fn with_another_unique_index(hot_store: &str) {
    let _services = use_services();
    let dataset = Dataset::simulate(6, 4, 13);
    let installation = Installation::with_hot_store(hot_store, 1);
    let sandbox = &installation.sandbox;
    let players = dataset.keys.players.len() as u64;
    let (unique, keys) = (IndexOptions::builder().unique(true).build(), doc! { "player_id": 1 });
    let index = IndexModel::builder().keys(keys).options(unique).build();
    block_on(async { installation.hot_events().await.create_index(index).await }).unwrap();

    let file = sandbox.write("events.ndjson", dataset.bytes());
    let totals = &sandbox.ingest(&[&file])["totals"];
    let expected = dataset.truth.accounting;
    assert_eq!(totals["consumed"], expected.lines, "{totals}");
    assert_eq!(totals["landed"], players, "the first event of each: {totals}");
    let listed = ["quarantine", "list", "--limit", "100000", "--format", "json"];
    let refused = ["--reason", "refused_by_hot_store"];
    let listed = sandbox.succeed(&[&listed[..], &refused].concat()).json();
    let records = listed["records"].as_array().unwrap();
    // Duplicates of what was refused are refused as well.
    assert!(records.len() as u64 >= expected.landed - players, "{}", records.len());
    assert!(records[0]["detail"].as_str().unwrap().contains("E11000"), "{}", records[0]);
    assert_eq!(sandbox.status()["accounting"]["adds_up"], true);

    // Once the index is gone, nothing is lost.
    block_on(async { installation.hot_events().await.drop_index("player_id_1").await }).unwrap();
    sandbox.succeed(&[&["quarantine", "replay"][..], &refused].concat());
    sandbox.etl();
    installation.assert_exactly_once(&dataset, Sent::Again, hot_store);
}

#[test]
fn what_another_unique_index_refuses_is_quarantined() {
    with_another_unique_index("QUESTLAKE_TEST_MONGODB_URL");
}

#[test]
fn the_same_on_a_server_that_is_like_mongodb() {
    with_another_unique_index("QUESTLAKE_TEST_MONGOLIKE_URL");
}

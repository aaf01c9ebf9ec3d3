//! Whoever asks whether a server is ready learns which store is not.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::api_client::fetch;
use crate::collector::{Server, agent};
use crate::sandbox::Sandbox;

#[test]
fn a_store_that_hangs_is_named_and_no_other() {
    // They take connections and never answer.
    let [hot, broker] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [hot_address, broker_address] = [&hot, &broker].map(|one| one.local_addr().unwrap());
    let sandbox = Sandbox::new().with_variables(&[
        ("QUESTLAKE_STORES_HOT", format!("mongodb://me:secret@{hot_address}/questlake")),
        ("QUESTLAKE_KAFKA_BROKERS", broker_address.to_string()),
        ("QUESTLAKE_KAFKA_REQUEST_TIMEOUT", "1s".to_owned()),
    ]);
    let server = Server::start(&sandbox, &[]);
    let begun = Instant::now();
    let reply = fetch(&agent(), &format!("{}/readyz", server.url), &[]);
    // Sooner than the store's own time-outs, which are half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(reply.status, 503, "{}", reply.text());
    let body = reply.json();
    let stores = body["stores"].as_array().unwrap();
    let named = |ready: bool| -> BTreeSet<&str> {
        let those = stores.iter().filter(|store| store["ready"] == ready);
        those.map(|store| store["store"].as_str().unwrap()).collect()
    };
    assert_eq!(named(false), BTreeSet::from(["hot", "kafka"]), "{body}");
    let others = BTreeSet::from(["archive", "cache", "landing", "ledger", "warehouse"]);
    assert_eq!(named(true), others, "{body}");
    for address in [hot_address, broker_address] {
        assert!(reply.text().contains(&address.to_string()), "{body}");
    }
    assert!(!reply.text().contains("secret"), "{body}");
}

//! A database for one test, on the server that `make services` has started.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use questlake_engine::settings::ServerUrl;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

const VARIABLE: &str = "QUESTLAKE_TEST_POSTGRES_URL";

/// Runs a test with the URL of an empty database, which is removed however the test ends, if it can be.
pub(crate) async fn with_database(test: impl AsyncFnOnce(ServerUrl)) {
    let server = std::env::var(VARIABLE).unwrap_or_default();
    assert!(
        !server.is_empty(),
        "{VARIABLE} is not set: run `make services`, and `eval \"$(scripts/services.sh env)\"`"
    );
    let name = format!("questlake_test_{}", Uuid::new_v4().simple());
    let admin = connect(&ServerUrl::new(&server)).await;
    admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let ended = AssertUnwindSafe(test(ServerUrl::new(url.to_string()))).catch_unwind().await;
    // The server's own vacuum may be at it, which only its owner may end. What stays goes with
    // `make services-down`.
    let _ = admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// A connection of the test's own.
pub(crate) async fn connect(url: &ServerUrl) -> Client {
    let (client, connection) = tokio_postgres::connect(url.reveal(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

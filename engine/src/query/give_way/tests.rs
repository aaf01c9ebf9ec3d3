use std::time::{Duration, Instant};

use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

fn session(cancellation: &Arc<Cancellation>) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(1);
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_physical_optimizer_rule(Arc::new(GiveWay { cancellation: Arc::clone(cancellation) }))
        .build();
    SessionContext::new_with_state(state)
}

/// Pairs of rows that would take hours.
const ROWS: &str = "(SELECT value FROM generate_series(1, 400000))";

#[test]
fn joins_without_a_result_end_with_their_query() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for condition in
        ["a.value + b.value < 0", "a.value % 1 = b.value % 1 AND a.value + b.value < 0"]
    {
        let limit = Duration::from_millis(1500);
        let begun = Instant::now();
        let cancellation = Cancellation::new(begun, Some(limit));
        let session = session(&cancellation);
        // Nothing else can end it: the thread is the only one.
        let error = runtime.block_on(async {
            let sql = format!("SELECT count(*) FROM {ROWS} a JOIN {ROWS} b ON {condition}");
            let plan = session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            collect(plan, session.task_ctx()).await.unwrap_err()
        });
        assert!(error.to_string().contains("query.timeout"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{condition}: {:?}", begun.elapsed());
    }
}

#[test]
fn joins_of_everything_give_way() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = session(&Cancellation::new(Instant::now(), None));
    let begun = Instant::now();
    runtime.block_on(async {
        let sql =
            format!("SELECT count(*) FROM {ROWS} a CROSS JOIN {ROWS} b WHERE a.value < 0 OR true");
        let plan = session.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let counting = collect(plan, session.task_ctx());
        // The timer runs on the same thread.
        let ended = tokio::time::timeout(Duration::from_millis(500), counting).await;
        assert!(ended.is_err(), "it has ended before: {ended:?}");
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

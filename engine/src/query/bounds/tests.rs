use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::query::QueryError;

const LIMIT: ByteSize = ByteSize::from_bytes(256 << 20);

fn session() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    crate::catalog::runtime::set_sql_options(&mut config);
    let cancellation = Cancellation::new(Instant::now(), None);
    let state = SessionContext::new_with_config(config).state();
    SessionContext::new_with_state(Bounds::new(LIMIT, cancellation).apply(state))
}

async fn run(sql: &str) -> Result<Vec<RecordBatch>> {
    session().sql(sql).await?.collect().await
}

async fn value(sql: &str) -> String {
    let batches = run(sql).await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    text.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
}

#[tokio::test]
async fn functions_refuse_to_make_too_much() {
    let rows =
        "(SELECT CAST(value AS BIGINT) AS n, 'x' || value AS t FROM generate_series(1, 8000))";
    for (function, call) in [
        ("repeat", "repeat('x', 1000000000)".to_owned()),
        ("repeat", format!("sum(length(repeat(t, n * 1000))) FROM {rows}")),
        ("lpad", "lpad('x', 2000000000)".to_owned()),
        ("rpad", format!("sum(length(rpad(t, 100000, 'ab'))) FROM {rows}")),
        ("replace", "replace(repeat('x', 1000000), 'x', repeat('y', 100000))".to_owned()),
        (
            "regexp_replace",
            "regexp_replace(repeat('x', 100000), 'x', repeat('y', 10000), 'g')".to_owned(),
        ),
        (
            "replace",
            format!("sum(length(replace(lpad(t, 1000, 'a'), 'a', 'bbbbbbbbbb'))) FROM {rows}"),
        ),
        ("concat", format!("concat({}) FROM {rows}", ["rpad(t, 1000)"; 9].join(", "))),
        ("concat_ws", format!("concat_ws(repeat('x', 1000000), {})", ["'a'"; 99].join(", "))),
        (
            "||",
            format!("max(a {}) FROM (SELECT rpad(t, 1000) AS a FROM {rows})", "|| a ".repeat(12)),
        ),
        ("array_repeat", "array_repeat(1, 1000000000)".to_owned()),
        ("array_resize", "array_resize([1], 1000000000, 0)".to_owned()),
        ("range", "range(0, 1000000000)".to_owned()),
        (
            "generate_series",
            "generate_series(DATE '0001-01-01', DATE '9999-01-01', INTERVAL '1 second')".to_owned(),
        ),
        ("array_to_string", "array_to_string(range(0, 100000), repeat('x', 10000))".to_owned()),
        ("string_to_array", "string_to_array(repeat('x', 1000000), NULL)".to_owned()),
        ("make_array", format!("[{}]", ["range(0, 100000)"; 9].join(", "))),
    ] {
        let begun = Instant::now();
        let error = run(&format!("SELECT {call}")).await.map(|_| ()).expect_err(&call);
        let error = QueryError::of_execution(error, LIMIT);
        let QueryError::Oversized(oversized) = &error else { panic!("{call}: {error:?}") };
        assert_eq!(oversized.function, function, "{call}");
        assert!(error.to_string().contains("query.memory_limit"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{call}");
    }
}

#[tokio::test]
async fn functions_do_what_they_did() {
    for (call, expected) in [
        ("repeat('ab', 3)", "ababab"),
        ("lpad('7', 3, '0')", "007"),
        ("replace('a,b', ',', ';')", "a;b"),
        ("regexp_replace('abc', '(b)', '<\\1>')", "a<b>c"),
        ("concat('a', NULL, 'b')", "ab"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("CAST(1 AS TEXT) || 'b' || 2", "1b2"),
        ("coalesce('a' || NULL, 'null')", "null"),
        ("[1, 2] || 3", "[1, 2, 3]"),
        ("array_repeat('x', 2)", "[x, x]"),
        ("range(0, 3)", "[0, 1, 2]"),
        ("array_to_string([1, 2], ', ')", "1, 2"),
        ("to_char(DATE '2026-01-31', '%d.%m.')", "31.01."),
    ] {
        assert_eq!(value(&format!("SELECT {call}")).await, expected, "{call}");
    }
    let sql = "SELECT t || t, repeat(t, 2), upper(t || '-') \
               FROM (SELECT 'x' || value AS t FROM generate_series(1, 3))";
    let batches = run(sql).await.unwrap();
    // As they are without bounds.
    let plain = SessionContext::new();
    let plain = plain.sql(sql).await.unwrap().collect().await.unwrap();
    let names = |batches: &[RecordBatch]| -> Vec<String> {
        batches[0].schema().fields().iter().map(|field| field.name().clone()).collect()
    };
    assert_eq!(names(&batches), names(&plain));
    let shown = |batches: &[RecordBatch]| pretty_format_batches(batches).unwrap().to_string();
    assert_eq!(shown(&batches), shown(&plain));
}

/// What could be far too large, but is not, is computed.
#[tokio::test]
async fn results_of_unknown_size_are_computed_in_parts() {
    let rows = "(SELECT rpad('x' || value, 500, 'y') AS t FROM generate_series(1, 8000))";
    let long = "repeat('z', 1000)";
    let sql = format!("SELECT sum(length(replace(t, 'x', {long}))) FROM {rows}");
    assert_eq!(value(&sql).await, (8000 * 1499).to_string());
}

#[tokio::test]
async fn large_constants_make_small_batches() {
    let session = session();
    let bounds = Bounds::new(LIMIT, Cancellation::new(Instant::now(), None));
    let rows = async |sql: &str| {
        let state = session.state();
        let plan = state.optimize(&state.create_logical_plan(sql).await.unwrap()).unwrap();
        bounds.batch_rows(&plan, 8192).unwrap()
    };
    assert_eq!(rows("SELECT value, 'x' FROM generate_series(1, 9)").await, 8192);
    let long = rows("SELECT repeat('x', 1000000) FROM generate_series(1, 9)").await;
    assert!((2..=16).contains(&long), "{long}");
    let below = "SELECT (SELECT max(repeat('x', 1000000)) FROM generate_series(1, 9))";
    assert!(rows(below).await <= 16);
}

#[tokio::test]
async fn functions_stop_when_the_query_is_left() {
    let cancellation = Cancellation::new(Instant::now(), None);
    let state = SessionContext::new().state();
    let state = Bounds::new(LIMIT, Arc::clone(&cancellation)).apply(state);
    let session = SessionContext::new_with_state(state);
    let plan = session.sql("SELECT repeat('x', value) FROM generate_series(1, 9)").await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    cancellation.leave();
    let error = datafusion::physical_plan::collect(plan, session.task_ctx()).await.unwrap_err();
    let error = QueryError::of_execution(error, LIMIT);
    assert!(matches!(error, QueryError::Cancelled), "{error:?}");
}

#[tokio::test]
async fn approximate_percentiles_stay_approximate() {
    let sql = |count| {
        format!("SELECT approx_percentile_cont(value, 0.5, {count}) FROM generate_series(1, 9)")
    };
    assert_eq!(value(&sql("100")).await, "5.0");
    for count in ["2000000000", "1000000 * 1000"] {
        let error = run(&sql(count)).await.unwrap_err().to_string();
        assert!(error.contains("at most 10000 centroids"), "{error}");
    }
}

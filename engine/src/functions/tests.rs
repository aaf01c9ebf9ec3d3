use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::register_all;

pub(super) async fn run(session: &SessionContext, sql: &str) -> String {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

pub(super) fn session(config: SessionConfig) -> SessionContext {
    let session = SessionContext::new_with_config(config);
    register_all(&session);
    session
}

/// What a query says that must fail, when it is planned or run.
pub(super) async fn error_of(session: &SessionContext, sql: &str) -> String {
    let error = match session.sql(sql).await {
        Err(error) => error,
        Ok(frame) => frame.collect().await.expect_err(sql),
    };
    error.to_string()
}

/// A session in which `rows` has these columns, in batches of so many rows in two partitions. With
/// `convert`, what comes in is not aggregated before it is distributed by group.
pub(super) fn session_of(
    columns: Vec<(&str, ArrayRef)>,
    batch: usize,
    convert: bool,
) -> SessionContext {
    let all = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut partitions = vec![Vec::new(), Vec::new()];
    for (number, start) in (0..all.num_rows()).step_by(batch).enumerate() {
        partitions[number % 2].push(all.slice(start, batch.min(all.num_rows() - start)));
    }
    let table = MemTable::try_new(all.schema(), partitions).unwrap();
    let mut config = SessionConfig::new().with_target_partitions(2).with_batch_size(7);
    if convert {
        let options = &mut config.options_mut().execution;
        options.skip_partial_aggregation_probe_rows_threshold = 1;
        options.skip_partial_aggregation_probe_ratio_threshold = 0.0;
    }
    let session = session(config);
    session.register_table("rows", Arc::new(table)).unwrap();
    session
}

/// The rows of a query, for tests that are not asynchronous themselves.
pub(super) fn rows_of(session: &SessionContext, sql: &str) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches =
        runtime.block_on(async { session.sql(sql).await.unwrap().collect().await.unwrap() });
    let schema = batches.first().map(RecordBatch::schema).unwrap();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// What `\df` shows of a function.
#[test]
fn every_function_is_documented() {
    let session = session(SessionConfig::new());
    let state = session.state();
    let scalars = state.scalar_functions();
    let aggregates = state.aggregate_functions();
    for name in
        ["two_proportion_z", "two_proportion_p_value", "chi_square_even", "chi_square_p_value"]
    {
        assert!(scalars[name].documentation().unwrap().syntax_example.starts_with(name));
    }
    for name in ["window_funnel", "retention", "percentile_cont", "min_by", "max_by"] {
        assert!(aggregates[name].documentation().unwrap().syntax_example.starts_with(name));
    }
    let sessionize = state.window_functions()["sessionize"].documentation().unwrap();
    assert!(sessionize.syntax_example.starts_with("sessionize(time, gap) OVER ("));
}

#[tokio::test]
async fn ties_are_decided_by_the_value_and_nulls_stand_last() {
    let session = session(SessionConfig::new());
    let rows = "(VALUES (1, 'b', 10), (1, 'a', 10), (1, NULL, 10), (1, 'z', NULL), (2, NULL, 1), \
                (2, 'late', 2), (3, 'never', NULL)) AS t (g, v, k)";
    let sql = format!(
        "SELECT g, min_by(v, k) AS least, arg_max(v, k) AS greatest FROM {rows} GROUP BY g ORDER BY g"
    );
    assert_eq!(
        run(&session, &sql).await,
        "+---+-------+----------+\n\
         | g | least | greatest |\n\
         +---+-------+----------+\n\
         | 1 | a     | a        |\n\
         | 2 |       | late     |\n\
         | 3 |       |          |\n\
         +---+-------+----------+"
    );
    let one = run(&session, &format!("SELECT min_by(v, k) AS v FROM {rows} WHERE g = 2")).await;
    assert!(one.contains("|   |"), "{one}");
    let sql = format!("SELECT min_by(v, k) FILTER (WHERE v <> 'a') AS v FROM {rows}");
    assert!(run(&session, &sql).await.contains("| late |"));
}

#[tokio::test]
async fn a_key_that_has_no_order_of_its_own_is_refused() {
    let session = session(SessionConfig::new());
    let error = session.sql("SELECT min_by(1, 'text')").await.unwrap_err().to_string();
    assert!(error.contains("first_value(value ORDER BY key)"), "{error}");
}

#[derive(Debug, Clone)]
struct Row {
    group: i64,
    text: Option<String>,
    number: Option<i64>,
    key: Option<i64>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..6i64,
        proptest::option::weighted(0.8, "[ab]{0,20}"),
        proptest::option::weighted(0.8, -2..3i64),
        proptest::option::weighted(0.8, -3..4i64),
    )
        .prop_map(|(group, text, number, key)| Row { group, text, number, key });
    proptest::collection::vec(row, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the batches, partitions and order, the answer is that of a plain loop over the rows.
    #[test]
    fn agrees_with_a_plain_loop(rows in rows(), batch in 1..50usize) {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("g", Arc::new(rows.iter().map(|row| Some(row.group)).collect::<Int64Array>())),
            ("t", Arc::new(rows.iter().map(|row| row.text.clone()).collect::<StringArray>())),
            ("n", Arc::new(rows.iter().map(|row| row.number).collect::<Int64Array>())),
            ("k", Arc::new(rows.iter().map(|row| row.key).collect::<Int64Array>())),
        ];
        let session = session_of(columns, batch, false);

        let mut expected = String::new();
        for group in 0..6 {
            let mut of_group: Vec<&Row> =
                rows.iter().filter(|row| row.group == group && row.key.is_some()).collect();
            if rows.iter().all(|row| row.group != group) {
                continue;
            }
            of_group.sort_by_key(|row| (row.key, row.text.is_none(), row.text.clone()));
            let text = of_group.first().and_then(|row| row.text.clone());
            of_group.sort_by_key(|row| {
                (std::cmp::Reverse(row.key), row.number.is_none(), row.number)
            });
            let number = of_group.first().and_then(|row| row.number);
            expected.push_str(&format!("{group}/{text:?}/{number:?}\n"));
        }
        let sql = "SELECT g, min_by(t, k) AS t, max_by(n, k) AS n FROM rows GROUP BY g ORDER BY g";
        let rows = rows_of(&session, sql);
        let groups = rows.column(0).as_primitive::<Int64Type>();
        let texts: &StringArray = rows.column(1).as_string();
        let numbers = rows.column(2).as_primitive::<Int64Type>();
        let mut found = String::new();
        for row in 0..rows.num_rows() {
            let text = (!texts.is_null(row)).then(|| texts.value(row).to_owned());
            let number = (!numbers.is_null(row)).then(|| numbers.value(row));
            found.push_str(&format!("{}/{text:?}/{number:?}\n", groups.value(row)));
        }
        prop_assert_eq!(found, expected);
    }
}

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::Float64Type;
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::Place;
use crate::functions::tests::{error_of, rows_of, run, session, session_of};

/// What PostgreSQL and DuckDB say of 1, 2, 4, 8, 16, 32, 64 and 128.
#[tokio::test]
async fn no_digit_is_cut() {
    let session = session(SessionConfig::new());
    let sql = "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY x) AS p90, \
               quantile_cont(0.99) WITHIN GROUP (ORDER BY x) AS p99, \
               percentile_cont(0.9) WITHIN GROUP (ORDER BY x DESC) AS p10, \
               percentile_cont(x, 0) AS least, percentile_cont(x, 1) AS greatest, \
               percentile_cont(x, 0.5) AS middle \
               FROM (VALUES (1), (2), (4), (8), (16), (32), (64), (128), (NULL)) AS t (x)";
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let expected = [83.2, 123.52, 1.7, 1.0, 128.0, 12.0];
    for (column, expected) in batches[0].columns().iter().zip(expected) {
        let found = column.as_primitive::<Float64Type>().value(0);
        assert!((found - expected).abs() < 1e-13 * expected, "{found}, not {expected}");
    }
}

#[tokio::test]
async fn numbers_of_every_type_are_taken() {
    let session = session(SessionConfig::new());
    let sql = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS BIGINT)) AS a, \
               percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS DECIMAL(18,6))) AS b, \
               percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE)) AS c, \
               percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS REAL)) AS d, \
               arrow_typeof(percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS SMALLINT))) AS e, \
               percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', later - t)) AS f, \
               percentile_cont(0.5) WITHIN GROUP (ORDER BY NULL) AS g, \
               approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE)) AS h \
               FROM (VALUES (3), (6)) AS v (x) CROSS JOIN (SELECT TIMESTAMP '2026-01-01 00:00:00' AS t, \
               TIMESTAMP '2026-01-01 00:00:01.5' AS later) AS w";
    let answer = run(&session, sql).await;
    assert!(answer.contains("| 4.5 | 4.5 | 4.5 | 4.5 | Float64 | 1.5 |   |"), "{answer}");
}

#[tokio::test]
async fn grouping_sets_filters_and_windows_have_percentiles() {
    let session = session(SessionConfig::new().with_target_partitions(2).with_batch_size(2));
    let rows = "(VALUES ('a', 'x', 1), ('a', 'y', 2), ('b', 'x', 4), ('b', 'x', 8), ('b', 'y', 16)) \
                AS t (p, c, v)";
    let sql = format!(
        "SELECT p, c, percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS m, \
         percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FILTER (WHERE v > 2) AS f, \
         count(*) AS n FROM {rows} GROUP BY GROUPING SETS ((), (p), (c), (p, c)) \
         ORDER BY p NULLS FIRST, c NULLS FIRST"
    );
    assert_eq!(
        run(&session, &sql).await,
        "+---+---+------+------+---+\n\
         | p | c | m    | f    | n |\n\
         +---+---+------+------+---+\n\
         |   |   | 4.0  | 8.0  | 5 |\n\
         |   | x | 4.0  | 6.0  | 3 |\n\
         |   | y | 9.0  | 16.0 | 2 |\n\
         | a |   | 1.5  |      | 2 |\n\
         | a | x | 1.0  |      | 1 |\n\
         | a | y | 2.0  |      | 1 |\n\
         | b |   | 8.0  | 8.0  | 3 |\n\
         | b | x | 6.0  | 6.0  | 2 |\n\
         | b | y | 16.0 | 16.0 | 1 |\n\
         +---+---+------+------+---+"
    );
    let sql = format!(
        "SELECT v, percentile_cont(v, 0.5) OVER (ORDER BY v ROWS 1 PRECEDING) AS sliding, \
         percentile_cont(v, 0.5) OVER (ORDER BY v) AS growing FROM {rows} ORDER BY v"
    );
    assert_eq!(
        run(&session, &sql).await,
        "+----+---------+---------+\n\
         | v  | sliding | growing |\n\
         +----+---------+---------+\n\
         | 1  | 1.0     | 1.0     |\n\
         | 2  | 1.5     | 1.5     |\n\
         | 4  | 3.0     | 2.0     |\n\
         | 8  | 6.0     | 3.0     |\n\
         | 16 | 12.0    | 4.0     |\n\
         +----+---------+---------+"
    );
    let sql = "SELECT percentile_cont(DISTINCT v, 0.5) AS d, percentile_cont(v, 0.5) AS a \
               FROM (VALUES (1), (1), (1), (5), (9)) AS t (v)";
    let answer = run(&session, sql).await;
    assert!(answer.contains("| 5.0 | 1.0 |"), "{answer}");
}

#[tokio::test]
async fn percentiles_of_several_columns_need_no_sort() {
    let session = session(SessionConfig::new());
    let sql = "SELECT g, percentile_cont(0.25) WITHIN GROUP (ORDER BY a DESC) AS a, \
               percentile_cont(0.25) WITHIN GROUP (ORDER BY b) AS b \
               FROM (VALUES (1, 10, 4), (1, 20, 8), (1, 30, 12)) AS t (g, a, b) GROUP BY g";
    let plan = run(&session, &format!("EXPLAIN {sql}")).await;
    assert!(!plan.contains("SortExec"), "{plan}");
    let answer = run(&session, sql).await;
    assert!(answer.contains("| 1 | 25.0 | 6.0 |"), "{answer}");
}

#[tokio::test]
async fn what_has_no_percentile_is_refused() {
    let session = session(SessionConfig::new());
    for (expression, message) in [
        ("percentile_cont(x, 1.5)", "a number from 0 to 1, not 1.5"),
        ("percentile_cont(x, NULL)", "a number from 0 to 1, not NULL"),
        ("percentile_cont(x, x)", "is one value for all rows"),
        ("percentile_cont('text', 0.5)", "are numbers, not Utf8"),
        ("percentile_cont(INTERVAL '1 day', 0.5)", "date_part('epoch', value)"),
        ("percentile_cont(x)", "percentile_cont(0.9) WITHIN GROUP (ORDER BY value)"),
    ] {
        let sql = format!("SELECT {expression} FROM (VALUES (1), (2)) AS t (x)");
        let error = error_of(&session, &sql).await;
        assert!(error.contains(message), "{expression}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the batches, partitions and order, the answer is that of a sorted list.
    #[test]
    fn agrees_with_a_sorted_list(
        rows in proptest::collection::vec((0..5i64, proptest::option::weighted(0.9, -50.0..50.0f64)), 1..150),
        batch in 1..40usize,
        convert: bool,
        percentile in prop_oneof![Just(0.0), Just(0.5), Just(0.9), Just(0.99), Just(1.0), 0.0..1.0f64],
    ) {
        let groups: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
        let values: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>());
        let session = session_of(vec![("g", groups), ("v", values)], batch, convert);
        let sql = format!(
            "SELECT g, percentile_cont({percentile:?}) WITHIN GROUP (ORDER BY v) AS p FROM rows \
             GROUP BY g ORDER BY g"
        );
        let answer = rows_of(&session, &sql);
        let found: Vec<Option<f64>> =
            answer.column(1).as_primitive::<Float64Type>().iter().collect();
        let mut expected = Vec::new();
        for group in 0..5 {
            if rows.iter().all(|row| row.0 != group) {
                continue;
            }
            let mut values: Vec<f64> =
                rows.iter().filter(|row| row.0 == group).filter_map(|row| row.1).collect();
            values.sort_by(f64::total_cmp);
            expected.push((!values.is_empty()).then(|| {
                let place = percentile * (values.len() - 1) as f64;
                let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
                below + (above - below) * (place - place.floor())
            }));
        }
        prop_assert_eq!(found, expected);
    }

    /// The percentile of one's own values lies among them and grows with the percentile.
    #[test]
    fn percentiles_are_monotone(mut values in proptest::collection::vec(-1e6..1e6f64, 1..50)) {
        let mut previous = f64::NEG_INFINITY;
        for step in 0..=20 {
            let percentile = Place(f64::from(step) / 20.0).of(&mut values).unwrap();
            prop_assert!(percentile >= previous - 1e-6);
            previous = percentile;
        }
        prop_assert_eq!(previous, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
}

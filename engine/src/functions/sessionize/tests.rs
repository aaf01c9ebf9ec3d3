use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimeUnit};
use datafusion::logical_expr::PartitionEvaluator;
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::Sessions;
use crate::functions::tests::{error_of, rows_of, run, session, session_of};

const OVER: &str = "OVER (PARTITION BY player ORDER BY t)";

#[tokio::test]
async fn a_pause_longer_than_the_gap_begins_a_session() {
    let session = session(SessionConfig::new());
    let sql = format!(
        "SELECT player, date_part('minute', t) AS minute, \
         sessionize(t, INTERVAL '20 minutes') {OVER} AS session, \
         sessionize(t, 1199.999999) {OVER} AS shorter, \
         count(*) OVER (PARTITION BY player) AS n \
         FROM (SELECT player, arrow_cast(to_timestamp_seconds(minute * 60), 'Timestamp(µs)') AS t \
         FROM (VALUES ('b', 0), ('a', 41), ('a', 0), ('a', 20), ('a', 20), ('b', 59), ('a', NULL)) \
         AS v (player, minute)) ORDER BY player, minute"
    );
    assert_eq!(
        run(&session, &sql).await,
        "+--------+--------+---------+---------+---+\n\
         | player | minute | session | shorter | n |\n\
         +--------+--------+---------+---------+---+\n\
         | a      | 0      | 1       | 1       | 5 |\n\
         | a      | 20     | 1       | 2       | 5 |\n\
         | a      | 20     | 1       | 2       | 5 |\n\
         | a      | 41     | 2       | 3       | 5 |\n\
         | a      |        |         |         | 5 |\n\
         | b      | 0      | 1       | 1       | 2 |\n\
         | b      | 59     | 2       | 2       | 2 |\n\
         +--------+--------+---------+---------+---+"
    );
}

#[tokio::test]
async fn sessions_can_be_aggregated_and_limited() {
    let session = session(SessionConfig::new());
    let events = "(SELECT n % 2 AS player, to_timestamp_seconds(n * n) AS t \
                  FROM (SELECT unnest(generate_series(0, 9)) AS n))";
    let sql = format!(
        "SELECT player, session, count(*) AS events, date_part('epoch', max(t) - min(t)) AS seconds FROM \
         (SELECT player, t, sessionize(t, 20) {OVER} AS session FROM {events}) \
         GROUP BY player, session ORDER BY player, session"
    );
    // Even: 0 4 16, 36, 64; the pauses are 4, 12, 20 and 28. Odd: 1 9 25, 49, 81: 8, 16, 24 and 32.
    assert_eq!(
        run(&session, &sql).await,
        "+--------+---------+--------+---------+\n\
         | player | session | events | seconds |\n\
         +--------+---------+--------+---------+\n\
         | 0      | 1       | 4      | 36.0    |\n\
         | 0      | 2       | 1      | 0.0     |\n\
         | 1      | 1       | 3      | 24.0    |\n\
         | 1      | 2       | 1      | 0.0     |\n\
         | 1      | 3       | 1      | 0.0     |\n\
         +--------+---------+--------+---------+"
    );
    let sql =
        format!("SELECT sessionize(t, 20) OVER (ORDER BY t) AS s FROM {events} ORDER BY t LIMIT 9");
    let rows = session.sql(&sql).await.unwrap().collect().await.unwrap();
    let found: Vec<i64> = rows
        .iter()
        .flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(found, [1; 9]);
}

#[tokio::test]
async fn rows_out_of_order_are_refused() {
    let session = session(SessionConfig::new());
    let events = "(VALUES (1, TIMESTAMP '2026-01-01'), (2, TIMESTAMP '2026-01-02')) AS v (n, t)";
    let sql = format!("SELECT sessionize(t, 60) OVER (ORDER BY t DESC) FROM {events}");
    assert!(error_of(&session, &sql).await.contains("ascending"));
    for (call, message) in [
        ("sessionize(t, 60) OVER (PARTITION BY n)", "needs its rows in the order of the time"),
        ("sessionize(t, INTERVAL '1 year') OVER (ORDER BY t)", "write days"),
        (
            "sessionize(t, INTERVAL '-1 day') OVER (ORDER BY t)",
            "the gap of `sessionize` cannot be negative",
        ),
        ("sessionize(t, n) OVER (ORDER BY t)", "is one value for all rows"),
        (
            "sessionize(n, 60) OVER (ORDER BY t)",
            "the time of `sessionize` is a TIMESTAMP or a DATE",
        ),
        ("sessionize(t, 'hour') OVER (ORDER BY t)", "an INTERVAL or a number of seconds"),
        ("sessionize(t) OVER (ORDER BY t)", "sessionize takes a time and a gap"),
    ] {
        let error = match session.sql(&format!("SELECT {call} FROM {events}")).await {
            Err(error) => error.to_string(),
            Ok(frame) => frame.into_optimized_plan().unwrap_err().to_string(),
        };
        assert!(error.contains(message), "{call}: {error}");
    }
}

type Row = (i64, Option<i64>);

/// Player, time and session of each row, by a plain loop.
fn expected(rows: &[Row], gap: i64) -> Vec<(i64, Option<i64>, Option<i64>)> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(player, time)| (*player, time.is_none(), *time));
    let mut numbered = Vec::new();
    for player in 0..3 {
        let mut number = 0;
        let mut last = None;
        for (_, time) in rows.iter().filter(|row| row.0 == player) {
            let Some(time) = time else {
                numbered.push((player, None, None));
                continue;
            };
            if last.is_none_or(|last| time - last > gap) {
                number += 1;
            }
            last = Some(*time);
            numbered.push((player, Some(*time), Some(number)));
        }
    }
    numbered
}

fn sessions(gap: i64) -> Sessions {
    Sessions { gap, unit: TimeUnit::Microsecond, last: None, number: 0 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the batches, partitions and order, the sessions are those of a plain loop.
    #[test]
    fn agrees_with_a_plain_loop(
        rows in proptest::collection::vec((0..3i64, proptest::option::weighted(0.95, 0..200i64)), 1..80),
        batch in 1..30usize,
        gap in 0..12i64,
    ) {
        let players: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
        let times: ArrayRef = Arc::new(
            rows.iter().map(|row| row.1).collect::<TimestampMicrosecondArray>(),
        );
        let session = session_of(vec![("player", players), ("t", times)], batch, false);
        let sql = format!(
            "SELECT player, CAST(t AS BIGINT) AS t, \
             sessionize(t, INTERVAL '{gap} microseconds') {OVER} AS session \
             FROM rows ORDER BY player, t NULLS LAST"
        );
        let answer = rows_of(&session, &sql);
        let column = |index: usize| answer.column(index).as_primitive::<Int64Type>().iter();
        let found: Vec<(i64, Option<i64>, Option<i64>)> = column(0)
            .zip(column(1))
            .zip(column(2))
            .map(|((player, time), session)| (player.unwrap(), time, session))
            .collect();
        prop_assert_eq!(found, expected(&rows, gap));
    }

    /// Row by row, as the rows come, and all at once.
    #[test]
    fn both_evaluations_agree(
        mut times in proptest::collection::vec(proptest::option::weighted(0.9, 0..200i64), 1..60), gap in 0..12i64,
    ) {
        times.sort_by_key(|time| (time.is_none(), *time));
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.clone()));
        let all = sessions(gap).evaluate_all(&[Arc::clone(&column)], times.len()).unwrap();
        let all: Vec<Option<i64>> = all.as_primitive::<Int64Type>().iter().collect();
        let mut one_by_one = sessions(gap);
        for (row, expected) in all.into_iter().enumerate() {
            let range = one_by_one.get_range(row, times.len()).unwrap();
            let found = one_by_one.evaluate(&[Arc::clone(&column)], &range).unwrap();
            prop_assert_eq!(found, expected.into());
        }
    }
}

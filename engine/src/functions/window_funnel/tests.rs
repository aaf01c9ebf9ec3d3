use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::Int64Type;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::chains::Chains;
use super::groups::Groups;
use crate::functions::tests::{error_of, rows_of, run, session, session_of};

/// The level of one player's events, `(second, name)`, as text.
async fn level(window: &str, events: &[(i64, &str)], steps: &[&str]) -> String {
    let rows: Vec<String> =
        events.iter().map(|(second, name)| format!("({second}, '{name}')")).collect();
    let steps: Vec<String> = steps.iter().map(|step| format!("name = '{step}'")).collect();
    let sql = format!(
        "SELECT window_funnel({window}, to_timestamp_seconds(second), {}) AS level FROM (VALUES {}) AS t (second, \
         name)",
        steps.join(", "),
        rows.join(", ")
    );
    let answer = run(&session(SessionConfig::new()), &sql).await;
    answer.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
}

#[tokio::test]
async fn steps_count_in_their_order_and_within_the_window() {
    let shop = &["login", "search", "order", "reorder"][..];
    let whole = [(0, "login"), (10, "search"), (20, "order"), (30, "reorder")];
    assert_eq!(level("30", &whole, shop).await, "4", "the window includes its end");
    assert_eq!(level("29", &whole, shop).await, "3");
    assert_eq!(level("INTERVAL '30 seconds'", &whole, shop).await, "4");
    assert_eq!(level("29.999", &whole, shop).await, "3");
    assert_eq!(level("0", &whole, shop).await, "1");
    let unordered = [(20, "order"), (0, "login"), (30, "reorder"), (10, "search")];
    assert_eq!(level("30", &unordered, shop).await, "4", "rows come in any order");
    let backwards = [(0, "order"), (10, "search"), (20, "login")];
    assert_eq!(level("100", &backwards, shop).await, "1");
    assert_eq!(level("100", &[(0, "search"), (10, "order")], shop).await, "0", "no first step");
    let skipped = [(0, "login"), (10, "order"), (20, "reorder")];
    assert_eq!(level("100", &skipped, shop).await, "1");
    let between = [(0, "login"), (5, "idle"), (10, "search"), (11, "login"), (12, "order")];
    assert_eq!(level("100", &between, shop).await, "3", "what comes in between does not matter");
}

/// In strict modes of ClickHouse these are less; its default mode is as here.
#[tokio::test]
async fn the_window_slides_and_the_longest_chain_counts() {
    let steps = &["a", "b", "c"][..];
    let anew = [(0, "a"), (50, "b"), (60, "a"), (70, "b"), (90, "c")];
    assert_eq!(level("30", &anew, steps).await, "3", "it begins anew at 60");
    let early = [(0, "a"), (10, "b"), (20, "a"), (45, "c")];
    assert_eq!(level("50", &early, steps).await, "3", "the later a does not undo the earlier");
    let longest = [(0, "a"), (10, "b"), (500, "a")];
    assert_eq!(level("30", &longest, steps).await, "2", "the longest, not the last");
}

#[tokio::test]
async fn steps_at_the_same_time_follow_one_another() {
    let steps = &["a", "b", "c"][..];
    assert_eq!(level("10", &[(7, "c"), (7, "b"), (7, "a")], steps).await, "3");
    assert_eq!(level("0", &[(7, "b"), (7, "a"), (8, "c")], steps).await, "2");
    assert_eq!(level("10", &[(1, "a"), (2, "a")], &["a", "a"]).await, "2");
    assert_eq!(level("10", &[(1, "a")], &["a", "a", "a"]).await, "3", "one row is several steps");
}

#[tokio::test]
async fn null_does_not_count_and_no_rows_are_no_steps() {
    let session = session(SessionConfig::new());
    let sql = "SELECT p, window_funnel(INTERVAL '1 day', t, name = 'a', name = 'b') AS level, \
               window_funnel(INTERVAL '1 day', t, name = 'a', name = 'b') FILTER (WHERE name <> 'b') AS f \
               FROM (VALUES (1, NULL, 'a'), (1, TIMESTAMP '2026-01-01', 'b'), \
               (2, TIMESTAMP '2026-01-01', 'a'), (2, TIMESTAMP '2026-01-02', NULL), \
               (3, TIMESTAMP '2026-01-01', 'a'), (3, TIMESTAMP '2026-01-02', 'b')) AS v (p, t, name) \
               GROUP BY p ORDER BY p";
    assert_eq!(
        run(&session, sql).await,
        "+---+-------+---+\n\
         | p | level | f |\n\
         +---+-------+---+\n\
         | 1 | 0     | 0 |\n\
         | 2 | 1     | 1 |\n\
         | 3 | 2     | 1 |\n\
         +---+-------+---+"
    );
    let nobody = "SELECT window_funnel(1, now(), true, true) AS level WHERE false";
    assert!(run(&session, nobody).await.contains("| 0     |"));
}

#[tokio::test]
async fn times_of_every_unit_are_taken() {
    let session = session(SessionConfig::new());
    for (unit, window, expected) in [
        ("Timestamp(s)", "INTERVAL '1999 milliseconds'", "1"),
        ("Timestamp(ms)", "INTERVAL '1999 milliseconds'", "1"),
        ("Timestamp(ms)", "INTERVAL '2 seconds'", "2"),
        ("Timestamp(µs)", "2", "2"),
        ("Timestamp(µs, \"UTC\")", "1.999999", "1"),
        ("Timestamp(ns)", "arrow_cast(2000000, 'Duration(µs)')", "2"),
        ("Timestamp(ns)", "arrow_cast(1999999, 'Duration(µs)')", "1"),
        ("Date32", "INTERVAL '23 hours'", "2"),
    ] {
        let sql = format!(
            "SELECT window_funnel({window}, arrow_cast(t, '{unit}'), n = 1, n = 2) AS level FROM \
             (VALUES (1, TIMESTAMP '2026-01-01 00:00:01'), (2, TIMESTAMP '2026-01-01 00:00:03')) AS v (n, t)"
        );
        let answer = run(&session, &sql).await;
        assert!(answer.contains(&format!("| {expected}     |")), "{unit} {window}: {answer}");
    }
}

#[tokio::test]
async fn a_window_over_all_time_has_no_overflow() {
    let groups = |window| {
        let mut groups = Groups::new(Chains::new(window, 2));
        let times: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]));
        let first: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        let second: ArrayRef = Arc::new(BooleanArray::from(vec![false, true]));
        let window: ArrayRef = Arc::new(Int64Array::from(vec![0, 0]));
        groups.update_batch(&[window, times, first, second], &[0, 0], None, 1).unwrap();
        groups.first_level()
    };
    assert_eq!(groups(i64::MAX), 2);
    assert_eq!(groups(5), 1);
}

#[tokio::test]
async fn a_growing_window_is_asked_again_and_again() {
    let session = session(SessionConfig::new());
    let sql = "SELECT n, window_funnel(10, to_timestamp_seconds(n), n = 1, n = 3, n = 4) \
               OVER (ORDER BY n) AS level FROM (VALUES (1), (2), (3), (4), (5)) AS v (n) ORDER BY n";
    assert_eq!(
        run(&session, sql).await,
        "+---+-------+\n\
         | n | level |\n\
         +---+-------+\n\
         | 1 | 1     |\n\
         | 2 | 1     |\n\
         | 3 | 2     |\n\
         | 4 | 3     |\n\
         | 5 | 3     |\n\
         +---+-------+"
    );
}

#[tokio::test]
async fn wrong_arguments_are_refused_when_planned() {
    let session = session(SessionConfig::new());
    for (expression, message) in [
        ("window_funnel(10, t, true)", "window_funnel takes a window, a time and 2 to 32 steps"),
        ("window_funnel(INTERVAL '1 month', t, true, true)", "differ in length: write days"),
        ("window_funnel(-1, t, true, true)", "the window of `window_funnel` cannot be negative"),
        (
            "window_funnel('1 day', t, true, true)",
            "is an INTERVAL or a number of seconds, not Utf8",
        ),
        ("window_funnel(n, t, true, true)", "is one value for all rows"),
        (
            "window_funnel(10, n, true, true)",
            "the time of `window_funnel` is a TIMESTAMP or a DATE",
        ),
        (
            "window_funnel(10, t, true, n)",
            "step 2 of window_funnel is a condition (BOOLEAN), not Int64",
        ),
    ] {
        let sql = format!("SELECT {expression} FROM (SELECT 1 AS n, now() AS t) AS v");
        let error = match session.sql(&sql).await {
            Err(error) => error.to_string(),
            Ok(frame) => frame.into_optimized_plan().unwrap_err().to_string(),
        };
        assert!(error.contains(message), "{expression}: {error}");
    }
    let many = vec!["true"; 33].join(", ");
    let error = error_of(&session, &format!("SELECT window_funnel(1, now(), {many})")).await;
    assert!(error.contains("2 to 32 steps"), "{error}");
    let most = vec!["true"; 32].join(", ");
    let answer = run(&session, &format!("SELECT window_funnel(1, now(), {most}) AS level")).await;
    assert!(answer.contains("| 32    |"), "{answer}");
    let null = "SELECT window_funnel(NULL, now(), true, true)";
    assert!(error_of(&session, null).await.contains("not NULL"));
}

#[derive(Debug, Clone)]
struct Row {
    group: i64,
    time: Option<i64>,
    steps: [Option<bool>; 4],
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let step = || proptest::option::weighted(0.9, proptest::bool::weighted(0.3));
    let row =
        (0..4i64, proptest::option::weighted(0.95, 0..40i64), [step(), step(), step(), step()])
            .prop_map(|(group, time, steps)| Row { group, time, steps });
    proptest::collection::vec(row, 1..120)
}

/// By the definition: from each first step, the earliest next step again and again.
fn expected_level(rows: &[&Row], window: i64) -> i64 {
    let is_met = |row: &Row, step: usize| row.steps[step] == Some(true);
    let times =
        |step: usize| rows.iter().filter(move |row| is_met(row, step)).filter_map(|r| r.time);
    let from = |begin: i64| {
        let mut reached = begin;
        let mut level = 1;
        while level < 4 {
            let next = times(level).filter(|time| (reached..=begin + window).contains(time)).min();
            match next {
                Some(time) => reached = time,
                None => break,
            }
            level += 1;
        }
        level as i64
    };
    times(0).map(from).max().unwrap_or(0)
}

fn arguments(rows: &[Row]) -> Vec<ArrayRef> {
    let unused: ArrayRef = Arc::new(Int64Array::from(vec![0; rows.len()]));
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.time).collect();
    let mut columns: Vec<ArrayRef> = vec![unused, Arc::new(times)];
    for step in 0..4 {
        let met: BooleanArray = rows.iter().map(|row| row.steps[step]).collect();
        columns.push(Arc::new(met));
    }
    columns
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the batches, partitions and order, the level is that of the definition.
    #[test]
    fn agrees_with_the_definition(
        rows in rows(), batch in 1..40usize, window in 0..40i64, convert: bool,
    ) {
        let groups: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.group)).collect::<Int64Array>());
        let arguments = arguments(&rows);
        let mut columns = vec![("g", groups)];
        columns.extend(["unused", "t", "a", "b", "c", "d"].into_iter().zip(arguments));
        let session = session_of(columns, batch, convert);
        let sql = format!(
            "SELECT g, window_funnel(INTERVAL '{window} microseconds', t, a, b, c, d) AS level FROM rows \
             GROUP BY g ORDER BY g"
        );
        let answer = rows_of(&session, &sql);
        let found: Vec<i64> = answer.column(1).as_primitive::<Int64Type>().values().to_vec();
        let mut expected = Vec::new();
        for group in 0..4 {
            let own: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
            if !own.is_empty() {
                expected.push(expected_level(&own, window));
            }
        }
        prop_assert_eq!(found, expected);
    }

    /// However rows are split into partial states, and groups into batches of the result.
    #[test]
    fn partial_states_merge(
        rows in rows(), window in 0..40i64, parts in proptest::collection::vec(0..3usize, 120), first in 0..5usize,
    ) {
        let group_of = |row: &Row| row.group as usize;
        let mut merged = Groups::new(Chains::new(window, 4));
        for part in 0..3 {
            let own: Vec<Row> = rows
                .iter()
                .zip(&parts)
                .filter(|(_, other)| **other == part)
                .map(|(row, _)| row.clone())
                .collect();
            let mut partial = Groups::new(Chains::new(window, 4));
            for own in own.chunks(3) {
                let groups: Vec<usize> = own.iter().map(group_of).collect();
                partial.update_batch(&arguments(own), &groups, None, 4).unwrap();
            }
            partial.update_batch(&arguments(&[]), &[], None, 4).unwrap();
            let early = partial.state(EmitTo::First(first.min(4))).unwrap();
            merged.merge_batch(&early, &(0..first.min(4)).collect::<Vec<_>>(), 4).unwrap();
            let late = partial.state(EmitTo::All).unwrap();
            merged.merge_batch(&late, &(first.min(4)..4).collect::<Vec<_>>(), 4).unwrap();
        }
        let mut found = Vec::new();
        for emit in [EmitTo::First(first.min(4)), EmitTo::All] {
            let levels = merged.evaluate(emit).unwrap();
            found.extend(levels.as_primitive::<Int64Type>().values().to_vec());
        }
        let expected: Vec<i64> = (0..4)
            .map(|group| {
                let own: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
                expected_level(&own, window)
            })
            .collect();
        prop_assert_eq!(found, expected);
    }

    /// What a state holds is bounded by the times that matter: none of a group whose chain is whole.
    #[test]
    fn a_state_has_a_time_once(rows in rows(), window in 0..40i64) {
        let mut groups = Groups::new(Chains::new(window, 4));
        let all: Vec<usize> = vec![0; rows.len()];
        groups.update_batch(&arguments(&rows), &all, None, 1).unwrap();
        let (times, steps) = groups.first_state().unwrap();
        let times = times.value(0);
        let times = times.as_primitive::<Int64Type>().values();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let own: Vec<&Row> = rows.iter().collect();
        if expected_level(&own, window) == 4 {
            let steps = steps.value(0);
            let steps = steps.as_any().downcast_ref::<UInt32Array>().unwrap();
            prop_assert_eq!(steps.values().to_vec(), vec![0b1111]);
        }
    }
}

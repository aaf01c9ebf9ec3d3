use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::groups::Groups;
use crate::functions::tests::{error_of, rows_of, run, session, session_of};

/// The example of ClickHouse's documentation, smaller: players 0 and 1 come on the first day, all four
/// on the second, and 3 never on the third.
#[tokio::test]
async fn those_who_were_there_first_are_counted() {
    let session = session(SessionConfig::new());
    let visits = "(VALUES (0, 1), (1, 1), (0, 2), (1, 2), (2, 2), (3, 2), (0, 3), (2, 3), (1, NULL)) \
                  AS v (player, day)";
    let by_player = format!(
        "SELECT player, retention(day = 1, day = 2, day = 3) AS r FROM {visits} GROUP BY player"
    );
    assert_eq!(
        run(&session, &format!("{by_player} ORDER BY player")).await,
        "+--------+-----------------------+\n\
         | player | r                     |\n\
         +--------+-----------------------+\n\
         | 0      | [true, true, true]    |\n\
         | 1      | [true, true, false]   |\n\
         | 2      | [false, false, false] |\n\
         | 3      | [false, false, false] |\n\
         +--------+-----------------------+"
    );
    let sql = format!(
        "SELECT count(*) FILTER (WHERE r[1]) AS d0, count(*) FILTER (WHERE r[2]) AS d1, \
         avg(CAST(r[3] AS DOUBLE)) AS d2 FROM ({by_player})"
    );
    assert!(run(&session, &sql).await.contains("| 2  | 2  | 0.25 |"));
}

#[tokio::test]
async fn no_rows_meet_nothing_and_filters_apply() {
    let session = session(SessionConfig::new());
    let answer = run(&session, "SELECT retention(true, true) AS r WHERE false").await;
    assert!(answer.contains("| [false, false] |"), "{answer}");
    let sql = "SELECT retention(n = 1, n = 2, NULL) FILTER (WHERE n <> 2) AS r FROM (VALUES (1), (2)) AS v (n)";
    let answer = run(&session, sql).await;
    assert!(answer.contains("| [true, false, false] |"), "{answer}");
    let sql = "SELECT n, retention(n = 1, n = 3) OVER (ORDER BY n) AS r \
               FROM (VALUES (1), (2), (3)) AS v (n) ORDER BY n";
    let answer = run(&session, sql).await;
    assert!(answer.contains("| 2 | [true, false] |"), "{answer}");
    assert!(answer.contains("| 3 | [true, true]  |"), "{answer}");
}

#[tokio::test]
async fn wrong_arguments_are_refused() {
    let session = session(SessionConfig::new());
    let many = format!("retention({})", vec!["true"; 33].join(", "));
    for (expression, message) in [
        ("retention(true, 1)", "argument 2 of retention is a condition (BOOLEAN), not Int64"),
        ("retention('yes')", "argument 1 of retention is a condition"),
        (&many, "retention takes 1 to 32 conditions, not 33"),
        ("retention()", "retention"),
    ] {
        let error = error_of(&session, &format!("SELECT {expression}")).await;
        assert!(error.contains(message), "{expression}: {error}");
    }
    let most = format!("SELECT array_length(retention({})) AS n", vec!["true"; 32].join(", "));
    assert!(run(&session, &most).await.contains("| 32 |"));
}

type Row = (i64, [Option<bool>; 3]);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let condition = || proptest::option::weighted(0.9, proptest::bool::weighted(0.2));
    let row = (0..5i64, [condition(), condition(), condition()]);
    proptest::collection::vec(row, 1..60)
}

fn expected(rows: &[Row], group: i64) -> [bool; 3] {
    let met =
        |condition: usize| rows.iter().any(|row| row.0 == group && row.1[condition] == Some(true));
    [met(0), met(0) && met(1), met(0) && met(2)]
}

fn arguments(rows: &[Row]) -> Vec<ArrayRef> {
    let column = |condition: usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row.1[condition]).collect::<BooleanArray>())
    };
    vec![column(0), column(1), column(2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the batches, partitions and order, the answer is that of a plain loop over the rows.
    #[test]
    fn agrees_with_a_plain_loop(rows in rows(), batch in 1..30usize, convert: bool) {
        let groups: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
        let mut columns = vec![("g", groups)];
        columns.extend(["a", "b", "c"].into_iter().zip(arguments(&rows)));
        let session = session_of(columns, batch, convert);
        let answer =
            rows_of(&session, "SELECT g, retention(a, b, c) AS r FROM rows GROUP BY g ORDER BY g");
        let lists = answer.column(1).as_list::<i32>();
        let found: Vec<Vec<bool>> =
            lists.iter().map(|list| list.unwrap().as_boolean().values().iter().collect()).collect();
        let own = (0..5).filter(|group| rows.iter().any(|row| row.0 == *group));
        let expected: Vec<Vec<bool>> = own.map(|group| expected(&rows, group).to_vec()).collect();
        prop_assert_eq!(found, expected);
    }

    /// However rows are split into partial states, and groups into batches of the result.
    #[test]
    fn partial_states_merge(rows in rows(), split in 0..60usize, first in 0..=5usize) {
        let mut merged = Groups::new(3);
        let (left, right) = rows.split_at(split.min(rows.len()));
        for own in [left, right] {
            let mut partial = Groups::new(3);
            let groups: Vec<usize> = own.iter().map(|row| row.0 as usize).collect();
            partial.update_batch(&arguments(own), &groups, None, 5).unwrap();
            let early = partial.state(EmitTo::First(first)).unwrap();
            merged.merge_batch(&early, &(0..first).collect::<Vec<_>>(), 5).unwrap();
            let late = partial.state(EmitTo::All).unwrap();
            merged.merge_batch(&late, &(first..5).collect::<Vec<_>>(), 5).unwrap();
        }
        let lists = merged.evaluate(EmitTo::All).unwrap();
        for (group, list) in lists.as_list::<i32>().iter().enumerate() {
            let found: Vec<bool> = list.unwrap().as_boolean().values().iter().collect();
            prop_assert_eq!(found, expected(&rows, group as i64).to_vec());
        }
    }
}

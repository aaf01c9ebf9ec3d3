use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::{ScanInfluence, scan_influences};

/// `players (player, cohort, paid, kind)` and `days (player, day, events)`.
type Player = (i64, i32, Option<i32>, i64);
type Day = (i64, i32, i64);

/// A scan's table, and the columns that are confined to the partition.
type Confined = (&'static str, &'static [&'static str]);

/// Queries whose first column is the partition, with their scans.
const CONFINED: [(&str, &[Confined]); 11] = [
    ("SELECT cohort, count(*) FROM players GROUP BY cohort", &[("players", &["cohort"])]),
    (
        "SELECT cohort, count(*) FROM players WHERE kind > 0 GROUP BY cohort \
         UNION ALL SELECT paid, count(*) FROM players GROUP BY paid",
        &[("players", &["cohort"]), ("players", &["paid"])],
    ),
    (
        "SELECT cohort, kind, count(*) FROM players \
         GROUP BY GROUPING SETS ((cohort), (cohort, kind))",
        &[("players", &["cohort"])],
    ),
    (
        "SELECT day, kind, sum(events) FROM days JOIN players USING (player) GROUP BY day, kind",
        &[("days", &["day"]), ("players", &[])],
    ),
    (
        "SELECT a.day, a.events, b.events FROM days a LEFT JOIN days b \
         ON b.day = a.day AND b.player = a.player + 1",
        &[("days", &["day"])],
    ),
    (
        "SELECT day, events FROM days WHERE EXISTS \
         (SELECT 1 FROM players WHERE players.cohort = days.day)",
        &[("days", &["day"]), ("players", &["cohort"])],
    ),
    (
        "SELECT day, events, rank() OVER (PARTITION BY day ORDER BY events, player) FROM days",
        &[("days", &["day"])],
    ),
    (
        "SELECT cohort, n, count(*) FROM (SELECT cohort, unnest(generate_series(0, kind)) AS n \
         FROM players) GROUP BY cohort, n",
        &[("players", &["cohort"])],
    ),
    ("SELECT DISTINCT day, count(DISTINCT player) FROM days GROUP BY day", &[("days", &["day"])]),
    (
        "SELECT cohort, count(*) FROM players FULL JOIN days ON cohort = day GROUP BY cohort",
        &[("players", &[]), ("days", &[])],
    ),
    (
        "SELECT cohort, (SELECT count(*) FROM days WHERE days.player = players.player) FROM players",
        &[("players", &["cohort"]), ("days", &[])],
    ),
];

/// Queries in which a row reaches beyond the partition of its date.
const REACHING: [&str; 8] = [
    "SELECT day, sum(events) OVER (ORDER BY day) FROM days",
    "SELECT day, lag(events) OVER (PARTITION BY player ORDER BY day) FROM days",
    "SELECT day + 1, sum(events) FROM days GROUP BY day + 1",
    "SELECT max(day), sum(events) FROM days GROUP BY player",
    "SELECT a.day, b.events FROM days a LEFT JOIN days b ON b.day = a.day - 1",
    "SELECT day, events FROM days ORDER BY events LIMIT 1",
    "SELECT day, kind, count(*) FROM days JOIN players USING (player) \
     GROUP BY GROUPING SETS ((day, kind), (kind))",
    "SELECT day, events FROM days WHERE day = (SELECT max(day) FROM days)",
];

fn players(rows: &[Player]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Date32Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3))),
    ];
    batch(&["player", "cohort", "paid", "kind"], columns)
}

fn days(rows: &[Day]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
    ];
    batch(&["player", "day", "events"], columns)
}

fn batch(names: &[&str], columns: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn session(players: RecordBatch, days: RecordBatch) -> SessionContext {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, rows) in [("players", players), ("days", days)] {
        let schema: SchemaRef = rows.schema();
        let table = MemTable::try_new(schema, vec![vec![rows]]).unwrap();
        session.register_table(name, Arc::new(table)).unwrap();
    }
    session
}

async fn influences(sql: &str) -> Vec<ScanInfluence> {
    let session = session(players(&[]), days(&[]));
    let state = session.state();
    let plan = state.create_logical_plan(sql).await.unwrap();
    scan_influences(&state.optimize(&plan).unwrap(), Some(0)).unwrap()
}

#[tokio::test]
async fn rows_that_stay_in_their_partition_are_known() {
    for (sql, expected) in CONFINED {
        let mut found: Vec<(String, Vec<String>)> = influences(sql)
            .await
            .into_iter()
            .map(|scan| (scan.table, scan.partition_columns.into_iter().collect()))
            .collect();
        let mut expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(table, columns)| {
                ((*table).to_owned(), columns.iter().map(|name| (*name).to_owned()).collect())
            })
            .collect();
        found.sort();
        found.dedup();
        expected.sort();
        assert_eq!(found, expected, "{sql}");
    }
}

#[tokio::test]
async fn rows_that_reach_further_are_known() {
    for sql in REACHING {
        let confined = influences(sql)
            .await
            .into_iter()
            .all(|scan| scan.table != "days" || !scan.partition_columns.is_empty());
        assert!(!confined, "{sql}");
    }
}

#[tokio::test]
async fn a_scan_reads_its_own_columns() {
    let sql = "SELECT cohort, count(*) FROM players WHERE kind > 0 GROUP BY cohort \
               UNION ALL SELECT paid, count(*) FROM players GROUP BY paid";
    let columns: Vec<Vec<String>> =
        influences(sql).await.into_iter().map(|scan| scan.columns.into_iter().collect()).collect();
    assert_eq!(columns, [vec!["cohort".to_owned(), "kind".to_owned()], vec!["paid".to_owned()]]);
}

/// The rows of each partition of a query's result, in any order.
async fn partitions(sql: &str, players_rows: &[Player], days_rows: &[Day]) -> Partitions {
    let session = session(players(players_rows), days(days_rows));
    let mut partitions = Partitions::new();
    for batch in session.sql(sql).await.unwrap().collect().await.unwrap() {
        assert_eq!(*batch.column(0).data_type(), DataType::Date32, "{sql}");
        let partition = batch.column(0).as_primitive::<Date32Type>();
        for row in 0..batch.num_rows() {
            let texts: Vec<String> = batch
                .columns()
                .iter()
                .map(|column| array_value_to_string(column, row).unwrap())
                .collect();
            let day = partition.is_valid(row).then(|| partition.value(row));
            partitions.entry(day).or_default().push(texts.join("|"));
        }
    }
    partitions.values_mut().for_each(|rows| rows.sort());
    partitions
}

type Partitions = BTreeMap<Option<i32>, Vec<String>>;

/// The partitions in which two results differ.
fn changed(before: &Partitions, after: &Partitions) -> BTreeSet<i32> {
    before
        .keys()
        .chain(after.keys())
        .filter(|day| before.get(day) != after.get(day))
        .filter_map(|day| *day)
        .collect()
}

fn player() -> impl Strategy<Value = Player> {
    (0..4i64, 0..4i32, proptest::option::of(0..4i32), 0..3i64)
}

fn day() -> impl Strategy<Value = Day> {
    (0..4i64, 0..4i32, 0..3i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Changing a row changes the partitions that the analysis names, and no others.
    #[test]
    fn a_change_stays_in_the_partitions_that_are_named(
        mut players in proptest::collection::vec(player(), 1..6),
        mut days in proptest::collection::vec(day(), 1..8),
        new_player in player(),
        new_day in day(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (sql, expected) in CONFINED {
                let before = partitions(sql, &players, &days).await;
                let confined = |table: &str| {
                    expected.iter().all(|scan| scan.0 != table || !scan.1.is_empty())
                };
                if confined("players") {
                    let old = std::mem::replace(&mut players[0], new_player);
                    let after = partitions(sql, &players, &days).await;
                    let named: BTreeSet<i32> = [old, new_player]
                        .into_iter()
                        .flat_map(|row| [Some(row.1), row.2])
                        .flatten()
                        .collect();
                    assert!(changed(&before, &after).is_subset(&named), "{sql}");
                    players[0] = old;
                }
                if confined("days") {
                    let old = std::mem::replace(&mut days[0], new_day);
                    let after = partitions(sql, &players, &days).await;
                    let named = BTreeSet::from([old.1, new_day.1]);
                    assert!(changed(&before, &after).is_subset(&named), "{sql}");
                    days[0] = old;
                }
            }
        });
    }
}

//! The comparison of a table with its truth.

use std::sync::Arc;

use arrow::array::{
    BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};

use super::*;
use crate::simulate::TruthColumn;

fn truth(kinds: &[(&str, TruthKind)], rows: Vec<Vec<TruthValue>>) -> TruthTable {
    let columns = kinds
        .iter()
        .map(|(name, kind)| TruthColumn { name: (*name).to_owned(), kind: *kind })
        .collect();
    TruthTable { key: vec!["key".to_owned()], columns, rows }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn keys(count: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("k{row}"))))
}

fn key(row: usize) -> TruthValue {
    TruthValue::text(&format!("k{row}"))
}

#[test]
fn points_in_time_are_equal_in_every_unit_and_to_the_microsecond() {
    let kinds = [("key", TruthKind::Text), ("at", TruthKind::Timestamp)];
    let at = |text: &str| TruthValue::text(text);
    let expected = truth(
        &kinds,
        vec![vec![key(0), at("2026-01-02T03:04:00Z")], vec![key(1), TruthValue::Null]],
    );
    let seconds = 1_767_323_040;
    let arrays: [ArrayRef; 3] = [
        Arc::new(TimestampSecondArray::from(vec![Some(seconds), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(seconds * 1_000_000), None])),
        Arc::new(
            TimestampNanosecondArray::from(vec![Some(seconds * 1_000_000_000), None])
                .with_timezone("UTC"),
        ),
    ];
    for array in arrays {
        let report = compare_table("t", &expected, &[batch(vec![("key", keys(2)), ("at", array)])]);
        assert_eq!((report.differing, report.cells, report.rows), (0, 4, 2), "{report:?}");
    }
    let off = Arc::new(TimestampMicrosecondArray::from(vec![Some(seconds * 1_000_000 + 1), None]));
    let report = compare_table("t", &expected, &[batch(vec![("key", keys(2)), ("at", off)])]);
    assert_eq!(report.differing, 1);
    assert_eq!(report.differences[0].found, "2026-01-02T03:04:00.000001Z");
}

#[test]
fn truth_values_nulls_and_rows_are_compared() {
    let kinds = [
        ("key", TruthKind::Text),
        ("is_control", TruthKind::Boolean),
        ("p_value", TruthKind::Number),
        ("players", TruthKind::Integer),
    ];
    let row = |number, is_control, p_value, players| {
        vec![key(number), TruthValue::Boolean(is_control), p_value, TruthValue::Integer(players)]
    };
    let expected = truth(
        &kinds,
        vec![
            row(0, true, TruthValue::Null, 4),
            row(1, false, TruthValue::Number(1e-40), 5),
            row(2, false, TruthValue::Number(0.25), 6),
            row(7, true, TruthValue::Null, 7),
        ],
    );
    let found = |p_values: Vec<Option<f64>>, controls: Vec<bool>| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", keys(3)),
            ("is_control", Arc::new(BooleanArray::from(controls))),
            ("p_value", Arc::new(Float64Array::from(p_values))),
            ("players", Arc::new(Int64Array::from(vec![4, 5, 6]))),
        ];
        let report = compare_table("t", &expected, &[batch(columns)]);
        let places = report.differences.into_iter().map(|told| (told.row, told.column));
        places.map(|(row, column)| format!("{row}: {column}")).collect::<Vec<_>>()
    };
    // The tolerance is relative; the fourth row is missing.
    let missing = "key = k7: row";
    let near = vec![None, Some(1e-40 * (1.0 + 5e-10)), Some(0.25)];
    assert_eq!(found(near, vec![true, false, false]), [missing]);
    let far = vec![Some(0.0), Some(1e-40 * (1.0 + 5e-9)), None];
    assert_eq!(
        found(far, vec![true, true, false]),
        [
            "key = k0: p_value",
            "key = k1: is_control",
            "key = k1: p_value",
            "key = k2: p_value",
            missing
        ]
    );
}

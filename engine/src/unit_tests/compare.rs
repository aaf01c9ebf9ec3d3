//! Expected rows against those of the result, whatever their order.
//!
//! Rows are paired by the key of the model, if every expected row names all of it. Else a row that
//! is as expected is paired first, and of the rest those that have the most cells alike.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use super::values::{is_equal, shown};
use super::{CellDifference, DifferenceKind, ExpectedRow, ModelTest, RowDifference};

/// A row of the result: values by place of the column.
type FoundRow = Vec<ScalarValue>;

/// The rows that are not as expected, in the order in which they are expected.
pub(super) fn compare(test: &ModelTest, result: &RecordBatch) -> Vec<RowDifference> {
    let found: Vec<FoundRow> = (0..result.num_rows())
        .map(|row| {
            let cell = |column| ScalarValue::try_from_array(column, row);
            result
                .columns()
                .iter()
                .map(|column| cell(column).unwrap_or(ScalarValue::Null))
                .collect()
        })
        .collect();
    let comparison = Comparison::new(test);
    // The warehouse would refuse all of it, whatever rows the test looks at.
    let mut differences = comparison.wrong_keys(&found);
    let looked_at: Vec<FoundRow> = found
        .into_iter()
        .filter(|row| test.only.iter().all(|(column, value)| is_equal(value, &row[*column])))
        .collect();
    differences.extend(comparison.compare(&looked_at));
    differences
}

struct Comparison<'a> {
    test: &'a ModelTest,
    /// Places of the key's columns.
    key: Vec<usize>,
    /// Places of all columns that an expected row names.
    named: BTreeSet<usize>,
}

impl<'a> Comparison<'a> {
    fn new(test: &'a ModelTest) -> Self {
        let table = &test.model.table;
        let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let key = table.key.iter().filter_map(place).collect();
        let named = test.expected.iter().flat_map(|row| row.cells.keys().copied()).collect();
        Self { test, key, named }
    }

    /// Rows of the result whose key has a NULL or is another row's.
    fn wrong_keys(&self, found: &[FoundRow]) -> Vec<RowDifference> {
        let mut keys = BTreeSet::new();
        let mut wrong = Vec::new();
        if self.key.is_empty() {
            return wrong;
        }
        for row in found {
            let key: Vec<String> =
                self.key.iter().map(|column| format!("{:?}", row[*column])).collect();
            let has_null = self.key.iter().any(|column| row[*column].is_null());
            if !keys.insert(key) || has_null {
                wrong.push(self.difference(DifferenceKind::Key, None, Some(row)));
            }
        }
        wrong
    }

    fn compare(&self, found: &[FoundRow]) -> Vec<RowDifference> {
        let expected = &self.test.expected;
        let mut partners: Vec<Option<usize>> = vec![None; expected.len()];
        let mut free: BTreeSet<usize> = (0..found.len()).collect();
        if self.pairs_by_key() {
            for (partner, row) in partners.iter_mut().zip(expected) {
                *partner = free.iter().copied().find(|index| self.has_key_of(row, &found[*index]));
                if let Some(index) = *partner {
                    free.remove(&index);
                }
            }
        } else {
            self.pair_by_likeness(found, &mut partners, &mut free);
        }
        let mut differences = Vec::new();
        for (partner, row) in partners.iter().zip(expected) {
            let kind = match partner {
                Some(index) if alike(row, &found[*index]) == row.cells.len() => continue,
                Some(_) => DifferenceKind::Differs,
                None => DifferenceKind::Missing,
            };
            let found = partner.map(|index| &found[index]);
            differences.push(self.difference(kind, Some(row), found));
        }
        for index in free {
            let row = &found[index];
            differences.push(self.difference(DifferenceKind::Unexpected, None, Some(row)));
        }
        differences
    }

    /// Whether every expected row names the whole key, or `only` does in its place.
    fn pairs_by_key(&self) -> bool {
        let names = |row: &ExpectedRow, column: &usize| {
            row.cells.contains_key(column) || self.test.only.contains_key(column)
        };
        !self.key.is_empty()
            && self.test.expected.iter().all(|row| self.key.iter().all(|column| names(row, column)))
    }

    fn has_key_of(&self, row: &ExpectedRow, found: &FoundRow) -> bool {
        self.key.iter().all(|column| match row.cells.get(column) {
            Some(value) => is_equal(value, &found[*column]),
            None => true,
        })
    }

    fn pair_by_likeness(
        &self,
        found: &[FoundRow],
        partners: &mut [Option<usize>],
        free: &mut BTreeSet<usize>,
    ) {
        let expected = &self.test.expected;
        // A row that names more is harder to please, so it chooses first.
        let mut order: Vec<usize> = (0..expected.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(expected[*index].cells.len()));
        for whole in [true, false] {
            for index in &order {
                let row = &expected[*index];
                if partners[*index].is_some() {
                    continue;
                }
                let best = free
                    .iter()
                    .copied()
                    .map(|candidate| (alike(row, &found[candidate]), candidate))
                    .max_by_key(|(alike, candidate)| (*alike, std::cmp::Reverse(*candidate)));
                let Some((alike, candidate)) = best else { continue };
                let fits = if whole { alike == row.cells.len() } else { alike > 0 };
                if fits {
                    partners[*index] = Some(candidate);
                    free.remove(&candidate);
                }
            }
        }
    }

    /// The cells of a difference: the key first, then what the rows are compared by.
    fn difference(
        &self,
        kind: DifferenceKind,
        expected: Option<&ExpectedRow>,
        found: Option<&FoundRow>,
    ) -> RowDifference {
        let of_row: BTreeSet<usize> = match (kind, expected) {
            (DifferenceKind::Key, _) => BTreeSet::new(),
            (_, Some(row)) => row.cells.keys().copied().collect(),
            (_, None) => self.named.clone(),
        };
        let others = of_row.iter().copied().filter(|column| !self.key.contains(column));
        let columns: Vec<usize> = self.key.iter().copied().chain(others).collect();
        // A test that expects no rows names no columns.
        let all = (0..self.test.model.table.columns.len()).collect();
        let columns = if columns.is_empty() { all } else { columns };
        let cells = columns
            .into_iter()
            .map(|column| {
                let wanted = expected.and_then(|row| row.cells.get(&column));
                let is = found.map(|row| &row[column]);
                let differs = match (wanted, is) {
                    (Some(wanted), Some(is)) => !is_equal(wanted, is),
                    _ => false,
                };
                CellDifference {
                    column: self.test.model.table.columns[column].name.clone(),
                    expected: wanted.map(shown),
                    found: is.map(shown),
                    differs,
                }
            })
            .collect();
        RowDifference { kind, cells }
    }
}

/// How many cells of the row are as expected.
fn alike(row: &ExpectedRow, found: &FoundRow) -> usize {
    row.cells.iter().filter(|(column, value)| is_equal(value, &found[**column])).count()
}

//! Conditions on columns, evaluated while a model's rows pass by on their way to the warehouse.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::references::ValuesSeen;
use super::{ColumnCheck, ColumnRule, SAMPLE_ROWS};
use crate::models::Model;

/// Longest shown value in characters.
const SHOWN_CHARACTERS: usize = 120;

/// Most shown columns of a row.
const SHOWN_COLUMNS: usize = 12;

/// What was seen of a model's rows.
pub(crate) struct RowChecks {
    key: Vec<String>,
    partition: Option<String>,
    /// Days of the partition column.
    days: BTreeSet<i32>,
    rows: u64,
    pub(super) conditions: Vec<Condition>,
    pub(super) references: Vec<ValuesSeen>,
}

/// A check of one column that needs nothing but the row, and what it found.
#[derive(Clone)]
pub(super) struct Condition {
    pub(super) check: ColumnCheck,
    is_wrong: Arc<dyn PhysicalExpr>,
    pub(super) rows: u64,
    pub(super) sample: Vec<String>,
    pub(super) elapsed: Duration,
}

impl RowChecks {
    /// For all checks of a model, of which nothing was seen yet.
    pub(crate) fn of_model(model: &Model, pool: &Arc<dyn MemoryPool>) -> Result<Self> {
        let schema = model.table.schema();
        let mut conditions = Vec::new();
        let mut references = Vec::new();
        for check in &model.checks {
            match &check.rule {
                ColumnRule::References { .. } => references.push(ValuesSeen::new(check, pool)),
                _ => conditions.push(Condition::new(check, &schema)?),
            }
        }
        Ok(Self {
            key: model.table.key.clone(),
            partition: model.table.partition.clone(),
            days: BTreeSet::new(),
            rows: 0,
            conditions,
            references,
        })
    }

    /// For conditions that are to be looked at again, over rows of this schema.
    pub(super) fn again(model: &Model, checks: &[ColumnCheck], schema: &Schema) -> Result<Self> {
        let conditions: Result<Vec<Condition>> =
            checks.iter().map(|check| Condition::new(check, schema)).collect();
        Ok(Self {
            key: model.table.key.clone(),
            partition: None,
            days: BTreeSet::new(),
            rows: 0,
            conditions: conditions?,
            references: Vec::new(),
        })
    }

    /// The days of the partition column that were seen.
    pub(crate) fn days(&self) -> &BTreeSet<i32> {
        &self.days
    }

    /// Whether there was any row.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Looks at some of the rows.
    pub(crate) fn look_at(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let partition = self.partition.as_ref().and_then(|name| rows.column_by_name(name));
        if let Some(days) = partition.and_then(|column| column.as_primitive_opt::<Date32Type>()) {
            // Rows of a day tend to come one after the other.
            let mut last = None;
            for day in days.iter().flatten() {
                if last != Some(day) {
                    self.days.insert(day);
                    last = Some(day);
                }
            }
        }
        for condition in &mut self.conditions {
            condition.look_at(rows, &self.key)?;
        }
        for seen in &mut self.references {
            seen.look_at(rows, &self.key)?;
        }
        Ok(())
    }
}

impl Condition {
    fn new(check: &ColumnCheck, schema: &Schema) -> Result<Self> {
        let column = Expr::Column(Column::from_name(&check.column));
        let is_wrong = match &check.rule {
            ColumnRule::Accepted(values) => {
                column.in_list(values.iter().map(|value| lit(value.clone())).collect(), true)
            }
            _ => column.is_null(),
        };
        let schema = DFSchema::try_from(schema.clone())?;
        debug_assert!(is_wrong.get_type(&schema).is_ok_and(|found| found == DataType::Boolean));
        let is_wrong = SessionContext::new().create_physical_expr(is_wrong, &schema)?;
        Ok(Self {
            check: check.clone(),
            is_wrong,
            rows: 0,
            sample: Vec::new(),
            elapsed: Duration::ZERO,
        })
    }

    fn look_at(&mut self, rows: &RecordBatch, key: &[String]) -> Result<()> {
        let started = Instant::now();
        let wrong = match self.is_wrong.evaluate(rows)? {
            ColumnarValue::Array(values) => values,
            ColumnarValue::Scalar(value) => value.to_array_of_size(rows.num_rows())?,
        };
        let wrong = wrong.as_boolean();
        // A condition on NULL is NULL: such a row passes.
        let count = wrong.true_count();
        if count > 0 {
            self.rows += count as u64;
            let columns = columns_to_show(key, &self.check.column);
            for row in true_rows(wrong).take(SAMPLE_ROWS - self.sample.len()) {
                self.sample.push(show_row(rows, row, &columns));
            }
        }
        self.elapsed += started.elapsed();
        Ok(())
    }
}

fn true_rows(values: &BooleanArray) -> impl Iterator<Item = usize> + '_ {
    (0..values.len()).filter(|row| values.is_valid(*row) && values.value(*row))
}

/// The key, and the column that is wrong.
pub(super) fn columns_to_show<'a>(key: &'a [String], column: &'a str) -> Vec<&'a str> {
    let mut columns: Vec<&str> = key.iter().map(String::as_str).collect();
    if !columns.contains(&column) {
        columns.push(column);
    }
    columns
}

/// A row such as `event_id = e1, store = amazon`, of these columns.
pub(super) fn show_row(rows: &RecordBatch, row: usize, columns: &[&str]) -> String {
    let options = FormatOptions::new().with_null("NULL");
    let mut parts = Vec::new();
    for name in columns.iter().take(SHOWN_COLUMNS) {
        let formatter = rows
            .column_by_name(name)
            .and_then(|column| ArrayFormatter::try_new(column, &options).ok());
        let Some(formatter) = formatter else { continue };
        let value = formatter.value(row).to_string();
        // One line stays one line, and a document does not fill the screen.
        let mut shown: String = value
            .chars()
            .take(SHOWN_CHARACTERS)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        if value.chars().nth(SHOWN_CHARACTERS).is_some() {
            shown.push('…');
        }
        parts.push(format!("{name} = {shown}"));
    }
    if columns.len() > SHOWN_COLUMNS {
        parts.push("…".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use datafusion::common::ScalarValue;

    use super::*;
    use crate::project::diagnostic::Severity;

    fn rows(stores: Vec<Option<&str>>) -> RecordBatch {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter_values(0..i64::try_from(stores.len()).unwrap()));
        let stores: ArrayRef = Arc::new(StringArray::from(stores));
        RecordBatch::try_from_iter_with_nullable([("id", numbers, false), ("store", stores, true)])
            .unwrap()
    }

    fn found(rule: ColumnRule, batches: &[RecordBatch]) -> (u64, Vec<String>) {
        let check =
            ColumnCheck { column: "store".to_owned(), rule, severity: Severity::Error, line: 1 };
        let mut condition = Condition::new(&check, &batches[0].schema()).unwrap();
        for batch in batches {
            condition.look_at(batch, &["id".to_owned()]).unwrap();
        }
        (condition.rows, condition.sample)
    }

    #[test]
    fn null_breaks_only_what_forbids_it() {
        let batches = [rows(vec![Some("steam"), None]), rows(vec![Some("amazon"), None])];
        let (wrong, sample) = found(ColumnRule::NotNull, &batches);
        assert_eq!(
            (wrong, sample.join("; ")),
            (2, "id = 1, store = NULL; ".to_owned() + "id = 1, store = NULL")
        );
        let accepted = ["steam", "web"].map(|text| ScalarValue::Utf8(Some(text.to_owned())));
        let (wrong, sample) = found(ColumnRule::Accepted(accepted.to_vec()), &batches);
        assert_eq!((wrong, sample), (1, vec!["id = 0, store = amazon".to_owned()]));
    }

    #[test]
    fn few_rows_are_shown_and_all_are_counted() {
        let batches = [rows(vec![None; 4]), rows(vec![None; 4])];
        let (wrong, sample) = found(ColumnRule::NotNull, &batches);
        assert_eq!((wrong, sample.len()), (8, SAMPLE_ROWS));
    }

    #[test]
    fn a_shown_row_is_one_short_line() {
        let long = "a\nb".to_owned() + &"x".repeat(500);
        let shown = show_row(&rows(vec![Some(&long)]), 0, &["id", "store", "nothing"]);
        assert!(shown.starts_with("id = 0, store = a bx") && shown.ends_with("x…"), "{shown}");
        assert!(shown.chars().count() < 160);
    }
}

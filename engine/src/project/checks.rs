//! `CHECK` constraints of a contract, compiled to run over record batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::contract::{CheckConstraint, EventContract};

/// A constraint that is ready to be evaluated.
#[derive(Debug, Clone)]
pub struct CompiledCheck {
    /// The constraint.
    pub constraint: CheckConstraint,
    condition: Arc<dyn PhysicalExpr>,
}

/// A constraint that cannot be compiled.
#[derive(Debug)]
pub struct CheckError {
    /// The constraint.
    pub constraint: CheckConstraint,
    /// Why.
    pub source: DataFusionError,
}

/// Rows that break a constraint.
#[derive(Debug, Default)]
pub struct BrokenRows {
    /// Those whose condition is false, and those of `failures`.
    pub rows: Vec<usize>,
    /// Why the condition could not be evaluated, for rows where it could not.
    pub failures: BTreeMap<usize, String>,
}

impl CompiledCheck {
    /// The rows that break the constraint: those whose condition is false, or cannot be evaluated
    /// (a division by zero, a text that is no number). As in SQL, a row whose condition is NULL
    /// passes.
    pub fn broken_rows(&self, rows: &RecordBatch) -> BrokenRows {
        let mut broken = BrokenRows::default();
        self.look_at(rows, 0, &mut broken);
        broken
    }

    /// Looks at a slice of rows that begins at row `first`. One row that fails must not fail the
    /// others: halves of them are looked at until it is alone.
    fn look_at(&self, rows: &RecordBatch, first: usize, broken: &mut BrokenRows) {
        let count = rows.num_rows();
        match self.evaluate(rows) {
            Ok(values) if values.true_count() + values.null_count() == count => {}
            Ok(values) => {
                let is_broken = |row: &usize| values.is_valid(*row) && !values.value(*row);
                broken.rows.extend((0..count).filter(is_broken).map(|row| first + row));
            }
            Err(error) if count <= 1 => {
                broken.rows.push(first);
                broken.failures.insert(first, error.find_root().message().into_owned());
            }
            Err(_) => {
                let half = count / 2;
                self.look_at(&rows.slice(0, half), first, broken);
                self.look_at(&rows.slice(half, count - half), first + half, broken);
            }
        }
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
        let values = match self.condition.evaluate(rows)? {
            ColumnarValue::Scalar(value) => value.to_array_of_size(rows.num_rows())?,
            ColumnarValue::Array(values) => values,
        };
        Ok(values.as_boolean().clone())
    }
}

/// Compiles a contract's constraints.
pub fn compile_checks(contract: &EventContract) -> Result<Vec<CompiledCheck>, Vec<CheckError>> {
    let session = SessionContext::new_with_config(sql_config());
    let mut compiled = Vec::new();
    let mut errors = Vec::new();
    for constraint in &contract.checks {
        match compile_check(&session, contract, constraint) {
            Ok(condition) => {
                compiled.push(CompiledCheck { constraint: constraint.clone(), condition })
            }
            Err(source) => errors.push(CheckError { constraint: constraint.clone(), source }),
        }
    }
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

fn sql_config() -> SessionConfig {
    let mut config = SessionConfig::new();
    crate::catalog::runtime::set_sql_options(&mut config);
    config
}

fn compile_check(
    session: &SessionContext,
    contract: &EventContract,
    constraint: &CheckConstraint,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let schema = DFSchema::try_from(Arc::clone(&contract.schema))?;
    let state = session.state();
    let condition = state.create_logical_expr(&constraint.condition, &schema)?;
    let condition = state.create_physical_expr(condition, &schema)?;
    let data_type = condition.data_type(&contract.schema)?;
    if data_type != DataType::Boolean {
        return Err(DataFusionError::Plan(format!(
            "the condition must be true or false, but its type is {data_type}"
        )));
    }
    // A constant that cannot be evaluated would fail with every event.
    condition.evaluate(&RecordBatch::new_empty(Arc::clone(&contract.schema)))?;
    Ok(condition)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    /// A check over the columns `i` and `text`.
    fn check(condition: &str, rows: &RecordBatch) -> CompiledCheck {
        let session = SessionContext::new_with_config(sql_config());
        let schema = DFSchema::try_from(rows.schema()).unwrap();
        let state = session.state();
        let logical = state.create_logical_expr(condition, &schema).unwrap();
        CompiledCheck {
            constraint: CheckConstraint {
                name: "check".to_owned(),
                condition: condition.to_owned(),
                line: 1,
                column: 1,
            },
            condition: state.create_physical_expr(logical, &schema).unwrap(),
        }
    }

    fn rows(numbers: &[Option<i64>], texts: &[&str]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_from_iter([("i", numbers), ("text", texts)]).unwrap()
    }

    #[test]
    fn a_row_that_cannot_be_evaluated_is_broken_alone() {
        let numbers = [Some(5), Some(0), None, Some(20), Some(0)];
        let rows = rows(&numbers, &["1", "2", "x", "4", "5"]);
        let broken = check("10 / i > 1", &rows).broken_rows(&rows);
        assert_eq!(broken.rows, [1, 3, 4]);
        assert_eq!(broken.failures.keys().copied().collect::<Vec<_>>(), [1, 4]);
        assert!(broken.failures[&1].contains("Divide by zero"), "{broken:?}");
        let broken = check("CAST(text AS BIGINT) > 1", &rows).broken_rows(&rows);
        assert_eq!(broken.rows, [0, 2]);
        assert!(broken.failures[&2].contains("'x'"), "{broken:?}");
        let broken = check("i >= 0", &rows).broken_rows(&rows);
        assert!(broken.rows.is_empty() && broken.failures.is_empty(), "{broken:?}");
    }
}

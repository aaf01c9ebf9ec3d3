//! `CHECK` constraints of a contract, compiled to run over record batches.

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

impl CompiledCheck {
    /// Marks the rows that break the constraint: those whose condition is false. As in SQL, a row
    /// whose condition is NULL passes. `None` if no row breaks it.
    pub fn broken_rows(&self, rows: &RecordBatch) -> Result<Option<BooleanArray>, DataFusionError> {
        let result = self.condition.evaluate(rows)?;
        let values = match result {
            ColumnarValue::Scalar(value) => value.to_array_of_size(rows.num_rows())?,
            ColumnarValue::Array(values) => values,
        };
        let values = values.as_boolean();
        if values.true_count() + values.null_count() == values.len() {
            return Ok(None);
        }
        let broken =
            (0..values.len()).map(|row| Some(values.is_valid(row) && !values.value(row))).collect();
        Ok(Some(broken))
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
    Ok(condition)
}

//! Arguments that must be the same for all rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;

/// The value of an argument that does not depend on the row.
///
/// # Errors
/// When it does. `what` names the argument in the message.
pub(super) fn constant(argument: &Arc<dyn PhysicalExpr>, what: &str) -> Result<ScalarValue> {
    let no_columns = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match argument.evaluate(&no_columns) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => plan_err!("{what} is one value for all rows, not {argument}"),
    }
}

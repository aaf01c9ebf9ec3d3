//! What the tests take as a count, and how a row becomes a result.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::ColumnarValue;

/// The type that a count is cast to.
///
/// # Errors
/// When it can hold other than whole numbers. `argument` names it in the message.
pub(super) fn count_type(function: &str, argument: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Null => Ok(DataType::Int64),
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale <= 0 => {
            Ok(DataType::Int64)
        }
        integer if integer.is_integer() => Ok(DataType::Int64),
        other => plan_err!("{argument} of {function} is a whole number (BIGINT), not {other}"),
    }
}

/// The function's result for a batch: an array, or one value if all arguments are single values.
pub(super) fn evaluate(
    arguments: &[ColumnarValue],
    row_results: impl FnOnce(&[ArrayRef]) -> Result<Float64Array>,
) -> Result<ColumnarValue> {
    let is_single = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    let results: ArrayRef = Arc::new(row_results(&ColumnarValue::values_to_arrays(arguments)?)?);
    if is_single {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&results, 0)?));
    }
    Ok(ColumnarValue::Array(results))
}

/// The error of a call whose argument count was checked when it was planned.
pub(super) fn wrong_arguments<T>(function: &str) -> Result<T> {
    exec_err!("{function} was called with other arguments than planned")
}

//! A function that works out how large its result will be before it computes it.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};

use super::estimate::{Growth, growth};
use super::{Bounds, LARGEST_CONSTANT, Oversized};

/// A function within bounds; all else of it is as it was.
#[derive(Debug)]
pub(super) struct BoundedFunction {
    inner: ScalarUDF,
    bounds: Arc<Bounds>,
}

impl PartialEq for BoundedFunction {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for BoundedFunction {}

impl Hash for BoundedFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl BoundedFunction {
    pub(super) fn new(inner: ScalarUDF, bounds: Arc<Bounds>) -> Self {
        Self { inner, bounds }
    }

    fn function(&self) -> &dyn ScalarUDFImpl {
        &**self.inner.inner()
    }

    fn refuse(&self, bytes: u64, rows: usize, most: usize) -> DataFusionError {
        let oversized =
            Oversized { function: self.inner.name().to_owned(), bytes, rows, most: most as u64 };
        DataFusionError::External(Box::new(oversized))
    }

    /// Bytes of the constant arguments, each as often as it may stand between the others.
    fn constants(&self, arguments: &[Expr]) -> usize {
        let size = |argument: &Expr| match argument {
            Expr::Literal(value, _) => value.size(),
            _ => 0,
        };
        let between = match growth(self.inner.name()) {
            Some(Growth::JoinWith) => arguments.first().map_or(0, size),
            _ => 0,
        };
        arguments.iter().map(|argument| size(argument).saturating_add(between)).sum()
    }

    /// Computes a result of which nobody knows how large it will be, some rows at a time, as long as
    /// it keeps within the bounds.
    fn invoke_in_parts(
        &self,
        arguments: &ScalarFunctionArgs,
        sizes: &[u64],
    ) -> Result<ColumnarValue> {
        let most = self.bounds.most;
        let mut results: Vec<ArrayRef> = Vec::new();
        let mut bytes = 0;
        for part in parts(sizes, most as u64) {
            self.bounds.cancellation.check()?;
            let upper: u64 = sizes.get(part.clone()).map_or(0, |sizes| {
                sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size))
            });
            if upper > most as u64 {
                return Err(self.refuse(upper, 1, most));
            }
            let sliced = ScalarFunctionArgs {
                args: arguments
                    .args
                    .iter()
                    .map(|value| match value {
                        ColumnarValue::Array(array) => {
                            ColumnarValue::Array(array.slice(part.start, part.len()))
                        }
                        constant => constant.clone(),
                    })
                    .collect(),
                number_rows: part.len(),
                ..arguments.clone()
            };
            let result = self.function().invoke_with_args(sliced)?.into_array(part.len())?;
            bytes += result.to_data().get_slice_memory_size()?;
            if bytes > most {
                return Err(self.refuse(bytes as u64, part.end, most));
            }
            results.push(result);
        }
        let results: Vec<&dyn Array> = results.iter().map(|result| &**result).collect();
        Ok(ColumnarValue::Array(concat(&results)?))
    }
}

/// Ranges of rows whose sizes together are within the bound, or single rows beyond it.
fn parts(sizes: &[u64], most: u64) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (row, size) in sizes.iter().enumerate() {
        if row > start && bytes.saturating_add(*size) > most {
            parts.push(start..row);
            (start, bytes) = (row, 0);
        }
        bytes = bytes.saturating_add(*size);
    }
    if start < sizes.len() {
        parts.push(start..sizes.len());
    }
    parts
}

#[warn(clippy::missing_trait_methods)]
impl ScalarUDFImpl for BoundedFunction {
    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.bounds.cancellation.check()?;
        let constant = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let (rows, most) = match constant {
            true => (1, self.bounds.most.min(LARGEST_CONSTANT)),
            false => (arguments.number_rows, self.bounds.most),
        };
        // `||` is all of its operands.
        let growth = growth(self.inner.name()).unwrap_or(Growth::Join);
        let Some(sizes) = growth.bytes(&arguments.args, rows) else {
            return self.function().invoke_with_args(arguments);
        };
        let bytes = sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
        if bytes <= most as u64 {
            return self.function().invoke_with_args(arguments);
        }
        match growth.is_exact() || constant {
            true => Err(self.refuse(bytes, rows, most)),
            false => self.invoke_in_parts(&arguments, &sizes),
        }
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.function().with_updated_config(config)?;
        Some(Self::new(updated, Arc::clone(&self.bounds)).into())
    }

    fn name(&self) -> &str {
        self.function().name()
    }

    fn aliases(&self) -> &[String] {
        self.function().aliases()
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        #[expect(deprecated, reason = "it belongs to what is passed on")]
        self.function().display_name(arguments)
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        self.function().schema_name(arguments)
    }

    fn signature(&self) -> &Signature {
        self.function().signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function().return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function().return_field_from_args(arguments)
    }

    fn is_nullable(&self, arguments: &[Expr], schema: &dyn ExprSchema) -> bool {
        #[expect(deprecated, reason = "it belongs to what is passed on")]
        self.function().is_nullable(arguments, schema)
    }

    fn is_strict(&self) -> bool {
        self.function().is_strict()
    }

    fn simplify(
        &self,
        arguments: Vec<Expr>,
        context: &SimplifyContext,
    ) -> Result<ExprSimplifyResult> {
        // What is put together here is not computed by the function.
        match self.constants(&arguments) <= LARGEST_CONSTANT {
            true => self.function().simplify(arguments, context),
            false => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn preimage(
        &self,
        arguments: &[Expr],
        literal: &Expr,
        context: &SimplifyContext,
    ) -> Result<PreimageResult> {
        self.function().preimage(arguments, literal, context)
    }

    fn short_circuits(&self) -> bool {
        self.function().short_circuits()
    }

    fn conditional_arguments<'a>(
        &self,
        arguments: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function().conditional_arguments(arguments)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function().evaluate_bounds(inputs)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.function().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function().coerce_types(types)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.function().struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function().documentation()
    }

    fn placement(&self, arguments: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.function().placement(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_together_up_to_the_bound() {
        assert!(parts(&[], 10).is_empty());
        assert_eq!(parts(&[4, 6, 1, 20, 3], 10), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(parts(&[u64::MAX, u64::MAX], 10), [0..1, 1..2]);
    }
}

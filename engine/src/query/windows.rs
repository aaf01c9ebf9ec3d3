//! Window functions over what fits into memory, evaluated all at once.
//!
//! DataFusion evaluates `lag`, `row_number` and the like as the rows come, with a state for each
//! partition. Where there are about as many partitions as rows, as with players and levels, these
//! states take many times as long as the functions; the operator that takes in all rows first has
//! none. What it takes in it does not account for, so that it is chosen only for few rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

/// Bytes of a text and its bookkeeping, as far as can be told before.
const TEXT_BYTES: usize = 48;

/// Replaces operators that evaluate window functions row by row where their input is small.
#[derive(Debug)]
pub(super) struct WholeWindows {
    /// Most bytes of an input.
    pub(super) budget: usize,
}

impl PhysicalOptimizerRule for WholeWindows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |node: Arc<dyn ExecutionPlan>| {
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else {
                return Ok(Transformed::no(node));
            };
            let is_sorted = window.input_order_mode == InputOrderMode::Sorted;
            let is_partitioned = !window.partition_keys().is_empty();
            let fits = self.fits(window.input())?;
            if !(is_sorted && is_partitioned && fits) {
                return Ok(Transformed::no(node));
            }
            let whole = WindowAggExec::try_new(
                window.window_expr().to_vec(),
                Arc::clone(window.input()),
                true,
            )?;
            Ok(Transformed::yes(Arc::new(whole)))
        };
        Ok(plan.transform_up(replace)?.data)
    }

    fn name(&self) -> &str {
        "whole_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl WholeWindows {
    fn fits(&self, input: &Arc<dyn ExecutionPlan>) -> Result<bool> {
        let statistics = StatisticsContext::new().compute(&**input, &StatisticsArgs::new())?;
        let rows = statistics.num_rows;
        let (Precision::Exact(rows) | Precision::Inexact(rows)) = rows else { return Ok(false) };
        Ok(rows.saturating_mul(row_bytes(&input.schema())) <= self.budget)
    }
}

/// Bytes of a row, roughly.
fn row_bytes(schema: &Schema) -> usize {
    let bytes = |kind: &DataType| kind.primitive_width().unwrap_or(TEXT_BYTES);
    schema.fields().iter().map(|field| bytes(field.data_type())).sum()
}

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

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::functions::register_all;

    async fn run(session: &SessionContext, sql: &str) -> String {
        let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// As for functions of DataFusion's own, the result is the same whether the rows are evaluated at
    /// once or as they come, in small batches.
    #[tokio::test]
    async fn sessions_are_the_same_at_once_and_as_they_come() {
        let session = |budget| {
            let config = SessionConfig::new().with_target_partitions(2).with_batch_size(3);
            let state = SessionStateBuilder::new()
                .with_config(config)
                .with_default_features()
                .with_physical_optimizer_rule(Arc::new(WholeWindows { budget }))
                .build();
            let session = SessionContext::new_with_state(state);
            register_all(&session);
            session
        };
        let (whole, as_they_come) = (session(usize::MAX), session(0));
        let sql = "SELECT n % 3 AS player, n, sessionize(to_timestamp_seconds(n * n), 60) \
                   OVER (PARTITION BY n % 3 ORDER BY to_timestamp_seconds(n * n)) AS session \
                   FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), \
                   (13), (14), (15), (16), (17), (18), (19)) AS v (n) ORDER BY player, n";
        for (session, operator) in
            [(&whole, " WindowAggExec"), (&as_they_come, " BoundedWindowAggExec")]
        {
            let plan = run(session, &format!("EXPLAIN {sql}")).await;
            assert!(plan.contains(operator), "{plan}");
        }
        let sessions = run(&whole, sql).await;
        assert_eq!(sessions, run(&as_they_come, sql).await);
        // Player 0 comes at 0, 9, 36 and 81, and then after pauses of 63 and more.
        for row in
            ["| 0      | 6  | 1       |", "| 0      | 9  | 1       |", "| 0      | 12 | 2       |"]
        {
            assert!(sessions.contains(row), "{sessions}");
        }
    }
}

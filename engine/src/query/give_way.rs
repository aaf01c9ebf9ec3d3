//! Makes operators give way that would work on for minutes.
//!
//! What reads gives way by itself. A join makes many rows out of few: between two reads it may work as
//! long as it likes. So each join, and each `unnest`, is put below an operator that gives way every
//! some batches; and where a join looks through pairs of rows without a result, its condition asks each
//! time whether the query has ended. It cannot give way there, but it does not outlive its query.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;

use super::cancellation::Cancellation;

/// Comes behind all other rules: these know joins by their types.
#[derive(Debug)]
pub(super) struct GiveWay {
    pub(super) cancellation: Arc<Cancellation>,
}

impl PhysicalOptimizerRule for GiveWay {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.cancellation.check()?;
        let replace = |node: Arc<dyn ExecutionPlan>| {
            let Some(node) = self.giving_way(&node)? else { return Ok(Transformed::no(node)) };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
        };
        Ok(plan.transform_up(replace)?.data)
    }

    fn name(&self) -> &str {
        "give_way"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl GiveWay {
    /// The operator with a condition that asks, or `None` if it gives way by itself.
    fn giving_way(&self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if node.is::<CrossJoinExec>() || node.is::<UnnestExec>() {
            return Ok(Some(Arc::clone(node)));
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let Some(filter) = join.filter() else { return Ok(Some(Arc::clone(node))) };
            let filter = Some(self.asking(filter));
            let join = NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?;
            return Ok(Some(Arc::new(join)));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            let Some(filter) = join.filter() else { return Ok(Some(Arc::clone(node))) };
            let filter = Some(self.asking(filter));
            return Ok(Some(join.builder().with_filter(filter).build_exec()?));
        }
        if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
            let Some(filter) = join.filter() else { return Ok(Some(Arc::clone(node))) };
            let filter = Some(self.asking(filter));
            let join = SortMergeJoinExec::try_new(
                Arc::clone(join.left()),
                Arc::clone(join.right()),
                join.on().to_vec(),
                filter,
                join.join_type(),
                join.sort_options().to_vec(),
                join.null_equality(),
            )?;
            return Ok(Some(Arc::new(join)));
        }
        Ok(None)
    }

    fn asking(&self, filter: &JoinFilter) -> JoinFilter {
        let condition = Arc::new(Asking {
            inner: Arc::clone(filter.expression()),
            cancellation: Arc::clone(&self.cancellation),
        });
        JoinFilter::new(condition, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
    }
}

/// A condition that fails once the query has ended.
#[derive(Debug)]
struct Asking {
    inner: Arc<dyn PhysicalExpr>,
    cancellation: Arc<Cancellation>,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl PhysicalExpr for Asking {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.cancellation.check()?;
        self.inner.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, cancellation: Arc::clone(&self.cancellation) }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(formatter)
    }
}

#[cfg(test)]
mod tests;

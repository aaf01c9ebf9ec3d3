//! What a function may make at once.
//!
//! Operators reserve what they hold and spill beyond; functions reserve nothing. `repeat` makes any
//! number of bytes out of two short arguments, and a text in the query stands once in the plan but in
//! every row of a batch. So
//!
//! - functions whose result can be much larger than what they are given work out its size first, and
//!   refuse what is beyond the bound;
//! - so does `||`, which chains of subqueries make as long as they like;
//! - a plan with large constants works on batches of few rows.
//!
//! The functions keep their names, types and documentation. Those in models are not touched: who
//! writes them owns the process.

mod concat;
mod estimate;
mod function;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::cancellation::Cancellation;
use crate::settings::ByteSize;

use concat::ConcatOperator;
use function::BoundedFunction;

/// Parts of `query.memory_limit` that one function may make at once: several are under way on several
/// threads, and the memory that is not the pool's is a third.
const PARTS: usize = 16;

/// Most bytes that a function of constants may make.
const LARGEST_CONSTANT: usize = 4 << 20;

/// Most centroids of an approximate percentile: each group has its own.
const MOST_CENTROIDS: u64 = 10_000;

/// Constants below are not worth to be counted.
const SMALL_CONSTANT: usize = 256;

/// What the functions of one query may make.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Bytes of one result for one batch.
    most: usize,
    cancellation: Arc<Cancellation>,
}

/// A function's result that would be too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{function}` would make {} MiB for {rows} {}, more than the {} MiB that one function may make at \
     once (a part of query.memory_limit); ask it for less, or raise query.memory_limit",
    bytes.div_ceil(1 << 20),
    if *rows == 1 { "row" } else { "rows" },
    most >> 20
)]
pub struct Oversized {
    /// The function.
    pub function: String,
    /// About how much it would make.
    pub bytes: u64,
    /// For how many rows.
    pub rows: usize,
    /// How much it may make.
    pub most: u64,
}

impl Bounds {
    /// The bounds that a limit for all queries gives to each function of one.
    pub(super) fn new(limit: ByteSize, cancellation: Arc<Cancellation>) -> Arc<Self> {
        Arc::new(Self { most: limit.as_usize() / PARTS, cancellation })
    }

    /// A state in which functions keep within the bounds.
    pub(super) fn apply(self: Arc<Self>, state: SessionState) -> SessionState {
        SessionStateBuilder::new_from_existing(state)
            // Before constants are folded.
            .with_analyzer_rule(Arc::new(BoundFunctions { bounds: Arc::clone(&self) }))
            // And behind what puts other functions in the place of these.
            .with_optimizer_rule(Arc::new(BoundFunctions { bounds: self }))
            .build()
    }

    /// Rows of a batch in which the plan's constants do not take more than a function may.
    pub(super) fn batch_rows(&self, plan: &LogicalPlan, usual: usize) -> Result<usize> {
        let mut constants = 0_usize;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    if let Expr::Literal(value, _) = part {
                        let size = value.size();
                        constants += if size < SMALL_CONSTANT { 0 } else { size };
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok((self.most / constants.max(1)).clamp(1, usual.max(1)))
    }
}

/// Puts bounded functions in the place of those whose results can be large.
#[derive(Debug)]
struct BoundFunctions {
    bounds: Arc<Bounds>,
}

impl BoundFunctions {
    fn rewrite_plan(&self, plan: LogicalPlan, operators: bool) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let bounded = expression.transform_up(|part| match part {
                Expr::ScalarFunction(call) => Ok(self.bound_call(call)),
                Expr::BinaryExpr(chain) if operators && chain.op == Operator::StringConcat => {
                    let function = self.bounded(&ScalarUDF::from(ConcatOperator::new()));
                    let arguments = vec![*chain.left, *chain.right];
                    Ok(Transformed::yes(function.call(arguments)))
                }
                Expr::AggregateFunction(call) => {
                    check_centroids(&call)?;
                    Ok(Transformed::no(Expr::AggregateFunction(call)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(bounded.update_data(|expression| name.restore(expression)))
        })
    }

    fn bound_call(&self, mut call: ScalarFunction) -> Transformed<Expr> {
        let is_bounded = call.func.inner().is::<BoundedFunction>();
        if is_bounded || estimate::growth(call.func.name()).is_none() {
            return Transformed::no(Expr::ScalarFunction(call));
        }
        call.func = Arc::new(self.bounded(&call.func));
        Transformed::yes(Expr::ScalarFunction(call))
    }

    fn bounded(&self, function: &ScalarUDF) -> ScalarUDF {
        BoundedFunction::new(function.clone(), Arc::clone(&self.bounds)).into()
    }
}

/// Refuses approximate percentiles that are to be more exact than their groups can afford.
fn check_centroids(call: &AggregateFunction) -> Result<()> {
    let position = match call.func.name() {
        "approx_percentile_cont" => 2,
        "approx_percentile_cont_with_weight" => 3,
        _ => return Ok(()),
    };
    let Some(Expr::Literal(centroids, _)) = call.params.args.get(position) else { return Ok(()) };
    match centroids.cast_to(&DataType::UInt64) {
        Ok(ScalarValue::UInt64(Some(count))) if count > MOST_CENTROIDS => plan_err!(
            "{} takes at most {MOST_CENTROIDS} centroids, not {count}; percentile_cont is exact",
            call.func.name()
        ),
        _ => Ok(()),
    }
}

impl AnalyzerRule for BoundFunctions {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| self.rewrite_plan(node, false))?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "bound_functions"
    }
}

impl OptimizerRule for BoundFunctions {
    fn name(&self) -> &str {
        "bound_functions"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        self.bounds.cancellation.check()?;
        plan.transform_up_with_subqueries(|node| self.rewrite_plan(node, true))
    }
}

#[cfg(test)]
mod tests;

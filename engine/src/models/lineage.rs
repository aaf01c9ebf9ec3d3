//! Column lineage: from which columns of which tables each column of a query comes.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

/// A column of a table that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceColumn {
    /// The table, such as `events.purchase` or `star.dim_player`.
    pub table: String,
    /// The column.
    pub column: String,
}

/// Where a column of a query comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnLineage {
    /// The columns that its values are made of.
    pub sources: BTreeSet<SourceColumn>,
    /// Whether each value is a copy of a value of one of the sources, not computed from it.
    pub copied: bool,
}

impl ColumnLineage {
    fn merge(&mut self, other: &Self) {
        self.sources.extend(other.sources.iter().cloned());
        self.copied &= other.copied;
    }

    fn computed(mut self) -> Self {
        self.copied = false;
        self
    }
}

/// The lineage of each output column of `plan`.
pub fn column_lineage(plan: &LogicalPlan) -> Result<Vec<ColumnLineage>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.to_string();
            let fields = scan.projected_schema.fields().iter();
            fields
                .map(|field| ColumnLineage {
                    sources: [SourceColumn { table: table.clone(), column: field.name().clone() }]
                        .into(),
                    copied: true,
                })
                .collect()
        }
        LogicalPlan::Projection(projection) => {
            let input = Input::new(&projection.input)?;
            input.all(&projection.expr)?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let input = Input::new(&aggregate.input)?;
            let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
            let mut columns = Vec::new();
            for group in groups {
                columns.push(input.expression(group)?);
            }
            let mut values = input.all(&aggregate.aggr_expr)?;
            // Grouping sets add a column that tells them apart.
            let extra = plan.schema().fields().len().saturating_sub(columns.len() + values.len());
            columns.extend(std::iter::repeat_n(ColumnLineage::default(), extra));
            columns.append(&mut values);
            columns
        }
        LogicalPlan::Window(window) => {
            let input = Input::new(&window.input)?;
            let mut columns = input.lineage.clone();
            columns.extend(input.all(&window.window_expr)?);
            columns
        }
        LogicalPlan::Join(join) => {
            let left = column_lineage(&join.left)?;
            let right = column_lineage(&join.right)?;
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => left,
                JoinType::RightSemi | JoinType::RightAnti => right,
                _ => left.into_iter().chain(right).collect(),
            }
        }
        LogicalPlan::Union(union) => {
            let mut inputs = union.inputs.iter();
            let mut columns = match inputs.next() {
                Some(input) => column_lineage(input)?,
                None => Vec::new(),
            };
            for input in inputs {
                for (column, other) in columns.iter_mut().zip(column_lineage(input)?) {
                    column.merge(&other);
                }
            }
            columns
        }
        other => pass_through(other)?,
    })
}

/// A node that hands its only input's columns on; for any other, every column may come from
/// everywhere.
fn pass_through(plan: &LogicalPlan) -> Result<Vec<ColumnLineage>> {
    let inputs = plan.inputs();
    let width = plan.schema().fields().len();
    if let [input] = inputs.as_slice() {
        let lineage = column_lineage(input)?;
        if lineage.len() == width {
            return Ok(lineage);
        }
    }
    let mut all = ColumnLineage::default();
    for input in inputs {
        for column in column_lineage(input)? {
            all.merge(&column);
        }
    }
    Ok(vec![all.computed(); width])
}

/// An input of a node, with its columns' lineage.
struct Input<'a> {
    schema: &'a DFSchema,
    lineage: Vec<ColumnLineage>,
}

impl<'a> Input<'a> {
    fn new(plan: &'a LogicalPlan) -> Result<Self> {
        Ok(Self { schema: plan.schema(), lineage: column_lineage(plan)? })
    }

    fn all(&self, expressions: &[Expr]) -> Result<Vec<ColumnLineage>> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    fn expression(&self, expression: &Expr) -> Result<ColumnLineage> {
        match expression {
            Expr::Column(column) => Ok(self.column(column)),
            Expr::Alias(alias) => self.expression(&alias.expr),
            Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "coalesce" => {
                let mut merged = ColumnLineage { copied: true, ..ColumnLineage::default() };
                for argument in args {
                    merged.merge(&self.expression(argument)?);
                }
                Ok(merged)
            }
            computed => self.computed(computed),
        }
    }

    fn column(&self, column: &Column) -> ColumnLineage {
        self.schema
            .maybe_index_of_column(column)
            .and_then(|index| self.lineage.get(index).cloned())
            .unwrap_or_default()
    }

    fn computed(&self, expression: &Expr) -> Result<ColumnLineage> {
        let mut merged = ColumnLineage::default();
        expression.apply(|part| {
            match part {
                Expr::Column(column) => merged.merge(&self.column(column)),
                Expr::ScalarSubquery(subquery) => {
                    for column in column_lineage(&subquery.subquery)? {
                        merged.merge(&column);
                    }
                }
                Expr::InSubquery(within) => {
                    for column in column_lineage(&within.subquery.subquery)? {
                        merged.merge(&column);
                    }
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(merged.computed())
    }
}

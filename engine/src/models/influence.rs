//! Which partitions of a model a changed row of a table can touch.
//!
//! A plan reads a table in one or more scans. For each scan this module follows its DATE columns
//! to the result: where every result row that a scanned row can have a part in carries that row's
//! date as its own partition, a changed row touches the partition of that date and no other. Where
//! that cannot be shown (a window over all days, a limit, a comparison between days), the model's
//! `lookback` and `lookahead` say how far a change reaches: they limit what is read. A table without
//! a partition is read as a whole, so a change in it reaches all later partitions too.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan, Window};

/// One scan of a table, as seen from the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanInfluence {
    /// The table, such as `star.dim_player`.
    pub table: String,
    /// The columns that the scan reads: a row in which none of them differs has not changed.
    pub columns: BTreeSet<String>,
    /// The DATE columns of the scan whose value is the partition of every result row that the
    /// scanned row has a part in.
    pub partition_columns: BTreeSet<String>,
}

/// The scans of an optimized plan; `partition` is the place of the partition column in its result.
pub fn scan_influences(plan: &LogicalPlan, partition: Option<usize>) -> Result<Vec<ScanInfluence>> {
    let mut influences = Vec::new();
    for scan in follow(plan)? {
        let confined = scan
            .dates
            .into_iter()
            .filter(|date| partition.is_some_and(|partition| date.places.contains(&partition)));
        let influence = ScanInfluence {
            table: scan.table,
            columns: scan.columns,
            partition_columns: confined.map(|date| date.column).collect(),
        };
        if !influences.contains(&influence) {
            influences.push(influence);
        }
    }
    Ok(influences)
}

/// A scan on its way up through the plan.
struct Scan {
    table: String,
    columns: BTreeSet<String>,
    dates: Vec<Date>,
}

/// A DATE column of a scan.
struct Date {
    column: String,
    /// The columns of the node reached so far that hold the date in every row that the scanned row
    /// has a part in.
    places: BTreeSet<usize>,
}

impl Scan {
    fn new(scan: &TableScan) -> Self {
        let fields = scan.projected_schema.fields();
        let mut columns: BTreeSet<String> =
            fields.iter().map(|field| field.name().clone()).collect();
        for filter in &scan.filters {
            columns.extend(filter.column_refs().iter().map(|column| column.name.clone()));
        }
        let dates = fields
            .iter()
            .enumerate()
            .filter(|(_, field)| *field.data_type() == DataType::Date32)
            .map(|(place, field)| Date { column: field.name().clone(), places: [place].into() });
        // With a limit, a row decides which others are read.
        let dates = if scan.fetch.is_none() { dates.collect() } else { Vec::new() };
        Self { table: scan.table_name.to_string(), columns, dates }
    }

    /// The scan one node further up: `place` gives the columns that take over a column's values.
    fn mapped(mut self, place: impl Fn(usize) -> Vec<usize>) -> Self {
        for date in &mut self.dates {
            date.places = date.places.iter().flat_map(|from| place(*from)).collect();
        }
        self
    }

    /// The scan beyond a node that lets a row have a part in any other.
    fn unconfined(self) -> Self {
        Self { dates: Vec::new(), ..self }
    }
}

/// The scans below a node and in its subqueries, as its output shows them.
fn follow(plan: &LogicalPlan) -> Result<Vec<Scan>> {
    let mut scans = match plan {
        LogicalPlan::TableScan(scan) => vec![Scan::new(scan)],
        LogicalPlan::Join(join) => through_join(join)?,
        _ => {
            let mut scans = Vec::new();
            for input in plan.inputs() {
                for scan in follow(input)? {
                    scans.push(through(plan, input.schema(), scan)?);
                }
            }
            scans
        }
    };
    plan.apply_subqueries(|subquery| {
        scans.extend(follow(subquery)?.into_iter().map(Scan::unconfined));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

/// A scan above a node with inputs that do not meet each other.
fn through(plan: &LogicalPlan, input: &DFSchema, scan: Scan) -> Result<Scan> {
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            let copies: Vec<Option<usize>> =
                projection.expr.iter().map(|expression| column_place(expression, input)).collect();
            scan.mapped(|from| places_of(&copies, from))
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => scan,
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => scan,
        LogicalPlan::Aggregate(aggregate) => through_aggregate(aggregate, input, scan)?,
        LogicalPlan::Window(window) => through_window(window, input, scan),
        LogicalPlan::Unnest(_) => scan.mapped(|from| {
            // Lists become more rows; a date beside them is handed on under its name.
            let column = input.columns().get(from).cloned();
            column
                .and_then(|column| plan.schema().maybe_index_of_column(&column))
                .into_iter()
                .collect()
        }),
        _ => scan.unconfined(),
    })
}

/// The place of the input column that an expression is a copy of.
fn column_place(expression: &Expr, input: &DFSchema) -> Option<usize> {
    match expression {
        Expr::Column(column) => input.maybe_index_of_column(column),
        Expr::Alias(alias) => column_place(&alias.expr, input),
        _ => None,
    }
}

fn places_of(copies: &[Option<usize>], from: usize) -> Vec<usize> {
    (0..copies.len()).filter(|place| copies[*place] == Some(from)).collect()
}

/// A row has a part in the groups of its values: in those of its date, if all sets group by it.
fn through_aggregate(aggregate: &Aggregate, input: &DFSchema, scan: Scan) -> Result<Scan> {
    let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
    let copies: Vec<Option<usize>> = groups
        .iter()
        .map(|group| {
            column_place(group, input).filter(|_| is_in_all_sets(group, &aggregate.group_expr))
        })
        .collect();
    Ok(scan.mapped(|from| places_of(&copies, from)))
}

fn is_in_all_sets(group: &Expr, group_by: &[Expr]) -> bool {
    match group_by {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => {
            sets.iter().all(|set| set.contains(group))
        }
        [Expr::GroupingSet(_)] => false,
        _ => true,
    }
}

/// A row has a part in all rows of its window partitions.
fn through_window(window: &Window, input: &DFSchema, scan: Scan) -> Scan {
    let partitions: Vec<BTreeSet<usize>> = window
        .window_expr
        .iter()
        .map(|expression| match unaliased(expression) {
            Expr::WindowFunction(function) => function
                .params
                .partition_by
                .iter()
                .filter_map(|column| column_place(column, input))
                .collect(),
            _ => BTreeSet::new(),
        })
        .collect();
    let mut scan = scan;
    scan.dates.retain(|date| partitions.iter().all(|places| !places.is_disjoint(&date.places)));
    scan
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Where the columns of a join's inputs are in its result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// In every row that the input's row has a part in.
    Always,
    /// Nowhere, or with NULL in their place in some rows.
    NotAlways,
}

/// A row meets the rows of the other input that the conditions pair it with: those have its date
/// too, in the columns that are compared with it.
fn through_join(join: &Join) -> Result<Vec<Scan>> {
    use Shown::{Always, NotAlways};
    let (left, right) = match join.join_type {
        JoinType::Inner => (Always, Always),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (Always, NotAlways)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (NotAlways, Always)
        }
        JoinType::Full => (NotAlways, NotAlways),
    };
    let left_width = join.left.schema().fields().len();
    let right_first = match join.join_type {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => 0,
        _ => left_width,
    };
    let pairs: Vec<(usize, usize)> = join
        .on
        .iter()
        .filter_map(|(on_left, on_right)| {
            let on_left = column_place(on_left, join.left.schema())?;
            Some((on_left, column_place(on_right, join.right.schema())?))
        })
        .collect();
    let mut scans = Vec::new();
    for scan in follow(&join.left)? {
        scans.push(scan.mapped(|from| {
            let own = (left == Always).then_some(from);
            let paired = pairs.iter().filter(|(on_left, _)| right == Always && *on_left == from);
            own.into_iter().chain(paired.map(|(_, on_right)| right_first + on_right)).collect()
        }));
    }
    for scan in follow(&join.right)? {
        scans.push(scan.mapped(|from| {
            let own = (right == Always).then_some(right_first + from);
            let paired = pairs.iter().filter(|(_, on_right)| left == Always && *on_right == from);
            own.into_iter().chain(paired.map(|(on_left, _)| *on_left)).collect()
        }));
    }
    Ok(scans)
}

#[cfg(test)]
mod tests;

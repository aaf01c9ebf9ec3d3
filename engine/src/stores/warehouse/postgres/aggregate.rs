//! Aggregates that the server computes: `SELECT day, sum(revenue) FROM star.fact GROUP BY day` moves
//! a few rows instead of all of the table.
//!
//! Only what is provably the same is left to the server: groups by plain columns, `count`,
//! `count(DISTINCT …)`, `sum` of integers and decimals, `min` and `max`, each with a condition if it
//! has one, over one table whose conditions are all the server's. Averages, doubles, functions of
//! columns, grouping sets and whatever else is asked are computed here: the two do not round, cut or
//! name their results in the same way.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableType,
};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;

use super::condition::{any_column, condition, named_column};
use super::scan::{PostgresTable, plan_query};
use crate::stores::postgres::PostgresDatabase;

/// The rule that is to follow ours: it takes distinct counts apart, which the server can do whole.
const FOLLOWING_RULE: &str = "single_distinct_aggregation_to_group_by";

/// A rule of the optimizer.
type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// DataFusion's rules and ours.
pub fn optimizer_rules() -> Vec<Rule> {
    let mut rules = Optimizer::new().rules;
    let position =
        rules.iter().position(|rule| rule.name() == FOLLOWING_RULE).unwrap_or(rules.len());
    rules.insert(position, Arc::new(PushDownAggregates));
    rules
}

/// Replaces an aggregate over a table of the server by a table that the server computes.
#[derive(Debug)]
struct PushDownAggregates;

impl OptimizerRule for PushDownAggregates {
    fn name(&self) -> &str {
        "push_down_aggregates_to_postgres"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match push_down(aggregate)? {
            Some(replacement) => Ok(Transformed::yes(replacement)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

fn push_down(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(scan) = scanned_table(&aggregate.input) else { return Ok(None) };
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let Some(table) = provider.downcast_ref::<PostgresTable>() else { return Ok(None) };
    let Some(computed) = computed_table(aggregate, scan, table) else { return Ok(None) };

    let name = TableReference::bare(format!("{}_aggregate", table.name()));
    let fields = Arc::clone(&computed.schema);
    let source = provider_as_source(Arc::new(computed));
    // The columns get the names back that those above know them by.
    let columns = fields.fields().iter().zip(aggregate.schema.iter()).map(
        |(field, (qualifier, original))| {
            Expr::Column(Column::new(Some(name.clone()), field.name()))
                .alias_qualified(qualifier.cloned(), original.name())
        },
    );
    let columns: Vec<Expr> = columns.collect();
    let scan = LogicalPlanBuilder::scan(name, source, None)?;
    Ok(Some(scan.project(columns)?.build()?))
}

/// The one table that is aggregated, if there is nothing in between but names and a choice of columns.
fn scanned_table(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scanned_table(&alias.input),
        LogicalPlan::Projection(projection) => {
            let only_columns =
                projection.expr.iter().all(|expression| matches!(expression, Expr::Column(_)));
            if only_columns { scanned_table(&projection.input) } else { None }
        }
        _ => None,
    }
}

/// The aggregate as a table, or `None` if any part of it could differ.
fn computed_table(
    aggregate: &Aggregate,
    scan: &TableScan,
    table: &PostgresTable,
) -> Option<PostgresAggregate> {
    if scan.fetch.is_some() || aggregate.schema.fields().is_empty() {
        return None;
    }
    let rows = table.filtered(&scan.filters)?;
    let source = table.schema();
    let mut groups = Vec::new();
    let mut values = Vec::new();
    for expression in &aggregate.group_expr {
        let (column, data_type) = named_column(expression, &source)?;
        groups.push(column.clone());
        values.push((column, data_type.clone()));
    }
    for expression in &aggregate.aggr_expr {
        values.push(aggregate_value(expression, &source)?);
    }
    let fields = aggregate.schema.fields();
    if values.len() != fields.len() {
        return None;
    }
    let mut computed = Vec::with_capacity(values.len());
    let mut selected = Vec::with_capacity(values.len());
    for (index, ((sql, data_type), field)) in values.into_iter().zip(fields).enumerate() {
        if data_type != *field.data_type() {
            return None;
        }
        computed.push(Field::new(format!("c{index}"), data_type, field.is_nullable()));
        selected.push(sql);
    }
    Some(PostgresAggregate {
        database: table.database().clone(),
        table: table.name().to_owned(),
        schema: Arc::new(Schema::new(computed)),
        selected,
        rows,
        groups,
    })
}

/// One aggregate as SQL, and the type that the server's result is read as.
fn aggregate_value(expression: &Expr, schema: &SchemaRef) -> Option<(String, DataType)> {
    let expression = match expression {
        Expr::Alias(alias) => &*alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expression else {
        return None;
    };
    let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = params;
    let [argument] = args.as_slice() else { return None };
    if !order_by.is_empty() || null_treatment.is_some() {
        return None;
    }
    let (sql, data_type) = match (func.name(), *distinct) {
        ("count", false) => match argument {
            Expr::Literal(value, _) if !value.is_null() => ("count(*)".to_owned(), DataType::Int64),
            _ => (format!("count({})", any_column(argument, schema)?.0), DataType::Int64),
        },
        ("count", true) => {
            (format!("count(DISTINCT {})", named_column(argument, schema)?.0), DataType::Int64)
        }
        ("sum", false) => match named_column(argument, schema)? {
            // The server's sum of integers is a numeric, so that it cannot overflow on the way.
            (column, DataType::Int64) => (format!("sum({column})::bigint"), DataType::Int64),
            (column, DataType::Decimal128(precision, scale)) => {
                let wider = DataType::Decimal128(precision.saturating_add(10).min(38), *scale);
                (format!("sum({column})"), wider)
            }
            _ => return None,
        },
        ("min" | "max", _) => match named_column(argument, schema)? {
            (_, DataType::Boolean) => return None,
            (column, data_type) => (format!("{}({column})", func.name()), data_type.clone()),
        },
        _ => return None,
    };
    match filter {
        None => Some((sql, data_type)),
        Some(filter) => {
            let condition = condition(filter, schema)?;
            // A cast stands behind the aggregate and its condition.
            let (function, cast) = match sql.strip_suffix("::bigint") {
                Some(function) => (function, "::bigint"),
                None => (sql.as_str(), ""),
            };
            Some((format!("{function} FILTER (WHERE {condition}){cast}"), data_type))
        }
    }
}

/// The result of an aggregate over one table, computed by the server.
struct PostgresAggregate {
    database: PostgresDatabase,
    table: String,
    schema: SchemaRef,
    /// What each column is computed by.
    selected: Vec<String>,
    rows: String,
    groups: Vec<String>,
}

impl PostgresAggregate {
    /// The query for these columns.
    fn query(&self, columns: &[usize], limit: Option<usize>) -> String {
        let chosen: Vec<&str> =
            columns.iter().map(|column| self.selected[*column].as_str()).collect();
        let chosen = match (chosen.is_empty(), self.groups.is_empty()) {
            (false, _) => chosen.join(", "),
            // Only how many rows there are is asked: without groups, one.
            (true, true) => "count(*)".to_owned(),
            (true, false) => "true".to_owned(),
        };
        let mut sql = format!("SELECT {chosen} FROM {}", self.rows);
        if !self.groups.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", self.groups.join(", ")));
        }
        if let Some(limit) = limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}

impl fmt::Debug for PostgresAggregate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<usize> = (0..self.selected.len()).collect();
        write!(formatter, "PostgresAggregate({})", self.query(&all, None))
    }
}

#[async_trait]
impl TableProvider for PostgresAggregate {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.selected.len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        plan_query(&self.database, &self.table, schema, self.query(&columns, limit))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::settings::ServerUrl;
    use crate::stores::warehouse::{Combine, TableColumn, TableDefinition};

    fn session() -> SessionContext {
        let column = |name: &str, data_type| TableColumn {
            name: name.to_owned(),
            data_type,
            combine: Combine::Replace,
            comment: None,
        };
        let table = TableDefinition {
            name: "fact".to_owned(),
            columns: vec![
                column("player", DataType::Utf8),
                column("day", DataType::Date32),
                column("n", DataType::Int64),
                column("usd", DataType::Decimal128(12, 2)),
                column("share", DataType::Float64),
            ],
            key: Vec::new(),
            partition: None,
            comment: None,
        };
        // Nothing connects before a row is asked for.
        let url = ServerUrl::new("postgres://nobody@127.0.0.1:1/none");
        let database = PostgresDatabase::open("warehouse", &url).unwrap();
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_optimizer_rules(optimizer_rules())
            .build();
        let session = SessionContext::new_with_state(state);
        session.register_table("fact", Arc::new(PostgresTable::new(database, &table))).unwrap();
        session
    }

    /// The plan of a query, on one line.
    async fn plan(sql: &str) -> String {
        let session = session();
        let plan = session.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let physical = session.state().create_physical_plan(&plan).await.unwrap();
        let shown = datafusion::physical_plan::displayable(physical.as_ref()).indent(true);
        shown.to_string().replace('\n', " ")
    }

    async fn is_pushed_down(sql: &str) -> bool {
        let plan = plan(sql).await;
        assert!(plan.contains("StreamingTableExec"), "{plan}");
        !plan.contains("AggregateExec")
    }

    #[tokio::test]
    async fn what_is_provably_the_same_is_left_to_the_server() {
        for sql in [
            "SELECT day, count(*), sum(usd), sum(n) FROM fact GROUP BY day",
            "SELECT count(DISTINCT player) FROM fact WHERE day > DATE '2026-01-01'",
            "SELECT f.player, min(day), max(usd) FROM fact f WHERE n IN (1, 2) GROUP BY f.player",
            "SELECT day, count(*) FILTER (WHERE n > 1) AS many FROM fact GROUP BY day",
            "SELECT DISTINCT player FROM fact",
            "SELECT count(*) FROM fact",
            "SELECT day FROM (SELECT day, count(*) AS c FROM fact GROUP BY day) WHERE c > 3",
        ] {
            assert!(is_pushed_down(sql).await, "{sql}: {}", plan(sql).await);
        }
    }

    #[tokio::test]
    async fn what_could_differ_is_computed_here() {
        for sql in [
            "SELECT avg(usd) FROM fact",
            "SELECT sum(share) FROM fact",
            "SELECT share, count(*) FROM fact GROUP BY share",
            "SELECT date_trunc('month', day), count(*) FROM fact GROUP BY 1",
            "SELECT day, player, count(*) FROM fact GROUP BY GROUPING SETS ((day), (player))",
            "SELECT count(*) FROM fact WHERE share > 0.5",
            "SELECT sum(DISTINCT n) FROM fact",
            "SELECT count(*) FROM (SELECT * FROM fact LIMIT 5)",
        ] {
            assert!(!is_pushed_down(sql).await, "{sql}: {}", plan(sql).await);
        }
    }
}

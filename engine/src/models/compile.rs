//! Plans each model against the tables that it reads, and decides how it is loaded.

mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Spanned, Statement as SqlStatement};
use futures::future::BoxFuture;
use xxhash_rust::xxh3::xxh3_64;

use self::load::{check_event_partition, check_header_columns, choose_strategy};
use super::errors::{locate_all, span_position};
use super::graph::order_models;
use super::influence::{ScanInfluence, scan_influences};
use super::lineage::{ColumnLineage, column_lineage};
use super::parse::distinct;
use super::{CompiledProject, Model, ModelSource, StarRead, StarScan};
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::runtime::set_sql_options;
use crate::catalog::{EVENTS, Namespace, STAR};
use crate::checks::compile::{column_checks, waits_of_models};
use crate::project::contract::EventContract;
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::project::header::CombineRule;
use crate::project::source::{Position, is_identifier};
use crate::stores::warehouse::{Combine, TableColumn, TableDefinition, storable};

/// Names of files that could not be parsed: what reads them is not to blame.
#[derive(Debug, Default)]
pub struct BrokenNames {
    /// Event types.
    pub events: BTreeSet<String>,
    /// Models.
    pub models: BTreeSet<String>,
}

/// Plans all models. Every mistake goes to `diagnostics`; a model whose upstream has a mistake is
/// not planned, so that one mistake is reported once.
pub fn compile<'a>(
    contracts: Vec<Arc<EventContract>>,
    sources: Vec<ModelSource>,
    broken: &'a BrokenNames,
    diagnostics: &'a mut Diagnostics,
) -> BoxFuture<'a, CompiledProject> {
    Box::pin(async move {
        let event_types: BTreeSet<String> =
            contracts.iter().map(|contract| contract.event_type.clone()).collect();
        let (order, mistakes) = order_models(&sources, &event_types, broken);
        diagnostics.extend(mistakes);
        let sources: Vec<Arc<ModelSource>> = sources.into_iter().map(Arc::new).collect();
        let mut tables: BTreeMap<String, SchemaRef> = BTreeMap::new();
        let mut models: Vec<Arc<Model>> = Vec::new();
        for index in order {
            let source = &sources[index];
            let upstream_failed =
                source.reads_star.iter().any(|read| !tables.contains_key(&read.value))
                    || source.reads_events.iter().any(|read| {
                        read.value != ENVELOPE_TABLE && !event_types.contains(&read.value)
                    });
            if upstream_failed {
                continue;
            }
            match compile_model(source, &contracts, &tables, &models).await {
                Ok(model) => {
                    tables.insert(source.name.clone(), model.table.schema());
                    models.push(Arc::new(model));
                }
                Err(mistakes) => diagnostics.extend(mistakes),
            }
        }
        let mut project = CompiledProject { contracts, models, ..CompiledProject::default() };
        project.waits = waits_of_models(&project);
        project
    })
}

async fn compile_model(
    source: &Arc<ModelSource>,
    contracts: &[Arc<EventContract>],
    tables: &BTreeMap<String, SchemaRef>,
    upstream: &[Arc<Model>],
) -> Result<Model, Vec<Diagnostic>> {
    let file = &source.file;
    let session = planning_session(contracts, tables).map_err(|error| locate_all(file, &error))?;
    let state = session.state();
    let plan = state
        .statement_to_plan(source.statement.clone())
        .await
        .map_err(|error| locate_all(file, &error))?;
    let optimized = state.optimize(&plan).map_err(|error| locate_all(file, &error))?;
    let lineage = column_lineage(&plan).map_err(|error| locate_all(file, &error))?;
    let mut mistakes = Vec::new();
    let columns = table_columns(source, &plan, &optimized, &mut mistakes);
    let names: Vec<&str> =
        plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
    check_header_columns(source, &columns, &names, &mut mistakes);
    let strategy = choose_strategy(source, &mut mistakes);
    check_event_partition(source, strategy, &columns, &lineage, &mut mistakes);
    let checks = column_checks(source, &columns, &names, tables, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let table = TableDefinition {
        name: source.name.clone(),
        columns,
        key: source.header.key.iter().map(|key| key.value.clone()).collect(),
        partition: source.header.partition.as_ref().map(|partition| partition.value.clone()),
        comment: source.header.description.clone(),
    };
    let influences = scan_influences(&optimized, partition_place(&table))
        .map_err(|error| locate_all(file, &error))?;
    let reads = star_reads(source, &table, &lineage, &influences, upstream);
    let types = types_of(&optimized, &table).map_err(|error| locate_all(file, &error))?;
    let definition_hash = definition_hash(source, &types);
    let source = Arc::clone(source);
    Ok(Model { source, table, strategy, reads, lineage, checks, definition_hash })
}

/// A session whose tables have schemas but no rows.
pub(crate) fn planning_session(
    contracts: &[Arc<EventContract>],
    tables: &BTreeMap<String, SchemaRef>,
) -> datafusion::common::Result<SessionContext> {
    let empty = |schema: &SchemaRef| -> Arc<dyn TableProvider> {
        Arc::new(EmptyTable::new(Arc::clone(schema)))
    };
    let mut namespace = Namespace::default();
    for contract in contracts {
        namespace.add_events(&contract.event_type, empty(&contract.schema));
    }
    namespace.add_events(ENVELOPE_TABLE, empty(&envelope_schema()));
    for (name, schema) in tables {
        namespace.add_star(name, empty(schema));
    }
    namespace.add_changed_dates(Vec::new())?;
    let mut config = SessionConfig::new().with_target_partitions(1);
    set_sql_options(&mut config);
    namespace.into_session(config, Arc::new(RuntimeEnv::default()))
}

/// The table's columns from the plan's, with a diagnostic for each that cannot be one. Their types are
/// final in the optimized plan only: a `UNION` of several types has those of its first part until then.
fn table_columns(
    source: &ModelSource,
    plan: &LogicalPlan,
    optimized: &LogicalPlan,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<TableColumn> {
    let header = &source.header;
    let mut columns: Vec<TableColumn> = Vec::new();
    let typed = plan.schema().fields().iter().zip(optimized.schema().fields());
    for (index, (named, field)) in typed.enumerate() {
        let name = named.name();
        let place = output_position(source, index);
        let mut mistake = |message: String, hint: &str| {
            mistakes.push(source.file.error_at(place, 1, message).with_hint(hint));
        };
        if !is_identifier(name) {
            let message = format!("`{name}` cannot be the name of a column");
            mistake(message, "give it a lower-case name: … AS name");
            continue;
        }
        if columns.iter().any(|column| column.name == *name) {
            mistake(format!("two columns have the name `{name}`"), "rename one: … AS name");
            continue;
        }
        let Some(data_type) = storable(field.data_type()) else {
            let message = format!(
                "column `{name}` has the type {}, which cannot be stored",
                field.data_type()
            );
            mistake(message, "cast it, for example to TEXT, BIGINT, DOUBLE or DECIMAL(18,2)");
            continue;
        };
        columns.push(TableColumn {
            name: name.clone(),
            data_type,
            combine: combine_of(header.combine_rule(name)),
            comment: header.column_description(name).map(str::to_owned),
        });
    }
    columns
}

fn combine_of(rule: &CombineRule) -> Combine {
    match rule {
        CombineRule::Replace => Combine::Replace,
        CombineRule::Keep => Combine::Keep,
        CombineRule::Sum => Combine::Sum,
        CombineRule::Min => Combine::Min,
        CombineRule::Max => Combine::Max,
        CombineRule::First { order_column } => Combine::First(order_column.value.clone()),
        CombineRule::Last { order_column } => Combine::Last(order_column.value.clone()),
    }
}

/// Where the n-th column of the `SELECT` is written, or where its SQL begins.
fn output_position(source: &ModelSource, index: usize) -> Position {
    let start = Position { line: 1, column: 1 };
    let Statement::Statement(statement) = &source.statement else { return start };
    let SqlStatement::Query(query) = &**statement else { return start };
    let mut body = &*query.body;
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
    }
    let begin = span_position(query.span()).unwrap_or(start);
    let SetExpr::Select(select) = body else { return begin };
    let plain = select
        .projection
        .iter()
        .all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    if !plain {
        return begin;
    }
    select.projection.get(index).and_then(|item| span_position(item.span())).unwrap_or(begin)
}

/// What the model reads of each other model, and which DATE columns name stale partitions.
fn star_reads(
    source: &ModelSource,
    table: &TableDefinition,
    lineage: &[ColumnLineage],
    influences: &[ScanInfluence],
    upstream: &[Arc<Model>],
) -> Vec<StarRead> {
    let says_how_far = source.header.lookback_days > 0 || source.header.lookahead_days > 0;
    let mut reads = Vec::new();
    for name in distinct(&source.reads_star) {
        let Some(read) = upstream.iter().find(|model| model.name() == name) else { continue };
        let mut date_columns = BTreeSet::new();
        if let Some(lineage) = partition_place(table)
            .and_then(|place| lineage.get(place))
            // Of a partition that is made of a day, such as its month, the header says how far it is.
            .filter(|lineage| lineage.copied || says_how_far)
        {
            for column in lineage.sources.iter().filter(|column| is_star(&column.table, name)) {
                date_columns.insert(column.column.clone());
            }
            date_columns.extend(read.table.partition.clone());
        }
        let mut scans = Vec::new();
        for influence in influences.iter().filter(|influence| is_star(&influence.table, name)) {
            let mut columns = influence.columns.clone();
            // Several columns that hold the partition hold the same day.
            let own = influence.partition_columns.first();
            let date_columns = match own {
                Some(column) => vec![column.clone()],
                None => date_columns.iter().cloned().collect(),
            };
            columns.extend(date_columns.iter().cloned());
            let scan = StarScan { columns, date_columns, exact: own.is_some() };
            if !scans.contains(&scan) {
                scans.push(scan);
            }
        }
        reads.push(StarRead { model: name.to_owned(), scans });
    }
    reads
}

/// The place of the partition column in the model's table.
fn partition_place(table: &TableDefinition) -> Option<usize> {
    let partition = table.partition.as_ref()?;
    table.columns.iter().position(|column| column.name == *partition)
}

/// Whether a plan's table reference means `star.<name>`.
fn is_star(table: &str, name: &str) -> bool {
    match table.rsplit_once('.') {
        None => table == name,
        Some((schema, table)) => {
            table == name && !schema.ends_with(EVENTS) && (schema == STAR || schema.ends_with(STAR))
        }
    }
}

/// The types of the columns that the model reads and has: with others, the same SQL means something else.
fn types_of(
    optimized: &LogicalPlan,
    table: &TableDefinition,
) -> Result<Vec<String>, DataFusionError> {
    let mut types = BTreeSet::new();
    optimized.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            for field in scan.projected_schema.fields() {
                let column = format!("{}.{}", scan.table_name, field.name());
                types.insert(format!("{column} {}", field.data_type()));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let own = table.columns.iter().map(|column| format!("{} {}", column.name, column.data_type));
    Ok(types.into_iter().chain(own).collect())
}

/// Hash of the SQL as parsed (without comments and layout), of the header's settings, and of the types.
fn definition_hash(source: &ModelSource, types: &[String]) -> u64 {
    let header = &source.header;
    let combine: Vec<String> = header
        .combine
        .iter()
        .map(|combine| format!("{} {:?}", combine.value.column, combine_of(&combine.value.rule)))
        .collect();
    let canonical = format!(
        "{}\n{:?}\n{:?}\n{combine:?}\n{:?}\n{} {}\n{types:?}",
        source.statement,
        header.load.as_ref().map(|load| load.value),
        header.key.iter().map(|key| &key.value).collect::<Vec<_>>(),
        header.partition.as_ref().map(|partition| &partition.value),
        header.lookback_days,
        header.lookahead_days,
    );
    xxh3_64(canonical.as_bytes())
}

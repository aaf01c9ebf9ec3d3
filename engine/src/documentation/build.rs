//! The catalogue of a compiled project.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;

use super::{
    CheckDoc, ColumnDoc, ColumnRef, Documentation, EventColumnDoc, EventDoc, ModelDoc,
    ParameterDoc, QueryDoc, Reader, TestDoc,
};
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::{EVENTS, STAR};
use crate::checks::severity_name;
use crate::models::{CompiledProject, Model};
use crate::project::contract::{ColumnType, EventContract, FIRST_PROPERTY_COLUMN, envelope};
use crate::project::diagnostic::Severity;
use crate::query::parameters::type_name;
use crate::query::saved::SavedQuery;
use crate::stores::warehouse::Combine;
use crate::unit_tests::ModelTest;

/// What each column of the envelope means.
const ENVELOPE: &[(&str, &str)] = &[
    (envelope::EVENT_ID, "Unique identifier of the event, chosen by the sender"),
    (envelope::EVENT_TYPE, "Type of the event"),
    (envelope::EVENT_TIME, "When it happened, by the sender's clock (UTC)"),
    (envelope::PLAYER_ID, "The player whom the event is about"),
    (envelope::SESSION_ID, "The play session, where the game sends one"),
    (envelope::GAME, "The game, where several share an installation"),
    (envelope::PLATFORM, "Platform of the client"),
    (envelope::COUNTRY, "Country of the player (ISO 3166-1 alpha-2)"),
    (envelope::APP_VERSION, "Version of the client"),
    (envelope::EXTRA, "Properties that the contract does not know, as one JSON object"),
    (envelope::RECEIVED_AT, "When Questlake decoded the event (UTC)"),
    (envelope::EVENT_DATE, "UTC day of event_time"),
    (envelope::SOURCE_TOPIC, "Where it came from: the topic"),
    (envelope::SOURCE_PARTITION, "Where it came from: the partition of the topic"),
    (envelope::SOURCE_OFFSET, "Where it came from: the offset in the partition"),
];

/// Columns of other tables that each column goes into.
type Uses = BTreeMap<ColumnRef, BTreeSet<ColumnRef>>;

/// Tables and who reads them.
type Readers = BTreeMap<String, BTreeSet<Reader>>;

/// Describes a project with these unit tests.
pub fn document(project: &CompiledProject, tests: &[ModelTest]) -> Documentation {
    let mut uses = Uses::new();
    let mut readers = Readers::new();
    for model in &project.models {
        for (column, lineage) in model.table.columns.iter().zip(&model.lineage) {
            let made = ColumnRef { table: star(model.name()), column: column.name.clone() };
            for source in &lineage.sources {
                let source =
                    ColumnRef { table: full_name(&source.table), column: source.column.clone() };
                uses.entry(source).or_default().insert(made.clone());
            }
        }
        for table in tables_of(model) {
            let reader = Reader::Model(model.name().to_owned());
            readers.entry(table).or_default().insert(reader);
        }
    }
    let queries: Vec<QueryDoc> =
        project.queries.iter().map(|query| query_doc(project, query)).collect();
    for query in &queries {
        for table in &query.upstream {
            let reader = Reader::Query(query.name.clone());
            readers.entry(table.clone()).or_default().insert(reader);
        }
    }
    let known = Known { uses, readers };
    let mut models: Vec<ModelDoc> = Vec::with_capacity(project.models.len());
    for model in &project.models {
        let doc = model_doc(model, project, tests, &known, &models);
        models.push(doc);
    }
    let mut events = vec![envelope_doc(&known)];
    events.extend(project.contracts.iter().map(|contract| event_doc(contract, &known)));
    Documentation { models, events, queries }
}

struct Known {
    uses: Uses,
    readers: Readers,
}

impl Known {
    fn used_by(&self, table: &str, column: &str) -> Vec<ColumnRef> {
        let column = ColumnRef { table: table.to_owned(), column: column.to_owned() };
        self.uses.get(&column).map(|used| used.iter().cloned().collect()).unwrap_or_default()
    }

    fn readers(&self, table: &str) -> Vec<Reader> {
        self.readers.get(table).map(|all| all.iter().cloned().collect()).unwrap_or_default()
    }
}

fn star(model: &str) -> String {
    format!("{STAR}.{model}")
}

/// A table's name with its schema and without its catalog.
fn full_name(table: &str) -> String {
    let mut parts = table.rsplitn(3, '.');
    let name = parts.next().unwrap_or(table);
    match parts.next() {
        Some(schema) => format!("{schema}.{name}"),
        None => star(name),
    }
}

/// The tables that a model reads, once each.
fn tables_of(model: &Model) -> Vec<String> {
    let source = &model.source;
    let events = source.reads_events.iter().map(|read| format!("{EVENTS}.{}", read.value));
    let models = source.reads_star.iter().map(|read| star(&read.value));
    let tables: BTreeSet<String> = events.chain(models).collect();
    tables.into_iter().collect()
}

/// Its key, what its header asks of its columns, and the files of `sql/checks/` that are about it.
fn checks_of(model: &Model, project: &CompiledProject) -> Vec<CheckDoc> {
    let key = (!model.table.key.is_empty()).then(|| CheckDoc {
        name: "key".to_owned(),
        description: Some(format!(
            "{} is NULL, or there twice",
            model.table.key.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        )),
        severity: severity_name(Severity::Error).to_owned(),
    });
    let columns = model.checks.iter().map(|check| CheckDoc {
        name: check.name(),
        description: Some(check.description()),
        severity: severity_name(check.severity).to_owned(),
    });
    let files = project.checks_on(model.name()).map(|check| CheckDoc {
        name: check.name().to_owned(),
        description: check.description.clone(),
        severity: severity_name(check.severity).to_owned(),
    });
    key.into_iter().chain(columns).chain(files).collect()
}

fn model_doc(
    model: &Model,
    project: &CompiledProject,
    tests: &[ModelTest],
    known: &Known,
    upstream: &[ModelDoc],
) -> ModelDoc {
    let table = star(model.name());
    let columns = model
        .table
        .columns
        .iter()
        .zip(&model.lineage)
        .map(|(column, lineage)| {
            let sources: Vec<ColumnRef> = lineage
                .sources
                .iter()
                .map(|source| ColumnRef {
                    table: full_name(&source.table),
                    column: source.column.clone(),
                })
                .collect();
            ColumnDoc {
                name: column.name.clone(),
                column_type: sql_type(&column.data_type),
                description: column.comment.clone(),
                in_key: model.table.key.contains(&column.name),
                combine: combine_name(&column.combine),
                origins: origins(&sources, upstream),
                is_copied: lineage.copied && !sources.is_empty(),
                sources,
                used_by: known.used_by(&table, &column.name),
            }
        })
        .collect();
    let tests = tests
        .iter()
        .filter(|test| test.model.name() == model.name())
        .map(|test| TestDoc {
            name: test.name.value.clone(),
            description: test.description.clone(),
            file: test.file.clone(),
            line: test.name.line,
        })
        .collect();
    ModelDoc {
        name: model.name().to_owned(),
        title: model.source.header.title.clone(),
        layer: model.source.layer.name(),
        description: model.table.comment.clone(),
        load: model.strategy.name(),
        key: model.table.key.clone(),
        partition: model.table.partition.clone(),
        lookback_days: model.lookback(),
        lookahead_days: model.lookahead(),
        columns,
        upstream: tables_of(model),
        downstream: known.readers(&table),
        file: model.source.file.path().to_owned(),
        sql: model.source.file.text().to_owned(),
        tests,
        checks: checks_of(model, project),
    }
}

/// The columns of events behind these columns.
fn origins(sources: &[ColumnRef], upstream: &[ModelDoc]) -> Vec<ColumnRef> {
    let mut origins = BTreeSet::new();
    for source in sources {
        let model = source
            .table
            .strip_prefix("star.")
            .and_then(|name| upstream.iter().find(|model| model.name == name));
        let column = model
            .and_then(|model| model.columns.iter().find(|column| column.name == source.column));
        match column {
            Some(column) => origins.extend(column.origins.iter().cloned()),
            None => {
                origins.insert(source.clone());
            }
        }
    }
    origins.into_iter().collect()
}

fn combine_name(combine: &Combine) -> Option<String> {
    match combine {
        Combine::Replace => None,
        Combine::Keep => Some("keep".to_owned()),
        Combine::Sum => Some("sum".to_owned()),
        Combine::Min => Some("min".to_owned()),
        Combine::Max => Some("max".to_owned()),
        Combine::First(order) => Some(format!("first({order})")),
        Combine::Last(order) => Some(format!("last({order})")),
    }
}

fn envelope_doc(known: &Known) -> EventDoc {
    let schema = envelope_schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            envelope_column(
                "events.envelope",
                field.name(),
                field.data_type(),
                field.is_nullable(),
                known,
            )
        })
        .collect();
    EventDoc {
        name: ENVELOPE_TABLE.to_owned(),
        description: Some("What every event has, whatever its type: one row per event.".to_owned()),
        columns,
        constraints: Vec::new(),
        downstream: known.readers("events.envelope"),
        file: None,
    }
}

fn envelope_column(
    table: &str,
    name: &str,
    data_type: &DataType,
    is_nullable: bool,
    known: &Known,
) -> EventColumnDoc {
    let description = ENVELOPE.iter().find(|(known, _)| *known == name);
    EventColumnDoc {
        name: name.to_owned(),
        column_type: sql_type(data_type),
        description: description.map(|(_, text)| (*text).to_owned()),
        is_nullable,
        in_envelope: true,
        used_by: known.used_by(table, name),
    }
}

fn event_doc(contract: &EventContract, known: &Known) -> EventDoc {
    let table = format!("{EVENTS}.{}", contract.event_type);
    let mut columns: Vec<EventColumnDoc> = contract
        .columns
        .iter()
        .map(|column| EventColumnDoc {
            name: column.name.clone(),
            column_type: type_name(column.column_type),
            description: column.comment.clone(),
            is_nullable: column.nullable,
            in_envelope: false,
            used_by: known.used_by(&table, &column.name),
        })
        .collect();
    let own = FIRST_PROPERTY_COLUMN..FIRST_PROPERTY_COLUMN + contract.columns.len();
    for (index, field) in contract.schema.fields().iter().enumerate() {
        if !own.contains(&index) {
            let (name, data_type) = (field.name(), field.data_type());
            columns.push(envelope_column(&table, name, data_type, field.is_nullable(), known));
        }
    }
    EventDoc {
        name: contract.event_type.clone(),
        description: contract.comment.clone(),
        columns,
        constraints: contract.checks.iter().map(|check| check.condition.clone()).collect(),
        downstream: known.readers(&table),
        file: Some(contract.file.clone()),
    }
}

fn query_doc(project: &CompiledProject, query: &SavedQuery) -> QueryDoc {
    let statement = &query.statement;
    let header = &statement.header;
    let upstream: BTreeSet<String> = statement
        .tables()
        .map(full_name)
        .filter(|table| match table.split_once('.') {
            Some((STAR, name)) => project.model(name).is_some(),
            Some((schema, _)) => schema == EVENTS,
            None => false,
        })
        .collect();
    QueryDoc {
        name: query.name().to_owned(),
        title: query.title().to_owned(),
        description: header.description.clone(),
        parameters: header
            .parameters
            .iter()
            .map(|parameter| ParameterDoc {
                name: parameter.value.name.clone(),
                parameter_type: type_name(parameter.value.parameter_type),
                default: parameter.value.default.clone(),
                description: parameter.value.comment.clone(),
            })
            .collect(),
        upstream: upstream.into_iter().collect(),
        file: statement.file.path().to_owned(),
        sql: statement.file.text().to_owned(),
    }
}

/// A type as it is written in SQL.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => type_name(ColumnType::Boolean),
        DataType::Int32 => type_name(ColumnType::Int32),
        DataType::Int64 => type_name(ColumnType::Int64),
        DataType::Float64 => type_name(ColumnType::Float64),
        DataType::Decimal128(precision, scale) => {
            type_name(ColumnType::Decimal { precision: *precision, scale: *scale })
        }
        DataType::Date32 => type_name(ColumnType::Date),
        DataType::Timestamp(..) => type_name(ColumnType::Timestamp),
        _ => type_name(ColumnType::Text { max_chars: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_have_their_schema() {
        assert_eq!(full_name("questlake.events.purchase"), "events.purchase");
        assert_eq!(full_name("star.dim_player"), "star.dim_player");
        assert_eq!(full_name("dim_player"), "star.dim_player");
    }
}

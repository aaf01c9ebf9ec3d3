//! What tables, columns and functions a query can name, with their descriptions.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::saved::planning_session;
use super::{HOT, META, hot, meta};
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::{EVENTS, STAR};
use crate::models::CompiledProject;
use crate::project::contract::{TIME_ZONE, envelope, timestamp_type};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    /// `events`, `star`, `hot` or `meta`.
    pub schema: &'static str,
    /// Name in the schema.
    pub name: String,
    /// What it holds.
    pub comment: Option<String>,
    /// Its columns, in order.
    pub columns: Vec<ColumnDescription>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDescription {
    /// Name.
    pub name: String,
    /// Type, as SQL writes it.
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What it means.
    pub comment: Option<String>,
}

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDescription {
    /// Name.
    pub name: String,
    /// `scalar`, `aggregate`, `window` or `table`.
    pub kind: &'static str,
    /// How it is called.
    pub syntax: Option<String>,
    /// What it gives, on one line.
    pub description: Option<String>,
}

/// A table that every project has.
pub(super) struct ExtraTable {
    pub(super) name: &'static str,
    pub(super) comment: &'static str,
    pub(super) schema: SchemaRef,
    /// What each column means, in order.
    pub(super) comments: Vec<&'static str>,
}

/// A column of such a table: name, type, whether it may be NULL, what it means.
pub(super) type ExtraColumn = (&'static str, DataType, bool, &'static str);

impl ExtraTable {
    pub(super) fn new(
        name: &'static str,
        comment: &'static str,
        columns: Vec<ExtraColumn>,
    ) -> Self {
        let comments = columns.iter().map(|column| column.3).collect();
        let fields: Vec<Field> = columns
            .into_iter()
            .map(|(name, data_type, nullable, _)| Field::new(name, data_type, nullable))
            .collect();
        Self { name, comment, schema: Arc::new(Schema::new(fields)), comments }
    }
}

/// The schemas that every project has, with their tables.
pub(super) fn extra_schemas() -> Vec<(&'static str, Vec<ExtraTable>)> {
    vec![(HOT, vec![hot::definition()]), (META, meta::definitions())]
}

/// Every table that a query can name.
pub fn tables(project: &CompiledProject) -> Vec<TableDescription> {
    let mut tables = Vec::new();
    for contract in &project.contracts {
        let comment_of = |name: &str| -> Option<String> {
            let own = contract.columns.iter().find(|column| column.name == name);
            own.map_or_else(|| envelope_comment(name).map(str::to_owned), |c| c.comment.clone())
        };
        tables.push(TableDescription {
            schema: EVENTS,
            name: contract.event_type.clone(),
            comment: contract.comment.clone(),
            columns: columns(&contract.schema, comment_of),
        });
    }
    tables.push(TableDescription {
        schema: EVENTS,
        name: ENVELOPE_TABLE.to_owned(),
        comment: Some("The envelope of every event, whatever its type.".to_owned()),
        columns: columns(&envelope_schema(), |name| envelope_comment(name).map(str::to_owned)),
    });
    for model in &project.models {
        let comment_of = |name: &str| model.table.column(name)?.comment.clone();
        tables.push(TableDescription {
            schema: STAR,
            name: model.name().to_owned(),
            comment: model.table.comment.clone(),
            columns: columns(&model.table.schema(), comment_of),
        });
    }
    for (schema, extra) in extra_schemas() {
        for table in extra {
            let comment_of = |name: &str| -> Option<String> {
                let index = table.schema.index_of(name).ok()?;
                table.comments.get(index).map(|text| (*text).to_owned())
            };
            tables.push(TableDescription {
                schema,
                name: table.name.to_owned(),
                comment: Some(table.comment.to_owned()),
                columns: columns(&table.schema, comment_of),
            });
        }
    }
    tables
}

fn columns(
    schema: &SchemaRef,
    comment_of: impl Fn(&str) -> Option<String>,
) -> Vec<ColumnDescription> {
    schema
        .fields()
        .iter()
        .map(|field| ColumnDescription {
            name: field.name().clone(),
            data_type: sql_type_name(field.data_type()),
            nullable: field.is_nullable(),
            comment: comment_of(field.name()),
        })
        .collect()
}

/// A type as SQL writes it.
pub fn sql_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        other if *other == timestamp_type() => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(zone)) if zone.as_ref() == TIME_ZONE => "TIMESTAMP".to_owned(),
        DataType::Dictionary(_, values) => sql_type_name(values),
        other => other.to_string(),
    }
}

/// What a column means that every event has.
fn envelope_comment(name: &str) -> Option<&'static str> {
    Some(match name {
        envelope::EVENT_ID => "Unique identifier of the event, chosen by the sender",
        envelope::EVENT_TYPE => "Type of the event",
        envelope::EVENT_TIME => "When it happened, by the sender's clock (UTC)",
        envelope::PLAYER_ID => "The player",
        envelope::SESSION_ID => "The play session",
        envelope::GAME => "The game, where several share an installation",
        envelope::PLATFORM => "Platform of the client",
        envelope::COUNTRY => "Country of the player (ISO 3166-1 alpha-2)",
        envelope::APP_VERSION => "Version of the client",
        envelope::EXTRA => "Fields that neither envelope nor contract knows (JSON)",
        envelope::RECEIVED_AT => "When Questlake decoded it (UTC)",
        envelope::EVENT_DATE => "UTC day of event_time",
        envelope::SOURCE_TOPIC => "Physical key: topic",
        envelope::SOURCE_PARTITION => "Physical key: partition of the topic",
        envelope::SOURCE_OFFSET => "Physical key: offset in the partition",
        _ => return None,
    })
}

/// Every function that a query can call, by name.
pub fn functions(project: &CompiledProject) -> Vec<FunctionDescription> {
    let Ok(session) = planning_session(project) else { return Vec::new() };
    let state = session.state();
    let mut functions = Vec::new();
    let mut add = |name: &str, kind, documentation: Option<(&str, &str)>| {
        functions.push(FunctionDescription {
            name: name.to_owned(),
            kind,
            syntax: documentation.map(|(syntax, _)| syntax.to_owned()),
            description: documentation
                .map(|(_, text)| text.split_whitespace().collect::<Vec<_>>().join(" ")),
        });
    };
    for (name, function) in state.scalar_functions() {
        let documentation = function.documentation();
        let texts = documentation.map(|d| (d.syntax_example.as_str(), d.description.as_str()));
        add(name, "scalar", texts);
    }
    for (name, function) in state.aggregate_functions() {
        let documentation = function.documentation();
        let texts = documentation.map(|d| (d.syntax_example.as_str(), d.description.as_str()));
        add(name, "aggregate", texts);
    }
    for (name, function) in state.window_functions() {
        let documentation = function.documentation();
        let texts = documentation.map(|d| (d.syntax_example.as_str(), d.description.as_str()));
        add(name, "window", texts);
    }
    for name in state.table_functions().keys() {
        add(name, "table", None);
    }
    functions.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_fixed_tables_is_described() {
        let project = CompiledProject::default();
        let tables = tables(&project);
        assert!(tables.iter().any(|table| (table.schema, &*table.name) == ("hot", "events")));
        for table in tables {
            for column in table.columns {
                assert!(
                    column.comment.is_some(),
                    "{}.{}.{}",
                    table.schema,
                    table.name,
                    column.name
                );
            }
        }
        assert!(functions(&project).iter().any(|function| function.name == "date_trunc"));
    }
}

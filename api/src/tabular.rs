//! Rows as answers: columns that explain themselves, rows as they come, and what the whole is about.

mod cells;
mod json;
mod produce;
mod rows;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use questlake_engine::models::Model;
use questlake_engine::project::header::chart::is_number;
use serde::Serialize;

pub(crate) use json::row_texts;
pub(crate) use produce::{Meta, Page, TableAnswer, Whole};
pub(crate) use rows::Rows;

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) description: Option<String>,
    pub(crate) role: &'static str,
}

impl Column {
    pub(crate) fn new(name: &str, data_type: &DataType, in_key: bool) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind_of(data_type),
            description: None,
            role: role_of(data_type, in_key),
        }
    }
}

/// The columns of an answer, and their JSON, which takes longer to write than a row of values.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    count: usize,
    json: Arc<[u8]>,
}

impl Columns {
    pub(crate) fn new(columns: &[Column]) -> Self {
        // Of types that are JSON: it does not fail.
        let json = serde_json::to_vec(columns).unwrap_or_default();
        Self { count: columns.len(), json: json.into() }
    }

    /// Their number.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn json(&self) -> &[u8] {
        &self.json
    }
}

/// The columns of a model's table.
pub(crate) fn model_columns(model: &Model) -> Vec<Column> {
    let names = model.table.columns.iter().map(|column| &column.name);
    names.filter_map(|name| model_column(model, name)).collect()
}

/// One column of a model's table.
pub(crate) fn model_column(model: &Model, name: &str) -> Option<Column> {
    let column = model.table.column(name)?;
    Some(Column {
        description: column.comment.clone(),
        ..Column::new(&column.name, &column.data_type, model.table.key.contains(&column.name))
    })
}

/// The columns of a query's result.
pub(crate) fn schema_columns(schema: &SchemaRef) -> Vec<Column> {
    let fields = schema.fields().iter();
    fields.map(|field| Column::new(field.name(), field.data_type(), false)).collect()
}

/// What values of this type are in JSON.
pub(crate) fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "decimal",
        kind if kind.is_integer() => "integer",
        kind if kind.is_floating() => "double",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(..) => "timestamp",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_)
        | DataType::Map(..) => "json",
        DataType::Dictionary(_, values) => kind_of(values),
        _ => "text",
    }
}

/// What a column is in its table.
fn role_of(data_type: &DataType, in_key: bool) -> &'static str {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "date",
        _ if in_key => "key",
        kind if is_number(kind) => "measure",
        _ => "text",
    }
}

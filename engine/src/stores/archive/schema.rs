//! The columns of an archive table, as Delta and as Parquet know them.
//!
//! The protocol is the plainest that Delta has, so that every reader of Delta tables reads the
//! archive: no deletion vectors, no column mapping, no time stamps without a zone.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake_core::kernel::{
    DataType as DeltaType, MetadataExt, PrimitiveType, Protocol, StructField, StructType,
    new_metadata,
};
use deltalake_core::kernel::{EagerSnapshot, Metadata};

use super::error::ArchiveError;
use crate::project::contract::{EventContract, envelope, timestamp_type};

/// Settings of every table: how long removed files are remembered, and old log entries kept.
const CONFIGURATION: &[(&str, &str)] = &[
    ("delta.deletedFileRetentionDuration", "interval 30 days"),
    ("delta.logRetentionDuration", "interval 30 days"),
];

/// The Arrow schema of the files of a table whose rows have this schema: no `event_date`, which is
/// in the folder's name, and no dictionaries, which Parquet makes by itself.
pub(super) fn file_schema(landed: &Schema) -> SchemaRef {
    let fields: Vec<Field> = landed
        .fields()
        .iter()
        .filter(|field| field.name() != envelope::EVENT_DATE)
        .map(|field| field.as_ref().clone().with_data_type(stored_type(field.data_type())))
        .collect();
    Arc::new(Schema::new(fields))
}

fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

/// The Delta schema of a contract.
fn delta_schema(contract: &EventContract) -> Result<StructType, ArchiveError> {
    let fields: Result<Vec<StructField>, ArchiveError> =
        contract.schema.fields().iter().map(|field| delta_field(field)).collect();
    StructType::try_new(fields?).map_err(|error| ArchiveError::Unsuitable(error.to_string()))
}

fn delta_field(field: &Field) -> Result<StructField, ArchiveError> {
    let unsuitable = || {
        ArchiveError::Unsuitable(format!(
            "column `{}` is {}, which the archive cannot store",
            field.name(),
            field.data_type()
        ))
    };
    let primitive = match stored_type(field.data_type()) {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int16 => PrimitiveType::Short,
        DataType::Int32 => PrimitiveType::Integer,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Utf8 => PrimitiveType::String,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamp,
        DataType::Decimal128(precision, scale) => {
            let scale = u8::try_from(scale).map_err(|_| unsuitable())?;
            PrimitiveType::decimal(precision, scale).map_err(|_| unsuitable())?
        }
        _ => return Err(unsuitable()),
    };
    Ok(StructField::new(field.name(), DeltaType::Primitive(primitive), field.is_nullable()))
}

/// The Arrow schema of all rows of a table.
pub(super) fn landed_schema(table: &StructType) -> Result<SchemaRef, ArchiveError> {
    let fields: Result<Vec<Field>, ArchiveError> = table
        .fields()
        .map(|field| Ok(Field::new(field.name(), arrow_type(field)?, field.is_nullable())))
        .collect();
    Ok(Arc::new(Schema::new(fields?)))
}

fn arrow_type(field: &StructField) -> Result<DataType, ArchiveError> {
    let DeltaType::Primitive(primitive) = field.data_type() else {
        return Err(foreign_column(field));
    };
    Ok(match primitive {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Short => DataType::Int16,
        PrimitiveType::Integer => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Timestamp => timestamp_type(),
        PrimitiveType::Decimal(decimal) => {
            let scale = i8::try_from(decimal.scale()).map_err(|_| foreign_column(field))?;
            DataType::Decimal128(decimal.precision(), scale)
        }
        _ => return Err(foreign_column(field)),
    })
}

fn foreign_column(field: &StructField) -> ArchiveError {
    ArchiveError::Unsuitable(format!(
        "column `{}` is {}, which Questlake has not written",
        field.name(),
        field.data_type()
    ))
}

/// Protocol and metadata of a new table.
pub(super) fn new_table(contract: &EventContract) -> Result<(Protocol, Metadata), ArchiveError> {
    let unsuitable = |error: &dyn std::error::Error| ArchiveError::Unsuitable(error.to_string());
    let protocol = serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    let protocol = serde_json::from_value(protocol).map_err(|error| unsuitable(&error))?;
    let metadata = new_metadata(
        &delta_schema(contract)?,
        [envelope::EVENT_DATE],
        CONFIGURATION.iter().copied(),
    )
    .and_then(|metadata| metadata.with_name(contract.event_type.clone()));
    Ok((protocol, metadata.map_err(|error| unsuitable(&error))?))
}

/// The metadata with the columns that the contract has gained or does not insist on any more, and
/// these columns; `None` if there are none. Columns that the contract has lost stay in the table.
pub(super) fn evolved(
    table: &EagerSnapshot,
    contract: &EventContract,
) -> Result<Option<(Metadata, Vec<StructField>)>, ArchiveError> {
    let known = table.schema();
    let wanted = delta_schema(contract)?;
    let mut fields: Vec<StructField> = Vec::new();
    let mut changed = Vec::new();
    for field in known.fields() {
        match wanted.field(field.name()) {
            Some(other) if other.data_type() != field.data_type() => {
                return Err(ArchiveError::Unsuitable(format!(
                    "column `{}` is {} in the archive and {} in the contract; give the new column \
                     another name",
                    field.name(),
                    field.data_type(),
                    other.data_type()
                )));
            }
            // An event without this column may come, be it that the contract has it no more.
            other if !field.is_nullable() && other.is_none_or(StructField::is_nullable) => {
                let field = StructField::nullable(field.name(), field.data_type().clone());
                fields.push(field.clone());
                changed.push(field);
            }
            _ => fields.push(field.clone()),
        }
    }
    for field in wanted.fields().filter(|field| known.field(field.name()).is_none()) {
        // The rows that are there do not have it.
        let field = StructField::nullable(field.name(), field.data_type().clone());
        fields.push(field.clone());
        changed.push(field);
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let metadata = StructType::try_new(fields)
        .map_err(|error| ArchiveError::Unsuitable(error.to_string()))
        .and_then(|schema| {
            table
                .metadata()
                .clone()
                .with_schema(&schema)
                .map_err(|error| ArchiveError::Unsuitable(error.to_string()))
        })?;
    Ok(Some((metadata, changed)))
}

/// Checks that rows with this landed schema fit into the table.
pub(super) fn check_columns(table: &StructType, rows: &Schema) -> Result<(), ArchiveError> {
    let known = landed_schema(table)?;
    for field in rows.fields() {
        let stored = stored_type(field.data_type());
        match known.field_with_name(field.name()) {
            Ok(column) if *column.data_type() == stored => {}
            Ok(column) => {
                return Err(ArchiveError::Unsuitable(format!(
                    "column `{}` of the rows is {stored}, that of the table {}",
                    field.name(),
                    column.data_type()
                )));
            }
            Err(_) => {
                return Err(ArchiveError::Unsuitable(format!(
                    "the table has no column `{}`",
                    field.name()
                )));
            }
        }
    }
    Ok(())
}

/// Refuses tables that others have given features which this version would not keep.
pub(super) fn check_protocol(protocol: &Protocol) -> Result<(), ArchiveError> {
    let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
    if reader > 1 || writer > 2 {
        return Err(ArchiveError::Unsuitable(format!(
            "the table asks for Delta reader version {reader} and writer version {writer}; \
             versions 1 and 2 are supported"
        )));
    }
    Ok(())
}

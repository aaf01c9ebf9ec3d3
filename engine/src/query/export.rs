//! Results as files and pipes: CSV, JSON, NDJSON, Arrow IPC and Parquet, batch by batch.
//!
//! | format | values |
//! |---|---|
//! | CSV | a heading; RFC 4180 quoting; NULL is an empty field, an empty text is `""` |
//! | JSON, NDJSON | one object per row with every column, NULL is `null`; numbers and decimals are JSON numbers with all their digits; what is not finite is `null` |
//! | Arrow IPC | the file format, which `pyarrow.ipc.open_file` and Polars read, or the stream format (`open_stream`) |
//! | Parquet | zstd, row groups of at most 128 Ki rows |
//!
//! Dates are `2026-01-31` and times RFC 3339 in UTC (`2026-01-31T12:00:00.000000Z`) in all texts.
//! Where two columns have the same name, the later one gets a number: `name_2`.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_json::writer::{
    JsonArray, LineDelimited, Writer as JsonWriter, WriterBuilder as JsonBuilder,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::QueryError;

/// Rows of one row group of Parquet: readers skip whole groups, and the writer holds one in memory.
const ROW_GROUP_ROWS: usize = 128 << 10;

/// Bytes of one row group after which it is written, however few its rows are.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Bytes of CSV that are written at once.
const CSV_CHUNK: usize = 64 << 10;

/// Level of compression of Parquet.
const ZSTD_LEVEL: i32 = 3;

/// How times are written in texts.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// A format for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// An Arrow IPC file.
    Arrow,
    /// A stream of Arrow IPC, which can be read while it is written.
    ArrowStream,
    /// A Parquet file.
    Parquet,
}

impl ExportFormat {
    /// The format that a file's name asks for.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "arrow" | "feather" | "ipc" => Self::Arrow,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// Whether a terminal can show it.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Json | Self::Ndjson)
    }
}

/// Writes batches in one format.
pub struct Exporter<W: Write + Send> {
    schema: SchemaRef,
    encoder: Encoder<W>,
}

enum Encoder<W: Write + Send> {
    Csv(W),
    Json(JsonWriter<W, JsonArray>),
    Ndjson(JsonWriter<W, LineDelimited>),
    Arrow(Box<FileWriter<W>>),
    ArrowStream(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Exporter<W> {
    /// Begins a file with rows of this schema.
    ///
    /// # Errors
    /// When the sink does not take the beginning, or a type has no place in the format.
    pub fn new(format: ExportFormat, schema: &SchemaRef, sink: W) -> Result<Self, QueryError> {
        let schema = unique_names(schema);
        let encoder = match format {
            ExportFormat::Csv => {
                let mut sink = sink;
                let names = schema.fields().iter().map(|field| Some(field.name().as_str()));
                let mut heading = String::new();
                push_csv_row(&mut heading, names);
                sink.write_all(heading.as_bytes())?;
                Encoder::Csv(sink)
            }
            ExportFormat::Json => Encoder::Json(json_builder().build::<_, JsonArray>(sink)),
            ExportFormat::Ndjson => Encoder::Ndjson(json_builder().build::<_, LineDelimited>(sink)),
            ExportFormat::Arrow => {
                let writer = FileWriter::try_new(sink, &schema).map_err(encode_error)?;
                Encoder::Arrow(Box::new(writer))
            }
            ExportFormat::ArrowStream => {
                let writer = StreamWriter::try_new(sink, &schema).map_err(encode_error)?;
                Encoder::ArrowStream(Box::new(writer))
            }
            ExportFormat::Parquet => {
                let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(encode_error)?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties))
                    .map_err(encode_error)?;
                Encoder::Parquet(Box::new(writer))
            }
        };
        Ok(Self { schema, encoder })
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// When the sink does not take them, or a value has no place in the format.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            batch.columns().to_vec(),
            &options,
        )
        .map_err(encode_error)?;
        match &mut self.encoder {
            Encoder::Csv(sink) => write_csv(sink, &batch),
            Encoder::Json(writer) => writer.write(&batch).map_err(encode_error),
            Encoder::Ndjson(writer) => writer.write(&batch).map_err(encode_error),
            Encoder::Arrow(writer) => writer.write(&batch).map_err(encode_error),
            Encoder::ArrowStream(writer) => writer.write(&batch).map_err(encode_error),
            Encoder::Parquet(writer) => {
                writer.write(&batch).map_err(encode_error)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush().map_err(encode_error)?;
                }
                Ok(())
            }
        }
    }

    /// Ends the file and gives the sink back.
    ///
    /// # Errors
    /// When the sink does not take the end.
    pub fn finish(self) -> Result<W, QueryError> {
        let mut sink = match self.encoder {
            Encoder::Csv(sink) => sink,
            Encoder::Json(mut writer) => {
                writer.finish().map_err(encode_error)?;
                let mut sink = writer.into_inner();
                sink.write_all(b"\n")?;
                sink
            }
            Encoder::Ndjson(mut writer) => {
                writer.finish().map_err(encode_error)?;
                writer.into_inner()
            }
            Encoder::Arrow(writer) => {
                let mut writer = writer;
                writer.finish().map_err(encode_error)?;
                writer.into_inner().map_err(encode_error)?
            }
            Encoder::ArrowStream(writer) => {
                let mut writer = writer;
                writer.finish().map_err(encode_error)?;
                writer.into_inner().map_err(encode_error)?
            }
            Encoder::Parquet(writer) => writer.into_inner().map_err(encode_error)?,
        };
        sink.flush()?;
        Ok(sink)
    }
}

fn json_builder() -> JsonBuilder {
    JsonBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIME_FORMAT.to_owned())
        .with_timestamp_tz_format(TIME_FORMAT.to_owned())
}

/// The error of the sink where it is that, so that a closed pipe can be told from a bad value.
fn encode_error(error: impl std::error::Error + 'static) -> QueryError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return QueryError::Write(std::io::Error::new(io.kind(), io.to_string()));
        }
        if let Some(arrow::error::ArrowError::IoError(_, io)) = current.downcast_ref() {
            return QueryError::Write(std::io::Error::new(io.kind(), io.to_string()));
        }
        cause = current.source();
    }
    let text = error.to_string();
    // Some encoders keep only the text of the sink's error.
    if text.contains("Broken pipe") {
        return QueryError::Write(std::io::Error::new(std::io::ErrorKind::BrokenPipe, text));
    }
    QueryError::Encode(text)
}

/// The schema with a name of its own for each column.
fn unique_names(schema: &SchemaRef) -> SchemaRef {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{}_{number}", field.name());
            number += 1;
        }
        fields.push(Field::new(name, field.data_type().clone(), true));
    }
    Arc::new(Schema::new(fields))
}

fn write_csv(sink: &mut impl Write, batch: &RecordBatch) -> Result<(), QueryError> {
    let options = FormatOptions::default()
        .with_display_error(false)
        .with_timestamp_format(Some(TIME_FORMAT))
        .with_timestamp_tz_format(Some(TIME_FORMAT));
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(encode_error)?;
    // A column of the type of NULL alone has no list of what is absent.
    let absent: Vec<_> = batch.columns().iter().map(|column| column.logical_nulls()).collect();
    let mut text = String::new();
    let mut values = vec![String::new(); formatters.len()];
    for row in 0..batch.num_rows() {
        for (value, formatter) in values.iter_mut().zip(&formatters) {
            value.clear();
            formatter.value(row).write(value).map_err(encode_error)?;
        }
        let row = values.iter().zip(&absent).map(|(value, absent)| {
            let is_absent = absent.as_ref().is_some_and(|absent| absent.is_null(row));
            (!is_absent).then_some(value.as_str())
        });
        push_csv_row(&mut text, row);
        if text.len() >= CSV_CHUNK {
            sink.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    sink.write_all(text.as_bytes())?;
    Ok(())
}

/// One line of CSV. NULL is an empty field, and an empty text is quoted so that it is not NULL.
fn push_csv_row<'a>(text: &mut String, values: impl Iterator<Item = Option<&'a str>>) {
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(',');
        }
        let Some(value) = value else { continue };
        if value.is_empty() || value.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(&value.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(value);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array, ArrayRef, Decimal128Array, NullArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::DataType;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn rows() -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("usd", DataType::Decimal128(20, 2), true),
            Field::new("at", crate::project::contract::timestamp_type(), true),
            Field::new("name", DataType::Utf8, true),
        ]));
        let names = StringArray::from(vec![Some("a \"b\",\nc"), None]);
        let amounts = Decimal128Array::from(vec![Some(12_345_678_901_234_567_890), None])
            .with_precision_and_scale(20, 2)
            .unwrap();
        let times = TimestampMicrosecondArray::from(vec![Some(1_769_860_800_000_001), None])
            .with_timezone("UTC");
        let other = StringArray::from(vec![Some(""), None]);
        RecordBatch::try_new(
            schema,
            vec![Arc::new(names), Arc::new(amounts), Arc::new(times), Arc::new(other)],
        )
        .unwrap()
    }

    fn export(format: ExportFormat, batches: &[RecordBatch]) -> Vec<u8> {
        let mut exporter = Exporter::new(format, &rows().schema(), Vec::new()).unwrap();
        for batch in batches {
            exporter.write(batch).unwrap();
        }
        exporter.finish().unwrap()
    }

    fn text(format: ExportFormat, batches: &[RecordBatch]) -> String {
        String::from_utf8(export(format, batches)).unwrap()
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let csv = text(ExportFormat::Csv, &[rows()]);
        let expected = "name,usd,at,name_2\n\"a \"\"b\"\",\nc\",123456789012345678.90,\
                        2026-01-31T12:00:00.000001Z,\"\"\n,,,\n";
        assert_eq!(csv, expected);
        assert_eq!(text(ExportFormat::Csv, &[]), "name,usd,at,name_2\n");
        let nothing: ArrayRef = Arc::new(NullArray::new(1));
        let nothing = RecordBatch::try_from_iter([("x", nothing.clone()), ("y", nothing)]).unwrap();
        let mut csv = Vec::new();
        write_csv(&mut csv, &nothing).unwrap();
        assert_eq!(csv, b",\n");
    }

    #[test]
    fn json_keeps_every_digit() {
        let lines = text(ExportFormat::Ndjson, &[rows()]);
        let first = lines.lines().next().unwrap();
        assert!(first.contains("\"usd\":123456789012345678.90"), "{first}");
        assert!(first.contains("\"at\":\"2026-01-31T12:00:00.000001Z\""), "{first}");
        let second: serde_json::Value =
            serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            second,
            serde_json::json!({"name": null, "usd": null, "at": null, "name_2": null})
        );
        let array: serde_json::Value =
            serde_json::from_str(&text(ExportFormat::Json, &[rows(), rows()])).unwrap();
        assert_eq!(array.as_array().unwrap().len(), 4);
        assert_eq!(text(ExportFormat::Json, &[]).trim(), "[]");
        assert_eq!(text(ExportFormat::Ndjson, &[]), "");
    }

    #[test]
    fn arrow_and_parquet_are_read_back() {
        let bytes = export(ExportFormat::Arrow, &[rows()]);
        let reader =
            arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(batches[0].columns(), rows().columns());
        let bytes = export(ExportFormat::ArrowStream, &[rows()]);
        let reader =
            arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(batches[0].columns(), rows().columns());
        let bytes = bytes::Bytes::from(export(ExportFormat::Parquet, &[rows()]));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(batches[0].columns(), rows().columns());
        assert_eq!(batches[0].schema().field(3).name(), "name_2");
        assert_eq!(batches[0].column(0).len(), 2);
    }

    #[test]
    fn names_of_files_tell_their_format() {
        assert_eq!(ExportFormat::of_file_name("a/b.PARQUET"), Some(ExportFormat::Parquet));
        assert_eq!(ExportFormat::of_file_name("x.jsonl"), Some(ExportFormat::Ndjson));
        assert_eq!(ExportFormat::of_file_name("x"), None);
    }
}

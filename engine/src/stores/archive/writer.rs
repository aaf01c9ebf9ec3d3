//! Writes sorted rows as data files, one day after the other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::async_writer::{AsyncArrowWriter, AsyncFileWriter};
use parquet::errors::ParquetError;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::digest::{DayDigest, column};
use super::error::{ArchiveError, failed};
use super::file::day_name;
use super::properties::writer_properties;
use super::schema::file_schema;
use super::statistics::delta_statistics;
use crate::project::contract::{envelope, timestamp_type};
use crate::stores::error::{StoreError, StoreResult};

/// A data file that lies in the store and that no commit knows yet.
#[derive(Debug, Clone)]
pub(super) struct WrittenFile {
    /// Path below the table's folder.
    pub(super) path: String,
    /// Path in the object store.
    pub(super) location: Path,
    /// Day of its rows (days since 1970).
    pub(super) day: i32,
    /// Size in bytes.
    pub(super) bytes: u64,
    /// Rows and keys that went into it.
    pub(super) digest: DayDigest,
    /// XXH3-64 of its bytes.
    pub(super) checksum: u64,
    /// Statistics for the log, as JSON.
    pub(super) statistics: String,
}

/// Where and how to write.
pub(super) struct FileWriter<'a> {
    /// The archive, for messages.
    pub(super) name: &'a str,
    /// Where the files go.
    pub(super) store: &'a Arc<dyn ObjectStore>,
    /// The table's folder.
    pub(super) root: &'a Path,
    /// About this many bytes end a file, and another is begun for the same day.
    pub(super) target_bytes: u64,
}

impl FileWriter<'_> {
    /// Writes rows with a landed schema that are sorted by `event_date`, `player_id` and
    /// `event_time`. One file is open at a time, and of it one row group is in memory.
    pub(super) async fn write(
        &self,
        mut rows: SendableRecordBatchStream,
    ) -> StoreResult<Vec<WrittenFile>> {
        let schema = file_schema(&rows.schema());
        let mut order = Order::default();
        let mut open: Option<OpenFile> = None;
        let mut written = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| self.failed("read the rows to archive", error))?;
            let days = order.check(&batch).map_err(|error| match error {
                OrderError::Unsorted => self.failed("write", ArchiveError::Unsorted),
                OrderError::Arrow(error) => self.failed("write", error),
            })?;
            let stored = stored_columns(&batch, &schema)
                .map_err(|error| self.failed("convert rows for the archive", error))?;
            for (day, start, length) in days {
                let slice = stored.slice(start, length);
                let full = open.as_ref().is_some_and(|file| {
                    file.day != day || file.bytes_so_far() >= self.target_bytes
                });
                if full && let Some(file) = open.take() {
                    written.push(self.close(file).await?);
                }
                let mut file = match open.take() {
                    Some(file) => file,
                    None => self.begin(day, &schema)?,
                };
                file.write(&slice).await.map_err(|error| self.failed_file(&file.path, error))?;
                open = Some(file);
            }
        }
        if let Some(file) = open {
            written.push(self.close(file).await?);
        }
        Ok(written)
    }

    fn begin(&self, day: i32, schema: &SchemaRef) -> StoreResult<OpenFile> {
        let folder = format!("{}={}", envelope::EVENT_DATE, day_name(day));
        let name = format!("part-{}.zstd.parquet", Uuid::new_v4());
        let location = self.root.clone().join(folder.as_str()).join(name.as_str());
        let path = format!("{folder}/{name}");
        let sink = Sink {
            inner: BufWriter::new(Arc::clone(self.store), location.clone()),
            checksum: Box::new(Xxh3::new()),
            bytes: 0,
        };
        let writer = ArrowSchemaConverter::new()
            .convert(schema)
            .and_then(|descriptor| writer_properties(&descriptor))
            .and_then(|properties| {
                let options = ArrowWriterOptions::new()
                    .with_properties(properties)
                    // A plain Parquet file, as any writer would write it.
                    .with_skip_arrow_metadata(true);
                AsyncArrowWriter::try_new_with_options(sink, Arc::clone(schema), options)
            })
            .map_err(|error| self.failed_file(&path, error))?;
        Ok(OpenFile { path, location, day, digest: DayDigest::default(), writer })
    }

    async fn close(&self, mut file: OpenFile) -> StoreResult<WrittenFile> {
        let metadata =
            file.writer.finish().await.map_err(|error| self.failed_file(&file.path, error))?;
        let statistics = delta_statistics(&metadata);
        let sink = file.writer.into_inner();
        Ok(WrittenFile {
            path: file.path,
            location: file.location,
            day: file.day,
            bytes: sink.bytes,
            digest: file.digest,
            checksum: sink.checksum.digest(),
            statistics,
        })
    }

    fn failed(
        &self,
        operation: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        failed(self.name, operation, error)
    }

    fn failed_file(&self, path: &str, error: ParquetError) -> StoreError {
        failed(self.name, format!("write {path}"), error)
    }
}

struct OpenFile {
    path: String,
    location: Path,
    day: i32,
    digest: DayDigest,
    writer: AsyncArrowWriter<Sink>,
}

impl OpenFile {
    async fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let event_ids = column(rows, envelope::EVENT_ID, &DataType::Utf8)?;
        self.digest.add_all(event_ids.as_string::<i32>());
        self.writer.write(rows).await
    }

    fn bytes_so_far(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }
}

/// Hands bytes on to the store and computes their checksum.
struct Sink {
    inner: BufWriter,
    checksum: Box<Xxh3>,
    bytes: u64,
}

impl AsyncFileWriter for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ParquetError>> {
        self.checksum.update(&bytes);
        self.bytes += bytes.len() as u64;
        Box::pin(async {
            self.inner.put(bytes).await.map_err(|error| ParquetError::External(Box::new(error)))
        })
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), ParquetError>> {
        Box::pin(async {
            self.inner.shutdown().await.map_err(|error| ParquetError::External(Box::new(error)))
        })
    }
}

/// The columns of a file, from rows with the landed schema.
fn stored_columns(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns: Result<Vec<ArrayRef>, ArrowError> = schema
        .fields()
        .iter()
        .map(|field| {
            let column = rows.column_by_name(field.name()).ok_or_else(|| {
                ArrowError::SchemaError(format!("the rows have no column `{}`", field.name()))
            })?;
            if column.data_type() == field.data_type() {
                return Ok(Arc::clone(column));
            }
            cast(column, field.data_type())
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}

enum OrderError {
    Unsorted,
    Arrow(ArrowError),
}

impl From<ArrowError> for OrderError {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

/// Day, player and time of the last row seen.
#[derive(Default)]
struct Order {
    last: Option<(i32, String, i64)>,
}

impl Order {
    /// Checks the order of the rows and gives their runs of equal days: day, first row, length.
    fn check(&mut self, rows: &RecordBatch) -> Result<Vec<(i32, usize, usize)>, OrderError> {
        let days = column(rows, envelope::EVENT_DATE, &DataType::Date32)?;
        let days = days.as_primitive::<Date32Type>().values();
        let players = column(rows, envelope::PLAYER_ID, &DataType::Utf8)?.as_string::<i32>();
        let times = column(rows, envelope::EVENT_TIME, &timestamp_type())?;
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let mut runs: Vec<(i32, usize, usize)> = Vec::new();
        for row in 0..rows.num_rows() {
            let key = (days[row], players.value(row), times[row]);
            let sorted = match (row, &self.last) {
                (0, Some((day, player, time))) => (*day, player.as_str(), *time) <= key,
                (0, None) => true,
                _ => (days[row - 1], players.value(row - 1), times[row - 1]) <= key,
            };
            if !sorted {
                return Err(OrderError::Unsorted);
            }
            match runs.last_mut() {
                Some((day, _, length)) if *day == days[row] => *length += 1,
                _ => runs.push((days[row], row, 1)),
            }
        }
        if let Some(row) = rows.num_rows().checked_sub(1) {
            self.last = Some((days[row], players.value(row).to_owned(), times[row]));
        }
        Ok(runs)
    }
}

//! Reads data files back and says what they hold.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use xxhash_rust::xxh3::Xxh3;

use super::digest::{DayDigest, column};
use super::error::{ArchiveError, failed};
use crate::project::contract::envelope;
use crate::stores::error::StoreResult;

/// Bytes that are read at once for the checksum.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// A file as it should be.
pub(super) struct Expected<'a> {
    /// Path below the archive, for messages.
    pub(super) name: &'a str,
    /// Path in the object store.
    pub(super) location: &'a Path,
    /// Size in bytes.
    pub(super) bytes: u64,
    /// Number of rows.
    pub(super) rows: u64,
    /// XXH3-64 of the bytes, if known.
    pub(super) checksum: Option<u64>,
}

/// Reads a whole file from the store, compares its bytes with their checksum, decodes its keys and
/// gives their digest.
pub(super) async fn read_back(
    archive: &str,
    store: &Arc<dyn ObjectStore>,
    expected: &Expected<'_>,
) -> StoreResult<DayDigest> {
    let operation = || format!("verify {}", expected.name);
    let damaged = |what: String| {
        let file = expected.name.to_owned();
        failed(archive, "verify a file", ArchiveError::Damaged { file, what })
    };
    let found =
        store.head(expected.location).await.map_err(|error| failed(archive, operation(), error))?;
    if found.size != expected.bytes {
        return Err(damaged(format!("it has {} bytes instead of {}", found.size, expected.bytes)));
    }
    if let Some(checksum) = expected.checksum {
        let read = checksum_of(store, expected)
            .await
            .map_err(|error| failed(archive, operation(), error))?;
        if read != checksum {
            return Err(damaged("its checksum does not match".to_owned()));
        }
    }
    let digest =
        digest_of(store, expected).await.map_err(|error| failed(archive, operation(), error))?;
    if digest.rows != expected.rows {
        return Err(damaged(format!("it has {} rows instead of {}", digest.rows, expected.rows)));
    }
    Ok(digest)
}

async fn checksum_of(
    store: &Arc<dyn ObjectStore>,
    expected: &Expected<'_>,
) -> object_store::Result<u64> {
    let mut checksum = Box::new(Xxh3::new());
    let mut start = 0;
    while start < expected.bytes {
        let end = expected.bytes.min(start + CHUNK_BYTES);
        checksum.update(&store.get_range(expected.location, start..end).await?);
        start = end;
    }
    Ok(checksum.digest())
}

async fn digest_of(
    store: &Arc<dyn ObjectStore>,
    expected: &Expected<'_>,
) -> Result<DayDigest, ParquetError> {
    let reader = KeyReader {
        store: Arc::clone(store),
        location: expected.location.clone(),
        bytes: expected.bytes,
    };
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let keys = ProjectionMask::columns(builder.parquet_schema(), [envelope::EVENT_ID]);
    let mut batches = builder.with_projection(keys).build()?;
    let mut digest = DayDigest::default();
    while let Some(rows) = batches.try_next().await? {
        let event_ids = column(&rows, envelope::EVENT_ID, &DataType::Utf8)?;
        digest.add_all(event_ids.as_string::<i32>());
    }
    Ok(digest)
}

/// Reads parts of a file for the Parquet decoder.
struct KeyReader {
    store: Arc<dyn ObjectStore>,
    location: Path,
    bytes: u64,
}

impl AsyncFileReader for KeyReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        Box::pin(async move { Ok(self.store.get_range(&self.location, range).await?) })
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        Box::pin(async move {
            let bytes = self.bytes;
            Ok(Arc::new(ParquetMetaDataReader::new().load_and_finish(self, bytes).await?))
        })
    }
}

//! Reading from HDFS: ranges of files, and what is below a folder.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::BoxStream;
use hdfs_native::Client;
use hdfs_native::client::FileStatus;
use object_store::path::Path;
use object_store::{ObjectMeta, Result};

use super::connection::within;
use super::{CALL_LIMIT, HdfsFailure, HdfsStore, READ_RETRIES, STALL_LIMIT, limit_for};
use crate::stores::retry::retry;

/// A longer read is made of pieces of this size, each of which is tried again by itself.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// Longest time for all that is below a folder.
const LIST_LIMIT: Duration = Duration::from_secs(300);

impl HdfsStore {
    /// Reads a range of a file, which it must have.
    pub(super) async fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes, HdfsFailure> {
        let limit = limit_for(range.end.saturating_sub(range.start));
        retry(READ_RETRIES, &self.doing("read", path), HdfsFailure::is_transient, || {
            let (path, range) = (path.to_owned(), range.clone());
            self.connection().call(limit, |client| read_range(client, path, range))
        })
        .await
    }

    /// A range of a file, piece by piece.
    pub(super) fn pieces(
        &self,
        path: String,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes>> {
        let begin = (self.clone(), path, range);
        futures::stream::try_unfold(begin, |(store, path, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let middle = range.end.min(range.start + PIECE_BYTES);
            let bytes = store
                .read(&path, range.start..middle)
                .await
                .map_err(|failure| failure.about(&path))?;
            Ok(Some((bytes, (store, path, middle..range.end))))
        })
        .boxed()
    }

    /// What the NameNode knows of a file or folder.
    pub(super) async fn status(&self, path: &str) -> Result<FileStatus, HdfsFailure> {
        retry(READ_RETRIES, &self.doing("look at", path), HdfsFailure::is_transient, || {
            let path = path.to_owned();
            self.connection().call(CALL_LIMIT, |client| async move {
                within(CALL_LIMIT, client.get_file_info(&path)).await
            })
        })
        .await
    }

    /// All files below a folder, by name; none if it is not there.
    pub(super) async fn files_below(&self, folder: &str) -> Result<Vec<ObjectMeta>, HdfsFailure> {
        let operation = self.doing("list", folder);
        let found = retry(READ_RETRIES, &operation, HdfsFailure::is_transient, || {
            let folder = folder.to_owned();
            self.connection().call(LIST_LIMIT, |client| list(client, folder))
        })
        .await?;
        // What has a name or a time that cannot be told here is not ours.
        let mut files: Vec<ObjectMeta> = found.iter().filter_map(meta_of).collect();
        files.sort_by(|left, right| left.location.cmp(&right.location));
        Ok(files)
    }
}

async fn read_range(client: Client, path: String, range: Range<u64>) -> Result<Bytes, HdfsFailure> {
    let reader = within(CALL_LIMIT, client.read(&path)).await?;
    let found = reader.file_length() as u64;
    let short = |path, found| HdfsFailure::Short { path, found, wanted: range.end };
    if range.end > found {
        return Err(short(path, found));
    }
    // Not longer than the file, whose length is a `usize`.
    let (start, end) = (range.start as usize, range.end as usize);
    let length = end.saturating_sub(start);
    let mut parts = Box::pin(reader.read_range_stream(start, length));
    let mut bytes = BytesMut::with_capacity(length);
    loop {
        let next = async { parts.next().await.transpose() };
        let Some(part) = within(STALL_LIMIT, next).await? else { break };
        bytes.extend_from_slice(&part);
    }
    if bytes.len() != length {
        return Err(short(path, range.start + bytes.len() as u64));
    }
    Ok(bytes.freeze())
}

async fn list(client: Client, folder: String) -> Result<Vec<FileStatus>, HdfsFailure> {
    let entries = client.list_status_iter(&folder, true);
    let mut files = Vec::new();
    loop {
        let next = async { entries.next().await.transpose() };
        match within(CALL_LIMIT, next).await {
            Ok(Some(entry)) if entry.isdir || entry.path == folder => {}
            Ok(Some(entry)) => files.push(entry),
            Ok(None) => return Ok(files),
            // Another process may have removed it since it was seen.
            Err(failure) if failure.is_missing() => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// A file for users of the `object_store` interface; nothing if its name is none there.
pub(super) fn meta_of(status: &FileStatus) -> Option<ObjectMeta> {
    let modified = i64::try_from(status.modification_time).ok()?;
    Some(ObjectMeta {
        location: Path::parse(&status.path).ok()?,
        last_modified: DateTime::<Utc>::from_timestamp_millis(modified)?,
        size: status.length as u64,
        e_tag: Some(format!("{modified:x}-{:x}", status.length)),
        version: None,
    })
}

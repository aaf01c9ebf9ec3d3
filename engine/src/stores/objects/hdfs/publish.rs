//! Files that appear on HDFS whole or not at all.
//!
//! A file is written under a temporary name, closed, verified, and renamed. What hangs or fails is
//! thrown away and written anew from its first byte under another temporary name: a pipeline to
//! DataNodes that has stopped does not come to life again.
//!
//! A rename whose answer is lost may have taken place, or may still do so. To remove the temporary
//! file decides it: if it was there, the rename will never find it again, and if it was not, the
//! rename has been, unless an answer to an earlier removal was lost as well, which the content of
//! the target tells.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdfs_native::{Client, HdfsError, WriteOptions};
use object_store::PutPayload;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::super::STAGED_SUFFIX;
use super::connection::within;
use super::{CALL_LIMIT, HdfsFailure, HdfsStore, STALL_LIMIT, WRITE_RETRIES, limit_for};
use crate::stores::retry::{RetryPolicy, retry};

/// Bytes that are handed to the client at once: what it takes within [`STALL_LIMIT`].
const CHUNK_BYTES: usize = 1024 * 1024;

/// Bytes that are read back at once.
const VERIFIED_BYTES: u64 = 8 * 1024 * 1024;

/// Longest wait for a file to be closed: what waits in the client goes out, and the DataNodes tell
/// the NameNode, which the client asks for up to 16 s.
const CLOSE_LIMIT: Duration = Duration::from_secs(45);

/// Longest wait for the removal of a temporary file that nobody depends on.
const TIDY_LIMIT: Duration = Duration::from_secs(5);

/// The content of a file, which can be read as often as it takes.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In memory.
    Memory(PutPayload),
    /// In a local file with so many bytes.
    Spooled(Arc<std::fs::File>, u64),
}

/// What to do if the name is taken, and how to make sure of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    /// Fail. The file is read back before it appears.
    Create,
    /// Replace it. The file is read back before it appears.
    Replace,
    /// Replace it. Only the length is looked at: the file is read back by whoever writes it.
    ReplaceUnread,
}

/// What a target holds after an unclear rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Ours,
    Another,
    Nothing,
}

impl HdfsStore {
    /// Lets the file `target` appear with this content.
    pub(super) async fn publish(
        &self,
        target: &str,
        content: &Content,
        publication: Publication,
    ) -> Result<(), HdfsFailure> {
        let attempts = AtomicU32::new(0);
        retry(WRITE_RETRIES, &self.doing("write", target), HdfsFailure::is_transient, || {
            let copies = Copies::of_attempt(attempts.fetch_add(1, Ordering::Relaxed));
            self.publish_once(target, content, publication, copies)
        })
        .await
    }

    async fn publish_once(
        &self,
        target: &str,
        content: &Content,
        publication: Publication,
        copies: Copies,
    ) -> Result<(), HdfsFailure> {
        let temporary = temporary_name(target);
        if let Err(failure) = self.write(&temporary, content, publication, copies).await {
            self.tidy(&temporary).await;
            // No other has this name: the request was made twice by the client.
            return Err(if failure.is_taken() {
                HdfsFailure::Vanished(target.to_owned())
            } else {
                failure
            });
        }
        let Err(failure) = self.rename(&temporary, target, publication).await else {
            return Ok(());
        };
        let unclear =
            |source| HdfsFailure::Unclear { path: target.to_owned(), source: Box::new(source) };
        if self.remove(&temporary, WRITE_RETRIES).await.map_err(unclear)? {
            return Err(failure);
        }
        let found = self.compare(target, content).await.map_err(unclear)?;
        settle(found, publication, failure, target)
    }

    /// Writes a file, and makes sure that it holds what it should.
    async fn write(
        &self,
        path: &str,
        content: &Content,
        publication: Publication,
        copies: Copies,
    ) -> Result<(), HdfsFailure> {
        let (name, written) = (path.to_owned(), content.clone());
        self.connection()
            .call(limit_for(content.bytes()) + CLOSE_LIMIT, |client| {
                write_file(client, name, written, copies)
            })
            .await?;
        if publication == Publication::ReplaceUnread || self.holds(path, content).await? {
            return Ok(());
        }
        Err(HdfsFailure::Garbled(path.to_owned()))
    }

    async fn rename(
        &self,
        from: &str,
        to: &str,
        publication: Publication,
    ) -> Result<(), HdfsFailure> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let replace = publication != Publication::Create;
        self.connection()
            .call(CALL_LIMIT, |client| async move {
                within(CALL_LIMIT, client.rename(&from, &to, replace)).await
            })
            .await
    }

    /// Removes a file; tells whether it was there.
    pub(super) async fn remove(
        &self,
        path: &str,
        retries: RetryPolicy,
    ) -> Result<bool, HdfsFailure> {
        retry(retries, &self.doing("remove", path), HdfsFailure::is_transient, || {
            self.remove_once(path, CALL_LIMIT)
        })
        .await
    }

    async fn remove_once(&self, path: &str, limit: Duration) -> Result<bool, HdfsFailure> {
        let path = path.to_owned();
        self.connection()
            .call(limit, |client| async move { within(limit, client.delete(&path, false)).await })
            .await
    }

    /// Removes a temporary file as far as that goes: sweeping finds the rest.
    async fn tidy(&self, path: &str) {
        if let Err(failure) = self.remove_once(path, TIDY_LIMIT).await {
            tracing::debug!(path, %failure, "a temporary file stays on HDFS until it is swept");
        }
    }

    async fn compare(&self, path: &str, content: &Content) -> Result<Target, HdfsFailure> {
        let length = match self.status(path).await {
            Ok(status) => status.length as u64,
            Err(failure) if failure.is_missing() => return Ok(Target::Nothing),
            Err(failure) => return Err(failure),
        };
        if length != content.bytes() {
            return Ok(Target::Another);
        }
        Ok(if self.holds(path, content).await? { Target::Ours } else { Target::Another })
    }

    /// Whether a file that is as long has the same bytes.
    async fn holds(&self, path: &str, content: &Content) -> Result<bool, HdfsFailure> {
        let mut found = Box::new(Xxh3::new());
        let mut start = 0;
        while start < content.bytes() {
            let end = content.bytes().min(start + VERIFIED_BYTES);
            found.update(&self.read(path, start..end).await?);
            start = end;
        }
        Ok(found.digest() == content.checksum().await?)
    }
}

/// How a publication ends whose rename has failed with `failure`, and whose temporary file is gone.
fn settle(
    found: Target,
    publication: Publication,
    failure: HdfsFailure,
    target: &str,
) -> Result<(), HdfsFailure> {
    match found {
        Target::Ours => Ok(()),
        // Only a name that is taken for good ends it; everything else is tried again.
        Target::Another if publication == Publication::Create && failure.is_taken() => Err(failure),
        Target::Another | Target::Nothing => Err(HdfsFailure::Vanished(target.to_owned())),
    }
}

/// How many copies of a file the DataNodes are asked for while it is written.
///
/// A DataNode that has died stays among those that the NameNode offers until it counts as dead, which
/// takes minutes, and where there are no more of them than copies it is offered every time. Fewer
/// copies leave it out by chance; the NameNode makes the others afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copies {
    /// As many as the cluster is set up for.
    Usual,
    /// So many at first.
    AtFirst(u32),
}

impl Copies {
    /// Attempts are counted from 0.
    fn of_attempt(attempt: u32) -> Self {
        match attempt {
            0 => Self::Usual,
            odd if odd % 2 == 1 => Self::AtFirst(2),
            _ => Self::AtFirst(1),
        }
    }
}

async fn write_file(
    client: Client,
    path: String,
    content: Content,
    copies: Copies,
) -> Result<(), HdfsFailure> {
    let usual = WriteOptions::default();
    let (options, wanted) = match copies {
        Copies::Usual => (usual, None),
        Copies::AtFirst(count) => {
            let wanted = within(CALL_LIMIT, usual_copies(&client, &path)).await?;
            // Never more than usual.
            match wanted {
                Some(wanted) if wanted > count => (usual.replication(count), Some(wanted)),
                _ => (usual, None),
            }
        }
    };
    let mut writer = within(CALL_LIMIT, client.create(&path, &options)).await?;
    let mut chunks = content.chunks();
    while let Some(chunk) = chunks.next().await? {
        within(STALL_LIMIT, writer.write(chunk)).await?;
    }
    within(CLOSE_LIMIT, writer.close()).await?;
    let found = within(CALL_LIMIT, client.get_file_info(&path)).await?.length as u64;
    if found != content.bytes() {
        return Err(HdfsFailure::Garbled(path));
    }
    if let Some(wanted) = wanted {
        within(CALL_LIMIT, client.set_replication(&path, wanted)).await?;
    }
    Ok(())
}

/// The number of copies that the cluster makes of a file: that of an empty one, which is removed.
async fn usual_copies(client: &Client, path: &str) -> Result<Option<u32>, HdfsError> {
    let probe = temporary_name(path);
    client.create(&probe, WriteOptions::default()).await?.close().await?;
    let copies = client.get_file_info(&probe).await?.replication;
    client.delete(&probe, false).await?;
    Ok(copies)
}

/// A name beside `target` that nobody else uses.
fn temporary_name(target: &str) -> String {
    let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/.{}{STAGED_SUFFIX}", Uuid::new_v4())
}

impl Content {
    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(payload) => payload.content_length() as u64,
            Self::Spooled(_, bytes) => *bytes,
        }
    }

    fn chunks(&self) -> Chunks {
        Chunks { content: self.clone(), part: 0, offset: 0 }
    }

    /// XXH3-64 of it.
    async fn checksum(&self) -> Result<u64, HdfsFailure> {
        let mut checksum = Box::new(Xxh3::new());
        let mut chunks = self.chunks();
        while let Some(chunk) = chunks.next().await? {
            checksum.update(&chunk);
        }
        Ok(checksum.digest())
    }
}

/// A content, chunk by chunk.
struct Chunks {
    content: Content,
    /// Index of the part of a content in memory.
    part: usize,
    /// Bytes of the part, or of the local file, that have been given.
    offset: u64,
}

impl Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>, HdfsFailure> {
        match &self.content {
            Content::Memory(payload) => loop {
                let Some(part) = payload.as_ref().get(self.part) else { return Ok(None) };
                // No more than the part's length, which is a `usize`.
                let start = self.offset as usize;
                let end = part.len().min(start + CHUNK_BYTES);
                if start < end {
                    self.offset = end as u64;
                    return Ok(Some(part.slice(start..end)));
                }
                self.part += 1;
                self.offset = 0;
            },
            Content::Spooled(file, bytes) => {
                let length = bytes.saturating_sub(self.offset).min(CHUNK_BYTES as u64);
                if length == 0 {
                    return Ok(None);
                }
                let (file, offset) = (Arc::clone(file), self.offset);
                let mut chunk = vec![0; length as usize];
                let chunk = tokio::task::spawn_blocking(move || {
                    file.read_exact_at(&mut chunk, offset).map(|()| chunk)
                })
                .await
                .map_err(HdfsFailure::Panicked)?
                .map_err(HdfsFailure::Spool)?;
                self.offset += length;
                Ok(Some(chunk.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_content_is_the_same_in_memory_and_in_a_file() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|index| (index % 251) as u8).collect();
        let whole = Bytes::from(bytes.clone());
        let parts = [whole.slice(..7), Bytes::new(), whole.slice(7..)];
        let memory = Content::Memory(parts.into_iter().collect());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let spooled = Content::Spooled(Arc::new(file), bytes.len() as u64);
        for content in [&memory, &spooled] {
            assert_eq!(content.bytes(), bytes.len() as u64);
            let (mut chunks, mut read) = (content.chunks(), Vec::new());
            while let Some(chunk) = chunks.next().await.unwrap() {
                assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES);
                read.extend_from_slice(&chunk);
            }
            assert!(read == bytes);
        }
        assert_eq!(memory.checksum().await.unwrap(), spooled.checksum().await.unwrap());
    }

    #[test]
    fn a_temporary_file_lies_beside_its_target() {
        let name = temporary_name("/landing/2026-01-31/a.qls");
        assert!(name.starts_with("/landing/2026-01-31/."), "{name}");
        assert!(name.ends_with(STAGED_SUFFIX), "{name}");
        assert_ne!(name, temporary_name("/landing/2026-01-31/a.qls"));
    }

    #[test]
    fn an_unclear_rename_is_settled_by_what_is_there() {
        let taken = || HdfsFailure::from(HdfsError::AlreadyExists("/a".to_owned()));
        let lost = || HdfsFailure::TimedOut(CALL_LIMIT);
        let settled = |found, publication, failure| settle(found, publication, failure, "/a");
        for publication in [Publication::Create, Publication::Replace] {
            assert!(settled(Target::Ours, publication, lost()).is_ok());
            assert!(settled(Target::Ours, publication, taken()).is_ok());
            let again = settled(Target::Nothing, publication, lost()).unwrap_err();
            assert!(again.is_transient(), "{again}");
            let again = settled(Target::Another, publication, lost()).unwrap_err();
            assert!(again.is_transient(), "{again}");
        }
        let failure = settled(Target::Another, Publication::Create, taken()).unwrap_err();
        assert!(failure.is_taken(), "{failure}");
    }
}

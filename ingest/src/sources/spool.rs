//! The durable part of a queue: records are on disk before they are taken in, under the physical
//! keys that they keep, so that a crash in between loses none.
//!
//! ```text
//! "QLSPOOL1"
//! per record: length u32, number in the quarantine i64 (−1: none), physical key if there is one,
//!             bytes
//! XXH3-64 of all before
//! ```
//! A file's name is the number of its first record. It is written aside, synced and renamed; it is
//! removed when its records are committed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use questlake_engine::stores::hot::PhysicalKey;
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::ReplayOrigin;
use crate::error::IngestError;

const MAGIC: &[u8; 8] = b"QLSPOOL1";
const SUFFIX: &str = ".spool";

/// The queued files of one partition of a queue.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

/// The records of one queued file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SpooledRecords {
    /// The records' bytes, one after the other.
    pub data: Vec<u8>,
    /// Each record's length.
    pub lengths: Vec<u32>,
    /// For replays, each record's origin; else empty.
    pub origins: Vec<ReplayOrigin>,
}

impl Spool {
    /// Opens (and creates) the folder, and removes files that were not written to the end: nobody
    /// was told that their records are safe.
    pub fn open(folder: &Path) -> Result<Self, IngestError> {
        let spool = Self { folder: folder.to_path_buf() };
        fs::create_dir_all(folder).map_err(|error| spool.error("create", folder, error))?;
        for path in spool.paths()? {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|error| spool.error("remove", &path, error))?;
            }
        }
        Ok(spool)
    }

    fn error(&self, operation: &'static str, path: &Path, source: std::io::Error) -> IngestError {
        IngestError::File { operation, path: path.to_path_buf(), source }
    }

    fn paths(&self) -> Result<Vec<PathBuf>, IngestError> {
        let list = || -> std::io::Result<Vec<PathBuf>> {
            fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect()
        };
        list().map_err(|error| self.error("list", &self.folder, error))
    }

    fn path(&self, first: i64) -> PathBuf {
        self.folder.join(format!("{first:020}{SUFFIX}"))
    }

    /// Queues records durably; the first has the number `first`.
    pub fn write(&self, first: i64, records: &SpooledRecords) -> Result<(), IngestError> {
        let path = self.path(first);
        write_whole(&self.folder, &path, &encode(records))
            .map_err(|error| self.error("write", &path, error))
    }

    /// Removes a file whose records are committed.
    pub fn remove(&self, first: i64) -> Result<(), IngestError> {
        let path = self.path(first);
        fs::remove_file(&path).map_err(|error| self.error("remove", &path, error))
    }

    /// Numbers of the first records of all queued files, ascending.
    pub fn list(&self) -> Result<Vec<i64>, IngestError> {
        let mut numbers: Vec<i64> = self
            .paths()?
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a queued file.
    pub fn read(&self, first: i64) -> Result<SpooledRecords, IngestError> {
        let path = self.path(first);
        let bytes = fs::read(&path).map_err(|error| self.error("read", &path, error))?;
        decode(&bytes).ok_or_else(|| IngestError::DamagedQueue {
            path,
            reason: "the queued file is damaged (its checksum does not match)".to_owned(),
        })
    }
}

/// Writes a file of a folder that appears whole or not at all, and stays.
pub(super) fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

fn encode(records: &SpooledRecords) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.data.len() + records.lengths.len() * 16 + 64);
    bytes.extend_from_slice(MAGIC);
    let mut start = 0;
    for (index, length) in records.lengths.iter().enumerate() {
        let end = start + *length as usize;
        bytes.extend_from_slice(&length.to_le_bytes());
        match records.origins.get(index) {
            None => bytes.extend_from_slice(&(-1_i64).to_le_bytes()),
            Some(origin) => {
                bytes.extend_from_slice(&origin.quarantine_id.to_le_bytes());
                let topic = origin.key.topic.as_bytes();
                let topic_length = u32::try_from(topic.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&topic_length.to_le_bytes());
                bytes.extend_from_slice(topic);
                bytes.extend_from_slice(&origin.key.partition.to_le_bytes());
                bytes.extend_from_slice(&origin.key.offset.to_le_bytes());
            }
        }
        bytes.extend_from_slice(&records.data[start..end]);
        start = end;
    }
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<SpooledRecords> {
    let (body, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut records = SpooledRecords::default();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(take(&mut rest)?);
        let quarantine_id = i64::from_le_bytes(take(&mut rest)?);
        if quarantine_id >= 0 {
            let topic_length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (topic, behind) = rest.split_at_checked(topic_length)?;
            rest = behind;
            let key = PhysicalKey {
                topic: std::str::from_utf8(topic).ok()?.into(),
                partition: i32::from_le_bytes(take(&mut rest)?),
                offset: i64::from_le_bytes(take(&mut rest)?),
            };
            records.origins.push(ReplayOrigin { quarantine_id, key });
        }
        let (data, behind) = rest.split_at_checked(length as usize)?;
        records.data.extend_from_slice(data);
        records.lengths.push(length);
        rest = behind;
    }
    Some(records)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(with_origins: bool) -> SpooledRecords {
        let origin = |quarantine_id| ReplayOrigin {
            quarantine_id,
            key: PhysicalKey { topic: "file:ü".into(), partition: 3, offset: 99 },
        };
        SpooledRecords {
            data: b"{\"a\":1}{}".to_vec(),
            lengths: vec![7, 0, 2],
            origins: if with_origins { vec![origin(0), origin(7), origin(8)] } else { Vec::new() },
        }
    }

    #[test]
    fn records_survive_on_disk_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        for (first, with_origins) in [(5, false), (8, true)] {
            spool.write(first, &sample(with_origins)).unwrap();
            assert_eq!(spool.read(first).unwrap(), sample(with_origins));
        }
        assert_eq!(spool.list().unwrap(), [5, 8]);
        let path = spool.path(5);
        let mut bytes = fs::read(&path).unwrap();
        for position in 0..bytes.len() {
            bytes[position] ^= 1;
            assert!(decode(&bytes).is_none(), "byte {position}");
            bytes[position] ^= 1;
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(spool.read(5), Err(IngestError::DamagedQueue { .. })));
        spool.remove(5).unwrap();
        assert_eq!(spool.list().unwrap(), [8]);
    }
}

//! Slots of a queue's folder: each process that has the queue open holds one, with records and
//! physical keys of its own.
//!
//! A slot's records are in a partition of the queue's topic that no other slot has, in whatever folder:
//! ledger and hot store may be shared with queues of other machines, and with such whose folder is lost.
//! Under a key that two slots give to different records, one would be taken for the other.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use questlake_engine::stores::ledger::{Claim, Ledger};

use crate::error::IngestError;
use crate::sources::spool::write_whole;

/// Slots that are tried: as many processes may have the same queue open.
pub(super) const MAX_SLOTS: i32 = 64;

/// Takes the first slot that no living process holds.
pub(super) fn take_slot(folder: &Path) -> Result<(i32, File), IngestError> {
    fs::create_dir_all(folder).map_err(|source| lock_error(folder, source))?;
    for slot in 0..MAX_SLOTS {
        if let Some(lock) = lock_slot(folder, slot)? {
            return Ok((slot, lock));
        }
    }
    let reason = format!("{MAX_SLOTS} processes have it open already");
    Err(lock_error(folder, std::io::Error::other(reason)))
}

/// Locks a slot, unless a living process holds it.
pub(super) fn lock_slot(folder: &Path, slot: i32) -> Result<Option<File>, IngestError> {
    let path = folder.join(format!("slot-{slot}.lock"));
    let file = File::create(path).map_err(|source| lock_error(folder, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(lock_error(folder, source)),
    }
}

/// Where the records of a slot lie.
pub(super) fn slot_folder(folder: &Path, slot: i32) -> PathBuf {
    folder.join(format!("slot-{slot}"))
}

/// Claims the partition of a slot whose lock the caller holds. One that has none gets the first that
/// nobody has ever claimed.
pub(super) async fn claim_partition(
    ledger: &dyn Ledger,
    topic: &str,
    folder: &Path,
    slot: i32,
) -> Result<Claim, IngestError> {
    let path = folder.join(format!("slot-{slot}.partition"));
    if let Some(partition) = read_partition(&path)? {
        return Ok(ledger.claim(topic, partition).await?);
    }
    let known = ledger.partitions().await?;
    let is_known = |partition: &i32| {
        known.iter().any(|one| (&*one.claim.topic, one.claim.partition) == (topic, *partition))
    };
    for partition in (0..i32::MAX).filter(|partition| !is_known(partition)) {
        let claim = ledger.claim(topic, partition).await?;
        if claim.epoch == FIRST_EPOCH {
            write_whole(folder, &path, format!("{partition}\n").as_bytes())
                .map_err(|source| file_error("write", &path, source))?;
            return Ok(claim);
        }
        // Another process was faster.
    }
    Err(lock_error(folder, std::io::Error::other("the topic has no partition left")))
}

/// The epoch of whoever claims a partition first.
const FIRST_EPOCH: i64 = 1;

fn read_partition(path: &Path) -> Result<Option<i32>, IngestError> {
    match fs::read_to_string(path) {
        Ok(text) => match text.trim().parse() {
            Ok(partition) => Ok(Some(partition)),
            Err(_) => Err(IngestError::DamagedQueue {
                path: path.to_path_buf(),
                reason: format!("it holds {:?} and no number of a partition", text.trim()),
            }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file_error("read", path, source)),
    }
}

fn file_error(operation: &'static str, path: &Path, source: std::io::Error) -> IngestError {
    IngestError::File { operation, path: path.to_path_buf(), source }
}

fn lock_error(folder: &Path, source: std::io::Error) -> IngestError {
    file_error("lock the queue in", folder, source)
}

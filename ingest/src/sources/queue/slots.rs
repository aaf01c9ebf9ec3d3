//! Slots of a queue's folder: each process that has the queue open holds one, with records and
//! physical keys of its own.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::IngestError;

/// Slots that are tried: as many processes may have the same queue open.
pub(super) const MAX_SLOTS: i32 = 64;

/// Takes the first slot that no living process holds.
pub(super) fn take_slot(folder: &Path) -> Result<(i32, File), IngestError> {
    std::fs::create_dir_all(folder).map_err(|source| lock_error(folder, source))?;
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

fn lock_error(folder: &Path, source: std::io::Error) -> IngestError {
    IngestError::File { operation: "lock the queue in", path: folder.to_path_buf(), source }
}

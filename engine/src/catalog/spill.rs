//! Where one process spills to: a folder of its own, which does not outlive it.
//!
//! A process that is killed leaves its folder behind. Whoever comes next removes it: beside each
//! folder lies a file that its process holds locked for as long as it lives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::clock::now_millis;

/// Ending of the locked file beside a folder.
const LOCK: &str = "lock";

/// A spill folder. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct SpillFolder {
    path: PathBuf,
    /// Locked; released with the process at the latest.
    _lock: File,
}

impl SpillFolder {
    /// A new folder below `parent`, which is created. What ended processes left there is removed.
    pub fn create(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        if let Err(error) = sweep(parent) {
            warn!("spill files of ended processes could not be removed: {error}");
        }
        let name = format!("{}-{}", std::process::id(), now_millis());
        let mut number = 0;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            number += 1;
            let lock = File::create(path.with_extension(LOCK))?;
            // Somebody who sweeps just now may hold it.
            if lock.try_lock().is_err() {
                continue;
            }
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever comes next.
        if fs::remove_dir_all(&self.path).is_ok() {
            let _ = fs::remove_file(self.path.with_extension(LOCK));
        }
    }
}

/// Removes the folders whose processes have ended.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let lock_path = entry?.path();
        if lock_path.extension().is_none_or(|extension| extension != LOCK) {
            continue;
        }
        // Its process may be ending at this moment.
        let Ok(lock) = File::open(&lock_path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        match fs::remove_dir_all(lock_path.with_extension("")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::remove_file(&lock_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_ended_processes_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let mine = SpillFolder::create(parent.path()).unwrap();
        fs::write(mine.path().join("run"), "spilled").unwrap();
        // A process that was killed: its folder and its file are there, and nobody holds the lock.
        fs::create_dir(parent.path().join("7-7-0")).unwrap();
        fs::write(parent.path().join("7-7-0").join("run"), "spilled").unwrap();
        File::create(parent.path().join("7-7-0.lock")).unwrap();
        let other = SpillFolder::create(parent.path()).unwrap();
        assert_ne!(mine.path(), other.path());
        assert!(mine.path().join("run").exists());
        assert!(!parent.path().join("7-7-0").exists());
        drop((mine, other));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}

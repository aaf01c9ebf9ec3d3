//! A file that appears when it is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// A file that is written beside its place. Dropping it before it is complete removes it.
pub(super) struct PendingFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    completed: bool,
}

impl PendingFile {
    /// Begins to write what will be at `path`.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let Some(name) = path.file_name() else {
            return Err(CliError::Usage(format!("{} is not the name of a file", path.display())));
        };
        if path.is_dir() {
            return Err(CliError::Usage(format!("{} is a folder", path.display())));
        }
        let hidden = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
        let temporary = path.with_file_name(hidden);
        let file = File::create(&temporary).map_err(|error| failure("create", path, error))?;
        Ok(Self { path: path.to_path_buf(), temporary, file, completed: false })
    }

    /// Another handle on the same file, to write through.
    pub(super) fn writer(&mut self) -> Result<File, CliError> {
        self.file.try_clone().map_err(|error| failure("write", &self.path, error))
    }

    /// Puts the file into its place.
    pub(super) fn complete(mut self) -> Result<(), CliError> {
        self.file.sync_all().map_err(|error| failure("write", &self.path, error))?;
        fs::rename(&self.temporary, &self.path)
            .map_err(|error| failure("write", &self.path, error))?;
        self.completed = true;
        Ok(())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.completed {
            // What cannot be removed is hidden and of no use to anybody.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn failure(operation: &'static str, path: &Path, source: std::io::Error) -> CliError {
    CliError::File { operation, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        fs::write(&path, "old").unwrap();
        let mut pending = PendingFile::create(&path).unwrap();
        pending.writer().unwrap().write_all(b"half").unwrap();
        drop(pending);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        let mut pending = PendingFile::create(&path).unwrap();
        pending.writer().unwrap().write_all(b"new").unwrap();
        pending.complete().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! The test files of a project.

use std::fs;
use std::io;
use std::path::Path;

use super::ModelTest;
use super::file::{CheckCache, read_tests};
use crate::models::CompiledProject;
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::project::source::{SourceFile, read_file};

/// Folder of the test files in a project.
pub const TESTS_FOLDER: &str = "sql/tests";

/// Reads all tests of the project in `folder`, in the order of files and lines, and every mistake
/// in them.
pub fn load(folder: &Path, project: &CompiledProject) -> (Vec<ModelTest>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let mut tests = Vec::new();
    let checks = CheckCache::default();
    for file in files(folder, &mut diagnostics) {
        let (of_file, mistakes) = read_tests(&file, project, &checks);
        tests.extend(of_file);
        diagnostics.extend(mistakes);
    }
    (tests, diagnostics)
}

fn files(folder: &Path, diagnostics: &mut Diagnostics) -> Vec<SourceFile> {
    let mut failed = |error: io::Error| {
        let message = format!("cannot list the folder: {error}");
        diagnostics.push(Diagnostic::error(TESTS_FOLDER, message));
    };
    let entries = match fs::read_dir(folder.join(TESTS_FOLDER)) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                failed(error);
            }
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            Err(error) => failed(error),
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| is_test_file(name)) else { continue };
        let shown = format!("{TESTS_FOLDER}/{name}");
        match read_file(&path) {
            Ok(text) => files.push(SourceFile::new(shown, text)),
            Err(message) => diagnostics.push(Diagnostic::error(shown, message)),
        }
    }
    files
}

/// Hidden files and editors' backups are none.
fn is_test_file(name: &str) -> bool {
    !name.starts_with(['.', '#', '~']) && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

//! A new project: a small one that runs as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The files of a new project, by path. `{name}` in the README becomes the project's name.
const FILES: &[(&str, &str)] = &[
    ("questlake.toml", include_str!("template/questlake.toml")),
    ("README.md", include_str!("template/README.md")),
    ("events.ndjson", include_str!("template/events.ndjson")),
    ("sql/events/level_completed.sql", include_str!("template/sql/events/level_completed.sql")),
    ("sql/events/coins_spent.sql", include_str!("template/sql/events/coins_spent.sql")),
    ("sql/dimensions/dim_player.sql", include_str!("template/sql/dimensions/dim_player.sql")),
    ("sql/facts/fact_level.sql", include_str!("template/sql/facts/fact_level.sql")),
    ("sql/marts/mart_daily.sql", include_str!("template/sql/marts/mart_daily.sql")),
    ("sql/tests/mart_daily.yaml", include_str!("template/sql/tests/mart_daily.yaml")),
];

/// Why no project was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// The name would not stand on one line.
    #[error("`{}` cannot be the name of a project: use one line of text", name.escape_default())]
    Name {
        /// The refused name.
        name: String,
    },
    /// Files of the new project are there already. Nothing was written.
    #[error(
        "{} has files that the new project would overwrite: {}; choose another folder, \
         or move them away",
        directory.display(),
        joined(files)
    )]
    WouldOverwrite {
        /// The folder of the project.
        directory: PathBuf,
        /// Paths in the folder.
        files: Vec<PathBuf>,
    },
    /// A file or folder could not be written. What was written before it is left there.
    #[error("cannot write {}: check that the folder can be written to", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn joined(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(", ")
}

/// Writes a new project called `name` into `directory`, which is created where it is missing.
/// Other files in it are left alone.
///
/// Returns the paths of the written files, in `directory`.
///
/// # Errors
/// When a file of the project is there already (then nothing is written), or cannot be written.
pub fn init(directory: &Path, name: &str) -> Result<Vec<PathBuf>, InitError> {
    if name.trim().is_empty() || name.contains(char::is_control) {
        return Err(InitError::Name { name: name.to_owned() });
    }
    let existing: Vec<PathBuf> = FILES
        .iter()
        .map(|(path, _)| PathBuf::from(path))
        // A dangling symbolic link is in the way too, so this does not follow links.
        .filter(|path| fs::symlink_metadata(directory.join(path)).is_ok())
        .collect();
    if !existing.is_empty() {
        return Err(InitError::WouldOverwrite { directory: directory.to_owned(), files: existing });
    }
    let mut written = Vec::new();
    for (path, text) in FILES {
        let text = match *path {
            "README.md" => text.replace("{name}", name.trim()),
            _ => (*text).to_owned(),
        };
        let path = directory.join(path);
        write_new(&path, &text)
            .map_err(|source| InitError::Write { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

/// Writes a file that must not be there, so that a file which appears meanwhile is not lost.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::contract_parser::parse_contract;
    use crate::project::header::{LoadKind, parse_model_header};
    use crate::project::source::read_sources;

    #[test]
    fn a_new_project_is_read_without_a_diagnostic() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new/game");
        let written = init(&directory, "Puzzle").unwrap();
        assert_eq!(written.len(), FILES.len());
        let readme = fs::read_to_string(directory.join("README.md")).unwrap();
        assert!(readme.starts_with("# Puzzle\n"));

        let (sources, diagnostics) = read_sources(&directory);
        assert!(diagnostics.is_empty(), "{diagnostics}");
        for file in &sources.events {
            let contract = parse_contract(file).unwrap();
            assert!(contract.comment.is_some());
            assert!(contract.columns.iter().all(|column| column.comment.is_some()));
        }
        let load_of = |files: &[crate::project::source::SourceFile]| {
            let (header, diagnostics) = parse_model_header(&files[0]);
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            header.load.map(|load| load.value)
        };
        assert_eq!(load_of(&sources.dimensions), Some(LoadKind::Upsert));
        assert_eq!(load_of(&sources.facts), Some(LoadKind::Upsert));
        assert_eq!(load_of(&sources.marts), Some(LoadKind::Replace));
    }

    #[test]
    fn files_that_are_there_are_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("README.md"), "mine").unwrap();
        let error = init(folder.path(), "Puzzle").unwrap_err();
        assert!(error.to_string().contains("README.md"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(folder.path().join("README.md")).unwrap(), "mine");
    }

    #[test]
    fn other_files_in_the_folder_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        init(folder.path(), "Puzzle").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn a_name_of_several_lines_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = init(&folder.path().join("x"), "a\nb").unwrap_err();
        assert!(matches!(error, InitError::Name { .. }));
        assert!(!folder.path().join("x").exists());
    }
}

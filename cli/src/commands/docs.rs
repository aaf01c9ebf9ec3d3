//! `questlake docs`: the project as pages that a browser opens from the disk.

mod column_graph;
mod graph;
mod html;
mod pages;
mod sql;
mod table_graph;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use questlake_engine::documentation::{self, Documentation};
use questlake_engine::unit_tests;

use crate::app::App;
use crate::error::CliError;
use crate::terminal::numbers::thousands;

/// Names what a former run has written, so that pages of removed models go.
const MANIFEST: &str = ".questlake-docs";

const STYLE: &str = include_str!("docs/style.css");
const SCRIPT: &str = include_str!("docs/script.js");

#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    /// Folder of the pages; it is created
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// What stands at the top of every page [default: the project folder's name]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

pub(crate) async fn run(app: &App, args: DocsArgs) -> Result<ExitCode, CliError> {
    let project = app.project().await?;
    let (tests, mistakes) = unit_tests::load(&app.settings.project, &project);
    for mistake in mistakes.iter() {
        app.note(&mistake.to_string());
    }
    let documentation = documentation::document(&project, &tests);
    let title = args.title.unwrap_or_else(|| folder_name(&app.settings.project));
    let files = site(&documentation, &title)?;
    write(&args.output, &files)?;
    app.line(&format!(
        "wrote {} pages; open {}",
        thousands(files.iter().filter(|(name, _)| name.ends_with(".html")).count() as u64),
        args.output.join("index.html").display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn folder_name(folder: &Path) -> String {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "Project".to_owned())
}

/// The files of the site by name.
fn site(documentation: &Documentation, title: &str) -> Result<Vec<(String, String)>, CliError> {
    let mut files = vec![
        ("style.css".to_owned(), STYLE.to_owned()),
        ("script.js".to_owned(), SCRIPT.to_owned()),
        ("catalogue.json".to_owned(), serde_json::to_string_pretty(documentation)?),
        ("search.js".to_owned(), pages::search_index(documentation)?),
    ];
    files.extend(pages::all(documentation, title));
    Ok(files)
}

/// Writes the files into a folder that is new, empty, or was written by this before.
fn write(folder: &Path, files: &[(String, String)]) -> Result<(), CliError> {
    let failed = |operation: &'static str, path: &Path| {
        let path = path.display().to_string();
        move |source| CliError::File { operation, path, source }
    };
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let manifest = folder.join(MANIFEST);
    let before = match fs::read_to_string(&manifest) {
        Ok(text) => text,
        Err(_) => {
            let mut entries = fs::read_dir(folder).map_err(failed("list", folder))?;
            if entries.next().is_some() {
                return Err(CliError::Usage(format!(
                    "{} is not empty, and not written by `questlake docs`: name another folder",
                    folder.display()
                )));
            }
            String::new()
        }
    };
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let all: Vec<&str> = names.iter().copied().collect();
    // First, so that a run that is stopped leaves a folder that the next one takes for its own.
    fs::write(&manifest, all.join("\n")).map_err(failed("write", &manifest))?;
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(failed("write", &path))?;
    }
    for name in before.lines().filter(|name| is_page(name) && !names.contains(name)) {
        // What somebody else has removed is gone, too.
        let _ = fs::remove_file(folder.join(name));
    }
    Ok(())
}

/// Whether a name is one that this command gives: nothing else is ever removed.
fn is_page(name: &str) -> bool {
    let known = ["model-", "event-", "query-"].iter().any(|kind| name.starts_with(kind));
    known
        && name.strip_suffix(".html").is_some_and(|stem| {
            stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_removed_models_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        let file = |name: &str| (name.to_owned(), "x".to_owned());
        write(&site, &[file("index.html"), file("model-a.html"), file("model-b.html")]).unwrap();
        fs::write(site.join("notes.txt"), "mine").unwrap();
        write(&site, &[file("index.html"), file("model-b.html")]).unwrap();
        let mut names: Vec<String> = fs::read_dir(&site)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [MANIFEST, "index.html", "model-b.html", "notes.txt"]);
    }

    #[test]
    fn a_folder_with_other_things_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        let refused = write(folder.path(), &[("index.html".to_owned(), String::new())]);
        assert!(refused.unwrap_err().to_string().contains("not empty"));
        assert!(!folder.path().join("index.html").exists());
        assert!(!is_page("../model-a.html") && !is_page("index.html") && is_page("event-x_y.html"));
    }
}

//! Embeds the dashboard's files, if it was built: everything in `web/dist`.
//!
//! Without it the program is whole but for the dashboard, so that nobody needs Node.js to work on it.

#![allow(clippy::print_stdout, reason = "that is how Cargo is told")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let web = manifest.join("../web");
    let dist = web.join("dist");
    println!("cargo::rerun-if-changed=build.rs");
    if dist.is_dir() || web.join("node_modules").is_dir() {
        println!("cargo::rerun-if-changed={}", dist.display());
    } else if web.is_dir() {
        // Cargo builds anew all the time what depends on a path that is not there.
        println!("cargo::rerun-if-changed={}", web.display());
    }
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &dist, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        let _ = writeln!(list, "({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("dashboard.rs"), list)
}

/// The files below a folder, by their names relative to `root` with `/` between the parts.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let parts: Vec<String> =
            relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        // Maps of sources are for those who work on it.
        if !parts.last().is_some_and(|name| name.ends_with(".map")) {
            files.push((parts.join("/"), path.canonicalize()?));
        }
    }
    Ok(())
}

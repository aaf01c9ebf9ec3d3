//! The settings in force, as a file that can be used again.

use super::typed::{InForce, Settings};
use super::values::SettingValue;

impl Settings {
    /// All settings in force as TOML, each with its origin in a comment. Paths are absolute, so
    /// that the file means the same anywhere. Secrets are left out, passwords in URLs masked.
    pub fn render(&self) -> String {
        render(&self.in_force)
    }
}

/// A line for each setting, a heading for each section, origins in one column.
pub(super) fn render(in_force: &[InForce]) -> String {
    let mut text = String::new();
    let mut section = "";
    let assignments: Vec<String> = in_force.iter().map(assignment).collect();
    let width = assignments.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    for (entry, assignment) in in_force.iter().zip(&assignments) {
        let own_section = entry.spec.name.rsplit_once('.').map_or("", |(section, _)| section);
        if own_section != section {
            section = own_section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("{assignment:width$}  # {}\n", entry.origin));
    }
    text
}

/// `name = value`; for a secret the file that holds it, or a comment.
fn assignment(entry: &InForce) -> String {
    let key = entry.spec.name.rsplit('.').next().unwrap_or(entry.spec.name);
    match (&entry.value, entry.value.to_toml()) {
        (SettingValue::Secret { .. }, Some(file)) => format!("{key}_file = {file}"),
        (_, Some(value)) => format!("{key} = {value}"),
        (_, None) => format!("# {key}: secret, not shown"),
    }
}

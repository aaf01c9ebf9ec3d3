//! The settings file: TOML, read with the position of every key and value.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::SettingError;
use super::layers::SettingOrigin;

/// One key of the file that is not a section.
pub(super) struct FileEntry {
    /// Dotted name, sections included.
    pub(super) name: String,
    /// Where the key stands, for mistakes in the name.
    pub(super) key_origin: SettingOrigin,
    /// Where the value stands, for mistakes in it.
    pub(super) value_origin: SettingOrigin,
    /// The value, or the name of a TOML type that no setting has.
    pub(super) value: FileValue,
}

/// A value as far as settings know it.
pub(super) enum FileValue {
    Text(String),
    /// In decimal notation.
    Integer(String),
    /// Of another TOML type.
    Other(&'static str),
}

/// Reads all entries of a file, in the order of their lines. `is_section` tells which dotted names
/// are sections, `is_setting` which are settings; both are needed to say what a table or a value
/// in the other's place is.
pub(super) fn parse_settings_file(
    shown_path: &Path,
    text: &str,
    is_section: &dyn Fn(&str) -> bool,
    is_setting: &dyn Fn(&str) -> bool,
) -> (Vec<FileEntry>, Vec<SettingError>) {
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    let reader = Reader { shown_path, text, is_section, is_setting };
    if !syntax_errors.is_empty() {
        // What the parser made of a broken file is not what its writer meant.
        let errors = syntax_errors.iter().map(|error| SettingError::Syntax {
            origin: reader.origin(error.span().map_or(0, |span| span.start)),
            message: error.message().to_string(),
        });
        return (Vec::new(), errors.collect());
    }
    let mut entries = Vec::new();
    let mut errors = Vec::new();
    reader.walk("", root.get_ref(), &mut entries, &mut errors);
    entries.sort_by_key(|entry| entry.key_origin.line_and_column());
    (entries, errors)
}

struct Reader<'a> {
    shown_path: &'a Path,
    text: &'a str,
    is_section: &'a dyn Fn(&str) -> bool,
    is_setting: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn walk(
        &self,
        section: &str,
        table: &DeTable<'_>,
        entries: &mut Vec<FileEntry>,
        errors: &mut Vec<SettingError>,
    ) {
        for (key, value) in table {
            let name = match section {
                "" => key.get_ref().to_string(),
                _ => format!("{section}.{}", key.get_ref()),
            };
            // An unknown section without content is an unknown key; with content, each key in it is.
            let is_unknown_and_empty =
                |table: &DeTable<'_>| table.is_empty() && !(self.is_section)(&name);
            match value.get_ref() {
                DeValue::Table(inner)
                    if !(self.is_setting)(&name) && !is_unknown_and_empty(inner) =>
                {
                    self.walk(&name, inner, entries, errors);
                }
                _ if (self.is_section)(&name) => errors.push(SettingError::WrongType {
                    origin: self.origin(value.span().start),
                    expected: format!("a section: [{name}]"),
                    name,
                    found: type_name(value.get_ref()),
                }),
                _ => entries.push(self.entry(name, key.span().start, value)),
            }
        }
    }

    fn entry(&self, name: String, key_start: usize, value: &Spanned<DeValue<'_>>) -> FileEntry {
        FileEntry {
            name,
            key_origin: self.origin(key_start),
            value_origin: self.origin(value.span().start),
            value: match value.get_ref() {
                DeValue::String(text) => FileValue::Text(text.to_string()),
                DeValue::Integer(integer) => {
                    match i128::from_str_radix(integer.as_str(), integer.radix()) {
                        Ok(number) => FileValue::Integer(number.to_string()),
                        Err(_) => FileValue::Integer(integer.to_string()),
                    }
                }
                other => FileValue::Other(type_name(other)),
            },
        }
    }

    /// The origin at this byte of the file. Columns count characters.
    fn origin(&self, byte: usize) -> SettingOrigin {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        SettingOrigin::File {
            file: self.shown_path.to_path_buf(),
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// What a value is, for messages.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

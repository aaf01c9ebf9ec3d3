//! From the text of a layer to the typed value of a setting.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SettingError;
use super::layers::{RawSetting, SettingOrigin};
use super::store_url::{StoreUrl, StoreUrlError, mask_url};
use super::table::{SettingKind, SettingSpec};
use super::units::{ByteSize, format_duration, parse_duration};

/// A password or key. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A valid value of a setting. A count, like all others, is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingValue {
    Folder(PathBuf),
    Store(StoreUrl),
    Count(u64),
    Bytes(ByteSize),
    Duration(Duration),
    Choice(&'static str),
    Address(String),
    /// Each valid by itself.
    Addresses(Vec<String>),
    /// A name or any other text.
    Text(String),
    /// Absent when it is empty.
    File(Option<PathBuf>),
    Secret {
        /// Absent when no layer sets it.
        secret: Option<Secret>,
        /// Where it was read from, if a file was named.
        file: Option<PathBuf>,
    },
}

impl SettingValue {
    /// The value as it stands in a settings file; of a secret the file that holds it, or nothing.
    pub(super) fn to_toml(&self) -> Option<String> {
        Some(match self {
            Self::Folder(path) => quote(&path.to_string_lossy()),
            Self::Store(url) => quote(&mask_url(&url.to_string())),
            Self::Count(number) => number.to_string(),
            Self::Bytes(size) => quote(&size.to_string()),
            Self::Duration(duration) => quote(&format_duration(*duration)),
            Self::Choice(word) => quote(word),
            Self::Address(address) => quote(address),
            Self::Addresses(addresses) => quote(&addresses.join(",")),
            Self::Text(text) => quote(text),
            Self::File(path) => {
                quote(&path.as_ref().map(|path| path.to_string_lossy()).unwrap_or_default())
            }
            Self::Secret { file: Some(path), .. } => quote(&path.to_string_lossy()),
            Self::Secret { file: None, .. } => return None,
        })
    }
}

/// Where relative paths start.
pub(super) struct Folders<'a> {
    /// Relative folders of a value: depends on the layer that it comes from.
    pub(super) relative_to: &'a Path,
    /// Relative paths in the URLs of stores.
    pub(super) data: &'a Path,
}

/// Checks the text of a setting against its kind.
pub(super) fn parse_value(
    spec: &SettingSpec,
    raw: &RawSetting,
    folders: &Folders<'_>,
) -> Result<SettingValue, SettingError> {
    let text = raw.text.trim();
    let outcome = match spec.kind {
        SettingKind::Folder { .. } => parse_folder(text, folders.relative_to),
        SettingKind::Store { schemes } => {
            return parse_store(spec, raw, schemes, folders.data);
        }
        SettingKind::Count { least, most } => parse_count(text, least, most),
        SettingKind::Bytes { least, most } => parse_bytes(text, least, most),
        SettingKind::Duration { least, most } => parse_time(text, least, most),
        SettingKind::Choice { words } => parse_choice(text, words),
        SettingKind::Address => parse_address(text),
        SettingKind::Addresses => parse_addresses(text),
        SettingKind::Name => parse_name(text),
        SettingKind::Text => Ok(SettingValue::Text(text.to_string())),
        SettingKind::File => Ok(SettingValue::File(
            Some(text).filter(|text| !text.is_empty()).map(|text| folders.relative_to.join(text)),
        )),
        SettingKind::Secret => return parse_secret(raw, folders.relative_to),
    };
    outcome.map_err(|reason| invalid(spec, raw, reason))
}

fn invalid(spec: &SettingSpec, raw: &RawSetting, reason: String) -> SettingError {
    SettingError::Invalid {
        origin: raw.origin.clone(),
        name: spec.name.to_string(),
        value: mask_url(&raw.text),
        reason: format!("{reason} (for example `{}`)", spec.example),
    }
}

/// Joins and drops `.` components; `..` stays, since a symbolic link may stand in front of it.
fn parse_folder(text: &str, relative_to: &Path) -> Result<SettingValue, String> {
    if text.is_empty() {
        return Err("it is empty; name a folder".to_string());
    }
    if text.contains("://") {
        return Err("a folder has no `://`".to_string());
    }
    Ok(SettingValue::Folder(relative_to.join(text).components().collect()))
}

fn parse_store(
    spec: &SettingSpec,
    raw: &RawSetting,
    schemes: &[&str],
    data: &Path,
) -> Result<SettingValue, SettingError> {
    match StoreUrl::parse(raw.text.trim(), schemes, data) {
        Ok(url) => Ok(SettingValue::Store(url)),
        Err(StoreUrlError::Malformed(reason)) => Err(invalid(spec, raw, reason)),
        Err(StoreUrlError::Unsupported) => {
            let shown = |scheme: &&str| match scheme.ends_with(':') {
                true => scheme.to_string(),
                false => format!("{scheme}://"),
            };
            let supported: Vec<String> = schemes.iter().map(shown).collect();
            Err(SettingError::UnsupportedStore {
                origin: raw.origin.clone(),
                name: spec.name.to_string(),
                url: mask_url(&raw.text),
                supported: supported.join(", "),
            })
        }
    }
}

fn parse_count(text: &str, least: u64, most: u64) -> Result<SettingValue, String> {
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(SettingValue::Count(number)),
        _ => Err(format!("it must be a whole number from {least} to {most}")),
    }
}

fn parse_bytes(text: &str, least: u64, most: u64) -> Result<SettingValue, String> {
    let size: ByteSize = text.parse()?;
    if !(least..=most).contains(&size.bytes()) {
        let bounds = (ByteSize::from_bytes(least), ByteSize::from_bytes(most));
        return Err(format!("it must be from {} to {}", bounds.0, bounds.1));
    }
    Ok(SettingValue::Bytes(size))
}

fn parse_time(text: &str, least: Duration, most: Duration) -> Result<SettingValue, String> {
    let duration = parse_duration(text)?;
    if !(least..=most).contains(&duration) {
        let bounds = (format_duration(least), format_duration(most));
        return Err(format!("it must be from {} to {}", bounds.0, bounds.1));
    }
    Ok(SettingValue::Duration(duration))
}

fn parse_choice(text: &str, words: &'static [&'static str]) -> Result<SettingValue, String> {
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => Ok(SettingValue::Choice(word)),
        None => Err(format!("it must be one of {}", words.join(", "))),
    }
}

/// Longest name.
const MAX_NAME: usize = 249;

fn parse_name(text: &str) -> Result<SettingValue, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(legal) {
        return Err(format!(
            "it must be a name of 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`"
        ));
    }
    Ok(SettingValue::Text(text.to_string()))
}

/// Hosts and ports, separated by commas; none of them is resolved.
fn parse_addresses(text: &str) -> Result<SettingValue, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut addresses = Vec::new();
    for part in parts {
        parse_address(part).map_err(|reason| format!("`{}`: {reason}", mask_url(part)))?;
        addresses.push(part.to_string());
    }
    Ok(SettingValue::Addresses(addresses))
}

/// A host and a port. The host is not resolved: that is for the one who listens.
fn parse_address(text: &str) -> Result<SettingValue, String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("a port is missing".to_string());
    };
    if port.parse::<u16>().is_err() {
        return Err(format!("`{port}` is not a port"));
    }
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_ipv6 || host.contains(['/', '@', ' ']) {
        return Err("in front of the port must be a host name, an IPv4 address, or an IPv6 \
                    address in brackets"
            .to_string());
    }
    Ok(SettingValue::Address(text.to_string()))
}

/// Takes the secret as it is, or the content of the file that is named, without the line break at
/// its end. No name stands for no secret.
fn parse_secret(raw: &RawSetting, relative_to: &Path) -> Result<SettingValue, SettingError> {
    let named = raw.text.trim();
    if raw.origin == SettingOrigin::Default || (raw.names_secret_file && named.is_empty()) {
        return Ok(SettingValue::Secret { secret: None, file: None });
    }
    if !raw.names_secret_file {
        let secret = Some(Secret(raw.text.clone()));
        return Ok(SettingValue::Secret { secret, file: None });
    }
    let file = relative_to.join(named);
    match std::fs::read_to_string(&file) {
        Ok(content) => {
            let content = content.trim_end_matches(['\r', '\n']).to_string();
            // An empty file is one that nobody has filled in.
            let secret = Some(Secret(content)).filter(|secret| !secret.reveal().is_empty());
            Ok(SettingValue::Secret { secret, file: Some(file) })
        }
        Err(source) => {
            Err(SettingError::ReadFile { named_by: raw.origin.position(), file, source })
        }
    }
}

/// A text as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

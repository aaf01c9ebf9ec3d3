//! The typed settings of the API, and what cannot be among them.

use std::time::Duration;

use super::error::SettingError;
use super::typed::{InForce, Values};
use super::units::ByteSize;

/// Computations for each thread where nothing is set.
const COMPUTATIONS_PER_THREAD: usize = 4;

/// Who may ask the API, and how much.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Whether callers need a key even where only this machine can call.
    pub keys_required: bool,
    /// Most requests per second with one key that has no limit of its own.
    pub rate_limit: Option<u32>,
    /// Origins of web pages that may call.
    pub cors_origins: Vec<String>,
    /// Longest wait until an answer begins.
    pub request_timeout: Duration,
    /// Largest body of a request that is not events.
    pub body_limit: ByteSize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most connections of one address of another machine.
    pub max_connections_per_address: usize,
    /// Most answers that are computed at a time.
    pub max_computations: usize,
}

impl ApiSettings {
    pub(super) fn from_values(values: &Values<'_>, threads: usize) -> Self {
        let rate_limit = u32::try_from(values.count("api.rate_limit")).unwrap_or(u32::MAX);
        Self {
            keys_required: values.word("api.keys") == "required",
            rate_limit: Some(rate_limit).filter(|limit| *limit > 0),
            cors_origins: origins(&values.text("api.cors_origins")).map(str::to_owned).collect(),
            request_timeout: values.duration("api.request_timeout"),
            body_limit: values.bytes("api.body_limit"),
            max_connections: values.count("api.max_connections"),
            max_connections_per_address: match values.count("api.max_connections_per_address") {
                0 => values.count("api.max_connections").div_ceil(2),
                count => count,
            },
            max_computations: match values.count("api.max_computations") {
                0 => threads * COMPUTATIONS_PER_THREAD,
                count => count,
            },
        }
    }
}

fn origins(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|origin| !origin.is_empty())
}

/// Why a browser would never send this as an origin.
fn origin_mistake(origin: &str) -> Option<&'static str> {
    if origin == "*" {
        return Some("any page of any host could call with its reader's key: name the hosts");
    }
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match host {
        None => Some("an origin begins with https:// or http://"),
        Some("") => Some("an origin names a host"),
        Some(host) if host.contains(['/', '@', '?', '#', ' ']) => {
            Some("an origin is a scheme and a host, such as https://example.org, without a path")
        }
        Some(host) if host.chars().any(|letter| letter.is_ascii_uppercase()) => {
            Some("browsers write hosts in lower case")
        }
        Some(_) => None,
    }
}

/// What is wrong with valid values.
pub(super) fn mistakes(in_force: &[InForce], values: &Values<'_>) -> Vec<SettingError> {
    let entry = in_force.iter().find(|entry| entry.spec.name == "api.cors_origins");
    let Some(entry) = entry else { return Vec::new() };
    let text = values.text("api.cors_origins");
    origins(&text)
        .filter_map(|origin| {
            origin_mistake(origin).map(|reason| SettingError::Invalid {
                origin: entry.origin.clone(),
                name: entry.spec.name.to_string(),
                value: origin.to_string(),
                reason: reason.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for good in ["https://example.org", "http://localhost:5173", "https://a.b:8443"] {
            assert_eq!(origin_mistake(good), None, "{good}");
        }
        for bad in ["*", "example.org", "https://", "https://a/", "https://A.org", "https://a@b"] {
            assert!(origin_mistake(bad).is_some(), "{bad}");
        }
        assert_eq!(origins(" https://a , ,https://b").count(), 2);
    }
}

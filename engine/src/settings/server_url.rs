//! URLs of servers, whose passwords are never shown.

use std::fmt;

use super::store_url::{MASK, mask_url, secrets_in};

/// The URL of a server with all that its client needs. Neither `Debug` nor `Display` shows a
/// password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The URL as it was given.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password, for the client that connects with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A client's message about this URL, without the secrets that the client may repeat in it.
    pub fn scrub(&self, message: &str) -> String {
        let mut message = message.replace(&self.0, &mask_url(&self.0));
        for secret in secrets_in(&self.0) {
            message = message.replace(&secret, MASK);
        }
        message
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerUrl({self})")
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&mask_url(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_shown_nowhere() {
        let url = ServerUrl::new("mongodb://anna:s3cret@db:27017/game?tls=true");
        let shown = format!("{url} {url:?} {}", url.scrub("bad password s3cret of anna"));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("bad password *** of anna"), "{shown}");
        assert_eq!(ServerUrl::new("redis://cache").scrub("gone"), "gone");
        // A client that cannot read an option repeats a part of it.
        let option = "authMechanismProperties=SERVICE_NAME:m,AWS_SESSION_TOKEN=a%2Bb";
        let url = ServerUrl::new(format!("mongodb://db/game?{option}"));
        for repeated in ["AWS_SESSION_TOKEN=a%2Bb", "AWS_SESSION_TOKEN=a+b"] {
            let shown = url.scrub(&format!("a pair is wanted, got {repeated}"));
            assert_eq!(shown, "a pair is wanted, got ***");
        }
    }
}

//! The URL of a PostgreSQL server, as its own tools write it.
//!
//! `postgres://user:password@host:5432/database?sslmode=verify-full`: several hosts and every option
//! that the client knows may be given. `sslmode` and `sslrootcert` mean what they mean to psql.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use url::form_urlencoded;

use super::tls::Verification;

/// Longest wait for a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long bytes may stay without being acknowledged before a connection counts as broken.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which a connection is probed, time between probes, and how many may be lost.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A server, and how its certificate is checked.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) verification: Verification,
    pub(super) root_certificate: Option<PathBuf>,
}

/// What is wrong with the URL, if anything is. Never holds its password.
pub(crate) fn check(url: &str) -> Result<(), String> {
    parse(url).map(|_| ())
}

pub(super) fn parse(url: &str) -> Result<Target, String> {
    let (location, options) = split_options(url);
    // The driver would look for a host in what is behind the first one.
    let authority = location.split_once("://").map_or(location, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    if authority.matches('@').count() > 1 {
        return Err("its login holds a `@`: write it `%40`".to_owned());
    }
    let mut mode = "prefer".to_owned();
    let mut root_certificate = None;
    let mut others = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let Some((name, value)) = form_urlencoded::parse(option.as_bytes()).next() else {
            continue;
        };
        match &*name {
            "sslmode" => mode = value.into_owned(),
            "sslrootcert" => root_certificate = Some(PathBuf::from(&*value)),
            _ => others.push(option),
        }
    }
    let without_tls = match others.is_empty() {
        true => location.to_owned(),
        false => format!("{location}?{}", others.join("&")),
    };
    let mut config: Config = without_tls.parse().map_err(|error| explain(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("a host is missing".to_owned());
    }
    let (ssl_mode, verification) = match (mode.as_str(), &root_certificate) {
        ("disable", _) => (SslMode::Disable, Verification::None),
        ("prefer", _) => (SslMode::Prefer, Verification::None),
        // As in psql: whoever names a root certificate wants it to be held against it.
        ("require", None) => (SslMode::Require, Verification::None),
        ("require", Some(_)) | ("verify-ca", _) => (SslMode::Require, Verification::Authority),
        ("verify-full", _) => (SslMode::Require, Verification::Full),
        _ => {
            return Err(format!(
                "sslmode is `{mode}`, not one of disable, prefer, require, verify-ca, verify-full"
            ));
        }
    };
    config.ssl_mode(ssl_mode);
    set_defaults(&mut config);
    Ok(Target { config, verification, root_certificate })
}

/// Splits behind the first `@`, as the driver does: a password may hold a `?` that should have been
/// encoded, and options may hold a `@`.
fn split_options(url: &str) -> (&str, &str) {
    let authority = url.find('@').unwrap_or(0);
    match url[authority..].find('?') {
        Some(position) => (&url[..authority + position], &url[authority + position + 1..]),
        None => (url, ""),
    }
}

/// Bounds for what the URL leaves open.
fn set_defaults(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(config.get_keepalives_idle().min(KEEPALIVE_IDLE));
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    if config.get_application_name().is_none() {
        config.application_name("questlake");
    }
}

/// The parser's own words: which option, never its value.
fn explain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("it is not the URL of a PostgreSQL server: {cause}"),
        None => "it is not the URL of a PostgreSQL server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn parts_of_a_url_are_found() {
        let url = "postgres://me:se%40cret@db.example:6543/game?sslmode=verify-full\
                   &connect_timeout=7&sslrootcert=%2Fetc%2Fca.pem";
        let target = parse(url).unwrap();
        assert_eq!(target.config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!(target.config.get_ports(), [6543]);
        assert_eq!(target.config.get_password(), Some(&b"se@cret"[..]));
        assert_eq!(target.config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(target.verification, Verification::Full);
        assert_eq!(target.root_certificate, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn what_is_left_open_is_bounded() {
        let target = parse("postgresql://localhost/game").unwrap();
        assert_eq!(target.config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(target.config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(target.config.get_ssl_mode(), SslMode::Prefer);
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, part) in [
            ("postgres://u:secret@h/d?sslmode=sometimes", "sslmode"),
            ("postgres://u:secret@h/d?colour=red", "colour"),
            ("postgres://u:secret@h:port/d", "port"),
            ("postgres:///d", "host"),
            ("postgres://u:secret@secret@h/d", "%40"),
        ] {
            let mistake = parse(url).unwrap_err();
            assert!(mistake.contains(part) && !mistake.contains("secret"), "{mistake}");
        }
    }
}

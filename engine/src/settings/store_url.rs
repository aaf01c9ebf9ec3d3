//! URLs of stores: what they name, and how they are shown without their passwords.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::object_url::{HdfsUrl, S3Url};
use super::server_url::ServerUrl;
use crate::stores::postgres::check_url;

/// Where a store is. The URL's scheme picks the kind of store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreUrl {
    /// `sqlite://…`: an SQLite database in this file. The path is absolute.
    Sqlite(PathBuf),
    /// `file://…`: files under this local folder. The path is absolute.
    File(PathBuf),
    /// `mongodb://…` or `mongodb+srv://…`: a database of a MongoDB server.
    MongoDb(ServerUrl),
    /// `redis://…` or `rediss://…`: a database of a Redis server.
    Redis(ServerUrl),
    /// `postgres://…` or `postgresql://…`: a PostgreSQL database.
    Postgres(ServerUrl),
    /// `memory:`: in this process.
    Memory,
    /// `hdfs://…`: files under this folder of HDFS.
    Hdfs(HdfsUrl),
    /// `s3://…`: files under this folder of a bucket.
    S3(S3Url),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite://{}", path.display()),
            Self::File(path) => write!(formatter, "file://{}", path.display()),
            Self::MongoDb(url) | Self::Redis(url) | Self::Postgres(url) => {
                write!(formatter, "{url}")
            }
            Self::Memory => formatter.write_str(MEMORY),
            Self::Hdfs(url) => write!(formatter, "{url}"),
            Self::S3(url) => write!(formatter, "{url}"),
        }
    }
}

/// Why a text is not the URL of a store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreUrlError {
    /// It is well formed, but no such store can be used here.
    Unsupported,
    /// It is not a URL, or not a complete one.
    Malformed(String),
}

impl StoreUrl {
    /// A folder of HDFS, from the whole URL; the error says what is wrong with it.
    pub fn hdfs(text: &str) -> Result<Self, String> {
        let location = text.strip_prefix("hdfs://");
        let location = location.ok_or_else(|| "it does not begin with `hdfs://`".to_string())?;
        HdfsUrl::parse(location).map(Self::Hdfs)
    }

    /// A folder of a bucket, from the whole URL; the error says what is wrong with it.
    pub fn s3(text: &str) -> Result<Self, String> {
        let location = text.strip_prefix("s3://");
        let location = location.ok_or_else(|| "it does not begin with `s3://`".to_string())?;
        S3Url::parse(location).map(Self::S3)
    }

    /// Reads a URL whose scheme is one of `schemes`; a relative path starts at `data`.
    pub(super) fn parse(text: &str, schemes: &[&str], data: &Path) -> Result<Self, StoreUrlError> {
        let malformed = |reason: String| Err(StoreUrlError::Malformed(reason));
        if text == MEMORY {
            let supported = schemes.contains(&MEMORY);
            return if supported { Ok(Self::Memory) } else { Err(StoreUrlError::Unsupported) };
        }
        let Some((scheme, location)) = text.split_once("://") else {
            // What is not the path of a file is meant for a server.
            if text.contains([':', '=', '@']) {
                return malformed(
                    "it is not a URL: `://` is missing behind its scheme".to_string(),
                );
            }
            let scheme = schemes.first().copied().unwrap_or_default();
            return malformed(format!("it is not a URL; did you mean `{scheme}://{text}`?"));
        };
        if !schemes.contains(&scheme) {
            return Err(StoreUrlError::Unsupported);
        }
        if location.trim().is_empty() {
            return malformed(format!("nothing stands behind `{scheme}://`"));
        }
        match scheme {
            "mongodb" | "mongodb+srv" => return Ok(Self::MongoDb(ServerUrl::new(text))),
            "redis" | "rediss" => {
                return match unknown_redis_option(location) {
                    None => Ok(Self::Redis(ServerUrl::new(text))),
                    Some(name) => malformed(format!(
                        "Redis has no option `{name}` in its URL (`rediss://` stands for TLS)"
                    )),
                };
            }
            "postgres" | "postgresql" => {
                return match check_url(text) {
                    Ok(()) => Ok(Self::Postgres(ServerUrl::new(text))),
                    Err(reason) => malformed(reason),
                };
            }
            "hdfs" => return Self::hdfs(text).map_err(StoreUrlError::Malformed),
            "s3" => return Self::s3(text).map_err(StoreUrlError::Malformed),
            _ => {}
        }
        if location.contains(['?', '#']) {
            return malformed("`?` and `#` have no meaning in the URL of a file".to_string());
        }
        if location == ":memory:" {
            return malformed("a store must last; name a file".to_string());
        }
        let path = data.join(location).components().collect();
        match scheme {
            "sqlite" => Ok(Self::Sqlite(path)),
            "file" => Ok(Self::File(path)),
            _ => Err(StoreUrlError::Unsupported),
        }
    }
}

/// An option that the client would ignore: whoever writes `ssl=true` must not send a password in clear.
fn unknown_redis_option(location: &str) -> Option<&str> {
    let behind_login = location.rfind('@').map_or(location, |at| &location[at..]);
    let (_, options) = behind_login.split_once('?')?;
    let names = options.split('&').map(|option| option.split('=').next().unwrap_or(option));
    names.into_iter().find(|name| *name != "protocol")
}

/// The URL that stands for this process's memory.
const MEMORY: &str = "memory:";

/// What stands where a password was.
pub(super) const MASK: &str = "***";

/// Parts of the names of URL options whose values are secret.
const SECRET_OPTIONS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "access_key",
    "passphrase",
    "credential",
    "customer_key",
    // Of MongoDB: several `name:value`, of which one may be a token.
    "mechanismproperties",
];

/// The URL for messages: its password and secret options replaced by `***`. What is not a URL but
/// may be meant as one (`user:password@host`, `host=… password=…`) is masked as well.
pub fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return mask_words(text);
    };
    let rest = match scheme {
        "redis" | "rediss" => mask_lone_user(mask_password(rest)),
        _ => mask_password(rest),
    };
    let Some((location, options)) = rest.split_once('?') else {
        return format!("{scheme}://{rest}");
    };
    // Without a `=` it is the rest of a secret that holds a `&`, as far as anybody can tell.
    let mask = |option: &str| match option.contains('=') || option.is_empty() {
        true => mask_option(option),
        false => MASK.to_owned(),
    };
    let options: Vec<String> = options.split('&').map(mask).collect();
    format!("{scheme}://{location}?{}", options.join("&"))
}

/// Masks what is between the first `:` and the last `@`. A password may hold any character, also
/// those that should have been encoded, so rather too much is masked than too little.
fn mask_password(rest: &str) -> String {
    match password_range(rest) {
        Some(range) => format!("{}{MASK}{}", &rest[..range.start], &rest[range.end..]),
        None => rest.to_string(),
    }
}

/// Redis has passwords without a user, which some write in the user's place.
fn mask_lone_user(rest: String) -> String {
    match rest.split_once('@') {
        Some((user, host)) if !user.contains([':', '/', '?']) => format!("{MASK}@{host}"),
        _ => rest,
    }
}

/// The secrets of a URL, as they are written there and as a client reads them, longer ones first: the
/// password, secret options, and each part of an option of several parts.
pub(super) fn secrets_in(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let password = password_range(rest).map(|range| &rest[range]);
    let options = rest.split_once('?').map_or("", |(_, options)| options).split('&');
    let secret = options.filter(|option| mask_option(option) != **option);
    let values = secret.filter_map(|option| Some(option.split_once('=')?.1));
    let values = values.flat_map(|value| std::iter::once(value).chain(value.split([',', ';'])));
    let mut secrets: Vec<String> = password
        .into_iter()
        .chain(values)
        .flat_map(|secret| [secret.to_owned(), percent_decoded(secret)])
        .filter(|secret| !secret.is_empty())
        .collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

fn percent_decoded(text: &str) -> String {
    // In a form a plus sign would stand for a space.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// Where the password is, in what follows `://`.
fn password_range(rest: &str) -> Option<Range<usize>> {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..authority_end];
    let (colon, at) = (authority.find(':')?, rest.rfind('@')?);
    // A host and its port, and an `@` somewhere in the path.
    let port = &authority[colon + 1..];
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if at < colon || (is_port && at > authority_end) {
        return None;
    }
    Some(colon + 1..at)
}

/// Masks all in front of an `@`, and `name=value` words whose name speaks of a secret.
fn mask_words(text: &str) -> String {
    let text = match text.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => text.to_string(),
    };
    let words: Vec<String> = text.split(' ').map(mask_option).collect();
    words.join(" ")
}

/// Masks the value of a `name=value` option whose name speaks of a secret, or whose value is the
/// address of a server with a login, as a proxy may have one.
fn mask_option(option: &str) -> String {
    let Some((name, value)) = option.split_once('=') else {
        return option.to_string();
    };
    let (name_below, value_below) = (name.to_lowercase(), value.to_lowercase());
    let contains = |parts: [&str; 2]| parts.iter().any(|part| value_below.contains(part));
    let has_login = contains(["://", "%3a%2f%2f"]) && contains(["@", "%40"]);
    if has_login || SECRET_OPTIONS.iter().any(|secret| name_below.contains(secret)) {
        return format!("{name}={MASK}");
    }
    option.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<StoreUrl, StoreUrlError> {
        StoreUrl::parse(text, &["sqlite", "file"], Path::new("/d"))
    }

    #[test]
    fn relative_paths_start_at_the_data_folder() {
        assert_eq!(parse("sqlite://hot.db"), Ok(StoreUrl::Sqlite("/d/hot.db".into())));
        assert_eq!(parse("file://./a/b"), Ok(StoreUrl::File("/d/a/b".into())));
        assert_eq!(parse("sqlite:///var/x.db"), Ok(StoreUrl::Sqlite("/var/x.db".into())));
    }

    #[test]
    fn a_url_reads_back_the_same() {
        let url = parse("file://landing").unwrap();
        assert_eq!(url.to_string(), "file:///d/landing");
        assert_eq!(parse(&url.to_string()), Ok(url));
    }

    #[test]
    fn what_is_not_a_store_is_refused() {
        assert_eq!(parse("mongodb://h/db"), Err(StoreUrlError::Unsupported));
        assert_eq!(parse("memory:"), Err(StoreUrlError::Unsupported));
        for text in ["hot.db", "sqlite://", "sqlite://a.db?mode=ro", "sqlite://:memory:"] {
            assert!(matches!(parse(text), Err(StoreUrlError::Malformed(_))), "{text}");
        }
        for (text, guesses) in [
            ("hot.db", true),
            ("hdfs:/questlake/landing", false),
            ("host=db user=me", false),
            ("me:secret@mongo:27017/q", false),
        ] {
            let Err(StoreUrlError::Malformed(reason)) = parse(text) else { panic!("{text}") };
            assert_eq!(reason.contains("did you mean `sqlite://"), guesses, "{reason}");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn servers_keep_their_whole_url_and_do_not_show_the_password() {
        let schemes = &["memory:", "mongodb", "redis"];
        let parse = |text| StoreUrl::parse(text, schemes, Path::new("/d")).unwrap();
        let text = "mongodb://u:p@h1:1,h2:2/db?tls=true";
        let url = parse(text);
        assert_eq!(url, StoreUrl::MongoDb(ServerUrl::new(text)));
        assert_eq!(url.to_string(), "mongodb://u:***@h1:1,h2:2/db?tls=true");
        assert_eq!(parse("redis://h/1"), StoreUrl::Redis(ServerUrl::new("redis://h/1")));
        assert_eq!(parse("memory:"), StoreUrl::Memory);
        assert_eq!(parse("memory:").to_string(), "memory:");
        assert_eq!(
            parse("redis://:a?b@h/1?protocol=resp3"),
            StoreUrl::Redis(ServerUrl::new("redis://:a?b@h/1?protocol=resp3"))
        );
        let ignored = StoreUrl::parse("redis://:p@h/0?ssl=true", schemes, Path::new("/d"));
        let Err(StoreUrlError::Malformed(reason)) = ignored else { panic!("{ignored:?}") };
        assert!(reason.contains("`ssl`") && reason.contains("rediss://"), "{reason}");
    }

    #[test]
    fn options_of_postgres_are_checked_at_once() {
        let parse = |text| StoreUrl::parse(text, &["sqlite", "postgres"], Path::new("/d"));
        let text = "postgres://u:secret@h/d?sslmode=require";
        assert_eq!(parse(text), Ok(StoreUrl::Postgres(ServerUrl::new(text))));
        let mistake = parse("postgres://u:secret@h/d?sslmode=no").unwrap_err();
        assert!(matches!(&mistake, StoreUrlError::Malformed(reason) if reason.contains("sslmode")));
    }

    #[test]
    fn passwords_are_masked() {
        for (text, masked) in [
            ("postgres://user:secret@host/db", "postgres://user:***@host/db"),
            ("postgres://user:se@cr:et@host/db", "postgres://user:***@host/db"),
            ("postgres://user:se/cr?et@host/db", "postgres://user:***@host/db"),
            ("redis://:secret@host", "redis://:***@host"),
            ("rediss://secret@host/0", "rediss://***@host/0"),
            (
                "s3://b/p?secret_access_key=k&ey&region=r",
                "s3://b/p?secret_access_key=***&***&region=r",
            ),
            ("mongodb://u:p@h1:1,h2:2/db?w=1", "mongodb://u:***@h1:1,h2:2/db?w=1"),
            ("postgres://h/db?user=u&Password=p", "postgres://h/db?user=u&Password=***"),
            ("s3://b/p?secret_access_key=k&region=r", "s3://b/p?secret_access_key=***&region=r"),
            ("s3://b/p?endpoint=https://h:9&region=r", "s3://b/p?endpoint=https://h:9&region=r"),
            ("s3://b/p?proxy_url=http://me:k@h:9&region=r", "s3://b/p?proxy_url=***&region=r"),
            ("s3://b/p?proxy_url=http%3A%2F%2Fme:k%40h", "s3://b/p?proxy_url=***"),
            ("s3://b/p?sse_customer_key=k&region=r", "s3://b/p?sse_customer_key=***&region=r"),
            (
                "mongodb://h/db?authMechanismProperties=AWS_SESSION_TOKEN:k&w=1",
                "mongodb://h/db?authMechanismProperties=***&w=1",
            ),
            ("postgres://user@host/db", "postgres://user@host/db"),
            ("hdfs://host:9000/a@b", "hdfs://host:9000/a@b"),
            ("file:///a:b@c", "file:///a:b@c"),
            ("no url", "no url"),
            ("postgres:user:secret@host", "***@host"),
            ("host=h password=secret dbname=d", "host=h password=*** dbname=d"),
        ] {
            assert_eq!(mask_url(text), masked);
        }
    }

    proptest! {
        #[test]
        fn no_password_is_shown(password in "[A-Z/?#@:&=%]{1,12}Z") {
            let masked = mask_url(&format!("postgres://user:{password}@host:5432/db?sslmode=x"));
            prop_assert_eq!(masked, "postgres://user:***@host:5432/db?sslmode=x");
        }
    }
}

//! Buckets of Amazon S3, and of what speaks as it does.
//!
//! Whether a name is taken is decided by the store itself (`If-None-Match: *`), which Amazon and all
//! newer others know. Credentials come from the URL's options, else from the variables `AWS_…`, else
//! from the machine's role. Connections are encrypted, and trust the system's certificates.

mod failure;

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientConfigKey, Error, RetryConfig};
use url::Url;

use crate::settings::{S3Url, mask_url};
pub(super) use failure::{meaning_of, readable};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Longest time of one request, its content included.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Longest time in which a request is made again.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Most attempts after the first one.
const MOST_RETRIES: usize = 12;

/// Why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Whoever listens on the way could read the data.
    #[error(
        "connections to {0} would not be encrypted; if that is meant, add allow_http=true to the URL"
    )]
    Unencrypted(String),
    /// The client ends the process over it with the first request.
    #[error("{0}")]
    Malformed(String),
    /// The options do not fit together.
    #[error(transparent)]
    Options(#[from] Error),
}

/// Opens a bucket, without asking it.
pub(super) fn open(url: &S3Url) -> Result<AmazonS3, OpenError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let builder = client(url, variables)?;
    if let Some(what) = malformed(&builder) {
        return Err(OpenError::Malformed(what));
    }
    if let Some(endpoint) = plain_endpoint(&builder) {
        return Err(OpenError::Unencrypted(mask_url(&endpoint)));
    }
    Ok(builder.build()?)
}

/// The client's settings, from these variables of the environment and the URL.
fn client(
    url: &S3Url,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<AmazonS3Builder, Error> {
    let mut options = Vec::new();
    for (name, value) in url.options() {
        options.push((name.parse::<AmazonS3ConfigKey>()?, value));
    }
    let is_in_url = |wanted: AmazonS3ConfigKey| options.iter().any(|(key, _)| *key == wanted);
    let has_role =
        is_in_url(AmazonS3ConfigKey::RoleArn) || is_in_url(AmazonS3ConfigKey::WebIdentityTokenFile);
    // The client prefers a key to a role, and `AWS_ENDPOINT_URL_S3` to any other endpoint.
    let is_replaced = |key: AmazonS3ConfigKey| match key {
        AmazonS3ConfigKey::AccessKeyId | AmazonS3ConfigKey::SecretAccessKey => has_role,
        AmazonS3ConfigKey::Token => has_role || is_in_url(AmazonS3ConfigKey::AccessKeyId),
        AmazonS3ConfigKey::S3Endpoint => is_in_url(AmazonS3ConfigKey::Endpoint),
        _ => false,
    };
    let mut builder = AmazonS3Builder::new();
    for (name, value) in variables {
        // An empty variable is how containers say that there is none.
        if !name.starts_with("AWS_") || value.is_empty() {
            continue;
        }
        // Others of that name are for other programs.
        if let Ok(key) = name.to_ascii_lowercase().parse()
            && !is_replaced(key)
        {
            builder = builder.with_config(key, value);
        }
    }
    let retries = RetryConfig {
        backoff: BackoffConfig { max_backoff: LONGEST_WAIT, ..BackoffConfig::default() },
        max_retries: MOST_RETRIES,
        retry_timeout: RETRY_LIMIT,
    };
    let seconds = |limit: Duration| format!("{} seconds", limit.as_secs());
    builder = builder
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), seconds(REQUEST_LIMIT))
        .with_config(
            AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout),
            seconds(CONNECT_LIMIT),
        )
        .with_retry(retries);
    for (key, value) in options {
        builder = builder.with_config(key, value);
    }
    // Whatever the variables say: without it two processes could commit the same version.
    Ok(builder.with_conditional_put(S3ConditionalPut::ETagMatch).with_bucket_name(url.bucket()))
}

/// What is wrong with the parts of the address and the headers of every request, if anything is.
fn malformed(builder: &AmazonS3Builder) -> Option<String> {
    let set = |key: AmazonS3ConfigKey| {
        Some((key.as_ref().trim_start_matches("aws_").to_owned(), builder.get_config_value(&key)?))
    };
    for key in [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::Token,
        AmazonS3ConfigKey::Region,
    ] {
        let Some((name, value)) = set(key) else { continue };
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(format!(
                "{name} holds a space, a line break or another character that it cannot have; check \
                 the URL and the variables AWS_…"
            ));
        }
    }
    for key in [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint] {
        let Some((_, endpoint)) = set(key) else { continue };
        let address = Url::parse(&endpoint).ok().filter(|address| {
            matches!(address.scheme(), "http" | "https")
                && address.host_str().is_some_and(|host| !host.is_empty())
                && endpoint.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if address.is_none() {
            return Some(format!(
                "the endpoint {} is no address: write it as https://host:port",
                mask_url(&endpoint)
            ));
        }
    }
    None
}

/// The endpoint, if it is not encrypted and nobody has allowed that. Its client would call every
/// request malformed.
fn plain_endpoint(builder: &AmazonS3Builder) -> Option<String> {
    let option = |key| builder.get_config_value(&key);
    let endpoint = option(AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| option(AmazonS3ConfigKey::Endpoint))
        .filter(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"))?;
    let allowed = option(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let is_allowed = allowed.is_some_and(|allowed| {
        matches!(allowed.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
    });
    (!is_allowed).then_some(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's settings with this URL and these variables.
    fn client_with(url: &str, variables: &[(&str, &str)]) -> AmazonS3Builder {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        client(&S3Url::parse(url).unwrap(), variables).unwrap()
    }

    #[test]
    fn options_of_the_url_are_known_to_the_client() {
        let url = S3Url::parse(
            "games/questlake?region=eu-west-1&endpoint=http://127.0.0.1:9&allow_http=true\
             &access_key_id=k&secret_access_key=s&session_token=t&unsigned_payload=true\
             &virtual_hosted_style_request=false&skip_signature=false\
             &server_side_encryption=AES256",
        );
        let bucket = open(&url.unwrap()).unwrap();
        assert!(bucket.to_string().contains("games"), "{bucket}");
    }

    #[test]
    fn what_the_url_says_counts_before_the_variables() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_ENDPOINT_URL_S3", "https://store.example"),
            ("AWS_CONDITIONAL_PUT", "disabled"),
            ("AWS_PROFILE", "games"),
            ("HOME", "/"),
        ];
        let value = |client: &AmazonS3Builder, key| client.get_config_value(&key);
        let plain = client_with("games", &variables);
        for (key, expected) in [
            (AmazonS3ConfigKey::AccessKeyId, Some("key")),
            (AmazonS3ConfigKey::Token, Some("token")),
            (AmazonS3ConfigKey::Region, Some("eu-west-1")),
            (AmazonS3ConfigKey::Endpoint, None),
            (AmazonS3ConfigKey::S3Endpoint, Some("https://store.example")),
            (AmazonS3ConfigKey::ConditionalPut, Some("etag")),
        ] {
            assert_eq!(value(&plain, key).as_deref(), expected, "{key:?}");
        }
        let url = "games?region=eu-west-2&access_key_id=k&secret_access_key=s\
                   &endpoint=https://other.example";
        let named = client_with(url, &variables);
        for (key, expected) in [
            (AmazonS3ConfigKey::AccessKeyId, Some("k")),
            (AmazonS3ConfigKey::SecretAccessKey, Some("s")),
            // It is the other key's.
            (AmazonS3ConfigKey::Token, None),
            (AmazonS3ConfigKey::Region, Some("eu-west-2")),
            (AmazonS3ConfigKey::Endpoint, Some("https://other.example")),
            (AmazonS3ConfigKey::S3Endpoint, None),
        ] {
            assert_eq!(value(&named, key).as_deref(), expected, "{key:?}");
        }
        let role = client_with("games?role_arn=arn:aws:iam::1:role/games", &variables);
        assert_eq!(value(&role, AmazonS3ConfigKey::AccessKeyId), None);
    }

    #[test]
    fn what_no_request_can_be_made_of_is_told() {
        let told = |url: &str, variables: &[(&str, &str)]| malformed(&client_with(url, variables));
        let well = "games?region=eu-west-1&access_key_id=k&secret_access_key=s/+=&session_token=t";
        for endpoint in
            ["", "&endpoint=https://h:9", "&endpoint=http://[::1]:9", "&endpoint=HTTPS://h/a"]
        {
            assert_eq!(told(&format!("{well}{endpoint}"), &[]), None, "{endpoint}");
        }
        for endpoint in [
            "minio:9000",
            "minio",
            "https://",
            "https://h:99999",
            "ftp://h",
            "https://a b",
            "https://h/a b",
            "//h",
        ] {
            let variable = told("games", &[("AWS_ENDPOINT_URL", endpoint)]).unwrap();
            assert!(variable.contains(endpoint) && variable.contains("https://host"), "{variable}");
            assert!(told("games", &[("AWS_ENDPOINT_URL_S3", endpoint)]).is_some(), "{endpoint}");
        }
        for (variable, name) in [
            ("AWS_ACCESS_KEY_ID", "access_key_id"),
            ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
            ("AWS_SESSION_TOKEN", "session_token"),
            ("AWS_REGION", "region"),
        ] {
            let told = told("games", &[(variable, "hush\n")]).unwrap();
            assert!(told.starts_with(name) && !told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn connections_are_encrypted_unless_somebody_says_otherwise() {
        let plain =
            |url: &str, variables: &[(&str, &str)]| plain_endpoint(&client_with(url, variables));
        assert_eq!(plain("games", &[]), None);
        assert_eq!(plain("games?endpoint=https://a.example", &[]), None);
        let url = "games?endpoint=http://a.example";
        assert_eq!(plain(url, &[]).as_deref(), Some("http://a.example"));
        assert_eq!(
            plain(&format!("{url}&allow_http=false"), &[]).as_deref(),
            Some("http://a.example")
        );
        assert_eq!(plain(&format!("{url}&allow_http=true"), &[]), None);
        assert_eq!(plain(url, &[("AWS_ALLOW_HTTP", "true")]), None);
        let error = open(&S3Url::parse(url).unwrap()).unwrap_err();
        assert!(error.to_string().contains("allow_http=true"), "{error}");
    }
}

//! Buckets of Amazon S3, and of what speaks as it does.
//!
//! Whether a name is taken is decided by the store itself (`If-None-Match: *`), which Amazon and all
//! newer others know. Credentials come from the URL's options, else from the variables `AWS_…`, else
//! from the machine's role. Connections are encrypted, and trust the system's certificates.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientConfigKey, Result, RetryConfig};

use crate::settings::S3Url;

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

/// Opens a bucket, without asking it.
pub(super) fn open(url: &S3Url) -> Result<AmazonS3> {
    let retries = RetryConfig {
        backoff: BackoffConfig { max_backoff: LONGEST_WAIT, ..BackoffConfig::default() },
        max_retries: MOST_RETRIES,
        retry_timeout: RETRY_LIMIT,
    };
    let seconds = |limit: Duration| format!("{} seconds", limit.as_secs());
    let mut builder = AmazonS3Builder::from_env()
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), seconds(REQUEST_LIMIT))
        .with_config(
            AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout),
            seconds(CONNECT_LIMIT),
        )
        .with_retry(retries);
    for (name, value) in url.options() {
        builder = builder.with_config(name.parse()?, value);
    }
    // Whatever the variables say: without it two processes could commit the same version.
    builder.with_conditional_put(S3ConditionalPut::ETagMatch).with_bucket_name(url.bucket()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

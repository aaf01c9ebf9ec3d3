//! URLs of stores that are not on this machine and keep files: HDFS and S3.

use std::fmt;

use url::form_urlencoded;

use super::store_url::mask_url;

/// A folder of HDFS: `hdfs://namenode:8020/folder`, `hdfs://nameservice/folder` with the name
/// service from Hadoop's configuration files, or `hdfs:///folder` for their default file system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HdfsUrl {
    authority: String,
    path: String,
}

/// A folder of a bucket that is spoken to as Amazon S3 is: `s3://bucket/folder?region=…`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct S3Url {
    bucket: String,
    path: String,
    query: String,
}

/// Options that the URL of a bucket can have. What it does not say comes from the variables `AWS_…`
/// that other programs know too, or from the machine's role.
const S3_OPTIONS: &[&str] = &[
    "access_key_id",
    "allow_http",
    "endpoint",
    "proxy_ca_certificate",
    "proxy_url",
    "region",
    "role_arn",
    "secret_access_key",
    "server_side_encryption",
    "session_token",
    "skip_signature",
    "sse_kms_key_id",
    "unsigned_payload",
    "virtual_hosted_style_request",
    "web_identity_token_file",
];

impl HdfsUrl {
    /// Reads what stands behind `hdfs://`.
    pub(super) fn parse(location: &str) -> Result<Self, String> {
        let (authority, path) = location.split_once('/').unwrap_or((location, ""));
        if authority.contains('@') {
            return Err("the user does not belong into the URL; it is the Kerberos principal, or \
                        what HADOOP_USER_NAME says"
                .to_string());
        }
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
        if !authority.bytes().all(is_safe) {
            return Err(format!("`{authority}` is neither a host and port nor a name service"));
        }
        if let Some(port) = authority.rsplit_once(':').map(|(_, port)| port)
            && !port.ends_with(']')
            && port.parse::<u16>().is_err()
        {
            return Err(format!("`{port}` is not a port"));
        }
        let path = safe_folder(path)?;
        if path.is_empty() {
            return Err("name a folder of your own behind the host".to_string());
        }
        Ok(Self { authority: authority.to_string(), path })
    }

    /// The host and port of a NameNode, the name of a name service, or nothing.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The folder, without a slash in front of it or behind it.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HdfsUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "hdfs://{}/{}", self.authority, self.path)
    }
}

impl S3Url {
    /// Reads what stands behind `s3://`.
    pub(crate) fn parse(location: &str) -> Result<Self, String> {
        let (location, query) = location.split_once('?').unwrap_or((location, ""));
        let (bucket, path) = location.split_once('/').unwrap_or((location, ""));
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_safe) {
            return Err(format!("`{}` is not the name of a bucket", mask_url(bucket)));
        }
        let url =
            Self { bucket: bucket.to_string(), path: safe_folder(path)?, query: query.to_string() };
        let mut parts = url.query.split('&');
        if parts.any(|part| !part.is_empty() && !part.contains('=')) {
            return Err("an option has no value; in a value, `&` is written `%26`".to_owned());
        }
        for (name, value) in url.options() {
            if !S3_OPTIONS.contains(&name.as_str()) {
                let known = S3_OPTIONS.join(", ");
                return Err(format!("it has no option `{name}`; there are {known}"));
            }
            if value.is_empty() {
                return Err(format!("its option `{name}` has no value"));
            }
        }
        Ok(url)
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The folder, without a slash in front of it or behind it; empty for the whole bucket.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Names and values of the options. They may be secrets.
    pub fn options(&self) -> Vec<(String, String)> {
        // Keys are written with `+` as it is, which in a form would stand for a space.
        let query = self.query.replace('+', "%2B");
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }
}

/// Without its secrets.
impl fmt::Display for S3Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = format!("s3://{}", self.bucket);
        if !self.path.is_empty() {
            url = format!("{url}/{}", self.path);
        }
        if !self.query.is_empty() {
            url = format!("{url}?{}", self.query);
        }
        formatter.write_str(&mask_url(&url))
    }
}

/// Without its secrets.
impl fmt::Debug for S3Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S3Url({self})")
    }
}

/// A path without slashes around it, of names that need no escaping anywhere: clients of HDFS lose
/// files with a `?`, `#` or `%` in their names.
fn safe_folder(path: &str) -> Result<String, String> {
    let path = path.trim_matches('/');
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=/".contains(&byte);
    if !path.bytes().all(is_safe) {
        return Err(format!(
            "`{}` is not made of letters, digits, `-`, `_`, `.` and `=` only",
            mask_url(path)
        ));
    }
    if !path.is_empty() && path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err("a name in its path is empty, `.` or `..`".to_string());
    }
    Ok(path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_hdfs() {
        for (text, authority, path) in [
            ("namenode:8020/questlake/landing", "namenode:8020", "questlake/landing"),
            ("nameservice1/questlake/", "nameservice1", "questlake"),
            ("[::1]:8020/q", "[::1]:8020", "q"),
            ("/questlake", "", "questlake"),
        ] {
            let url = HdfsUrl::parse(text).unwrap();
            assert_eq!((url.authority(), url.path()), (authority, path), "{text}");
            let again = url.to_string();
            assert_eq!(HdfsUrl::parse(again.strip_prefix("hdfs://").unwrap()), Ok(url));
        }
        for text in [
            "namenode:8020",
            "namenode:8020/",
            "namenode:port/q",
            "user@namenode:8020/q",
            "name node/q",
            "namenode:8020/q?x=1",
            "namenode:8020/a#b",
            "namenode:8020/100%",
            "namenode:8020/a/../b",
            "namenode:8020/a//b",
        ] {
            assert!(HdfsUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_of_buckets() {
        let text = "games/questlake?region=eu-west-1&secret_access_key=a+b%2Fc&access_key_id=k";
        let url = S3Url::parse(text).unwrap();
        assert_eq!((url.bucket(), url.path()), ("games", "questlake"));
        let options = url.options();
        assert_eq!(options[0], ("region".to_string(), "eu-west-1".to_string()));
        assert_eq!(options[1], ("secret_access_key".to_string(), "a+b/c".to_string()));
        let shown = "s3://games/questlake?region=eu-west-1&secret_access_key=***&access_key_id=***";
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("S3Url({shown})"));
        assert_eq!(S3Url::parse("games").unwrap().to_string(), "s3://games");
        for text in ["", "/a", "a b", "games/a b", "games?regoin=x", "games?region=", "k:s@games"] {
            assert!(S3Url::parse(text).is_err(), "{text}");
        }
    }
}

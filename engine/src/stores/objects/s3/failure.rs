//! What an answer of a store that speaks as S3 does means for a caller.
//!
//! The status alone says too little: that a bucket is missing, that an upload is over and that an
//! object is not there are all 404. The body has a code for each, and more than anybody wants to read:
//! all that was signed, byte by byte, where a key is wrong. The client puts all of it into the text of
//! its errors.

use std::error::Error as StdError;

use object_store::Error;

use crate::stores::error::StoreErrorKind;
use crate::stores::objects::error::Meaning;

const BUCKET: &str = "make the bucket, or check its name and the endpoint in the URL";
const REGION: &str = "check the bucket's region: region=… in the URL, or AWS_REGION";
const KEYS: &str = "check access_key_id and secret_access_key in the URL, or AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY";
const NO_KEYS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: there are no credentials, \
                       and nobody answers here who would give this machine a role's";
const CLOCK: &str = "check this machine's clock";
const CERTIFICATE: &str = "check that SSL_CERT_FILE or the system has the authority of the store's \
                           certificate, and that the certificate has its name";
const AGAIN: &str = "run the command again";
const URL: &str = "check the bucket, the endpoint and the credentials";

/// Paths of the service that gives machines of Amazon their credentials.
const ROLE_PATHS: [&str; 2] = ["/latest/api/token", "/latest/meta-data/"];

/// What the client says where a store refers to another region without saying where that is.
const ELSEWHERE: &str = "incorrectly configured region";

/// Characters that XML has in other words.
const ESCAPED: [(&str, &str); 7] = [
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&apos;", "'"),
    ("&#39;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
];

/// What there is to read in an answer that refuses a request.
#[derive(Debug, thiserror::Error)]
#[error("{request}{code}: {message}")]
struct Refusal {
    /// Which request, and the status.
    request: String,
    code: String,
    message: String,
}

impl Refusal {
    /// Reads it from the text of the client's error; nothing if that does not tell such an answer.
    fn read(text: &str) -> Option<Self> {
        let code = element(text, "Code")?.to_owned();
        let body = text.find("<?xml").or_else(|| text.find("<Error>"))?;
        let mut message = element(text, "Message").unwrap_or("it says no more").to_owned();
        for (escaped, character) in ESCAPED {
            message = message.replace(escaped, character);
        }
        Some(Self { request: text[..body].to_owned(), code, message })
    }
}

/// The content of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// The same error with what there is to read in the store's answer, if it comes of one.
pub(in crate::stores::objects) fn readable(error: Error) -> Error {
    let refusal = error.source().and_then(|source| Refusal::read(&source.to_string()));
    let Some(refusal) = refusal else { return error };
    let source = refusal.into();
    match error {
        Error::Generic { store, .. } => Error::Generic { store, source },
        Error::NotFound { path, .. } => Error::NotFound { path, source },
        Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source },
        Error::Precondition { path, .. } => Error::Precondition { path, source },
        Error::PermissionDenied { path, .. } => Error::PermissionDenied { path, source },
        Error::Unauthenticated { path, .. } => Error::Unauthenticated { path, source },
        other => other,
    }
}

/// What an error means by the store's answer, or by what kept it away; nothing if that says no more
/// than the error's kind.
pub(in crate::stores::objects) fn meaning_of(error: &Error) -> Option<Meaning> {
    if let Some(refusal) = error.source().and_then(|source| source.downcast_ref::<Refusal>()) {
        return meaning_of_code(&refusal.code, matches!(error, Error::NotFound { .. }));
    }
    let text = error.to_string();
    if text.contains(ELSEWHERE) {
        return Some((StoreErrorKind::Incompatible, Some(REGION)));
    }
    if ROLE_PATHS.iter().any(|path| text.contains(path)) {
        return Some((StoreErrorKind::Unavailable, Some(NO_KEYS)));
    }
    refuses_certificate(error).then_some((StoreErrorKind::Unavailable, Some(CERTIFICATE)))
}

fn meaning_of_code(code: &str, is_not_found: bool) -> Option<Meaning> {
    let (kind, advice) = match code {
        "NoSuchBucket" => (StoreErrorKind::Incompatible, BUCKET),
        "AuthorizationHeaderMalformed" | "PermanentRedirect" => {
            (StoreErrorKind::Incompatible, REGION)
        }
        // They may be new ones the next time.
        "ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" => {
            (StoreErrorKind::Unavailable, KEYS)
        }
        "RequestTimeTooSkewed" => (StoreErrorKind::Unavailable, CLOCK),
        // Over, in one way or the other: its end may have come through without the answer to it.
        "NoSuchUpload" => (StoreErrorKind::Unavailable, AGAIN),
        // It is about something else than an object: nothing that was written is missing.
        other if is_not_found && other != "NoSuchKey" => (StoreErrorKind::Unavailable, URL),
        _ => return None,
    };
    Some((kind, Some(advice)))
}

/// Whether the store's certificate was not good enough for us. The client keeps that to the causes.
fn refuses_certificate(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.to_string().contains("peer certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "Error performing GET http://store/games/a in 1ms - Server returned ";

    fn not_found(body: &str) -> Error {
        let source = format!("{REQUEST}non-2xx status code: 404 Not Found: {body}");
        Error::NotFound { path: "a".to_owned(), source: source.into() }
    }

    fn answer(code: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>It is &#34;a&#34;.</Message>\
             <StringToSign>much</StringToSign></Error>"
        )
    }

    #[test]
    fn answers_of_one_status_differ_by_their_code() {
        let meaning = |body: &str| meaning_of(&readable(not_found(body)));
        for (code, kind, advice) in [
            ("NoSuchBucket", StoreErrorKind::Incompatible, BUCKET),
            ("NoSuchUpload", StoreErrorKind::Unavailable, AGAIN),
            ("NobodyOfThatName", StoreErrorKind::Unavailable, URL),
        ] {
            assert_eq!(meaning(&answer(code)), Some((kind, Some(advice))), "{code}");
        }
        // An object that is missing is what the status says.
        assert_eq!(meaning(&answer("NoSuchKey")), None);
        assert_eq!(meaning(""), None);
    }

    #[test]
    fn of_an_answer_only_what_people_read_is_told() {
        let text = readable(not_found(&answer("NoSuchBucket"))).to_string();
        assert!(text.contains(REQUEST), "{text}");
        assert!(text.ends_with("404 Not Found: NoSuchBucket: It is \"a\"."), "{text}");
    }

    #[test]
    fn whoever_has_no_credentials_is_told() {
        let source = "Error performing PUT http://169.254.169.254/latest/api/token in 60s";
        let error = Error::Generic { store: "S3", source: source.into() };
        assert_eq!(meaning_of(&error), Some((StoreErrorKind::Unavailable, Some(NO_KEYS))));
    }
}

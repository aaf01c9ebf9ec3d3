//! Questions, their keys, and answers that are ready to be sent.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use questlake_engine::freshness::AnswerFreshness;
use sha2::{Digest, Sha256};

use crate::compress;
use crate::negotiate::Format;
use crate::text::rfc3339;

pub(crate) const DATA_VERSION: HeaderName = HeaderName::from_static("questlake-data-version");
pub(crate) const DATA_THROUGH: HeaderName = HeaderName::from_static("questlake-data-through");

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// All that the answer follows from but the data, in one spelling.
    pub(crate) text: String,
    pub(crate) freshness: AnswerFreshness,
    pub(crate) format: Format,
    /// Name of the file if the answer is to be saved as one.
    pub(crate) file_name: Option<String>,
    /// Whether the same question has the same answer until the data changes.
    pub(crate) reproducible: bool,
}

impl Question {
    /// The key in the cache.
    pub(super) fn key(&self) -> String {
        let mut key = format!("api:1:{:016x}:{}:", self.freshness.version, self.format.name());
        push_hex(&mut key, &Sha256::digest(self.text.as_bytes()));
        key
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// An answer that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    version: u64,
    etag: HeaderValue,
    headers: HeaderMap,
    pub(super) body: Bytes,
    /// In gzip, once somebody has asked for that.
    packed: OnceLock<Bytes>,
}

impl Ready {
    /// The data that it was made of.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn response(&self, request: &HeaderMap) -> Response {
        if matches(request, &self.etag) {
            return unchanged(&self.etag, &self.headers);
        }
        let packs = self.body.len() >= compress::LEAST && compress::takes(request, "gzip");
        let body = match packs {
            true => self.packed.get_or_init(|| compress::bytes(&self.body)),
            false => &self.body,
        };
        let mut response = with_body(self.headers.clone(), body.clone());
        if packs {
            response.headers_mut().insert(header::CONTENT_ENCODING, compress::GZIP);
        }
        response
    }
}

pub(super) fn with_body(headers: HeaderMap, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}

pub(super) fn ready(question: &Question, etag: HeaderValue, body: Bytes) -> Ready {
    let headers = answer_headers(question, &etag);
    let version = question.freshness.version;
    Ready { version, etag, headers, body, packed: OnceLock::new() }
}

pub(super) fn answer_headers(question: &Question, etag: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let media_type = HeaderValue::from_static(question.format.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::ETAG, etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept, accept-encoding, authorization, x-api-key"),
    );
    let version = format!("{:016x}", question.freshness.version);
    headers.extend(HeaderValue::try_from(version).ok().map(|value| (DATA_VERSION, value)));
    let through = question.freshness.data_through.map(rfc3339);
    let through = through.and_then(|text| HeaderValue::try_from(text).ok());
    headers.extend(through.map(|value| (DATA_THROUGH, value)));
    let name = question.file_name.as_ref();
    let disposition = name.map(|name| format!("attachment; filename=\"{name}\""));
    let disposition = disposition.and_then(|text| HeaderValue::try_from(text).ok());
    headers.extend(disposition.map(|value| (header::CONTENT_DISPOSITION, value)));
    headers
}

/// Of the answer with this key. Weak, because the bytes also say when the answer was made.
pub(super) fn etag(key: &str) -> HeaderValue {
    let hash = Sha256::digest(key.as_bytes());
    let mut text = String::from("W/\"");
    push_hex(&mut text, hash.get(..16).unwrap_or(&hash));
    text.push('"');
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether the caller has this answer.
pub(super) fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(own) = etag.to_str().map(opaque) else { return false };
    request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|known| known.trim() == "*" || opaque(known) == own)
        })
    })
}

pub(super) fn unchanged(etag: &HeaderValue, headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let kept = [header::CACHE_CONTROL, header::VARY, DATA_VERSION, DATA_THROUGH];
    for name in kept {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.headers_mut().insert(header::ETAG, etag.clone());
    response
}

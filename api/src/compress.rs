//! Answers in gzip for callers who take it: rows as text shrink to a tenth.
//!
//! Answers that are kept are packed once ([`bytes`]); all others as they are sent ([`packed`]).

use std::io::Write;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};

/// Bytes from which on packing is worth it: less fits into one packet anyway.
pub(crate) const LEAST: usize = 1 << 10;

/// The name of the encoding.
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Whether the caller takes this encoding.
pub(crate) fn takes(headers: &HeaderMap, wanted: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut parts = values.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    parts.any(|part| {
        let (coding, quality) = part.split_once(';').unwrap_or((part, "q=1"));
        let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        coding.trim().eq_ignore_ascii_case(wanted) && !refused
    })
}

/// Bytes in gzip.
pub(crate) fn bytes(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::default());
    // Into memory: it does not fail.
    let _ = encoder.write_all(plain);
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// An answer to a request of this method by a caller who takes gzip.
pub(crate) fn packed(method: &Method, mut response: Response) -> Response {
    let headers = response.headers();
    if !is_text(headers) || headers.contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let headers = response.headers_mut();
    let says_so = headers.get_all(header::VARY).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
        })
    });
    if !says_so {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let is_small = response.body().size_hint().exact().is_some_and(|size| size < LEAST as u64);
    if method == Method::HEAD || response.status() == StatusCode::NOT_MODIFIED || is_small {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, GZIP);
    Response::from_parts(head, Body::from_stream(packing(body)))
}

/// Whether it is worth packing, and not a stream of events, of which each counts at once.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match kind {
        "text/event-stream" => false,
        "application/x-ndjson" | "application/vnd.apache.arrow.stream" | "text/javascript" => true,
        _ => kind.starts_with("text/") || kind.ends_with("json"),
    }
}

/// The parts of a body, each packed as it comes.
fn packing(body: Body) -> impl futures::Stream<Item = Result<Bytes, axum::Error>> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    stream::unfold(Some((body.into_data_stream(), encoder)), |packing| async move {
        let (mut parts, mut encoder) = packing?;
        match parts.next().await {
            Some(Ok(part)) => {
                // Into memory: neither fails.
                let _ = encoder.write_all(&part);
                let _ = encoder.flush();
                let ready = std::mem::take(encoder.get_mut());
                Some((Ok(Bytes::from(ready)), Some((parts, encoder))))
            }
            // It breaks off: what was packed must not pass for the whole.
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(Bytes::from(encoder.finish().unwrap_or_default())), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::to_bytes;
    use flate2::read::GzDecoder;

    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        headers
    }

    fn answer(kind: &'static str, body: Body) -> Response {
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn unpacked(bytes: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_caller_says_what_it_takes() {
        assert!(takes(&accepting("deflate, GZIP;q=0.5"), "gzip"));
        assert!(!takes(&accepting("gzip;q=0, br"), "gzip"));
        assert!(!takes(&HeaderMap::new(), "gzip"));
    }

    #[tokio::test]
    async fn an_answer_in_parts_is_packed_part_by_part() {
        let parts = ["first ".repeat(500), "second ".repeat(500)];
        let body = Body::from_stream(stream::iter(parts.clone().map(Ok::<_, axum::Error>)));
        let response = packed(&Method::GET, answer("text/csv; charset=utf-8", body));
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::VARY], "accept-encoding");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.len() < 500);
        assert_eq!(unpacked(&bytes), parts.concat());
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_whole_one() {
        let parts = [Ok(Bytes::from_static(b"begun")), Err(axum::Error::new("away"))];
        let body = Body::from_stream(stream::iter(parts));
        let response = packed(&Method::GET, answer("application/json", body));
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }

    #[test]
    fn what_is_small_packed_or_an_event_is_left_as_it_is() {
        let large = || Body::from("x".repeat(LEAST));
        let plain =
            |response: &Response| !response.headers().contains_key(header::CONTENT_ENCODING);
        assert!(plain(&packed(&Method::GET, answer("application/json", Body::from("{}")))));
        assert!(plain(&packed(&Method::GET, answer("text/event-stream", large()))));
        assert!(plain(&packed(&Method::GET, answer("image/png", large()))));
        assert!(plain(&packed(&Method::HEAD, answer("application/json", large()))));
        assert!(!plain(&packed(&Method::GET, answer("application/problem+json", large()))));
        let mut brotli = answer("text/html", large());
        brotli.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let brotli = packed(&Method::GET, brotli);
        assert_eq!(brotli.headers()[header::CONTENT_ENCODING], "br");
        assert_eq!(unpacked(&bytes(b"text")), "text");
    }
}

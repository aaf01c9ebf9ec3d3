//! The dashboard: one page and its files, in the binary.
//!
//! Files whose names carry a hash of their content are kept by browsers for ever; the page is asked for
//! each time, and answered by 304 where nothing has changed. Where the build has made packed copies
//! (`.br`, `.gz`), these are sent to whoever takes them.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

use crate::compress;
use crate::problem::{Kind, Problem};

/// Names and contents, in the order of the names.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

const PAGE: &str = "index.html";

/// Folder of files whose names change with their contents.
const HASHED: &str = "assets/";

/// What is shown where the dashboard was not built.
const NO_DASHBOARD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Questlake</title>\
<body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem\">\
<h1>Questlake</h1><p>This binary was built without the dashboard. To have it, run <code>make web</code> \
(it needs Node.js) and build again.</p><p>The API works: see <a href=\"/docs\">/docs</a>.</p>";

/// Answers everything that is no other route.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(Kind::MethodNotAllowed, "only GET is answered here").into_response();
    }
    answer(FILES, uri.path(), &headers)
}

type Files = [(&'static str, &'static [u8])];

fn content(files: &Files, name: &str) -> Option<&'static [u8]> {
    let place = files.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    files.get(place).map(|(_, content)| *content)
}

fn answer(files: &Files, path: &str, headers: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    // Addresses within the dashboard are its page's own; a name with an ending is a file.
    let is_file = name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let name = if is_file { name } else { PAGE };
    let Some(plain) = content(files, name) else {
        if !is_file && files.is_empty() {
            return page(NO_DASHBOARD);
        }
        return Problem::not_found("there is no such page").into_response();
    };
    let (body, encoding) = packed(files, name, headers).unwrap_or((plain, None));
    let etag = format!("\"{:016x}\"", xxh3_64(plain));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.contains(&etag));
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => body.into_response(),
    };
    let cache = match name.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    own.extend(HeaderValue::try_from(etag).ok().map(|etag| (header::ETAG, etag)));
    if unchanged {
        own.remove(header::CONTENT_TYPE);
        return response;
    }
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    own.extend(encoding.map(|name| (header::CONTENT_ENCODING, HeaderValue::from_static(name))));
    response
}

/// A packed copy that the caller takes.
fn packed(
    files: &Files,
    name: &str,
    headers: &HeaderMap,
) -> Option<(&'static [u8], Option<&'static str>)> {
    for (coding, ending) in [("br", "br"), ("gzip", "gz")] {
        if compress::takes(headers, coding)
            && let Some(content) = content(files, &format!("{name}.{ending}"))
        {
            return Some((content, Some(coding)));
        }
    }
    None
}

fn page(text: &'static str) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html)], text).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &Files = &[
        ("assets/main-1a2b.js", b"code"),
        ("assets/main-1a2b.js.br", b"packed"),
        ("favicon.svg", b"<svg/>"),
        ("index.html", b"<html>"),
    ];

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn files_come_with_their_types_and_for_how_long_they_last() {
        let none = HeaderMap::new();
        for path in ["/", "/retention", "/players/p1"] {
            let page = answer(BUILT, path, &none);
            assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        }
        let script = answer(BUILT, "/assets/main-1a2b.js", &none);
        assert!(script.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(!script.headers().contains_key(header::CONTENT_ENCODING));
        let accept = with(header::ACCEPT_ENCODING, "gzip, deflate, br;q=0.9");
        let script = answer(BUILT, "/assets/main-1a2b.js", &accept);
        assert_eq!(script.headers()[header::CONTENT_ENCODING], "br");
        let refusing = with(header::ACCEPT_ENCODING, "br;q=0");
        let script = answer(BUILT, "/assets/main-1a2b.js", &refusing);
        assert!(!script.headers().contains_key(header::CONTENT_ENCODING));
        let etag = script.headers()[header::ETAG].clone();
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, etag);
        let unchanged = answer(BUILT, "/assets/main-1a2b.js", &known);
        assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn nothing_but_the_files_is_there() {
        let none = HeaderMap::new();
        for path in ["/missing.js", "/../Cargo.toml", "/assets/..%2f..%2fetc/passwd.txt", "/.env"] {
            assert_eq!(answer(BUILT, path, &none).status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(answer(&[], "/", &none).status(), StatusCode::OK);
        assert_eq!(answer(&[], "/x.js", &none).status(), StatusCode::NOT_FOUND);
    }
}

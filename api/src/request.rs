//! What handlers take from a request.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::negotiate::{self, Format};
use crate::parameters::Parameters;
use crate::problem::Problem;

/// A name in the path.
pub(crate) fn named(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    match path {
        Ok(Path(name)) => Ok(name),
        Err(_) => Err(Problem::not_found("the address is not readable")),
    }
}

/// A request exactly as it was written, as far as its answer follows from it.
pub(crate) fn as_written(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let format = negotiate::accepted(headers).ok()?.name();
    let path = uri.path_and_query()?.as_str();
    let mut text = String::with_capacity(format.len() + path.len() + 1);
    text.push_str(format);
    text.push(' ');
    text.push_str(path);
    Some(text)
}

/// The format by parameter or header, and whether it is to be saved as a file.
pub(crate) fn format(
    parameters: &mut Parameters,
    headers: &HeaderMap,
) -> Result<(Format, bool), Problem> {
    let Some(name) = parameters.take("format") else {
        return Ok((negotiate::accepted(headers)?, false));
    };
    match Format::of_name(&name) {
        Some(format) => Ok((format, format != Format::Json)),
        None => {
            parameters.refuse("format", &name, "json, csv, ndjson or arrow");
            Ok((Format::Json, false))
        }
    }
}

/// A JSON answer that is not kept.
pub(crate) fn json<T: Serialize>(body: &T) -> Result<Response, Problem> {
    let mut response = match serde_json::to_vec(body) {
        Ok(bytes) => bytes.into_response(),
        Err(error) => return Err(Problem::internal(&error)),
    };
    let headers = response.headers_mut();
    let json = axum::http::HeaderValue::from_static("application/json");
    headers.insert(axum::http::header::CONTENT_TYPE, json);
    let no_store = axum::http::HeaderValue::from_static("no-store");
    headers.insert(axum::http::header::CACHE_CONTROL, no_store);
    Ok(response)
}

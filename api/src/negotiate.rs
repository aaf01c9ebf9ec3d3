//! Which format an answer has: by `format`, else by `Accept`.

use axum::http::{HeaderMap, header};
use questlake_engine::query::export::ExportFormat;

use crate::problem::{Kind, Problem};

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
    Arrow,
}

impl Format {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Csv, Self::Ndjson, Self::Arrow];

    /// Its name as a parameter and as the ending of a file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The engine's format, unless it is the API's own.
    pub(crate) fn export(self) -> Option<ExportFormat> {
        match self {
            Self::Json => None,
            Self::Csv => Some(ExportFormat::Csv),
            Self::Ndjson => Some(ExportFormat::Ndjson),
            Self::Arrow => Some(ExportFormat::ArrowStream),
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// How well a range of `Accept` fits it: 0 not at all, 1 by `*/*`, 2 by its type, 3 exactly.
    fn fits(self, range: &str) -> u8 {
        let names: &[&str] = match self {
            Self::Json => &["application/json"],
            Self::Csv => &["text/csv"],
            Self::Ndjson => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
            Self::Arrow => &["application/vnd.apache.arrow.stream"],
        };
        if names.iter().any(|name| name.eq_ignore_ascii_case(range)) {
            return 3;
        }
        let group = match self {
            Self::Csv => "text/*",
            _ => "application/*",
        };
        match range {
            "*/*" | "*" => 1,
            range if range.eq_ignore_ascii_case(group) => 2,
            _ => 0,
        }
    }
}

/// The format that the request's headers ask for. The order of [`Format::ALL`] decides where they leave a
/// choice.
pub(crate) fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
    let mut ranges: Vec<(&str, f32)> = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for part in value.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let Some(range) = pieces.next().filter(|range| !range.is_empty()) else { continue };
            let quality = pieces
                .find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")))
                .and_then(|text| text.parse::<f32>().ok())
                .unwrap_or(1.0);
            ranges.push((range, quality));
        }
    }
    if ranges.is_empty() {
        return Ok(Format::Json);
    }
    let mut best: Option<(Format, f32)> = None;
    for format in Format::ALL {
        // The most specific range that names the format says how much it is wanted.
        let fitting = ranges.iter().map(|(range, quality)| (format.fits(range), *quality));
        let Some((fit, quality)) = fitting.max_by_key(|(fit, _)| *fit) else { continue };
        if fit > 0 && quality > 0.0 && best.is_none_or(|(_, most)| quality > most) {
            best = Some((format, quality));
        }
    }
    // Browsers ask for pages first, and take anything else.
    best.map(|(format, _)| format).ok_or_else(|| {
        let types: Vec<&str> = Format::ALL.iter().map(|format| format.media_type()).collect();
        let detail = format!("rows are given as {}", types.join(", "));
        Problem::new(Kind::NotAcceptable, detail)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn format(accept: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        accepted(&headers).ok()
    }

    #[test]
    fn the_wanted_format_is_found() {
        assert_eq!(accepted(&HeaderMap::new()).ok(), Some(Format::Json));
        assert_eq!(format("*/*"), Some(Format::Json));
        assert_eq!(format("text/html,application/xhtml+xml,*/*;q=0.8"), Some(Format::Json));
        assert_eq!(format("text/csv"), Some(Format::Csv));
        assert_eq!(format("text/*"), Some(Format::Csv));
        assert_eq!(format("application/json;q=0.1, text/csv;q=0.9"), Some(Format::Csv));
        assert_eq!(format("application/json;q=0, */*"), Some(Format::Csv));
        assert_eq!(format("APPLICATION/VND.apache.arrow.stream"), Some(Format::Arrow));
        assert_eq!(format("application/x-ndjson"), Some(Format::Ndjson));
        assert_eq!(format("image/png"), None);
        assert_eq!(format("application/json;q=0"), None);
    }
}

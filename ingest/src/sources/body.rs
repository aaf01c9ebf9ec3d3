//! The body of a request as records: one JSON object, an array of them, or lines.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::split_lines;

/// Most records of one body. Each takes memory beside its bytes, and more if it is refused: a few
/// kilobytes of gzip may hold millions of them.
pub const MAX_RECORDS: usize = 100_000;

/// A body that cannot be cut into records.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// There is nothing in it.
    #[error("the body is empty; send one JSON object, an array of objects, or one object a line")]
    Empty,
    /// It is too long.
    #[error("the body has more than {limit} bytes; send it in parts")]
    TooLarge {
        /// Longest body, unpacked.
        limit: usize,
    },
    /// It holds too many records.
    #[error("the body has more than {MAX_RECORDS} records; send it in parts")]
    TooMany,
    /// It cannot be unpacked.
    #[error("the body is not valid gzip: {0}")]
    Gzip(String),
    /// It is compressed in another way.
    #[error("Content-Encoding `{0}` is not supported; use gzip or identity")]
    Encoding(String),
    /// It begins like an array but is none, so that its elements cannot be told apart.
    #[error("the body begins with `[` but is not a JSON array: {0}")]
    Array(String),
}

/// Unpacks a body by its `Content-Encoding`, to at most `limit` bytes; gzip also if nothing is said of
/// it, since no JSON begins so. Without a byte order mark at its start.
pub fn unpack(body: Bytes, encoding: Option<&str>, limit: usize) -> Result<Bytes, BodyError> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    let encoding = encoding.or_else(|| body.starts_with(GZIP).then_some("gzip"));
    let mut text = unpack_as(body, encoding, limit)?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text = text.slice(BYTE_ORDER_MARK.len()..);
    }
    Ok(text)
}

fn unpack_as(body: Bytes, encoding: Option<&str>, limit: usize) -> Result<Bytes, BodyError> {
    match encoding.map(str::trim) {
        None | Some("" | "identity") if body.len() > limit => Err(BodyError::TooLarge { limit }),
        None | Some("" | "identity") => Ok(body),
        Some("gzip" | "x-gzip") => {
            let mut unpacked = Vec::new();
            // One byte more than allowed tells a body that is too long from one that just fits.
            MultiGzDecoder::new(&body[..])
                .take(limit as u64 + 1)
                .read_to_end(&mut unpacked)
                .map_err(|error| BodyError::Gzip(error.to_string()))?;
            if unpacked.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            Ok(Bytes::from(unpacked))
        }
        Some(other) => Err(BodyError::Encoding(other.chars().take(64).collect())),
    }
}

/// Start and length of each record in a body. A record that is broken in itself is still a record:
/// it will be quarantined by itself.
pub fn split_body(body: &Bytes) -> Result<Vec<(u32, u32)>, BodyError> {
    let first = body.iter().position(|byte| !byte.is_ascii_whitespace()).ok_or(BodyError::Empty)?;
    if body[first] == b'[' {
        let mut elements = Elements { base: body.as_ptr() as usize, spans: Vec::new() };
        let mut text = serde_json::Deserializer::from_slice(body);
        let read = text.deserialize_seq(&mut elements).and_then(|()| text.end());
        return match read {
            Ok(()) => Ok(elements.spans),
            Err(_) if elements.spans.len() == MAX_RECORDS => Err(BodyError::TooMany),
            Err(error) => Err(BodyError::Array(error.to_string())),
        };
    }
    let trimmed = body[first..].trim_ascii_end();
    // One object over several lines is one record; anything else is lines.
    if memchr::memchr(b'\n', trimmed).is_none()
        || serde_json::from_slice::<&RawValue>(trimmed).is_ok()
    {
        return Ok(vec![(first as u32, trimmed.len() as u32)]);
    }
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if lines.take(MAX_RECORDS + 1).count() > MAX_RECORDS {
        return Err(BodyError::TooMany);
    }
    Ok(split_lines(body, 0, 0).iter().map(|span| (span.start, span.length)).collect())
}

/// Where the elements of an array lie in the text that begins at `base`.
struct Elements {
    base: usize,
    spans: Vec<(u32, u32)>,
}

impl<'de> Visitor<'de> for &mut Elements {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            if self.spans.len() == MAX_RECORDS {
                return Err(A::Error::custom("too many elements"));
            }
            let text = element.get();
            let start = text.as_ptr() as usize - self.base;
            self.spans.push((start as u32, text.len() as u32));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn records(body: &str) -> Result<Vec<String>, BodyError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let spans = split_body(&body)?;
        Ok(spans
            .into_iter()
            .map(|(start, length)| {
                let range = start as usize..(start + length) as usize;
                String::from_utf8_lossy(&body[range]).into_owned()
            })
            .collect())
    }

    #[test]
    fn objects_arrays_and_lines_are_told_apart() {
        assert_eq!(records(" {\"a\":1} \n").unwrap(), ["{\"a\":1}"]);
        assert_eq!(records("{\n  \"a\": 1\n}").unwrap(), ["{\n  \"a\": 1\n}"]);
        assert_eq!(records("[{\"a\":1}, 2,\n {}]").unwrap(), ["{\"a\":1}", "2", "{}"]);
        assert_eq!(records("[]").unwrap(), Vec::<String>::new());
        assert_eq!(records("{}\n\nbroken\r\n{}").unwrap(), ["{}", "broken", "{}"]);
        assert_eq!(records(" \n"), Err(BodyError::Empty));
        assert!(matches!(records("[{},"), Err(BodyError::Array(_))));
    }

    #[test]
    fn records_are_bounded_in_number() {
        let array = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert_eq!(records(&array(MAX_RECORDS)).unwrap().len(), MAX_RECORDS);
        assert_eq!(records(&array(MAX_RECORDS + 1)), Err(BodyError::TooMany));
        let lines = |count: usize| "{}\n\n \n".repeat(count);
        assert_eq!(records(&lines(MAX_RECORDS)).unwrap().len(), MAX_RECORDS);
        assert_eq!(records(&lines(MAX_RECORDS + 1)), Err(BodyError::TooMany));
        assert_eq!(records(&"\n".repeat(1 << 20)), Err(BodyError::Empty));
        assert!(matches!(records(&"[".repeat(1 << 20)), Err(BodyError::Array(_))));
        assert!(matches!(records("[1] 2"), Err(BodyError::Array(_))));
    }

    #[test]
    fn unpacking_is_bounded() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&[b' '; 100_000]).unwrap();
        let packed = Bytes::from(packer.finish().unwrap());
        assert_eq!(unpack(packed.clone(), Some("gzip"), 100_000).unwrap().len(), 100_000);
        let too_large = unpack(packed.clone(), Some("gzip"), 99_999);
        assert_eq!(too_large, Err(BodyError::TooLarge { limit: 99_999 }));
        let cut_off = unpack(packed.slice(..20), Some("gzip"), 100_000);
        assert!(matches!(cut_off, Err(BodyError::Gzip(_))), "{cut_off:?}");
        assert!(matches!(unpack(packed, Some("br"), 9), Err(BodyError::Encoding(_))));
    }
}

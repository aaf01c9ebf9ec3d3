//! Where a file's content is cut into batches: behind whole lines.

use std::io::Read;

use super::{BatchBounds, READ_BYTES};

/// Reads until the batch is full; returns whether the content has ended. A batch holds at least one
/// line: a line that is longer than a batch makes the batch longer.
pub(super) fn fill(
    content: &mut dyn Read,
    data: &mut Vec<u8>,
    bounds: BatchBounds,
) -> std::io::Result<bool> {
    let mut lines = memchr::memchr_iter(b'\n', data).count();
    loop {
        if lines >= bounds.records || (data.len() >= bounds.bytes && lines > 0) {
            return Ok(false);
        }
        let before = data.len();
        let read = content.take(READ_BYTES as u64).read_to_end(data)?;
        if read == 0 {
            return Ok(true);
        }
        lines += memchr::memchr_iter(b'\n', &data[before..]).count();
        if data.len() > i32::MAX as usize / 2 {
            return Err(std::io::Error::other(
                "it has a line of more than 1 GiB; is it newline-delimited JSON?",
            ));
        }
    }
}

/// Where the batch ends: behind the last whole line that its bounds allow, but behind the first one
/// at least. At the end of the content the last line needs no line feed.
pub(super) fn batch_end(data: &[u8], bounds: BatchBounds, at_end: bool) -> usize {
    let mut end = 0;
    let mut lines = 0;
    for line_feed in memchr::memchr_iter(b'\n', data) {
        if lines > 0 && line_feed >= bounds.bytes {
            return end;
        }
        end = line_feed + 1;
        lines += 1;
        if lines == bounds.records {
            return end;
        }
    }
    if at_end && (lines == 0 || data.len() <= bounds.bytes) { data.len() } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batches of a content, as the reader cuts them.
    fn batches(content: &str, records: usize, bytes: usize) -> Vec<String> {
        let bounds = BatchBounds { records, bytes };
        let mut content = content.as_bytes();
        let mut rest = Vec::new();
        let mut batches = Vec::new();
        loop {
            let mut data = std::mem::take(&mut rest);
            let at_end = fill(&mut content, &mut data, bounds).unwrap();
            rest = data.split_off(batch_end(&data, bounds, at_end));
            if !data.is_empty() {
                batches.push(String::from_utf8(data).unwrap());
            }
            if at_end && rest.is_empty() {
                return batches;
            }
        }
    }

    #[test]
    fn batches_hold_whole_lines_and_keep_to_their_bounds() {
        assert_eq!(batches("a\nb\nc\nd\ne", 2, 100), ["a\nb\n", "c\nd\n", "e"]);
        assert_eq!(batches("a\nb\nc\nd\n", 2, 100), ["a\nb\n", "c\nd\n"]);
        assert_eq!(batches("aa\nbb\ncc\n", 9, 6), ["aa\nbb\n", "cc\n"]);
        assert_eq!(batches("aa\nbb\ncc", 9, 7), ["aa\nbb\n", "cc"]);
        assert_eq!(batches("long line\nb\nc", 9, 4), ["long line\n", "b\nc"]);
        assert_eq!(batches("long line", 1, 4), ["long line"]);
        assert_eq!(batches("", 1, 4), Vec::<String>::new());
    }
}

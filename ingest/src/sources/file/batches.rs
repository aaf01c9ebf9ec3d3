//! Where a file's content is cut into batches: behind whole lines.

use std::io::{self, Read};

use super::{BatchBounds, ContentHash, READ_BYTES};

/// Why no more is read for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// It is full.
    Whole,
    /// The content has ended.
    AtEnd,
    /// Its last line is longer than any that is read as a whole.
    LongLine,
}

/// Reads until the batch is full. It holds at least one line: a line that is longer than a batch makes
/// the batch longer, up to `longest_line`.
pub(super) fn fill(
    content: &mut dyn Read,
    data: &mut Vec<u8>,
    bounds: BatchBounds,
    longest_line: usize,
) -> io::Result<Filled> {
    let mut lines = memchr::memchr_iter(b'\n', data).count();
    let mut last_line = memchr::memrchr(b'\n', data).map_or(0, |line_feed| line_feed + 1);
    loop {
        if lines >= bounds.records || (data.len() >= bounds.bytes && lines > 0) {
            return Ok(Filled::Whole);
        }
        if data.len() - last_line > longest_line {
            return Ok(Filled::LongLine);
        }
        let before = data.len();
        let read = content.take(READ_BYTES as u64).read_to_end(data)?;
        if read == 0 {
            return Ok(Filled::AtEnd);
        }
        lines += memchr::memchr_iter(b'\n', &data[before..]).count();
        if let Some(line_feed) = memchr::memrchr(b'\n', &data[before..]) {
            last_line = before + line_feed + 1;
        }
    }
}

/// Reads on to the end of a line without keeping it. Returns how many bytes that were, and what was read
/// behind them.
pub(super) fn pass_line(
    content: &mut dyn Read,
    hash: &mut ContentHash,
) -> io::Result<(usize, Vec<u8>)> {
    let mut passed = 0;
    let mut piece = Vec::with_capacity(READ_BYTES);
    loop {
        piece.clear();
        if content.take(READ_BYTES as u64).read_to_end(&mut piece)? == 0 {
            return Ok((passed, piece));
        }
        let end = memchr::memchr(b'\n', &piece).map_or(piece.len(), |line_feed| line_feed + 1);
        hash.update(&piece[..end]);
        passed += end;
        if piece[end - 1] == b'\n' {
            return Ok((passed, piece.split_off(end)));
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

/// Bytes behind the last line feed, at the end of a file, if they are the beginning of a JSON value and
/// not all of it: somebody is still writing there. Anything else is a line as it is.
pub(super) fn unfinished_line(data: &[u8]) -> usize {
    let line = match memchr::memrchr(b'\n', data) {
        Some(line_feed) => &data[line_feed + 1..],
        None => data,
    };
    let is_blank = line.iter().all(u8::is_ascii_whitespace);
    match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
        Err(error) if error.is_eof() && !is_blank => line.len(),
        _ => 0,
    }
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
            let at_end = fill(&mut content, &mut data, bounds, 100).unwrap() == Filled::AtEnd;
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

    #[test]
    fn of_a_long_line_only_the_beginning_is_read() {
        let long = "x".repeat(3 * READ_BYTES);
        let text = format!("a\n{long}\nb\n");
        let mut content = text.as_bytes();
        let bounds = BatchBounds { records: 9, bytes: 4 };
        let mut data = Vec::new();
        assert_eq!(fill(&mut content, &mut data, bounds, 100).unwrap(), Filled::Whole);
        let mut data = data.split_off(2);
        assert_eq!(fill(&mut content, &mut data, bounds, 100).unwrap(), Filled::LongLine);
        assert!(data.len() < 2 * READ_BYTES, "{}", data.len());
        let (mut hash, mut whole) = (ContentHash::new(), ContentHash::new());
        hash.update(b"a\n");
        hash.update(&data);
        let (passed, rest) = pass_line(&mut content, &mut hash).unwrap();
        assert_eq!(data.len() + passed, long.len() + 1);
        let mut rest = rest;
        content.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"b\n");
        whole.update(&text.as_bytes()[..text.len() - 2]);
        assert_eq!(hash.mark(), whole.mark());
    }

    #[test]
    fn only_the_beginning_of_a_value_is_unfinished() {
        let cut = "{\"a\": \"\u{e9}\"".as_bytes();
        assert_eq!(unfinished_line(b"{}\n{\"a\": [1, 2"), 11);
        // In the middle of a character.
        assert_eq!(unfinished_line(&cut[..cut.len() - 2]), 8);
        for whole in
            ["", "\n", "{}\n", "{}", "{}\n  ", "{}\n{\"a\": 1}\r", "no JSON", "{\"a\" 1", "[1]]"]
        {
            assert_eq!(unfinished_line(whole.as_bytes()), 0, "{whole}");
        }
    }
}

//! Cutting newline-delimited JSON into records.

use super::RecordSpan;

/// Cuts `data` into its lines: one [`RecordSpan`] for each line that is not blank.
///
/// `first_byte` is the position of `data[0]` in the file or stream that it was read from. A
/// record's offset is the position of the record's first byte there, so it names the same record
/// however the file is cut into batches. The line feed and a carriage return before it are not
/// part of a record; a UTF-8 byte order mark at position 0 is skipped. The last line needs no line
/// feed: give whole lines only, but for the end of the file.
///
/// Spans reach to 4 GiB; lines beyond are left out, so `data` must be shorter.
pub fn split_lines(data: &[u8], first_byte: i64, partition: i32) -> Vec<RecordSpan> {
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    let mut records = Vec::with_capacity(data.len() / 256);
    let mut start = if first_byte == 0 && data.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    for end in memchr::memchr_iter(b'\n', data).chain([data.len()]) {
        // The chained end of the data closes the last line, or an empty one behind a line feed.
        if start <= end {
            push_line(&mut records, data, start, end, (first_byte, partition));
        }
        start = end + 1;
    }
    records
}

fn push_line(
    records: &mut Vec<RecordSpan>,
    data: &[u8],
    start: usize,
    mut end: usize,
    (first_byte, partition): (i64, i32),
) {
    if end > start && data[end - 1] == b'\r' {
        end -= 1;
    }
    // Nearly every line starts with its object, so the search for a visible byte ends at once.
    let is_blank = !data[start..end].iter().any(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    if is_blank {
        return;
    }
    if let (Ok(span_start), Ok(length)) = (u32::try_from(start), u32::try_from(end - start)) {
        let offset = first_byte.saturating_add(i64::from(span_start));
        records.push(RecordSpan { start: span_start, length, partition, offset });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &[u8], first_byte: i64) -> Vec<(i64, &[u8])> {
        split_lines(data, first_byte, 3)
            .into_iter()
            .map(|span| {
                assert_eq!(span.partition, 3);
                let start = span.start as usize;
                (span.offset, &data[start..start + span.length as usize])
            })
            .collect()
    }

    #[test]
    fn offsets_are_byte_positions_in_the_stream() {
        assert_eq!(lines(b"ab\nc\n", 100), [(100, b"ab".as_slice()), (103, b"c")]);
        assert_eq!(lines(b"ab\nc", 0), [(0, b"ab".as_slice()), (3, b"c")]);
    }

    #[test]
    fn blank_lines_and_line_endings_are_not_records() {
        assert_eq!(lines(b"\r\n \t\n\na\r\n\n", 0), [(6, b"a".as_slice())]);
        assert_eq!(lines(b"", 0), []);
        assert_eq!(lines(b"\n", 0), []);
    }

    #[test]
    fn byte_order_mark_is_skipped_at_the_start_of_the_stream_only() {
        assert_eq!(lines(b"\xEF\xBB\xBFa\n", 0), [(3, b"a".as_slice())]);
        assert_eq!(lines(b"\xEF\xBB\xBFa\n", 7), [(7, b"\xEF\xBB\xBFa".as_slice())]);
        assert_eq!(lines(b"\xEF\xBB\xBF", 0), []);
    }
}

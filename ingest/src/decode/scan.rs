//! The smallest steps over JSON bytes: white space, strings, escapes.
//!
//! Positions are indices into `bytes`. The bytes are known to be UTF-8, so only quotes, backslashes
//! and control characters matter inside a string.

use super::fault::{Fault, Parsed};
use super::reason::RejectReason;

/// Where the content of a JSON string lies: in the source, or decoded in the arena if it has
/// escapes. Small enough for one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextSpan {
    start: u32,
    /// The uppermost bit tells texts in the arena.
    end: u32,
}

const IN_ARENA: u32 = 1 << 31;

impl TextSpan {
    /// Stands for a text that is not there.
    pub(super) const ABSENT: Self = Self { start: u32::MAX, end: u32::MAX };

    // A record has far less than 2 GiB, so its positions fit.
    #[inline(always)]
    fn in_source(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    fn in_arena(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 | IN_ARENA }
    }

    #[inline(always)]
    pub(super) fn is_absent(self) -> bool {
        self == Self::ABSENT
    }

    /// Whether the string has escapes.
    #[inline(always)]
    pub(super) fn has_escapes(self) -> bool {
        self.end & IN_ARENA != 0
    }

    #[inline(always)]
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    #[inline(always)]
    pub(super) fn end(self) -> usize {
        (self.end & !IN_ARENA) as usize
    }

    /// Number of bytes.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.end() - self.start()
    }

    /// What [`start`](Self::start) and [`end`](Self::end) are positions in.
    #[inline(always)]
    pub(super) fn source<'a>(self, bytes: &'a [u8], arena: &'a [u8]) -> &'a [u8] {
        if self.has_escapes() { arena } else { bytes }
    }

    /// The text itself, without quotes and escapes.
    #[inline(always)]
    pub(super) fn resolve<'a>(self, bytes: &'a [u8], arena: &'a [u8]) -> &'a [u8] {
        &self.source(bytes, arena)[self.start()..self.end()]
    }
}

/// Position of the first byte from `position` on that is not white space.
#[inline(always)]
pub(super) fn skip_whitespace(bytes: &[u8], mut position: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(position) {
        position += 1;
    }
    position
}

/// Position of the first quote, backslash or control character from `position` on.
#[inline(always)]
pub(super) fn find_special(bytes: &[u8], mut position: usize) -> usize {
    // Most strings end within one window, so that no branch depends on their length.
    while let Some(window) = bytes.get(position..).and_then(|rest| rest.first_chunk::<16>()) {
        let (words, _) = window.as_chunks::<8>();
        let flags = special_flags(words[0]) | special_flags(words[1]) << 8;
        if flags != 0 {
            return position + flags.trailing_zeros() as usize;
        }
        position += 16;
    }
    find_special_in_tail(bytes, position)
}

/// One bit for each of eight bytes. The lowest that is set is that of the first special byte;
/// those above it may be wrong.
#[inline(always)]
fn special_flags(bytes: [u8; 8]) -> u32 {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH_BITS: u64 = ONES * 0x80;
    /// Moves bit 7 of each byte into the uppermost byte.
    const GATHER: u64 = 0x0002_0408_1020_4081;
    let word = u64::from_le_bytes(bytes);
    // Subtracting sets the high bit of a byte that is smaller than what is subtracted. It also
    // borrows from the byte above, which may be flagged wrongly, but then is not the first.
    // Flipping bit 1 makes the quote, 0x22, the neighbour of the control characters.
    let is_quote_or_control = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let is_backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let flags = (is_quote_or_control | is_backslash) & !word & HIGH_BITS;
    (flags.wrapping_mul(GATHER) >> 56) as u32
}

#[cold]
#[inline(never)]
fn find_special_in_tail(bytes: &[u8], position: usize) -> usize {
    let tail = bytes.get(position..).unwrap_or_default();
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    position + tail.iter().position(is_special).unwrap_or(tail.len())
}

/// Reads the string whose content starts at `position`, behind its opening quote.
/// Returns its content and the position behind the closing quote.
#[inline(always)]
pub(super) fn read_string(
    bytes: &[u8],
    position: usize,
    arena: &mut Vec<u8>,
) -> Parsed<(TextSpan, usize)> {
    let end = find_special(bytes, position);
    if bytes.get(end) == Some(&b'"') {
        return Ok((TextSpan::in_source(position, end), end + 1));
    }
    read_escaped_string(bytes, position, arena)
}

#[cold]
#[inline(never)]
fn read_escaped_string(
    bytes: &[u8],
    mut position: usize,
    arena: &mut Vec<u8>,
) -> Parsed<(TextSpan, usize)> {
    let start = arena.len();
    loop {
        let special = find_special(bytes, position);
        arena.extend_from_slice(&bytes[position..special]);
        match bytes.get(special) {
            Some(b'"') => {
                return Ok((TextSpan::in_arena(start, arena.len()), special + 1));
            }
            Some(b'\\') => {
                let (character, next) = read_escape(bytes, special, Content::Checked)?;
                let mut buffer = [0; 4];
                arena.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                position = next;
            }
            _ => return Err(Fault::malformed(bytes, special, "the rest of a string")),
        }
    }
}

/// Passes the string whose content starts at `position`, with the checks of [`read_string`] but
/// without keeping it. Returns the position behind the closing quote.
#[inline]
pub(super) fn skip_string(bytes: &[u8], mut position: usize, content: Content) -> Parsed<usize> {
    loop {
        position = find_special(bytes, position);
        match bytes.get(position) {
            Some(b'"') => return Ok(position + 1),
            Some(b'\\') => (_, position) = read_escape(bytes, position, content)?,
            _ => return Err(Fault::malformed(bytes, position, "the rest of a string")),
        }
    }
}

/// How much of a string is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Grammar only.
    Grammar,
    /// Grammar, and what can be stored: no lone surrogates, no U+0000.
    Checked,
}

/// Reads the escape whose backslash is at `position`. Returns its character and what follows it.
fn read_escape(bytes: &[u8], position: usize, content: Content) -> Parsed<(char, usize)> {
    let character = match bytes.get(position + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return read_unicode_escape(bytes, position, content),
        _ => return Err(Fault::malformed(bytes, position + 1, "an escape such as \\n")),
    };
    Ok((character, position + 2))
}

fn read_unicode_escape(bytes: &[u8], position: usize, content: Content) -> Parsed<(char, usize)> {
    let first = read_hex(bytes, position + 2)?;
    let next = position + 6;
    if let Some(character) = char::from_u32(first) {
        if first == 0 && content == Content::Checked {
            return Err(Fault::new(
                RejectReason::NulCharacter,
                format!("a text has the character U+0000 at byte {position}"),
            ));
        }
        return Ok((character, next));
    }
    if first < 0xDC00 && bytes.get(next..next + 2) == Some(b"\\u") {
        let second = read_hex(bytes, next + 2)?;
        if (0xDC00..0xE000).contains(&second) {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            return Ok((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), next + 6));
        }
    }
    match content {
        // The second escape, if there is one, is then read on its own.
        Content::Grammar => Ok((char::REPLACEMENT_CHARACTER, next)),
        Content::Checked => Err(Fault::new(
            RejectReason::LoneSurrogate,
            format!("\\u{first:04x} at byte {position} is half of a surrogate pair"),
        )),
    }
}

fn read_hex(bytes: &[u8], position: usize) -> Parsed<u32> {
    let mut value = 0;
    for index in position..position + 4 {
        let digit = bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        match digit {
            Some(digit) => value = value * 16 + digit,
            None => return Err(Fault::malformed(bytes, index, "four hexadecimal digits")),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<String, RejectReason> {
        let mut arena = Vec::new();
        let (span, end) = read_string(text.as_bytes(), 1, &mut arena).map_err(|f| f.reason)?;
        assert_eq!(end, text.len());
        assert_eq!(skip_string(text.as_bytes(), 1, Content::Checked).ok(), Some(end));
        Ok(String::from_utf8(span.resolve(text.as_bytes(), &arena).to_vec()).unwrap())
    }

    #[test]
    fn every_byte_is_told_special_or_not() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for other in [b'a', 0x7F, 0x80, 0xFF, b'#', b'!', b']', b'['] {
                    let mut window = [other; 8];
                    window[at] = byte;
                    let is_special = byte == b'"' || byte == b'\\' || byte < 0x20;
                    let flags = special_flags(window);
                    assert_eq!(flags != 0, is_special, "{window:?}");
                    if is_special {
                        assert_eq!(flags.trailing_zeros() as usize, at, "{window:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn strings_of_every_length_end_at_their_quote() {
        for length in 0..70 {
            let text = format!("\"{}\"", "é".repeat(length));
            assert_eq!(decoded(&text), Ok("é".repeat(length)));
        }
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decoded(r#""a\n\"\\\/\u00e9\ud83d\ude00z""#), Ok("a\n\"\\/é😀z".to_owned()));
    }

    #[test]
    fn bad_strings_are_refused_with_their_reason() {
        use RejectReason::{LoneSurrogate, MalformedJson, NulCharacter};
        for (text, reason) in [
            (r#""\ud83d""#, LoneSurrogate),
            (r#""\ud83d\u0041""#, LoneSurrogate),
            (r#""\ude00\ud83d""#, LoneSurrogate),
            (r#""\u0000""#, NulCharacter),
            (r#""\x""#, MalformedJson),
            (r#""\u12g4""#, MalformedJson),
            (r#""\u+123""#, MalformedJson),
            ("\"a\tb\"", MalformedJson),
            ("\"open", MalformedJson),
            ("\"open\\", MalformedJson),
        ] {
            assert_eq!(decoded(text), Err(reason), "{text}");
            let skipped = skip_string(text.as_bytes(), 1, Content::Checked);
            assert_eq!(skipped.map_err(|f| f.reason), Err(reason), "{text}");
            let grammar = skip_string(text.as_bytes(), 1, Content::Grammar);
            assert_eq!(grammar.is_ok(), reason != MalformedJson, "{text}");
        }
    }
}

//! The decoder's own error: what is wrong with the record at hand, in words for a person.

use super::reason::RejectReason;

/// Longest piece of a record that a message repeats, in characters.
const ECHO_CHARS: usize = 64;

/// Why parsing a record stopped.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reason: RejectReason,
    pub(super) detail: String,
}

/// Result of a parsing step. The fault is boxed so that the good case stays in registers.
pub(super) type Parsed<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    #[inline(never)]
    pub(super) fn new(reason: RejectReason, detail: String) -> Box<Self> {
        Box::new(Self { reason, detail })
    }

    /// Puts the name of the field in front of the detail.
    #[cold]
    #[inline(never)]
    pub(super) fn at_field(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.detail = format!("{field}: {}", self.detail);
        self
    }

    /// The bytes at `position` are not what JSON allows there.
    #[cold]
    #[inline(never)]
    pub(super) fn malformed(bytes: &[u8], position: usize, expected: &str) -> Box<Self> {
        let found = match bytes.get(position..).unwrap_or_default() {
            [] => "the record ends".to_owned(),
            [byte, ..] if *byte < 0x20 => format!("found the control character 0x{byte:02x}"),
            rest => {
                // Enough bytes for one character, whatever its length.
                let text = String::from_utf8_lossy(&rest[..rest.len().min(4)]);
                format!("found {:?}", text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER))
            }
        };
        Self::new(
            RejectReason::MalformedJson,
            format!("expected {expected}, but {found} at byte {position}"),
        )
    }

    /// The value at `position` has another JSON type than `expected`.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong_type(bytes: &[u8], position: usize, expected: &str) -> Box<Self> {
        match describe_value(bytes, position) {
            Some(found) => Self::new(
                RejectReason::WrongType,
                format!("expected {expected}, found {found} at byte {position}"),
            ),
            None => Self::malformed(bytes, position, "a JSON value"),
        }
    }
}

/// The value that starts at `position` in words, or `None` where no JSON value starts.
fn describe_value(bytes: &[u8], position: usize) -> Option<String> {
    let rest = bytes.get(position..)?;
    match rest.first()? {
        b'{' => Some("an object".to_owned()),
        b'[' => Some("an array".to_owned()),
        b't' if rest.starts_with(b"true") => Some("true".to_owned()),
        b'f' if rest.starts_with(b"false") => Some("false".to_owned()),
        b'n' if rest.starts_with(b"null") => Some("null".to_owned()),
        b'"' => {
            let mut length = 1;
            while let Some(byte) = rest.get(length) {
                match byte {
                    b'"' => break,
                    b'\\' => length += 2,
                    _ => length += 1,
                }
            }
            Some(format!("the string \"{}\"", echo(&rest[1..length.min(rest.len())])))
        }
        b'-' | b'0'..=b'9' => {
            let is_part =
                |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            let length = rest.iter().take_while(|byte| is_part(byte)).count();
            Some(format!("the number {}", echo(&rest[..length])))
        }
        _ => None,
    }
}

/// `bytes` as text for a message: bounded, and without control characters.
pub(super) fn echo(bytes: &[u8]) -> String {
    // Four bytes make at least one character, so this prefix holds all that is shown.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(ECHO_CHARS * 4 + 4)]);
    let mut shown = String::new();
    for (count, character) in head.chars().enumerate() {
        if count == ECHO_CHARS {
            shown.push('…');
            break;
        }
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_are_bounded_and_printable() {
        assert_eq!(echo(b"abc"), "abc");
        assert_eq!(echo(b"a\nb"), "a\\nb");
        let long = echo("é".repeat(500).as_bytes());
        assert_eq!(long.chars().count(), ECHO_CHARS + 1);
    }

    #[test]
    fn values_are_described_in_words() {
        let describe = |text: &str| describe_value(text.as_bytes(), 0);
        assert_eq!(describe("\"a\\\"b\" ,").as_deref(), Some("the string \"a\\\"b\""));
        assert_eq!(describe("-1.5e3,").as_deref(), Some("the number -1.5e3"));
        assert_eq!(describe("[1]").as_deref(), Some("an array"));
        assert_eq!(describe("\"open\\").as_deref(), Some("the string \"open\\\""));
        assert_eq!(describe("nul"), None);
    }
}

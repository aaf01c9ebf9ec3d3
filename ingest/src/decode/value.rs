//! Passing over a JSON value of any kind while checking it.

use super::fault::{Fault, Parsed};
use super::number::{read_number, starts_number};
use super::reason::RejectReason;
use super::scan::{Content, TextSpan, read_string, skip_string, skip_whitespace};

/// Objects up to this size are compared key by key, larger ones by sorting their keys.
const FEW_KEYS: usize = 16;

/// Checks values, and keeps the memory for it.
///
/// Nothing recurses, so that nesting costs no stack; and keys of large objects are sorted, so that
/// no input takes quadratic time.
#[derive(Debug, Default)]
pub(super) struct ValueChecker {
    /// The open objects and arrays, outermost first.
    open: Vec<Container>,
    /// Keys of the open objects so far, those of the innermost object last.
    keys: Vec<TextSpan>,
    /// Decoded content of keys with escapes.
    arena: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Container {
    Array,
    /// Where the object's keys begin in `keys`, and its decoded keys in `arena`.
    Object {
        first_key: usize,
        arena_start: usize,
    },
}

impl ValueChecker {
    /// Checks the value that starts at `position` and returns the position behind it.
    ///
    /// `depth` is how many more levels of objects and arrays are allowed. With
    /// [`Content::Checked`] keys must be unique in their object, and texts storable.
    #[inline]
    pub(super) fn skip_value(
        &mut self,
        bytes: &[u8],
        position: usize,
        depth: usize,
        content: Content,
    ) -> Parsed<usize> {
        match bytes.get(position) {
            Some(b'"') => skip_string(bytes, position + 1, content),
            Some(b'{' | b'[') => self.skip_container(bytes, position, depth, content),
            _ => skip_scalar(bytes, position),
        }
    }

    fn skip_container(
        &mut self,
        bytes: &[u8],
        mut position: usize,
        depth: usize,
        content: Content,
    ) -> Parsed<usize> {
        self.open.clear();
        self.keys.clear();
        self.arena.clear();
        loop {
            // A value starts here.
            match bytes.get(position) {
                Some(opening @ (b'{' | b'[')) => {
                    if self.open.len() >= depth {
                        return Err(Fault::new(
                            RejectReason::TooDeep,
                            format!("objects and arrays are nested too deeply at byte {position}"),
                        ));
                    }
                    let is_object = *opening == b'{';
                    self.open.push(match is_object {
                        true => Container::Object {
                            first_key: self.keys.len(),
                            arena_start: self.arena.len(),
                        },
                        false => Container::Array,
                    });
                    position = skip_whitespace(bytes, position + 1);
                    match (is_object, bytes.get(position)) {
                        // The end of an empty container is handled as any other end, below.
                        (true, Some(b'}')) | (false, Some(b']')) => {}
                        (true, _) => {
                            position = self.read_key(bytes, position, content)?;
                            continue;
                        }
                        (false, _) => continue,
                    }
                }
                Some(b'"') => position = skip_string(bytes, position + 1, content)?,
                _ => position = skip_scalar(bytes, position)?,
            }
            // A value has ended: close what ends with it, until another value starts.
            loop {
                position = skip_whitespace(bytes, position);
                let Some(container) = self.open.last() else {
                    return Ok(position);
                };
                match (*container, bytes.get(position)) {
                    (Container::Array, Some(b']')) => {}
                    (Container::Object { first_key, arena_start }, Some(b'}')) => {
                        if content == Content::Checked {
                            check_unique(&mut self.keys[first_key..], bytes, &self.arena)?;
                        }
                        self.keys.truncate(first_key);
                        self.arena.truncate(arena_start);
                    }
                    (Container::Array, Some(b',')) => {
                        position = skip_whitespace(bytes, position + 1);
                        break;
                    }
                    (Container::Object { .. }, Some(b',')) => {
                        position = skip_whitespace(bytes, position + 1);
                        position = self.read_key(bytes, position, content)?;
                        break;
                    }
                    (Container::Array, _) => {
                        return Err(Fault::malformed(bytes, position, "a comma or ]"));
                    }
                    (Container::Object { .. }, _) => {
                        return Err(Fault::malformed(bytes, position, "a comma or }"));
                    }
                }
                position += 1;
                self.open.pop();
                if self.open.is_empty() {
                    return Ok(position);
                }
            }
        }
    }

    /// Reads a key and its colon. Returns where the key's value starts.
    fn read_key(&mut self, bytes: &[u8], position: usize, content: Content) -> Parsed<usize> {
        if bytes.get(position) != Some(&b'"') {
            return Err(Fault::malformed(bytes, position, "a key in quotes"));
        }
        let end = match content {
            Content::Grammar => skip_string(bytes, position + 1, content)?,
            Content::Checked => {
                let (key, end) = read_string(bytes, position + 1, &mut self.arena)?;
                self.keys.push(key);
                end
            }
        };
        read_colon(bytes, end)
    }
}

/// Passes the colon behind a key. Returns where the key's value starts.
#[inline]
pub(super) fn read_colon(bytes: &[u8], position: usize) -> Parsed<usize> {
    let colon = skip_whitespace(bytes, position);
    if bytes.get(colon) != Some(&b':') {
        return Err(Fault::malformed(bytes, colon, "a colon"));
    }
    Ok(skip_whitespace(bytes, colon + 1))
}

#[inline]
fn skip_scalar(bytes: &[u8], position: usize) -> Parsed<usize> {
    let Some(first) = bytes.get(position) else {
        return Err(Fault::malformed(bytes, position, "a JSON value"));
    };
    if starts_number(*first) {
        return Ok(read_number(bytes, position)?.end);
    }
    for literal in ["true", "false", "null"] {
        if is_literal(bytes, position, literal) {
            return Ok(position + literal.len());
        }
    }
    Err(Fault::malformed(bytes, position, "a JSON value"))
}

/// Whether `literal` stands at `position`.
#[inline(always)]
pub(super) fn is_literal(bytes: &[u8], position: usize, literal: &str) -> bool {
    bytes.get(position..position + literal.len()) == Some(literal.as_bytes())
}

/// Checks that no key stands twice. The order of `keys` is lost.
pub(super) fn check_unique(keys: &mut [TextSpan], bytes: &[u8], arena: &[u8]) -> Parsed<()> {
    let text = |key: &TextSpan| key.resolve(bytes, arena);
    if keys.len() <= FEW_KEYS {
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|earlier| text(earlier) == text(key)) {
                return Err(duplicate_key(text(key)));
            }
        }
        return Ok(());
    }
    keys.sort_unstable_by(|left, right| text(left).cmp(text(right)));
    for pair in keys.windows(2) {
        if text(&pair[0]) == text(&pair[1]) {
            return Err(duplicate_key(text(&pair[1])));
        }
    }
    Ok(())
}

/// The fault of a key that stands twice in its object.
#[cold]
#[inline(never)]
pub(super) fn duplicate_key(key: &[u8]) -> Box<Fault> {
    let key = super::fault::echo(key);
    Fault::new(RejectReason::DuplicateKey, format!("the key \"{key}\" stands twice in one object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, depth: usize) -> Result<(), RejectReason> {
        let mut checker = ValueChecker::default();
        let end = checker
            .skip_value(text.as_bytes(), 0, depth, Content::Checked)
            .map_err(|fault| fault.reason)?;
        if end == text.len() { Ok(()) } else { Err(RejectReason::MalformedJson) }
    }

    #[test]
    fn values_are_checked_strictly() {
        for text in [
            "1",
            "\"a\"",
            "true",
            "null",
            "{}",
            "[]",
            "[ ]",
            "{ }",
            "[[],{}]",
            "{\"a\":[1,{\"b\":2}]}",
            "[1 , 2]",
            "{ \"a\" : 1 , \"b\" : { } }",
        ] {
            assert_eq!(check(text, 128), Ok(()), "{text}");
        }
        for text in [
            "",
            "tru",
            "nul",
            "NaN",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1",
            "{",
            "[}",
            "{]",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "]",
            "1 2",
            "01",
            "[1]]",
        ] {
            assert_eq!(check(text, 128), Err(RejectReason::MalformedJson), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(5), 5), Ok(()));
        assert_eq!(check(&nested(6), 5), Err(RejectReason::TooDeep));
        assert_eq!(check(&"[".repeat(1_000_000), 128), Err(RejectReason::TooDeep));
    }

    #[test]
    fn keys_are_unique_after_unescaping() {
        assert_eq!(check(r#"{"a":1,"b":{"a":2}}"#, 9), Ok(()));
        assert_eq!(check(r#"[{"a":1,"a":2}]"#, 9), Err(RejectReason::DuplicateKey));
        assert_eq!(check(r#"{"a":1,"\u0061":2}"#, 9), Err(RejectReason::DuplicateKey));
        let many: Vec<String> = (0..100).map(|key| format!("\"{key}\":{{}}")).collect();
        assert_eq!(check(&format!("{{{}}}", many.join(",")), 9), Ok(()));
        assert_eq!(
            check(&format!("{{{},\"50\":1}}", many.join(",")), 9),
            Err(RejectReason::DuplicateKey)
        );
    }
}

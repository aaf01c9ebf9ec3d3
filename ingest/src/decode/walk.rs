//! Going from field to field through an object.

use super::fault::{Fault, Parsed};
use super::scan::{TextSpan, read_string, skip_whitespace};
use super::value::read_colon;

/// What comes next in an object.
pub(super) enum NextKey {
    /// The object ends; the position is behind its brace.
    End(usize),
    /// Another field.
    Key {
        /// Its name without escapes.
        name: TextSpan,
        /// Its name in the source, between the quotes.
        source_name: (usize, usize),
        /// Where its value starts.
        value: usize,
    },
}

/// Reads on from `position`, which is behind the opening brace or behind a value.
#[inline(never)]
pub(super) fn next_key(
    bytes: &[u8],
    position: usize,
    is_first: bool,
    arena: &mut Vec<u8>,
) -> Parsed<NextKey> {
    let mut position = skip_whitespace(bytes, position);
    match bytes.get(position) {
        Some(b'}') => return Ok(NextKey::End(position + 1)),
        Some(b',') if !is_first => position = skip_whitespace(bytes, position + 1),
        _ if is_first => {}
        _ => return Err(Fault::malformed(bytes, position, "a comma or }")),
    }
    if bytes.get(position) != Some(&b'"') {
        return Err(Fault::malformed(bytes, position, "a key in quotes"));
    }
    let start = position + 1;
    let (name, end) = read_string(bytes, start, arena)?;
    Ok(NextKey::Key { name, source_name: (start, end - 1), value: read_colon(bytes, end)? })
}

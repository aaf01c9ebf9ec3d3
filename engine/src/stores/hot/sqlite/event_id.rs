//! Event identifiers as they are stored: canonical UUIDs as 16 bytes, any other as its text.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// An event identifier in its stored form, without allocation.
pub(super) enum StoredId<'a> {
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> StoredId<'a> {
    pub(super) fn new(event_id: &'a str) -> Self {
        match parse_uuid(event_id.as_bytes()) {
            Some(bytes) => Self::Uuid(bytes),
            None => Self::Text(event_id),
        }
    }
}

impl ToSql for StoredId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The 16 bytes of a canonical (lower-case, hyphenated) UUID; other spellings are other
/// identifiers and stay text.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0_u8; 16];
    let mut position = 0;
    for byte in &mut bytes {
        if matches!(position, 8 | 13 | 18 | 23) {
            if text[position] != b'-' {
                return None;
            }
            position += 1;
        }
        *byte = (hex_digit(text[position])? << 4) | hex_digit(text[position + 1])?;
        position += 2;
    }
    Some(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The text of a stored identifier.
pub(super) fn format_event_id(value: Value) -> String {
    match value {
        Value::Blob(bytes) if bytes.len() == 16 => {
            let mut text = String::with_capacity(36);
            for (index, byte) in bytes.iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    text.push('-');
                }
                text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('?'));
                text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('?'));
            }
            text
        }
        Value::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_uuids_become_bytes() {
        let uuid = "0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6f7";
        let bytes = parse_uuid(uuid.as_bytes()).unwrap();
        assert_eq!(format_event_id(Value::Blob(bytes.to_vec())), uuid);
        for other in [
            "0190A1B2-c3d4-7e5f-8091-a2b3c4d5e6f7",
            "0190a1b2c3d47e5f8091a2b3c4d5e6f7",
            "",
            "0190a1b2-c3d4-7e5f-8091-a2b3c4d5e6fg",
            "0190a1b2-c3d4-7e5f-8091a-2b3c4d5e6f7",
        ] {
            assert_eq!(parse_uuid(other.as_bytes()), None, "{other}");
        }
    }
}

//! JSON by hand: the pieces of an event, appended to reused buffers without an allocation each.
//!
//! Keys and texts are written as they are: callers pass them in the form that they have inside a
//! JSON string, with escapes.

use super::DAY_MS;
use super::player::PlayerId;

/// Two hexadecimal digits for each byte.
const HEX: [[u8; 2]; 256] = hex_table();

const fn hex_table() -> [[u8; 2]; 256] {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
}

/// The members of one event's `properties`, without the braces.
#[derive(Debug, Default)]
pub(super) struct Properties {
    bytes: Vec<u8>,
}

impl Properties {
    /// Forgets the members of the last event.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The members, separated by commas.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A text, given as it stands inside a JSON string.
    #[inline]
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'"');
    }

    /// An integer.
    #[inline]
    pub(super) fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        write_integer(&mut self.bytes, value);
    }

    /// `true` or `false`.
    #[inline]
    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A number with `digits` digits after the point, given without the point: `fraction(k, 499, 2)`
    /// is `4.99`. Must not be negative.
    #[inline]
    pub(super) fn fraction(&mut self, key: &str, value: i64, digits: u32) {
        self.key(key);
        write_fraction(&mut self.bytes, value, digits);
    }

    /// 16 hexadecimal digits as a text.
    #[inline]
    pub(super) fn hex(&mut self, key: &str, prefix: &str, value: u64) {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(prefix.as_bytes());
        write_hex(&mut self.bytes, value);
        self.bytes.push(b'"');
    }

    /// Another player.
    #[inline]
    pub(super) fn player(&mut self, key: &str, player: PlayerId) {
        self.hex(key, PlayerId::PREFIX, player.0);
    }

    /// A point in time, RFC 3339 with milliseconds.
    pub(super) fn timestamp(&mut self, key: &str, epoch_ms: i64, dates: &mut DateText) {
        self.key(key);
        self.bytes.push(b'"');
        dates.write_timestamp(&mut self.bytes, epoch_ms);
        self.bytes.push(b'"');
    }

    /// A day.
    pub(super) fn date(&mut self, key: &str, epoch_ms: i64, dates: &mut DateText) {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(&dates.of(epoch_ms.div_euclid(DAY_MS)));
        self.bytes.push(b'"');
    }

    /// Any JSON value, given as JSON.
    pub(super) fn json(&mut self, key: &str, value: &str) {
        self.key(key);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    #[inline]
    fn key(&mut self, key: &str) {
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }
}

/// Appends an integer in decimal digits.
#[inline]
pub(super) fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number that is not negative, with `digits` (1 to 9) digits after the point.
pub(super) fn write_fraction(out: &mut Vec<u8>, value: i64, digits: u32) {
    let scale = 10_i64.pow(digits);
    write_integer(out, value / scale);
    out.push(b'.');
    let mut unit = scale / 10;
    let mut rest = value % scale;
    while unit > 0 {
        out.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

/// Appends 16 hexadecimal digits.
#[inline]
pub(super) fn write_hex(out: &mut Vec<u8>, value: u64) {
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        pair.copy_from_slice(&HEX[usize::from(byte)]);
    }
    out.extend_from_slice(&text);
}

/// Appends a UUID of version 7 (RFC 9562): 48 bits of time, then 74 random bits.
#[inline]
pub(super) fn write_event_id(out: &mut Vec<u8>, epoch_ms: i64, random: [u64; 2]) {
    let high = ((epoch_ms as u64) << 16) | 0x7000 | (random[0] & 0x0fff);
    let low = (random[1] & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    let mut text = [b'-'; 36];
    let mut position = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            position += 1;
        }
        text[position..position + 2].copy_from_slice(&HEX[usize::from(*byte)]);
        position += 2;
    }
    out.extend_from_slice(&text);
}

/// Writes days as `YYYY-MM-DD` and remembers the last one, since neighbours mostly share it.
#[derive(Debug)]
pub(super) struct DateText {
    day: i64,
    text: [u8; 10],
}

impl DateText {
    pub(super) fn new() -> Self {
        Self { day: 0, text: *b"1970-01-01" }
    }

    /// Text of a day, given in days since 1970-01-01.
    #[inline]
    pub(super) fn of(&mut self, day: i64) -> [u8; 10] {
        if day != self.day {
            self.day = day;
            self.text = date_text(day);
        }
        self.text
    }

    /// Appends a point in time as `YYYY-MM-DDThh:mm:ss.mmmZ`.
    #[inline]
    pub(super) fn write_timestamp(&mut self, out: &mut Vec<u8>, epoch_ms: i64) {
        let date = self.of(epoch_ms.div_euclid(DAY_MS));
        let ms = epoch_ms.rem_euclid(DAY_MS) as u32;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..10].copy_from_slice(&date);
        two_digits(&mut text[11..13], ms / 3_600_000);
        two_digits(&mut text[14..16], ms / 60_000 % 60);
        two_digits(&mut text[17..19], ms / 1_000 % 60);
        let thousandths = ms % 1_000;
        text[20] = b'0' + (thousandths / 100) as u8;
        two_digits(&mut text[21..23], thousandths % 100);
        out.extend_from_slice(&text);
    }
}

#[inline]
fn two_digits(place: &mut [u8], value: u32) {
    place[0] = b'0' + (value / 10) as u8;
    place[1] = b'0' + (value % 10) as u8;
}

/// A day since 1970-01-01 as `YYYY-MM-DD`, for the years 0 to 9999.
pub(super) fn date_text(day: i64) -> [u8; 10] {
    use chrono::Datelike;
    let mut text = *b"0000-00-00";
    let date = i32::try_from(day).ok().and_then(chrono::NaiveDate::from_epoch_days);
    if let Some(date) = date {
        let year = date.year().clamp(0, 9_999).unsigned_abs();
        two_digits(&mut text[0..2], year / 100);
        two_digits(&mut text[2..4], year % 100);
        two_digits(&mut text[5..7], date.month());
        two_digits(&mut text[8..10], date.day());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fractions_keep_all_their_digits() {
        assert_eq!(text(|out| write_fraction(out, 499, 2)), "4.99");
        assert_eq!(text(|out| write_fraction(out, 5, 2)), "0.05");
        assert_eq!(text(|out| write_fraction(out, 1_500, 6)), "0.001500");
        assert_eq!(text(|out| write_fraction(out, 12_000_000, 6)), "12.000000");
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        let mut dates = DateText::new();
        let mut stamp = |ms| text(|out| dates.write_timestamp(out, ms));
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(1_767_225_599_009), "2025-12-31T23:59:59.009Z");
        assert_eq!(stamp(1_709_164_800_120), "2024-02-29T00:00:00.120Z");
        assert_eq!(stamp(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn event_ids_are_uuids_of_version_7_in_order_of_time() {
        let id = |ms| text(|out| write_event_id(out, ms, [u64::MAX, 0]));
        assert_eq!(id(0x0123_4567_89ab), "01234567-89ab-7fff-8000-000000000000");
        assert!(id(1_000) < id(1_001));
    }

    #[test]
    fn properties_are_json_members() {
        let mut properties = Properties::default();
        let mut dates = DateText::new();
        properties.text("name", "Zo\\u00eb");
        properties.integer("count", -3);
        properties.boolean("done", true);
        properties.fraction("price", 199, 2);
        properties.hex("id", "x", 0xabc);
        properties.timestamp("at", 1, &mut dates);
        properties.date("day", DAY_MS, &mut dates);
        properties.json("more", "[1]");
        let json = format!("{{{}}}", String::from_utf8_lossy(properties.as_bytes()));
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["name"], "Zoë");
        assert_eq!(parsed["count"], -3);
        assert_eq!(parsed["price"], 1.99);
        assert_eq!(parsed["id"], "x0000000000000abc");
        assert_eq!(parsed["at"], "1970-01-01T00:00:00.001Z");
        assert_eq!(parsed["day"], "1970-01-02");
        properties.clear();
        assert!(properties.as_bytes().is_empty());
    }
}

//! Sizes and lengths of time as people write them: `512MiB`, `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Bytes in a kibibyte.
pub(super) const KIB: u64 = 1 << 10;
/// Bytes in a mebibyte.
pub(super) const MIB: u64 = 1 << 20;
/// Bytes in a gibibyte.
pub(super) const GIB: u64 = 1 << 30;
/// Bytes in a tebibyte.
pub(super) const TIB: u64 = 1 << 40;

/// Units of sizes in bytes, largest first.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", TIB),
    ("TB", 1_000_000_000_000),
    ("GiB", GIB),
    ("GB", 1_000_000_000),
    ("MiB", MIB),
    ("MB", 1_000_000),
    ("KiB", KIB),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of time in microseconds, largest first.
const TIME_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A number of bytes. Parses from and displays as `512MiB`, `1GB` or plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of this many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes for sizes in memory; the largest possible one where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    /// Parses a whole number with an optional unit (`B`, `kB`, `KiB`, … `TiB`, in any case).
    /// The error says what is wrong.
    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_number(text.trim())?;
        let unit = unit.trim();
        let factor = if unit.is_empty() {
            1
        } else if let Some((_, factor)) =
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))
        {
            *factor
        } else {
            return Err(match unit.to_ascii_uppercase().as_str() {
                // Powers of two to some programs and of ten to others.
                letter @ ("K" | "M" | "G" | "T") => {
                    let letters = (format!("{letter}iB"), format!("{letter}B"));
                    format!("write `{digits}{}` or `{digits}{}`", letters.0, letters.1)
                }
                _ => format!("`{unit}` is not a unit of size; use B, kB, KiB, MB, MiB, GB, GiB"),
            });
        };
        let number: u64 = digits.parse().map_err(|_| "the number is too large".to_string())?;
        let bytes = number.checked_mul(factor).ok_or("the size is too large")?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    /// Writes the size exactly, in the unit that takes the smallest number.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match exact {
            Some((_, 1)) | None => write!(formatter, "{}", self.0),
            Some((unit, factor)) => write!(formatter, "{}{unit}", self.0 / factor),
        }
    }
}

/// Parses a length of time: whole numbers with units `d`, `h`, `m`, `s`, `ms`, `us`, largest first,
/// such as `200ms` or `1h30m`; a plain `0` needs no unit. The error says what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut microseconds = 0u64;
    let mut units_left = TIME_UNITS;
    loop {
        let (digits, after) = split_number(rest)?;
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("`{digits}` needs a unit: ms, s, m, h or d"));
        }
        let Some(position) = units_left.iter().position(|(name, _)| *name == unit) else {
            return Err(if TIME_UNITS.iter().any(|(name, _)| *name == unit) {
                format!("the unit `{unit}` does not belong behind the one before it")
            } else {
                format!("`{unit}` is not a unit of time; use ms, s, m, h or d")
            });
        };
        let number: u64 = digits.parse().map_err(|_| "the number is too large".to_string())?;
        microseconds = number
            .checked_mul(units_left[position].1)
            .and_then(|part| microseconds.checked_add(part))
            .ok_or("the time is too long")?;
        units_left = &units_left[position + 1..];
        rest = next.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_micros(microseconds));
        }
    }
}

/// Writes a length of time so that [`parse_duration`] reads it back: `1h30m`. Exact to the
/// microsecond; anything finer is cut off.
pub fn format_duration(duration: Duration) -> String {
    // The type holds more seconds than microseconds fit into 64 bits.
    let mut microseconds = duration.as_micros();
    if microseconds == 0 {
        return "0".to_string();
    }
    let mut text = String::new();
    for (unit, factor) in TIME_UNITS {
        let number = microseconds / u128::from(*factor);
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
            microseconds %= u128::from(*factor);
        }
    }
    text
}

/// Splits a text behind its leading digits.
fn split_number(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Err("it does not begin with a number".to_string());
    }
    let (digits, rest) = text.split_at(end);
    if rest.starts_with(['.', ',']) {
        return Err("the number must be whole; use a smaller unit".to_string());
    }
    Ok((digits, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(text: &str) -> Result<u64, String> {
        text.parse::<ByteSize>().map(ByteSize::bytes)
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1048576"), Ok(1_048_576));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
        assert_eq!(size(" 64 kib "), Ok(65_536));
        assert_eq!(size("7B"), Ok(7));
    }

    #[test]
    fn sizes_that_are_unclear_are_refused() {
        assert_eq!(size("512M").unwrap_err(), "write `512MiB` or `512MB`");
        assert_eq!(size("8k").unwrap_err(), "write `8KiB` or `8KB`");
        assert!(size("1.5GiB").unwrap_err().contains("whole"));
        assert!(size("12 parsecs").unwrap_err().contains("`parsecs` is not a unit"));
        assert!(size("-1").is_err());
        assert!(size("").is_err());
        assert_eq!(size("99999999TiB").unwrap_err(), "the size is too large");
        assert!(size("99999999999999999999").is_err());
    }

    #[test]
    fn sizes_are_written_in_the_unit_with_the_smallest_number() {
        let written = |bytes| ByteSize::from_bytes(bytes).to_string();
        assert_eq!(written(0), "0");
        assert_eq!(written(1_023), "1023");
        assert_eq!(written(1_024), "1KiB");
        assert_eq!(written(512 << 20), "512MiB");
        assert_eq!(written(1_000_000_000_000), "1TB");
        assert_eq!(written(1_000_000_000), "1GB");
    }

    #[test]
    fn times_are_read_and_written() {
        for (text, milliseconds, written) in [
            ("200ms", 200, "200ms"),
            ("24h", 86_400_000, "1d"),
            ("90m", 5_400_000, "1h30m"),
            ("1h 30m", 5_400_000, "1h30m"),
            ("30s", 30_000, "30s"),
            ("0", 0, "0"),
            ("0s", 0, "0"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(format_duration(duration), written);
        }
    }

    #[test]
    fn times_that_are_unclear_are_refused() {
        assert!(parse_duration("30").unwrap_err().contains("needs a unit"));
        assert!(parse_duration("1.5s").unwrap_err().contains("whole"));
        assert!(parse_duration("30m1h").unwrap_err().contains("does not belong"));
        assert!(parse_duration("5 fortnights").unwrap_err().contains("not a unit of time"));
        assert!(parse_duration("").is_err());
        assert!(parse_duration("soon").is_err());
        assert_eq!(parse_duration("999999999999d").unwrap_err(), "the time is too long");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(number in any::<u64>()) {
            let size = ByteSize::from_bytes(number);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
            let duration = Duration::from_micros(number);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<ByteSize>();
            let _ = parse_duration(&text);
        }
    }
}

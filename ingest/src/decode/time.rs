//! Times and dates: RFC 3339 text to microseconds and days since 1970-01-01, UTC.

/// Microseconds of one day.
pub(super) const MICROS_PER_DAY: i64 = 86_400_000_000;
/// The first microsecond of the year 10000.
const END_OF_YEAR_9999: i64 = 253_402_300_800_000_000;
/// The first microsecond of the year 1.
const START_OF_YEAR_1: i64 = -62_135_596_800_000_000;

/// The date that was parsed last. Events come in the order of their days, so it nearly always is
/// the next one too.
#[derive(Debug, Default)]
pub(super) struct DateMemory {
    text: [u8; 10],
    days: i32,
}

/// Whether an instant lies in the years 1970 to 9999, which an event's time must.
pub(super) fn is_event_time(micros: i64) -> bool {
    (0..END_OF_YEAR_9999).contains(&micros)
}

/// Whether an instant lies in the years 1 to 9999, which are all that RFC 3339 can write.
pub(super) fn is_timestamp(micros: i64) -> bool {
    (START_OF_YEAR_1..END_OF_YEAR_9999).contains(&micros)
}

/// Reads an RFC 3339 time at the start of `text`: any offset, `T` or a space before the time, one
/// to nine digits of fraction of which six count, and a leap second as the microsecond before the
/// next minute. Returns the microseconds since 1970 and the length of the time's text.
#[inline]
pub(super) fn read_time(text: &[u8], memory: &mut DateMemory) -> Option<(i64, usize)> {
    let date = text.first_chunk::<10>()?;
    let days = if *date == memory.text {
        memory.days
    } else {
        let days = parse_date(date)?;
        *memory = DateMemory { text: *date, days };
        days
    };
    if !matches!(text.get(10)?, b'T' | b' ' | b't') {
        return None;
    }
    let clock = text.get(11..)?.first_chunk::<8>()?;
    let (seconds, is_leap_second) = parse_clock(*clock)?;
    let mut micros = seconds * 1_000_000;
    let mut position = 19;
    if text.get(position) == Some(&b'.') {
        position += 1;
        let mut place = 100_000;
        let start = position;
        while let Some(digit @ b'0'..=b'9') = text.get(position) {
            micros += i64::from(digit - b'0') * place;
            place /= 10;
            position += 1;
        }
        if position == start || position > start + 9 {
            return None;
        }
    }
    if is_leap_second {
        micros = (seconds + 1) * 1_000_000 - 1;
    }
    let offset_minutes = match text.get(position)? {
        b'Z' | b'z' => {
            position += 1;
            0
        }
        sign @ (b'+' | b'-') => {
            let [hour_tens, hours, b':', minute_tens, minutes] =
                *text.get(position + 1..)?.first_chunk::<5>()?
            else {
                return None;
            };
            let hours = two_digits(hour_tens, hours).filter(|hours| *hours < 24)?;
            let minutes = two_digits(minute_tens, minutes).filter(|minutes| *minutes < 60)?;
            position += 6;
            let magnitude = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -magnitude } else { magnitude }
        }
        _ => return None,
    };
    Some((i64::from(days) * MICROS_PER_DAY + micros - offset_minutes * 60_000_000, position))
}

/// Seconds of `HH:MM:SS`, and whether it is a leap second, which counts as second 59.
#[inline(always)]
fn parse_clock(clock: [u8; 8]) -> Option<(i64, bool)> {
    // All eight characters at once: behind the XOR a digit is its value and a colon is zero.
    let digits = u64::from_le_bytes(clock) ^ u64::from_le_bytes(*b"00:00:00");
    let is_above_nine = digits.wrapping_add(0x0606_0606_0606_0606) | digits;
    if is_above_nine & 0xF0F0_F0F0_F0F0_F0F0 != 0 || digits & 0x0000_FF00_00FF_0000 != 0 {
        return None;
    }
    let [hour_tens, hour_ones, _, minute_tens, minute_ones, _, second_tens, second_ones] =
        digits.to_le_bytes().map(i64::from);
    let hours = hour_tens * 10 + hour_ones;
    let minutes = minute_tens * 10 + minute_ones;
    let seconds = second_tens * 10 + second_ones;
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some((hours * 3600 + minutes * 60 + seconds.min(59), seconds == 60))
}

/// Days since 1970-01-01 of a real calendar date `YYYY-MM-DD` in the years 1 to 9999.
pub(super) fn parse_date(text: &[u8; 10]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else {
        return None;
    };
    let year = two_digits(y1, y2)? * 100 + two_digits(y3, y4)?;
    let month = two_digits(m1, m2)?;
    let day = two_digits(d1, d2)?;
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    // Years are counted from March here, so that the leap day is the last day of its year.
    let (march_year, march_month) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(march_year * 365 + leap_days + day_of_year - 719_468)
}

fn days_in_month(year: i32, month: i32) -> i32 {
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap_year => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[inline(always)]
fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i32::from(tens) * 10 + i32::from(ones))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<i64> {
        let (micros, end) = read_time(text.as_bytes(), &mut DateMemory::default())?;
        (end == text.len()).then_some(micros)
    }

    fn by_chrono(text: &str) -> Option<i64> {
        chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
    }

    #[test]
    fn times_agree_with_chrono() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-01-31T23:59:59.999Z",
            "2024-02-29T12:34:56.123456789+05:30",
            "2000-02-29T00:00:00.1-23:59",
            "9999-12-31T23:59:59.999999z",
            "0001-01-01T00:00:00Z",
            "1969-12-31t23:59:59Z",
        ] {
            assert!(time(text).is_some(), "{text}");
            assert_eq!(time(text), by_chrono(text), "{text}");
        }
        assert_eq!(time("2026-01-31 12:00:00Z"), by_chrono("2026-01-31T12:00:00Z"));
    }

    #[test]
    fn fractions_are_cut_and_leap_seconds_end_their_minute() {
        assert_eq!(time("1970-01-01T00:00:00.000001999Z"), Some(1));
        assert_eq!(time("1970-01-01T00:00:60Z"), Some(59_999_999));
        assert_eq!(time("1970-01-01T00:00:60.5Z"), Some(59_999_999));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:60",
            "2026-01-01T00:00:00+0000",
            "2026-01-01T00:00:00ZZ",
            "2026-01-01T00:00:0:Z",
            "2026-01-01T00-00-00Z",
            "2026-01-01T00:0a:00Z",
            "2026-01-01",
            "２026-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_counted() {
        let mut date = chrono::NaiveDate::from_ymd_opt(1899, 12, 31).unwrap();
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for _ in 0..146_100 {
            let text = date.to_string();
            let days = parse_date(text.as_bytes().first_chunk().unwrap());
            assert_eq!(days.map(i64::from), Some((date - epoch).num_days()), "{text}");
            date = date.succ_opt().unwrap();
        }
    }

    #[test]
    fn ranges_end_where_rfc_3339_ends() {
        assert_eq!(by_chrono("0001-01-01T00:00:00Z"), Some(START_OF_YEAR_1));
        assert_eq!(by_chrono("9999-12-31T23:59:59.999999Z"), Some(END_OF_YEAR_9999 - 1));
        assert!(is_event_time(0) && !is_event_time(-1) && !is_event_time(END_OF_YEAR_9999));
        assert!(is_timestamp(START_OF_YEAR_1) && !is_timestamp(START_OF_YEAR_1 - 1));
    }
}

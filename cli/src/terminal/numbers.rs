//! Numbers for people: digits in groups of three, sizes and times in fitting units.

use std::time::Duration;

/// A whole number with commas: `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    group_digits(&number.to_string())
}

/// How many there are of something with a regular plural: `1 row`, `1,234 rows`.
pub(crate) fn counted(number: u64, name: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {name}{plural}", thousands(number))
}

/// A number with commas and this many digits after the point: `-1,234.50`. What is no number shows
/// as a dash.
pub(crate) fn decimal(number: f64, places: usize) -> String {
    if !number.is_finite() {
        return "–".to_string();
    }
    let text = format!("{:.places$}", number.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    // A number that rounds to zero has no sign.
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if number < 0.0 && !is_zero { "-" } else { "" };
    format!("{sign}{}{fraction}", group_digits(whole))
}

/// A share as per cent with one digit after the point: `12.5 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", decimal(share * 100.0, 1))
}

/// A size with three digits or so: `1.46 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut size = number as f64;
    let mut unit = 0;
    // From 1023.5 on the number would be shown as 1024.
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(size), UNITS[unit])
}

/// A length of time: `850 µs`, `12.3 ms`, `4.21 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.000_999_5 {
        return format!("{:.0} µs", seconds * 1e6);
    }
    if seconds < 0.999_5 {
        return format!("{} ms", three_digits(seconds * 1e3));
    }
    if seconds < 59.95 {
        return format!("{} s", three_digits(seconds));
    }
    let whole = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    if whole < 3_600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    let minutes = whole / 60;
    if minutes < 24 * 60 {
        return format!("{} h {:02} min", minutes / 60, minutes % 60);
    }
    let hours = minutes / 60;
    format!("{} d {:02} h", hours / 24, hours % 24)
}

/// A length of time that is only an estimate: as [`duration`], but in whole seconds, rounded up.
pub(crate) fn rough_duration(estimate: Duration) -> String {
    let seconds = estimate.as_secs() + u64::from(estimate.subsec_nanos() > 0);
    if seconds < 60 {
        return format!("{seconds} s");
    }
    duration(Duration::from_secs(seconds))
}

/// How many there are each second; not a number when no time has passed.
pub(crate) fn per_second(number: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return f64::NAN;
    }
    number as f64 / elapsed.as_secs_f64()
}

/// A number below 1024 with as many digits after the point as make three in all.
fn three_digits(number: f64) -> String {
    let places = match number {
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.places$}")
}

/// Puts a comma between groups of three digits.
fn group_digits(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1_234, "row"), "1,234 rows");
        assert_eq!(decimal(-1234.5, 2), "-1,234.50");
        assert_eq!(decimal(999_999.999, 1), "1,000,000.0");
        assert_eq!(decimal(-0.001, 2), "0.00");
        assert_eq!(decimal(42.0, 0), "42");
        assert_eq!(decimal(f64::NAN, 2), "–");
        assert_eq!(percent(0.125), "12.5 %");
    }

    #[test]
    fn sizes_have_fitting_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_024), "1.00 KiB");
        assert_eq!(bytes(1_500_000), "1.43 MiB");
        assert_eq!(bytes((1 << 20) - 1), "1.00 MiB");
        assert_eq!(bytes(100 << 30), "100 GiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn times_have_fitting_units() {
        let written = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        assert_eq!(written(0.0), "0 µs");
        assert_eq!(written(0.000_85), "850 µs");
        assert_eq!(written(0.000_999_9), "1.00 ms");
        assert_eq!(written(0.012_34), "12.3 ms");
        assert_eq!(written(0.999_9), "1.00 s");
        assert_eq!(written(4.21), "4.21 s");
        assert_eq!(written(59.99), "1 min 00 s");
        assert_eq!(written(185.2), "3 min 05 s");
        assert_eq!(written(3_599.7), "1 h 00 min");
        assert_eq!(written(7_620.0), "2 h 07 min");
        assert_eq!(written(273_600.0), "3 d 04 h");
    }

    #[test]
    fn estimates_are_rough() {
        assert_eq!(rough_duration(Duration::ZERO), "0 s");
        assert_eq!(rough_duration(Duration::from_millis(6_001)), "7 s");
        assert_eq!(rough_duration(Duration::from_millis(59_001)), "1 min 00 s");
    }

    #[test]
    fn rates_need_time() {
        assert_eq!(per_second(10, Duration::from_secs(4)), 2.5);
        assert_eq!(decimal(per_second(10, Duration::ZERO), 0), "–");
    }
}

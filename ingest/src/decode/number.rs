//! JSON numbers, exactly: integers and decimals from the digits, floats correctly rounded.

use super::fault::{Fault, Parsed};

/// A number of the JSON grammar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) start: usize,
    pub(super) end: usize,
    negative: bool,
    /// At most 18 digits and no exponent: the value is `mantissa / 10^fraction_digits`.
    is_plain: bool,
    mantissa: u64,
    fraction_digits: usize,
}

/// Why a number is not a decimal of some scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Digits that are not zero stand behind the last place of the scale.
    TooFine,
    /// Too many digits before the point.
    TooLarge,
}

/// What becomes of digits behind the last place of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// They make the number a misfit, unless they are zero.
    Refuse,
    /// They are cut off.
    Truncate,
}

const PLAIN_DIGITS: usize = 18;

/// Powers of ten that `u64` holds.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < 20 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// Powers of ten that `f64` holds exactly.
const EXACT_FLOATS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Whether a JSON number starts with this byte.
#[inline(always)]
pub(super) fn starts_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'-'
}

/// Reads the number that starts at `start`.
#[inline]
pub(super) fn read_number(bytes: &[u8], start: usize) -> Parsed<Number> {
    let negative = bytes.get(start) == Some(&b'-');
    let digits_start = start + usize::from(negative);
    let mut mantissa = 0_u64;
    let mut position = digits_start;
    while let Some(digit) = digit_at(bytes, position) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        position += 1;
    }
    let integer_digits = position - digits_start;
    if integer_digits == 0 {
        return Err(Fault::malformed(bytes, position, "a digit"));
    }
    if integer_digits > 1 && bytes[digits_start] == b'0' {
        return Err(Fault::malformed(bytes, digits_start + 1, "no digit behind a leading zero"));
    }
    let mut fraction_digits = 0;
    if bytes.get(position) == Some(&b'.') {
        position += 1;
        let fraction_start = position;
        while let Some(digit) = digit_at(bytes, position) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            position += 1;
        }
        fraction_digits = position - fraction_start;
        if fraction_digits == 0 {
            return Err(Fault::malformed(bytes, position, "a digit behind the point"));
        }
    }
    let mut is_plain = integer_digits + fraction_digits <= PLAIN_DIGITS;
    if let Some(b'e' | b'E') = bytes.get(position) {
        is_plain = false;
        position += 1;
        if let Some(b'+' | b'-') = bytes.get(position) {
            position += 1;
        }
        if digit_at(bytes, position).is_none() {
            return Err(Fault::malformed(bytes, position, "a digit of the exponent"));
        }
        while digit_at(bytes, position).is_some() {
            position += 1;
        }
    }
    Ok(Number { start, end: position, negative, is_plain, mantissa, fraction_digits })
}

#[inline(always)]
fn digit_at(bytes: &[u8], position: usize) -> Option<u64> {
    let digit = bytes.get(position)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

impl Number {
    /// The number as an integer, if it is one.
    #[inline]
    pub(super) fn to_i64(self, bytes: &[u8]) -> Result<i64, Misfit> {
        if self.is_plain && self.fraction_digits == 0 {
            let magnitude = self.mantissa as i64;
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        let value = self.to_decimal_slowly(bytes, (19, 0), Excess::Refuse)?;
        i64::try_from(value).map_err(|_| Misfit::TooLarge)
    }

    /// The number as a multiple of 10^-`scale` with at most `precision` (1 to 38) digits.
    #[inline]
    pub(super) fn to_decimal(
        self,
        bytes: &[u8],
        (precision, scale): (usize, usize),
        excess: Excess,
    ) -> Result<i128, Misfit> {
        // Below 10^18 and with at most 10^19 as the factor, the product needs no check.
        if self.is_plain && self.fraction_digits <= scale && scale - self.fraction_digits < 20 {
            let factor = POWERS[scale - self.fraction_digits];
            let magnitude = i128::from(self.mantissa) * i128::from(factor);
            if precision < 38 && magnitude >= power_of_ten(precision) {
                return Err(Misfit::TooLarge);
            }
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        self.to_decimal_slowly(bytes, (precision, scale), excess)
    }

    #[cold]
    #[inline(never)]
    fn to_decimal_slowly(
        self,
        bytes: &[u8],
        (precision, scale): (usize, usize),
        excess: Excess,
    ) -> Result<i128, Misfit> {
        let digits_start = self.start + usize::from(self.negative);
        let text = &bytes[digits_start..self.end];
        let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let coefficient = &text[..exponent_at.unwrap_or(text.len())];
        let exponent = exponent_at.map_or(0, |at| read_exponent(&text[at + 1..]));

        // The value is 0.d1 d2 d3 … × 10^point with d1 not zero.
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let integer_digits = coefficient.iter().take_while(is_digit).count();
        let digits = coefficient.iter().filter(is_digit).map(|byte| byte - b'0');
        let leading_zeros = digits.clone().take_while(|digit| *digit == 0).count();
        let significant = digits.clone().count() - leading_zeros;
        if significant == 0 {
            return Ok(0);
        }
        let point = exponent.saturating_add(integer_digits as i64 - leading_zeros as i64);
        // How many of the digits lie at or before the last place of the scale.
        let kept = point.saturating_add(scale as i64);
        if kept > precision as i64 {
            return Err(Misfit::TooLarge);
        }
        let mut magnitude = 0_i128;
        let mut place = 0;
        for digit in digits.skip(leading_zeros) {
            if place < kept {
                magnitude = magnitude * 10 + i128::from(digit);
            } else if excess == Excess::Truncate {
                break;
            } else if digit != 0 {
                return Err(Misfit::TooFine);
            }
            place += 1;
        }
        while place < kept {
            magnitude *= 10;
            place += 1;
        }
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// The nearest float, or a misfit if that is infinite.
    #[inline]
    pub(super) fn to_f64(self, bytes: &[u8]) -> Result<f64, Misfit> {
        // Both operands are exact, so that one division rounds correctly.
        if self.is_plain && self.mantissa <= 1 << 53 {
            let magnitude = self.mantissa as f64 / EXACT_FLOATS[self.fraction_digits];
            return Ok(if self.negative { -magnitude } else { magnitude });
        }
        match fast_float2::parse::<f64, _>(&bytes[self.start..self.end]) {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(Misfit::TooLarge),
        }
    }
}

/// 10^`exponent`, for an exponent of at most 38.
fn power_of_ten(exponent: usize) -> i128 {
    if exponent < 20 {
        return i128::from(POWERS[exponent]);
    }
    i128::from(POWERS[19]) * i128::from(POWERS[exponent.min(38) - 19])
}

/// The exponent, bounded to a range in which any number is zero or out of range anyway.
fn read_exponent(text: &[u8]) -> i64 {
    let mut exponent = 0_i64;
    for digit in text.iter().filter(|byte| byte.is_ascii_digit()) {
        exponent = (exponent * 10 + i64::from(digit - b'0')).min(1 << 40);
    }
    if text.first() == Some(&b'-') { -exponent } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str, precision: usize, scale: usize) -> Result<i128, Misfit> {
        let number = read_number(text.as_bytes(), 0).unwrap();
        assert_eq!(number.end, text.len(), "{text}");
        let quick = number.to_decimal(text.as_bytes(), (precision, scale), Excess::Refuse);
        let slow = number.to_decimal_slowly(text.as_bytes(), (precision, scale), Excess::Refuse);
        assert_eq!(quick, slow, "{text}");
        quick
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.34", 10, 2), Ok(1234));
        assert_eq!(decimal("-12.3", 10, 2), Ok(-1230));
        assert_eq!(decimal("0.1", 38, 38), Ok(10_i128.pow(37)));
        assert_eq!(decimal("12.3400", 10, 2), Ok(1234));
        assert_eq!(decimal("12.345", 10, 2), Err(Misfit::TooFine));
        assert_eq!(decimal("1234e-2", 10, 2), Ok(1234));
        assert_eq!(decimal("1.2e3", 10, 2), Ok(120_000));
        assert_eq!(decimal("99999999.99", 10, 2), Ok(9_999_999_999));
        assert_eq!(decimal("100000000", 10, 2), Err(Misfit::TooLarge));
        assert_eq!(decimal("0e999999999999999999999", 10, 2), Ok(0));
        assert_eq!(decimal("1e999999999999999999999", 10, 2), Err(Misfit::TooLarge));
        assert_eq!(decimal("1e-99999999999999999999", 10, 2), Err(Misfit::TooFine));
        assert_eq!(decimal("0.0001", 2, 2), Err(Misfit::TooFine));
        let nines = "9".repeat(38);
        assert_eq!(decimal(&nines, 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal(&format!("{nines}9"), 38, 0), Err(Misfit::TooLarge));
        assert_eq!(decimal(&format!("0.{nines}"), 38, 38), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal("1", 38, 38), Err(Misfit::TooLarge));
    }

    #[test]
    fn integers_may_be_written_with_point_or_exponent() {
        let integer = |text: &str| read_number(text.as_bytes(), 0).unwrap().to_i64(text.as_bytes());
        assert_eq!(integer("5"), Ok(5));
        assert_eq!(integer("-0"), Ok(0));
        assert_eq!(integer("5.0"), Ok(5));
        assert_eq!(integer("1e3"), Ok(1000));
        assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer("9223372036854775808"), Err(Misfit::TooLarge));
        assert_eq!(integer("5.5"), Err(Misfit::TooFine));
        assert_eq!(integer("1e400"), Err(Misfit::TooLarge));
    }

    #[test]
    fn floats_are_rounded_correctly() {
        let float = |text: &str| read_number(text.as_bytes(), 0).unwrap().to_f64(text.as_bytes());
        for text in ["0", "-0.0", "1.5", "0.1", "123456789.123456789", "1e-7", "5e-324", "1e308"] {
            assert_eq!(float(text).unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
        assert_eq!(float("1e-999"), Ok(0.0));
        assert_eq!(float("1e999"), Err(Misfit::TooLarge));
    }

    #[test]
    fn the_grammar_is_strict() {
        for text in ["", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "1.e3"] {
            assert!(read_number(text.as_bytes(), 0).is_err(), "{text}");
        }
    }
}

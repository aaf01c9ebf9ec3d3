//! The upper tail of the chi-square distribution, which is that of the incomplete gamma function:
//! Q(a, y) with a half the degrees of freedom and y half the statistic (Abramowitz and Stegun,
//! Handbook of Mathematical Functions, 6.5 and 26.4).
//!
//! As a is a whole or half number, Q is a finite sum of positive terms, so that no digits cancel. Few
//! degrees are summed as they are. Many are summed from their greatest term, which is told from the
//! density at y: powers and factorials would leave the range of numbers, and their logarithms would
//! lose the digits (C. Loader, Fast and Accurate Computation of Binomial Probabilities, 2000).

use std::f64::consts::{PI, TAU};

/// So many degrees of freedom are summed as they are.
const FEW_DEGREES: i64 = 32;
/// With few degrees, the tail from here on (in halves of the statistic) is less than any number.
const BEYOND: f64 = 2000.0;
/// Terms that are less than this share of a sum do not change it.
const NEGLIGIBLE: f64 = f64::EPSILON / 16.0;

/// The probability that a chi-square variable with `degrees` >= 1 degrees of freedom is at least
/// `statistic` >= 0.
pub(in crate::functions::statistics) fn upper_tail(statistic: f64, degrees: i64) -> f64 {
    let y = statistic / 2.0;
    if y == 0.0 {
        1.0
    } else if y.is_infinite() {
        0.0
    } else if degrees <= FEW_DEGREES {
        tail_of_few(degrees, y)
    } else {
        tail_of_many(degrees, y)
    }
}

/// Abramowitz and Stegun 26.4.4 (odd degrees) and 26.4.5 (even).
fn tail_of_few(degrees: i64, y: f64) -> f64 {
    if y > BEYOND {
        return 0.0;
    }
    let is_odd = degrees % 2 == 1;
    let mut term = if is_odd { 2.0 * (y / PI).sqrt() } else { 1.0 };
    let mut divisor = if is_odd { 1.5 } else { 1.0 };
    let mut sum = 0.0;
    for _ in 0..degrees / 2 {
        sum += term;
        term *= y / divisor;
        divisor += 1.0;
    }
    // In two steps: exp(-y) may be less than any number where the product is not.
    let root = (-y / 2.0).exp();
    sum * root * root + odd_part(is_odd, y)
}

fn tail_of_many(degrees: i64, y: f64) -> f64 {
    let a = degrees as f64 / 2.0;
    // y^a e^-y / Γ(a + 1)
    let density = (-stirling_error(a) - deviance(a, y)).exp() / (TAU * a).sqrt();
    let mut term = 1.0;
    if y < a {
        // What is left of the lower tail, whose terms ascend in their exponents.
        let mut sum = 1.0;
        let mut exponent = a;
        while term > sum * NEGLIGIBLE {
            exponent += 1.0;
            term *= y / exponent;
            sum += term;
        }
        return (1.0 - density * sum).max(0.0);
    }
    let mut sum = 0.0;
    let mut exponent = a;
    while exponent >= 1.0 && term > sum * NEGLIGIBLE {
        term *= exponent / y;
        sum += term;
        exponent -= 1.0;
    }
    (density * sum + odd_part(degrees % 2 == 1, y)).min(1.0)
}

/// What remains below the last term of an odd number of degrees: Q(1/2, y).
fn odd_part(is_odd: bool, y: f64) -> f64 {
    if is_odd { libm::erfc(y.sqrt()) } else { 0.0 }
}

/// ln Γ(a + 1) less Stirling's (a + 1/2) ln a − a + ln √2π, for a > 16 (Abramowitz and Stegun 6.1.41).
fn stirling_error(a: f64) -> f64 {
    let square = a * a;
    let series = 1.0 / 1680.0 - 1.0 / 1188.0 / square;
    let series = 1.0 / 1260.0 - series / square;
    let series = 1.0 / 360.0 - series / square;
    (1.0 / 12.0 - series / square) / a
}

/// a ln(a / y) + y − a. Where a and y are near each other its parts cancel, so that it is summed in
/// powers of v = (a − y) / (a + y), of which a / y is (1 + v) / (1 − v).
fn deviance(a: f64, y: f64) -> f64 {
    let v = (a - y) / (a + y);
    if v.abs() > 0.75 {
        return a * (a / y).ln() + y - a;
    }
    let mut sum = (a - y) * v;
    let mut power = 2.0 * a * v;
    let mut divisor = 1.0;
    loop {
        power *= v * v;
        divisor += 2.0;
        let next = sum + power / divisor;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

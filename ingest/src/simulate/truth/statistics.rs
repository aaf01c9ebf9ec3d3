//! Percentiles and tests of hypotheses, written from their definitions: by other means than those
//! of SQL.

/// The value below which this share of sorted values lies: of n values, the one at the place
/// share × (n − 1), counted from 0, and a straight line between neighbours. `None` of no values.
pub(super) fn percentile<T: Copy>(
    sorted: &[T],
    share: f64,
    number: impl Fn(T) -> f64,
) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let below = number(*sorted.get(position as usize)?);
    let above = number(*sorted.get(position.ceil() as usize)?);
    Some(below + (above - below) * position.fract())
}

/// A sample of yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) successes: u64,
    pub(super) trials: u64,
}

/// z of the test whether two shares are equal, with the pooled share; positive if the second is
/// greater. `None` if a sample is empty or nothing varies.
pub(super) fn two_proportion_z(first: Sample, second: Sample) -> Option<f64> {
    let trials = first.trials + second.trials;
    let successes = first.successes + second.successes;
    if first.trials == 0 || second.trials == 0 || successes == 0 || successes == trials {
        return None;
    }
    // (b/m − a/n) / √(p (1 − p) (1/n + 1/m)) over one denominator, so that the difference of the
    // shares is one of integers.
    let whole = |number: u64| i128::from(number);
    let difference = whole(second.successes) * whole(first.trials)
        - whole(first.successes) * whole(second.trials);
    let total = trials as f64;
    let spread = successes as f64 * (trials - successes) as f64 / total
        * first.trials as f64
        * second.trials as f64;
    Some(difference as f64 / spread.sqrt())
}

/// Probability of a |z| at least this large, if the shares are equal.
pub(super) fn two_sided_p_value(z: f64) -> f64 {
    complementary_error(z.abs() / std::f64::consts::SQRT_2)
}

/// χ² of counts against an even split; `None` if there are fewer than two, or nothing is counted.
pub(super) fn chi_square_even(counts: &[u64]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if counts.len() < 2 || total == 0 {
        return None;
    }
    // Σ (o − t/k)² / (t/k), with the differences as integers.
    let parts = counts.len() as i128;
    let squares: i128 = counts
        .iter()
        .map(|count| i128::from(*count) * parts - i128::from(total))
        .map(|difference| difference * difference)
        .sum();
    Some(squares as f64 / (parts as f64 * total as f64))
}

/// Probability of a χ² at least this large: Q(degrees / 2, χ² / 2), the upper regularized
/// incomplete gamma function.
///
/// By the recurrence Q(a + 1, x) = Q(a, x) + xᵃ e⁻ˣ / Γ(a + 1) (DLMF 8.8.6) from Q(1/2, x) =
/// erfc √x (8.4.6) or Q(1, x) = e⁻ˣ (8.4.5). All terms are positive: nothing cancels out.
pub(super) fn chi_square_p_value(statistic: f64, degrees: usize) -> f64 {
    let x = statistic / 2.0;
    let is_odd = !degrees.is_multiple_of(2);
    // a, Q(a, x) and xᵃ e⁻ˣ / Γ(a + 1), from the least a on.
    let (mut a, mut sum, mut term) = if is_odd {
        let root_pi = std::f64::consts::PI.sqrt();
        (0.5, complementary_error(x.sqrt()), x.sqrt() * (-x).exp() * 2.0 / root_pi)
    } else {
        (1.0, (-x).exp(), x * (-x).exp())
    };
    for _ in 1..degrees.div_ceil(2) {
        sum += term;
        a += 1.0;
        term *= x / a;
    }
    sum
}

/// From here on the continued fraction is used.
const SMALL: f64 = 1.0;
/// Terms of the continued fraction: enough for the last digit at [`SMALL`], where it converges
/// slowest.
const TERMS: i32 = 100;

/// The complementary error function of a number that is not negative, 2/√π ∫ₓ^∞ exp(−t²) dt.
///
/// Small numbers by the series DLMF 7.6.2, all of whose terms are positive; others by the continued
/// fraction DLMF 7.9.2, from its far end.
fn complementary_error(x: f64) -> f64 {
    let square = x * x;
    // exp(−x²) to the last digit: x² is rounded, and the exponential would multiply the rest of it.
    let rest = x.mul_add(x, -square);
    let density = (-square).exp() * (1.0 - rest) / std::f64::consts::PI.sqrt();
    if x < SMALL {
        let (mut sum, mut term, mut odd) = (x, x, 1.0);
        while term > sum * f64::EPSILON / 4.0 {
            odd += 2.0;
            term *= 2.0 * square / odd;
            sum += term;
        }
        return 1.0 - 2.0 * density * sum;
    }
    if density == 0.0 {
        return 0.0;
    }
    let level = |index: i32| 2.0 * square + f64::from(4 * index + 1);
    let mut fraction = level(TERMS);
    for index in (0..TERMS).rev() {
        let pair = f64::from(2 * index + 1) * f64::from(2 * index + 2);
        fraction = level(index) - pair / fraction;
    }
    density * 2.0 * x / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
        assert!(error < 5e-15, "{found:e} is not {expected:e}: {error:e}");
    }

    #[test]
    fn percentiles_lie_on_a_straight_line_between_neighbours() {
        let of = |values: &[u32], share| percentile(values, share, f64::from);
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[7], 0.99), Some(7.0));
        assert_eq!(of(&[1, 3, 10], 0.5), Some(3.0));
        assert_eq!(of(&[1, 2, 4, 100], 0.5), Some(3.0));
        assert_eq!(of(&[0, 10], 0.9), Some(9.0));
        assert_eq!(of(&[0, 10, 20, 30, 40, 50], 0.9), Some(45.0));
        assert_eq!(of(&[10, 20], 0.0), Some(10.0));
        assert_eq!(of(&[10, 20], 1.0), Some(20.0));
        let values: Vec<u32> = (0..=200).map(|value| value * 50).collect();
        assert_close(percentile(&values, 0.99, |value| f64::from(value) / 1e3).unwrap(), 9.9);
    }

    /// Values of erfc from an independent implementation with 50 digits.
    #[test]
    fn the_complementary_error_function_is_right_to_the_last_digits() {
        for (x, expected) in ERFC {
            assert_close(complementary_error(x), expected);
        }
        assert_eq!(complementary_error(0.0), 1.0);
        assert_eq!(complementary_error(40.0), 0.0);
    }

    const ERFC: [(f64, f64); 15] = [
        (0.001, 0.998_871_621_209_030_7),
        (0.1, 0.887_537_083_981_715),
        (0.5, 0.479_500_122_186_953_5),
        (0.75, 0.288_844_366_346_484_86),
        (0.999, 0.157_714_729_793_503_07),
        (1.0, 0.157_299_207_050_285_13),
        (1.25, 0.077_099_871_743_541_77),
        (1.5, 0.033_894_853_524_689_274),
        (2.0, 0.004_677_734_981_047_266),
        (3.0, 2.209049699858544e-05),
        (4.5, 1.9661604415428876e-10),
        (6.0, 2.1519736712498913e-17),
        (10.0, 2.088487583762545e-45),
        (20.0, 5.395865611607901e-176),
        (26.0, 5.663192408856143e-296),
    ];

    #[test]
    fn chi_square_p_values_are_those_of_the_tables() {
        for (statistic, degrees, expected) in CHI_SQUARE {
            assert_close(chi_square_p_value(statistic, degrees), expected);
        }
        for degrees in 1..6 {
            assert_eq!(chi_square_p_value(0.0, degrees), 1.0);
        }
    }

    const CHI_SQUARE: [(f64, usize, f64); 10] = [
        (3.84, 1, 0.050_043_521_248_705_106),
        (0.02, 1, 0.887_537_083_981_715_2),
        (1.5, 2, 0.472_366_552_741_014_7),
        (5.99, 2, 0.050_036_627_086_586_28),
        (7.81, 3, 0.050_106_056_350_005_944),
        (9.49, 4, 0.049_953_131_223_294_894),
        (11.07, 5, 0.050_009_618_622_405_48),
        (60.0, 3, 5.878230727906912e-13),
        (200.0, 1, 2.088487583762545e-45),
        (0.3, 7, 0.999_899_962_617_747_9),
    ];

    #[test]
    fn even_counts_have_no_chi_square() {
        assert_eq!(chi_square_even(&[5, 5, 5]), Some(0.0));
        assert_eq!(chi_square_even(&[6, 4]), Some(0.4));
        assert_close(chi_square_even(&[10, 20, 0]).unwrap(), 20.0);
        assert_eq!(chi_square_even(&[5]), None);
        assert_eq!(chi_square_even(&[0, 0]), None);
    }

    #[test]
    fn z_is_positive_if_the_second_share_is_greater() {
        let sample = |successes, trials| Sample { successes, trials };
        let z = two_proportion_z(sample(20, 100), sample(30, 100)).unwrap();
        // 0.1 / √(0.25 × 0.75 × 0.02)
        assert_close(z, 0.1 / 0.003_75_f64.sqrt());
        assert_eq!(two_proportion_z(sample(30, 100), sample(20, 100)), Some(-z));
        assert_eq!(two_proportion_z(sample(3, 10), sample(6, 20)), Some(0.0));
        assert_eq!(two_proportion_z(sample(0, 10), sample(0, 20)), None);
        assert_eq!(two_proportion_z(sample(10, 10), sample(20, 20)), None);
        assert_eq!(two_proportion_z(sample(0, 0), sample(1, 20)), None);
        assert_eq!(two_sided_p_value(0.0), 1.0);
        assert_close(two_sided_p_value(-1.96), two_sided_p_value(1.96));
    }
}

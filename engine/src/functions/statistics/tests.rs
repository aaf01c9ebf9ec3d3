use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::chi_square::upper_tail;
use super::two_proportions::{Sample, two_sided_p_value, z_statistic};
use crate::functions::tests::{error_of, run, session};

/// Relative error of p-values from 1e-300 to 1.
const TOLERANCE: f64 = 1e-12;

fn assert_near(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(
        found == expected || error < TOLERANCE,
        "{what}: {found:e}, not {expected:e} (off by {error:e})"
    );
}

/// Statistic, degrees of freedom and tail. The tails were computed with Python's mpmath at 60 digits as
/// the finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5.
#[test]
fn chi_square_tails_have_twelve_digits() {
    let known = [
        (0.0001, 1, 0.9920212873707368),
        (3.841458820694124, 1, 0.05000000000000006),
        (30.0, 1, 4.3204630578274975e-08),
        (1367.0, 1, 3.1150161547791464e-299),
        (0.5, 2, 0.7788007830714049),
        (1381.0, 2, 1.3172258525345525e-300),
        (7.25, 3, 0.06434222056279866),
        (1375.0, 3, 7.83340550333671e-298),
        (0.001, 4, 0.9999998750416589),
        (60.0, 5, 1.215456977718304e-11),
        (800.5, 7, 1.4474383837566492e-168),
        (3.940299136075622, 10, 0.9500000000019011),
        (1430.0, 10, 3.30286922958024e-301),
        (31.0, 31, 0.4662125062175083),
        (1500.0, 31, 2.825910084386574e-296),
        (15.0, 32, 0.9953916836504945),
        (1501.0, 32, 1.214809500836986e-295),
        (15.0, 33, 0.9969752036998777),
        (33.0, 33, 0.46725288137290916),
        (1502.5, 33, 4.025358575039563e-295),
        (1503.0, 34, 2.144245528711721e-294),
        (900.0, 64, 8.569816110038341e-148),
        (99.5, 99, 0.4669835365458977),
        (61.0, 100, 0.999265088293259),
        (140.0, 100, 0.005140502458505894),
        (1700.0, 101, 1.7760172688671515e-288),
        (499.0, 500, 0.5042113525629777),
        (2600.0, 500, 5.883894013329015e-280),
        (1300.0, 999, 3.3982174965154816e-10),
        (900.0, 1000, 0.9892827619087102),
        (7400.0, 4096, 4.5380014152081795e-194),
        (9400.0, 10000, 0.999992402935138),
        (15500.0, 10000, 2.287055298059046e-245),
        (65535.0, 65535, 0.4992653724170944),
        (79000.0, 65536, 2.453695228153527e-267),
        (998000.0, 1000000, 0.921419708012855),
        (1000000.0, 1000000, 0.4998119368033945),
        (1052000.0, 1000000, 1.7720000826057243e-286),
        (1003456.0, 999999, 0.007300454947748563),
    ];
    for (statistic, degrees, expected) in known {
        let what = format!("chi-square {statistic} with {degrees} degrees");
        assert_near(upper_tail(statistic, degrees), expected, &what);
    }
}

/// Counts, z and p-value, computed with Python's mpmath at 60 digits from the textbook's formula. A
/// p-value less than any number is 0.
#[test]
fn two_proportions_have_twelve_digits() {
    let known = [
        ([200, 1000, 250, 1000], 2.6773977630083294, 0.0074196492610256745),
        ([250, 1000, 200, 1000], -2.6773977630083294, 0.0074196492610256745),
        ([1, 10, 1, 10], 0.0, 1.0),
        ([0, 5, 1, 5], 1.0540925533894598, 0.2918405451437885),
        ([12, 40, 3, 38], -2.4759899668192262, 0.013286731196598057),
        ([1000000, 10000000, 1000001, 10000000], 0.0007453558268653305, 0.9994052921485053),
        ([500000, 1000000, 503000, 1000000], 4.242659779131248, 2.2088617145830322e-05),
        ([499999999, 1000000000, 500000001, 1000000000], 8.944271909999159e-05, 0.999928635035449),
        ([100, 10000, 1400, 10000], 34.90011487112926, 7.404663611979222e-267),
        ([1000, 100000, 5200, 100000], 54.18655702431375, 0.0),
        ([3, 1000000, 999999, 1000003], 1414.204723546064, 0.0),
        (
            [4_611_686_018_427_387_904, i64::MAX, 4_611_686_018_427_387_905, i64::MAX - 1],
            6.984919309616089e-10,
            0.999999999442684,
        ),
    ];
    for ([successes_a, trials_a, successes_b, trials_b], z, p_value) in known {
        let a = Sample { successes: successes_a, trials: trials_a };
        let b = Sample { successes: successes_b, trials: trials_b };
        let found = z_statistic(a, b).unwrap();
        let what = format!("{successes_a} of {trials_a}, {successes_b} of {trials_b}");
        assert_near(found, z, &what);
        assert_near(two_sided_p_value(found), p_value, &what);
    }
}

/// The limits of the two ways of summing meet: the tail falls with the statistic and rises with the
/// degrees, also from the last that are summed as they are to the first that are not.
#[test]
fn tails_are_monotone() {
    for degrees in [1, 2, 5, 31, 32, 33, 34, 60, 1001, 50_000] {
        let mut previous = 1.0;
        for step in 0..400 {
            let statistic = degrees as f64 * 0.01 * f64::from(step);
            let tail = upper_tail(statistic, degrees);
            // Near 1 one tail's rounding may be more than what it falls by.
            assert!(tail <= previous + 1e-12, "{degrees} degrees, {statistic}");
            assert!(upper_tail(statistic, degrees + 1) >= tail - 1e-12, "{degrees}, {statistic}");
            previous = tail;
        }
    }
    assert_eq!(upper_tail(0.0, 1), 1.0);
    assert_eq!(upper_tail(0.0, 1000), 1.0);
    for degrees in [1, 32, 33, 1000] {
        assert_eq!(upper_tail(1e300, degrees), 0.0);
        assert_eq!(upper_tail(f64::INFINITY, degrees), 0.0);
    }
}

#[tokio::test]
async fn an_experiment_is_judged_in_sql() {
    let session = session(SessionConfig::new());
    let sql = "SELECT variant, round(two_proportion_z(20, 100, converted, exposed), 9) AS z, \
               round(two_proportion_p_value(20, 100, converted, exposed), 9) AS p, \
               round(log10(chi_square_p_value(chi_square_even([100, exposed]), 1)), 6) AS srm \
               FROM (VALUES ('same', 20, 100), ('more', 40, 100), ('few', 1, 30), ('none', 0, 0), \
               ('unknown', NULL, 10)) AS t (variant, converted, exposed) ORDER BY variant";
    assert_eq!(
        run(&session, sql).await,
        "+---------+--------------+-------------+------------+\n\
         | variant | z            | p           | srm        |\n\
         +---------+--------------+-------------+------------+\n\
         | few     | -2.175495337 | 0.029593017 | -9.081809  |\n\
         | more    | 3.086066999  | 0.002028231 | 0.0        |\n\
         | none    |              |             | -22.817023 |\n\
         | same    | 0.0          | 1.0         | 0.0        |\n\
         | unknown |              |             | -17.027249 |\n\
         +---------+--------------+-------------+------------+"
    );
}

#[tokio::test]
async fn what_has_no_answer_is_null() {
    let session = session(SessionConfig::new());
    for expression in [
        "two_proportion_z(0, 0, 1, 2)",
        "two_proportion_z(1, 2, 0, 0)",
        "two_proportion_p_value(0, 10, 0, 20)",
        "two_proportion_p_value(10, 10, 20, 20)",
        "two_proportion_z(NULL, 10, 1, 20)",
        "two_proportion_p_value(1, 10, 1, NULL)",
        "chi_square_even([])",
        "chi_square_even([7])",
        "chi_square_even([0, 0])",
        "chi_square_even([1, NULL])",
        "chi_square_even(NULL)",
        "chi_square_p_value(NULL, 0)",
        "chi_square_p_value(1.5, NULL)",
        "chi_square_p_value(chi_square_even([7]), 0)",
    ] {
        let answer = run(&session, &format!("SELECT {expression} IS NULL AS nothing")).await;
        assert!(answer.contains("| true    |"), "{expression}: {answer}");
    }
}

#[tokio::test]
async fn counts_of_every_integer_type_are_taken() {
    let session = session(SessionConfig::new());
    let sql = "SELECT chi_square_even(array_agg(n)) AS a, \
               chi_square_even([CAST(4 AS SMALLINT), 6]) AS b, \
               chi_square_even(make_array(CAST(4 AS DECIMAL(10,0)), 6)) AS c, \
               two_proportion_z(CAST(1 AS INT), arrow_cast(4, 'UInt8'), sum(n) - 8, count(*) + 2) \
               = two_proportion_z(1, 4, 2, 4) AS d, \
               chi_square_p_value(2, CAST(1 AS INT)) = chi_square_p_value(2.0, 1) AS e \
               FROM (VALUES (4), (6)) AS t (n)";
    let answer = run(&session, sql).await;
    assert!(answer.contains("| 0.4 | 0.4 | 0.4 | true | true |"), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let session = session(SessionConfig::new());
    for (expression, message) in [
        ("two_proportion_z(5, 3, 1, 2)", "a cannot have 5 successes in 3 trials"),
        ("two_proportion_p_value(1, 3, -1, 2)", "b cannot have -1 successes in 2 trials"),
        ("two_proportion_z(1, 2, 3)", "two_proportion_z takes four counts"),
        ("two_proportion_z(0.5, 2, 3, 4)", "successes_a of two_proportion_z is a whole number"),
        ("two_proportion_p_value(1, 2, 3, 'x')", "trials_b of two_proportion_p_value"),
        ("chi_square_even([3, -1])", "-1 cannot be a count"),
        ("chi_square_even(3)", "chi_square_even takes an array of counts"),
        ("chi_square_even([1.5, 2])", "each count of chi_square_even is a whole number"),
        ("chi_square_even([1], [2])", "takes one array of counts, not 2 arguments"),
        ("chi_square_p_value(1.0, 0)", "1 to 1000000 degrees of freedom, not 0"),
        ("chi_square_p_value(1.0, 1000001)", "degrees of freedom, not 1000001"),
        ("chi_square_p_value(-1.0, 1)", "a number from 0 on, not -1"),
        ("chi_square_p_value(CAST('NaN' AS DOUBLE), 1)", "a number from 0 on, not NaN"),
        ("chi_square_p_value('x', 1)", "is a number (DOUBLE)"),
        ("chi_square_p_value(1.0, 1.5)", "degrees_of_freedom of chi_square_p_value"),
        ("chi_square_p_value(1.0)", "takes a statistic and its degrees of freedom"),
    ] {
        let error = error_of(&session, &format!("SELECT {expression}")).await;
        assert!(error.contains(message), "{expression}: {error}");
    }
}

proptest! {
    /// The statistic of whole numbers is that of the textbook's formula, and its sign that of b.
    #[test]
    fn z_is_that_of_the_textbook(
        trials_a in 1..100_000i64, trials_b in 1..100_000i64, share_a in 0.0..1.0f64, share_b in 0.0..1.0f64,
    ) {
        let successes = |trials: i64, share: f64| (trials as f64 * share).round() as i64;
        let a = Sample { successes: successes(trials_a, share_a), trials: trials_a };
        let b = Sample { successes: successes(trials_b, share_b), trials: trials_b };
        let (n, m) = (trials_a as f64, trials_b as f64);
        let (p_a, p_b) = (a.successes as f64 / n, b.successes as f64 / m);
        let pooled = (a.successes + b.successes) as f64 / (n + m);
        let textbook = (p_b - p_a) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        match z_statistic(a, b) {
            None => prop_assert!(pooled == 0.0 || pooled == 1.0),
            Some(z) => {
                prop_assert!((z - textbook).abs() <= 1e-9 * (1.0 + textbook.abs()), "{z} {textbook}");
                prop_assert_eq!(z_statistic(b, a), Some(-z));
                prop_assert!((0.0..=1.0).contains(&two_sided_p_value(z)));
            }
        }
    }

    /// With one degree of freedom the two tests are the same: chi-square is z squared.
    #[test]
    fn one_degree_is_the_normal_distribution(z in 0.0..37.0f64) {
        let (one, two) = (upper_tail(z * z, 1), two_sided_p_value(z));
        prop_assert!((one - two).abs() <= 2e-12 * two, "{one:e} {two:e}");
    }
}

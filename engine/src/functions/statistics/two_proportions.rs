//! `two_proportion_z` and `two_proportion_p_value`: whether two shares differ by more than chance.
//!
//! The z-test with the pooled share, two-sided: NIST/SEMATECH e-Handbook of Statistical Methods,
//! section 7.3.3. With a of n and b of m trials successful,
//!
//! ```text
//! z = (b/m − a/n) / √( p (1 − p) (1/n + 1/m) ),   p = (a + b) / (n + m)
//! p-value = erfc(|z| / √2)
//! ```
//!
//! The same in whole numbers, which is computed here, has no difference of rounded shares in it:
//! `z = (b n − a m) √( (n + m) / (n m (a + b) (n + m − a − b)) )`.

use std::f64::consts::FRAC_1_SQRT_2;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{count_type, evaluate, wrong_arguments};
use super::section;

/// Names of the arguments.
const ARGUMENTS: [&str; 4] = ["successes_a", "trials_a", "successes_b", "trials_b"];

/// What of the test is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Figure {
    /// The statistic.
    Z,
    /// The probability of a statistic at least as far from 0 where the shares are equal.
    PValue,
}

/// The two functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TwoProportions {
    figure: Figure,
    signature: Signature,
    documentation: Documentation,
}

impl TwoProportions {
    pub(super) fn new(figure: Figure) -> Self {
        let (name, description) = match figure {
            Figure::Z => (
                "two_proportion_z",
                "Statistic of the two-proportion z-test with the pooled share, positive where the share of b \
                 is greater. NULL if a or b has no trials, or if none or all of the trials were successful.",
            ),
            Figure::PValue => (
                "two_proportion_p_value",
                "Two-sided p-value of the two-proportion z-test with the pooled share: how likely shares that \
                 are equal differ at least as much by chance. NULL if a or b has no trials, or if none or all \
                 of the trials were successful.",
            ),
        };
        let syntax = format!("{name}({})", ARGUMENTS.join(", "));
        let example = format!("SELECT {name}(200, 1000, 250, 1000);");
        let documentation = Documentation::builder(section(), description, syntax)
            .with_sql_example(example)
            .with_argument(ARGUMENTS[0], "How many trials of a were successful")
            .with_argument(ARGUMENTS[1], "How many trials a had")
            .with_argument(ARGUMENTS[2], "How many trials of b were successful")
            .with_argument(ARGUMENTS[3], "How many trials b had")
            .build();
        Self { figure, signature: Signature::user_defined(Volatility::Immutable), documentation }
    }

    fn evaluate_row(&self, a: Sample, b: Sample) -> Result<Option<f64>> {
        for (sample, name) in [(a, "a"), (b, "b")] {
            if sample.successes < 0 || sample.successes > sample.trials {
                return exec_err!(
                    "{}: {name} cannot have {} successes in {} trials",
                    self.name(),
                    sample.successes,
                    sample.trials
                );
            }
        }
        let z = z_statistic(a, b);
        Ok(match self.figure {
            Figure::Z => z,
            Figure::PValue => z.map(two_sided_p_value),
        })
    }
}

impl ScalarUDFImpl for TwoProportions {
    fn name(&self) -> &str {
        match self.figure {
            Figure::Z => "two_proportion_z",
            Figure::PValue => "two_proportion_p_value",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.len() != ARGUMENTS.len() {
            return plan_err!(
                "{} takes four counts ({}), not {}",
                self.name(),
                ARGUMENTS.join(", "),
                arguments.len()
            );
        }
        let named = ARGUMENTS.iter().zip(arguments);
        named.map(|(name, given)| count_type(self.name(), name, given)).collect()
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&arguments.args, |columns| {
            let [successes_a, trials_a, successes_b, trials_b] = columns else {
                return wrong_arguments(self.name());
            };
            let [successes_a, trials_a, successes_b, trials_b] =
                [successes_a, trials_a, successes_b, trials_b]
                    .map(|column| column.as_primitive::<Int64Type>());
            let mut results = Float64Array::builder(trials_a.len());
            for row in 0..trials_a.len() {
                let is_known = |column: &&dyn Array| column.is_valid(row);
                let columns: [&dyn Array; 4] = [successes_a, trials_a, successes_b, trials_b];
                if !columns.iter().all(is_known) {
                    results.append_null();
                    continue;
                }
                let a = Sample { successes: successes_a.value(row), trials: trials_a.value(row) };
                let b = Sample { successes: successes_b.value(row), trials: trials_b.value(row) };
                results.append_option(self.evaluate_row(a, b)?);
            }
            Ok(results.finish())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Trials, of which some were successful: `0 <= successes <= trials`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) successes: i64,
    pub(super) trials: i64,
}

/// The statistic, positive if the share of `b` is greater; `None` if no share can be told or if the
/// pooled one leaves no room for chance.
pub(super) fn z_statistic(a: Sample, b: Sample) -> Option<f64> {
    let wide = i128::from;
    let trials = wide(a.trials) + wide(b.trials);
    let successes = wide(a.successes) + wide(b.successes);
    if a.trials == 0 || b.trials == 0 || successes == 0 || successes == trials {
        return None;
    }
    let difference = wide(b.successes) * wide(a.trials) - wide(a.successes) * wide(b.trials);
    let sizes = a.trials as f64 * b.trials as f64;
    let outcomes = successes as f64 * (trials - successes) as f64;
    Some(difference as f64 * (trials as f64 / sizes / outcomes).sqrt())
}

/// The probability that a standard normal variable is at least as far from 0 as `z`.
pub(super) fn two_sided_p_value(z: f64) -> f64 {
    libm::erfc(z.abs() * FRAC_1_SQRT_2)
}

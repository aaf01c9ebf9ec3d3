//! `chi_square_even` and `chi_square_p_value`: whether counts are an even split but for chance.
//!
//! Pearson's goodness of fit: NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.5.15.

mod tail;

use arrow::array::{Array, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

use super::arguments::{count_type, evaluate, wrong_arguments};
use super::section;
pub(super) use tail::upper_tail;

/// More degrees of freedom are refused: up to here the tail is precise to twelve digits.
const MAX_DEGREES: i64 = 1_000_000;

/// `chi_square_even(counts)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ChiSquareEven {
    signature: Signature,
    documentation: Documentation,
}

impl ChiSquareEven {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            section(),
            "Chi-square statistic of counts against an even split: the sum of (count - mean)^2 / mean. Its \
             degrees of freedom are one less than there are counts. NULL for fewer than two counts, if one \
             of them is NULL, and if all are 0.",
            "chi_square_even(counts)",
        )
        .with_sql_example("SELECT chi_square_even([5100, 4900]);")
        .with_argument("counts", "An array of whole numbers, such as the players of each variant")
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl ScalarUDFImpl for ChiSquareEven {
    fn name(&self) -> &str {
        "chi_square_even"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [counts] = arguments else {
            return plan_err!(
                "chi_square_even takes one array of counts, not {} arguments",
                arguments.len()
            );
        };
        match counts {
            DataType::Null => {}
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                count_type(self.name(), "each count", item.data_type())?;
            }
            other => {
                return plan_err!(
                    "chi_square_even takes an array of counts, not {other}: [count_a, count_b]"
                );
            }
        }
        let item = Field::new_list_field(DataType::Int64, true);
        Ok(vec![DataType::List(Arc::new(item))])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&arguments.args, |columns| {
            let [lists] = columns else { return wrong_arguments(self.name()) };
            let lists = lists.as_list::<i32>();
            let mut results = Float64Array::builder(lists.len());
            for row in 0..lists.len() {
                let statistic = if lists.is_null(row) {
                    None
                } else {
                    even_statistic(lists.value(row).as_primitive::<Int64Type>())?
                };
                results.append_option(statistic);
            }
            Ok(results.finish())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The statistic of one array. With k counts and their total t, (count − t/k)² / (t/k) is
/// (k count − t)² / (k t), whose difference is exact.
fn even_statistic(counts: &Int64Array) -> Result<Option<f64>> {
    if counts.len() < 2 || counts.null_count() > 0 {
        return Ok(None);
    }
    let mut total: i128 = 0;
    for &count in counts.values() {
        if count < 0 {
            return exec_err!("chi_square_even: {count} cannot be a count");
        }
        total += i128::from(count);
    }
    if total == 0 {
        return Ok(None);
    }
    let kinds = counts.len() as i128;
    let squares = counts.values().iter().map(|&count| {
        let difference = (kinds * i128::from(count) - total) as f64;
        difference * difference
    });
    Ok(Some(squares.sum::<f64>() / kinds as f64 / total as f64))
}

/// `chi_square_p_value(statistic, degrees_of_freedom)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ChiSquarePValue {
    signature: Signature,
    documentation: Documentation,
}

impl ChiSquarePValue {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            section(),
            "Probability that a chi-square variable with so many degrees of freedom (1 to 1000000) is at \
             least as great as the statistic: the p-value of a chi-square test.",
            "chi_square_p_value(statistic, degrees_of_freedom)",
        )
        .with_sql_example("SELECT chi_square_p_value(chi_square_even([5100, 4900]), 1);")
        .with_argument("statistic", "The statistic of the test, a number from 0 on")
        .with_argument(
            "degrees_of_freedom",
            "For counts against an even split: how many counts there are, less one",
        )
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl ScalarUDFImpl for ChiSquarePValue {
    fn name(&self) -> &str {
        "chi_square_p_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [statistic, degrees] = arguments else {
            return plan_err!(
                "chi_square_p_value takes a statistic and its degrees of freedom, not {} arguments",
                arguments.len()
            );
        };
        if !(statistic.is_numeric() || statistic.is_null()) {
            return plan_err!(
                "the statistic of chi_square_p_value is a number (DOUBLE), not {statistic}"
            );
        }
        let degrees = count_type(self.name(), "degrees_of_freedom", degrees)?;
        Ok(vec![DataType::Float64, degrees])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&arguments.args, |columns| {
            let [statistics, degrees] = columns else { return wrong_arguments(self.name()) };
            let statistics = statistics.as_primitive::<Float64Type>();
            let degrees = degrees.as_primitive::<Int64Type>();
            let rows = statistics.iter().zip(degrees);
            rows.map(|row| match row {
                (Some(statistic), Some(degrees)) => p_value(statistic, degrees).map(Some),
                _ => Ok(None),
            })
            .collect()
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn p_value(statistic: f64, degrees: i64) -> Result<f64> {
    if statistic.is_nan() || statistic < 0.0 {
        return exec_err!(
            "chi_square_p_value: the statistic is a number from 0 on, not {statistic}"
        );
    }
    if !(1..=MAX_DEGREES).contains(&degrees) {
        return exec_err!(
            "chi_square_p_value: there are 1 to {MAX_DEGREES} degrees of freedom, not {degrees}"
        );
    }
    Ok(upper_tail(statistic, degrees))
}

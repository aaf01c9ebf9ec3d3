//! Conditions as arguments, up to 32 of them: which of them a row meets is one number.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};

/// Most conditions of one call.
pub(super) const MOST_CONDITIONS: usize = 32;

/// The types that conditions are cast to.
///
/// # Errors
/// When one of them is no condition, which is then named: the first of them is `<what> 1`.
pub(super) fn condition_types(
    function: &str,
    what: &str,
    given: &[DataType],
) -> Result<Vec<DataType>> {
    let typed = given.iter().enumerate().map(|(index, given)| match given {
        DataType::Boolean | DataType::Null => Ok(DataType::Boolean),
        other => {
            let number = index + 1;
            plan_err!("{what} {number} of {function} is a condition (BOOLEAN), not {other}")
        }
    });
    typed.collect()
}

/// For each row, the conditions that it meets: the first is bit 0. NULL is not met.
///
/// # Errors
/// When a column is none of conditions.
pub(super) fn met_conditions(
    conditions: &[ArrayRef],
    rows: usize,
    met: &mut Vec<u32>,
) -> Result<()> {
    met.clear();
    met.resize(rows, 0);
    for (index, condition) in conditions.iter().enumerate() {
        let Some(condition) = condition.as_boolean_opt() else {
            return exec_err!("condition {} was planned as BOOLEAN", index + 1);
        };
        let bit = 1_u32 << index;
        let is_true = match condition.nulls() {
            Some(known) => condition.values() & known.inner(),
            None => condition.values().clone(),
        };
        for row in is_true.set_indices() {
            met[row] |= bit;
        }
    }
    Ok(())
}

/// The bits of all conditions.
pub(super) fn all_conditions(count: usize) -> u32 {
    u32::MAX >> (MOST_CONDITIONS - count.clamp(1, MOST_CONDITIONS))
}

/// Whether the filter of an aggregate, if it has one, takes the row.
pub(super) fn takes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

//! The two tests of an experiment: whether its variants got players evenly, and whether they convert
//! differently. Arithmetic is in [`chi_square`] and [`two_proportions`]; here it becomes SQL.

mod arguments;
mod chi_square;
#[cfg(test)]
mod tests;
mod two_proportions;

use datafusion::logical_expr::{DocSection, ScalarUDF};

use chi_square::{ChiSquareEven, ChiSquarePValue};
use two_proportions::{Figure, TwoProportions};

/// The functions of this module.
pub(super) fn functions() -> [ScalarUDF; 4] {
    [
        ScalarUDF::from(TwoProportions::new(Figure::Z)),
        ScalarUDF::from(TwoProportions::new(Figure::PValue)),
        ScalarUDF::from(ChiSquareEven::new()),
        ScalarUDF::from(ChiSquarePValue::new()),
    ]
}

/// Where documentation lists the functions.
fn section() -> DocSection {
    DocSection { include: true, label: "Statistics", description: None }
}

//! SQL functions beyond DataFusion's, the same in models, ad-hoc queries and the API.
//!
//! | function | gives |
//! |---|---|
//! | `min_by(value, key)`, `arg_min` | the value where `key` is least |
//! | `max_by(value, key)`, `arg_max` | the value where `key` is greatest |
//! | `percentile_cont(p) WITHIN GROUP (ORDER BY value)`, `quantile_cont` | exact percentile |
//! | `two_proportion_z(…)`, `two_proportion_p_value(…)` | whether two shares differ |
//! | `chi_square_even(counts)` | how far counts are from an even split |
//! | `chi_square_p_value(statistic, degrees_of_freedom)` | how likely that is by chance |

mod constants;
mod percentile;
mod statistics;
mod value_by_key;

use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::SessionContext;

use percentile::PercentileCont;
use value_by_key::{Extreme, ValueByKey};

/// Makes the functions known to a session.
pub fn register_all(context: &SessionContext) {
    for extreme in [Extreme::Least, Extreme::Greatest] {
        context.register_udaf(AggregateUDF::from(ValueByKey::new(extreme)));
    }
    context.register_udaf(AggregateUDF::from(PercentileCont::new()));
    for function in statistics::functions() {
        context.register_udf(function);
    }
}

#[cfg(test)]
mod tests;

//! SQL functions beyond DataFusion's, the same in models, ad-hoc queries and the API.
//!
//! | function | gives |
//! |---|---|
//! | `min_by(value, key)`, `arg_min` | the value where `key` is least |
//! | `max_by(value, key)`, `arg_max` | the value where `key` is greatest |
//! | `window_funnel(window, time, step1, step2, …)` | how many steps were taken in their order |
//! | `retention(condition1, condition2, …)` | which conditions those meet who met the first |
//! | `sessionize(time, gap) OVER (…)` | the number of the session, from 1 |
//! | `percentile_cont(p) WITHIN GROUP (ORDER BY value)`, `quantile_cont` | exact percentile |
//! | `two_proportion_z(…)`, `two_proportion_p_value(…)` | whether two shares differ |
//! | `chi_square_even(counts)` | how far counts are from an even split |
//! | `chi_square_p_value(statistic, degrees_of_freedom)` | how likely that is by chance |

mod conditions;
mod constants;
mod percentile;
mod retention;
mod sessionize;
mod spans;
mod statistics;
mod value_by_key;
mod window_funnel;

use datafusion::logical_expr::{AggregateUDF, DocSection, WindowUDF};
use datafusion::prelude::SessionContext;

use percentile::PercentileCont;
use retention::Retention;
use sessionize::Sessionize;
use value_by_key::{Extreme, ValueByKey};
use window_funnel::WindowFunnel;

/// Makes the functions known to a session.
pub fn register_all(context: &SessionContext) {
    for extreme in [Extreme::Least, Extreme::Greatest] {
        context.register_udaf(AggregateUDF::from(ValueByKey::new(extreme)));
    }
    context.register_udaf(AggregateUDF::from(PercentileCont::new()));
    context.register_udaf(AggregateUDF::from(WindowFunnel::new()));
    context.register_udaf(AggregateUDF::from(Retention::new()));
    context.register_udwf(WindowUDF::from(Sessionize::new()));
    for function in statistics::functions() {
        context.register_udf(function);
    }
}

/// Where documentation lists the functions about what players do.
fn player_section() -> DocSection {
    DocSection { include: true, label: "Player Functions", description: None }
}

#[cfg(test)]
mod tests;

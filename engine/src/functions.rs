//! SQL functions beyond DataFusion's, the same in models, ad-hoc queries and the API.
//!
//! | function | gives |
//! |---|---|
//! | `min_by(value, key)`, `arg_min` | the value where `key` is least |
//! | `max_by(value, key)`, `arg_max` | the value where `key` is greatest |

mod value_by_key;

use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::SessionContext;

use value_by_key::{Extreme, ValueByKey};

/// Makes the functions known to a session.
pub fn register_all(context: &SessionContext) {
    for extreme in [Extreme::Least, Extreme::Greatest] {
        context.register_udaf(AggregateUDF::from(ValueByKey::new(extreme)));
    }
}

#[cfg(test)]
mod tests;

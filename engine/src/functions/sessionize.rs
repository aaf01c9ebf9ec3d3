//! `sessionize(time, gap) OVER (PARTITION BY player ORDER BY time)`: the number of the session, from 1.
//!
//! For games that send no session_id: a row that comes more than the gap after the one before it begins
//! a new session; one that comes exactly the gap after does not. Rows without a time have no session and
//! do not end one.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, Expr, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;

use super::constants::constant;
use super::player_section;
use super::spans::{Span, check_span, time_type, time_unit};

/// How messages name the arguments. A quoted name is found in the file of a model.
const TIME: &str = "the time of `sessionize`";
const GAP: &str = "the gap of `sessionize`";

/// The window function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sessionize {
    signature: Signature,
    documentation: Documentation,
}

impl Sessionize {
    pub(super) fn new() -> Self {
        let documentation = Documentation::builder(
            player_section(),
            "The number of the session that a row belongs to, from 1: a row more than the gap after the one \
             before it begins a new session. NULL where the time is NULL.",
            "sessionize(time, gap) OVER (PARTITION BY player ORDER BY time)",
        )
        .with_sql_example(
            "SELECT player_id, event_time, sessionize(event_time, INTERVAL '30 minutes') \
             OVER (PARTITION BY player_id ORDER BY event_time) AS session FROM events.envelope;",
        )
        .with_argument("time", "When it happened (TIMESTAMP or DATE), by which the rows are in order")
        .with_argument(
            "gap",
            "The longest pause within a session: an INTERVAL of days and smaller units, or a number of \
             seconds; the same for all rows",
        )
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl WindowUDFImpl for Sessionize {
    fn name(&self) -> &str {
        "sessionize"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [time, gap] = arguments else {
            return plan_err!(
                "sessionize takes a time and a gap: sessionize(event_time, INTERVAL '30 minutes') \
                 OVER (PARTITION BY player_id ORDER BY event_time)"
            );
        };
        Ok(vec![time_type(TIME, time)?, Span::type_of(GAP, gap)?])
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> Result<FieldRef> {
        let time = arguments.get_input_field(0);
        let is_nullable = time.is_none_or(|time| time.is_nullable());
        Ok(Arc::new(Field::new(arguments.name(), DataType::Int64, is_nullable)))
    }

    /// Only the time is asked for in each row.
    fn expressions(&self, arguments: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        arguments.input_exprs().iter().take(1).cloned().collect()
    }

    fn partition_evaluator(
        &self,
        arguments: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let (Some(time), Some(gap)) =
            (arguments.input_fields().first(), arguments.input_exprs().get(1))
        else {
            return exec_err!("sessionize was planned with a time and a gap");
        };
        let unit = time_unit(TIME, time.data_type())?;
        let gap = Span::new(GAP, &constant(gap, GAP)?)?.in_units(unit);
        Ok(Box::new(Sessions { gap, unit, last: None, number: 0 }))
    }

    /// Nothing becomes simpler; but the gap's value, and whether the rows are in order, is known here
    /// first.
    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        Some(Box::new(|call: WindowFunction, _| {
            if let Some(gap) = call.params.args.get(1) {
                check_span(GAP, gap)?;
            }
            if call.params.order_by.is_empty() {
                return plan_err!(
                    "`sessionize` needs its rows in the order of the time: \
                     OVER (PARTITION BY player_id ORDER BY event_time)"
                );
            }
            Ok(Expr::from(call))
        }))
    }

    /// A row's session depends on no later row.
    fn limit_effect(&self, _arguments: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The sessions of one partition so far.
#[derive(Debug)]
struct Sessions {
    /// The longest pause, in the unit of times.
    gap: i64,
    unit: TimeUnit,
    last: Option<i64>,
    number: i64,
}

impl Sessions {
    /// The session of the next row.
    fn next(&mut self, time: i64) -> Result<i64> {
        match self.last {
            Some(last) if time < last => {
                return exec_err!(
                    "sessionize needs its rows in the order of the time, ascending: \
                     OVER (PARTITION BY player_id ORDER BY event_time)"
                );
            }
            Some(last) if time.saturating_sub(last) <= self.gap => {}
            _ => self.number += 1,
        }
        self.last = Some(time);
        Ok(self.number)
    }

    /// The time in a row; NULL if it is.
    fn time(&self, times: &ArrayRef, row: usize) -> Option<i64> {
        if times.is_null(row) {
            return None;
        }
        Some(match self.unit {
            TimeUnit::Second => times.as_primitive::<TimestampSecondType>().value(row),
            TimeUnit::Millisecond => times.as_primitive::<TimestampMillisecondType>().value(row),
            TimeUnit::Microsecond => times.as_primitive::<TimestampMicrosecondType>().value(row),
            TimeUnit::Nanosecond => times.as_primitive::<TimestampNanosecondType>().value(row),
        })
    }
}

impl PartitionEvaluator for Sessions {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let [times, ..] = values else {
            return exec_err!("sessionize was planned with a time");
        };
        let times = arrow::compute::cast(times, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        let mut numbers = Int64Array::builder(num_rows);
        for time in times {
            numbers.append_option(time.map(|time| self.next(time)).transpose()?);
        }
        Ok(Arc::new(numbers.finish()))
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let [times, ..] = values else {
            return exec_err!("sessionize was planned with a time");
        };
        let time = self.time(times, range.start);
        Ok(ScalarValue::Int64(time.map(|time| self.next(time)).transpose()?))
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }
}

//! `hot.events`: the hot store's documents as a table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::pages::{Cursor, PagedSource, PagedTable, store_error};
use super::tables::ExtraTable;
use crate::pipeline::Engine;
use crate::project::contract::{TIME_ZONE, envelope, timestamp_type};
use crate::stores::hot::{HotEvent, HotFilter, HotStore};

/// Name of the table, in the schema `hot`.
const EVENTS: &str = "events";

/// Name of the column with the raw JSON.
const DOCUMENT: &str = "document";

const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(super) fn definition() -> ExtraTable {
    ExtraTable::new(
        EVENTS,
        "The documents in the hot store, as they came: what arrived lately, without delay.",
        vec![
            (envelope::EVENT_ID, DataType::Utf8, false, "Identifier of the event"),
            (envelope::EVENT_TYPE, DataType::Utf8, false, "Its type"),
            (envelope::EVENT_TIME, timestamp_type(), false, "When it happened (UTC)"),
            (envelope::EVENT_DATE, DataType::Date32, false, "UTC day of event_time"),
            (envelope::PLAYER_ID, DataType::Utf8, false, "The player"),
            (DOCUMENT, DataType::Utf8, false, "The event's JSON; ->> reads a field of it"),
            (envelope::SOURCE_TOPIC, DataType::Utf8, false, "Physical key: topic"),
            (envelope::SOURCE_PARTITION, DataType::Int32, false, "Physical key: partition"),
            (envelope::SOURCE_OFFSET, DataType::Int64, false, "Physical key: offset"),
        ],
    )
}

pub(super) fn table(engine: &Engine) -> (&'static str, Arc<dyn TableProvider>) {
    let source = PagedSource::Hot(Arc::clone(&engine.stores.hot));
    (EVENTS, Arc::new(PagedTable::new("hot.events", source, definition().schema)))
}

/// Whether a condition leaves rows out in the store.
pub(super) fn narrows(condition: &Expr) -> bool {
    let mut filter = HotFilter::default();
    narrow(&mut filter, condition);
    filter != HotFilter::default()
}

/// What the conditions and the columns asked for mean to the store.
pub(super) fn filter(conditions: &[Expr], schema: &SchemaRef) -> HotFilter {
    let mut filter =
        HotFilter { with_documents: schema.index_of(DOCUMENT).is_ok(), ..HotFilter::default() };
    for condition in conditions {
        narrow(&mut filter, condition);
    }
    filter
}

fn narrow(filter: &mut HotFilter, condition: &Expr) {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(filter, left);
            narrow(filter, right);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (Expr::Column(column), Expr::Literal(value, _)) = (&**left, &**right) {
                compare(filter, &column.name, *op, value);
            }
        }
        Expr::Between(between) if !between.negated => {
            if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (&*between.expr, &*between.low, &*between.high)
            {
                compare(filter, &column.name, Operator::GtEq, low);
                compare(filter, &column.name, Operator::LtEq, high);
            }
        }
        Expr::InList(list) if !list.negated => {
            let Expr::Column(column) = &*list.expr else { return };
            let texts: Option<Vec<String>> = list
                .list
                .iter()
                .map(|item| match item {
                    Expr::Literal(value, _) => text(value),
                    _ => None,
                })
                .collect();
            if let (envelope::EVENT_TYPE, Some(types)) = (column.name.as_str(), texts) {
                filter.event_types.get_or_insert(types);
            }
        }
        _ => {}
    }
}

fn compare(filter: &mut HotFilter, column: &str, operator: Operator, value: &ScalarValue) {
    match (column, operator) {
        (envelope::PLAYER_ID, Operator::Eq) => {
            if let Some(player) = text(value) {
                filter.player_id.get_or_insert(player);
            }
        }
        (envelope::EVENT_TYPE, Operator::Eq) => {
            if let Some(event_type) = text(value) {
                filter.event_types.get_or_insert(vec![event_type]);
            }
        }
        (envelope::EVENT_TIME | envelope::EVENT_DATE, _) => {
            // First and last microsecond that the value stands for.
            let Some((first, last)) = moments(value) else { return };
            if matches!(operator, Operator::Eq | Operator::Gt | Operator::GtEq) {
                filter.from = Some(filter.from.map_or(first, |from| from.max(first)));
            }
            if matches!(operator, Operator::Eq | Operator::Lt | Operator::LtEq) {
                filter.through = Some(filter.through.map_or(last, |through| through.min(last)));
            }
        }
        _ => {}
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Some(text.clone()),
        _ => None,
    }
}

fn moments(value: &ScalarValue) -> Option<(i64, i64)> {
    match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Some((*micros, *micros)),
        ScalarValue::Date32(Some(day)) => {
            let first = i64::from(*day).checked_mul(MICROS_PER_DAY)?;
            Some((first, first.checked_add(MICROS_PER_DAY - 1)?))
        }
        _ => None,
    }
}

/// One page of the store as a batch.
pub(super) async fn page(
    store: &dyn HotStore,
    filter: &HotFilter,
    after: Option<Cursor>,
    schema: &SchemaRef,
) -> Result<(RecordBatch, Option<Cursor>)> {
    let page = store.scan(filter, after).await.map_err(store_error)?;
    Ok((to_batch(&page.events, schema)?, page.next))
}

fn to_batch(events: &[HotEvent], schema: &SchemaRef) -> Result<RecordBatch> {
    let texts = |value: &dyn Fn(&HotEvent) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(events.iter().map(value)))
    };
    let times = || events.iter().map(|event| event.event_time);
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match field.name().as_str() {
                envelope::EVENT_ID => texts(&|event| &event.event_id),
                envelope::EVENT_TYPE => texts(&|event| &event.event_type),
                envelope::EVENT_TIME => Arc::new(
                    TimestampMicrosecondArray::from_iter_values(times()).with_timezone(TIME_ZONE),
                ),
                envelope::EVENT_DATE => Arc::new(Date32Array::from_iter_values(
                    times().map(|time| i32::try_from(time.div_euclid(MICROS_PER_DAY)).unwrap_or(0)),
                )),
                envelope::PLAYER_ID => texts(&|event| &event.player_id),
                DOCUMENT => texts(&|event| &event.document),
                envelope::SOURCE_TOPIC => texts(&|event| &event.key.topic),
                envelope::SOURCE_PARTITION => {
                    let partitions = events.iter().map(|event| event.key.partition);
                    Arc::new(Int32Array::from_iter_values(partitions))
                }
                _ => {
                    let offsets = events.iter().map(|event| event.key.offset);
                    Arc::new(Int64Array::from_iter_values(offsets))
                }
            }
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(events.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn conditions_reach_the_store() {
        let day = |day| lit(ScalarValue::Date32(Some(day)));
        let conditions = [
            col("player_id").eq(lit("p1")),
            col("event_date").gt_eq(day(1)).and(col("event_date").lt(day(3))),
            col("event_type").in_list(vec![lit("purchase"), lit("level_end")], false),
        ];
        let schema = definition().schema;
        let found = filter(&conditions, &schema);
        assert_eq!(
            found,
            HotFilter {
                player_id: Some("p1".to_owned()),
                event_types: Some(vec!["purchase".to_owned(), "level_end".to_owned()]),
                from: Some(MICROS_PER_DAY),
                through: Some(4 * MICROS_PER_DAY - 1),
                with_documents: true,
            }
        );
        let narrow = Arc::new(schema.project(&[0]).unwrap());
        assert!(!filter(&[], &narrow).with_documents);
        assert!(!narrows(&col("document").eq(lit("x"))));
        assert!(!narrows(&col("player_id").eq(lit("a")).or(col("player_id").eq(lit("b")))));
    }
}

//! Rows given by a test as record batches: what a row does not name is filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;

use crate::catalog::events::envelope_schema;
use crate::project::contract::{TIME_ZONE, envelope, topic_type};

/// Microseconds of a day.
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Noon of 2026-01-01: the time of events that name none, and a second more for each.
const FIRST_TIME: i64 = (20_454 * MICROS_PER_DAY) + MICROS_PER_DAY / 2;

/// The player of events that name none.
const PLAYER: &str = "player";

/// The topic of the events.
const TOPIC: &str = "test";

/// A row by columns.
pub(super) type Row = BTreeMap<String, ScalarValue>;

/// What an event's envelope does not name. `number` counts the events of the test from 1.
pub(super) fn fill_envelope(row: &mut Row, number: i64) {
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let mut fill = |column: &str, value: ScalarValue| {
        row.entry(column.to_owned()).or_insert(value);
    };
    fill(envelope::EVENT_ID, text(&format!("event-{number}")));
    fill(envelope::PLAYER_ID, text(PLAYER));
    fill(envelope::EVENT_TIME, micros(FIRST_TIME + number * 1_000_000));
    fill(envelope::SOURCE_PARTITION, ScalarValue::Int32(Some(0)));
    fill(envelope::SOURCE_OFFSET, ScalarValue::Int64(Some(number)));
    let time = match row.get(envelope::EVENT_TIME) {
        Some(ScalarValue::TimestampMicrosecond(Some(time), _)) => *time,
        _ => FIRST_TIME,
    };
    let day = i32::try_from(time.div_euclid(MICROS_PER_DAY)).unwrap_or_default();
    row.insert(envelope::EVENT_DATE.to_owned(), ScalarValue::Date32(Some(day)));
    row.entry(envelope::RECEIVED_AT.to_owned()).or_insert(micros(time));
}

fn micros(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some(TIME_ZONE.into()))
}

/// A value for a column that is never NULL and is not named.
pub(super) fn neutral(data_type: &DataType) -> ScalarValue {
    match data_type {
        DataType::Utf8 => ScalarValue::Utf8(Some(String::new())),
        DataType::Boolean => ScalarValue::Boolean(Some(false)),
        DataType::Timestamp(..) => micros(FIRST_TIME),
        DataType::Date32 => ScalarValue::Date32(Some((FIRST_TIME / MICROS_PER_DAY) as i32)),
        number => ScalarValue::new_zero(number).unwrap_or(ScalarValue::Null),
    }
}

/// The rows as a batch: NULL where a row names no value and the column may be NULL.
pub(super) fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = if *field.data_type() == topic_type() {
            cast(&StringArray::from(vec![TOPIC; rows.len()]), field.data_type())?
        } else if rows.is_empty() {
            new_empty_array(field.data_type())
        } else {
            let values = rows.iter().map(|row| match row.get(field.name()) {
                Some(value) if !value.is_null() => value.clone(),
                _ if field.is_nullable() => {
                    ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null)
                }
                _ => neutral(field.data_type()),
            });
            ScalarValue::iter_to_array(values).map_err(ArrowError::from)?
        };
        columns.push(column);
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// The events of all types in `events.envelope`.
pub(super) fn envelope_batch(rows: &[(String, Row)]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Row> = rows
        .iter()
        .map(|(event_type, row)| {
            let mut row = row.clone();
            row.entry(envelope::EVENT_TYPE.to_owned())
                .or_insert_with(|| ScalarValue::Utf8(Some(event_type.clone())));
            row
        })
        .collect();
    batch(&envelope_schema(), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gets_what_it_does_not_name() {
        let mut row = Row::new();
        row.insert("player_id".to_owned(), ScalarValue::Utf8(Some("ana".to_owned())));
        fill_envelope(&mut row, 3);
        let batch = envelope_batch(&[("purchase".to_owned(), row)]).unwrap();
        let text = |name: &str| {
            let column = batch.column_by_name(name).unwrap();
            ScalarValue::try_from_array(column, 0).unwrap().to_string()
        };
        assert_eq!(text("player_id"), "ana");
        assert_eq!(text("event_id"), "event-3");
        assert_eq!(text("event_type"), "purchase");
        assert_eq!(text("event_date"), "2026-01-01");
        assert_eq!(text("event_time"), text("received_at"));
        assert_eq!(text("source_topic"), "test");
        assert!(batch.column_by_name("platform").unwrap().is_null(0));
    }
}

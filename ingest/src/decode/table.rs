//! The rows of one event type while they are gathered.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use questlake_engine::project::contract::{EventContract, TIME_ZONE, envelope};

use super::columns::{Column, TextColumn, TextValues, take};
use super::fault::{Fault, Parsed};
use super::names::{NameTable, Prediction};
use super::property::{PropertySpec, Scratch, UnknownField, read_property};
use super::reason::RejectReason;
use super::scan::{Content, TextSpan};
use super::time::MICROS_PER_DAY;
use super::value::{check_unique, duplicate_key};
use super::walk::{NextKey, next_key};
use super::{DecodeLimits, DecodedTable, RawRecords};

/// Key in `extra` that unknown top-level fields are kept under.
pub(super) const UNKNOWN_ENVELOPE: &str = "$envelope";

/// The envelope of one record, as the table stores it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnvelopeRow {
    pub(super) event_time: i64,
    /// `event_id`, `player_id`, `session_id`, `game`, `platform`, `app_version`.
    pub(super) texts: [TextSpan; 6],
    pub(super) country: Option<[u8; 2]>,
}

/// Builders of one event type.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) contract: Arc<EventContract>,
    properties: Vec<Column>,
    specs: Vec<PropertySpec>,
    names: NameTable,
    /// Which property comes next: at the start, behind each property, behind an unknown one.
    predictions: Vec<Prediction>,
    event_times: Vec<i64>,
    texts: [TextColumn; 6],
    country: TextColumn,
    extra: TextColumn,
    /// Index of each row's record in the batch.
    records: Vec<u32>,
}

impl Table {
    pub(super) fn new(contract: Arc<EventContract>, limits: &DecodeLimits) -> Self {
        let columns = &contract.columns;
        Self {
            properties: columns.iter().map(|column| Column::new(column.column_type)).collect(),
            specs: columns
                .iter()
                .map(|column| PropertySpec {
                    column_type: column.column_type,
                    nullable: column.nullable,
                    depth: limits.max_depth.saturating_sub(2),
                })
                .collect(),
            names: NameTable::new(columns.iter().map(|column| column.name.as_str())),
            predictions: vec![Prediction::default(); columns.len() + 2],
            contract,
            event_times: Vec::new(),
            texts: Default::default(),
            country: TextColumn::default(),
            extra: TextColumn::default(),
            records: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.records.len()
    }

    /// Reads the object whose inside starts at `position` as the next row's properties. Returns
    /// the position behind the object.
    pub(super) fn read_properties(
        &mut self,
        bytes: &[u8],
        mut position: usize,
        limits: &DecodeLimits,
        scratch: &mut Scratch,
    ) -> Parsed<usize> {
        let row = self.records.len();
        let mut previous = 0;
        let mut is_first = true;
        loop {
            if bytes.get(position) == Some(&b'}') {
                return Ok(position + 1);
            }
            let prediction = &self.predictions[previous];
            let property = if let Some(value) = prediction.check(bytes, position) {
                position = value;
                usize::from(prediction.field)
            } else {
                match next_key(bytes, position, is_first, &mut scratch.arena)? {
                    NextKey::End(end) => return Ok(end),
                    NextKey::Key { name, source_name, value } => {
                        let text = name.resolve(bytes, &scratch.arena);
                        is_first = false;
                        let Some(property) = self.names.find(text) else {
                            check_not_reserved(text)?;
                            let depth = limits.max_depth.saturating_sub(2);
                            let end = scratch
                                .checker
                                .skip_value(bytes, value, depth, Content::Checked)
                                .map_err(|fault| fault.at_field(&property_path(text)))?;
                            let value = (value, end);
                            scratch.unknown_properties.push(UnknownField {
                                name,
                                source_name,
                                value,
                            });
                            position = end;
                            previous = self.properties.len() + 1;
                            continue;
                        };
                        if !name.has_escapes() {
                            self.predictions[previous] =
                                Prediction::learn(&bytes[position..value], property);
                        }
                        position = value;
                        property
                    }
                }
            };
            is_first = false;
            let column = &mut self.properties[property];
            if column.rows() != row {
                return Err(duplicate_key(self.contract.columns[property].name.as_bytes()));
            }
            position = match read_property(column, self.specs[property], bytes, position, scratch) {
                Ok(end) => end,
                Err(fault) => {
                    let name = self.contract.columns[property].name.as_bytes();
                    return Err(fault.at_field(&property_path(name)));
                }
            };
            previous = property + 1;
        }
    }

    /// Ends the row: absent properties become null, and the envelope is stored.
    pub(super) fn end_row(
        &mut self,
        record: u32,
        envelope: &EnvelopeRow,
        bytes: &[u8],
        limits: &DecodeLimits,
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let row = self.records.len();
        for (property, column) in self.properties.iter_mut().enumerate() {
            if column.rows() == row {
                if !self.specs[property].nullable {
                    let name = &self.contract.columns[property].name;
                    return Err(Fault::new(
                        RejectReason::MissingField,
                        format!("properties.{name} is missing, but the contract says NOT NULL"),
                    ));
                }
                column.push_null();
            }
        }
        self.end_extra(bytes, limits, scratch)?;
        for (column, text) in self.texts.iter_mut().zip(envelope.texts) {
            if text.is_absent() {
                column.push_null();
            } else {
                let source = text.source(bytes, &scratch.arena);
                column.values.push_range(source, text.start(), text.end());
            }
        }
        if let Some(country) = envelope.country {
            self.country.values.push_piece(&country);
            self.country.values.end_text();
        } else {
            self.country.push_null();
        }
        self.event_times.push(envelope.event_time);
        self.records.push(record);
        Ok(())
    }

    /// Writes the unknown fields as one JSON object, or null if there are none.
    #[inline(always)]
    fn end_extra(
        &mut self,
        bytes: &[u8],
        limits: &DecodeLimits,
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        if scratch.unknown_fields.is_empty() && scratch.unknown_properties.is_empty() {
            self.extra.push_null();
            return Ok(());
        }
        self.write_extra(bytes, limits, scratch)
    }

    #[inline(never)]
    fn write_extra(
        &mut self,
        bytes: &[u8],
        limits: &DecodeLimits,
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let count = scratch.unknown_fields.len() + scratch.unknown_properties.len();
        if count > limits.max_unknown_fields {
            return Err(Fault::new(
                RejectReason::TooManyFields,
                format!("{count} unknown fields, more than {}", limits.max_unknown_fields),
            ));
        }
        for fields in [&scratch.unknown_fields, &scratch.unknown_properties] {
            scratch.names.clear();
            scratch.names.extend(fields.iter().map(|field| field.name));
            check_unique(&mut scratch.names, bytes, &scratch.arena)?;
        }
        let extra = &mut self.extra.values;
        extra.push_piece(b"{");
        if !scratch.unknown_fields.is_empty() {
            extra.push_piece(b"\"");
            extra.push_piece(UNKNOWN_ENVELOPE.as_bytes());
            extra.push_piece(b"\":{");
            for (index, field) in scratch.unknown_fields.iter().enumerate() {
                write_field(extra, index == 0, *field, bytes);
            }
            extra.push_piece(b"}");
        }
        for (index, field) in scratch.unknown_properties.iter().enumerate() {
            write_field(extra, index == 0 && scratch.unknown_fields.is_empty(), *field, bytes);
        }
        extra.push_piece(b"}");
        extra.end_text();
        Ok(())
    }

    /// Forgets what the row that was begun has left behind.
    pub(super) fn cut_back(&mut self) {
        let rows = self.records.len();
        for column in &mut self.properties {
            column.truncate(rows);
        }
        for column in self.texts.iter_mut().chain([&mut self.country, &mut self.extra]) {
            column.truncate(rows);
        }
        self.event_times.truncate(rows);
    }

    /// Takes the rows as a record batch. On an error, gives the rows' record indices with it.
    pub(super) fn take_table(
        &mut self,
        raw: &RawRecords,
        received_at: i64,
    ) -> Result<DecodedTable, (Vec<u32>, ArrowError)> {
        let records = take(&mut self.records);
        match self.take_batch(raw, received_at, &records) {
            Ok(batch) => Ok(DecodedTable { contract: self.contract.clone(), batch, records }),
            Err(error) => Err((records, error)),
        }
    }

    fn take_batch(
        &mut self,
        raw: &RawRecords,
        received_at: i64,
        records: &[u32],
    ) -> Result<RecordBatch, ArrowError> {
        let rows = records.len();
        let event_times = take(&mut self.event_times);
        // The columns are all emptied before the first error is looked at.
        let texts = self.texts.each_mut().map(TextColumn::take_array);
        let country = self.country.take_array();
        let extra = self.extra.take_array();
        let properties: Vec<_> = self.properties.iter_mut().map(Column::take_array).collect();

        let spans = records.iter().map(|record| &raw.records[*record as usize]);
        let dates: Vec<i32> =
            event_times.iter().map(|time| time.div_euclid(MICROS_PER_DAY) as i32).collect();
        let timestamps = |values: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(values).with_timezone(TIME_ZONE))
        };
        let topic = DictionaryArray::<Int32Type>::try_new(
            Int32Array::from(vec![0; rows]),
            Arc::new(StringArray::from(vec![&*raw.topic])),
        )?;

        let [event_id, player_id, session_id, game, platform, app_version] = texts;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.contract.schema.fields().len());
        columns.extend([event_id?, timestamps(event_times), player_id?, session_id?]);
        columns.extend([game?, platform?, country?, app_version?]);
        for property in properties {
            columns.push(property?);
        }
        columns.extend([
            extra?,
            timestamps(vec![received_at; rows]),
            Arc::new(Date32Array::from(dates)),
            Arc::new(topic),
            Arc::new(Int32Array::from_iter_values(spans.clone().map(|span| span.partition))),
            Arc::new(Int64Array::from_iter_values(spans.map(|span| span.offset))),
        ]);
        RecordBatch::try_new(self.contract.schema.clone(), columns)
    }
}

fn write_field(extra: &mut TextValues, is_first: bool, field: UnknownField, bytes: &[u8]) {
    if !is_first {
        extra.push_piece(b",");
    }
    extra.push_piece(b"\"");
    extra.push_piece(&bytes[field.source_name.0..field.source_name.1]);
    extra.push_piece(b"\":");
    extra.push_piece(&bytes[field.value.0..field.value.1]);
}

#[cold]
#[inline(never)]
fn property_path(name: &[u8]) -> String {
    format!("{}.{}", envelope::PROPERTIES, super::fault::echo(name))
}

/// Refuses a property that would stand beside Questlake's own key in `extra`.
fn check_not_reserved(name: &[u8]) -> Parsed<()> {
    if name != UNKNOWN_ENVELOPE.as_bytes() {
        return Ok(());
    }
    Err(Fault::new(
        RejectReason::ReservedKey,
        format!("properties.{UNKNOWN_ENVELOPE}: Questlake keeps unknown fields under this name"),
    ))
}

//! Reading one record: the envelope, and through the table of its event type the properties.

use std::sync::Arc;

use questlake_engine::project::contract::{EventContract, envelope};

use super::DecodeLimits;
use super::fault::{Fault, Parsed, echo};
use super::names::{NameTable, Prediction};
use super::property::{Scratch, UnknownField, no_timestamp, read_timestamp};
use super::reason::RejectReason;
use super::scan::{Content, TextSpan, read_string, skip_whitespace};
use super::table::{EnvelopeRow, Table};
use super::time::is_event_time;
use super::value::{duplicate_key, is_literal};
use super::walk::{NextKey, next_key};

/// Longest text of an envelope field, in bytes.
pub(super) const MAX_ENVELOPE_TEXT: usize = 512;

/// The envelope's fields; those that are stored as they are come first.
const FIELDS: [&str; 10] = [
    envelope::EVENT_ID,
    envelope::PLAYER_ID,
    envelope::SESSION_ID,
    envelope::GAME,
    envelope::PLATFORM,
    envelope::APP_VERSION,
    envelope::COUNTRY,
    envelope::EVENT_TYPE,
    envelope::EVENT_TIME,
    envelope::PROPERTIES,
];
const EVENT_ID: usize = 0;
const PLAYER_ID: usize = 1;
const COUNTRY: usize = 6;
const EVENT_TYPE: usize = 7;
const EVENT_TIME: usize = 8;
const PROPERTIES: usize = 9;
/// Bit set of the fields that must be there, and not null.
const REQUIRED: u16 = 1 << EVENT_ID | 1 << PLAYER_ID | 1 << EVENT_TYPE | 1 << EVENT_TIME;
/// Number of fields whose value is a text.
const TEXT_FIELDS: usize = 8;

/// Places in an object that a prediction is kept for: the start, behind each field, and behind an
/// unknown field.
const START: usize = FIELDS.len();
const BEHIND_UNKNOWN: usize = FIELDS.len() + 1;
type Predictions = [Prediction; FIELDS.len() + 2];

/// Reads records into the tables of their event types.
#[derive(Debug)]
pub(super) struct RecordReader {
    pub(super) tables: Vec<Table>,
    event_types: NameTable,
    field_names: NameTable,
    /// Which field comes next: while the event type is not known, then for each table. Senders
    /// leave out optional fields by event type.
    predictions: Vec<Predictions>,
    pub(super) scratch: Scratch,
    limits: DecodeLimits,
}

/// What has been read of the record at hand.
struct Envelope {
    /// Bit set of the fields that were seen.
    seen: u16,
    texts: [TextSpan; TEXT_FIELDS],
    event_time: i64,
    table: Option<usize>,
    /// Where the inside of `properties` starts, if they came before the event type.
    postponed_properties: Option<usize>,
}

/// A record that cannot be a row.
pub(super) struct Refused {
    pub(super) fault: Box<Fault>,
    /// The event type, if it was read.
    pub(super) event_type: Option<String>,
}

impl RecordReader {
    pub(super) fn new(contracts: Vec<Arc<EventContract>>, limits: DecodeLimits) -> Self {
        Self {
            event_types: NameTable::new(contracts.iter().map(|c| c.event_type.as_str())),
            field_names: NameTable::new(FIELDS),
            predictions: vec![Predictions::default(); contracts.len() + 1],
            tables: contracts.into_iter().map(|contract| Table::new(contract, &limits)).collect(),
            scratch: Scratch::default(),
            limits,
        }
    }

    /// Reads the record `bytes[..length]` as one more row of its table, or leaves all tables as
    /// they are. The record is UTF-8.
    ///
    /// Bytes behind the record may be read, but never count: that spares the checks for the
    /// record's end, which the last one makes good.
    pub(super) fn read_record(
        &mut self,
        bytes: &[u8],
        length: usize,
        record: u32,
        latest_time: i64,
    ) -> Result<(), Refused> {
        self.scratch.arena.clear();
        self.scratch.unknown_fields.clear();
        self.scratch.unknown_properties.clear();
        let mut envelope = Envelope {
            seen: 0,
            texts: [TextSpan::ABSENT; TEXT_FIELDS],
            event_time: 0,
            table: None,
            postponed_properties: None,
        };
        let Err(fault) = self.read_row(bytes, length, record, latest_time, &mut envelope) else {
            return Ok(());
        };
        if let Some(table) = envelope.table {
            self.tables[table].cut_back();
        }
        let event_type = envelope.texts[EVENT_TYPE];
        let event_type =
            (!event_type.is_absent()).then(|| echo(event_type.resolve(bytes, &self.scratch.arena)));
        Err(Refused { fault, event_type })
    }

    #[inline(always)]
    fn read_row(
        &mut self,
        bytes: &[u8],
        length: usize,
        record: u32,
        latest_time: i64,
        envelope: &mut Envelope,
    ) -> Parsed<()> {
        let end = self.read_object(bytes, envelope)?;
        if end > length {
            return Err(Fault::malformed(&bytes[..length], length, "the rest of the object"));
        }
        let rest = skip_whitespace(&bytes[..length], end);
        if rest != length {
            return Err(Fault::malformed(&bytes[..length], rest, "nothing behind the object"));
        }
        if envelope.seen & REQUIRED != REQUIRED {
            return Err(missing_field(envelope.seen));
        }
        // The event type was seen, and an unknown one ends the reading at once.
        let Some(table) = envelope.table else {
            return Err(Fault::new(
                RejectReason::DecoderFault,
                "the event type has no table".to_owned(),
            ));
        };
        if envelope.event_time > latest_time {
            return Err(future_event(envelope.event_time, latest_time));
        }
        let table = &mut self.tables[table];
        if let Some(position) = envelope.postponed_properties {
            table.read_properties(bytes, position, &self.limits, &mut self.scratch)?;
        }
        let row = EnvelopeRow {
            event_time: envelope.event_time,
            texts: *envelope.texts.first_chunk().unwrap_or(&[TextSpan::ABSENT; 6]),
            country: match envelope.texts[COUNTRY] {
                TextSpan::ABSENT => None,
                text => Some(read_country(text.resolve(bytes, &self.scratch.arena))?),
            },
        };
        table.end_row(record, &row, bytes, &self.limits, &mut self.scratch)
    }

    /// Reads the record's object. Returns the position behind its closing brace.
    #[inline(always)]
    fn read_object(&mut self, bytes: &[u8], envelope: &mut Envelope) -> Parsed<usize> {
        let mut position = skip_whitespace(bytes, 0);
        match bytes.get(position) {
            Some(b'{') => position += 1,
            None => return Err(Fault::malformed(bytes, position, "an object")),
            Some(_) => {
                let mut fault = Fault::wrong_type(bytes, position, "an object");
                if fault.reason == RejectReason::WrongType {
                    fault.reason = RejectReason::NotAnObject;
                }
                return Err(fault);
            }
        }
        // Taken apart, so that what the loop needs is at hand in each turn.
        let Self { tables, event_types, field_names, predictions, scratch, limits } = self;
        let mut group = &mut predictions[0];
        let mut previous = START;
        loop {
            if bytes.get(position) == Some(&b'}') {
                return Ok(position + 1);
            }
            let prediction = &group[previous];
            let field = if let Some(value) = prediction.check(bytes, position) {
                position = value;
                usize::from(prediction.field)
            } else {
                match next_key(bytes, position, previous == START, &mut scratch.arena)? {
                    NextKey::End(end) => return Ok(end),
                    NextKey::Key { name, source_name, value } => {
                        let text = name.resolve(bytes, &scratch.arena);
                        let Some(field) = field_names.find(text) else {
                            let depth = limits.max_depth.saturating_sub(1);
                            position = skip_unknown(bytes, name, value, depth, scratch)?;
                            scratch.unknown_fields.push(UnknownField {
                                name,
                                source_name,
                                value: (value, position),
                            });
                            previous = BEHIND_UNKNOWN;
                            continue;
                        };
                        if !name.has_escapes() {
                            group[previous] = Prediction::learn(&bytes[position..value], field);
                        }
                        position = value;
                        field
                    }
                }
            };
            previous = field;
            if envelope.seen & 1 << field != 0 {
                return Err(duplicate_key(FIELDS[field].as_bytes()));
            }
            envelope.seen |= 1 << field;
            position = match field {
                EVENT_TIME => {
                    let (time, end) = read_event_time(bytes, position, scratch)?;
                    envelope.event_time = time;
                    end
                }
                PROPERTIES if bytes.get(position) == Some(&b'{') => match envelope.table {
                    Some(table) => {
                        tables[table].read_properties(bytes, position + 1, limits, scratch)?
                    }
                    None => {
                        envelope.postponed_properties = Some(position + 1);
                        let depth = limits.max_depth.saturating_sub(1);
                        scratch.checker.skip_value(bytes, position, depth, Content::Grammar)?
                    }
                },
                PROPERTIES if is_literal(bytes, position, "null") => position + 4,
                PROPERTIES => {
                    let fault = Fault::wrong_type(bytes, position, "an object");
                    return Err(fault.at_field(FIELDS[field]));
                }
                _ => {
                    let (text, end) = read_text(bytes, position, field, &mut scratch.arena)?;
                    envelope.texts[field] = text;
                    if field == EVENT_TYPE {
                        let name = text.resolve(bytes, &scratch.arena);
                        let Some(table) = event_types.find(name) else {
                            return Err(unknown_event_type(name, tables));
                        };
                        envelope.table = Some(table);
                        group = &mut predictions[table + 1];
                    }
                    end
                }
            };
        }
    }
}

/// Reads an envelope field's text; it is absent where null is allowed and stands.
#[inline(always)]
fn read_text(
    bytes: &[u8],
    position: usize,
    field: usize,
    arena: &mut Vec<u8>,
) -> Parsed<(TextSpan, usize)> {
    let is_required = REQUIRED >> field & 1 == 1;
    if bytes.get(position) != Some(&b'"') {
        if !is_required && is_literal(bytes, position, "null") {
            return Ok((TextSpan::ABSENT, position + 4));
        }
        let fault = Fault::wrong_type(bytes, position, "a string");
        return Err(required_fault(fault, bytes, position, field));
    }
    let (text, end) =
        read_string(bytes, position + 1, arena).map_err(|fault| fault.at_field(FIELDS[field]))?;
    let length = text.len();
    // Below zero wraps around, so that this tests for both bounds.
    if length.wrapping_sub(1) >= MAX_ENVELOPE_TEXT {
        if length > 0 || is_required {
            return Err(bad_length(field, length));
        }
        // Some senders write "" for what they do not know; as a session's name it would join all.
        return Ok((TextSpan::ABSENT, end));
    }
    Ok((text, end))
}

#[inline(always)]
fn read_event_time(bytes: &[u8], position: usize, scratch: &mut Scratch) -> Parsed<(i64, usize)> {
    let (time, end) = read_timestamp(bytes, position, scratch)
        .map_err(|fault| required_fault(fault, bytes, position, EVENT_TIME))?;
    if !is_event_time(time) {
        return Err(no_timestamp(bytes, position).at_field(FIELDS[EVENT_TIME]));
    }
    Ok((time, end))
}

#[inline(never)]
fn skip_unknown(
    bytes: &[u8],
    name: TextSpan,
    value: usize,
    depth: usize,
    scratch: &mut Scratch,
) -> Parsed<usize> {
    scratch
        .checker
        .skip_value(bytes, value, depth, Content::Checked)
        .map_err(|fault| fault.at_field(&echo(name.resolve(bytes, &scratch.arena))))
}

#[cold]
#[inline(never)]
fn unknown_event_type(name: &[u8], tables: &[Table]) -> Box<Fault> {
    // Close is what differs only in case, separators or a few characters at the end.
    let plain = |name: &[u8]| -> Vec<u8> {
        name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
    };
    let asked = plain(name);
    let known = tables.iter().map(|table| table.contract.event_type.as_str()).find(|known| {
        let known = plain(known.as_bytes());
        let shared = known.iter().zip(&asked).take_while(|(left, right)| left == right).count();
        shared > 0 && shared + 3 >= known.len().max(asked.len())
    });
    let hint = known.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    Fault::new(
        RejectReason::UnknownEventType,
        format!("no contract describes the event type \"{}\"{hint}", echo(name)),
    )
}

/// The fault of an envelope field whose value does not fit, which says so if that is `null`.
#[cold]
#[inline(never)]
fn required_fault(
    mut fault: Box<Fault>,
    bytes: &[u8],
    position: usize,
    field: usize,
) -> Box<Fault> {
    if is_literal(bytes, position, "null") {
        fault.reason = RejectReason::NullNotAllowed;
    }
    fault.at_field(FIELDS[field])
}

#[cold]
#[inline(never)]
fn missing_field(seen: u16) -> Box<Fault> {
    let missing = (0..FIELDS.len()).find(|field| (REQUIRED & !seen) >> field & 1 == 1);
    let name = missing.map_or("a field", |field| FIELDS[field]);
    Fault::new(RejectReason::MissingField, format!("{name} is missing"))
}

#[cold]
#[inline(never)]
fn bad_length(field: usize, length: usize) -> Box<Fault> {
    let name = FIELDS[field];
    match length {
        0 => Fault::new(RejectReason::EmptyValue, format!("{name} is empty")),
        _ => Fault::new(
            RejectReason::ValueTooLong,
            format!("{name} has {length} bytes, more than {MAX_ENVELOPE_TEXT}"),
        ),
    }
}

#[cold]
#[inline(never)]
fn future_event(event_time: i64, latest_time: i64) -> Box<Fault> {
    let hours = (event_time - latest_time) as f64 / 3_600_000_000.0;
    Fault::new(
        RejectReason::FutureEvent,
        format!("event_time is {hours:.1} hours later than events are accepted at present"),
    )
}

#[inline(always)]
fn read_country(text: &[u8]) -> Parsed<[u8; 2]> {
    match text {
        [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
            Ok([first.to_ascii_uppercase(), second.to_ascii_uppercase()])
        }
        _ => Err(Fault::new(
            RejectReason::InvalidCountry,
            format!("country \"{}\" is not two ASCII letters", echo(text)),
        )),
    }
}

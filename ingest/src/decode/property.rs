//! Reading one value into its column, by the column's type.

use questlake_engine::project::contract::ColumnType;

use super::columns::{Column, Values};
use super::fault::{Fault, Parsed, echo};
use super::number::{Excess, Misfit, Number, read_number, starts_number};
use super::reason::RejectReason;
use super::scan::{Content, TextSpan, read_string};
use super::time::{DateMemory, is_timestamp, parse_date, read_time};
use super::value::{ValueChecker, is_literal};

/// Memory that parsing one record needs, kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Decoded content of the record's strings with escapes.
    pub(super) arena: Vec<u8>,
    /// Unknown top-level fields of the record.
    pub(super) unknown_fields: Vec<UnknownField>,
    /// Unknown properties of the record.
    pub(super) unknown_properties: Vec<UnknownField>,
    /// Names of unknown fields, while they are compared.
    pub(super) names: Vec<TextSpan>,
    pub(super) checker: ValueChecker,
    pub(super) dates: DateMemory,
}

/// A field that neither envelope nor contract knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnknownField {
    /// Its name without escapes.
    pub(super) name: TextSpan,
    /// Its name in the source, between the quotes.
    pub(super) source_name: (usize, usize),
    /// Its value in the source.
    pub(super) value: (usize, usize),
}

/// Reads the value at `position` as the next row of `column`, and returns the position behind it.
///
/// `depth` is how many more levels of objects and arrays the value may have. On a fault the column
/// may hold a part of the row; the caller cuts it back.
#[inline(always)]
pub(super) fn read_property(
    column: &mut Column,
    spec: PropertySpec,
    bytes: &[u8],
    position: usize,
    scratch: &mut Scratch,
) -> Parsed<usize> {
    let Some(first) = bytes.get(position) else {
        return Err(Fault::malformed(bytes, position, "a JSON value"));
    };
    if *first == b'n' && is_literal(bytes, position, "null") {
        if !spec.nullable {
            return Err(null_not_allowed(position));
        }
        column.push_null();
        return Ok(position + 4);
    }
    let column_type = spec.column_type;
    let end = match &mut column.values {
        Values::Boolean(values) => {
            let value = *first == b't' && is_literal(bytes, position, "true");
            if !value && !is_literal(bytes, position, "false") {
                return Err(wrong_type(bytes, position, column_type));
            }
            values.push(value);
            position + if value { 4 } else { 5 }
        }
        Values::Int16(values) => {
            let (value, number) = read_integer(bytes, position, column_type)?;
            let fitting = i16::try_from(value);
            values.push(fitting.map_err(|_| too_large(number, bytes, column_type))?);
            number.end
        }
        Values::Int32(values) => {
            let (value, number) = read_integer(bytes, position, column_type)?;
            let fitting = i32::try_from(value);
            values.push(fitting.map_err(|_| too_large(number, bytes, column_type))?);
            number.end
        }
        Values::Int64(values) => {
            let (value, number) = read_integer(bytes, position, column_type)?;
            values.push(value);
            number.end
        }
        Values::Float64(values) => {
            if !starts_number(*first) {
                return Err(wrong_type(bytes, position, column_type));
            }
            let number = read_number(bytes, position)?;
            let value = number.to_f64(bytes);
            values.push(value.map_err(|misfit| number_fault(number, bytes, misfit, column_type))?);
            number.end
        }
        Values::Decimal(values) => {
            let (value, end) = read_decimal(bytes, position, column_type, &mut scratch.arena)?;
            values.push(value);
            end
        }
        Values::Text(values) if column_type == ColumnType::Json => {
            let end = scratch.checker.skip_value(bytes, position, spec.depth, Content::Checked)?;
            values.push_range(bytes, position, end);
            end
        }
        Values::Text(values) => {
            if *first != b'"' {
                return Err(wrong_type(bytes, position, column_type));
            }
            let (text, end) = read_string(bytes, position + 1, &mut scratch.arena)?;
            if let ColumnType::Text { max_chars: Some(max_chars) } = column_type {
                check_length(text.resolve(bytes, &scratch.arena), max_chars, position)?;
            }
            values.push_range(text.source(bytes, &scratch.arena), text.start(), text.end());
            end
        }
        Values::Timestamp(values) => {
            let (micros, end) = read_timestamp(bytes, position, scratch)?;
            if !is_timestamp(micros) {
                return Err(no_timestamp(bytes, position));
            }
            values.push(micros);
            end
        }
        Values::Date(values) => {
            let (days, end) = read_date(bytes, position, scratch)?;
            values.push(days);
            end
        }
    };
    column.end_row();
    Ok(end)
}

/// What a contract says about one property.
#[derive(Debug, Clone, Copy)]
pub(super) struct PropertySpec {
    pub(super) column_type: ColumnType,
    pub(super) nullable: bool,
    /// How many levels of objects and arrays its value may have.
    pub(super) depth: usize,
}

#[inline(always)]
fn read_integer(bytes: &[u8], position: usize, column_type: ColumnType) -> Parsed<(i64, Number)> {
    if !bytes.get(position).is_some_and(|byte| starts_number(*byte)) {
        return Err(wrong_type(bytes, position, column_type));
    }
    let number = read_number(bytes, position)?;
    match number.to_i64(bytes) {
        Ok(value) => Ok((value, number)),
        Err(misfit) => Err(number_fault(number, bytes, misfit, column_type)),
    }
}

#[inline(always)]
fn read_decimal(
    bytes: &[u8],
    position: usize,
    column_type: ColumnType,
    arena: &mut Vec<u8>,
) -> Parsed<(i128, usize)> {
    let precision_and_scale = match column_type {
        ColumnType::Decimal { precision, scale } => (usize::from(precision), scale.max(0) as usize),
        _ => (38, 0),
    };
    match bytes.get(position) {
        Some(first) if starts_number(*first) => {
            let number = read_number(bytes, position)?;
            match number.to_decimal(bytes, precision_and_scale, Excess::Refuse) {
                Ok(value) => Ok((value, number.end)),
                Err(misfit) => Err(number_fault(number, bytes, misfit, column_type)),
            }
        }
        Some(b'"') => read_quoted_decimal(bytes, position, column_type, precision_and_scale, arena),
        _ => Err(wrong_type(bytes, position, column_type)),
    }
}

#[inline(never)]
fn read_quoted_decimal(
    bytes: &[u8],
    position: usize,
    column_type: ColumnType,
    precision_and_scale: (usize, usize),
    arena: &mut Vec<u8>,
) -> Parsed<(i128, usize)> {
    let (text, end) = read_string(bytes, position + 1, arena)?;
    let text = text.resolve(bytes, arena);
    let Some(number) = read_number(text, 0).ok().filter(|number| number.end == text.len()) else {
        return Err(wrong_type(bytes, position, column_type));
    };
    match number.to_decimal(text, precision_and_scale, Excess::Refuse) {
        Ok(value) => Ok((value, end)),
        Err(misfit) => Err(misfit_fault(text, position, misfit, column_type)),
    }
}

/// Reads a time: an RFC 3339 string, or epoch milliseconds. Returns microseconds since 1970, of any
/// year, and the position behind the value.
#[inline(always)]
pub(super) fn read_timestamp(
    bytes: &[u8],
    position: usize,
    scratch: &mut Scratch,
) -> Parsed<(i64, usize)> {
    if bytes.get(position) == Some(&b'"')
        && let Some((micros, length)) = read_time(&bytes[position + 1..], &mut scratch.dates)
        && bytes.get(position + 1 + length) == Some(&b'"')
    {
        return Ok((micros, position + length + 2));
    }
    read_timestamp_slowly(bytes, position, scratch)
}

#[inline(never)]
fn read_timestamp_slowly(
    bytes: &[u8],
    position: usize,
    scratch: &mut Scratch,
) -> Parsed<(i64, usize)> {
    match bytes.get(position) {
        Some(first) if starts_number(*first) => {
            let number = read_number(bytes, position)?;
            // Milliseconds with three places are microseconds.
            let micros = number.to_decimal(bytes, (18, 3), Excess::Truncate);
            match micros.ok().and_then(|micros| i64::try_from(micros).ok()) {
                Some(micros) => Ok((micros, number.end)),
                None => Err(no_timestamp(bytes, position)),
            }
        }
        Some(b'"') => {
            let (text, end) = read_string(bytes, position + 1, &mut scratch.arena)?;
            let text = text.resolve(bytes, &scratch.arena);
            match read_time(text, &mut scratch.dates) {
                Some((micros, length)) if length == text.len() => Ok((micros, end)),
                _ => Err(no_timestamp(bytes, position)),
            }
        }
        _ => Err(Fault::wrong_type(bytes, position, "an RFC 3339 time or epoch milliseconds")),
    }
}

fn read_date(bytes: &[u8], position: usize, scratch: &mut Scratch) -> Parsed<(i32, usize)> {
    if bytes.get(position) != Some(&b'"') {
        return Err(wrong_type(bytes, position, ColumnType::Date));
    }
    let (text, end) = read_string(bytes, position + 1, &mut scratch.arena)?;
    let text = text.resolve(bytes, &scratch.arena);
    match <&[u8; 10]>::try_from(text).ok().and_then(parse_date) {
        Some(days) => Ok((days, end)),
        None => Err(Fault::new(
            RejectReason::InvalidTimestamp,
            format!("\"{}\" at byte {position} is not a date YYYY-MM-DD", echo(text)),
        )),
    }
}

/// The fault of a value that is a string or number, but not a time.
#[cold]
#[inline(never)]
pub(super) fn no_timestamp(bytes: &[u8], position: usize) -> Box<Fault> {
    let mut fault = Fault::wrong_type(bytes, position, "an RFC 3339 time or epoch milliseconds");
    fault.reason = RejectReason::InvalidTimestamp;
    fault
}

#[inline(always)]
fn check_length(text: &[u8], max_chars: u32, position: usize) -> Parsed<()> {
    // No text has more characters than bytes, so most need no counting.
    if text.len() <= max_chars as usize {
        return Ok(());
    }
    let is_first_byte = |byte: &&u8| **byte & 0xC0 != 0x80;
    let chars = text.iter().filter(is_first_byte).count();
    if chars <= max_chars as usize {
        return Ok(());
    }
    Err(Fault::new(
        RejectReason::ValueTooLong,
        format!(
            "the string \"{}\" at byte {position} has {chars} characters, more than {max_chars}",
            echo(text)
        ),
    ))
}

#[cold]
#[inline(never)]
fn wrong_type(bytes: &[u8], position: usize, column_type: ColumnType) -> Box<Fault> {
    Fault::wrong_type(bytes, position, &with_article(column_type))
}

#[cold]
#[inline(never)]
fn too_large(number: Number, bytes: &[u8], column_type: ColumnType) -> Box<Fault> {
    number_fault(number, bytes, Misfit::TooLarge, column_type)
}

#[cold]
#[inline(never)]
fn number_fault(
    number: Number,
    bytes: &[u8],
    misfit: Misfit,
    column_type: ColumnType,
) -> Box<Fault> {
    misfit_fault(&bytes[number.start..number.end], number.start, misfit, column_type)
}

fn misfit_fault(
    number: &[u8],
    position: usize,
    misfit: Misfit,
    column_type: ColumnType,
) -> Box<Fault> {
    let problem = match misfit {
        Misfit::TooFine => "it has digits that are not zero beyond the last decimal place",
        Misfit::TooLarge => "it is out of range",
    };
    let (number, expected) = (echo(number), with_article(column_type));
    Fault::new(
        RejectReason::NumberOutOfRange,
        format!("expected {expected}, found the number {number} at byte {position}: {problem}"),
    )
}

/// The type as SQL names it, for a message.
fn with_article(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "a BOOLEAN".to_owned(),
        ColumnType::Int16 => "a SMALLINT".to_owned(),
        ColumnType::Int32 => "an INTEGER".to_owned(),
        ColumnType::Int64 => "a BIGINT".to_owned(),
        ColumnType::Float64 => "a DOUBLE".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("a DECIMAL({precision},{scale})"),
        ColumnType::Text { max_chars: Some(max_chars) } => format!("a VARCHAR({max_chars})"),
        ColumnType::Text { max_chars: None } => "a TEXT".to_owned(),
        ColumnType::Timestamp => "a TIMESTAMP".to_owned(),
        ColumnType::Date => "a DATE".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
    }
}

#[cold]
#[inline(never)]
fn null_not_allowed(position: usize) -> Box<Fault> {
    Fault::new(
        RejectReason::NullNotAllowed,
        format!("null at byte {position}, but the contract says NOT NULL"),
    )
}

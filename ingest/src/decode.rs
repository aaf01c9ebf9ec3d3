//! From JSON bytes to typed Arrow, in one pass.
//!
//! A [`Decoder`] is built from the contracts of all event types. It takes a batch of records, each
//! one JSON object, and gives a record batch per event type that occurs. Every record ends up
//! exactly once: as a row of one table, or as a [`Rejection`] that says what is wrong with it. A
//! bad record leaves no trace in the tables and changes nothing for its neighbours.
//!
//! # What is accepted
//!
//! - JSON by RFC 8259, strictly. Keys must be unique in every object, at any depth. Texts and keys
//!   cannot have lone surrogates or U+0000, which no store could keep.
//! - `event_id`, `event_type`, `player_id`: strings of 1 to 512 bytes. `event_time`: RFC 3339 or
//!   epoch milliseconds, in the years 1970 to 9999, and not later than [`DecodeLimits::max_future`]
//!   allows; of a fraction the digits beyond microseconds are cut off.
//! - `session_id`, `game`, `platform`, `app_version`: strings of at most 512 bytes. `country`: two
//!   ASCII letters, stored in upper case. All of them may be null or empty, which is stored as NULL.
//! - `properties`: an object by the event type's contract. It may be absent or null if no column is
//!   `NOT NULL`. What each column type accepts is told in
//!   [`ColumnType`](questlake_engine::project::contract::ColumnType); integers may be written as
//!   `5.0` or `1e3`, timestamps lie in the years 1 to 9999.
//! - Other fields are kept with their source text, in their order, in the column `extra`: unknown
//!   properties under their own name, unknown top-level fields under `$envelope`.
//!
//! # How it is fast
//!
//! Bytes are looked at once. The next field is predicted from the records before; values go
//! straight into the vectors that become Arrow buffers; UTF-8 is checked for a whole batch at a
//! time. A fault is found by the same code, and only then is the record looked at again to explain
//! it.

use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use questlake_engine::project::contract::EventContract;

mod columns;
mod explain;
mod fault;
pub mod fuzzing;
mod lines;
mod names;
mod number;
mod property;
mod reason;
mod record;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod value;
mod walk;

pub use lines::split_lines;
pub use reason::RejectReason;

use explain::explain;
use fault::Fault;
use record::{RecordReader, Refused};

/// How far a record's bytes are followed by others that may be read, but never count.
const READ_AHEAD: usize = 64;

/// Most bytes of records in a batch: Arrow's text offsets have 31 bits.
const MAX_BATCH_BYTES: usize = i32::MAX as usize;

/// Most bytes that storing a record adds to its own.
const ROW_OVERHEAD: usize = 64;

/// Where one record lies in the batch's bytes, and its physical key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSpan {
    /// Index of the record's first byte in the batch's data.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

/// Records of one topic, as they came.
#[derive(Debug, Clone)]
pub struct RawRecords {
    /// Topic, or what stands for it, such as the name of a file.
    pub topic: Arc<str>,
    /// The bytes that the records lie in. What lies between them does not matter.
    pub data: Bytes,
    /// The records. Less than 2 GiB in total; what is beyond is rejected.
    pub records: Vec<RecordSpan>,
}

impl RawRecords {
    /// The bytes of record number `record`, or `None` if it lies outside of the data.
    pub fn record_bytes(&self, record: usize) -> Option<&[u8]> {
        self.data.get(byte_range(self.records.get(record)?))
    }
}

fn byte_range(span: &RecordSpan) -> Range<usize> {
    let start = span.start as usize;
    start..start.saturating_add(span.length as usize)
}

/// Bounds beyond which a record is rejected.
#[derive(Debug, Clone)]
pub struct DecodeLimits {
    /// Most bytes of a record. Longer ones are rejected unread.
    pub max_record_bytes: usize,
    /// How much later than its decoding an event may have happened, by the sender's clock.
    pub max_future: Duration,
    /// Most levels of objects and arrays, the record's own object included.
    pub max_depth: usize,
    /// Most fields of a record that neither envelope nor contract knows, nested ones not counted.
    pub max_unknown_fields: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
            max_future: Duration::from_secs(24 * 60 * 60),
            max_depth: 128,
            max_unknown_fields: 1000,
        }
    }
}

/// Rows of one event type.
#[derive(Debug, Clone)]
pub struct DecodedTable {
    /// The contract that the rows fulfil, but for its `CHECK` constraints.
    pub contract: Arc<EventContract>,
    /// The rows; the schema is the contract's.
    pub batch: RecordBatch,
    /// For each row the index of its record in [`RawRecords::records`], ascending.
    pub records: Vec<u32>,
}

/// A record that is no row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Index of the record in [`RawRecords::records`].
    pub record: u32,
    /// What kind of fault it is.
    pub reason: RejectReason,
    /// Where the fault is and what was found, for a person. Positions count bytes from 0.
    pub detail: String,
    /// The record's event type, known or not, if it could be read; at most 64 characters of it.
    pub event_type: Option<String>,
}

/// What became of a batch: each record is in one table once, or rejected once.
#[derive(Debug, Clone, Default)]
pub struct DecodedBatch {
    /// Tables of the event types that occurred, in the order of the decoder's contracts.
    pub tables: Vec<DecodedTable>,
    /// Rejected records, by ascending index.
    pub rejected: Vec<Rejection>,
}

impl DecodedBatch {
    /// Number of rows in all tables.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.batch.num_rows()).sum()
    }
}

/// Decodes records by the contracts of a project.
///
/// A decoder learns the order in which senders write fields and keeps its memory between batches,
/// so keep one per thread. What it gives depends on the records alone.
#[derive(Debug)]
pub struct Decoder {
    reader: RecordReader,
    limits: DecodeLimits,
}

impl Decoder {
    /// A decoder for the given event types. Of two contracts for one type the first counts.
    pub fn new(contracts: Vec<Arc<EventContract>>, limits: DecodeLimits) -> Self {
        Self { reader: RecordReader::new(contracts, limits.clone()), limits }
    }

    /// Decodes a batch that was received at the given time (microseconds since 1970, UTC).
    pub fn decode(&mut self, raw: &RawRecords, received_at_micros: i64) -> DecodedBatch {
        self.decode_part(raw, 0..raw.records.len(), received_at_micros)
    }

    /// Decodes the records of a batch whose index is in `part`.
    fn decode_part(
        &mut self,
        raw: &RawRecords,
        part: Range<usize>,
        received_at_micros: i64,
    ) -> DecodedBatch {
        let max_future = i64::try_from(self.limits.max_future.as_micros()).unwrap_or(i64::MAX);
        let latest_time = received_at_micros.saturating_add(max_future);
        let is_utf8 = is_utf8(raw, &raw.records[part.clone()]);
        let mut rejected = Vec::new();
        let mut batch_bytes = 0_usize;
        for index in part {
            let span = &raw.records[index];
            // More than u32::MAX records would take more than the bytes that a batch may have.
            let record = index as u32;
            batch_bytes = batch_bytes.saturating_add(span.length as usize + ROW_OVERHEAD);
            let outcome = match self.check_bounds(raw, span, batch_bytes, is_utf8) {
                Ok(()) => self.read_record(&raw.data, span, record, latest_time),
                Err(fault) => Err(Refused { fault, event_type: None }),
            };
            if let Err(Refused { fault, event_type }) = outcome {
                let Fault { reason, detail } = *fault;
                rejected.push(Rejection { record, reason, detail, event_type });
            }
        }
        self.finish(raw, received_at_micros, rejected)
    }

    /// What is checked of a record before its JSON is read.
    #[inline]
    fn check_bounds(
        &self,
        raw: &RawRecords,
        span: &RecordSpan,
        batch_bytes: usize,
        is_utf8: bool,
    ) -> Result<(), Box<Fault>> {
        if span.length as usize > self.limits.max_record_bytes {
            // Not how many: the rest of a very long one was not read into memory.
            let limit = self.limits.max_record_bytes;
            return Err(Fault::new(
                RejectReason::RecordTooLong,
                format!("the record has more than {limit} bytes"),
            ));
        }
        if batch_bytes > MAX_BATCH_BYTES {
            return Err(Fault::new(
                RejectReason::RecordTooLong,
                "the record lies beyond the first 2 GiB of its batch".to_owned(),
            ));
        }
        let Some(bytes) = raw.data.get(byte_range(span)) else {
            return Err(Fault::new(
                RejectReason::MalformedJson,
                "the record lies outside of its batch's bytes".to_owned(),
            ));
        };
        let is_whole = |byte: Option<&u8>| byte.is_none_or(|byte| byte & 0xC0 != 0x80);
        // Where all bytes are UTF-8, a record is if no character is cut at its ends.
        if is_utf8 && is_whole(bytes.first()) && is_whole(raw.data.get(byte_range(span).end)) {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::new(
                RejectReason::InvalidUtf8,
                format!("the bytes from {} on are not UTF-8", error.valid_up_to()),
            )),
        }
    }

    #[inline]
    fn read_record(
        &mut self,
        data: &[u8],
        span: &RecordSpan,
        record: u32,
        latest_time: i64,
    ) -> Result<(), Refused> {
        let Range { start, end } = byte_range(span);
        let length = end - start;
        let ahead = &data[start..(end + READ_AHEAD).min(data.len())];
        if self.reader.read_record(ahead, length, record, latest_time).is_ok() {
            return Ok(());
        }
        // Again without what lies behind the record, so that the neighbours cannot change the
        // reason either.
        let alone = &data[start..end];
        self.reader.read_record(alone, length, record, latest_time).map_err(|refused| {
            explain(refused, alone, self.limits.max_depth, &mut self.reader.scratch.checker)
        })
    }

    fn finish(
        &mut self,
        raw: &RawRecords,
        received_at_micros: i64,
        mut rejected: Vec<Rejection>,
    ) -> DecodedBatch {
        let mut tables = Vec::new();
        for table in &mut self.reader.tables {
            if table.rows() == 0 {
                continue;
            }
            match table.take_table(raw, received_at_micros) {
                Ok(table) => tables.push(table),
                Err((records, error)) => {
                    let event_type = &table.contract.event_type;
                    tracing::error!(event_type, %error, "rows could not be built; quarantining");
                    rejected.extend(records.into_iter().map(|record| Rejection {
                        record,
                        reason: RejectReason::DecoderFault,
                        detail: format!("the rows of {event_type} could not be built: {error}"),
                        event_type: Some(event_type.clone()),
                    }));
                    rejected.sort_by_key(|rejection| rejection.record);
                }
            }
        }
        DecodedBatch { tables, rejected }
    }
}

/// Whether all bytes from the first to the last record are UTF-8.
fn is_utf8(raw: &RawRecords, records: &[RecordSpan]) -> bool {
    let start = records.iter().map(|span| byte_range(span).start).min().unwrap_or(0);
    let end = records.iter().map(|span| byte_range(span).end).max().unwrap_or(0);
    raw.data
        .get(start..end.min(raw.data.len()))
        .is_some_and(|bytes| simdutf8::basic::from_utf8(bytes).is_ok())
}

/// Decodes a batch with one thread per decoder, each taking a part of about the same size.
///
/// Gives the parts' results in order; records are numbered through the whole batch. Without any
/// decoder, all records are rejected.
pub fn decode_parallel(
    decoders: &mut [Decoder],
    raw: &RawRecords,
    received_at_micros: i64,
) -> Vec<DecodedBatch> {
    let Some((last, others)) = decoders.split_last_mut() else {
        return vec![
            Decoder::new(Vec::new(), DecodeLimits::default()).decode(raw, received_at_micros),
        ];
    };
    let mut parts = parts_of_equal_size(raw, others.len() + 1);
    let last_part = parts.pop().unwrap_or_default();
    thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter_mut()
            .zip(parts)
            .map(|(decoder, part)| {
                scope.spawn(move || decoder.decode_part(raw, part, received_at_micros))
            })
            .collect();
        let last_result = last.decode_part(raw, last_part, received_at_micros);
        let mut results: Vec<DecodedBatch> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        results.push(last_result);
        results
    })
}

/// Cuts a batch's records into `count` ranges of about as many bytes.
fn parts_of_equal_size(raw: &RawRecords, count: usize) -> Vec<Range<usize>> {
    let total: u64 = raw.records.iter().map(|span| u64::from(span.length)).sum();
    let mut parts = Vec::with_capacity(count);
    let mut start = 0;
    let mut end = 0;
    let mut bytes = 0;
    for part in 1..=count as u64 {
        let target = total * part / count as u64;
        while end < raw.records.len() && (bytes < target || part == count as u64) {
            bytes += u64::from(raw.records[end].length);
            end += 1;
        }
        parts.push(start..end);
        start = end;
    }
    parts
}

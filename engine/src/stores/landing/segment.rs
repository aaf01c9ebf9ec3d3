//! The segment: one sealed file with the rows of one micro-batch, whatever their event types.
//!
//! ```text
//! "QLSEG001"                      8 bytes
//! section                         one Arrow IPC file per event type, each at a multiple of 64
//! …
//! directory                       JSON: the sections' types, places, rows, checksums
//! directory length                u32, little-endian
//! directory checksum              XXH3-64 of the directory, u64, little-endian
//! "QLSEG001"                      8 bytes
//! ```
//! Every section is a whole Arrow IPC file, which any Arrow library reads once it is cut out. The
//! ledger keeps a copy of the directory, so a reader goes to its section at once; the copy in the
//! file makes a segment readable by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{Date32Type, SchemaRef};
use arrow::error::ArrowError;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{CompressionType, Footer, root_as_footer};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::project::contract::envelope;

/// First and last bytes of a segment file.
pub const MAGIC: &[u8; 8] = b"QLSEG001";

/// Alignment of sections: Arrow's buffers want 64 bytes.
const ALIGNMENT: usize = 64;

/// Compression of the buffers in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Fastest to write and read.
    None,
    /// About a third of the size for a little processor time.
    Lz4,
}

/// One event type's rows in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The event type.
    pub event_type: String,
    /// Version of the contract that the rows were decoded by.
    pub contract_version: u64,
    /// First byte in the file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// XXH3-64 of the section's bytes.
    pub checksum: u64,
    /// Rows by UTC day of `event_time` (days since 1970).
    pub rows_by_date: BTreeMap<i32, u64>,
}

impl Section {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows_by_date.values().sum()
    }
}

/// A segment in memory, ready to be sealed.
#[derive(Debug)]
pub struct EncodedSegment {
    /// The file's bytes, in order.
    pub parts: Vec<Bytes>,
    /// What it holds.
    pub sections: Vec<Section>,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// One event type's rows, to be encoded.
pub struct SegmentTable<'a> {
    /// The event type.
    pub event_type: &'a str,
    /// Version of its contract.
    pub contract_version: u64,
    /// Rows with the landed schema.
    pub rows: &'a RecordBatch,
}

/// Encodes the tables that have rows. The same tables always give the same bytes.
pub fn encode(
    tables: &[SegmentTable<'_>],
    compression: Compression,
) -> Result<EncodedSegment, ArrowError> {
    let mut parts = vec![Bytes::from_static(MAGIC)];
    let mut position = MAGIC.len();
    let mut sections = Vec::with_capacity(tables.len());
    for table in tables.iter().filter(|table| table.rows.num_rows() > 0) {
        let padding = position.next_multiple_of(ALIGNMENT) - position;
        parts.push(Bytes::from(vec![0; padding]));
        position += padding;
        let bytes = encode_section(table.rows, compression)?;
        sections.push(Section {
            event_type: table.event_type.to_owned(),
            contract_version: table.contract_version,
            offset: position as u64,
            length: bytes.len() as u64,
            checksum: xxh3_64(&bytes),
            rows_by_date: rows_by_date(table.rows)?,
        });
        position += bytes.len();
        parts.push(Bytes::from(bytes));
    }
    let directory = serde_json::to_vec(&sections)
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let length = u32::try_from(directory.len())
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let checksum = xxh3_64(&directory);
    position += directory.len() + 4 + 8 + MAGIC.len();
    parts.push(Bytes::from(directory));
    parts.push(Bytes::copy_from_slice(&length.to_le_bytes()));
    parts.push(Bytes::copy_from_slice(&checksum.to_le_bytes()));
    parts.push(Bytes::from_static(MAGIC));
    Ok(EncodedSegment { parts, sections, bytes: position as u64 })
}

fn encode_section(rows: &RecordBatch, compression: Compression) -> Result<Vec<u8>, ArrowError> {
    let compression = match compression {
        Compression::None => None,
        Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
    };
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let capacity = rows.get_array_memory_size() + 4096;
    let mut writer =
        FileWriter::try_new_with_options(Vec::with_capacity(capacity), rows.schema_ref(), options)?;
    writer.write(rows)?;
    writer.into_inner()
}

fn rows_by_date(rows: &RecordBatch) -> Result<BTreeMap<i32, u64>, ArrowError> {
    let column = rows.column_by_name(envelope::EVENT_DATE).ok_or_else(|| {
        ArrowError::SchemaError(format!("a landed table has no {}", envelope::EVENT_DATE))
    })?;
    let mut days = BTreeMap::new();
    for day in column.as_primitive::<Date32Type>().values() {
        *days.entry(*day).or_insert(0) += 1;
    }
    Ok(days)
}

/// Reads the directory of a whole segment file, verifying its checksum.
pub fn read_directory(file: &[u8]) -> Result<Vec<Section>, ArrowError> {
    let damaged = |what: &str| ArrowError::ParseError(format!("not a whole segment: {what}"));
    let tail = 4 + 8 + MAGIC.len();
    if file.len() < MAGIC.len() + tail || !file.starts_with(MAGIC) || !file.ends_with(MAGIC) {
        return Err(damaged("its first or last bytes are missing"));
    }
    let (body, tail) = file.split_at(file.len() - tail);
    let mut length = [0; 4];
    let mut checksum = [0; 8];
    length.copy_from_slice(&tail[..4]);
    checksum.copy_from_slice(&tail[4..12]);
    let length = u32::from_le_bytes(length) as usize;
    if length > body.len() {
        return Err(damaged("its directory is cut off"));
    }
    let directory = &body[body.len() - length..];
    if xxh3_64(directory) != u64::from_le_bytes(checksum) {
        return Err(damaged("the checksum of its directory does not match"));
    }
    serde_json::from_slice(directory).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// Chooses columns by their index in a section's schema.
pub type Projection<'a> = &'a dyn Fn(&SchemaRef) -> Vec<usize>;

/// The columns of one section, verifying its checksum.
pub fn section_schema(bytes: &Buffer, section: &Section) -> Result<SchemaRef, ArrowError> {
    read_footer(bytes, section).map(|(_, schema)| schema)
}

fn damaged(section: &Section, what: &str) -> ArrowError {
    ArrowError::ParseError(format!("section `{}` is damaged: {what}", section.event_type))
}

fn read_footer<'a>(
    bytes: &'a Buffer,
    section: &Section,
) -> Result<(Footer<'a>, SchemaRef), ArrowError> {
    let damaged = |what: String| damaged(section, &what);
    if xxh3_64(bytes) != section.checksum {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    if bytes.len() < 10 {
        return Err(damaged("it is too short".to_owned()));
    }
    let mut trailer = [0; 10];
    trailer.copy_from_slice(&bytes[bytes.len() - 10..]);
    let footer_length = read_footer_length(trailer)?;
    let footer_start = bytes
        .len()
        .checked_sub(10 + footer_length)
        .ok_or_else(|| damaged("its footer is cut off".to_owned()))?;
    let footer = root_as_footer(&bytes[footer_start..bytes.len() - 10])
        .map_err(|error| damaged(error.to_string()))?;
    let schema = footer.schema().ok_or_else(|| damaged("it has no schema".to_owned()))?;
    Ok((footer, Arc::new(fb_to_schema(schema))))
}

/// Decodes one section, verifying its checksum. `projection` chooses columns by their index in the
/// section's own schema; the bytes of the others are not decoded. Buffers are shared with `bytes`.
pub fn decode_section(
    bytes: &Buffer,
    section: &Section,
    projection: Option<Projection<'_>>,
) -> Result<Vec<RecordBatch>, ArrowError> {
    let damaged = |what: String| damaged(section, &what);
    let (footer, schema) = read_footer(bytes, section)?;
    let mut decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
    if let Some(projection) = projection {
        decoder = decoder.with_projection(projection(&schema));
    }
    let slice = |offset: i64, length: i64| -> Result<Buffer, ArrowError> {
        let start = usize::try_from(offset).map_err(|error| damaged(error.to_string()))?;
        let length = usize::try_from(length).map_err(|error| damaged(error.to_string()))?;
        if start.checked_add(length).is_none_or(|end| end > bytes.len()) {
            return Err(damaged("a block lies outside".to_owned()));
        }
        Ok(bytes.slice_with_length(start, length))
    };
    for block in footer.dictionaries().into_iter().flatten() {
        let length = i64::from(block.metaDataLength()) + block.bodyLength();
        decoder.read_dictionary(block, &slice(block.offset(), length)?)?;
    }
    let mut batches = Vec::new();
    for block in footer.recordBatches().into_iter().flatten() {
        let length = i64::from(block.metaDataLength()) + block.bodyLength();
        batches.extend(decoder.read_record_batch(block, &slice(block.offset(), length)?)?);
    }
    Ok(batches)
}

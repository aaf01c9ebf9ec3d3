//! The JSON form of rows: columns first, then rows as arrays, then where to go on, and what it is about.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use questlake_engine::query::reading::RowTexts;
use serde::Serialize;

use super::Columns;
use super::cells::Cells;

/// Writes the JSON of one answer.
pub(super) struct JsonTable {
    out: Vec<u8>,
    is_first: bool,
}

impl JsonTable {
    /// Of rows that take so many bytes, as far as that is known.
    pub(super) fn new(columns: &Columns, bytes: usize) -> Self {
        let columns = columns.json();
        let mut out = Vec::with_capacity(columns.len() + bytes + 32);
        out.extend_from_slice(b"{\"columns\":");
        out.extend_from_slice(columns);
        out.extend_from_slice(b",\"rows\":[");
        Self { out, is_first: true }
    }

    /// Adds the rows of a batch, whose first columns are those of the answer.
    pub(super) fn write(&mut self, batch: &RecordBatch, columns: usize) -> Result<(), ArrowError> {
        let cells: Vec<Cells> =
            batch.columns().iter().take(columns).map(Cells::new).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut self.is_first) {
                self.out.push(b',');
            }
            write_row(&cells, row, &mut self.out);
        }
        Ok(())
    }

    /// Adds rows that were written before.
    pub(super) fn write_texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a [u8]>) {
        for text in texts {
            if !std::mem::take(&mut self.is_first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(text);
        }
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }
}

fn write_row(cells: &[Cells], row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, cells) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        cells.write(row, out);
    }
    out.push(b']');
}

/// Each row as it is written into an answer, unless all together take more bytes than so many.
///
/// # Errors
/// When a column cannot be shown.
pub(crate) fn row_texts(rows: &RecordBatch, limit: usize) -> Result<Option<RowTexts>, ArrowError> {
    let cells: Vec<Cells> = rows.columns().iter().map(Cells::new).collect::<Result<_, _>>()?;
    let mut texts = RowTexts::default();
    for row in 0..rows.num_rows() {
        write_row(&cells, row, texts.text());
        texts.end_row();
        if texts.bytes() > limit {
            return Ok(None);
        }
    }
    Ok(Some(texts.finish()))
}

/// The end of the answer.
pub(super) fn end(next_cursor: Option<&str>, meta: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 10);
    out.extend_from_slice(b"],\"next_cursor\":");
    write_json(&mut out, &next_cursor);
    out.extend_from_slice(b",\"meta\":");
    write_json(&mut out, meta);
    out.extend_from_slice(b"}\n");
    out
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Into memory, and of types that are JSON: it does not fail.
    let _ = serde_json::to_writer(out, value);
}

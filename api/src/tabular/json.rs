//! The JSON form of rows: columns first, then rows as arrays, then where to go on, and what it is about.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use serde::Serialize;

use super::Column;
use super::cells::Cells;

/// Writes the JSON of one answer.
pub(super) struct JsonTable {
    out: Vec<u8>,
    is_first: bool,
}

impl JsonTable {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut out = Vec::with_capacity(16 << 10);
        out.extend_from_slice(b"{\"columns\":");
        write_json(&mut out, columns);
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
            self.out.push(b'[');
            for (index, cells) in cells.iter().enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                cells.write(row, &mut self.out);
            }
            self.out.push(b']');
        }
        Ok(())
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

/// The end of the answer.
pub(super) fn end(next_cursor: Option<&str>, meta: &impl Serialize) -> Vec<u8> {
    let mut out = b"],\"next_cursor\":".to_vec();
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

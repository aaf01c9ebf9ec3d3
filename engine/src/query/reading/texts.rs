//! Rows as texts: written once, when their table is taken into memory, and given often.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

/// Writes each row of a batch, in at most so many bytes: `None` where that is not enough.
pub type RowWriter = fn(&RecordBatch, usize) -> Result<Option<RowTexts>, ArrowError>;

/// The texts of rows, one behind the other.
#[derive(Debug, Default)]
pub struct RowTexts {
    text: Vec<u8>,
    /// Where each row's text ends.
    ends: Vec<usize>,
}

impl RowTexts {
    /// Where the text of the next row is to be appended.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Ends the text of a row.
    pub fn end_row(&mut self) {
        self.ends.push(self.text.len());
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>()
    }

    /// The text of one row; none of a row that there is not.
    pub fn row(&self, row: usize) -> &[u8] {
        let begin = row.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        match (begin, self.ends.get(row)) {
            (Some(begin), Some(end)) => self.text.get(begin..*end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Gives back what was set aside for more rows.
    pub fn finish(mut self) -> Self {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_text() {
        let mut texts = RowTexts::default();
        for text in ["one", "", "three"] {
            texts.text().extend_from_slice(text.as_bytes());
            texts.end_row();
        }
        let texts = texts.finish();
        assert_eq!([0, 1, 2, 3].map(|row| texts.row(row)), [&b"one"[..], b"", b"three", b""]);
    }
}

//! Rows into a table by binary COPY, a record batch at a time.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use pgpq::ArrowToPostgresBinaryEncoder;
use tokio_postgres::{Client, CopyInSink};

use super::statements::copy_in;
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::storable_text;
use crate::stores::warehouse::TableDefinition;

/// A COPY under way. Dropped, it is undone.
pub(super) struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    encoder: ArrowToPostgresBinaryEncoder,
    buffer: BytesMut,
}

impl CopyIn {
    /// Begins to copy into `target`, which has the table's columns; `freeze` if this transaction has
    /// created it.
    pub(super) async fn begin(
        client: &Client,
        target: &str,
        table: &TableDefinition,
        freeze: bool,
    ) -> Result<Self, Failure> {
        let encoder = ArrowToPostgresBinaryEncoder::try_new(&table.schema()).map_err(unstorable)?;
        let sink = client.copy_in::<_, Bytes>(copy_in(target, table, freeze).as_str()).await?;
        let mut copy = Self { sink: Box::pin(sink), encoder, buffer: BytesMut::new() };
        copy.encoder.write_header(&mut copy.buffer).map_err(unstorable)?;
        Ok(copy)
    }

    /// Sends rows. What the server thinks of them is told by [`finish`](Self::finish).
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        let rows = storable_rows(rows)?;
        self.encoder.write_batch(&rows, &mut self.buffer).map_err(unstorable)?;
        self.send().await
    }

    /// Ends the COPY.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        self.encoder.write_footer(&mut self.buffer).map_err(unstorable)?;
        self.send().await?;
        self.sink.as_mut().finish().await?;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let bytes = self.buffer.split().freeze();
        self.sink.as_mut().send(bytes).await?;
        Ok(())
    }
}

fn unstorable(error: pgpq::error::ErrorKind) -> Failure {
    Failure::Invalid {
        what: error.to_string(),
        advice: "cast the column in the model's SQL to a type that fits",
    }
}

/// The rows with texts that the server takes: see [`storable_text`].
fn storable_rows(rows: &RecordBatch) -> Result<Cow<'_, RecordBatch>, Failure> {
    let has_nul = |column: &ArrayRef| {
        *column.data_type() == DataType::Utf8 && column.as_string::<i32>().value_data().contains(&0)
    };
    if !rows.columns().iter().any(has_nul) {
        return Ok(Cow::Borrowed(rows));
    }
    let columns: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .map(|column| match has_nul(column) {
            false => Arc::clone(column),
            true => {
                let texts = column.as_string::<i32>().iter();
                Arc::new(texts.map(|text| text.map(storable_text)).collect::<StringArray>())
            }
        })
        .collect();
    let rows = RecordBatch::try_new(rows.schema(), columns)
        .map_err(|error| Failure::Corrupt(error.to_string()))?;
    Ok(Cow::Owned(rows))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn a_character_that_the_server_refuses_is_replaced() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\0"), None, Some("b")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let rows = RecordBatch::try_from_iter([("text", texts), ("number", numbers)]).unwrap();
        let stored = storable_rows(&rows).unwrap();
        let expected = StringArray::from(vec![Some("a\u{fffd}"), None, Some("b")]);
        assert_eq!(stored.column(0).as_string::<i32>(), &expected);
        assert!(matches!(storable_rows(&stored).unwrap(), Cow::Borrowed(_)));
    }
}

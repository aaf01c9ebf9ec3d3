//! From a query under way to the bytes of its answer, part by part.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use questlake_engine::clock::now_millis;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::project::header::Chart;
use questlake_engine::query::export::Exporter;
use questlake_engine::query::reading::{HeldRows, ScalarValue};
use serde::Serialize;

use super::Columns;
use super::json::{self, JsonTable};
use super::rows::Rows;
use crate::answers::{Part, Parts};
use crate::cursor::{self, Position};
use crate::negotiate::Format;
use crate::problem::Problem;
use crate::text::rfc3339;

/// Bytes that are sent at once.
const CHUNK: usize = 64 << 10;

/// What an answer is about.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) title: Option<String>,
    pub(crate) chart: Option<Chart>,
    pub(crate) freshness: AnswerFreshness,
    /// What whoever reads the rows should know, in sentences.
    pub(crate) warnings: Vec<String>,
    pub(crate) started: Instant,
}

/// Where the next page begins.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Rows of this page; one more is read, which tells that there is another page.
    pub(crate) limit: usize,
    /// What all cursors of these rows have in common.
    pub(crate) signature: u64,
    /// Places of the order's columns in the rows; without them, pages are counted.
    pub(crate) order: Option<Vec<usize>>,
    /// Rows before this page, where they are counted.
    pub(crate) skipped: usize,
}

/// An answer to be made of rows.
#[derive(Debug, Clone)]
pub(crate) struct TableAnswer {
    /// The columns that are shown. The rows may have further ones behind them, for cursors.
    pub(crate) columns: Columns,
    pub(crate) page: Option<Page>,
    pub(crate) meta: Meta,
    pub(crate) format: Format,
}

#[derive(Serialize)]
struct MetaBody<'a> {
    title: &'a Option<String>,
    chart: &'a Option<Chart>,
    data_through: Option<String>,
    data_version: String,
    generated_at: String,
    cached: bool,
    elapsed_ms: u64,
    truncated: bool,
    warnings: &'a [String],
}

/// The encoder's output, from which whole parts are taken.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An answer, or what is left of it.
pub(crate) struct Whole {
    /// All but its end.
    pub(crate) body: Bytes,
    /// Its end for the one who has caused the computation.
    pub(crate) first: Bytes,
    /// Its end for all others.
    pub(crate) again: Bytes,
}

enum Encoder {
    Json(JsonTable),
    Export(Box<Exporter<Pipe>>, Pipe),
}

impl TableAnswer {
    /// Sends the parts of the answer, until nobody wants them any more. The rows are of this schema.
    ///
    /// # Errors
    /// What ends the query. Parts may have been sent before.
    pub(crate) async fn produce(
        self,
        schema: SchemaRef,
        mut rows: Rows,
        parts: &Parts,
    ) -> Result<(), Problem> {
        let mut writing = Writing::begin(&self, &schema)?;
        while let Some(batch) = rows.next().await? {
            writing.write(&batch)?;
            if let Some(bytes) = writing.ready()
                && !parts.send(Part::Bytes(bytes)).await
            {
                return Ok(());
            }
        }
        let Whole { body, first, again } = writing.end(rows.truncated())?;
        if !body.is_empty() {
            parts.send(Part::Bytes(body)).await;
        }
        parts.send(Part::End { first, again }).await;
        Ok(())
    }

    /// The whole answer at once, of rows that are in memory, with these columns.
    ///
    /// # Errors
    /// When the rows cannot be written.
    pub(crate) fn whole(&self, rows: &HeldRows, read: &[String]) -> Result<Whole, Problem> {
        let batch = rows.batch(read).map_err(|error| Problem::internal(&error))?;
        let mut writing = Writing::begin(self, batch.schema_ref())?;
        writing.write(&batch)?;
        writing.end(false)
    }

    /// The same of rows with all columns of their table, which were written when the table was taken
    /// into memory. `None` if they were not, or another format is asked for.
    ///
    /// # Errors
    /// When the place of the last row cannot be told.
    pub(crate) fn whole_of_texts(&self, rows: &HeldRows) -> Result<Option<Whole>, Problem> {
        let (Format::Json, Some(texts)) = (self.format, rows.texts()) else { return Ok(None) };
        let shown = self.page.as_ref().map_or(rows.len(), |page| page.limit.min(rows.len()));
        let texts: Vec<&[u8]> = texts.take(shown).collect();
        let bytes = texts.iter().map(|text| text.len() + 1).sum();
        let mut table = JsonTable::new(&self.columns, bytes);
        table.write_texts(texts);
        let mut last = None;
        if shown < rows.len()
            && let Some(order) = self.page.as_ref().and_then(|page| page.order.as_ref())
        {
            let values = order.iter().map(|column| rows.value(shown - 1, *column));
            let values: Result<Vec<_>, _> = values.collect();
            last = Some(values.map_err(|error| Problem::internal(&error))?);
        }
        let writing = Writing {
            answer: self,
            encoder: Encoder::Json(table),
            written: shown,
            last,
            has_more: shown < rows.len(),
        };
        writing.end(false).map(Some)
    }

    fn meta_body(&self, cached: bool, truncated: bool) -> MetaBody<'_> {
        let elapsed = self.meta.started.elapsed().as_millis();
        MetaBody {
            title: &self.meta.title,
            chart: &self.meta.chart,
            data_through: self.meta.freshness.data_through.map(rfc3339),
            data_version: format!("{:016x}", self.meta.freshness.version),
            generated_at: rfc3339(now_millis()),
            cached,
            elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
            truncated,
            warnings: &self.meta.warnings,
        }
    }

    /// The values of the order's columns in the last row.
    fn position_of_last(&self, batch: &RecordBatch) -> Result<Option<Vec<ScalarValue>>, Problem> {
        let Some(order) = self.page.as_ref().and_then(|page| page.order.as_ref()) else {
            return Ok(None);
        };
        let last = batch.num_rows() - 1;
        let values: Result<Vec<_>, _> = order
            .iter()
            .map(|column| ScalarValue::try_from_array(batch.column(*column), last))
            .collect();
        values.map(Some).map_err(|error| Problem::internal(&error))
    }
}

/// An answer that is being written.
struct Writing<'a> {
    answer: &'a TableAnswer,
    encoder: Encoder,
    written: usize,
    last: Option<Vec<ScalarValue>>,
    has_more: bool,
}

impl<'a> Writing<'a> {
    fn begin(answer: &'a TableAnswer, schema: &SchemaRef) -> Result<Self, Problem> {
        let encoder = match answer.format.export() {
            None => Encoder::Json(JsonTable::new(&answer.columns, 16 << 10)),
            Some(export) => {
                let shown: Vec<usize> = (0..answer.columns.len()).collect();
                let schema = schema.project(&shown).map_err(|error| Problem::internal(&error))?;
                let pipe = Pipe::default();
                let exporter = Exporter::new(export, &Arc::new(schema), pipe.clone())?;
                Encoder::Export(Box::new(exporter), pipe)
            }
        };
        Ok(Self { answer, encoder, written: 0, last: None, has_more: false })
    }

    /// Writes the rows that belong to the page.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Problem> {
        let page = self.answer.page.as_ref();
        let left = page.map_or(usize::MAX, |page| page.limit - self.written);
        self.has_more |= batch.num_rows() > left;
        let batch = batch.slice(0, batch.num_rows().min(left));
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.written += batch.num_rows();
        if let Some(position) = self.answer.position_of_last(&batch)? {
            self.last = Some(position);
        }
        let shown = self.answer.columns.len();
        match &mut self.encoder {
            Encoder::Json(table) => {
                table.write(&batch, shown).map_err(|error| Problem::internal(&error))
            }
            Encoder::Export(exporter, _) => {
                let shown: Vec<usize> = (0..shown).collect();
                let batch = batch.project(&shown).map_err(|error| Problem::internal(&error))?;
                Ok(exporter.write(&batch)?)
            }
        }
    }

    /// What was written, if it is worth to be sent.
    fn ready(&mut self) -> Option<Bytes> {
        let bytes = match &mut self.encoder {
            Encoder::Json(table) => (table.len() >= CHUNK).then(|| table.take()),
            Encoder::Export(_, pipe) => (pipe.len() >= CHUNK).then(|| pipe.take()),
        };
        bytes.map(Bytes::from)
    }

    fn end(self, truncated: bool) -> Result<Whole, Problem> {
        let next_cursor = match &self.answer.page {
            Some(page) if self.has_more => {
                let position = match self.last {
                    Some(values) => Position::After(values),
                    None => Position::Skip(page.skipped + self.written),
                };
                Some(cursor::encode(page.signature, &position))
            }
            _ => None,
        };
        let (body, first, again) = match self.encoder {
            Encoder::Json(mut table) => {
                let meta = |cached| self.answer.meta_body(cached, truncated);
                let end = |cached| json::end(next_cursor.as_deref(), &meta(cached));
                (table.take(), end(false), end(true))
            }
            Encoder::Export(exporter, pipe) => {
                exporter.finish()?;
                (pipe.take(), Vec::new(), Vec::new())
            }
        };
        let (body, first, again) = (Bytes::from(body), Bytes::from(first), Bytes::from(again));
        Ok(Whole { body, first, again })
    }
}

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
use questlake_engine::query::QueryStream;
use questlake_engine::query::export::Exporter;
use questlake_engine::query::reading::ScalarValue;
use serde::Serialize;

use super::Column;
use super::json::{self, JsonTable};
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
    pub(crate) columns: Vec<Column>,
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

enum Encoder {
    Json(JsonTable),
    Export(Box<Exporter<Pipe>>, Pipe),
}

async fn next(rows: &mut Option<QueryStream>) -> Result<Option<RecordBatch>, Problem> {
    match rows {
        Some(rows) => Ok(rows.next().await?),
        None => Ok(None),
    }
}

impl TableAnswer {
    /// Sends the parts of the answer, until nobody wants them any more. Rows of this schema may be
    /// absent: a table that was never loaded has none.
    ///
    /// # Errors
    /// What ends the query. Parts may have been sent before.
    pub(crate) async fn produce(
        self,
        schema: SchemaRef,
        mut rows: Option<QueryStream>,
        parts: &Parts,
    ) -> Result<(), Problem> {
        let mut encoder = self.begin(&schema)?;
        let mut written = 0;
        let mut last: Option<Vec<ScalarValue>> = None;
        let mut has_more = false;
        while let Some(batch) = next(&mut rows).await? {
            let left = self.page.as_ref().map_or(usize::MAX, |page| page.limit - written);
            has_more |= batch.num_rows() > left;
            let batch = batch.slice(0, batch.num_rows().min(left));
            if batch.num_rows() == 0 {
                continue;
            }
            written += batch.num_rows();
            last = self.position_of_last(&batch)?.or(last);
            if !self.write(&mut encoder, &batch, parts).await? {
                return Ok(());
            }
        }
        let next_cursor = match &self.page {
            Some(page) if has_more => Some(match last {
                Some(values) => cursor::encode(page.signature, &Position::After(values)),
                None => cursor::encode(page.signature, &Position::Skip(page.skipped + written)),
            }),
            _ => None,
        };
        let truncated = rows.is_some_and(|rows| rows.truncated());
        self.end(encoder, next_cursor.as_deref(), truncated, parts).await
    }

    fn begin(&self, schema: &SchemaRef) -> Result<Encoder, Problem> {
        let Some(export) = self.format.export() else {
            return Ok(Encoder::Json(JsonTable::new(&self.columns)));
        };
        let shown: Vec<usize> = (0..self.columns.len()).collect();
        let schema = schema.project(&shown).map_err(|error| Problem::internal(&error))?;
        let pipe = Pipe::default();
        let exporter = Exporter::new(export, &Arc::new(schema), pipe.clone())?;
        Ok(Encoder::Export(Box::new(exporter), pipe))
    }

    /// Writes a batch. Returns whether somebody still wants the answer.
    async fn write(
        &self,
        encoder: &mut Encoder,
        batch: &RecordBatch,
        parts: &Parts,
    ) -> Result<bool, Problem> {
        let ready = match encoder {
            Encoder::Json(table) => {
                table
                    .write(batch, self.columns.len())
                    .map_err(|error| Problem::internal(&error))?;
                (table.len() >= CHUNK).then(|| table.take())
            }
            Encoder::Export(exporter, pipe) => {
                let shown: Vec<usize> = (0..self.columns.len()).collect();
                let batch = batch.project(&shown).map_err(|error| Problem::internal(&error))?;
                exporter.write(&batch)?;
                (pipe.len() >= CHUNK).then(|| pipe.take())
            }
        };
        match ready {
            Some(bytes) => Ok(parts.send(Part::Bytes(Bytes::from(bytes))).await),
            None => Ok(true),
        }
    }

    async fn end(
        &self,
        encoder: Encoder,
        next_cursor: Option<&str>,
        truncated: bool,
        parts: &Parts,
    ) -> Result<(), Problem> {
        let (rest, first, again) = match encoder {
            Encoder::Json(mut table) => {
                let end = |cached| json::end(next_cursor, &self.meta_body(cached, truncated));
                (table.take(), end(false), end(true))
            }
            Encoder::Export(exporter, pipe) => {
                exporter.finish()?;
                (pipe.take(), Vec::new(), Vec::new())
            }
        };
        if !rest.is_empty() {
            parts.send(Part::Bytes(Bytes::from(rest))).await;
        }
        parts.send(Part::End { first: Bytes::from(first), again: Bytes::from(again) }).await;
        Ok(())
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

//! Rows from where they come: a query under way, or a table that is held in memory.

use arrow::array::RecordBatch;
use questlake_engine::query::QueryStream;

use crate::problem::Problem;

/// Rows that are written at once: between two parts others get their turn.
const ROWS_AT_ONCE: usize = 4_096;

/// The rows of an answer.
pub(crate) enum Rows {
    /// A table that was never loaded has none.
    Absent,
    /// In memory, without the first so many.
    Held(RecordBatch, usize),
    /// As a query gives them.
    Query(QueryStream),
}

impl Rows {
    /// All rows of a batch.
    pub(crate) fn held(batch: RecordBatch) -> Self {
        Self::Held(batch, 0)
    }

    /// The next rows, `None` at the end.
    ///
    /// # Errors
    /// What ends the query.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, Problem> {
        match self {
            Self::Absent => Ok(None),
            Self::Query(rows) => Ok(rows.next().await?),
            Self::Held(batch, given) => {
                let rows = ROWS_AT_ONCE.min(batch.num_rows() - *given);
                let next = batch.slice(*given, rows);
                *given += rows;
                Ok((rows > 0).then_some(next))
            }
        }
    }

    /// Whether rows beyond `query.max_rows` were left out.
    pub(super) fn truncated(&self) -> bool {
        matches!(self, Self::Query(rows) if rows.truncated())
    }
}

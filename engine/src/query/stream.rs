//! A query under way: its rows as they come, within its limits.
//!
//! The query runs in a task of its own, on threads of its own, so that whoever waits for rows is
//! never kept from seeing a time-out or an interrupt by an operator that is busy. Dropping the
//! stream ends the task as soon as its operators give way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug;

use super::error::QueryError;
use super::executor::{QueryExecutor, QueryThreads};
use super::limits::{Attempt, QueryLimits, QueryMemory};
use super::plan;
use super::resident::{LOOK_EVERY, ResidentGuard};
use super::statement::PreparedStatement;
use crate::catalog::memory::panic_text;

/// Batches that may wait for the reader.
const QUEUED_BATCHES: usize = 2;

/// Hundredths of `query.memory_limit` that a process that only answers queries may hold. What
/// operators take until they have ended comes on top: together it stays within 1.2 times the setting.
const LIMIT_PERCENT: usize = 114;

/// Hundredths at which an attempt is ended: the first one may be followed by one that spills.
const ATTEMPT_PERCENT: usize = 100;

/// Hundredths to which memory falls before another attempt begins.
const RELEASED_PERCENT: usize = 90;

/// What happens to rows beyond `query.max_rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The query fails: a part of the rows must not pass for all of them.
    Refuse,
    /// They are left out, and [`QueryStream::truncated`] says so: for people, who see the note.
    Truncate,
}

/// What the query's task sends.
enum Message {
    Rows(RecordBatch),
    Failed(QueryError),
    Done,
}

/// The rows of one query.
pub struct QueryStream {
    schema: SchemaRef,
    receiver: mpsc::Receiver<Message>,
    task: JoinHandle<()>,
    executor: Arc<QueryExecutor>,
    /// What the task runs on lasts as long as the stream.
    _threads: Arc<QueryThreads>,
    started: Instant,
    timeout: Option<Duration>,
    guard: Option<ResidentGuard>,
    max_rows: Option<u64>,
    overflow: Overflow,
    rows: u64,
    state: StreamState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Open,
    /// The next call tells that there were too many rows.
    Overflowed,
    Truncated,
    Ended,
}

impl std::fmt::Debug for QueryStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "QueryStream({} rows, {:?})", self.rows, self.state)
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        if self.state != StreamState::Ended {
            self.leave();
        }
    }
}

impl QueryStream {
    /// Names and types of the columns; each may be NULL.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether rows beyond `query.max_rows` were left out.
    pub fn truncated(&self) -> bool {
        self.state == StreamState::Truncated
    }

    /// The next rows, `None` at the end.
    ///
    /// # Errors
    /// What ends a running query: see [`QueryError`]. After an error the stream has ended.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let result = self.receive().await;
        if result.is_err() {
            self.state = StreamState::Ended;
            self.leave();
        }
        result
    }

    /// Ends the query as soon as its operators give way.
    fn leave(&self) {
        self.task.abort();
        self.executor.doubt();
    }

    async fn receive(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        match self.state {
            StreamState::Open => {}
            StreamState::Overflowed => {
                return Err(QueryError::TooManyRows { limit: self.max_rows.unwrap_or(0) });
            }
            StreamState::Truncated | StreamState::Ended => return Ok(None),
        }
        let message = self.next_message().await?;
        match message {
            Some(Message::Rows(batch)) => Ok(Some(self.accept(batch)?)),
            Some(Message::Failed(error)) => Err(error),
            Some(Message::Done) => {
                self.state = StreamState::Ended;
                Ok(None)
            }
            None => Err(QueryError::Aborted { reason: "its task was ended".to_owned() }),
        }
    }

    /// Waits for the task, as long as the query stays within its limits.
    async fn next_message(&mut self) -> Result<Option<Message>, QueryError> {
        loop {
            if let Some(guard) = &mut self.guard {
                guard.look()?;
            }
            let left = match self.timeout {
                Some(limit) => limit.saturating_sub(self.started.elapsed()),
                None => Duration::MAX,
            };
            let wait = if self.guard.is_some() { left.min(LOOK_EVERY) } else { left };
            match tokio::time::timeout(wait, self.receiver.recv()).await {
                Ok(message) => return Ok(message),
                Err(_) if wait < left => {}
                Err(_) => {
                    return Err(QueryError::TimedOut { limit: self.timeout.unwrap_or_default() });
                }
            }
        }
    }

    /// Counts rows, and cuts those beyond the limit off.
    fn accept(&mut self, batch: RecordBatch) -> Result<RecordBatch, QueryError> {
        let mut rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        let left = self.max_rows.map_or(u64::MAX, |most| most - self.rows);
        if rows as u64 > left {
            rows = usize::try_from(left).unwrap_or(rows);
            columns = batch.slice(0, rows).columns().to_vec();
            self.state = match self.overflow {
                Overflow::Refuse => StreamState::Overflowed,
                Overflow::Truncate => StreamState::Truncated,
            };
            self.leave();
        }
        self.rows += rows as u64;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let fields = self.schema.fields().iter().zip(columns);
        let columns = fields.map(|(field, column)| match column.data_type() == field.data_type() {
            true => Ok(column),
            false => cast(&column, field.data_type()),
        });
        let columns = columns.collect::<Result<_, _>>();
        columns
            .and_then(|columns| {
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            })
            .map_err(|error| QueryError::Encode(error.to_string()))
    }
}

/// Starts a query. A plan without a statement was not written by anybody: it has no mistakes.
pub(super) async fn start(
    session: SessionState,
    prepared: Option<&PreparedStatement>,
    logical: LogicalPlan,
    limits: &QueryLimits,
    overflow: Overflow,
    started: Instant,
) -> Result<QueryStream, QueryError> {
    let (state, refusals) = limits.memory.attempt_state(&session, Attempt::Fast);
    // Planned here, so that mistakes that only the optimizer finds are told as mistakes.
    let physical = match state.create_physical_plan(&logical).await {
        Ok(physical) => physical,
        Err(error) => {
            return Err(match QueryError::of_execution(error, limits.memory.limit) {
                QueryError::Failed { message, source } => match prepared {
                    Some(prepared) => plan::mistakes(&session, prepared, &source).await,
                    None => QueryError::Failed { message, source },
                },
                limit => limit,
            });
        }
    };
    let schema = result_schema(&logical, &physical.schema());
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let first = Execution { state, refusals, plan: physical };
    let run = Run {
        session,
        logical,
        memory: limits.memory.clone(),
        alone: limits.alone,
        is_final: AtomicBool::new(false),
        sender,
    };
    let threads = limits.executor.threads().await?;
    let task = threads.spawn(run.run_to_end(first))?;
    Ok(QueryStream {
        schema,
        receiver,
        task,
        executor: Arc::clone(&limits.executor),
        _threads: threads,
        started,
        timeout: limits.timeout,
        guard: limits.alone.then(|| ResidentGuard::new(limits.memory.limit, LIMIT_PERCENT)),
        max_rows: limits.max_rows,
        overflow,
        rows: 0,
        state: StreamState::Open,
    })
}

/// Names as they were asked for, and the types that come: `UNION ALL` of several types has those of its
/// first part until the plan is analyzed.
fn result_schema(logical: &LogicalPlan, physical: &Schema) -> SchemaRef {
    let names = logical.schema().fields().iter().map(|field| field.name());
    let types = physical.fields().iter().map(|field| match field.data_type() {
        // Whoever gets the rows may know nothing of views.
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    });
    let fields = names.zip(types).map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

/// A physical plan and what it runs in.
struct Execution {
    state: SessionState,
    refusals: Arc<AtomicU64>,
    plan: Arc<dyn ExecutionPlan>,
}

/// What the query's task needs.
struct Run {
    session: SessionState,
    logical: LogicalPlan,
    memory: QueryMemory,
    /// Whether what the process holds is this query's.
    alone: bool,
    /// Rows are out, or this is the attempt that spills.
    is_final: AtomicBool,
    sender: mpsc::Sender<Message>,
}

impl Run {
    async fn run_to_end(self, first: Execution) {
        let mut result = self.execute(first).await;
        if matches!(result, Err(QueryError::Memory { .. })) && !self.is_final() {
            debug!("the query met query.memory_limit; it begins anew with operators that spill");
            if self.alone {
                ResidentGuard::new(self.memory.limit, RELEASED_PERCENT).released().await;
            }
            self.is_final.store(true, Ordering::Relaxed);
            result = self.execute_spilling().await;
        }
        let last = match result {
            Ok(()) => Message::Done,
            Err(error) => Message::Failed(error),
        };
        // Whoever is told may end the process: by then the folder of spilled rows must be gone, which
        // goes with the last that has the session.
        let sender = self.sender.clone();
        drop(self);
        // Whoever asked may have gone.
        let _ = sender.send(last).await;
    }

    async fn execute_spilling(&self) -> Result<(), QueryError> {
        let (state, refusals) = self.memory.attempt_state(&self.session, Attempt::Spilling);
        let plan = state
            .create_physical_plan(&self.logical)
            .await
            .map_err(|error| QueryError::of_execution(error, self.memory.limit))?;
        self.execute(Execution { state, refusals, plan }).await
    }

    async fn execute(&self, execution: Execution) -> Result<(), QueryError> {
        let refusals = Arc::clone(&execution.refusals);
        let work = AssertUnwindSafe(self.send_rows(execution)).catch_unwind();
        let outcome = tokio::select! {
            outcome = work => outcome,
            error = self.grown_too_large(), if self.alone => return Err(error),
        };
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(QueryError::of_execution(error, self.memory.limit)),
            // Some operators panic when a neighbour was refused memory before they were ready.
            Err(_) if refusals.load(Ordering::Relaxed) > 0 => Err(QueryError::Memory {
                limit: self.memory.limit,
                detail: "an operator was refused memory while the query started".to_owned(),
            }),
            Err(panic) => Err(QueryError::Aborted { reason: panic_text(&*panic) }),
        }
    }

    /// Whether no other attempt can follow.
    fn is_final(&self) -> bool {
        self.is_final.load(Ordering::Relaxed)
    }

    /// Waits until the process holds more than is worth it, while another attempt can follow.
    async fn grown_too_large(&self) -> QueryError {
        let mut guard = ResidentGuard::new(self.memory.limit, ATTEMPT_PERCENT);
        while !self.is_final() {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = guard.look()
                && !self.is_final()
            {
                return error;
            }
        }
        std::future::pending().await
    }

    async fn send_rows(&self, execution: Execution) -> Result<(), DataFusionError> {
        let mut stream = execute_stream(execution.plan, execution.state.task_ctx())?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.is_final.store(true, Ordering::Relaxed);
            if self.sender.send(Message::Rows(batch)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

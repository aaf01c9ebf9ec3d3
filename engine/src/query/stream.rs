//! A query under way: its rows as they come, within its limits.
//!
//! The query is planned and runs in a task of its own, on threads of its own, so that whoever waits for
//! rows is never kept from seeing a time-out or an interrupt by an optimizer or an operator that is
//! busy. Its time is one for both. Dropping the stream ends the task as soon as its operators give way,
//! or ask whether to go on (`cancellation.rs`).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug;

use super::bounds::Bounds;
use super::cancellation::Cancellation;
use super::error::QueryError;
use super::executor::{QueryExecutor, QueryThreads};
use super::limits::{Attempt, QueryLimits, QueryMemory};
use super::plan;
use super::resident::{LOOK_EVERY, ResidentGuard};
use super::statement::PreparedStatement;
use crate::catalog::memory::panic_text;

/// Batches that may wait for the reader.
const QUEUED_BATCHES: usize = 2;

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
    /// There is a plan, whose rows have these columns.
    Planned(SchemaRef),
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
    cancellation: Arc<Cancellation>,
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
        self.cancellation.leave();
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
            Some(Message::Done | Message::Planned(_)) => {
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
            let left = self.cancellation.time_left();
            let wait = if self.guard.is_some() { left.min(LOOK_EVERY) } else { left };
            match tokio::time::timeout(wait, self.receiver.recv()).await {
                Ok(message) => return Ok(message),
                Err(_) if wait < left => {}
                Err(_) => {
                    let limit = self.cancellation.timeout().unwrap_or_default();
                    return Err(QueryError::TimedOut { limit });
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

/// What is to be planned.
pub(super) enum Asked {
    /// A statement that somebody has written, and the values of its parameters.
    Statement(Box<PreparedStatement>, ParamValues),
    /// A plan that was not written by anybody: it has no mistakes.
    Plan(LogicalPlan),
}

/// Starts a query, and waits until there is a plan for it.
pub(super) async fn start(
    session: SessionState,
    asked: Asked,
    limits: &QueryLimits,
    overflow: Overflow,
    cancellation: Arc<Cancellation>,
) -> Result<QueryStream, QueryError> {
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let planning = Planning {
        session,
        memory: limits.memory.clone(),
        alone: limits.alone,
        cancellation: Arc::clone(&cancellation),
        sender,
    };
    let threads = limits.executor.threads().await?;
    let task = threads.spawn(planning.run(asked))?;
    let mut stream = QueryStream {
        schema: Arc::new(Schema::empty()),
        receiver,
        task,
        executor: Arc::clone(&limits.executor),
        _threads: threads,
        cancellation,
        guard: limits.guard(),
        max_rows: limits.max_rows,
        overflow,
        rows: 0,
        state: StreamState::Open,
    };
    match stream.next_message().await? {
        Some(Message::Planned(schema)) => stream.schema = schema,
        Some(Message::Failed(error)) => {
            stream.state = StreamState::Ended;
            return Err(error);
        }
        _ => return Err(QueryError::Aborted { reason: "there is no plan".to_owned() }),
    }
    Ok(stream)
}

/// What the query's task begins with.
struct Planning {
    session: SessionState,
    memory: QueryMemory,
    alone: bool,
    cancellation: Arc<Cancellation>,
    sender: mpsc::Sender<Message>,
}

impl Planning {
    async fn run(self, asked: Asked) {
        let sender = self.sender.clone();
        let planned = AssertUnwindSafe(self.plan(asked)).catch_unwind().await;
        let planned = planned
            .unwrap_or_else(|panic| Err(QueryError::Aborted { reason: panic_text(&*panic) }));
        match planned {
            Ok((run, first)) => {
                let schema = result_schema(&run.logical, &first.plan.schema());
                if sender.send(Message::Planned(schema)).await.is_ok() {
                    drop(sender);
                    run.run_to_end(first).await;
                }
            }
            Err(error) => {
                // Whoever asked may have gone.
                let _ = sender.send(Message::Failed(error)).await;
            }
        }
    }

    async fn plan(self, asked: Asked) -> Result<(Run, Execution), QueryError> {
        let Self { session, memory, alone, cancellation, sender } = self;
        let (statement, logical) = match asked {
            Asked::Plan(logical) => (None, logical),
            Asked::Statement(statement, values) => {
                let logical = plan::logical_plan(&session, &statement, values).await?;
                (Some(statement), logical)
            }
        };
        let is_final = AtomicBool::new(false);
        let run = Run { session, logical, memory, alone, cancellation, is_final, sender };
        match run.execution(Attempt::Fast).await {
            Ok(first) => Ok((run, first)),
            // Mistakes that only the optimizer finds are told as mistakes.
            Err(QueryError::Failed { message, source }) => Err(match statement {
                Some(statement) => plan::mistakes(&run.session, &statement, &source).await,
                None => QueryError::Failed { message, source },
            }),
            Err(limit) => Err(limit),
        }
    }
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
    cancellation: Arc<Cancellation>,
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
        let spilling = self.execution(Attempt::Spilling).await?;
        self.execute(spilling).await
    }

    /// What is executed in an attempt.
    async fn execution(&self, attempt: Attempt) -> Result<Execution, QueryError> {
        let planned = async {
            let (mut state, refusals) =
                self.memory.attempt_state(&self.session, attempt, &self.cancellation);
            let optimized = state.optimize(&self.logical)?;
            let bounds = Bounds::new(self.memory.limit, Arc::clone(&self.cancellation));
            let rows = bounds.batch_rows(&optimized, state.config().batch_size())?;
            let config = state.config().clone().with_batch_size(rows);
            *state.config_mut() = config;
            let plan = state.query_planner().create_physical_plan(&optimized, &state).await?;
            Ok(Execution { state, refusals, plan })
        };
        planned.await.map_err(|error| QueryError::of_execution(error, self.memory.limit))
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

#[cfg(test)]
mod tests;

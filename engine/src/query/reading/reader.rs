//! Reads tables of the star schema: from the warehouse, or from memory where they are held.
//!
//! Most questions about a mart differ in a few days and one platform, and the mart changes when a
//! run publishes it. So a table that is asked for is held whole, as it is at one version, and further
//! questions cost no call to the warehouse, no plan and no conversion. It is read in the background:
//! whoever asks meanwhile is answered by the warehouse. What is held is bounded; the table that was
//! not asked for the longest goes first, and one that takes more than half is not held at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datafusion::common::DataFusionError;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::debug;

use super::held::{HeldTable, value_bytes};
use super::{HeldRows, Reading, RowWriter, logical_plan};
use crate::catalog::Namespace;
use crate::catalog::runtime::session_config;
use crate::models::Model;
use crate::pipeline::{Engine, PipelineError};
use crate::query::cancellation::Cancellation;
use crate::query::error::QueryError;
use crate::query::stream::{self, Asked, Overflow, QueryStream};
use crate::settings::ByteSize;

/// How long a table that was too large is not tried again: tables seldom shrink.
const LARGE_FOR: Duration = Duration::from_secs(3600);

/// How long a table that could not be read is not tried again.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// Reads tables of the star schema. What planning needs is made once.
#[derive(Clone)]
pub struct TableReader {
    engine: Engine,
    state: SessionState,
    held: Arc<HeldTables>,
    write: RowWriter,
}

impl TableReader {
    /// A reader of the engine's warehouse, within the limits of its queries. So many bytes of
    /// tables are held in memory, with each row as `write` writes it.
    ///
    /// # Errors
    /// When no session can be made.
    pub fn new(engine: &Engine, held: ByteSize, write: RowWriter) -> Result<Self, PipelineError> {
        let config = session_config(&engine.limits);
        let session = Namespace::default()
            .into_session(config, Arc::clone(&engine.runtime))
            .map_err(PipelineError::Setup)?;
        let held = Arc::new(HeldTables::new(held.as_usize()));
        Ok(Self { engine: engine.clone(), state: session.state(), held, write })
    }

    /// Starts to read a model's table from the warehouse.
    ///
    /// # Errors
    /// When there is no plan for it; what goes wrong later is told by the stream.
    pub fn read<'a>(
        &'a self,
        model: &'a Model,
        reading: &'a Reading,
    ) -> BoxFuture<'a, Result<QueryStream, QueryError>> {
        Box::pin(async move {
            let limits = &self.engine.queries;
            let cancellation = Cancellation::new(Instant::now(), limits.timeout);
            let source = provider_as_source(self.engine.stores.warehouse.table(&model.table));
            let plan = logical_plan(&model.table, source, reading).map_err(failed)?;
            let (state, asked) = (self.state.clone(), Asked::Plan(plan));
            stream::start(state, asked, limits, Overflow::Refuse, cancellation).await
        })
    }

    /// Reads a model's table as it is held in memory. Without an answer it is not held at this
    /// version, and the warehouse has to be asked; it may be held from then on.
    ///
    /// The version is one that was read before: see [`crate::freshness`].
    ///
    /// # Errors
    /// When the reading does not fit the table, or gives more rows than a query may.
    pub fn held(
        &self,
        model: &Arc<Model>,
        version: u64,
        reading: &Reading,
    ) -> Result<Option<HeldRows>, QueryError> {
        if self.held.limit == 0 || reading.distinct {
            return Ok(None);
        }
        let Some(table) = self.held.get(model.name(), version) else {
            self.hold(model, version);
            return Ok(None);
        };
        let rows = table.read(&model.table, reading).map_err(failed)?;
        match self.engine.queries.max_rows {
            Some(limit) if rows.len() as u64 > limit => Err(QueryError::TooManyRows { limit }),
            _ => Ok(Some(rows)),
        }
    }

    /// Reads the table in the background, unless another one is being read or it is not worth it.
    fn hold(&self, model: &Arc<Model>, version: u64) {
        if !self.held.may_hold(model.name()) {
            return;
        }
        let Ok(turn) = Arc::clone(&self.held.turn).try_acquire_owned() else { return };
        let (reader, model) = (self.clone(), Arc::clone(model));
        tokio::spawn(async move {
            let _turn = turn;
            // It may have been read since this was asked.
            if reader.held.get(model.name(), version).is_some() {
                return;
            }
            let found = match reader.whole(&model).await {
                Ok(Some(rows)) => Entry::Rows { version, rows: Arc::new(rows) },
                Ok(None) => Entry::Refused { until: Instant::now() + LARGE_FOR },
                Err(error) => {
                    let table = model.name();
                    debug!(table, %error, "{table} is not held in memory: {error}");
                    Entry::Refused { until: Instant::now() + FAILED_FOR }
                }
            };
            reader.held.put(model.name(), found);
        });
    }

    /// All rows of a table, unless they are too large.
    async fn whole(&self, model: &Model) -> Result<Option<HeldTable>, QueryError> {
        let reading = Reading { columns: model.table.column_names(), ..Reading::default() };
        let mut stream = self.read(model, &reading).await?;
        let mut batches = Vec::new();
        let mut bytes = 0;
        loop {
            match stream.next().await {
                Ok(Some(batch)) => {
                    bytes += value_bytes(&batch);
                    batches.push(batch);
                }
                Ok(None) => break,
                // More rows than any answer may have.
                Err(QueryError::TooManyRows { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
            if bytes > self.held.largest() {
                return Ok(None);
            }
        }
        let (table, schema) = (model.table.clone(), Arc::clone(stream.schema()));
        let (write, largest) = (self.write, self.held.largest());
        let make = move || {
            let mut held = HeldTable::new(&table, &schema, &batches)?;
            drop(batches);
            held.write_rows(write, largest)?;
            Ok(held)
        };
        // To sort and to write a large table takes longer than others may wait for their turn.
        match tokio::task::spawn_blocking(make).await {
            Ok(held) => held.map(Some).map_err(failed),
            Err(error) => Err(failed(DataFusionError::External(Box::new(error)))),
        }
    }
}

fn failed(error: DataFusionError) -> QueryError {
    QueryError::Failed { message: error.to_string(), source: Box::new(error) }
}

/// What is known of a table.
#[derive(Debug)]
enum Entry {
    Rows { version: u64, rows: Arc<HeldTable> },
    Refused { until: Instant },
}

/// The tables that are held.
#[derive(Debug)]
struct HeldTables {
    /// Most bytes of all together.
    limit: usize,
    /// By name, with the time when each was last asked for.
    tables: Mutex<HashMap<String, (Instant, Entry)>>,
    /// One table is read at a time.
    turn: Arc<Semaphore>,
}

impl HeldTables {
    fn new(limit: usize) -> Self {
        Self { limit, tables: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Most bytes of one table.
    fn largest(&self) -> usize {
        self.limit / 2
    }

    fn get(&self, name: &str, wanted: u64) -> Option<Arc<HeldTable>> {
        match self.tables().get_mut(name) {
            Some((used, Entry::Rows { version, rows })) if *version == wanted => {
                *used = Instant::now();
                Some(Arc::clone(rows))
            }
            _ => None,
        }
    }

    fn may_hold(&self, name: &str) -> bool {
        match self.tables().get(name) {
            Some((_, Entry::Refused { until })) => Instant::now() >= *until,
            _ => true,
        }
    }

    /// Keeps what was found of a table, and lets go of others until all fit.
    fn put(&self, name: &str, entry: Entry) {
        let mut tables = self.tables();
        tables.insert(name.to_owned(), (Instant::now(), entry));
        loop {
            let rows = tables.iter().filter_map(|(name, (used, entry))| match entry {
                Entry::Rows { rows, .. } => Some((*used, rows.bytes(), name)),
                Entry::Refused { .. } => None,
            });
            let held: usize = rows.clone().map(|(_, bytes, _)| bytes).sum();
            if held <= self.limit {
                return;
            }
            let Some(oldest) = rows.min_by_key(|(used, ..)| *used).map(|(.., name)| name.clone())
            else {
                return;
            };
            tables.remove(&oldest);
        }
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<String, (Instant, Entry)>> {
        // Nothing panics while it holds the lock, and the tables are whole at any instant.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::stores::warehouse::TableDefinition;

    fn rows(version: u64, count: i64) -> Entry {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let numbers = Arc::new(Int64Array::from_iter_values(0..count));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).unwrap();
        let table = TableDefinition {
            name: "t".to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            partition: None,
            comment: None,
        };
        let rows = HeldTable::new(&table, &schema, &[batch]).unwrap();
        Entry::Rows { version, rows: Arc::new(rows) }
    }

    #[test]
    fn what_was_not_asked_for_the_longest_is_let_go() {
        let held = HeldTables::new(250 * 8);
        held.put("a", rows(1, 100));
        held.put("b", rows(1, 100));
        assert!(held.get("a", 1).is_some());
        held.put("c", rows(1, 100));
        assert!(held.get("a", 1).is_some());
        assert!(held.get("b", 1).is_none());
        assert!(held.get("c", 1).is_some());
        assert!(held.get("c", 2).is_none(), "another version is another table");
    }

    #[test]
    fn what_was_refused_is_not_tried_again_at_once() {
        let held = HeldTables::new(1_000);
        assert!(held.may_hold("a"));
        held.put("a", Entry::Refused { until: Instant::now() + FAILED_FOR });
        assert!(!held.may_hold("a"));
        held.put("a", Entry::Refused { until: Instant::now() });
        assert!(held.may_hold("a"));
    }
}

//! References: the values of a column, gathered while the rows pass by, and looked up afterwards in
//! the column of the other model.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Column, DataFusionError, Result, ScalarValue};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use super::rows::{columns_to_show, show_row};
use super::{ColumnCheck, SAMPLE_ROWS};
use crate::pipeline::Engine;
use crate::stores::warehouse::TableDefinition;

/// Values that one look-up asks for.
const VALUES_PER_LOOKUP: usize = 1000;

/// Values beyond which the other column is read as a whole: so many look-ups would take longer.
const MOST_LOOKED_UP: usize = 20_000;

/// What a value takes in memory besides its text and that of its first row, in bytes.
const BYTES_PER_VALUE: usize = 96;

/// The values of a column so far.
pub(super) struct ValuesSeen {
    pub(super) check: ColumnCheck,
    values: HashMap<String, Seen>,
    memory: MemoryReservation,
    pub(super) elapsed: Duration,
}

/// A value.
struct Seen {
    /// Rows with it.
    rows: u64,
    /// The first of them.
    first: String,
}

impl ValuesSeen {
    pub(super) fn new(check: &ColumnCheck, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("References").register(pool);
        Self { check: check.clone(), values: HashMap::new(), memory, elapsed: Duration::ZERO }
    }

    pub(super) fn look_at(&mut self, rows: &RecordBatch, key: &[String]) -> Result<()> {
        let started = Instant::now();
        let Some(column) = rows.column_by_name(&self.check.column) else { return Ok(()) };
        let texts = cast(column, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let columns = columns_to_show(key, &self.check.column);
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            let text = texts.value(row);
            match self.values.get_mut(text) {
                Some(seen) => seen.rows += 1,
                None => {
                    let first = show_row(rows, row, &columns);
                    self.memory.try_grow(BYTES_PER_VALUE + text.len() + first.len())?;
                    self.values.insert(text.to_owned(), Seen { rows: 1, first });
                }
            }
        }
        self.elapsed += started.elapsed();
        Ok(())
    }

    /// Looks the values up in `column` of `table`. Returns the number of rows whose value is not
    /// there, and some of them.
    pub(super) async fn missing(
        &mut self,
        engine: &Engine,
        table: &TableDefinition,
        column: &str,
    ) -> Result<(u64, Vec<String>)> {
        let started = Instant::now();
        let data_type = match table.column(column) {
            Some(column) => column.data_type.clone(),
            None => return Err(DataFusionError::Plan(format!("{} has no {column}", table.name))),
        };
        let mut unknown: HashSet<&str> = self.values.keys().map(String::as_str).collect();
        let wanted: Vec<&str> = unknown.iter().copied().collect();
        let everything: &[&str] = &[];
        let lookups: Vec<&[&str]> = match wanted.len() {
            0 => Vec::new(),
            1..=MOST_LOOKED_UP => wanted.chunks(VALUES_PER_LOOKUP).collect(),
            _ => vec![everything],
        };
        for lookup in lookups {
            remove_known(engine, table, column, &data_type, lookup, &mut unknown).await?;
        }
        // In order, so that the same data give the same report.
        let missing: BTreeMap<&str, &Seen> = unknown
            .iter()
            .filter_map(|value| self.values.get_key_value(*value))
            .map(|(value, seen)| (value.as_str(), seen))
            .collect();
        let rows = missing.values().map(|seen| seen.rows).sum();
        let sample = missing.values().take(SAMPLE_ROWS).map(|seen| seen.first.clone()).collect();
        self.elapsed += started.elapsed();
        Ok((rows, sample))
    }
}

/// Removes the values that the column has from `unknown`: those of `lookup`, or any.
async fn remove_known(
    engine: &Engine,
    table: &TableDefinition,
    column: &str,
    data_type: &DataType,
    lookup: &[&str],
    unknown: &mut HashSet<&str>,
) -> Result<()> {
    let config = SessionConfig::new().with_target_partitions(1);
    let session =
        SessionContext::new_with_config_rt(config, Arc::<RuntimeEnv>::clone(&engine.runtime));
    let mut rows = session.read_table(engine.stores.warehouse.table(table))?;
    let referenced = || Expr::Column(Column::from_name(column));
    if !lookup.is_empty() {
        let mut literals = Vec::with_capacity(lookup.len());
        for value in lookup {
            // A text that is none of this type's values is not there.
            if let Ok(value) = ScalarValue::try_from_string((*value).to_owned(), data_type) {
                literals.push(lit(value));
            }
        }
        rows = rows.filter(referenced().in_list(literals, false))?;
    }
    let mut known = rows.select(vec![referenced()])?.execute_stream().await?;
    while let Some(batch) = known.next().await {
        let texts = cast(batch?.column(0), &DataType::Utf8)?;
        for value in texts.as_string::<i32>().iter().flatten() {
            unknown.remove(value);
        }
    }
    Ok(())
}

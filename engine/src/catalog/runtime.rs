//! What all SQL of one process shares: memory, threads, spill space.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::Dialect;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;

/// Consumers named in the error when the memory limit is reached.
const REPORTED_CONSUMERS: usize = 5;

/// Limits that all SQL of one process shares.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// Bytes that operators may hold before they spill.
    pub memory: usize,
    /// Threads that one query uses.
    pub threads: usize,
    /// Where operators spill to.
    pub spill_folder: PathBuf,
}

/// The shared memory pool and spill space.
pub fn build_runtime(limits: &EngineLimits) -> Result<Arc<RuntimeEnv>> {
    let consumers =
        std::num::NonZeroUsize::new(REPORTED_CONSUMERS).unwrap_or(std::num::NonZeroUsize::MIN);
    // First come, first served: a model with many grouping sets has a hundred operators, and an equal
    // share for each would be too small for the few that need much.
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(limits.memory), consumers);
    let spill = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![limits.spill_folder.clone()]));
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(spill)
        .build_arc()
}

/// The settings of every session.
pub fn session_config(limits: &EngineLimits) -> SessionConfig {
    let mut config =
        SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(true);
    set_sql_options(&mut config);
    config
}

/// How SQL text is read, the same everywhere.
pub fn set_sql_options(config: &mut SessionConfig) {
    let options = config.options_mut();
    // Positions in the SQL text, for errors that name file, line and column.
    options.sql_parser.collect_spans = true;
    // `0.10` is a decimal, as in PostgreSQL: money must not become a binary fraction on the way.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.execution.time_zone = Some("UTC".to_owned());
}

//! What all SQL of one process shares: memory, threads, spill space.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::Dialect;
use datafusion::execution::cache::cache_manager::DEFAULT_METADATA_CACHE_LIMIT;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;

/// Consumers named in the error when the memory limit is reached.
const REPORTED_CONSUMERS: usize = 5;

/// Fewest partitions for which the planner uses joins that spill.
const FRUGAL_PARTITIONS: usize = 2;

/// Rows per batch where memory is short.
const FRUGAL_BATCH_ROWS: usize = 1024;

/// Sorts that may be under way at once in a model where memory is short.
const FRUGAL_SORTS: usize = 128;

/// Limits that all SQL of one process shares.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// Bytes that operators may hold before they spill.
    pub memory: usize,
    /// Threads that one query uses.
    pub threads: usize,
    /// Where operators spill to.
    pub spill_folder: PathBuf,
    /// Bytes of footers of the archive's files that are kept, at least the usual number.
    pub footers: usize,
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
        .with_metadata_cache_limit(limits.footers.max(DEFAULT_METADATA_CACHE_LIMIT))
        .build_arc()
}

/// The settings of every session.
pub fn session_config(limits: &EngineLimits) -> SessionConfig {
    let mut config =
        SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(true);
    set_sql_options(&mut config);
    config
}

/// The settings of a session that is to need as little memory as it can: joins spill, there are
/// few partitions, and batches and what sorts keep for their merging are small. Takes longer.
pub fn frugal_session_config(limits: &EngineLimits) -> SessionConfig {
    let mut config = session_config(limits)
        .with_target_partitions(FRUGAL_PARTITIONS)
        .with_batch_size(FRUGAL_BATCH_ROWS);
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    // A model may sort many times at once, and each sort keeps this much from its beginning.
    let reservation = limits.memory / FRUGAL_SORTS;
    options.execution.sort_spill_reservation_bytes =
        reservation.min(options.execution.sort_spill_reservation_bytes);
    config
}

/// The settings of a session whose sorts share a pool of so many bytes evenly, and spill.
pub fn within_pool(config: SessionConfig, pool: usize, partitions: usize) -> SessionConfig {
    config
        .with_target_partitions(partitions)
        .with_batch_size(batch_rows(pool))
        .with_sort_spill_reservation_bytes(merge_reservation(pool, partitions))
}

/// Rows per batch: small pools cannot afford wide ones.
fn batch_rows(pool: usize) -> usize {
    match pool >> 20 {
        0..32 => 1024,
        32..64 => 2048,
        64..256 => 4096,
        _ => 8192,
    }
}

/// What each sort keeps back for merging what it has spilled.
fn merge_reservation(pool: usize, partitions: usize) -> usize {
    (pool / (16 * partitions)).clamp(256 << 10, 10 << 20)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pools_have_small_batches() {
        assert_eq!(batch_rows(16 << 20), 1024);
        assert_eq!(batch_rows(48 << 20), 2048);
        assert_eq!(batch_rows(1 << 30), 8192);
        assert_eq!(merge_reservation(32 << 20, 2), 1 << 20);
    }
}

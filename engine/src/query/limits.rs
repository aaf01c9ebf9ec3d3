//! What queries may take: memory, time, rows.
//!
//! All queries of a process share one memory pool, apart from the pipeline's, so that an analyst
//! cannot starve a load. The pool is smaller than `query.memory_limit`: what operators reserve is
//! not all that a process holds. A third, and 144 MiB at least, is left outside: for the
//! program and its plans, for what is being read, for batches on their way between operators, for
//! the copies that merging, joining and encoding make of them, and for what the allocator keeps.
//!
//! The pool is fair: each operator that can spill may take an equal share, and spills beyond it.
//! First come, first served would let an aggregate take all, and the sort above it would fail
//! because it has nothing to spill yet. Hash joins cannot spill. They are tried first, being fast; a
//! query whose hash join meets the limit before its first row is out begins anew with sort-merge
//! joins and few partitions, which spill and need few shares. What stays in memory even so is an
//! error: a list of everything (`array_agg`), `NOT IN` over a large nullable subquery.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};

use super::cancellation::Cancellation;
use super::executor::QueryExecutor;
use super::give_way::GiveWay;
use super::resident::{ResidentGuard, resident_bytes};
use super::windows::WholeWindows;
use crate::catalog::memory::counted_runtime;
use crate::catalog::runtime::within_pool;
use crate::settings::{ByteSize, QuerySettings};

/// Consumers named in the error when the memory limit is reached.
const REPORTED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// Least memory that is left outside of the pool. A process that scans the archive and reserves
/// nothing takes 130 MiB, and one whose pool is full up to 50 MiB beside both.
const LEAST_HEADROOM: usize = 144 << 20;

/// Least memory of the pool, whatever the setting: it accepts nothing for which less is left.
const LEAST_POOL: usize = 48 << 20;

/// Memory of the pool that one more partition should bring along.
const MEMORY_PER_PARTITION: usize = 16 << 20;

/// Part of the pool that the input of a window function may take without being accounted for.
const WINDOWS_OF_POOL: usize = 4;

/// Hundredths of `query.memory_limit` that a process that only answers queries may hold. What
/// operators take until they have ended comes on top: together it stays within 1.2 times the setting.
const LIMIT_PERCENT: usize = 114;

/// What the queries of one process may take.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Longest time for one: `query.timeout`.
    pub timeout: Option<Duration>,
    /// Most rows of one result: `query.max_rows`.
    pub max_rows: Option<u64>,
    /// Whether the process does nothing but answer queries, so that all it holds is theirs.
    pub alone: bool,
    /// Most bytes that a process may hold which does other work as well, if it is looked at.
    process: Option<usize>,
    /// Whether queries see the bytes of quarantined records.
    pub raw_quarantine: bool,
    pub(super) memory: QueryMemory,
    pub(super) executor: Arc<QueryExecutor>,
}

impl QueryLimits {
    /// The limits that the settings give, with memory and `threads` threads of their own.
    pub fn new(settings: &QuerySettings, threads: usize) -> Self {
        Self {
            timeout: settings.timeout,
            max_rows: settings.max_rows,
            alone: false,
            process: None,
            raw_quarantine: true,
            memory: QueryMemory::new(settings.memory_limit),
            executor: Arc::new(QueryExecutor::new(threads)),
        }
    }

    /// The same limits with threads of their own: queries that hold these for long keep nobody from
    /// the others.
    pub fn with_own_threads(&self) -> Self {
        Self { executor: Arc::new(self.executor.another()), ..self.clone() }
    }

    /// From now on queries end when the process holds more than it does now, and than they and `others`
    /// (bytes of the other work of the process) may take. For a process that has run no query yet.
    pub fn watch_process(&mut self, others: usize) {
        let now = resident_bytes().unwrap_or(0);
        let queries = self.memory.limit.as_usize() / 100 * LIMIT_PERCENT;
        self.process = Some(now.saturating_add(others).saturating_add(queries));
    }

    /// What ends a query when the process holds too much.
    pub(super) fn guard(&self) -> Option<ResidentGuard> {
        let limit = self.memory.limit;
        match self.process {
            _ if self.alone => Some(ResidentGuard::new(limit, LIMIT_PERCENT)),
            Some(most) => Some(ResidentGuard::of_process(limit, most)),
            None => None,
        }
    }
}

/// The memory of all queries of a process together.
#[derive(Debug, Clone)]
pub(super) struct QueryMemory {
    /// `query.memory_limit`
    pub(super) limit: ByteSize,
    pool: Arc<dyn MemoryPool>,
    pool_bytes: usize,
}

impl QueryMemory {
    fn new(limit: ByteSize) -> Self {
        let pool_bytes = pool_size(limit.as_usize());
        let pool = TrackConsumersPool::new(FairSpillPool::new(pool_bytes), REPORTED_CONSUMERS);
        Self { limit, pool: Arc::new(pool), pool_bytes }
    }

    /// The session's state for one attempt, and the count of refused allocations in it.
    pub(super) fn attempt_state(
        &self,
        session: &SessionState,
        attempt: Attempt,
        cancellation: &Arc<Cancellation>,
    ) -> (SessionState, Arc<AtomicU64>) {
        let (runtime, refusals) = counted_runtime(session.runtime_env(), Arc::clone(&self.pool));
        let mut config = session.config().clone();
        let partitions = match attempt {
            Attempt::Fast => {
                let affordable = (self.pool_bytes / MEMORY_PER_PARTITION).max(1);
                config.target_partitions().min(affordable)
            }
            Attempt::Spilling => SPILLING_PARTITIONS,
        };
        config = within_pool(config, self.pool_bytes, partitions);
        let optimizer = &mut config.options_mut().optimizer;
        optimizer.prefer_hash_join = attempt == Attempt::Fast;
        // Sorted streams of many inputs are merged in memory; one sort merges on disk.
        optimizer.repartition_sorts = attempt == Attempt::Fast;
        let mut builder = SessionStateBuilder::new_from_existing(session.clone())
            .with_config(config)
            .with_runtime_env(runtime);
        if attempt == Attempt::Fast {
            let budget = self.pool_bytes / WINDOWS_OF_POOL;
            builder = builder.with_physical_optimizer_rule(Arc::new(WholeWindows { budget }));
        }
        let cancellation = Arc::clone(cancellation);
        builder = builder.with_physical_optimizer_rule(Arc::new(GiveWay { cancellation }));
        (builder.build(), refusals)
    }
}

/// Fewest partitions for which the planner uses sort-merge joins.
const SPILLING_PARTITIONS: usize = 2;

/// How a query is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Hash joins, all threads.
    Fast,
    /// Sort-merge joins, few partitions: everything that is large spills.
    Spilling,
}

/// Bytes of the pool under a limit for the process.
fn pool_size(limit: usize) -> usize {
    limit.saturating_sub((limit / 3).max(LEAST_HEADROOM)).max(LEAST_POOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_leaves_room() {
        assert_eq!(pool_size(192 << 20), 48 << 20);
        assert_eq!(pool_size(256 << 20), 112 << 20);
        assert_eq!(pool_size(600 << 20), 400 << 20);
    }
}

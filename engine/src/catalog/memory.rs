//! Whether a query or model was refused memory.
//!
//! What fails then need not say so: some operators panic when a neighbour was refused memory before
//! they were ready.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;

use super::headroom::HeadroomPool;
use super::runtime::{EngineLimits, frugal_session_config, session_config};

/// `runtime` with the memory of `pool`, and the count of what the pool will have refused to whoever
/// uses it.
pub(crate) fn counted_runtime(
    runtime: &RuntimeEnv,
    pool: Arc<dyn MemoryPool>,
) -> (Arc<RuntimeEnv>, Arc<AtomicU64>) {
    let refusals = Arc::new(AtomicU64::new(0));
    let pool = CountedPool { shared: pool, refusals: Arc::clone(&refusals) };
    let runtime = RuntimeEnv { memory_pool: Arc::new(pool), ..RuntimeEnv::clone(runtime) };
    (Arc::new(runtime), refusals)
}

/// How one attempt of a model or check runs: the settings of its session, its share of `runtime`, and
/// the count of what that will have refused. A frugal one needs as little memory as it can; it should
/// have all of it to itself.
pub(crate) fn attempt(
    limits: &EngineLimits,
    runtime: &RuntimeEnv,
    frugal: bool,
) -> (SessionConfig, Arc<RuntimeEnv>, Arc<AtomicU64>) {
    let shared = Arc::clone(&runtime.memory_pool);
    let (config, pool): (_, Arc<dyn MemoryPool>) = match frugal {
        false => (session_config(limits), shared),
        true => (frugal_session_config(limits), Arc::new(HeadroomPool::new(shared))),
    };
    let (runtime, refusals) = counted_runtime(runtime, pool);
    (config, runtime, refusals)
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a task panicked".to_owned())
}

/// A shared pool, as one query or model sees it: it counts what was refused.
#[derive(Debug)]
struct CountedPool {
    shared: Arc<dyn MemoryPool>,
    refusals: Arc<AtomicU64>,
}

impl std::fmt::Display for CountedPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.shared)
    }
}

impl MemoryPool for CountedPool {
    fn name(&self) -> &str {
        "counted"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let grown = self.shared.try_grow(reservation, additional);
        if grown.is_err() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::FairSpillPool;

    use super::*;

    #[test]
    fn refusals_are_counted() {
        let refusals = Arc::new(AtomicU64::new(0));
        let pool: Arc<dyn MemoryPool> = Arc::new(CountedPool {
            shared: Arc::new(FairSpillPool::new(1000)),
            refusals: Arc::clone(&refusals),
        });
        let reservation = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        reservation.try_grow(900).unwrap();
        assert!(reservation.try_grow(900).is_err());
        assert_eq!((pool.reserved(), refusals.load(Ordering::Relaxed)), (900, 1));
    }
}

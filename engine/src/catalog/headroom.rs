//! A memory pool that keeps room for whoever has to merge what was spilled.
//!
//! First come, first served, a table of groups takes all there is before it spills. If its
//! neighbour has read everything by then and merges what it spilled before, there is nothing left
//! for that, and the query fails though half of what is held could have been spilled. Equal shares
//! do not help a model with a hundred operators of which a few need much. So here the share of one
//! that can spill is what is free: the limit of each queue in a shared buffer by A. K. Choudhury and
//! E. L. Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM
//! Transactions on Networking 6 (1998), with α = 1. One takes up to a half, the next up to a half of
//! the rest, and as much is free as the last of them to grow holds.

use std::sync::Arc;

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// A shared pool in which none that can spill holds more than is left free.
#[derive(Debug)]
pub(crate) struct HeadroomPool {
    shared: Arc<dyn MemoryPool>,
}

impl HeadroomPool {
    /// Keeps room in `shared`.
    pub(crate) fn new(shared: Arc<dyn MemoryPool>) -> Self {
        Self { shared }
    }

    /// Whether `reservation` may hold so much more. One that holds nothing has nothing to spill: it
    /// gets what there is.
    fn leaves_room(&self, reservation: &MemoryReservation, additional: usize) -> bool {
        let MemoryLimit::Finite(limit) = self.shared.memory_limit() else { return true };
        if !reservation.consumer().can_spill() || reservation.size() == 0 {
            return true;
        }
        let free = limit.saturating_sub(self.shared.reserved()).saturating_sub(additional);
        reservation.size().saturating_add(additional) <= free
    }
}

impl std::fmt::Display for HeadroomPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.shared)
    }
}

impl MemoryPool for HeadroomPool {
    fn name(&self) -> &str {
        "headroom"
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
        if self.leaves_room(reservation, additional) {
            return self.shared.try_grow(reservation, additional);
        }
        Err(resources_datafusion_err!(
            "Additional allocation failed for {} with {} bytes more than its {}: no room would be \
             left to merge what is spilled ({self})",
            reservation.consumer().name(),
            additional,
            reservation.size()
        ))
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
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn pool_of(bytes: usize) -> Arc<dyn MemoryPool> {
        Arc::new(HeadroomPool::new(Arc::new(GreedyMemoryPool::new(bytes))))
    }

    fn consumer(pool: &Arc<dyn MemoryPool>, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new("operator").with_can_spill(can_spill).register(pool)
    }

    /// Grows by ones until it is refused, and says how much that was.
    fn fill(reservation: &MemoryReservation) -> usize {
        while reservation.try_grow(1).is_ok() {}
        reservation.size()
    }

    #[test]
    fn those_that_spill_leave_room_for_merging() {
        let pool = pool_of(1200);
        let (first, second) = (consumer(&pool, true), consumer(&pool, true));
        assert_eq!((fill(&first), fill(&second)), (600, 300));
        // It spilled and holds nothing: what it needs for the merge is there.
        first.free();
        first.try_grow(600).unwrap();
    }

    #[test]
    fn one_that_cannot_spill_gets_what_there_is() {
        let pool = pool_of(1200);
        let (spilling, other) = (consumer(&pool, true), consumer(&pool, false));
        assert_eq!((fill(&spilling), fill(&other)), (600, 600));
    }

    #[test]
    fn the_first_allocation_is_limited_by_the_pool_alone() {
        let pool = pool_of(1200);
        let reservation = consumer(&pool, true);
        reservation.try_grow(1200).unwrap();
        let refused = consumer(&pool, true).try_grow(1);
        assert!(matches!(refused, Err(error) if error.to_string().contains("operator")));
    }
}

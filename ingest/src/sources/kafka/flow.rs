//! The batches between the thread that reads and the tasks that take them in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::batch::Batch;

/// Which batches are under way, and what was committed of them. Shared.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// For each batch that was handed over and is not committed, how far its partitions move.
    /// Batches are committed in their order.
    under_way: VecDeque<Vec<(i32, i64)>>,
    /// Committed positions that the brokers have not been told of.
    news: BTreeMap<i32, i64>,
    /// Nothing more will be committed.
    has_ended: bool,
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch is about to be handed over.
    pub(super) fn hand_over(&self, batch: &Batch) {
        let moves =
            batch.advances.iter().filter(|advance| advance.next_offset > advance.claim.next_offset);
        let ends = moves.map(|advance| (advance.claim.partition, advance.next_offset)).collect();
        self.state().under_way.push_back(ends);
    }

    /// The batch that was handed over last was not taken.
    pub(super) fn take_back(&self) {
        self.state().under_way.pop_back();
    }

    /// The oldest batch under way is committed.
    pub(super) fn commit(&self) {
        let mut state = self.state();
        if let Some(ends) = state.under_way.pop_front() {
            state.news.extend(ends);
        }
        self.changed.notify_all();
    }

    /// Nothing more will be committed.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.changed.notify_all();
    }

    /// Whether nothing more will be committed.
    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Committed positions by partition that were not asked for before.
    pub(super) fn news(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.state().news)
    }

    /// Waits for a commit or the end, but not longer than this.
    pub(super) fn wait(&self, longest: Duration) {
        let state = self.state();
        if !state.has_ended {
            let waited = self.changed.wait_timeout(state, longest);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits until no batch is under way. Returns whether that is so.
    pub(super) fn wait_until_idle(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        loop {
            if state.under_way.is_empty() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.has_ended || left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use questlake_engine::stores::ledger::Claim;

    use super::*;
    use crate::batch::PartitionAdvance;
    use crate::decode::RawRecords;

    /// A batch that moves partitions from one offset to another.
    fn batch(moves: &[(i32, i64, i64)]) -> Batch {
        let advance = |(partition, from, to): &(i32, i64, i64)| PartitionAdvance {
            claim: Claim { topic: "t".into(), partition: *partition, epoch: 1, next_offset: *from },
            next_offset: *to,
            content: None,
        };
        Batch {
            records: RawRecords {
                topic: "t".into(),
                data: bytes::Bytes::new(),
                records: Vec::new(),
            },
            advances: moves.iter().map(advance).collect(),
            origins: Vec::new(),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn brokers_are_told_of_what_is_committed_and_of_nothing_else() {
        let flow = Flow::default();
        flow.hand_over(&batch(&[(0, 0, 5), (1, 3, 3)]));
        flow.hand_over(&batch(&[(0, 5, 9), (1, 3, 4)]));
        assert!(flow.news().is_empty());
        flow.commit();
        assert_eq!(flow.news(), BTreeMap::from([(0, 5)]));
        assert!(!flow.wait_until_idle(Instant::now()));
        flow.commit();
        assert!(flow.wait_until_idle(Instant::now()));
        assert_eq!(flow.news(), BTreeMap::from([(0, 9), (1, 4)]));
        assert!(flow.news().is_empty());
    }

    #[test]
    fn a_batch_that_was_not_taken_is_not_waited_for() {
        let flow = Flow::default();
        flow.hand_over(&batch(&[(0, 0, 5)]));
        flow.take_back();
        assert!(flow.wait_until_idle(Instant::now()));
    }

    #[test]
    fn whoever_waits_is_woken_by_the_commit_and_by_the_end() {
        for ends in [false, true] {
            let flow = Arc::new(Flow::default());
            flow.hand_over(&batch(&[(0, 0, 5)]));
            let other = Arc::clone(&flow);
            let waiting = std::thread::spawn(move || other.wait_until_idle(soon()));
            if ends {
                flow.end();
            } else {
                flow.commit();
            }
            assert_eq!(waiting.join().unwrap(), !ends);
            assert_eq!(flow.has_ended(), ends);
        }
    }
}

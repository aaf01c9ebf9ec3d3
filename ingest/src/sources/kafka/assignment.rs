//! The partitions that are ours, and how far each has been read: bookkeeping without Kafka.

use std::collections::BTreeMap;

use questlake_engine::stores::ledger::{Claim, ContentMark};

use super::mark::{mark_of, marked_offset};
use crate::batch::PartitionAdvance;

/// One partition that is read.
#[derive(Debug, Clone)]
struct Partition {
    /// The claim, at the position of the batch that is being gathered.
    claim: Claim,
    /// Behind the last record that was gathered.
    next_offset: i64,
    /// The last record that is committed, until it was seen again.
    verify: Option<ContentMark>,
    /// The last record that was gathered for the batch.
    last: Option<ContentMark>,
}

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next one.
    Take,
    /// It was read before, or its partition is not ours.
    Skip,
    /// It stands where another record was read.
    Changed {
        /// Position of the partition.
        next_offset: i64,
    },
}

/// The partitions that are ours.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: BTreeMap<i32, Partition>,
}

impl Assignment {
    /// Adds a partition, or begins it anew under another claim.
    pub(super) fn add(&mut self, claim: Claim, verify: Option<ContentMark>) {
        let next_offset = claim.next_offset;
        let partition = Partition { next_offset, verify, last: None, claim };
        self.partitions.insert(partition.claim.partition, partition);
    }

    /// Removes a partition.
    pub(super) fn remove(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Removes all of them.
    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }

    /// Numbers of the partitions, ascending.
    pub(super) fn numbers(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// Partitions and how far each has been read.
    pub(super) fn positions(&self) -> Vec<(i32, i64)> {
        self.partitions.iter().map(|(number, state)| (*number, state.next_offset)).collect()
    }

    /// Judges the record that came next, and moves the partition behind it if it is taken. Offsets
    /// that are passed over have no record: it was compacted away, or is one of Kafka's own.
    pub(super) fn arrive(
        &mut self,
        partition: i32,
        offset: i64,
        timestamp: Option<i64>,
        payload: &[u8],
    ) -> Arrival {
        let Some(state) = self.partitions.get_mut(&partition) else { return Arrival::Skip };
        if let Some(verify) = &state.verify {
            let marked = marked_offset(verify);
            if offset == marked && mark_of(offset, timestamp, payload) != *verify {
                return Arrival::Changed { next_offset: state.next_offset };
            }
            if offset >= marked {
                state.verify = None;
            }
        }
        if offset < state.next_offset {
            return Arrival::Skip;
        }
        state.next_offset = offset + 1;
        state.last = Some(mark_of(offset, timestamp, payload));
        Arrival::Take
    }

    /// Moves a partition behind offsets of which no record will come. Returns whether it moves.
    pub(super) fn pass_to(&mut self, partition: i32, offset: i64) -> bool {
        match self.partitions.get_mut(&partition) {
            Some(state) if state.next_offset < offset => {
                state.next_offset = offset;
                true
            }
            _ => false,
        }
    }

    /// Ends the batch: how far each partition moves with it. Partitions without a record are in it
    /// as well, since a batch that knows all claims can tell duplicates among them from doubtful
    /// ones, and is fenced as a whole.
    pub(super) fn end_batch(&mut self) -> Vec<PartitionAdvance> {
        let advance = |state: &mut Partition| {
            let claim = state.claim.clone();
            state.claim.next_offset = state.next_offset;
            PartitionAdvance { claim, next_offset: state.next_offset, content: state.last.take() }
        };
        self.partitions.values_mut().map(advance).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(partition: i32, next_offset: i64) -> Claim {
        Claim { topic: "t".into(), partition, epoch: 3, next_offset }
    }

    fn arrive(assignment: &mut Assignment, partition: i32, offset: i64) -> Arrival {
        assignment.arrive(partition, offset, None, b"record")
    }

    #[test]
    fn records_are_taken_once_and_only_of_our_partitions() {
        let mut assignment = Assignment::default();
        assignment.add(claim(1, 0), None);
        assert_eq!(arrive(&mut assignment, 0, 0), Arrival::Skip);
        assert_eq!(arrive(&mut assignment, 1, 0), Arrival::Take);
        assert_eq!(arrive(&mut assignment, 1, 0), Arrival::Skip);
        assert_eq!(arrive(&mut assignment, 1, 1), Arrival::Take);
        // Compaction leaves holes.
        assert_eq!(arrive(&mut assignment, 1, 40), Arrival::Take);
        assert_eq!(arrive(&mut assignment, 1, 39), Arrival::Skip);
        assert_eq!(assignment.positions(), [(1, 41)]);
        assignment.remove(1);
        assert_eq!(arrive(&mut assignment, 1, 41), Arrival::Skip);
    }

    #[test]
    fn the_last_committed_record_is_seen_again_and_not_taken() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 7), Some(mark_of(6, Some(9), b"last")));
        assert_eq!(assignment.arrive(0, 6, Some(9), b"last"), Arrival::Skip);
        assert_eq!(assignment.arrive(0, 7, Some(9), b"next"), Arrival::Take);
        // Nobody asks for it twice.
        assert_eq!(assignment.arrive(0, 6, Some(9), b"another"), Arrival::Skip);
    }

    #[test]
    fn another_record_in_its_place_is_told() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 7), Some(mark_of(6, Some(9), b"last")));
        let changed = Arrival::Changed { next_offset: 7 };
        assert_eq!(assignment.arrive(0, 6, Some(9), b"another"), changed);
        assert_eq!(assignment.arrive(0, 6, Some(10), b"last"), changed);
    }

    #[test]
    fn offsets_without_a_record_are_passed_and_the_mark_stays_that_of_the_last_record() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 0), None);
        arrive(&mut assignment, 0, 4);
        assert!(assignment.pass_to(0, 6));
        // Nothing new, nothing behind us, and nothing of others.
        assert!(
            !assignment.pass_to(0, 6) && !assignment.pass_to(0, 3) && !assignment.pass_to(1, 9)
        );
        let advance = &assignment.end_batch()[0];
        assert_eq!(advance.next_offset, 6);
        assert_eq!(advance.content, Some(mark_of(4, None, b"record")));
        assert!(assignment.pass_to(0, 8));
        let advance = &assignment.end_batch()[0];
        assert_eq!((advance.claim.next_offset, advance.next_offset), (6, 8));
        assert_eq!(advance.content, None);
    }

    #[test]
    fn where_the_last_record_was_compacted_away_the_next_is_taken() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 7), Some(mark_of(6, None, b"last")));
        assert_eq!(arrive(&mut assignment, 0, 9), Arrival::Take);
        assert_eq!(assignment.positions(), [(0, 10)]);
    }

    #[test]
    fn a_batch_has_every_claim_and_the_next_goes_on_behind_it() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 5), None);
        assignment.add(claim(1, 0), None);
        arrive(&mut assignment, 0, 5);
        arrive(&mut assignment, 0, 8);
        let first = assignment.end_batch();
        let moves = |advances: &[PartitionAdvance]| -> Vec<(i32, i64, i64, bool)> {
            let each = advances.iter().map(|advance| {
                let claim = &advance.claim;
                let moved = advance.content.is_some();
                (claim.partition, claim.next_offset, advance.next_offset, moved)
            });
            each.collect()
        };
        assert_eq!(moves(&first), [(0, 5, 9, true), (1, 0, 0, false)]);
        assert_eq!(first[0].content, Some(mark_of(8, None, b"record")));
        assert!(first.iter().all(|advance| advance.claim.epoch == 3));
        arrive(&mut assignment, 1, 0);
        assert_eq!(moves(&assignment.end_batch()), [(0, 9, 9, false), (1, 0, 1, true)]);
    }

    /// Whatever comes of a partition, whole or with holes, again or not: what is taken ascends, and
    /// the batches follow upon each other without a hole and without an overlap.
    #[test]
    fn batches_of_a_partition_follow_upon_each_other() {
        let mut assignment = Assignment::default();
        assignment.add(claim(0, 0), None);
        let mut taken = Vec::new();
        let mut end = 0;
        let offsets = [0, 1, 0, 1, 5, 6, 5, 6, 7, 3, 20, 19, 21];
        for (index, offset) in offsets.into_iter().enumerate() {
            if arrive(&mut assignment, 0, offset) == Arrival::Take {
                taken.push(offset);
            }
            if index % 3 == 0 {
                let advances = assignment.end_batch();
                assert_eq!(advances[0].claim.next_offset, end);
                end = advances[0].next_offset;
            }
        }
        assert_eq!(taken, [0, 1, 5, 6, 7, 20, 21]);
    }
}

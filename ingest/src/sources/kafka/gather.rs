//! Records on their way into a batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::assignment::{Arrival, Assignment};
use crate::batch::Batch;
use crate::decode::{RawRecords, RecordSpan};
use crate::sources::file::BatchBounds;

/// Bytes that are set aside for a batch at first.
const FIRST_BYTES: usize = 1 << 20;

/// The batch that is being gathered, of all partitions that are ours.
pub(super) struct Gather {
    topic: Arc<str>,
    bounds: BatchBounds,
    /// How long the first record waits for others.
    wait: Duration,
    pub(super) assignment: Assignment,
    data: Vec<u8>,
    records: Vec<RecordSpan>,
    since: Option<Instant>,
    /// Whether a partition moves without a record.
    has_passed: bool,
}

impl Gather {
    pub(super) fn new(topic: &str, bounds: BatchBounds, wait: Duration) -> Self {
        Self {
            topic: topic.into(),
            bounds,
            wait,
            assignment: Assignment::default(),
            data: Vec::new(),
            records: Vec::new(),
            since: None,
            has_passed: false,
        }
    }

    /// Judges the record that came next, and takes it into the batch if it belongs there.
    pub(super) fn arrive(
        &mut self,
        partition: i32,
        offset: i64,
        timestamp: Option<i64>,
        payload: &[u8],
        now: Instant,
    ) -> Arrival {
        let arrival = self.assignment.arrive(partition, offset, timestamp, payload);
        if arrival == Arrival::Take {
            if self.data.capacity() == 0 {
                self.data.reserve(FIRST_BYTES.min(self.bounds.bytes).max(payload.len()));
            }
            let (start, length) = (self.data.len() as u32, payload.len() as u32);
            self.data.extend_from_slice(payload);
            self.records.push(RecordSpan { start, length, partition, offset });
            self.since.get_or_insert(now);
        }
        arrival
    }

    /// Moves a partition behind offsets of which no record will come. That is committed with the next
    /// batch, which may be one without a record: a topic that has dropped them later has a gap else.
    pub(super) fn pass_to(&mut self, partition: i32, offset: i64, now: Instant) {
        if self.assignment.pass_to(partition, offset) {
            self.has_passed = true;
            self.since.get_or_insert(now);
        }
    }

    /// Whether the batch has as much as it may have.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.bounds.records || self.data.len() >= self.bounds.bytes
    }

    /// Whether the batch has waited long enough, or is full.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_full() || self.due_in(now).is_some_and(|left| left.is_zero())
    }

    /// How long the batch may still wait; `None` if there is nothing to commit.
    pub(super) fn due_in(&self, now: Instant) -> Option<Duration> {
        let since = self.since?;
        Some(self.wait.saturating_sub(now.saturating_duration_since(since)))
    }

    /// The batch, unless nothing moves with it. The next one begins behind it.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.since = None;
        let has_passed = std::mem::take(&mut self.has_passed);
        if self.records.is_empty() && !has_passed {
            return None;
        }
        let room = self.data.len();
        let data = std::mem::replace(&mut self.data, Vec::with_capacity(room));
        let count = self.records.len();
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(count));
        Some(Batch {
            records: RawRecords {
                topic: Arc::clone(&self.topic),
                data: Bytes::from(data),
                records,
            },
            advances: self.assignment.end_batch(),
            origins: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use questlake_engine::stores::ledger::Claim;

    use super::*;

    fn gather(records: usize, bytes: usize) -> Gather {
        let wait = Duration::from_millis(200);
        let mut gather = Gather::new("t", BatchBounds { records, bytes }, wait);
        for partition in [0, 1] {
            let claim = Claim { topic: "t".into(), partition, epoch: 1, next_offset: 0 };
            gather.assignment.add(claim, None);
        }
        gather
    }

    #[test]
    fn a_batch_holds_the_bytes_of_its_records_under_their_keys() {
        let now = Instant::now();
        let mut gather = gather(10, 1 << 20);
        assert!(gather.take().is_none());
        for (partition, offset, payload) in [(1, 0, "first"), (0, 0, ""), (1, 4, "third")] {
            let arrival = gather.arrive(partition, offset, None, payload.as_bytes(), now);
            assert_eq!(arrival, Arrival::Take);
        }
        // What is not ours leaves no trace.
        assert_eq!(gather.arrive(7, 0, None, b"foreign", now), Arrival::Skip);
        let batch = gather.take().unwrap();
        let found: Vec<(i32, i64, &[u8])> = (0..3)
            .map(|index| {
                let span = batch.records.records[index];
                (span.partition, span.offset, batch.records.record_bytes(index).unwrap())
            })
            .collect();
        let expected: [(i32, i64, &[u8]); 3] = [(1, 0, b"first"), (0, 0, b""), (1, 4, b"third")];
        assert_eq!(found, expected);
        let ends: Vec<i64> = batch.advances.iter().map(|advance| advance.next_offset).collect();
        assert_eq!(ends, [1, 5]);
        assert!(gather.take().is_none());
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_or_has_waited() {
        let now = Instant::now();
        let mut gather = gather(2, 100);
        assert!(!gather.is_due(now + Duration::from_secs(9)));
        assert_eq!(gather.due_in(now), None);
        gather.arrive(0, 0, None, b"a", now);
        assert!(!gather.is_due(now + Duration::from_millis(199)));
        assert_eq!(
            gather.due_in(now + Duration::from_millis(50)),
            Some(Duration::from_millis(150))
        );
        assert!(gather.is_due(now + Duration::from_millis(200)));
        gather.arrive(0, 1, None, b"b", now);
        assert!(gather.is_due(now));
        gather.take();
        assert!(!gather.is_due(now + Duration::from_secs(9)));
        gather.arrive(0, 2, None, &[b' '; 100], now);
        assert!(gather.is_full());
    }

    #[test]
    fn what_is_passed_is_committed_though_no_record_comes() {
        let now = Instant::now();
        let mut gather = gather(10, 1 << 20);
        gather.arrive(0, 0, None, b"a", now);
        gather.pass_to(0, 2, now);
        let ends = |batch: &Batch| -> Vec<i64> {
            batch.advances.iter().map(|advance| advance.next_offset).collect()
        };
        assert_eq!(ends(&gather.take().unwrap()), [2, 0]);
        assert!(gather.take().is_none());
        gather.pass_to(1, 1, now);
        gather.pass_to(7, 1, now);
        assert!(gather.is_due(now + Duration::from_millis(200)));
        let batch = gather.take().unwrap();
        assert_eq!(ends(&batch), [2, 1]);
        assert!(batch.records.records.is_empty());
        gather.pass_to(1, 1, now);
        assert!(gather.take().is_none());
    }
}

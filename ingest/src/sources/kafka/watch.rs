//! Watching over a client that may stand still without an error: the thread that reads by its
//! pulse, and the partitions by their positions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the pulse is felt.
const FEEL_EVERY: Duration = Duration::from_secs(1);

/// Times that the pulse may be missing: more than any step of the thread may take.
const MISSING_BEATS: u32 = 300;

/// Beats while a thread lives.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: AtomicU64,
}

impl Pulse {
    /// The thread is alive.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when the thread has stood still for minutes. Time in which the whole process stood
    /// still does not count: each look is at least one second of its own.
    pub(super) async fn stands_still(&self) {
        let mut patient = Patient::default();
        while !patient.is_lost(self.beats.load(Ordering::Relaxed)) {
            tokio::time::sleep(FEEL_EVERY).await;
        }
    }
}

/// What was felt of a pulse.
#[derive(Debug, Default)]
struct Patient {
    beats: u64,
    missing: u32,
}

impl Patient {
    fn is_lost(&mut self, beats: u64) -> bool {
        self.missing = if beats == self.beats { self.missing + 1 } else { 0 };
        self.beats = beats;
        self.missing >= MISSING_BEATS
    }
}

/// A partition at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// Behind the last record that came.
    pub(super) position: i64,
    /// Offset that the next record sent will have.
    pub(super) high: i64,
}

/// Finds partitions of which nothing comes though they have more.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    last: BTreeMap<i32, Sight>,
    /// Where the brokers said that there is nothing more.
    ends: BTreeMap<i32, End>,
    /// Positions at which a new client did not get any further either.
    forgiven: BTreeMap<i32, i64>,
}

/// An end of a partition that was reached. What lies between the last record and the high watermark
/// is no record there, such as the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    position: i64,
    /// High watermark at the first look after it.
    high: Option<i64>,
}

impl StallWatch {
    /// Begins anew with a new client.
    pub(super) fn forget_last(&mut self) {
        self.last.clear();
        self.ends.clear();
    }

    /// The brokers say that a partition has nothing more behind this position.
    pub(super) fn reach_end(&mut self, partition: i32, position: i64) {
        self.ends.insert(partition, End { position, high: None });
    }

    /// Looks at all partitions that are read. Returns one that had more at the last look and has
    /// not moved since. It is told once at each position.
    pub(super) fn look(&mut self, sights: BTreeMap<i32, Sight>) -> Option<i32> {
        let mut stalled = None;
        for (partition, sight) in &sights {
            let Some(last) = self.last.get(partition) else { continue };
            let known_end = match self.ends.get_mut(partition) {
                Some(end) if end.position == sight.position => *end.high.get_or_insert(sight.high),
                _ => sight.position,
            };
            let stands = last.position == sight.position && last.high > known_end;
            if stands && self.forgiven.get(partition) != Some(&sight.position) {
                self.forgiven.insert(*partition, sight.position);
                stalled = Some(*partition);
            }
        }
        self.last = sights;
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sights(position: i64, high: i64) -> BTreeMap<i32, Sight> {
        BTreeMap::from([(3, Sight { position, high })])
    }

    #[test]
    fn a_partition_that_has_more_and_does_not_move_stands_still() {
        let mut watch = StallWatch::default();
        assert_eq!(watch.look(sights(5, 9)), None);
        assert_eq!(watch.look(sights(6, 9)), None);
        assert_eq!(watch.look(sights(6, 9)), Some(3));
    }

    #[test]
    fn one_that_is_at_its_end_does_not() {
        let mut watch = StallWatch::default();
        assert_eq!(watch.look(sights(9, 9)), None);
        assert_eq!(watch.look(sights(9, 9)), None);
        // What has come only now had no time to be read.
        assert_eq!(watch.look(sights(9, 12)), None);
        assert_eq!(watch.look(sights(9, 12)), Some(3));
    }

    #[test]
    fn what_lies_behind_the_last_record_is_not_waited_for() {
        let mut watch = StallWatch::default();
        watch.look(sights(9, 10));
        watch.reach_end(3, 9);
        for _ in 0..3 {
            assert_eq!(watch.look(sights(9, 10)), None);
        }
        // More has come since, and had its time.
        assert_eq!(watch.look(sights(9, 14)), None);
        assert_eq!(watch.look(sights(9, 14)), Some(3));
        // An end elsewhere says nothing.
        watch.reach_end(3, 14);
        assert_eq!(watch.look(sights(15, 20)), None);
        assert_eq!(watch.look(sights(15, 20)), Some(3));
    }

    #[test]
    fn where_a_new_client_does_not_get_further_there_is_no_record() {
        let mut watch = StallWatch::default();
        watch.look(sights(9, 10));
        assert_eq!(watch.look(sights(9, 10)), Some(3));
        watch.forget_last();
        for _ in 0..5 {
            assert_eq!(watch.look(sights(9, 10)), None);
        }
        assert_eq!(watch.look(sights(11, 14)), None);
        assert_eq!(watch.look(sights(11, 14)), Some(3));
    }

    #[test]
    fn a_thread_without_a_pulse_is_found() {
        let mut patient = Patient::default();
        for beats in 1..1_000 {
            assert!(!patient.is_lost(beats));
        }
        for _ in 1..MISSING_BEATS {
            assert!(!patient.is_lost(999));
        }
        assert!(patient.is_lost(999));
    }
}

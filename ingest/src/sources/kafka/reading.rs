//! What has been read and not been handed over: the batch that is being gathered, and the one that
//! waits for room. Belongs to the thread that reads.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::flow::Flow;
use super::gather::Gather;
use crate::batch::Batch;
use crate::error::IngestError;

/// Longest wait between two looks for room.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Where the batches go.
pub(super) type BatchSender = Sender<Result<Batch, IngestError>>;

/// What became of the batch that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandedOver {
    /// There is none, or there is none any more.
    Nothing,
    /// There is no room for it.
    Full,
    /// Nobody takes batches any more.
    Closed,
}

/// The records between Kafka and the steps of a batch.
pub(super) struct Reading {
    pub(super) gather: Gather,
    /// Waits for room.
    pending: Option<Batch>,
    /// Gone when nothing more is to come.
    sender: Option<BatchSender>,
    /// Partitions that the group has given us and that are not read, since they had no leader.
    pub(super) left_out: BTreeSet<i32>,
    /// Whether partitions are paused, since there is no room.
    pub(super) is_paused: bool,
    /// Whether the consumer is being closed.
    pub(super) is_closing: bool,
}

impl Reading {
    pub(super) fn new(gather: Gather, sender: BatchSender) -> Self {
        Self {
            gather,
            pending: None,
            sender: Some(sender),
            left_out: BTreeSet::new(),
            is_paused: false,
            is_closing: false,
        }
    }

    /// Ends the batch that is being gathered, unless another one still waits.
    pub(super) fn end_batch(&mut self) {
        if self.pending.is_none() {
            self.pending = self.gather.take();
        }
    }

    /// Hands the batch that waits over, if there is room. Does not block.
    pub(super) fn hand_over(&mut self, flow: &Flow) -> HandedOver {
        let Some(batch) = self.pending.take() else { return HandedOver::Nothing };
        let Some(sender) = &self.sender else { return HandedOver::Closed };
        // Before it is sent: its commit must find it there.
        flow.hand_over(&batch);
        match sender.try_send(Ok(batch)) {
            Ok(()) => HandedOver::Nothing,
            Err(TrySendError::Full(returned)) => {
                flow.take_back();
                self.pending = returned.ok();
                HandedOver::Full
            }
            Err(TrySendError::Closed(_)) => {
                flow.take_back();
                HandedOver::Closed
            }
        }
    }

    /// Hands over all that was gathered and waits until it is committed. Returns whether it is.
    pub(super) fn drain(&mut self, flow: &Flow, deadline: Instant) -> bool {
        loop {
            self.end_batch();
            if self.pending.is_none() {
                return flow.wait_until_idle(deadline);
            }
            match self.hand_over(flow) {
                HandedOver::Nothing => {}
                HandedOver::Closed => return false,
                HandedOver::Full if Instant::now() >= deadline || flow.has_ended() => return false,
                HandedOver::Full => flow.wait(ROOM_PAUSE),
            }
        }
    }

    /// Nothing more is handed over. What is under way is still committed.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.pending = None;
        self.sender = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use questlake_engine::stores::ledger::Claim;
    use tokio::sync::mpsc;

    use super::*;
    use crate::sources::file::BatchBounds;

    fn reading(sender: BatchSender) -> Reading {
        let bounds = BatchBounds { records: 1, bytes: 1 << 20 };
        let mut gather = Gather::new("t", bounds, Duration::ZERO);
        let claim = Claim { topic: "t".into(), partition: 0, epoch: 1, next_offset: 0 };
        gather.assignment.add(claim, None);
        Reading::new(gather, sender)
    }

    fn arrive(reading: &mut Reading, offset: i64) {
        reading.gather.arrive(0, offset, None, b"{}", Instant::now());
    }

    #[test]
    fn batches_wait_for_room_and_keep_their_order() {
        let flow = Flow::default();
        let (sender, mut receiver) = mpsc::channel(1);
        let mut reading = reading(sender);
        assert_eq!(reading.hand_over(&flow), HandedOver::Nothing);
        for offset in [0, 1] {
            arrive(&mut reading, offset);
            reading.end_batch();
            let expected = if offset == 0 { HandedOver::Nothing } else { HandedOver::Full };
            assert_eq!(reading.hand_over(&flow), expected);
        }
        // What comes meanwhile is gathered behind it.
        arrive(&mut reading, 2);
        reading.end_batch();
        for offset in [0, 1] {
            let batch = receiver.blocking_recv().unwrap().unwrap();
            assert_eq!(batch.records.records[0].offset, offset);
            assert_eq!(reading.hand_over(&flow), HandedOver::Nothing);
        }
        drop(receiver);
        reading.end_batch();
        assert_eq!(reading.hand_over(&flow), HandedOver::Closed);
    }

    #[test]
    fn draining_waits_for_the_last_commit() {
        let flow = Arc::new(Flow::default());
        let (sender, mut receiver) = mpsc::channel(1);
        let mut reading = reading(sender);
        arrive(&mut reading, 0);
        reading.end_batch();
        arrive(&mut reading, 1);
        let committing = Arc::clone(&flow);
        let taking = std::thread::spawn(move || {
            let mut offsets = Vec::new();
            while let Some(batch) = receiver.blocking_recv() {
                offsets.push(batch.unwrap().records.records[0].offset);
                committing.commit();
            }
            offsets
        });
        assert!(reading.drain(&flow, Instant::now() + Duration::from_secs(60)));
        reading.close();
        assert_eq!(taking.join().unwrap(), [0, 1]);
    }

    #[test]
    fn draining_ends_when_its_time_is_over() {
        let flow = Flow::default();
        let (sender, _receiver) = mpsc::channel(1);
        let mut reading = reading(sender);
        for offset in 0..3 {
            arrive(&mut reading, offset);
            reading.end_batch();
            reading.hand_over(&flow);
        }
        assert!(!reading.drain(&flow, Instant::now()));
    }
}

//! Lines to the topic, as fast as they can be sent or at a set rate: the simulator's way.

use std::io::{Error, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::error::TryRecvError;

use super::delivery::Delivery;
use super::sink::KafkaSink;
use crate::decode::split_lines;

/// Longest sleep between two looks whether it is to stop.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// Lines between two looks at the rate and for failures.
const LINES_PER_LOOK: u64 = 100;

/// Sends what is written to it, line by line. [`Write::flush`] waits until all of it is
/// acknowledged. Blocks.
pub struct LineProducer<'a> {
    sink: KafkaSink,
    /// Most lines a second.
    rate: Option<u32>,
    /// Whether it is to stop.
    is_stopped: &'a dyn Fn() -> bool,
    begun: Instant,
    sent: u64,
    delivery: Arc<Delivery>,
    settled: tokio::sync::oneshot::Receiver<()>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

impl<'a> LineProducer<'a> {
    /// Sends to the sink's topic, at most `rate` lines a second.
    pub fn new(sink: KafkaSink, rate: Option<u32>, is_stopped: &'a dyn Fn() -> bool) -> Self {
        let (delivery, settled) = Delivery::open();
        let begun = Instant::now();
        Self { sink, rate, is_stopped, begun, sent: 0, delivery, settled, rest: Vec::new() }
    }

    /// Lines that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn send(&mut self, lines: &[u8]) -> std::io::Result<()> {
        for span in split_lines(lines, 0, 0) {
            if self.sent.is_multiple_of(LINES_PER_LOOK) || self.rate.is_some() {
                self.keep_pace()?;
            }
            let line = &lines[span.start as usize..(span.start + span.length) as usize];
            if !self.sink.send_one(line, &self.delivery) {
                self.check()?;
            }
            self.sent += 1;
        }
        Ok(())
    }

    /// Waits until the next line is due.
    fn keep_pace(&self) -> std::io::Result<()> {
        loop {
            self.check()?;
            let Some(wait) = wait_at(self.rate, self.sent, self.begun.elapsed()) else {
                return Ok(());
            };
            thread::sleep(wait.min(STOP_LOOK));
        }
    }

    fn check(&self) -> std::io::Result<()> {
        if (self.is_stopped)() {
            return Err(Error::other("stopped"));
        }
        match self.delivery.failure() {
            Some(error) => Err(Error::other(self.sink.delivery_error(&error))),
            None => Ok(()),
        }
    }
}

/// How long to wait before line number `sent`, from 0, `elapsed` after the first one.
fn wait_at(rate: Option<u32>, sent: u64, elapsed: Duration) -> Option<Duration> {
    let rate = rate?.max(1);
    let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
    due.checked_sub(elapsed).filter(|wait| !wait.is_zero())
}

impl Write for LineProducer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = std::mem::take(&mut self.rest);
        lines.extend_from_slice(bytes);
        let end = memchr::memrchr(b'\n', &lines).map_or(0, |position| position + 1);
        self.rest = lines.split_off(end);
        self.send(&lines)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let last = std::mem::take(&mut self.rest);
        self.send(&last)?;
        let (delivery, settled) = Delivery::open();
        let closed = std::mem::replace(&mut self.delivery, delivery);
        let mut settled = std::mem::replace(&mut self.settled, settled);
        closed.close();
        let deadline = Instant::now() + self.sink.settle_time();
        while settled.try_recv() == Err(TryRecvError::Empty) {
            if Instant::now() >= deadline {
                return Err(Error::other("records were not acknowledged in time"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        match closed.failure() {
            Some(error) => Err(Error::other(self.sink.delivery_error(&error))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_pace() {
        let wait = |sent, elapsed_ms| {
            let wait = wait_at(Some(100), sent, Duration::from_millis(elapsed_ms));
            wait.map_or(0, |wait| wait.as_millis())
        };
        assert_eq!(wait(0, 0), 0);
        assert_eq!(wait(1, 0), 10);
        assert_eq!(wait(100, 400), 600);
        // Who is late catches up.
        assert_eq!(wait(100, 2_000), 0);
        assert_eq!(wait_at(None, 1_000_000, Duration::ZERO), None);
    }
}

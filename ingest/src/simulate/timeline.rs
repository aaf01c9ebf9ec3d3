//! Puts lines into the order in which they arrive, a stretch of time (a slot) after the other.
//!
//! Players are simulated one after the other, so their lines come in no order. Each line goes to
//! the buffer of the slot in which it arrives; when a slot is complete, its lines are sorted by an
//! index. Memory is that of one slot's lines and of the few that are still under way.

use std::collections::VecDeque;

/// Lines by the slot of their arrival.
#[derive(Debug)]
pub(super) struct Timeline {
    slot_ms: i64,
    /// Number of the first slot, counted from 1970-01-01.
    first_slot: i64,
    slots: VecDeque<Lines>,
    /// Memory that was given back and waits for the next first slot.
    spare: Option<Lines>,
}

/// The lines that arrive in one slot.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    index: Vec<Line>,
}

/// Where a line lies. The order of the fields is the order of the lines: those that arrive in the
/// same millisecond stay in the order in which they were pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    arrival_ms: i64,
    start: usize,
    length: u32,
}

impl Timeline {
    /// A time line that begins at `start_ms`, a multiple of the length of a slot.
    pub(super) fn new(start_ms: i64, slot_ms: i64) -> Self {
        let first_slot = start_ms.div_euclid(slot_ms);
        Self { slot_ms, first_slot, slots: VecDeque::new(), spare: None }
    }

    /// Adds a line, its end included. What would arrive before the first slot arrives in it.
    pub(super) fn push(&mut self, arrival_ms: i64, line: &[u8]) {
        let ahead = arrival_ms.div_euclid(self.slot_ms).saturating_sub(self.first_slot);
        let slot = usize::try_from(ahead).unwrap_or(0);
        if self.slots.is_empty() {
            self.slots.push_back(self.spare.take().unwrap_or_default());
        }
        while self.slots.len() <= slot {
            self.slots.push_back(Lines::default());
        }
        self.slots[slot].push(arrival_ms, line);
    }

    /// Takes the lines of the first slot, in order, and moves on to the next one.
    pub(super) fn take_slot(&mut self) -> Lines {
        self.first_slot += 1;
        let mut lines = self.slots.pop_front().unwrap_or_default();
        lines.index.sort_unstable();
        lines
    }

    /// Gives lines back, so that their memory serves the slot that comes first now. The slots
    /// behind it hold little, and keep the little memory that they have.
    pub(super) fn give_back(&mut self, mut lines: Lines) {
        lines.bytes.clear();
        lines.index.clear();
        match self.slots.front_mut() {
            Some(first) => {
                for line in &first.index {
                    lines.push(line.arrival_ms, first.bytes_of(line));
                }
                *first = lines;
            }
            None => self.spare = Some(lines),
        }
    }

    /// Whether no line is left.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Lines {
    fn push(&mut self, arrival_ms: i64, line: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.index.push(Line { arrival_ms, start, length: line.len() as u32 });
    }

    fn bytes_of(&self, line: &Line) -> &[u8] {
        &self.bytes[line.start..line.start + line.length as usize]
    }

    /// Arrival (epoch milliseconds) and bytes of each line, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &[u8])> {
        self.index.iter().map(|line| (line.arrival_ms, self.bytes_of(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &Lines) -> Vec<String> {
        lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_come_by_slot_in_order_of_arrival() {
        let mut timeline = Timeline::new(1_000, 100);
        timeline.push(1_005, b"b");
        timeline.push(1_205, b"y");
        timeline.push(1_005, b"c");
        timeline.push(1_004, b"a");
        timeline.push(991, b"early");
        let lines = timeline.take_slot();
        assert_eq!(texts(&lines), ["early", "a", "b", "c"]);
        timeline.give_back(lines);
        let lines = timeline.take_slot();
        assert!(texts(&lines).is_empty());
        timeline.give_back(lines);
        assert!(!timeline.is_empty());
        timeline.push(1_204, b"x");
        timeline.push(1_205, b"z");
        let lines = timeline.take_slot();
        assert_eq!(texts(&lines), ["x", "y", "z"]);
        timeline.give_back(lines);
        assert!(timeline.is_empty());
        assert!(texts(&timeline.take_slot()).is_empty());
    }
}

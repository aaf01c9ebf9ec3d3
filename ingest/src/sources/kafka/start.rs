//! Where reading a partition begins: what the ledger knows, against what the topic has.

use questlake_engine::stores::ledger::gap::{Gap, GapReason};
use questlake_engine::stores::ledger::{ContentMark, PartitionStatus};

use super::mark::marked_offset;

/// What the ledger knows of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// First record that is not committed.
    pub(super) next_offset: i64,
    /// Whether anything was committed, be it only where reading begins.
    pub(super) has_begun: bool,
    /// The last record that was committed.
    pub(super) mark: Option<ContentMark>,
}

impl Known {
    pub(super) fn of(status: &PartitionStatus) -> Self {
        Self {
            next_offset: status.claim.next_offset,
            has_begun: status.updated_at > 0 || status.claim.next_offset > 0,
            mark: status.content.clone(),
        }
    }
}

/// The records that a partition has: from `low` to the one before `high`. There may be none, and
/// some in between may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermarks {
    pub(super) low: i64,
    pub(super) high: i64,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// Nobody has read this partition: at the first record that there is. That position is to be
    /// committed first, so that what the topic drops from then on is missed.
    First(i64),
    /// At the offset. If there is a mark, the record at it must fit and is read for that alone.
    At { offset: i64, verify: Option<ContentMark> },
}

/// Decides where to begin. `has_changed` says that the topic was seen to be made anew since it was
/// read last.
///
/// # Errors
/// The gap, if records are missing that were never read.
pub(super) fn start(
    topic: &str,
    partition: i32,
    known: &Known,
    topic_has: Watermarks,
    has_changed: bool,
) -> Result<Start, Gap> {
    let Watermarks { low, high } = topic_has;
    let next = known.next_offset;
    let gap = |to_offset, reason, detail| Gap {
        topic: topic.to_owned(),
        partition,
        from_offset: next,
        to_offset,
        reason,
        detail,
    };
    if !known.has_begun {
        return Ok(Start::First(low));
    }
    if high < next {
        let end = if high > low { format!("ends at {}", high - 1) } else { "is empty".to_owned() };
        let detail = format!("records up to {} were read, but it {end}", next - 1);
        return Err(gap(low, GapReason::Recreated, detail));
    }
    if let Some(found) = made_anew(topic, partition, known).filter(|_| has_changed) {
        return Err(Gap { to_offset: low, ..found });
    }
    if low > next {
        return Err(gap(
            low,
            GapReason::Truncated,
            format!("record {next} comes next, but it begins at {low}"),
        ));
    }
    Ok(match &known.mark {
        Some(mark) if low <= marked_offset(mark) && marked_offset(mark) < next => {
            Start::At { offset: marked_offset(mark), verify: Some(mark.clone()) }
        }
        // Nothing was read, or the topic has dropped it since.
        _ => Start::At { offset: next, verify: None },
    })
}

/// The gap of a partition whose topic was seen to be made anew, unless nothing of it was read.
pub(super) fn made_anew(topic: &str, partition: i32, known: &Known) -> Option<Gap> {
    (known.next_offset > 0).then(|| Gap {
        topic: topic.to_owned(),
        partition,
        from_offset: known.next_offset,
        to_offset: 0,
        reason: GapReason::Recreated,
        detail: "the topic has another identifier than it had".to_owned(),
    })
}

/// The gap of a partition whose last record is another now.
pub(super) fn other_record(topic: &str, partition: i32, next_offset: i64, offset: i64) -> Gap {
    Gap {
        topic: topic.to_owned(),
        partition,
        from_offset: next_offset,
        to_offset: 0,
        reason: GapReason::Recreated,
        detail: format!("record {offset} is another than the one that was read"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::mark_of;
    use super::*;

    fn known(next_offset: i64) -> Known {
        let mark = (next_offset > 0).then(|| mark_of(next_offset - 1, None, b"last"));
        Known { next_offset, has_begun: true, mark }
    }

    fn decide(known: &Known, low: i64, high: i64) -> Result<Start, GapReason> {
        start("t", 0, known, Watermarks { low, high }, false).map_err(|gap| {
            assert_eq!((gap.from_offset, gap.to_offset), (known.next_offset, low));
            gap.reason
        })
    }

    #[test]
    fn a_new_partition_begins_at_the_first_record_there_is() {
        for (low, high) in [(0, 0), (0, 9), (50, 80), (50, 50)] {
            assert_eq!(decide(&Known::default(), low, high), Ok(Start::First(low)));
        }
    }

    #[test]
    fn a_known_one_goes_on_behind_its_last_record() {
        let seven = known(7);
        let verify = seven.mark.clone();
        assert_eq!(decide(&seven, 0, 7), Ok(Start::At { offset: 6, verify: verify.clone() }));
        assert_eq!(decide(&seven, 6, 100), Ok(Start::At { offset: 6, verify }));
        // The last record was dropped, the next was not.
        assert_eq!(decide(&seven, 7, 100), Ok(Start::At { offset: 7, verify: None }));
        assert_eq!(decide(&seven, 7, 7), Ok(Start::At { offset: 7, verify: None }));
    }

    #[test]
    fn offset_zero_is_a_position_like_any_other() {
        assert_eq!(decide(&known(0), 0, 5), Ok(Start::At { offset: 0, verify: None }));
        let one = known(1);
        let verify = one.mark.clone();
        assert_eq!(decide(&one, 0, 5), Ok(Start::At { offset: 0, verify }));
        assert_eq!(decide(&known(0), 1, 5), Err(GapReason::Truncated));
    }

    #[test]
    fn records_that_are_gone_are_a_gap() {
        assert_eq!(decide(&known(7), 8, 100), Err(GapReason::Truncated));
        assert_eq!(decide(&known(7), 8, 8), Err(GapReason::Truncated));
    }

    #[test]
    fn a_topic_that_ends_before_the_position_was_made_anew() {
        assert_eq!(decide(&known(7), 0, 6), Err(GapReason::Recreated));
        assert_eq!(decide(&known(7), 0, 0), Err(GapReason::Recreated));
        assert_eq!(decide(&known(7), 3, 3), Err(GapReason::Recreated));
    }

    #[test]
    fn a_topic_that_was_seen_to_change_is_another() {
        let has = Watermarks { low: 0, high: 100 };
        assert_eq!(start("t", 0, &known(7), has, true).unwrap_err().reason, GapReason::Recreated);
        // Nothing of the old one was read.
        assert!(start("t", 0, &known(0), has, true).is_ok());
        assert!(start("t", 0, &Known::default(), has, true).is_ok());
    }

    #[test]
    fn behind_an_accepted_gap_there_is_nothing_to_compare() {
        let moved = Known { next_offset: 50, ..known(7) };
        assert_eq!(decide(&moved, 50, 60), Ok(Start::At { offset: 50, verify: None }));
    }
}

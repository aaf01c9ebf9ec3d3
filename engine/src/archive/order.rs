//! In which portions landed rows are sorted on their way to the archive.
//!
//! The archive is sorted by day first, so days may be sorted one after the other, as many at a time
//! as fit well into memory. Where every section of landing has rows of many days, as after a backfill
//! that was sorted by player, each would be read again for every portion; then all rows are sorted at
//! once, and spill.

use std::collections::{BTreeMap, BTreeSet};

use crate::stores::landing::segment::Section;
use crate::stores::ledger::SegmentEntry;

/// Times that the same bytes of landing may be read before a sort that spills costs less.
const MOST_READS: u64 = 2;

/// The days of an event type in portions of about `budget` bytes, ascending.
pub(super) fn portions(
    segments: &[SegmentEntry],
    event_type: &str,
    budget: u64,
) -> Vec<BTreeSet<i32>> {
    let sections: Vec<&Section> = segments
        .iter()
        .flat_map(|entry| &entry.segment.sections)
        .filter(|section| section.event_type == event_type)
        .collect();
    let mut bytes_by_day: BTreeMap<i32, u64> = BTreeMap::new();
    for section in &sections {
        let bytes_per_row = section.length / section.rows().max(1);
        for (day, rows) in &section.rows_by_date {
            *bytes_by_day.entry(*day).or_default() += rows * bytes_per_row;
        }
    }
    let mut portions: Vec<BTreeSet<i32>> = Vec::new();
    let mut portion = BTreeSet::new();
    let mut filled = 0;
    for (day, bytes) in bytes_by_day {
        if filled + bytes > budget && !portion.is_empty() {
            portions.push(std::mem::take(&mut portion));
            filled = 0;
        }
        filled += bytes;
        portion.insert(day);
    }
    portions.push(portion);
    let reads = |section: &&Section| {
        let of_section =
            |portion: &&BTreeSet<i32>| section.rows_by_date.keys().any(|day| portion.contains(day));
        portions.iter().filter(of_section).count() as u64 * section.length
    };
    let read: u64 = sections.iter().map(reads).sum();
    let whole: u64 = sections.iter().map(|section| section.length).sum();
    if read <= whole * MOST_READS {
        return portions;
    }
    vec![portions.into_iter().flatten().collect()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::ledger::SealedSegment;

    /// A segment with one section of 1,000 bytes, and a row on each of the days.
    fn segment(days: &[i32]) -> SegmentEntry {
        let section = Section {
            event_type: "purchase".to_owned(),
            contract_version: 1,
            offset: 0,
            length: 1_000,
            checksum: 0,
            rows_by_date: days.iter().map(|day| (*day, 1)).collect(),
        };
        let segment = SealedSegment { name: "a".to_owned(), bytes: 1_000, sections: vec![section] };
        SegmentEntry { sequence: 1, segment }
    }

    fn listed(segments: &[SegmentEntry], budget: u64) -> Vec<Vec<i32>> {
        let portions = portions(segments, "purchase", budget);
        portions.into_iter().map(|portion| portion.into_iter().collect()).collect()
    }

    #[test]
    fn days_are_put_together_up_to_the_budget() {
        let segments = [segment(&[1]), segment(&[2]), segment(&[2]), segment(&[3]), segment(&[4])];
        assert_eq!(listed(&segments, 2_000), [vec![1], vec![2], vec![3, 4]]);
        // A day is not divided.
        assert_eq!(listed(&segments, 10), [vec![1], vec![2], vec![3], vec![4]]);
        assert_eq!(listed(&segments, 9_000), [vec![1, 2, 3, 4]]);
        assert_eq!(portions(&segments, "other", 10), [BTreeSet::new()]);
    }

    #[test]
    fn what_would_be_read_too_often_is_sorted_at_once() {
        let days: Vec<i32> = (1..=10).collect();
        let mixed: Vec<SegmentEntry> = (0..5).map(|_| segment(&days)).collect();
        assert_eq!(listed(&mixed, 1_000), [days]);
        // One late row a segment is read twice.
        let late: Vec<SegmentEntry> = (1..=10).map(|day| segment(&[day - 5, day])).collect();
        assert!(listed(&late, 1_000).len() > 5);
    }
}

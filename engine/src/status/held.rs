//! Whether hot store and landing hold what the ledger says that they do.

use std::collections::HashMap;

use crate::stores::Stores;
use crate::stores::error::{StoreError, StoreResult};
use crate::stores::ledger::SegmentEntry;

/// What the two stores hold.
#[derive(Debug)]
pub(super) struct Held {
    /// Documents in the hot store.
    pub(super) hot: StoreResult<u64>,
    /// Why landing does not answer, if it does not.
    pub(super) landing: Option<StoreError>,
    /// What is gone, in words.
    pub(super) missing: Vec<String>,
}

impl Held {
    /// Looks into the stores; `segments` are those of the ledger that are not in the archive.
    pub(super) async fn look(stores: &Stores, segments: &[SegmentEntry]) -> StoreResult<Self> {
        let held = Self::compare(stores, segments, stores.hot.count().await).await;
        if held.missing.is_empty() {
            return Ok(held);
        }
        // Since the ledger was read, events may have been moved to the archive and pruned; and the store's
        // own count may be off.
        let snapshot = stores.ledger.snapshot().await?;
        let hot = stores.hot.count_exactly().await;
        Ok(Self::compare(stores, &snapshot.segments, hot).await)
    }

    async fn compare(stores: &Stores, segments: &[SegmentEntry], hot: StoreResult<u64>) -> Self {
        let (files, landing) = match stores.landing.list().await {
            Ok(files) => (Some(files), None),
            Err(error) => (None, Some(error)),
        };
        let mut missing = Vec::new();
        if let Some(files) = files {
            let sizes: HashMap<String, u64> = files.into_iter().collect();
            missing.extend(damaged_segments(segments, &sizes));
        }
        if let Ok(hot) = hot {
            missing.extend(lost_documents(segments, hot));
        }
        Self { hot, landing, missing }
    }
}

/// Segments that are not there as they were sealed. Whether a byte was changed shows when they are read.
fn damaged_segments(segments: &[SegmentEntry], sizes: &HashMap<String, u64>) -> Option<String> {
    let is_damaged =
        |entry: &&SegmentEntry| sizes.get(&entry.segment.name) != Some(&entry.segment.bytes);
    let damaged: Vec<&SegmentEntry> = segments.iter().filter(is_damaged).collect();
    let first = &damaged.first()?.segment;
    let what = match sizes.get(&first.name) {
        None => "is missing".to_owned(),
        Some(size) => format!("has {size} bytes instead of {}", first.bytes),
    };
    let others = match damaged.len() - 1 {
        0 => String::new(),
        others => format!(", and {others} more are not as they were sealed"),
    };
    Some(format!(
        "segment {} {what} in landing{others}; put back what was removed or changed there",
        first.name
    ))
}

/// Until events are in the archive, all of them are in the hot store.
fn lost_documents(segments: &[SegmentEntry], hot: u64) -> Option<String> {
    let sections = segments.iter().flat_map(|entry| &entry.segment.sections);
    let landed: u64 = sections.map(|section| section.rows()).sum();
    (hot < landed).then(|| {
        format!(
            "landing holds {landed} events, but the hot store {hot}; put it back from a backup: events \
             that it does not know are taken for new ones when they are sent again"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stores::landing::segment::Section;
    use crate::stores::ledger::SealedSegment;

    fn entry(name: &str) -> SegmentEntry {
        let segment = SealedSegment { name: name.to_owned(), bytes: 10, sections: Vec::new() };
        SegmentEntry { sequence: 1, segment }
    }

    #[test]
    fn segments_are_there_as_they_were_sealed() {
        let sizes = |names: &[(&str, u64)]| {
            names.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
        };
        let segments = [entry("a"), entry("b")];
        let found = |names| damaged_segments(&segments, &sizes(names)).unwrap_or_default();
        assert_eq!(found(&[("a", 10), ("b", 10), ("foreign", 1)]), "");
        assert!(found(&[("a", 10)]).starts_with("segment b is missing in landing; "));
        assert!(found(&[("a", 9), ("b", 10)]).contains("a has 9 bytes instead of 10"));
        assert!(found(&[]).contains("and 1 more"));
    }

    #[test]
    fn a_hot_store_may_hold_more_but_not_less() {
        let mut segment = entry("a");
        segment.segment.sections = vec![Section {
            event_type: "purchase".to_owned(),
            contract_version: 1,
            offset: 0,
            length: 10,
            checksum: 0,
            rows_by_date: BTreeMap::from([(1, 2), (2, 3)]),
        }];
        let segments = [segment];
        assert_eq!(lost_documents(&segments, 5), None);
        assert_eq!(lost_documents(&segments, 7), None);
        assert!(lost_documents(&segments, 4).unwrap().contains("5 events, but the hot store 4;"));
    }
}

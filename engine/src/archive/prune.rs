//! Removes from landing, and from the hot store, what is safely in the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::mover::compare_digests;
use super::{ArchiveError, ArchivePolicy, ArchiveReport, millis};
use crate::clock::now_millis;
use crate::failpoint;
use crate::pipeline::Engine;
use crate::stores::archive::DayDigests;
use crate::stores::error::{StoreError, StoreErrorKind};
use crate::stores::ledger::SegmentEntry;

/// A document lies in the hot store before its segment is committed, and at most so long.
const LONGEST_BATCH: Duration = Duration::from_secs(24 * 60 * 60);

impl Engine {
    pub(super) async fn prune(
        &self,
        policy: &ArchivePolicy,
        report: &mut ArchiveReport,
    ) -> Result<(), ArchiveError> {
        let ledger = &self.stores.ledger;
        let segments = ledger.archived_segments(now_millis() - millis(policy.grace)).await?;
        if !segments.is_empty() {
            self.verify_archived(&segments).await?;
            for segment in &segments {
                self.stores.landing.remove(&segment.segment.name).await?;
                report.pruned_bytes += segment.segment.bytes;
            }
            pass("archive.after_remove", &self.stores.landing.name())?;
            let sequences = segments.iter().map(|segment| segment.sequence).collect();
            ledger.forget_segments(sequences).await?;
            pass("archive.after_forget", &ledger.name())?;
            report.pruned_segments = segments.len() as u64;
        }
        if let Some(retention) = policy.hot_retention {
            let mut before = now_millis() - millis(retention);
            // What is not in the archive, and verified, stays whatever its age.
            if let Some(oldest) = ledger.oldest_segment_at().await? {
                before = before.min(oldest - millis(LONGEST_BATCH));
            }
            report.pruned_documents = self.stores.hot.prune(before).await?;
        }
        Ok(())
    }

    /// Reads the archive's days that these segments have rows of, and compares them with what the
    /// ledger says they hold.
    async fn verify_archived(&self, segments: &[SegmentEntry]) -> Result<(), ArchiveError> {
        let mut touched: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        for section in segments.iter().flat_map(|segment| &segment.segment.sections) {
            let days = touched.entry(&section.event_type).or_default();
            days.extend(section.rows_by_date.keys());
        }
        let state = self.stores.ledger.archive_state().await?;
        for (event_type, days) in touched {
            let known = state.tables.get(event_type).cloned().unwrap_or_default();
            let expected: DayDigests = days
                .iter()
                .map(|day| (*day, known.days.get(day).copied().unwrap_or_default()))
                .collect();
            let found =
                match self.stores.archive.existing_table(event_type, Some(known.version)).await? {
                    Some(table) => table.digest_days(&days).await?,
                    None => DayDigests::new(),
                };
            compare_digests(event_type, &expected, &found)?;
        }
        Ok(())
    }
}

fn pass(failpoint: &'static str, store: &str) -> Result<(), StoreError> {
    failpoint::pass(failpoint)
        .map_err(|failure| StoreError::new(store, "prune", StoreErrorKind::Unavailable, failure))
}

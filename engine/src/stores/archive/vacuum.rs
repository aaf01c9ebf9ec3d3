//! Removes files that nobody can need any more.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::error::failed;
use super::table::ArchiveTable;
use crate::clock::now_millis;
use crate::stores::error::StoreResult;
use crate::stores::objects::STAGED_SUFFIX;

/// Folder of a table's log.
const LOG_FOLDER: &str = "_delta_log";

/// Ending of data files.
const DATA_SUFFIX: &str = ".parquet";

/// What a vacuum removed, or would have removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// Files that were removed.
    pub files_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Files that queries may read: those of the latest version, and those that have left it more
    /// recently than asked for.
    pub files_kept: u64,
}

impl ArchiveTable {
    /// Removes files that left the table, or never came into it, longer than `older_than` ago.
    ///
    /// `older_than` must be longer than the longest query, append and optimization: until then a
    /// query may read a file that has left the table, and a file that is being written is in no
    /// version yet. Removed files are remembered for 30 days; a longer time keeps no more than
    /// these. With `dry_run` nothing is removed.
    pub fn vacuum(
        &mut self,
        older_than: Duration,
        dry_run: bool,
    ) -> BoxFuture<'_, StoreResult<VacuumReport>> {
        Box::pin(async move {
            let older_than = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
            let cutoff = now_millis().saturating_sub(older_than);
            // First the files, then the log: what is committed in between is seen as committed.
            let found = self.list_all().await?;
            self.refresh().await?;
            let needed = self.needed(cutoff).await?;
            let mut report = VacuumReport::default();
            self.pass("archive.vacuum.before_delete")?;
            for meta in found {
                let Some(path) = self.below(&meta.location) else { continue };
                if needed.contains(&path) {
                    report.files_kept += 1;
                    continue;
                }
                // A file that has just been written may be about to be committed.
                if meta.last_modified.timestamp_millis() > cutoff || !is_removable(&path) {
                    continue;
                }
                report.files_removed += 1;
                report.bytes_removed += meta.size;
                if dry_run {
                    continue;
                }
                match self.archive().store.delete(&meta.location).await {
                    // Another vacuum has been faster.
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => {
                        let operation = format!("remove {}/{path}", self.event_type());
                        return Err(failed(self.archive().name(), operation, error));
                    }
                }
            }
            Ok(report)
        })
    }

    async fn list_all(&self) -> StoreResult<Vec<ObjectMeta>> {
        self.archive()
            .store
            .list(Some(self.root()))
            .try_collect()
            .await
            .map_err(|error| self.failed("list the folder of", error))
    }

    /// Paths of the files that a query that began after `cutoff` may read.
    async fn needed(&self, cutoff: i64) -> StoreResult<HashSet<String>> {
        let mut needed: HashSet<String> =
            self.views()?.iter().map(|view| view.path().into_owned()).collect();
        let removed: HashMap<String, Option<i64>> = self
            .state()
            .all_tombstones(self.log().as_ref())
            .map_ok(|tombstone| (tombstone.path().into_owned(), tombstone.deletion_timestamp()))
            .try_collect()
            .await
            .map_err(|error| self.failed("read the log of", error))?;
        for (path, removed_at) in removed {
            if removed_at.is_none_or(|time| time >= cutoff) {
                needed.insert(path);
            }
        }
        Ok(needed)
    }

    /// Path below the table's folder.
    fn below(&self, location: &Path) -> Option<String> {
        let parts = location.prefix_match(self.root())?;
        Some(parts.collect::<Path>().to_string())
    }
}

/// Whether a file is of a kind that may be left over: data, or a file that was never whole. The log
/// itself is cleaned when it is summed up.
fn is_removable(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let staged = name.starts_with('.') && name.ends_with(STAGED_SUFFIX);
    let in_log = path.starts_with(LOG_FOLDER);
    staged || (!in_log && name.ends_with(DATA_SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_and_half_written_files_are_removable() {
        assert!(is_removable("event_date=2026-01-31/part-x.zstd.parquet"));
        assert!(is_removable("event_date=2026-01-31/.x.tmp"));
        assert!(is_removable("_delta_log/.x.tmp"));
        assert!(!is_removable("_delta_log/00000000000000000010.checkpoint.parquet"));
        assert!(!is_removable("_delta_log/00000000000000000010.json"));
        assert!(!is_removable("README"));
    }
}

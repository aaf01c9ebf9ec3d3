//! Merges the small files of a day into one.
//!
//! Each file is sorted already, so that merging them needs a batch of each in memory and no sort.
//! The log says of the result that it changes no data: other readers of the table's changes see
//! nothing new.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use deltalake_core::kernel::Action;
use deltalake_core::protocol::DeltaOperation;
use futures::future::BoxFuture;

use super::ArchiveFile;
use super::commit::{Attempt, Change, MAX_ATTEMPTS};
use super::digest::DayDigest;
use super::error::ArchiveError;
use super::file::day_name;
use super::scan::{ArchiveScan, archive_scan, order_of};
use super::schema::landed_schema;
use super::table::{ArchiveTable, add};
use crate::stores::error::StoreResult;

/// Most files that are merged at once: each is open, with a row group of it in memory.
const MAX_MERGED_FILES: usize = 32;

/// What an optimization did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptimizeReport {
    /// Files that were merged.
    pub files_before: u64,
    /// Files that they became.
    pub files_after: u64,
    /// Bytes of the files that were merged.
    pub bytes_before: u64,
    /// Bytes of the files that they became.
    pub bytes_after: u64,
    /// Rows in them.
    pub rows: u64,
}

impl OptimizeReport {
    /// Adds what was done elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.files_before += other.files_before;
        self.files_after += other.files_after;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
        self.rows += other.rows;
    }
}

impl ArchiveTable {
    /// Merges the small files of each day. Rows may be appended and queries may run meanwhile; what
    /// another process has merged in between is left as it is.
    pub fn optimize<'a>(
        &'a mut self,
        session: &'a dyn Session,
    ) -> BoxFuture<'a, StoreResult<OptimizeReport>> {
        Box::pin(async move {
            let mut report = OptimizeReport::default();
            let mut lost = 0;
            self.refresh().await?;
            while let Some(group) = self.next_group()? {
                match self.merge_group(&group, session).await? {
                    Some(merged) => report.merge(merged),
                    None if lost < MAX_ATTEMPTS => lost += 1,
                    None => return Err(self.failed("optimize", ArchiveError::Contended(lost))),
                }
            }
            Ok(report)
        })
    }

    /// Files of one day that fit into one file together.
    pub(super) fn next_group(&self) -> StoreResult<Option<Vec<ArchiveFile>>> {
        let target = self.archive().target_bytes;
        let mut days: BTreeMap<i32, Vec<ArchiveFile>> = BTreeMap::new();
        for file in self.files(None)? {
            days.entry(file.day).or_default().push(file);
        }
        for mut files in days.into_values() {
            files.sort_by_key(|file| file.bytes);
            let mut total = 0_u64;
            files.truncate(MAX_MERGED_FILES);
            files.retain(|file| {
                total = total.saturating_add(file.bytes);
                total <= target
            });
            if files.len() > 1 {
                return Ok(Some(files));
            }
        }
        Ok(None)
    }

    /// Merges these files; `None` if another process has removed one of them meanwhile.
    pub(super) async fn merge_group(
        &mut self,
        files: &[ArchiveFile],
        session: &dyn Session,
    ) -> StoreResult<Option<OptimizeReport>> {
        let mut replaced = DayDigest::default();
        for file in files {
            replaced.merge(self.read_file(file).await?);
        }
        // All columns that the table has, also those that the contract has no more.
        let schema = landed_schema(&self.snapshot().schema())
            .map_err(|error| self.failed("plan the merge of", error))?;
        let plan = self
            .merge_plan(files, &schema, session)
            .map_err(|error| self.failed("plan the merge of", error))?;
        let rows = execute_stream(plan, session.task_ctx())
            .map_err(|error| self.failed("merge files of", error))?;
        // One file takes them all, whatever it comes to: else merging might never end.
        let written = self.write_files(rows, u64::MAX).await?;
        self.pass("archive.optimize.after_files")?;
        let mut digest = DayDigest::default();
        for day in self.verify(&written).await?.into_values() {
            digest.merge(day);
        }
        if digest != replaced {
            let error = ArchiveError::OtherRows {
                what: "the merged files",
                day: files.first().map(|file| day_name(file.day)).unwrap_or_default(),
                found_rows: digest.rows,
                expected_rows: replaced.rows,
            };
            return Err(self.failed("verify merged files of", error));
        }
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        for _ in 0..MAX_ATTEMPTS {
            let mut actions = Vec::new();
            for view in self.views()? {
                if paths.contains(view.path().as_ref()) {
                    actions.push(Action::Remove(view.remove_action(false)));
                }
            }
            if actions.len() != paths.len() {
                self.discard(&written).await;
                return Ok(None);
            }
            actions.extend(written.iter().map(|file| Action::Add(add(file, false))));
            let operation = DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(self.archive().target_bytes).unwrap_or(i64::MAX),
            };
            match self.attempt(&Change { actions, operation, through: None }).await? {
                Attempt::Committed => {
                    self.pass("archive.optimize.after_commit")?;
                    self.after_commit().await?;
                    return Ok(Some(OptimizeReport {
                        files_before: files.len() as u64,
                        files_after: written.len() as u64,
                        bytes_before: files.iter().map(|file| file.bytes).sum(),
                        bytes_after: written.iter().map(|file| file.bytes).sum(),
                        rows: digest.rows,
                    }));
                }
                Attempt::Taken => self.refresh().await?,
            }
        }
        self.discard(&written).await;
        Err(self.failed("optimize", ArchiveError::Contended(MAX_ATTEMPTS)))
    }

    fn merge_plan(
        &self,
        files: &[ArchiveFile],
        schema: &SchemaRef,
        session: &dyn Session,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let scan = ArchiveScan {
            schema,
            groups: files.iter().map(|file| vec![file.clone()]).collect(),
            projection: None,
            limit: None,
            filter_rows: false,
            sorted: true,
        };
        let scan = archive_scan(self.archive(), scan, session.runtime_env())?;
        let order = order_of(&scan.schema())?;
        Ok(Arc::new(SortPreservingMergeExec::new(order, scan)))
    }
}

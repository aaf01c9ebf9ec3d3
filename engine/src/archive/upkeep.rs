//! Keeps the archive's files few and large, and removes those that nobody reads any more.
//!
//! Readers use the version of a table that the ledger names. It follows the table's own versions
//! within the same run; where a crash has come in between, the next run lets readers catch up, and
//! remembers when: files that were replaced long ago may have been read until then.

use std::sync::Arc;
use std::time::Duration;

use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use tracing::{info, warn};

use super::{ArchiveError, millis};
use crate::catalog::runtime::session_config;
use crate::clock::now_millis;
use crate::pipeline::Engine;
use crate::stores::archive::{ArchiveTable, OptimizeReport, VacuumReport};

/// What was done with each table, by event type.
#[derive(Debug, Clone, Default)]
pub struct UpkeepReport {
    /// Tables with files that were put together.
    pub optimized: Vec<(String, OptimizeReport)>,
    /// Tables with files that were removed.
    pub vacuumed: Vec<(String, VacuumReport)>,
}

impl Engine {
    /// Puts small files of the same day together.
    pub fn optimize_archive<'a>(
        &'a self,
        report: &'a mut UpkeepReport,
    ) -> BoxFuture<'a, Result<(), ArchiveError>> {
        Box::pin(async move {
            let _lock = self.stores.warehouse.lock("archive").await?;
            let session = SessionContext::new_with_config_rt(
                session_config(&self.limits),
                Arc::clone(&self.runtime),
            );
            for event_type in self.archived_types().await? {
                let Some(mut table) = self.caught_up_table(&event_type).await? else { continue };
                let done = table.optimize(&session.state()).await?;
                self.show_to_readers(&table, false).await?;
                if done.files_before > 0 {
                    report.optimized.push((event_type, done));
                }
            }
            Ok(())
        })
    }

    /// Removes files that were replaced longer ago than `older_than`, and what crashes left behind.
    pub fn vacuum_archive<'a>(
        &'a self,
        older_than: Duration,
        dry_run: bool,
        report: &'a mut UpkeepReport,
    ) -> BoxFuture<'a, Result<(), ArchiveError>> {
        Box::pin(async move {
            let _lock = self.stores.warehouse.lock("archive").await?;
            for event_type in self.archived_types().await? {
                let Some(mut table) = self.caught_up_table(&event_type).await? else { continue };
                let state = self.stores.ledger.archive_state().await?;
                let caught_up_at =
                    state.tables.get(&event_type).map_or(0, |table| table.caught_up_at);
                if caught_up_at > now_millis().saturating_sub(millis(older_than)) {
                    info!(
                        event_type,
                        "the archive of {event_type} is not vacuumed yet: after a crash, queries used \
                     files that it had replaced until a moment ago"
                    );
                    continue;
                }
                let done = table.vacuum(older_than, dry_run).await?;
                if done.files_removed > 0 {
                    report.vacuumed.push((event_type, done));
                }
            }
            Ok(())
        })
    }

    /// The table at its latest version, which readers use from now on at the latest; `None` while a
    /// move to it has not ended.
    async fn caught_up_table(
        &self,
        event_type: &str,
    ) -> Result<Option<ArchiveTable>, ArchiveError> {
        let Some(table) = self.stores.archive.existing_table(event_type, None).await? else {
            return Err(self.missing_table(event_type));
        };
        if self.show_to_readers(&table, true).await? {
            return Ok(Some(table));
        }
        warn!(
            event_type,
            "the archive of {event_type} is left alone while events move to it; run \
             `questlake archive` to its end first"
        );
        Ok(None)
    }

    /// Lets readers use the version that `table` shows, unless it has rows of a move that has not
    /// ended; returns whether they do.
    pub(super) async fn show_to_readers(
        &self,
        table: &ArchiveTable,
        late: bool,
    ) -> Result<bool, ArchiveError> {
        let transaction = table.through().await?;
        let ledger = &self.stores.ledger;
        let (event_type, version) = (table.event_type(), table.version());
        Ok(ledger.set_archive_version(event_type, transaction, version, late).await?)
    }

    pub(super) fn missing_table(&self, event_type: &str) -> ArchiveError {
        ArchiveError::Missing {
            event_type: event_type.to_owned(),
            archive: self.stores.archive.name().to_owned(),
        }
    }

    async fn archived_types(&self) -> Result<Vec<String>, ArchiveError> {
        Ok(self.stores.ledger.archive_state().await?.tables.into_keys().collect())
    }
}

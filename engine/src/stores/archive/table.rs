//! One table of the archive: what it holds, and how rows get in.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use deltalake_core::DeltaTable;
use deltalake_core::checkpoints::{cleanup_metadata, create_checkpoint};
use deltalake_core::kernel::{Action, Add, EagerSnapshot, LogicalFileView};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::Archive;
use super::commit::{APPLICATION, Attempt, Change, MAX_ATTEMPTS, attempt};
use super::digest::{DayDigest, DayDigests};
use super::error::{ArchiveError, failed};
use super::file::{ArchiveFile, CHECKSUM_TAG, day_name};
use super::schema::{check_columns, landed_schema};
use super::verify::{Expected, read_back};
use super::writer::{FileWriter, WrittenFile};
use crate::failpoint;
use crate::project::contract::envelope;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};

/// Every so many versions the log is summed up, so that opening a table reads few files.
const VERSIONS_PER_CHECKPOINT: u64 = 10;

/// The table of one event type, as of one version.
pub struct ArchiveTable {
    archive: Archive,
    event_type: String,
    /// The table's folder in the store.
    root: Path,
    log: LogStoreRef,
    state: DeltaTableState,
}

impl std::fmt::Debug for ArchiveTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ArchiveTable({} at {})", self.event_type, self.state.version())
    }
}

impl ArchiveTable {
    pub(super) fn new(
        archive: Archive,
        event_type: &str,
        log: LogStoreRef,
        state: DeltaTableState,
    ) -> Self {
        let root = archive.root.clone().join(event_type);
        Self { archive, event_type: event_type.to_owned(), root, log, state }
    }

    /// The event type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The version of the table that this value shows.
    pub fn version(&self) -> i64 {
        i64::try_from(self.state.version()).unwrap_or(i64::MAX)
    }

    pub(super) fn next_version(&self) -> u64 {
        self.state.version() + 1
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn log(&self) -> &LogStoreRef {
        &self.log
    }

    pub(super) fn state(&self) -> &DeltaTableState {
        &self.state
    }

    /// The columns of its rows.
    pub fn schema(&self) -> StoreResult<SchemaRef> {
        landed_schema(&self.snapshot().schema())
            .map_err(|error| self.failed("read the columns", error))
    }

    pub(super) fn snapshot(&self) -> &EagerSnapshot {
        self.state.snapshot()
    }

    /// Moves to the latest version.
    pub fn refresh(&mut self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            self.state
                .update(self.log.as_ref(), None)
                .await
                .map_err(|error| self.failed("read the log of", error))
        })
    }

    /// The ledger sequence through which the events of this type are in the table; 0 if none.
    pub async fn through(&self) -> StoreResult<i64> {
        let version = self.state.transaction_version(self.log.as_ref(), APPLICATION).await;
        Ok(version.map_err(|error| self.failed("read the log of", error))?.unwrap_or(0))
    }

    /// The table's files, of these days only if given, by day and path.
    pub fn files(&self, days: Option<&BTreeSet<i32>>) -> StoreResult<Vec<ArchiveFile>> {
        let mut files = Vec::new();
        for view in self.views()? {
            let file = ArchiveFile::from_log(&self.event_type, &self.root, &view)
                .map_err(|error| self.failed("list the files of", error))?;
            if days.is_none_or(|days| days.contains(&file.day)) {
                files.push(file);
            }
        }
        files.sort_by(|left, right| (left.day, &left.path).cmp(&(right.day, &right.path)));
        Ok(files)
    }

    /// The table's files as the log has them.
    pub(super) fn views(&self) -> StoreResult<Vec<LogicalFileView>> {
        let log = self.snapshot().try_log_data();
        Ok(log.map_err(|error| self.failed("list the files of", error))?.iter().collect())
    }

    /// Writes rows with the contract's landed schema, sorted by `event_date`, `player_id` and
    /// `event_time`, as new files; reads these back from the store and compares them with what went
    /// in; and commits them together with the ledger sequence through which the table is complete
    /// then. Gives the digests of the rows by day.
    ///
    /// Nothing is committed if anything fails. If the table is at `through` already, or another
    /// process moves it meanwhile, the error is [`StoreErrorKind::Fenced`].
    pub fn append(
        &mut self,
        rows: SendableRecordBatchStream,
        through: i64,
    ) -> BoxFuture<'_, StoreResult<DayDigests>> {
        Box::pin(async move {
            let before = self.through().await?;
            if through <= before {
                let error = ArchiveError::ArchivedByAnother { found: before, expected: through };
                return Err(self.failed("append to", error));
            }
            check_columns(&self.snapshot().schema(), &rows.schema())
                .map_err(|error| self.failed("append to", error))?;
            let files = self.write_files(rows, self.archive.target_bytes).await?;
            self.pass("archive.after_files")?;
            let digests = self.verify(&files).await?;
            let actions = files.iter().map(|file| Action::Add(add(file, true))).collect();
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![envelope::EVENT_DATE.to_owned()]),
                predicate: None,
            };
            let change = Change { actions, operation, through: Some(through) };
            self.pass("archive.before_commit")?;
            for _ in 0..MAX_ATTEMPTS {
                match self.attempt(&change).await? {
                    Attempt::Committed => {
                        self.pass("archive.after_commit")?;
                        self.after_commit().await?;
                        return Ok(digests);
                    }
                    Attempt::Taken => self.refresh().await?,
                }
                let found = self.through().await?;
                if found != before {
                    self.discard(&files).await;
                    let error = ArchiveError::ArchivedByAnother { found, expected: before };
                    return Err(self.failed("append to", error));
                }
            }
            self.discard(&files).await;
            Err(self.failed("append to", ArchiveError::Contended(MAX_ATTEMPTS)))
        })
    }

    /// Reads every file of these days in full and gives the digests of what is there. A day without
    /// files has none.
    pub fn digest_days<'a>(
        &'a self,
        days: &'a BTreeSet<i32>,
    ) -> BoxFuture<'a, StoreResult<DayDigests>> {
        Box::pin(async move {
            let mut digests = DayDigests::new();
            for file in self.files(Some(days))? {
                digests.entry(file.day).or_default().merge(self.read_file(&file).await?);
            }
            Ok(digests)
        })
    }

    /// Reads a file of the table in full.
    pub(super) async fn read_file(&self, file: &ArchiveFile) -> StoreResult<DayDigest> {
        let expected = Expected {
            name: &file.name(),
            location: &file.location,
            bytes: file.bytes,
            rows: file.rows,
            checksum: file.checksum,
        };
        read_back(&self.archive.name, &self.archive.store, &expected).await
    }

    pub(super) async fn write_files(
        &self,
        rows: SendableRecordBatchStream,
        target_bytes: u64,
    ) -> StoreResult<Vec<WrittenFile>> {
        let (name, store) = (self.archive.name.as_str(), &self.archive.store);
        FileWriter { name, store, root: &self.root, target_bytes }.write(rows).await
    }

    /// Reads new files back and compares them with what went in.
    pub(super) async fn verify(&self, files: &[WrittenFile]) -> StoreResult<DayDigests> {
        let mut digests = DayDigests::new();
        for file in files {
            let expected = Expected {
                name: &format!("{}/{}", self.event_type, file.path),
                location: &file.location,
                bytes: file.bytes,
                rows: file.digest.rows,
                checksum: Some(file.checksum),
            };
            let found = read_back(&self.archive.name, &self.archive.store, &expected).await?;
            if found != file.digest {
                let error = ArchiveError::OtherRows {
                    what: "the new files",
                    day: day_name(file.day),
                    found_rows: found.rows,
                    expected_rows: file.digest.rows,
                };
                return Err(self.failed("verify new files of", error));
            }
            digests.entry(file.day).or_default().merge(found);
        }
        Ok(digests)
    }

    pub(super) async fn attempt(&self, change: &Change) -> StoreResult<Attempt> {
        attempt(&self.archive.name, &self.log, self.next_version(), change).await
    }

    /// Sums the log up now and then. The commit stands whether or not that succeeds.
    pub(super) async fn after_commit(&mut self) -> StoreResult<()> {
        self.refresh().await?;
        if !self.state.version().is_multiple_of(VERSIONS_PER_CHECKPOINT) {
            return Ok(());
        }
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.state = Some(self.state.clone());
        let result = match create_checkpoint(&table, None).await {
            Ok(()) => cleanup_metadata(&table, None).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(
                event_type = self.event_type,
                version = self.state.version(),
                %error,
                "the archive's log could not be summed up; it will be tried again"
            );
        }
        Ok(())
    }

    /// Removes files that no commit knows, as far as that goes: vacuum finds the rest.
    pub(super) async fn discard(&self, files: &[WrittenFile]) {
        for file in files {
            if let Err(error) = self.archive.store.delete(&file.location).await {
                tracing::debug!(file = file.path, %error, "an unused file stays until vacuum");
            }
        }
    }

    pub(super) fn pass(&self, failpoint: &'static str) -> StoreResult<()> {
        failpoint::pass(failpoint).map_err(|failure| {
            let operation = format!("change the table of {}", self.event_type);
            StoreError::new(&self.archive.name, operation, StoreErrorKind::Unavailable, failure)
        })
    }

    /// An error while doing something with this table; `operation` ends with a preposition or verb.
    pub(super) fn failed(
        &self,
        operation: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        failed(&self.archive.name, format!("{operation} the table of {}", self.event_type), error)
    }
}

/// The log's entry of a new file.
pub(super) fn add(file: &WrittenFile, data_change: bool) -> Add {
    let checksum = format!("{:016x}", file.checksum);
    Add {
        path: file.path.clone(),
        partition_values: HashMap::from([(
            envelope::EVENT_DATE.to_owned(),
            Some(day_name(file.day)),
        )]),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: crate::clock::now_millis(),
        data_change,
        stats: Some(file.statistics.clone()),
        tags: Some(HashMap::from([(CHECKSUM_TAG.to_owned(), Some(checksum))])),
        ..Add::default()
    }
}

//! The archive: older events as Delta tables of Parquet, one table per event type.
//!
//! ```text
//! <archive>/<event_type>/_delta_log/00000000000000000000.json …
//! <archive>/<event_type>/event_date=2026-01-31/part-<uuid>.zstd.parquet
//! ```
//! A row is in the archive once a commit of its table names the file that it lies in. Before that
//! the file is read back and compared with what went in. Each commit that adds rows carries the
//! ledger sequence through which the table's rows are complete, as a Delta transaction identifier:
//! whether some part of the ledger has been archived is never a matter of opinion.
//!
//! Files that a crash leaves behind belong to no commit; nobody reads them, and
//! [`ArchiveTable::vacuum`] removes them.

mod commit;
mod digest;
mod error;
mod file;
mod optimize;
mod properties;
mod scan;
mod schema;
mod statistics;
mod table;
mod vacuum;
mod verify;
mod writer;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path as LocalPath;
use std::sync::{Arc, Mutex};

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{Action, EagerSnapshot};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

pub use digest::{DayDigest, DayDigests, digest_rows};
pub use error::ArchiveError;
pub use file::ArchiveFile;
pub use optimize::OptimizeReport;
pub use scan::{ArchiveScan, archive_scan};
pub use table::ArchiveTable;
pub use vacuum::VacuumReport;

use crate::project::contract::EventContract;
use crate::settings::StoreUrl;
use crate::stores::error::StoreResult;
use crate::stores::objects::{self, ObjectFolder};
use commit::{Attempt, Change, MAX_ATTEMPTS, attempt};
use error::failed;

/// About this many bytes end a data file. Files of this size are read by many threads at once, and
/// a year of them is a few hundred entries in a table's log.
const TARGET_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The tables of one installation.
#[derive(Debug, Clone)]
pub struct Archive {
    /// As a person knows it, such as `archive (file:///data/archive)`.
    name: String,
    store: Arc<dyn ObjectStore>,
    /// The archive's folder in the store.
    root: Path,
    /// The archive's folder as a URL that ends with a slash.
    url: Url,
    /// Where sessions find the store.
    scan_url: ObjectStoreUrl,
    target_bytes: u64,
    /// Files by event type, as of the version that was asked for last.
    known_files: Arc<Mutex<HashMap<String, KnownFiles>>>,
}

/// The files of a table as of a version, which do not change.
#[derive(Debug, Clone)]
struct KnownFiles {
    version: i64,
    files: Arc<[ArchiveFile]>,
}

impl Archive {
    /// Opens the archive at this URL. Its folder is created with the first table. `spool` is a local
    /// folder for what cannot be sent at once.
    pub fn open(url: &StoreUrl, spool: &LocalPath) -> StoreResult<Self> {
        let name = format!("archive ({url})");
        let ObjectFolder { store, root, url } = objects::open(&name, url, spool)?;
        // Not the folder's own URL, which sessions may know as another store.
        let scan_url = ObjectStoreUrl::parse("questlake-archive://store")
            .map_err(|error| failed(&name, "open the archive", error))?;
        let target_bytes = TARGET_FILE_BYTES;
        let known_files = Arc::default();
        Ok(Self { name, store, root, url, scan_url, target_bytes, known_files })
    }

    /// The archive as a person knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets sessions with this runtime scan the archive. Doing it again changes nothing.
    pub fn register(&self, runtime: &RuntimeEnv) {
        runtime.register_object_store(self.scan_url.as_ref(), Arc::clone(&self.store));
    }

    /// Whether an event type has a table.
    pub fn has_table<'a>(&'a self, event_type: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            let entries = self.root.clone().join(event_type).join("_delta_log");
            let first = self.store.list(Some(&entries)).next().await.transpose();
            let first = first.map_err(|error| {
                failed(&self.name, format!("look for the table of {event_type}"), error)
            })?;
            Ok(first.is_some())
        })
    }

    /// The table of an event type at `version`, or at its latest; `None` if there is no table yet.
    pub fn existing_table<'a>(
        &'a self,
        event_type: &'a str,
        version: Option<i64>,
    ) -> BoxFuture<'a, StoreResult<Option<ArchiveTable>>> {
        Box::pin(async move {
            let log = self.log(event_type)?;
            let operation = || format!("open the table of {event_type}");
            if !self.has_table(event_type).await? {
                return Ok(None);
            }
            let version = version.and_then(|version| u64::try_from(version).ok());
            let snapshot = match EagerSnapshot::try_new(log.as_ref(), version).await {
                Ok(snapshot) => snapshot,
                Err(DeltaTableError::NotATable(_)) => return Ok(None),
                Err(error) => {
                    return Err(failed(&self.name, operation(), error));
                }
            };
            schema::check_protocol(snapshot.protocol()).map_err(|error| {
                failed(&self.name, format!("open the table of {event_type}"), error)
            })?;
            let state = DeltaTableState::new(snapshot);
            Ok(Some(ArchiveTable::new(self.clone(), event_type, log, state)))
        })
    }

    /// The files of an event type's table as of `version`, in no order. Asking again for the same
    /// version does not read the log again.
    pub fn files_at<'a>(
        &'a self,
        event_type: &'a str,
        version: i64,
    ) -> BoxFuture<'a, StoreResult<Arc<[ArchiveFile]>>> {
        Box::pin(async move {
            let known = || self.known_files.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(found) = known().get(event_type)
                && found.version == version
            {
                return Ok(Arc::clone(&found.files));
            }
            let Some(table) = self.existing_table(event_type, Some(version)).await? else {
                let operation = format!("open the table of {event_type}");
                let missing = ArchiveError::Missing(event_type.to_owned());
                return Err(failed(&self.name, operation, missing));
            };
            let files: Arc<[ArchiveFile]> = table.files(None)?.into();
            let entry = KnownFiles { version, files: Arc::clone(&files) };
            known().insert(event_type.to_owned(), entry);
            Ok(files)
        })
    }

    /// The table of a contract at its latest version: created, or with the columns added that the
    /// contract has gained.
    pub fn table<'a>(
        &'a self,
        contract: &'a EventContract,
    ) -> BoxFuture<'a, StoreResult<ArchiveTable>> {
        Box::pin(async move {
            let event_type = contract.event_type.as_str();
            let operation = || format!("prepare the table of {event_type}");
            for _ in 0..MAX_ATTEMPTS {
                let Some(table) = self.existing_table(event_type, None).await? else {
                    self.create(contract).await?;
                    continue;
                };
                let evolved = schema::evolved(table.snapshot(), contract)
                    .map_err(|error| failed(&self.name, operation(), error))?;
                let Some((metadata, fields)) = evolved else { return Ok(table) };
                let change = Change {
                    actions: vec![Action::Metadata(metadata)],
                    operation: DeltaOperation::AddColumn { fields },
                    through: None,
                };
                attempt(&self.name, table.log(), table.next_version(), &change).await?;
            }
            Err(failed(&self.name, operation(), ArchiveError::Contended(MAX_ATTEMPTS)))
        })
    }

    async fn create(&self, contract: &EventContract) -> StoreResult<Attempt> {
        let operation = || format!("create the table of {}", contract.event_type);
        let (protocol, metadata) =
            schema::new_table(contract).map_err(|error| failed(&self.name, operation(), error))?;
        let log = self.log(&contract.event_type)?;
        let change = Change {
            actions: vec![Action::Protocol(protocol.clone()), Action::Metadata(metadata.clone())],
            operation: DeltaOperation::Create {
                mode: SaveMode::ErrorIfExists,
                location: log.root_url().clone(),
                protocol,
                metadata,
            },
            through: None,
        };
        // If another process has been faster, its table is the table.
        attempt(&self.name, &log, 0, &change).await
    }

    fn log(&self, event_type: &str) -> StoreResult<LogStoreRef> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if event_type.is_empty() || !event_type.bytes().all(safe) {
            let reason = format!("`{event_type}` cannot be the name of a folder");
            return Err(failed(&self.name, "open a table", ArchiveError::Unsuitable(reason)));
        }
        let url = self.url.join(&format!("{event_type}/")).map_err(|error| {
            failed(&self.name, format!("open the table of {event_type}"), error)
        })?;
        let folder = self.root.clone().join(event_type);
        let below = Arc::new(PrefixStore::new(Arc::clone(&self.store), folder));
        Ok(default_logstore(below, Arc::clone(&self.store), &url, &StorageConfig::default()))
    }
}

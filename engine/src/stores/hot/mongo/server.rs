//! The server: connecting, what kind it is, the indexes, and the bounds of each call.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use mongodb::error::ErrorKind;
use mongodb::options::{
    ClientOptions, CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, Tls,
};
use mongodb::{Client, Collection, Database, IndexModel};

use super::answer::Answer;
use super::error::{driver_error, server_error};
use crate::settings::ServerUrl;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::retry::{RetryPolicy, retry};
use crate::stores::tls::system_certificates;

/// Database of a URL that names none.
const DEFAULT_DATABASE: &str = "questlake";

/// The collection of the events.
pub(super) const EVENTS: &str = "events";

/// Identifiers in one message.
pub(super) const IDS_PER_MESSAGE: usize = 1000;

/// Largest document of a server that does not say how large one may be.
const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Time for a server to be found or connected to, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that the server itself gives a majority to acknowledge a write.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(20);

/// How the attempts of one call follow each other.
const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 6,
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_secs(5),
    deadline: Duration::from_secs(60),
};

/// What kind of server speaks MongoDB's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MongoDB, and what behaves like it.
    MongoDb,
    /// FerretDB 1 with its documents in SQLite. It goes through the whole collection for any filter:
    /// in SQLite for one of `_id` alone, and for any other, `$in` too, by decoding each document. It
    /// finds a document and changes it in two steps, between which others change it. Each update of
    /// a message keeps one of a database's 100 connections up to the end of the message, and needs
    /// another one: messages that wait for each other's wait for good. It fails at a delete of more
    /// than 32,766 documents.
    FerretDb1,
}

impl Dialect {
    fn of(build_info: &Document) -> Self {
        match build_info.get_str("ferretdbVersion") {
            Ok(version) if version.starts_with("v1.") => Self::FerretDb1,
            _ => Self::MongoDb,
        }
    }

    /// Commands that write at the same time.
    pub(super) fn writers(self) -> usize {
        match self {
            Self::MongoDb => 4,
            // SQLite has one writer.
            Self::FerretDb1 => 1,
        }
    }

    /// Updates in one message.
    pub(super) fn updates_per_message(self) -> usize {
        match self {
            Self::MongoDb => 1000,
            // Twenty processes at once find a connection for each.
            Self::FerretDb1 => 4,
        }
    }

    /// Identifiers in one message that looks up so many.
    pub(super) fn ids_per_message(self, wanted: usize) -> usize {
        match self {
            // Decoding each document takes as long as to go through them some 20 times in SQLite.
            Self::FerretDb1 if wanted <= 16 => 1,
            Self::MongoDb | Self::FerretDb1 => IDS_PER_MESSAGE,
        }
    }

    /// Longest time for one attempt to read much, or what no index leads to.
    pub(super) fn read_timeout(self) -> Duration {
        match self {
            Self::MongoDb => CALL_TIMEOUT,
            Self::FerretDb1 => Duration::from_secs(300),
        }
    }
}

/// Longest time for one attempt of a call.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that was connected to.
pub(super) struct Server {
    /// How messages name the store.
    pub(super) name: Arc<str>,
    pub(super) database: Database,
    /// The events, as the primary has them: what was inserted is seen at once.
    pub(super) events: Collection<RawDocumentBuf>,
    /// The events for long reads, from wherever the URL says that they may be read.
    pub(super) reading: Collection<RawDocumentBuf>,
    pub(super) dialect: Dialect,
    /// Bytes of the largest document that it takes.
    pub(super) max_document: usize,
}

impl Server {
    /// Connects, and makes what indexes are missing.
    pub(super) async fn connect(
        url: &ServerUrl,
        name: Arc<str>,
        dialect: Option<Dialect>,
    ) -> StoreResult<Self> {
        let operation = "connect";
        // With `mongodb+srv://` this asks the DNS.
        let parsed = bounded(&name, operation, CALL_TIMEOUT, || ClientOptions::parse(url.reveal()));
        let mut options = parsed.await?;
        check_files(&options).map_err(|what| {
            StoreError::new(&*name, operation, StoreErrorKind::Incompatible, what)
        })?;
        complete(&mut options);
        let database =
            options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let client =
            Client::with_options(options).map_err(|error| driver_error(&name, operation, error))?;
        let database = client.database(&database);
        let build_info = bounded(&name, operation, CALL_TIMEOUT, || async {
            database.run_command(doc! { "buildInfo": 1 }).await
        })
        .await?;
        let server = Self {
            events: database.collection_with_options(EVENTS, from_primary()),
            reading: database.collection(EVENTS),
            database,
            dialect: dialect.unwrap_or_else(|| Dialect::of(&build_info)),
            max_document: max_document(&build_info),
            name,
        };
        server.make_indexes().await?;
        Ok(server)
    }

    /// Runs a call of the driver within its bounds, again while what fails may pass. The call must do
    /// no harm when one before it has succeeded without an answer.
    pub(super) async fn call<T, Attempt>(
        &self,
        operation: &str,
        attempt_timeout: Duration,
        attempt: impl FnMut() -> Attempt,
    ) -> StoreResult<T>
    where
        Attempt: Future<Output = Result<T, mongodb::error::Error>>,
    {
        bounded(&self.name, operation, attempt_timeout, attempt).await
    }

    /// Runs a command that writes, as [`call`](Self::call) does, until its writes are durable.
    /// `is_expected` says which errors of single writes the caller handles; any other is one of the
    /// command.
    pub(super) async fn write(
        &self,
        operation: &str,
        command: &RawDocumentBuf,
        is_expected: impl Fn(i32) -> bool,
    ) -> StoreResult<Answer> {
        let (is_expected, name) = (&is_expected, &*self.name);
        let attempt = move || async move {
            let answer = timed(name, operation, CALL_TIMEOUT, async {
                self.database.run_raw_command(command.clone()).await
            });
            let answer = Answer::read(&answer.await?);
            let unexpected = answer.errors.iter().find(|error| !is_expected(error.code));
            if let Some(error) = unexpected {
                return Err(server_error(name, operation, error.code, &error.message));
            }
            if let Some((code, message)) = &answer.not_durable {
                return Err(server_error(name, operation, *code, message));
            }
            Ok(answer)
        };
        retry(RETRIES, &described(name, operation), is_passing, attempt).await
    }

    /// Asks the primary for a sign of life, once.
    pub(super) async fn ping(&self) -> StoreResult<()> {
        let ping = timed(&self.name, "ask for a sign of life", CALL_TIMEOUT, async {
            self.database.run_command(doc! { "ping": 1 }).await
        });
        ping.await.map(|_| ())
    }

    /// What a command that writes asks for: a majority, in the journal.
    pub(super) fn durably() -> RawDocumentBuf {
        let timeout = i64::try_from(ACKNOWLEDGE_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        rawdoc! { "w": "majority", "j": true, "wtimeout": timeout }
    }

    /// An error of this store that is not the driver's.
    pub(super) fn error(
        &self,
        operation: &str,
        kind: StoreErrorKind,
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::new(&*self.name, operation, kind, reason)
    }

    async fn make_indexes(&self) -> StoreResult<()> {
        // FerretDB 1 would keep them up to date and read the whole collection all the same.
        if self.dialect == Dialect::FerretDb1 {
            return Ok(());
        }
        self.call("make its indexes", CALL_TIMEOUT, || async {
            let known = match self.events.list_index_names().await {
                Err(error) if is_missing_collection(&error) => Vec::new(),
                known => known?,
            };
            for keys in [player_index(), time_index(), insert_index()] {
                if !known.contains(&index_name(&keys)) {
                    let index = IndexModel::builder().keys(keys).build();
                    self.events.create_index(index).await?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// A filter of the documents with these `_id`s. Of one it is `_id` alone, which FerretDB 1 leaves to SQLite.
pub(super) fn with_ids(ids: &[String]) -> Document {
    match ids {
        [id] => doc! { "_id": id },
        ids => doc! { "_id": { "$in": ids } },
    }
}

/// The name that drivers give an index: its columns with their directions.
fn index_name(keys: &Document) -> String {
    let parts: Vec<String> = keys.iter().map(|(name, order)| format!("{name}_{order}")).collect();
    parts.join("_")
}

/// Whether the server says that there is no such collection: it comes with the first document or index.
fn is_missing_collection(error: &mongodb::error::Error) -> bool {
    const NAMESPACE_NOT_FOUND: i32 = 26;
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == NAMESPACE_NOT_FOUND)
}

/// A player's events by time.
pub(super) fn player_index() -> Document {
    doc! { "player_id": 1, "event_time": 1, "_id": 1 }
}

/// All events by time.
pub(super) fn time_index() -> Document {
    doc! { "event_time": 1, "_id": 1 }
}

/// All events by the time of their insert.
pub(super) fn insert_index() -> Document {
    doc! { "inserted_at": 1 }
}

/// What the URL leaves open.
fn complete(options: &mut ClientOptions) {
    options.app_name.get_or_insert_with(|| "questlake".to_owned());
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.server_selection_timeout.get_or_insert(CONNECT_TIMEOUT);
    if let Some(Tls::Enabled(tls)) = &mut options.tls
        && tls.ca_file_path.is_none()
    {
        // Without it the driver trusts what it was compiled with.
        tls.ca_file_path = system_certificates();
    }
}

/// Whether the files that the URL names are there: the driver would not say which one is not, and
/// trust nobody where a file of certificates has none.
fn check_files(options: &ClientOptions) -> Result<(), String> {
    let Some(Tls::Enabled(tls)) = &options.tls else { return Ok(()) };
    for (option, file, begin) in [
        ("tlsCAFile", &tls.ca_file_path, "-----BEGIN CERTIFICATE-----"),
        ("tlsCertificateKeyFile", &tls.cert_key_file_path, "-----BEGIN "),
    ] {
        let Some(file) = file else { continue };
        let shown = file.display();
        let content = std::fs::read(file)
            .map_err(|error| format!("the file of {option}, {shown}, cannot be read: {error}"))?;
        if !content.windows(begin.len()).any(|part| part == begin.as_bytes()) {
            return Err(format!("the file of {option}, {shown}, holds no certificate in PEM"));
        }
    }
    Ok(())
}

pub(super) fn from_primary() -> CollectionOptions {
    CollectionOptions::builder()
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .read_concern(ReadConcern::local())
        .build()
}

fn max_document(build_info: &Document) -> usize {
    let bytes = match build_info.get("maxBsonObjectSize") {
        Some(Bson::Int32(bytes)) => usize::try_from(*bytes).unwrap_or(0),
        Some(Bson::Int64(bytes)) => usize::try_from(*bytes).unwrap_or(0),
        _ => 0,
    };
    if bytes == 0 { MAX_DOCUMENT_BYTES } else { bytes }
}

async fn bounded<T, Attempt>(
    name: &str,
    operation: &str,
    attempt_timeout: Duration,
    mut attempt: impl FnMut() -> Attempt,
) -> StoreResult<T>
where
    Attempt: IntoFuture<Output = Result<T, mongodb::error::Error>>,
{
    let attempt = || timed(name, operation, attempt_timeout, attempt().into_future());
    retry(RETRIES, &described(name, operation), is_passing, attempt).await
}

/// One attempt. When its time is over, the driver closes the connection that it was made on.
async fn timed<T>(
    name: &str,
    operation: &str,
    time: Duration,
    call: impl Future<Output = Result<T, mongodb::error::Error>>,
) -> StoreResult<T> {
    match tokio::time::timeout(time, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(driver_error(name, operation, error)),
        Err(_) => Err(StoreError::new(
            name,
            operation,
            StoreErrorKind::Unavailable,
            format!("no answer within {} s", time.as_secs()),
        )
        .with_advice("check that MongoDB runs and is not overloaded")),
    }
}

fn is_passing(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Unavailable
}

fn described(name: &str, operation: &str) -> String {
    format!("{operation} in the {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ferretdb_is_another_dialect() {
        let of = |info: Document| Dialect::of(&info);
        assert_eq!(of(doc! { "version": "8.0.1" }), Dialect::MongoDb);
        assert_eq!(
            of(doc! { "version": "7.0.42", "ferretdbVersion": "v1.24.0" }),
            Dialect::FerretDb1
        );
        let second = doc! { "version": "7.0.77", "ferretdb": { "version": "v2.5.0" } };
        assert_eq!(of(second), Dialect::MongoDb);
    }

    #[test]
    fn the_size_of_documents_is_read_or_known() {
        assert_eq!(max_document(&doc! { "maxBsonObjectSize": 1000 }), 1000);
        assert_eq!(max_document(&doc! {}), MAX_DOCUMENT_BYTES);
    }
}

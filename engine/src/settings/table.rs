//! The list of all settings: one row for each, from which names, help, checks and defaults follow.

mod api;
mod kafka;

use std::sync::LazyLock;
use std::time::Duration;

use super::units::{GIB, KIB, MIB, TIB};

/// One setting: its name in all layers, what it accepts and what it is without being set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingSpec {
    /// Dotted name, such as `engine.memory_limit`.
    pub name: &'static str,
    /// What values it accepts.
    pub kind: SettingKind,
    /// Value when no layer sets it, in the notation of the file.
    pub default: &'static str,
    /// What it does, in one sentence without a full stop.
    pub help: &'static str,
    /// A value that is valid, for help and error messages.
    pub example: &'static str,
}

/// What a setting accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A folder; it need not exist. A relative one in the file starts at the file's folder, in the
    /// environment or a flag at the current one.
    Folder {
        /// Where the default starts.
        default_in: DefaultFolder,
    },
    /// The URL of a store.
    Store {
        /// Schemes that this build supports for it.
        schemes: &'static [&'static str],
    },
    /// A whole number.
    Count {
        /// Smallest accepted number.
        least: u64,
        /// Largest accepted number.
        most: u64,
    },
    /// A number of bytes, such as `64MiB`.
    Bytes {
        /// Smallest accepted size in bytes.
        least: u64,
        /// Largest accepted size in bytes.
        most: u64,
    },
    /// A length of time, such as `200ms`.
    Duration {
        /// Shortest accepted time.
        least: Duration,
        /// Longest accepted time.
        most: Duration,
    },
    /// One of a few words.
    Choice {
        /// The words.
        words: &'static [&'static str],
    },
    /// A host and a port to listen at, such as `127.0.0.1:8080`.
    Address,
    /// Hosts and ports of servers, separated by commas; empty for none.
    Addresses,
    /// A name of letters, digits, `.`, `_` and `-`.
    Name,
    /// Any text; empty for none.
    Text,
    /// A file that others have written; empty for none. A relative one starts where a relative
    /// folder does.
    File,
    /// A password or key: taken from the environment, or from the file that the setting of the
    /// same name with `_file` behind it names; neither in `questlake.toml` nor in a flag.
    Secret,
}

/// Where the default of a folder setting starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultFolder {
    /// At the folder of `questlake.toml`, or the current one without a file.
    Configuration,
    /// At the folder of `questlake.toml`, or the project's without a file: a project's data stays
    /// where it is when the project gets a settings file.
    Project,
    /// At the data folder.
    Data,
}

impl SettingSpec {
    /// Name of the environment variable: `QUESTLAKE_ENGINE_MEMORY_LIMIT`.
    pub fn environment_variable(&self) -> String {
        environment_variable(self.name)
    }

    /// Name of the flag without its dashes: `engine-memory-limit`.
    pub fn flag(&self) -> String {
        self.flag_setting().replace(['.', '_'], "-")
    }

    /// The default as help shows it, if there is one; a secret has none.
    pub fn default_text(&self) -> Option<String> {
        match self.kind {
            SettingKind::Secret => None,
            _ if self.default.is_empty() => None,
            SettingKind::Folder { default_in: DefaultFolder::Data } => {
                Some(format!("{} in the data folder", self.default))
            }
            _ => Some(self.default.to_string()),
        }
    }

    /// Dotted name of the setting that the flag sets: the setting's own, or that of its `_file`
    /// variant for a secret, since the arguments of a process can be read by others.
    pub fn flag_setting(&self) -> String {
        match self.kind {
            SettingKind::Secret => self.file_variant(),
            _ => self.name.to_string(),
        }
    }

    /// Dotted name of the variant that names a file with the secret.
    pub(super) fn file_variant(&self) -> String {
        format!("{}_file", self.name)
    }
}

/// Name of the environment variable of the setting with this dotted name.
pub(super) fn environment_variable(name: &str) -> String {
    format!("QUESTLAKE_{}", name.replace('.', "_").to_uppercase())
}

/// Every setting, grouped by section, those without a section first.
pub fn settings_table() -> &'static [SettingSpec] {
    static ALL: LazyLock<Vec<SettingSpec>> =
        LazyLock::new(|| [SETTINGS, api::SETTINGS, kafka::SETTINGS].concat());
    &ALL
}

/// Threads: zero stands for the number of cores.
const THREADS: SettingKind = SettingKind::Count { least: 0, most: 1024 };

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "data",
        kind: SettingKind::Folder { default_in: DefaultFolder::Project },
        default: "data",
        help: "Folder of the embedded stores and of temporary files",
        example: "/var/lib/questlake",
    },
    SettingSpec {
        name: "project",
        kind: SettingKind::Folder { default_in: DefaultFolder::Configuration },
        default: ".",
        help: "Folder of the project: the one that holds sql/",
        example: "games/puzzle",
    },
    SettingSpec {
        name: "stores.hot",
        kind: SettingKind::Store { schemes: &["sqlite", "mongodb", "mongodb+srv"] },
        default: "sqlite://hot.db",
        help: "Hot store: recent events by player, and the index of duplicates",
        example: "mongodb://mongo:27017/questlake",
    },
    SettingSpec {
        name: "stores.warehouse",
        kind: SettingKind::Store { schemes: &["sqlite", "postgres", "postgresql"] },
        default: "sqlite://warehouse.db",
        help: "Warehouse: the star schema, and the ledger of what has been loaded",
        example: "postgres://questlake@db.example/questlake",
    },
    SettingSpec {
        name: "stores.landing",
        kind: SettingKind::Store { schemes: &["file", "hdfs", "s3"] },
        default: "file://landing",
        help: "Landing: every event as Arrow segments",
        example: "hdfs://namenode:8020/questlake/landing",
    },
    SettingSpec {
        name: "stores.archive",
        kind: SettingKind::Store { schemes: &["file", "hdfs", "s3"] },
        default: "file://archive",
        help: "Archive: old events as Delta tables of Parquet, one per event type",
        example: "file:///srv/questlake/archive",
    },
    SettingSpec {
        name: "stores.cache",
        kind: SettingKind::Store { schemes: &["redis", "rediss", "memory:"] },
        default: "memory:",
        help: "Cache of answers: in this process, or shared by several",
        example: "redis://redis:6379/0",
    },
    SettingSpec {
        name: "ingest.batch_records",
        kind: SettingKind::Count { least: 1, most: 10_000_000 },
        default: "100000",
        help: "Most records in one micro-batch",
        example: "100000",
    },
    SettingSpec {
        name: "ingest.batch_bytes",
        // Arrow's string columns hold at most 2 GiB, and extra fields may be longer than the input.
        kind: SettingKind::Bytes { least: 64 * KIB, most: GIB },
        default: "64MiB",
        help: "Most bytes of records in one micro-batch",
        example: "64MiB",
    },
    SettingSpec {
        name: "ingest.batch_wait",
        kind: SettingKind::Duration { least: Duration::ZERO, most: Duration::from_secs(60) },
        default: "200ms",
        help: "How long a micro-batch of standard input or Kafka waits for more",
        example: "200ms",
    },
    SettingSpec {
        name: "ingest.max_record",
        kind: SettingKind::Bytes { least: KIB, most: 64 * MIB },
        default: "1MiB",
        help: "Largest record that is decoded; a larger one is quarantined",
        example: "1MiB",
    },
    SettingSpec {
        name: "ingest.max_future",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(366) },
        default: "24h",
        help: "How far ahead of the clock an event may be before it is quarantined",
        example: "24h",
    },
    SettingSpec {
        name: "ingest.queue_bytes",
        kind: SettingKind::Bytes { least: MIB, most: TIB },
        default: "128MiB",
        help: "Most bytes of records that wait in memory; senders are slowed down beyond it",
        example: "128MiB",
    },
    SettingSpec {
        name: "ingest.decode_threads",
        kind: THREADS,
        default: "0",
        help: "Threads that decode records; 0 stands for the number of cores",
        example: "2",
    },
    SettingSpec {
        name: "ingest.landing_compression",
        kind: SettingKind::Choice { words: &["none", "lz4"] },
        default: "none",
        help: "Compression of landed segments",
        example: "lz4",
    },
    SettingSpec {
        name: "collector.listen",
        kind: SettingKind::Address,
        default: "127.0.0.1:8080",
        help: "Host and port at which the collector takes events over HTTP",
        example: "0.0.0.0:8080",
    },
    SettingSpec {
        name: "collector.body_limit",
        kind: SettingKind::Bytes { least: KIB, most: GIB },
        default: "32MiB",
        help: "Largest body of a request, after decompression",
        example: "32MiB",
    },
    SettingSpec {
        name: "collector.request_timeout",
        kind: SettingKind::Duration {
            least: Duration::from_millis(100),
            most: Duration::from_secs(3600),
        },
        default: "30s",
        help: "Longest time for a request to be read, made durable and answered",
        example: "30s",
    },
    SettingSpec {
        name: "engine.memory_limit",
        kind: SettingKind::Bytes { least: 16 * MIB, most: 64 * TIB },
        default: "512MiB",
        help: "Memory for models; beyond it they spill to disk",
        example: "2GiB",
    },
    SettingSpec {
        name: "engine.threads",
        kind: THREADS,
        default: "0",
        help: "Threads that execute queries and models; 0 stands for the number of cores",
        example: "4",
    },
    SettingSpec {
        name: "engine.spill_dir",
        kind: SettingKind::Folder { default_in: DefaultFolder::Data },
        default: "spill",
        help: "Folder for what does not fit into memory",
        example: "/tmp/questlake-spill",
    },
    SettingSpec {
        name: "engine.model_parallelism",
        kind: SettingKind::Count { least: 0, most: 256 },
        default: "0",
        help: "Models that run at the same time; 0 leaves the choice to the engine",
        example: "2",
    },
    SettingSpec {
        name: "engine.timeout",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(30) },
        default: "0",
        help: "Longest time for one model; 0 stands for no limit",
        example: "10m",
    },
    SettingSpec {
        name: "checks.keep",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(3660) },
        default: "30d",
        help: "How long it is kept what the checks of a run have found; the latest is always kept",
        example: "90d",
    },
    SettingSpec {
        name: "archive.after",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(3660) },
        default: "7d",
        help: "Age of events beyond which they move to the archive, in whole days",
        example: "30d",
    },
    SettingSpec {
        name: "archive.grace",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(30) },
        default: "1h",
        help: "How long landed segments stay after they were archived: longer than any query",
        example: "1h",
    },
    SettingSpec {
        name: "archive.vacuum_after",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(3660) },
        default: "7d",
        help: "Age beyond which replaced files of the archive may be removed",
        example: "30d",
    },
    SettingSpec {
        name: "archive.hot_retention",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(3660) },
        default: "0",
        help: "Age beyond which archived events leave the hot store, which then no longer knows \
               their duplicates; 0 keeps them",
        example: "90d",
    },
    SettingSpec {
        name: "query.memory_limit",
        // Below, what a process takes besides its queries' memory would exceed the limit by itself.
        kind: SettingKind::Bytes { least: 192 * MIB, most: 64 * TIB },
        default: "512MiB",
        help: "Memory for ad-hoc queries, apart from that of models; beyond it they spill to disk",
        example: "2GiB",
    },
    SettingSpec {
        name: "query.timeout",
        kind: SettingKind::Duration { least: Duration::ZERO, most: DAY.saturating_mul(30) },
        default: "10m",
        help: "Longest time for one ad-hoc query; 0 stands for no limit",
        example: "1h",
    },
    SettingSpec {
        name: "query.max_rows",
        kind: SettingKind::Count { least: 0, most: 1_000_000_000_000 },
        default: "1000000",
        help: "Most rows that one ad-hoc query gives; 0 stands for no limit",
        example: "5000000",
    },
    SettingSpec {
        name: "cache.memory_limit",
        kind: SettingKind::Bytes { least: 0, most: TIB },
        default: "64MiB",
        help: "Memory for the cache of answers, if it is in this process",
        example: "256MiB",
    },
    SettingSpec {
        name: "cache.tables_limit",
        kind: SettingKind::Bytes { least: 0, most: TIB },
        default: "64MiB",
        help: "Memory for tables that the API holds, so that it need not read them for each answer",
        example: "256MiB",
    },
    SettingSpec {
        name: "cache.timeout",
        kind: SettingKind::Duration {
            least: Duration::from_millis(1),
            most: Duration::from_secs(10),
        },
        default: "250ms",
        help: "How long a shared cache may take before the answer is computed instead",
        example: "250ms",
    },
    SettingSpec {
        name: "log.level",
        kind: SettingKind::Choice { words: &["off", "error", "warn", "info", "debug", "trace"] },
        default: "info",
        help: "Least important log lines that are written; QUESTLAKE_LOG takes finer filters",
        example: "debug",
    },
    SettingSpec {
        name: "log.format",
        kind: SettingKind::Choice { words: &["text", "json"] },
        default: "text",
        help: "Format of log lines",
        example: "json",
    },
];

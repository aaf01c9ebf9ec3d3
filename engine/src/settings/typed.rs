//! The typed settings: what the rest of the program reads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::api::ApiSettings;
use super::error::{SettingError, SettingsErrors};
use super::kafka::KafkaSettings;
use super::layers::{LoadOptions, RawSetting, RawSettings, SettingOrigin, gather};
use super::store_url::StoreUrl;
use super::table::{DefaultFolder, SettingKind, SettingSpec, settings_table};
use super::units::ByteSize;
use super::values::{Folders, Secret, SettingValue, parse_value};
use crate::archive::ArchivePolicy;

/// All settings, valid and complete. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the embedded stores and of temporary files. It need not exist yet.
    pub data: PathBuf,
    /// Folder of the project: the one that holds `sql/`.
    pub project: PathBuf,
    /// Where the stores are.
    pub stores: StoreSettings,
    /// How events are taken in.
    pub ingest: IngestSettings,
    /// How events are taken over HTTP.
    pub collector: CollectorSettings,
    /// Who may ask the API, and how much.
    pub api: ApiSettings,
    /// How queries and models are executed.
    pub engine: EngineSettings,
    /// What is kept of checks.
    pub checks: CheckSettings,
    /// How the archive is kept.
    pub archive: ArchivePolicy,
    /// What an ad-hoc query may take.
    pub query: QuerySettings,
    /// How answers are cached.
    pub cache: CacheSettings,
    /// What is logged.
    pub log: LogSettings,
    /// The Kafka cluster that events come over, if there is one.
    pub kafka: Option<KafkaSettings>,
    /// The settings file, if there is one.
    pub file: Option<PathBuf>,
    /// Every value with its origin, in the order of the table.
    pub(super) in_force: Vec<InForce>,
}

/// Where the stores are.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Recent events by player, and the index of duplicates.
    pub hot: StoreUrl,
    /// The star schema and the ledger.
    pub warehouse: StoreUrl,
    /// Arrow segments of events that are not in the archive.
    pub landing: StoreUrl,
    /// Delta tables of old events.
    pub archive: StoreUrl,
    /// Answers that were computed before.
    pub cache: StoreUrl,
}

/// How events are taken in.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Most records in one micro-batch.
    pub batch_records: usize,
    /// Most bytes of records in one micro-batch.
    pub batch_bytes: ByteSize,
    /// How long a micro-batch of standard input waits for more before it is taken in.
    pub batch_wait: Duration,
    /// Largest record that is decoded.
    pub max_record: ByteSize,
    /// How far ahead of the clock an event may be.
    pub max_future: Duration,
    /// Most bytes of records that wait in memory.
    pub queue_bytes: ByteSize,
    /// Threads that decode records, at least 1.
    pub decode_threads: usize,
    /// Compression of landed segments.
    pub landing_compression: LandingCompression,
}

/// Compression of landed segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandingCompression {
    /// As it is in memory.
    None,
    /// LZ4 frames, buffer by buffer.
    Lz4,
}

/// How events are taken over HTTP.
#[derive(Debug, Clone)]
pub struct CollectorSettings {
    /// Host and port to listen at. The host may be a name; port 0 stands for any free one.
    pub listen: String,
    /// Largest body of a request, after decompression.
    pub body_limit: ByteSize,
    /// Longest time for a request to be read, made durable and answered.
    pub request_timeout: Duration,
}

/// How queries and models are executed.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Memory beyond which they spill to disk.
    pub memory_limit: ByteSize,
    /// Threads that execute them, at least 1.
    pub threads: usize,
    /// Folder for what does not fit into memory. It need not exist yet.
    pub spill_dir: PathBuf,
    /// Models that run at the same time; absent where the engine chooses.
    pub model_parallelism: Option<NonZeroUsize>,
    /// Longest time for one query or model, if limited.
    pub timeout: Option<Duration>,
}

/// What is kept of checks.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// How long their outcomes are kept.
    pub keep: Duration,
}

/// What an ad-hoc query may take.
#[derive(Debug, Clone)]
pub struct QuerySettings {
    /// Memory of all queries of the process together; beyond it they spill to disk.
    pub memory_limit: ByteSize,
    /// Longest time for one query, if limited.
    pub timeout: Option<Duration>,
    /// Most rows of one query's result, if limited.
    pub max_rows: Option<u64>,
}

/// How answers are cached.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Memory of a cache in this process.
    pub memory_limit: ByteSize,
    /// Memory for tables that are held in this process.
    pub tables_limit: ByteSize,
    /// Longest time for one call to a shared cache.
    pub timeout: Duration,
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Least important lines that are written.
    pub level: LogLevel,
    /// Their format.
    pub format: LogFormat,
}

/// Importance of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// Failures that need somebody.
    Error,
    /// What may become a failure.
    Warn,
    /// What happens, step by step.
    Info,
    /// For those who look for a mistake.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word that stands for it in settings and log filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) spec: &'static SettingSpec,
    pub(super) value: SettingValue,
    pub(super) origin: SettingOrigin,
}

impl Settings {
    /// Loads settings from all layers.
    ///
    /// # Errors
    /// Every mistake in every layer, with its place.
    pub fn load(options: LoadOptions) -> Result<Self, SettingsErrors> {
        let (raw, mut errors) = gather(settings_table(), &options);
        let in_force = validate(settings_table(), &raw, &options.current_dir, &mut errors);
        let values = Values::new(&in_force);
        let stores = StoreSettings {
            hot: values.store("stores.hot"),
            warehouse: values.store("stores.warehouse"),
            landing: values.store("stores.landing"),
            archive: values.store("stores.archive"),
            cache: values.store("stores.cache"),
        };
        let ingest = IngestSettings {
            batch_records: values.count("ingest.batch_records"),
            batch_bytes: values.bytes("ingest.batch_bytes"),
            batch_wait: values.duration("ingest.batch_wait"),
            max_record: values.bytes("ingest.max_record"),
            max_future: values.duration("ingest.max_future"),
            queue_bytes: values.bytes("ingest.queue_bytes"),
            decode_threads: or_cores(values.count("ingest.decode_threads")),
            landing_compression: match values.word("ingest.landing_compression") {
                "lz4" => LandingCompression::Lz4,
                _ => LandingCompression::None,
            },
        };
        let collector = CollectorSettings {
            listen: values.address("collector.listen"),
            body_limit: values.bytes("collector.body_limit"),
            request_timeout: values.duration("collector.request_timeout"),
        };
        let engine = EngineSettings {
            memory_limit: values.bytes("engine.memory_limit"),
            threads: or_cores(values.count("engine.threads")),
            spill_dir: values.folder("engine.spill_dir"),
            model_parallelism: NonZeroUsize::new(values.count("engine.model_parallelism")),
            timeout: Some(values.duration("engine.timeout")).filter(|time| !time.is_zero()),
        };
        let api = ApiSettings::from_values(&values, engine.threads);
        let checks = CheckSettings { keep: values.duration("checks.keep") };
        let archive = ArchivePolicy {
            after: values.duration("archive.after"),
            grace: values.duration("archive.grace"),
            hot_retention: Some(values.duration("archive.hot_retention"))
                .filter(|time| !time.is_zero()),
            vacuum_after: values.duration("archive.vacuum_after"),
        };
        let query = QuerySettings {
            memory_limit: values.bytes("query.memory_limit"),
            timeout: Some(values.duration("query.timeout")).filter(|time| !time.is_zero()),
            max_rows: Some(values.count("query.max_rows") as u64).filter(|rows| *rows > 0),
        };
        let cache = CacheSettings {
            memory_limit: values.bytes("cache.memory_limit"),
            tables_limit: values.bytes("cache.tables_limit"),
            timeout: values.duration("cache.timeout"),
        };
        let log = LogSettings {
            level: match values.word("log.level") {
                "off" => LogLevel::Off,
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Info,
            },
            format: match values.word("log.format") {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
        };
        let kafka = KafkaSettings::from_values(&values);
        let (data, project) = (values.folder("data"), values.folder("project"));
        if errors.is_empty() {
            errors.extend(contradictions(&ingest, &collector));
            errors.extend(super::api::mistakes(&in_force, &values));
            errors.extend(super::kafka::mistakes(&in_force, &values));
        }
        if !errors.is_empty() {
            return Err(SettingsErrors { errors });
        }
        let file = raw.file;
        Ok(Self {
            data,
            project,
            stores,
            ingest,
            collector,
            api,
            engine,
            checks,
            archive,
            query,
            cache,
            log,
            kafka,
            file,
            in_force,
        })
    }
}

/// Checks every setting of the table; those with a mistake are missing from the result.
pub(super) fn validate(
    table: &'static [SettingSpec],
    raw: &RawSettings,
    current_dir: &Path,
    errors: &mut Vec<SettingError>,
) -> Vec<InForce> {
    let file_folder = raw.file.as_deref().and_then(Path::parent);
    let mut in_force: Vec<InForce> = Vec::with_capacity(table.len());
    let mut folders: BTreeMap<&'static str, PathBuf> = BTreeMap::new();
    // The project's folder is where the data folder may start, and that one is where others may.
    let first = ["project", "data"];
    let order = |spec: &&SettingSpec| {
        first.iter().position(|name| *name == spec.name).unwrap_or(first.len())
    };
    let mut specs: Vec<&'static SettingSpec> = table.iter().collect();
    specs.sort_by_key(order);
    for spec in specs {
        let folder = |name: &str| folders.get(name).map_or(current_dir, PathBuf::as_path);
        let default = RawSetting {
            text: spec.default.to_string(),
            origin: SettingOrigin::Default,
            names_secret_file: false,
        };
        let raw_setting = raw.by_name.get(spec.name).unwrap_or(&default);
        let relative_to = match (&raw_setting.origin, spec.kind) {
            (SettingOrigin::File { .. }, _) => file_folder.unwrap_or(current_dir),
            (SettingOrigin::Default, SettingKind::Folder { default_in }) => match default_in {
                DefaultFolder::Configuration => file_folder.unwrap_or(current_dir),
                DefaultFolder::Project => file_folder.unwrap_or(folder("project")),
                DefaultFolder::Data => folder("data"),
            },
            _ => current_dir,
        };
        let value = parse_value(spec, raw_setting, &Folders { relative_to, data: folder("data") });
        match value {
            Ok(value) => {
                if let SettingValue::Folder(path) = &value {
                    folders.insert(spec.name, path.clone());
                }
                in_force.push(InForce { spec, value, origin: raw_setting.origin.clone() });
            }
            Err(error) => errors.push(error),
        }
    }
    in_force.sort_by_key(|entry| table.iter().position(|spec| spec.name == entry.spec.name));
    in_force
}

/// Settings that cannot be at once.
fn contradictions(ingest: &IngestSettings, collector: &CollectorSettings) -> Vec<SettingError> {
    let pairs = [
        (
            ("ingest.batch_bytes", ingest.batch_bytes),
            ("ingest.queue_bytes", ingest.queue_bytes),
            "a full micro-batch must fit into the queue",
        ),
        (
            ("collector.body_limit", collector.body_limit),
            ("ingest.queue_bytes", ingest.queue_bytes),
            "the largest request must fit into the queue",
        ),
        (
            ("ingest.max_record", ingest.max_record),
            ("ingest.batch_bytes", ingest.batch_bytes),
            "the largest record must fit into a micro-batch",
        ),
    ];
    let mut errors = Vec::new();
    for ((first, first_size), (second, second_size), reason) in pairs {
        if first_size > second_size {
            errors.push(SettingError::Contradiction {
                first,
                first_value: first_size.to_string(),
                second,
                second_value: second_size.to_string(),
                reason,
            });
        }
    }
    errors
}

/// Zero threads stand for the number of cores.
fn or_cores(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        _ => threads,
    }
}

/// Valid values by name. For one that is missing, since it has a mistake, they give a value that
/// nobody will see.
pub(super) struct Values<'a> {
    by_name: BTreeMap<&'static str, &'a SettingValue>,
}

impl<'a> Values<'a> {
    fn new(in_force: &'a [InForce]) -> Self {
        Self { by_name: in_force.iter().map(|entry| (entry.spec.name, &entry.value)).collect() }
    }

    fn folder(&self, name: &str) -> PathBuf {
        match self.by_name.get(name) {
            Some(SettingValue::Folder(path)) => path.clone(),
            _ => PathBuf::new(),
        }
    }

    fn store(&self, name: &str) -> StoreUrl {
        match self.by_name.get(name) {
            Some(SettingValue::Store(url)) => url.clone(),
            _ => StoreUrl::File(PathBuf::new()),
        }
    }

    pub(super) fn count(&self, name: &str) -> usize {
        match self.by_name.get(name) {
            Some(SettingValue::Count(number)) => usize::try_from(*number).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    pub(super) fn bytes(&self, name: &str) -> ByteSize {
        match self.by_name.get(name) {
            Some(SettingValue::Bytes(size)) => *size,
            _ => ByteSize::default(),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        match self.by_name.get(name) {
            Some(SettingValue::Duration(duration)) => *duration,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn word(&self, name: &str) -> &'static str {
        match self.by_name.get(name) {
            Some(SettingValue::Choice(word)) => word,
            _ => "",
        }
    }

    fn address(&self, name: &str) -> String {
        match self.by_name.get(name) {
            Some(SettingValue::Address(address)) => address.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn addresses(&self, name: &str) -> Vec<String> {
        match self.by_name.get(name) {
            Some(SettingValue::Addresses(addresses)) => addresses.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn text(&self, name: &str) -> String {
        match self.by_name.get(name) {
            Some(SettingValue::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        match self.by_name.get(name) {
            Some(SettingValue::File(path)) => path.clone(),
            _ => None,
        }
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        match self.by_name.get(name) {
            Some(SettingValue::Secret { secret, .. }) => secret.clone(),
            _ => None,
        }
    }
}

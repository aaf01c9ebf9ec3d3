//! Settings: `questlake.toml`, then environment variables, then flags.
//!
//! Each setting has one dotted name in all three: `engine.memory_limit` is `memory_limit` under
//! `[engine]` in the file, `QUESTLAKE_ENGINE_MEMORY_LIMIT` in the environment and
//! `--engine-memory-limit` as a flag; the later layer wins. [`settings_table`] lists them all.
//!
//! The layers are gathered as texts with their origin first ([`SettingOrigin`]), and then turned
//! into the typed [`Settings`]. Every mistake of every layer is reported at once.
//!
//! To add a setting: a row in `settings/table.rs`, a field in `settings/typed.rs`.

mod api;
mod error;
mod file;
mod kafka;
mod layers;
mod object_url;
mod render;
mod server_url;
mod store_url;
mod table;
#[cfg(test)]
mod tests;
mod typed;
mod units;
mod values;

pub use api::ApiSettings;
pub use error::{SettingError, SettingsErrors};
pub use kafka::{KafkaAssignor, KafkaSecurity, KafkaSettings};
pub use layers::{LoadOptions, SettingOrigin, process_environment};
pub use object_url::{HdfsUrl, S3Url};
pub use server_url::ServerUrl;
pub use store_url::{StoreUrl, mask_url};
pub use table::{DefaultFolder, SettingKind, SettingSpec, settings_table};
pub use typed::{
    CacheSettings, CheckSettings, CollectorSettings, EngineSettings, IngestSettings,
    LandingCompression, LogFormat, LogLevel, LogSettings, QuerySettings, Settings, StoreSettings,
};
pub use units::{ByteSize, format_duration, parse_duration};
pub use values::Secret;

/// Name of the settings file that is looked for when none is named.
pub const SETTINGS_FILE: &str = "questlake.toml";

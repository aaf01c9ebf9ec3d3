//! The raw layer: what file, environment and flags say, as texts with their origin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::SETTINGS_FILE;
use super::error::SettingError;
use super::file::{FileEntry, FileValue, parse_settings_file};
use super::table::{SettingKind, SettingSpec, environment_variable};

/// Variables that begin like those of settings and are not.
const RESERVED_VARIABLES: &[&str] = &[
    CONFIG_VARIABLE,
    "QUESTLAKE_FAILPOINTS",
    "QUESTLAKE_LOG",
    "QUESTLAKE_TORTURE",
    "QUESTLAKE_PORT",
];

/// What variables begin with that are for tests and the services they use, and such by which Kubernetes
/// tells its containers of a service with the name `questlake`.
const RESERVED_PREFIXES: &[&str] =
    &["QUESTLAKE_TEST_", "QUESTLAKE_SERVICES_", "QUESTLAKE_SERVICE_", "QUESTLAKE_PORT_"];

/// What all variables of settings begin with.
const VARIABLE_PREFIX: &str = "QUESTLAKE_";

/// The variable that names the settings file.
const CONFIG_VARIABLE: &str = "QUESTLAKE_CONFIG";

/// Where settings are loaded from. Not for `Debug`: the environment may hold secrets.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The settings file, where the user named one; it must exist. Otherwise the one that
    /// `QUESTLAKE_CONFIG` names, or else `questlake.toml` in the project's folder (the current one
    /// unless a flag or variable names another), if there is one.
    pub file: Option<PathBuf>,
    /// Environment variables, such as from [`process_environment`]. Those that do not begin with
    /// `QUESTLAKE_` are ignored, and so are empty ones.
    pub environment: Vec<(String, String)>,
    /// Settings given as flags: dotted name and value.
    pub flags: Vec<(String, String)>,
    /// The folder that relative paths start at, unless they stand in the file. Absolute.
    pub current_dir: PathBuf,
}

/// The variables of this process that concern Questlake.
pub fn process_environment() -> Vec<(String, String)> {
    // `std::env::vars` panics when any variable is not Unicode, whoever it belongs to.
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    /// No layer sets it.
    Default,
    /// The settings file.
    File {
        /// Its path as shown in messages: relative when it is under the current folder.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag.
    Flag {
        /// Its name, dashes included.
        flag: String,
    },
}

impl SettingOrigin {
    /// The place for an error message, with the column in a file.
    pub fn position(&self) -> String {
        match self {
            Self::File { column, .. } => format!("{self}:{column}"),
            _ => self.to_string(),
        }
    }

    pub(super) fn line_and_column(&self) -> (usize, usize) {
        match self {
            Self::File { line, column, .. } => (*line, *column),
            _ => (0, 0),
        }
    }
}

impl std::fmt::Display for SettingOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { file, line, .. } => write!(formatter, "{}:{line}", file.display()),
            Self::Environment { variable } => formatter.write_str(variable),
            Self::Flag { flag } => formatter.write_str(flag),
        }
    }
}

/// The text of one setting before it is checked. Not for `Debug`: it may be a secret.
pub(super) struct RawSetting {
    pub(super) text: String,
    pub(super) origin: SettingOrigin,
    /// The text is not the secret but the path of a file that holds it.
    pub(super) names_secret_file: bool,
}

/// All layers, one upon the other.
pub(super) struct RawSettings {
    /// By dotted name; absent where no layer sets it.
    pub(super) by_name: BTreeMap<&'static str, RawSetting>,
    /// The settings file, absolute, if there is one.
    pub(super) file: Option<PathBuf>,
}

/// Gathers all layers. The errors are those that show without looking at values.
pub(super) fn gather(
    table: &'static [SettingSpec],
    options: &LoadOptions,
) -> (RawSettings, Vec<SettingError>) {
    let mut gatherer = Gatherer { table, by_name: BTreeMap::new(), errors: Vec::new() };
    let file = gatherer.read_file(options);
    gatherer.read_environment(&options.environment);
    gatherer.read_flags(&options.flags);
    (RawSettings { by_name: gatherer.by_name, file }, gatherer.errors)
}

struct Gatherer {
    table: &'static [SettingSpec],
    by_name: BTreeMap<&'static str, RawSetting>,
    errors: Vec<SettingError>,
}

impl Gatherer {
    /// Reads the settings file, if there is one, and tells its path.
    fn read_file(&mut self, options: &LoadOptions) -> Option<PathBuf> {
        let (file, named_by) = find_file(options)?;
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(source) => {
                let named_by = named_by.to_string();
                self.errors.push(SettingError::ReadFile { named_by, file: file.clone(), source });
                return Some(file);
            }
        };
        let shown_path = file.strip_prefix(&options.current_dir).unwrap_or(&file);
        let table = self.table;
        let (entries, errors) = parse_settings_file(
            shown_path,
            &text,
            &|name| table.iter().any(|spec| section(spec.name) == Some(name)),
            &|name| find_setting(table, name).is_some(),
        );
        self.errors.extend(errors);
        for entry in entries {
            self.take_file_entry(entry);
        }
        Some(file)
    }

    fn take_file_entry(&mut self, entry: FileEntry) {
        let Some((spec, names_secret_file)) = find_setting(self.table, &entry.name) else {
            let nearest = nearest_name(self.table, &entry.name);
            let error =
                SettingError::Unknown { origin: entry.key_origin, name: entry.name, nearest };
            self.errors.push(error);
            return;
        };
        if spec.kind == SettingKind::Secret && !names_secret_file {
            self.errors.push(SettingError::MisplacedSecret {
                origin: entry.key_origin,
                name: entry.name,
                variable: spec.environment_variable(),
            });
            return;
        }
        let takes_integers = matches!(
            spec.kind,
            SettingKind::Count { .. } | SettingKind::Bytes { .. } | SettingKind::Duration { .. }
        );
        let text = match entry.value {
            FileValue::Text(text) => Ok(text),
            FileValue::Integer(text) if takes_integers => Ok(text),
            FileValue::Integer(_) => Err("an integer"),
            FileValue::Other(found) => Err(found),
        };
        let origin = entry.value_origin;
        match text {
            Ok(text) => {
                let raw = RawSetting { text, origin, names_secret_file };
                self.by_name.insert(spec.name, raw);
            }
            Err(found) => {
                let expected = match spec.kind {
                    SettingKind::Count { .. } => format!("an integer such as {}", spec.example),
                    _ => format!("a string such as \"{}\"", spec.example),
                };
                self.errors.push(SettingError::WrongType {
                    origin,
                    name: entry.name,
                    expected,
                    found,
                });
            }
        }
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        let mut variables: Vec<&(String, String)> = environment
            .iter()
            .filter(|(name, value)| name.starts_with(VARIABLE_PREFIX) && !value.is_empty())
            .collect();
        variables.sort();
        let mut layer = BTreeMap::new();
        for (variable, value) in variables {
            if RESERVED_VARIABLES.contains(&variable.as_str())
                || RESERVED_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
            {
                continue;
            }
            let origin = SettingOrigin::Environment { variable: variable.clone() };
            let known = names(self.table)
                .find(|(name, _, _)| environment_variable(name) == *variable)
                .map(|(_, spec, names_secret_file)| (spec, names_secret_file));
            let Some((spec, names_secret_file)) = known else {
                // Dots and underscores cannot be told apart in a variable: look at the whole.
                let variables = names(self.table).map(|(name, _, _)| environment_variable(&name));
                let nearest = nearest(variable, variables);
                self.errors.push(SettingError::Unknown { origin, name: variable.clone(), nearest });
                continue;
            };
            let raw = RawSetting { text: value.clone(), origin, names_secret_file };
            self.take_once(&mut layer, spec, raw);
        }
        self.by_name.append(&mut layer);
    }

    fn read_flags(&mut self, flags: &[(String, String)]) {
        for (name, value) in flags {
            let flag = format!("--{}", name.replace(['.', '_'], "-"));
            let origin = SettingOrigin::Flag { flag };
            let Some((spec, names_secret_file)) = find_setting(self.table, name) else {
                let nearest = nearest_name(self.table, name);
                let name = name.clone();
                self.errors.push(SettingError::Unknown { origin, name, nearest });
                continue;
            };
            if spec.kind == SettingKind::Secret && !names_secret_file {
                self.errors.push(SettingError::MisplacedSecret {
                    origin,
                    name: name.clone(),
                    variable: spec.environment_variable(),
                });
                continue;
            }
            let raw = RawSetting { text: value.clone(), origin, names_secret_file };
            self.by_name.insert(spec.name, raw);
        }
    }

    /// Takes a variable into its layer, unless the layer has both a secret and a file for it.
    fn take_once(
        &mut self,
        layer: &mut BTreeMap<&'static str, RawSetting>,
        spec: &SettingSpec,
        raw: RawSetting,
    ) {
        if let Some(other) = layer.get(spec.name) {
            self.errors.push(SettingError::Invalid {
                origin: raw.origin,
                name: spec.name.to_string(),
                value: "***".to_string(),
                reason: format!("{} sets it as well; remove one of them", other.origin),
            });
            return;
        }
        layer.insert(spec.name, raw);
    }
}

/// The settings file and who named it.
fn find_file(options: &LoadOptions) -> Option<(PathBuf, &'static str)> {
    if let Some(file) = &options.file {
        return Some((absolute(options, file), "--config"));
    }
    let variable = |wanted: &str| {
        let found =
            options.environment.iter().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    if let Some(file) = variable(CONFIG_VARIABLE) {
        return Some((absolute(options, Path::new(file)), CONFIG_VARIABLE));
    }
    let project_flag =
        options.flags.iter().rfind(|(name, _)| name == "project").map(|(_, value)| value.as_str());
    let project = project_flag.or_else(|| variable("QUESTLAKE_PROJECT")).unwrap_or(".");
    let file = absolute(options, &Path::new(project).join(SETTINGS_FILE));
    file.exists().then_some((file, "settings file"))
}

/// The path from the current folder, without `.` components.
fn absolute(options: &LoadOptions, path: &Path) -> PathBuf {
    options.current_dir.join(path).components().collect()
}

/// The section of a dotted name.
fn section(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(section, _)| section)
}

/// Every name that a layer can use: dotted name, setting, and whether it is the `_file` variant of
/// a secret.
fn names(
    table: &'static [SettingSpec],
) -> impl Iterator<Item = (String, &'static SettingSpec, bool)> {
    table.iter().flat_map(|spec| {
        let file_variant = (spec.kind == SettingKind::Secret).then(|| spec.file_variant());
        let own = (spec.name.to_string(), spec, false);
        std::iter::once(own).chain(file_variant.map(|name| (name, spec, true)))
    })
}

fn find_setting(
    table: &'static [SettingSpec],
    wanted: &str,
) -> Option<(&'static SettingSpec, bool)> {
    names(table)
        .find(|(name, _, _)| name == wanted)
        .map(|(_, spec, names_secret_file)| (spec, names_secret_file))
}

/// The setting most like this dotted name: of the same last part where there is one (the section
/// was forgotten or mixed up), else of the fewest typing mistakes.
fn nearest_name(table: &'static [SettingSpec], name: &str) -> Option<String> {
    let last_part = |name: &str| name.rsplit('.').next().unwrap_or(name).replace('-', "_");
    let same_last_part: Vec<String> = names(table)
        .map(|(known, _, _)| known)
        .filter(|known| last_part(known) == last_part(name))
        .collect();
    if same_last_part.is_empty() {
        return nearest(name, names(table).map(|(known, _, _)| known));
    }
    let distance = |known: &String| strsim::damerau_levenshtein(name, known);
    same_last_part.into_iter().min_by_key(distance)
}

/// The name with the fewest typing mistakes, if they are few for its length.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .min()
        .filter(|(distance, known)| *distance <= (known.len() / 3).clamp(1, 4))
        .map(|(_, known)| known)
}

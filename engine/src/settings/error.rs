//! What can be wrong with settings, each with its place and the way out.

use std::fmt;
use std::path::PathBuf;

use super::layers::SettingOrigin;

/// All that is wrong with the settings, at once.
#[derive(Debug)]
pub struct SettingsErrors {
    /// The mistakes: those of the file by line, then by variable and flag, then by setting.
    pub errors: Vec<SettingError>,
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [error] = self.errors.as_slice() {
            return write!(formatter, "{error}");
        }
        write!(formatter, "{} mistakes in the settings:", self.errors.len())?;
        for error in &self.errors {
            write!(formatter, "\n  {error}")?;
        }
        Ok(())
    }
}

/// One mistake in the settings. Values in it are masked, and those of secrets absent.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A file that was named, or found, cannot be read.
    #[error("{named_by}: cannot read `{}`: {source}", .file.display())]
    ReadFile {
        /// Who named it: a flag, a variable, or the setting.
        named_by: String,
        /// The file.
        file: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {message}", .origin.position())]
    Syntax {
        /// Where in the file.
        origin: SettingOrigin,
        /// What the parser says.
        message: String,
    },
    /// There is no such setting.
    #[error(
        "{}: there is no setting `{name}`{}",
        .origin.position(),
        .nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
    )]
    Unknown {
        /// Where it was set.
        origin: SettingOrigin,
        /// Its name, in the notation of that place.
        name: String,
        /// The known setting that is most like it, in the same notation.
        nearest: Option<String>,
    },
    /// The value in the file has the wrong TOML type.
    #[error("{}: `{name}` is {found}, but should be {expected}", .origin.position())]
    WrongType {
        /// Where it was set.
        origin: SettingOrigin,
        /// Dotted name.
        name: String,
        /// What should stand there, with an example.
        expected: String,
        /// What stands there.
        found: &'static str,
    },
    /// The value is not one that the setting accepts.
    #[error("{}: `{name}` cannot be `{value}`: {reason}", .origin.position())]
    Invalid {
        /// Where it was set.
        origin: SettingOrigin,
        /// Dotted name.
        name: String,
        /// The value, masked.
        value: String,
        /// Why not, and what to write instead.
        reason: String,
    },
    /// The store's URL is of a kind that this build cannot use.
    #[error(
        "{}: `{name}`: store `{url}` is not supported by this build; supported: {supported}",
        .origin.position()
    )]
    UnsupportedStore {
        /// Where it was set.
        origin: SettingOrigin,
        /// Dotted name.
        name: String,
        /// The URL, masked.
        url: String,
        /// Schemes that can be used, such as `sqlite://`.
        supported: String,
    },
    /// A secret stands where others can read it.
    #[error(
        "{}: `{name}` is a secret: set {variable}, or name a file that holds it with \
         `{name}_file`",
        .origin.position()
    )]
    MisplacedSecret {
        /// Where it was set.
        origin: SettingOrigin,
        /// Dotted name.
        name: String,
        /// The environment variable to use instead.
        variable: String,
    },
    /// A setting needs another one.
    #[error("`{name}` ({value}) needs `{needed}`: {reason}")]
    Incomplete {
        /// Dotted name of the one that is set.
        name: &'static str,
        /// Its value.
        value: String,
        /// Dotted name of the one that is missing.
        needed: &'static str,
        /// What to do.
        reason: String,
    },
    /// Two settings contradict each other.
    #[error(
        "`{first}` ({first_value}) cannot be larger than `{second}` ({second_value}): {reason}"
    )]
    Contradiction {
        /// Dotted name of the one that is too large.
        first: &'static str,
        /// Its value.
        first_value: String,
        /// Dotted name of the one that is too small.
        second: &'static str,
        /// Its value.
        second_value: String,
        /// Why not.
        reason: &'static str,
    },
}

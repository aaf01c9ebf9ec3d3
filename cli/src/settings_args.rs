//! Every setting as a flag of every command.

use clap::{Arg, ArgMatches, Command};
use questlake_engine::settings::{SettingKind, SettingSpec, settings_table};

/// Settings whose flags are shown in the short help as well.
const IN_SHORT_HELP: &[&str] = &["data", "project"];

/// Adds a flag for each setting, to be given before or behind the name of a command.
pub(crate) fn with_setting_args(command: Command) -> Command {
    command.args(settings_table().iter().map(setting_arg))
}

/// The settings given as flags: dotted name and value. Takes the matches of any command.
pub(crate) fn flags_from(matches: &ArgMatches) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    for spec in settings_table() {
        if let Some(value) = matches.get_one::<String>(spec.name) {
            flags.push((spec.flag_setting(), value.clone()));
        }
    }
    flags
}

/// Values are checked with those of all other layers, so that all mistakes show at once.
fn setting_arg(spec: &SettingSpec) -> Arg {
    let default = spec.default_text().map(|text| format!(" [default: {text}]")).unwrap_or_default();
    Arg::new(spec.name)
        .long(spec.flag())
        .help(format!("{}{default}", spec.help))
        .value_name(value_name(spec.kind))
        .help_heading("Settings")
        .hide_short_help(!IN_SHORT_HELP.contains(&spec.name))
        .allow_hyphen_values(true)
        .global(true)
}

/// What stands for the value in help.
fn value_name(kind: SettingKind) -> String {
    match kind {
        SettingKind::Folder { .. } => "FOLDER".to_string(),
        SettingKind::Store { .. } => "URL".to_string(),
        SettingKind::Count { .. } => "NUMBER".to_string(),
        SettingKind::Bytes { .. } => "SIZE".to_string(),
        SettingKind::Duration { .. } => "TIME".to_string(),
        SettingKind::Choice { words } => words.join("|"),
        SettingKind::Address => "HOST:PORT".to_string(),
        SettingKind::Addresses => "HOST:PORT,…".to_string(),
        SettingKind::Name => "NAME".to_string(),
        SettingKind::Text => "TEXT".to_string(),
        SettingKind::File | SettingKind::Secret => "FILE".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        with_setting_args(Command::new("questlake").subcommand(Command::new("run")))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_taken_before_and_behind_the_command() {
        let arguments =
            ["questlake", "--data", "x", "run", "--engine-threads", "-1", "--log-level=debug"];
        let matches = command().try_get_matches_from(arguments).unwrap();
        let expected = pairs(&[("data", "x"), ("engine.threads", "-1"), ("log.level", "debug")]);
        assert_eq!(flags_from(&matches), expected);
        let (_, of_run) = matches.subcommand().unwrap();
        assert_eq!(flags_from(of_run), expected);
        let none = command().try_get_matches_from(["questlake", "run"]).unwrap();
        assert_eq!(flags_from(&none), []);
    }

    #[test]
    fn short_help_shows_the_usual_flags_and_long_help_all() {
        let short = command().render_help().to_string();
        assert!(short.contains("--data <FOLDER>"), "{short}");
        assert!(!short.contains("--engine-threads"), "{short}");
        let long = command().render_long_help().to_string();
        for spec in settings_table() {
            assert!(long.contains(&format!("--{} <", spec.flag())), "{long}");
        }
        assert!(long.contains("[default: 512MiB]"), "{long}");
        assert!(long.contains("[default: spill in the data folder]"), "{long}");
    }
}

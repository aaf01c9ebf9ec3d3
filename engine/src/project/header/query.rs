//! Headers of saved queries and of checks.
//!
//! ```sql
//! -- title: Big spenders
//! -- chart: bar x=player_id y=usd
//! -- Players by what they paid in a period.
//! --
//! -- param min_usd: DECIMAL(10, 2) = 100  -- least amount
//! -- param country: TEXT
//! SELECT …
//! ```
//!
//! A check has `severity: error | warn`, `on: model`, `lookback: … days`, `lookahead: … days` and
//! parameters with defaults.

use super::chart::Chart;
use super::comment_lines::{Fragment, Grammar, Setting, read_header};
use super::{chart, values};
use crate::project::contract::ColumnType;
use crate::project::contract_parser::parse_type_text;
use crate::project::diagnostic::{Diagnostic, Severity, nearest};
use crate::project::source::{Located, SourceFile};

const QUERY_GRAMMAR: Grammar =
    Grammar { settings: &["title", "chart"], foreign: &[], subjects: &["param"] };

/// `param` lines are those of any query.
const CHECK_GRAMMAR: Grammar = Grammar {
    settings: &["severity", "on", "lookback", "lookahead"],
    foreign: &[
        ("blocking", "severity", "write `severity: error` or `severity: warn`"),
        ("model", "on", "write `on: …` with the name of the model whose rows are checked"),
    ],
    subjects: &["param"],
};

/// The header of a saved query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryHeader {
    /// Short name for people, from `title:`.
    pub title: Option<String>,
    /// First paragraph of the header, on one line.
    pub description: Option<String>,
    /// How the rows are drawn, from `chart:`. Located at the kind.
    pub chart: Option<Located<Chart>>,
    /// Parameters in the written order. Located at the parameter's name.
    pub parameters: Vec<Located<QueryParameter>>,
}

/// A named, typed parameter: `param name: TYPE = default -- what it means`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryParameter {
    /// Its name, which the query uses as `$name`.
    pub name: String,
    /// Type that a given value is converted to.
    pub parameter_type: ColumnType,
    /// Text of the value when none is given, without quotes; without it, a value must be given.
    pub default: Option<String>,
    /// What it means.
    pub comment: Option<String>,
}

/// The header of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckHeader {
    /// First paragraph of the header, on one line.
    pub description: Option<String>,
    /// Whether wrong rows fail the run (`severity: error`, the default) or are only reported
    /// (`severity: warn`).
    pub severity: Severity,
    /// The model whose new rows it is about, from `on:`.
    pub on: Option<Located<String>>,
    /// Days before those that the run touches that it also sees.
    pub lookback_days: u32,
    /// Days after them.
    pub lookahead_days: u32,
}

/// Reads the header of a saved query. The query is usable only when none of the diagnostics is an
/// error.
pub fn parse_query_header(file: &SourceFile) -> (QueryHeader, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let text = read_header(file, &QUERY_GRAMMAR, &mut diagnostics);
    let mut header = QueryHeader { description: text.description, ..QueryHeader::default() };
    for setting in &text.settings {
        if setting.name.value == "title" {
            header.title = Some(values::text(setting));
        } else if setting.name.value == "chart" {
            header.chart = chart::read(file, setting, &mut diagnostics);
        } else if let Some(parameter) = read_parameter(file, setting, &mut diagnostics) {
            let name = &parameter.value.name;
            if header.parameters.iter().any(|earlier| earlier.value.name == *name) {
                let message = format!("parameter `{name}` is there twice");
                diagnostics.push(file.error_for(&parameter, message));
                continue;
            }
            header.parameters.push(parameter);
        }
    }
    (header, diagnostics)
}

/// Reads the header of a check. The check is usable only when none of the diagnostics is an error.
pub fn parse_check_header(file: &SourceFile) -> (CheckHeader, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let text = read_header(file, &CHECK_GRAMMAR, &mut diagnostics);
    let mut header = CheckHeader {
        description: text.description,
        severity: Severity::Error,
        on: None,
        lookback_days: 0,
        lookahead_days: 0,
    };
    for setting in &text.settings {
        if setting.name.value == "param" {
            continue;
        }
        let Some(item) = values::single_item(file, setting, &mut diagnostics) else { continue };
        match setting.name.value {
            "on" => {
                let name = item
                    .text
                    .strip_prefix("star.")
                    .map_or(item, |name| item.part(item.text.len() - name.len(), item.text.len()));
                header.on = values::identifier(file, &name, "a model", &mut diagnostics);
            }
            "lookback" => {
                header.lookback_days = values::days(file, &item, &mut diagnostics).unwrap_or(0);
            }
            "lookahead" => {
                header.lookahead_days = values::days(file, &item, &mut diagnostics).unwrap_or(0);
            }
            _ => {
                if let Some(severity) = read_severity(file, &item, &mut diagnostics) {
                    header.severity = severity;
                }
            }
        }
    }
    (header, diagnostics)
}

fn read_severity(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Severity> {
    match item.text {
        "error" => Some(Severity::Error),
        "warn" | "warning" => Some(Severity::Warning),
        other => {
            let message = format!("unknown severity `{other}`");
            let diagnostic = file.error_for(&item.locate(()), message);
            diagnostics.push(
                diagnostic
                    .with_hint("write `error` or `warn`")
                    .with_nearest(nearest(other, ["error", "warn"])),
            );
            None
        }
    }
}

fn read_parameter(
    file: &SourceFile,
    setting: &Setting<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<QueryParameter>> {
    let name = values::identifier(file, setting.subject.as_ref()?, "a parameter", diagnostics)?;
    let value = setting.value.first()?;
    let equals = value.text.find('=').unwrap_or(value.text.len());
    let type_text = value.part(0, equals);
    let parameter_type = match parse_type_text(type_text.text) {
        Ok(parameter_type) => parameter_type,
        Err(mistake) => {
            // The place of the mistake is within the text of the type.
            let mut place = type_text.locate(());
            place.column += mistake.column.saturating_sub(1);
            place.length = mistake.length.max(1);
            let mut diagnostic = file.error_for(&place, mistake.message);
            diagnostic.hint = mistake.hint;
            diagnostics.push(diagnostic);
            return None;
        }
    };
    let mut default = None;
    if equals < value.text.len() {
        let written = value.part(equals + 1, value.text.len());
        default = Some(read_default(file, &written, parameter_type, diagnostics)?);
    }
    let comment = setting.remark.filter(|remark| !remark.is_empty()).map(str::to_owned);
    let parameter = QueryParameter { name: name.value.clone(), parameter_type, default, comment };
    Some(name.with(parameter))
}

fn read_default(
    file: &SourceFile,
    written: &Fragment<'_>,
    parameter_type: ColumnType,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let quoted = written.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let text = quoted.map_or_else(|| written.text.to_owned(), |inner| inner.replace("''", "'"));
    let fits = match parameter_type {
        ColumnType::Boolean => matches!(text.as_str(), "true" | "false" | "TRUE" | "FALSE"),
        ColumnType::Int16 => text.parse::<i16>().is_ok(),
        ColumnType::Int32 => text.parse::<i32>().is_ok(),
        ColumnType::Int64 => text.parse::<i64>().is_ok(),
        ColumnType::Float64 | ColumnType::Decimal { .. } => {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        ColumnType::Text { .. } | ColumnType::Timestamp | ColumnType::Date | ColumnType::Json => {
            quoted.is_some() || !text.is_empty()
        }
    };
    if !fits {
        let message = format!("`{}` is not a value of the parameter's type", written.text);
        let hint = "write such as `100`, `true`, `'text'` or `'2026-01-31'`";
        diagnostics.push(file.error_for(&written.locate(()), message).with_hint(hint));
        return None;
    }
    Some(text)
}

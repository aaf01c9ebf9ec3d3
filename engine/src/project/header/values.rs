//! Values of settings: lists of columns, combine rules, numbers of days.

use super::comment_lines::{Fragment, Setting};
use super::{Combine, CombineRule, LoadKind};
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::source::{Located, SourceFile, is_identifier, suggested_identifier};

/// More days than a lookback or lookahead can have: ten years.
const MAX_DAYS: u32 = 3_660;

/// More columns than one setting can list.
const MAX_ITEMS: usize = 500;

/// The names of combine rules.
const RULES: &[&str] = &["sum", "min", "max", "first", "last", "replace", "keep"];

/// What the rules are called elsewhere, and what to write instead.
const FOREIGN_RULES: &[(&str, &str)] = &[
    ("add", "write `sum`"),
    ("any_value", "write `keep`"),
    ("avg", "an average cannot be merged: keep a sum and a count, and divide them in a mart"),
    ("count", "write `sum`: the counts of both rows are added"),
    ("greatest", "write `max`"),
    ("ignore", "write `keep`"),
    ("least", "write `min`"),
    ("overwrite", "write `replace`"),
    ("update", "write `replace`"),
];

/// What other tools call the ways of loading, and what to write instead.
const FOREIGN_LOADS: &[(&str, &str)] = &[
    ("delete+insert", "write `load: replace` with a `partition`"),
    ("delete_insert", "write `load: replace` with a `partition`"),
    ("ephemeral", "every model is a table: put the SELECT into a WITH of the models that use it"),
    ("full", "write `load: replace`"),
    ("incremental", "write `load: append`, or `load: upsert` with a `key`"),
    ("incremental_by_partition", "write `load: replace` with a `partition`"),
    ("incremental_by_time_range", "write `load: replace` with a `partition`"),
    ("incremental_by_unique_key", "write `load: upsert` with a `key`"),
    ("insert", "write `load: append`"),
    ("insert_overwrite", "write `load: replace` with a `partition`"),
    ("merge", "write `load: upsert` with a `key`"),
    ("microbatch", "write `load: replace` with a `partition`"),
    ("table", "write `load: replace`"),
    ("update", "write `load: upsert` with a `key`"),
    ("view", "every model is a table: write `load: replace`"),
];

/// The comma-separated items of a value, none of them empty.
pub(super) fn items<'a>(
    file: &SourceFile,
    setting: &Setting<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Fragment<'a>> {
    let mut items = Vec::new();
    for fragment in &setting.value {
        let mut start = 0;
        while start < fragment.text.len() {
            let comma = outside_quotes(&fragment.text[start..], ',').map(|found| start + found);
            let end = comma.unwrap_or(fragment.text.len());
            let item = fragment.part(start, end);
            if items.len() == MAX_ITEMS {
                let message = format!("`{}` lists more than {MAX_ITEMS}", setting.name.value);
                diagnostics.push(file.error_for(&item.locate(()), message));
                return items;
            }
            if item.text.is_empty() {
                let at = fragment.part(end, end + 1).locate(());
                diagnostics.push(file.error_for(&at, "nothing stands before this comma"));
            } else {
                items.push(item);
            }
            start = end + 1;
        }
    }
    items
}

/// Where `wanted` stands first outside of single quotes. Quotes that do not end are none.
pub(super) fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let has_pairs = text.matches('\'').count().is_multiple_of(2);
    let mut is_quoted = false;
    for (offset, character) in text.char_indices() {
        if character == '\'' && has_pairs {
            is_quoted = !is_quoted;
        } else if character == wanted && !is_quoted {
            return Some(offset);
        }
    }
    None
}

/// The name of a column.
pub(super) fn column_name(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<String>> {
    identifier(file, item, "a column", diagnostics)
}

/// The name of a thing, which is a lower-case identifier.
pub(super) fn identifier(
    file: &SourceFile,
    item: &Fragment<'_>,
    thing: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<String>> {
    if is_identifier(item.text) {
        return Some(item.locate(item.text.to_owned()));
    }
    let message = format!("`{}` is not the name of {thing}", item.text);
    let diagnostic = file.error_for(&item.locate(()), message);
    let hint = match suggested_identifier(item.text) {
        Some(_) if item.text.contains(char::is_whitespace) => {
            "separate names by commas, and begin a remark with ` --`".to_owned()
        }
        Some(name) => format!("names are lower-case, without quotes: `{name}`"),
        None => "names are lower-case identifiers, without quotes".to_owned(),
    };
    diagnostics.push(diagnostic.with_hint(hint));
    None
}

/// The value of a setting that takes one item.
pub(super) fn single_item<'a>(
    file: &SourceFile,
    setting: &Setting<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Fragment<'a>> {
    let items = items(file, setting, diagnostics);
    if let Some(second) = items.get(1) {
        let message = format!("`{}` takes one value", setting.name.value);
        diagnostics.push(file.error_for(&second.locate(()), message));
        return None;
    }
    items.first().copied()
}

/// The value of a setting that is a text, on one line.
pub(super) fn text(setting: &Setting<'_>) -> String {
    let lines: Vec<&str> = setting.value.iter().map(|line| line.text).collect();
    lines.join(" ")
}

/// The value of `load`.
pub(super) fn load_kind(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<LoadKind>> {
    let kinds = [LoadKind::Append, LoadKind::Upsert, LoadKind::Replace];
    if let Some(kind) = kinds.into_iter().find(|kind| kind.name() == item.text) {
        return Some(item.locate(kind));
    }
    let message = format!("`{}` is not a way of loading", item.text);
    let diagnostic = file
        .error_for(&item.locate(()), message)
        .with_hint("write `append`, `upsert` or `replace`, and begin a remark with ` --`");
    let lower = item.text.to_ascii_lowercase();
    diagnostics.push(match FOREIGN_LOADS.iter().find(|(name, _)| *name == lower) {
        Some((_, hint)) => diagnostic.with_hint(*hint),
        None => diagnostic.with_nearest(nearest(item.text, kinds.map(LoadKind::name))),
    });
    None
}

/// `column = rule` or `column = rule(order_column)`, located at the column's name.
pub(super) fn combine(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<Combine>> {
    let Some(equals) = item.text.find('=') else {
        let message = format!("`{}` has no combine rule", item.text);
        let hint = "write `column = rule`, such as `events = sum`";
        diagnostics.push(file.error_for(&item.locate(()), message).with_hint(hint));
        return None;
    };
    let column = column_name(file, &item.part(0, equals), diagnostics)?;
    let rule = combine_rule(file, &item.part(equals + 1, item.text.len()), diagnostics)?;
    Some(column.with(Combine { column: column.value.clone(), rule }))
}

fn combine_rule(
    file: &SourceFile,
    rule: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<CombineRule> {
    let mut refuse = |message: String, hint: &str| {
        diagnostics.push(file.error_for(&rule.locate(()), message).with_hint(hint));
        None
    };
    let parenthesis = rule.text.find('(');
    let name = rule.part(0, parenthesis.unwrap_or(rule.text.len()));
    let argument = match parenthesis {
        None => None,
        Some(start) => match rule.text.strip_suffix(')') {
            Some(inner) if inner.len() > start => Some(rule.part(start + 1, inner.len())),
            _ => return refuse("`)` is missing".to_owned(), "write `rule(column)`"),
        },
    };
    let combine_rule = match name.text {
        "sum" => CombineRule::Sum,
        "min" => CombineRule::Min,
        "max" => CombineRule::Max,
        "replace" => CombineRule::Replace,
        "keep" => CombineRule::Keep,
        "first" | "last" => {
            let Some(argument) = argument else {
                let message = format!("`{}` needs the column that orders the rows", name.text);
                return refuse(message, "write such as `first(started_at)` or `last(ended_at)`");
            };
            let order_column = column_name(file, &argument, diagnostics)?;
            return Some(match name.text {
                "first" => CombineRule::First { order_column },
                _ => CombineRule::Last { order_column },
            });
        }
        unknown => {
            let message = format!("unknown combine rule `{unknown}`");
            let diagnostic = file
                .error_for(&name.locate(()), message)
                .with_hint(format!("rules are {}", RULES.join(", ")));
            diagnostics.push(match FOREIGN_RULES.iter().find(|(foreign, _)| *foreign == unknown) {
                Some((_, hint)) => diagnostic.with_hint(*hint),
                None => diagnostic.with_nearest(nearest(unknown, RULES.iter().copied())),
            });
            return None;
        }
    };
    if argument.is_some() {
        let message = format!("`{}` takes no column", name.text);
        return refuse(message, "only `first` and `last` take the column that orders the rows");
    }
    Some(combine_rule)
}

/// `7 days` or `2 weeks`, in days.
pub(super) fn days(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<u32> {
    let mut refuse = |message: String, hint: String| {
        diagnostics.push(file.error_for(&item.locate(()), message).with_hint(hint));
        None
    };
    let digits = item.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(item.text.len());
    let unit = item.text[digits..].trim();
    if digits == 0 {
        let message = format!("`{}` is not a number of days", item.text);
        return refuse(message, "write such as `1 day` or `30 days`".to_owned());
    }
    let number = &item.text[..digits];
    let days_per_unit = match unit {
        "day" | "days" => 1,
        "week" | "weeks" => 7,
        "" => {
            let message = format!("`{number}` has no unit");
            return refuse(message, format!("write `{number} days`"));
        }
        _ => {
            let message = format!("`{unit}` is not a unit that can be used here");
            return refuse(message, "partitions are days: write `days` or `weeks`".to_owned());
        }
    };
    let days = number.parse::<u32>().ok().and_then(|number| number.checked_mul(days_per_unit));
    match days {
        Some(days) if days <= MAX_DAYS => Some(days),
        _ => refuse(
            format!("`{}` is too long", item.text),
            format!("at most {MAX_DAYS} days of events can go into one partition"),
        ),
    }
}

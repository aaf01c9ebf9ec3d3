//! Checks in a model's header: `not_null`, `accepted` and `references`.

use super::comment_lines::{Fragment, Setting};
use super::values::{self, items};
use super::{AcceptedValue, CheckRule, HeaderCheck, ModelHeader};
use crate::project::diagnostic::{Diagnostic, Severity, nearest};
use crate::project::source::{Located, SourceFile};

/// What an item may say of its severity, and nothing else.
const SEVERITIES: [(&str, Severity); 2] = [("error", Severity::Error), ("warn", Severity::Warning)];

/// Reads one of the settings.
pub(super) fn read(
    file: &SourceFile,
    setting: &Setting<'_>,
    header: &mut ModelHeader,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for item in items(file, setting, diagnostics) {
        let Some((item, severity)) = split_severity(file, &item, diagnostics) else { continue };
        let read = match setting.name.value {
            "not_null" => values::column_name(file, &item, diagnostics)
                .map(|column| (column, CheckRule::NotNull)),
            "accepted" => accepted(file, &item, diagnostics),
            _ => reference(file, &item, diagnostics),
        };
        let Some((column, rule)) = read else { continue };
        let known = header.checks.iter().any(|earlier| {
            earlier.value.column == column.value && earlier.value.rule.setting() == rule.setting()
        });
        if known {
            let message = format!("`{}` is listed twice in `{}`", column.value, rule.setting());
            diagnostics.push(file.error_for(&column, message));
            continue;
        }
        let check = HeaderCheck { column: column.value.clone(), rule, severity };
        header.checks.push(column.with(check));
    }
}

/// Cuts `(warn)` or `(error)` off the end.
fn split_severity<'a>(
    file: &SourceFile,
    item: &Fragment<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Fragment<'a>, Severity)> {
    let after_quotes = item.text.rfind('\'').map_or(0, |quote| quote + 1);
    let Some(inner) = item.text[after_quotes..].strip_suffix(')') else {
        return Some((*item, Severity::Error));
    };
    let Some(start) = inner.rfind('(') else { return Some((*item, Severity::Error)) };
    let start = after_quotes + start;
    let word = item.part(start + 1, item.text.len() - 1);
    if let Some((_, severity)) = SEVERITIES.iter().find(|(name, _)| *name == word.text) {
        return Some((item.part(0, start), *severity));
    }
    let message = format!("unknown severity `{}`", word.text);
    let names = SEVERITIES.map(|(name, _)| name);
    diagnostics.push(
        file.error_for(&word.locate(()), message)
            .with_hint("write `(warn)` behind it, or nothing for an error")
            .with_nearest(nearest(word.text, names)),
    );
    None
}

/// `column = 'x' | 'y'`.
fn accepted(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Located<String>, CheckRule)> {
    let (column, list) =
        sides(file, item, "write such as `store = 'app_store' | 'steam'`", diagnostics)?;
    let mut accepted = Vec::new();
    let mut start = 0;
    loop {
        let bar = values::outside_quotes(&list.text[start..], '|').map(|found| start + found);
        let end = bar.unwrap_or(list.text.len());
        accepted.push(accepted_value(file, &list, (start, end), diagnostics)?);
        match bar {
            Some(bar) => start = bar + 1,
            None => break,
        }
    }
    Some((column, CheckRule::Accepted(accepted)))
}

fn accepted_value(
    file: &SourceFile,
    list: &Fragment<'_>,
    (start, end): (usize, usize),
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<AcceptedValue>> {
    let written = list.part(start, end);
    if written.text.is_empty() {
        let at = list.part(start.min(list.text.len()), list.text.len()).locate(());
        let at = if at.length == 0 { list.locate(()) } else { at };
        diagnostics
            .push(file.error_for(&at, "a value is missing").with_hint("separate values by ` | `"));
        return None;
    }
    let quoted = written.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(inner) = quoted.filter(|inner| !inner.replace("''", "").contains('\'')) {
        let value = AcceptedValue { text: inner.replace("''", "'"), quoted: true };
        return Some(written.locate(value));
    }
    let is_plain = written.text.parse::<f64>().is_ok_and(f64::is_finite)
        || matches!(written.text, "true" | "false");
    if is_plain {
        return Some(
            written.locate(AcceptedValue { text: written.text.to_owned(), quoted: false }),
        );
    }
    let message = format!("`{}` is not a value", written.text);
    diagnostics
        .push(file.error_for(&written.locate(()), message).with_hint(
            "write texts and dates in single quotes, numbers and true or false without",
        ));
    None
}

/// `column = model.column`.
fn reference(
    file: &SourceFile,
    item: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Located<String>, CheckRule)> {
    const HINT: &str = "write such as `item_id = dim_item.item_id`";
    let (column, target) = sides(file, item, HINT, diagnostics)?;
    let text = target.text.strip_prefix("star.").unwrap_or(target.text);
    let skipped = target.text.len() - text.len();
    let Some(dot) = text.find('.') else {
        let message = format!("`{}` does not name a column of a model", target.text);
        diagnostics.push(file.error_for(&target.locate(()), message).with_hint(HINT));
        return None;
    };
    let model = target.part(skipped, skipped + dot);
    let model = values::identifier(file, &model, "a model", diagnostics)?;
    let referenced = target.part(skipped + dot + 1, target.text.len());
    let referenced = values::column_name(file, &referenced, diagnostics)?;
    Some((column, CheckRule::References { model, column: referenced }))
}

/// The column and what stands behind its `=`.
fn sides<'a>(
    file: &SourceFile,
    item: &Fragment<'a>,
    hint: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Located<String>, Fragment<'a>)> {
    let Some(equals) = item.text.find('=') else {
        let message = format!("`{}` has no `=`", item.text);
        diagnostics.push(file.error_for(&item.locate(()), message).with_hint(hint));
        return None;
    };
    let column = values::column_name(file, &item.part(0, equals), diagnostics)?;
    Some((column, item.part(equals + 1, item.text.len())))
}

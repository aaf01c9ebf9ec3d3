//! The settings of a model's header, and what contradicts what.

use super::comment_lines::{Grammar, Setting, read_header};
use super::{ColumnDescription, LoadKind, ModelHeader};
use super::{chart, checks, values};
use crate::project::diagnostic::Diagnostic;
use crate::project::source::{Located, SourceFile};

const USE_LOAD: &str = "write `load: append`, `load: upsert` or `load: replace`";
const USE_KEY: &str = "write `key: …`";
const USE_ACCEPTED: &str = "write `accepted: column = 'x' | 'y'`";
const USE_REFERENCES: &str = "write `references: column = model.column`";
const USE_CHECKS: &str =
    "write `not_null: …`, `accepted: …` or `references: …`, or a SELECT in sql/checks";
const USE_PARTITION: &str = "write `partition: …` with the name of a date column";

/// The settings of models. Names of dbt and SQLMesh that are also everyday words (`name`, `tags`,
/// `grain`) are left out: they would make errors of prose.
const GRAMMAR: Grammar = Grammar {
    settings: &[
        "load",
        "key",
        "combine",
        "partition",
        "lookback",
        "lookahead",
        "not_null",
        "accepted",
        "references",
        "title",
        "chart",
    ],
    foreign: &[
        ("accepted_values", "accepted", USE_ACCEPTED),
        ("audits", "", USE_CHECKS),
        ("cron", "", "the schedule stands in questlake.toml"),
        ("data_tests", "", USE_CHECKS),
        ("dist_key", "", "remove it: tables are not distributed"),
        ("foreign_key", "references", USE_REFERENCES),
        ("incremental_strategy", "load", USE_LOAD),
        ("incremental_predicates", "", "write `lookback: … days`, which limits what is rebuilt"),
        ("kind", "load", USE_LOAD),
        ("materialization", "load", USE_LOAD),
        ("materialized", "load", USE_LOAD),
        ("merge_exclude_columns", "combine", "write `combine: column = keep` for each of them"),
        ("merge_key", "key", USE_KEY),
        ("merge_update_columns", "combine", "write `combine: column = keep` for the other columns"),
        (
            "on_schema_change",
            "",
            "remove it: a new nullable column is added by itself, and any other change is refused",
        ),
        ("partition_by", "partition", USE_PARTITION),
        ("partitioned_by", "partition", USE_PARTITION),
        ("primary_key", "key", USE_KEY),
        ("relationships", "references", USE_REFERENCES),
        ("strategy", "load", USE_LOAD),
        ("time_column", "partition", USE_PARTITION),
        ("unique_combination_of_columns", "key", USE_KEY),
        ("unique_key", "key", USE_KEY),
        ("unique_values", "key", USE_KEY),
        ("upsert_key", "key", USE_KEY),
        (
            "when_matched",
            "combine",
            "write `combine: column = rule` for each column that is not replaced",
        ),
    ],
    subjects: &["@"],
};

pub(super) fn parse(file: &SourceFile) -> (ModelHeader, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let text = read_header(file, &GRAMMAR, &mut diagnostics);
    let description = text.description.clone();
    let mut header = ModelHeader { description, ..ModelHeader::default() };
    let mut combine_setting = None;
    let mut window_settings = Vec::new();
    // A setting whose name or value is wrong is there nevertheless: what follows from its absence
    // is not reported on top.
    let (has_load, has_key, has_partition) =
        (text.has("load"), text.has("key"), text.has("partition"));
    for setting in &text.settings {
        match setting.name.value {
            "load" => {
                header.load = values::single_item(file, setting, &mut diagnostics)
                    .and_then(|item| values::load_kind(file, &item, &mut diagnostics));
            }
            "key" => {
                header.key = key_columns(file, setting, &mut diagnostics);
            }
            "combine" => {
                combine_setting = Some(setting.name.clone());
                read_combine(file, setting, &mut header, &mut diagnostics);
            }
            "partition" => {
                header.partition = values::single_item(file, setting, &mut diagnostics)
                    .and_then(|item| values::column_name(file, &item, &mut diagnostics));
            }
            "lookback" => {
                window_settings.push(setting.name.clone());
                header.lookback_days = read_days(file, setting, &mut diagnostics);
            }
            "lookahead" => {
                window_settings.push(setting.name.clone());
                header.lookahead_days = read_days(file, setting, &mut diagnostics);
            }
            "title" => header.title = Some(values::text(setting)),
            "chart" => header.chart = chart::read(file, setting, &mut diagnostics),
            "not_null" | "accepted" | "references" => {
                checks::read(file, setting, &mut header, &mut diagnostics);
            }
            _ => read_column_description(file, setting, &mut header, &mut diagnostics),
        }
    }

    if !has_load {
        let from_key = header.key.first().map(|column| column.with(LoadKind::Upsert));
        let from_partition = header.partition.as_ref().map(|column| column.with(LoadKind::Replace));
        header.load = match has_key {
            true => from_key,
            false => from_partition,
        };
    }
    let load = header.load.as_ref();
    let is_upsert = load.is_some_and(|load| load.value == LoadKind::Upsert);
    if let (Some(load), true, false) = (load, is_upsert, has_key) {
        let diagnostic = file.error_for(load, "an upsert needs a `key`");
        diagnostics
            .push(diagnostic.with_hint("write `key: …` with the columns that identify a row"));
    }
    if let Some(combine) = combine_setting {
        match load {
            Some(load) if !is_upsert => {
                let message = format!("`combine` has no effect with `load: {}`", load.value.name());
                diagnostics.push(
                    file.error_for(&combine, message)
                        .with_hint("rows are combined by `load: upsert` with a `key` alone"),
                );
            }
            None if !has_load && !has_key => diagnostics.push(
                file.error_for(&combine, "`combine` needs a `key`")
                    .with_hint("write `key: …` with the columns that identify a row"),
            ),
            _ => {}
        }
    }
    for setting in window_settings {
        if !has_partition {
            let message = format!("`{}` needs a `partition`", setting.value);
            let hint = "write `partition: …` with the name of a date column";
            diagnostics.push(file.error_for(&setting, message).with_hint(hint));
        }
    }
    for combine in &header.combine {
        if header.key.iter().any(|column| column.value == combine.value.column) {
            let message = format!("`{}` is part of the key", combine.value.column);
            let hint = "rows that are combined have the same key: remove the rule";
            diagnostics.push(file.error_for(combine, message).with_hint(hint));
        }
    }
    (header, diagnostics)
}

fn key_columns(
    file: &SourceFile,
    setting: &Setting<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Located<String>> {
    let mut columns: Vec<Located<String>> = Vec::new();
    for item in values::items(file, setting, diagnostics) {
        let Some(column) = values::column_name(file, &item, diagnostics) else { continue };
        if columns.iter().any(|earlier| earlier.value == column.value) {
            let message = format!("`{}` is listed twice in the key", column.value);
            diagnostics.push(file.error_for(&column, message));
            continue;
        }
        columns.push(column);
    }
    columns
}

fn read_combine(
    file: &SourceFile,
    setting: &Setting<'_>,
    header: &mut ModelHeader,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for item in values::items(file, setting, diagnostics) {
        let Some(combine) = values::combine(file, &item, diagnostics) else { continue };
        let column = &combine.value.column;
        if header.combine.iter().any(|earlier| earlier.value.column == *column) {
            let message = format!("`{column}` has two combine rules");
            diagnostics.push(file.error_for(&combine, message));
            continue;
        }
        header.combine.push(combine);
    }
}

fn read_days(file: &SourceFile, setting: &Setting<'_>, diagnostics: &mut Vec<Diagnostic>) -> u32 {
    let item = values::single_item(file, setting, diagnostics);
    item.and_then(|item| values::days(file, &item, diagnostics)).unwrap_or(0)
}

fn read_column_description(
    file: &SourceFile,
    setting: &Setting<'_>,
    header: &mut ModelHeader,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(subject) = &setting.subject else { return };
    let Some(column) = values::column_name(file, subject, diagnostics) else { return };
    if header.columns.iter().any(|earlier| earlier.value.column == column.value) {
        let message = format!("`{}` is described twice", column.value);
        diagnostics.push(file.error_for(&column, message));
        return;
    }
    let lines: Vec<&str> = setting.value.iter().map(|line| line.text).collect();
    let text = lines.join(" ");
    header.columns.push(column.with(ColumnDescription { column: column.value.clone(), text }));
}

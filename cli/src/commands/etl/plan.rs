//! `questlake etl plan`

use std::collections::BTreeSet;
use std::process::ExitCode;

use questlake_engine::pipeline::Engine;
use questlake_engine::pipeline::outlook::PlannedModel;
use questlake_engine::pipeline::plan::{Action, RunOptions};
use questlake_engine::pipeline::run::describe;
use questlake_engine::stores::warehouse::{ColumnDifference, TableDifference};
use serde_json::json;

use super::warn;
use crate::app::App;
use crate::commands::Format;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::thousands;
use crate::terminal::table::{Cell, Column};

/// Runs of days that are shown of one model; JSON has them all.
const MOST_RANGES: usize = 3;

/// Shows what a run would do, and why.
pub(super) async fn show(
    app: &App,
    engine: &Engine,
    options: &RunOptions,
    format: Format,
) -> Result<ExitCode, CliError> {
    let planned = engine.plan(options).await?;
    let warnings = engine.warnings(options).await?;
    warn(app, &warnings);
    match format {
        Format::Json => {
            let models: Vec<_> = planned.iter().map(|model| as_json(engine, model)).collect();
            let document = json!({ "models": models, "warnings": warnings });
            app.line(&serde_json::to_string_pretty(&document)?)?;
        }
        Format::Text => print(app, engine, &planned)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(app: &App, engine: &Engine, planned: &[PlannedModel]) -> Result<(), CliError> {
    let columns = [
        Column::text("model"),
        Column::text("action"),
        Column::text("partitions"),
        Column::number("events"),
        Column::number("rows").optional(),
        Column::text("why"),
    ];
    let rows: Vec<Vec<Cell>> = planned
        .iter()
        .map(|model| {
            let style = match model.plan.action {
                _ if model.is_refused => Style::Bad,
                Action::NoPartition => Style::Bad,
                _ if !model.changes() => Style::Dim,
                Action::UpToDate => Style::Warning,
                _ => Style::Good,
            };
            vec![
                model.plan.model.clone().into(),
                Cell::styled(style, action(engine, model)),
                partitions(model).into(),
                model.plan.events.map(thousands).unwrap_or_default().into(),
                model.rows.map(|rows| format!("~{}", thousands(rows))).unwrap_or_default().into(),
                reason(model).into(),
            ]
        })
        .collect();
    app.line(&app.output.styled_table(&columns, &rows))?;
    for model in planned {
        print_change(app, model)?;
    }
    if planned.iter().any(|model| !model.forecast.is_unchanged()) {
        app.line(&app.output.sentence(
            "what follows from changes upstream is the most that can become stale: a run rebuilds \
             only the days on which a value really changes",
        ))?;
    }
    Ok(())
}

/// What a changed definition means for the model's table and for those downstream.
fn print_change(app: &App, model: &PlannedModel) -> Result<(), CliError> {
    let Some(difference) = &model.difference else { return Ok(()) };
    let name = &model.plan.model;
    let what = match summary(difference) {
        None => "same columns, other definition".to_owned(),
        Some(summary) => summary,
    };
    let label = format!("{name} changed: ");
    app.line(&app.output.labelled(&label, None, &what))?;
    if model.is_refused {
        let way_out = format!(
            "a run refuses this; the way out: questlake etl run --full-refresh --select {name}"
        );
        app.line(&app.output.labelled("  ", Some(Style::Bad), &way_out))?;
    }
    if !model.downstream.is_empty() {
        let downstream = model.downstream.join(", ");
        app.line(&app.output.labelled("  downstream: ", None, &downstream))?;
    }
    Ok(())
}

/// The columns that differ: `+ campaign TEXT, ~ quantity BIGINT → TEXT, - store TEXT`.
fn summary(difference: &TableDifference) -> Option<String> {
    let mut parts: Vec<String> = difference
        .columns
        .iter()
        .map(|ColumnDifference { name, before, after }| match (before, after) {
            (None, Some(after)) => format!("+ {name} {after}"),
            (Some(before), None) => format!("- {name} {before}"),
            (Some(before), Some(after)) => format!("~ {name} {before} → {after}"),
            (None, None) => name.clone(),
        })
        .collect();
    if difference.key_changes {
        parts.push("another key".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn action(engine: &Engine, model: &PlannedModel) -> String {
    let now = match engine.project.model(&model.plan.model) {
        Some(known) => describe(known, &model.plan.action),
        None => String::new(),
    };
    if model.is_refused {
        return format!("refused: {now}");
    }
    let later = if model.forecast.everything {
        "build anew".to_owned()
    } else {
        let more = if model.forecast.unknown_days { " or more" } else { "" };
        match model.partitions().map_or(0, |days| days.len()) {
            _ if model.forecast.is_unchanged() => return now,
            0 => "rebuild some days".to_owned(),
            1 => format!("rebuild 1 day{more}"),
            days => format!("rebuild {days} days{more}"),
        }
    };
    format!("follows: {later}")
}

fn reason(model: &PlannedModel) -> String {
    let upstream = || format!("{} will change", model.changing_upstream.join(", "));
    match model.plan.action {
        _ if model.forecast.is_unchanged() => model.plan.reason.clone(),
        Action::UpToDate => upstream(),
        _ => format!("{}; {}", model.plan.reason, upstream()),
    }
}

/// The partitions as ranges of days.
fn partitions(model: &PlannedModel) -> String {
    let Some(days) = model.partitions() else {
        return match (&model.plan.action, model.forecast.everything) {
            (Action::Everything, _) | (_, true) => "all".to_owned(),
            _ => String::new(),
        };
    };
    let ranges = ranges(&days);
    let mut shown: Vec<String> = ranges.iter().take(MOST_RANGES).map(range_text).collect();
    if ranges.len() > MOST_RANGES {
        shown.push(format!("{} more", ranges.len() - MOST_RANGES));
    }
    shown.join(", ")
}

/// Runs of days without a gap.
fn ranges(days: &BTreeSet<i32>) -> Vec<(i32, i32)> {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *day => *last = *day,
            _ => ranges.push((*day, *day)),
        }
    }
    ranges
}

fn range_text((first, last): &(i32, i32)) -> String {
    if first == last {
        return date_text(*first);
    }
    format!("{}..{}", date_text(*first), date_text(*last))
}

fn date_text(day: i32) -> String {
    let date =
        chrono::NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(i64::from(day)));
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// Days as JSON has them.
pub(super) fn dates(days: &BTreeSet<i32>) -> Vec<String> {
    days.iter().map(|day| date_text(*day)).collect()
}

fn as_json(engine: &Engine, model: &PlannedModel) -> serde_json::Value {
    let partitions = match &model.plan.action {
        Action::Partitions(days) => Some(dates(days)),
        _ => None,
    };
    let forecast = &model.forecast;
    let follows = (!forecast.is_unchanged()).then(|| {
        json!({
            "upstream": model.changing_upstream,
            "everything": forecast.everything,
            "partitions": dates(&forecast.days),
            "more_partitions": forecast.unknown_days,
        })
    });
    let change = model.difference.as_ref().map(|difference| {
        let columns: Vec<_> = difference
            .columns
            .iter()
            .map(|column| {
                json!({ "name": column.name, "before": column.before, "after": column.after })
            })
            .collect();
        json!({
            "columns": columns,
            "key_changes": difference.key_changes,
            "refused": model.is_refused,
        })
    });
    let known = engine.project.model(&model.plan.model);
    json!({
        "model": model.plan.model,
        "action": known.map(|known| describe(known, &model.plan.action)),
        "changes": model.changes(),
        "partitions": partitions,
        "events": model.plan.events,
        "rows": model.rows,
        "reason": model.plan.reason,
        "definition_change": change,
        "follows": follows,
        "downstream": model.downstream,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_a_gap_are_one_range() {
        let days = [20_454, 20_455, 20_456, 20_460].into_iter().collect();
        let shown: Vec<String> = ranges(&days).iter().map(range_text).collect();
        assert_eq!(shown, ["2026-01-01..2026-01-03", "2026-01-07"]);
    }

    #[test]
    fn changed_columns_are_told_in_one_line() {
        let column = |name: &str, before: Option<&str>, after: Option<&str>| ColumnDifference {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let columns = vec![
            column("campaign", None, Some("TEXT")),
            column("quantity", Some("BIGINT"), Some("TEXT")),
            column("store", Some("TEXT"), None),
        ];
        let difference = TableDifference { columns, key_changes: false };
        assert_eq!(
            summary(&difference).unwrap(),
            "+ campaign TEXT, ~ quantity BIGINT → TEXT, - store TEXT"
        );
        assert_eq!(summary(&TableDifference::default()), None);
    }
}

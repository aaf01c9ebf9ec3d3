//! What a model's header asks for, held against its columns and what it reads.

use arrow::datatypes::DataType;

use crate::models::lineage::ColumnLineage;
use crate::models::{ModelSource, Strategy};
use crate::project::contract::envelope;
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::header::{CombineRule, LoadKind};
use crate::project::source::Located;
use crate::stores::warehouse::TableColumn;

/// Columns that the header names must exist and suit what they are named for.
pub(super) fn check_header_columns(
    source: &ModelSource,
    columns: &[TableColumn],
    names: &[&str],
    mistakes: &mut Vec<Diagnostic>,
) {
    let mut check = |place: &Located<String>| -> Option<&TableColumn> {
        let found = columns.iter().find(|column| column.name == place.value);
        // A column that cannot be stored has been reported already.
        if found.is_none() && !names.contains(&place.value.as_str()) {
            let message = format!("the model has no column `{}`", place.value);
            mistakes.push(
                source
                    .file
                    .error_for(place, message)
                    .with_nearest(nearest(&place.value, names.iter().copied())),
            );
        }
        found
    };
    let header = &source.header;
    for key in &header.key {
        check(key);
    }
    for combine in &header.combine {
        check(&combine.with(combine.value.column.clone()));
        if let CombineRule::First { order_column } | CombineRule::Last { order_column } =
            &combine.value.rule
        {
            check(order_column);
        }
    }
    for described in &header.columns {
        check(&described.with(described.value.column.clone()));
    }
    if let Some(chart) = &header.chart {
        for column in chart.value.columns() {
            check(&chart.with(column.to_owned()));
        }
    }
    let partition_type = header
        .partition
        .as_ref()
        .and_then(|partition| check(partition).map(|column| column.data_type.clone()));
    if let (Some(partition), Some(data_type)) = (&header.partition, partition_type)
        && data_type != DataType::Date32
    {
        mistakes.push(
            source
                .file
                .error_for(partition, "the partition column must be a DATE")
                .with_hint("cast it: CAST(… AS DATE)"),
        );
    }
    for combine in &header.combine {
        let Some(column) = columns.iter().find(|column| column.name == combine.value.column) else {
            continue;
        };
        let numeric = matches!(
            column.data_type,
            DataType::Int64 | DataType::Float64 | DataType::Decimal128(..)
        );
        if combine.value.rule == CombineRule::Sum && !numeric {
            mistakes.push(source.file.error_for(
                combine,
                format!("`{}` is not a number, so it has no sum", column.name),
            ));
        }
        if header.key.iter().any(|key| key.value == column.name) {
            mistakes.push(source.file.error_for(
                combine,
                format!("`{}` is part of the key, so there is nothing to combine", column.name),
            ));
        }
    }
}

/// How the model is loaded; a header that asks for what cannot be is a mistake.
pub(super) fn choose_strategy(source: &ModelSource, mistakes: &mut Vec<Diagnostic>) -> Strategy {
    let header = &source.header;
    let reads_events = !source.reads_events.is_empty();
    let partitioned = header.partition.is_some();
    let replaced =
        if partitioned { Strategy::RebuildStalePartitions } else { Strategy::RebuildAll };
    let Some(load) = &header.load else {
        return if reads_events { Strategy::AppendEvents } else { replaced };
    };
    // A key alone asks for an upsert only where events come in; over other tables it is just a key.
    let written = header.key.iter().all(|key| (key.line, key.column) != (load.line, load.column));
    match (load.value, reads_events) {
        (LoadKind::Append, true) => Strategy::AppendEvents,
        (LoadKind::Upsert, true) => Strategy::UpsertEvents,
        (LoadKind::Replace, true) if partitioned => Strategy::ReplaceEventDays,
        (LoadKind::Replace, true) => {
            mistakes.push(
                source
                    .file
                    .error_for(load, "`load: replace` of events needs to know what is replaced")
                    .with_hint("name the DATE column: -- partition: event_date"),
            );
            Strategy::ReplaceEventDays
        }
        (LoadKind::Replace, false) => replaced,
        (LoadKind::Upsert, false) if !written => replaced,
        (LoadKind::Append | LoadKind::Upsert, false) => {
            mistakes.push(
                source
                    .file
                    .error_for(
                        load,
                        format!(
                            "`load: {}` needs new events, but the model reads only other models",
                            load.value.name()
                        ),
                    )
                    .with_hint(
                        "use `load: replace`; with `partition:` only stale days are rebuilt",
                    ),
            );
            replaced
        }
    }
}

/// Days of events can only be replaced if the partition column is the events' own day.
pub(super) fn check_event_partition(
    source: &ModelSource,
    strategy: Strategy,
    columns: &[TableColumn],
    lineage: &[ColumnLineage],
    mistakes: &mut Vec<Diagnostic>,
) {
    let (Strategy::ReplaceEventDays, Some(partition)) = (strategy, &source.header.partition) else {
        return;
    };
    let index = columns.iter().position(|column| column.name == partition.value);
    let is_event_date = index.and_then(|index| lineage.get(index)).is_some_and(|lineage| {
        lineage.copied
            && !lineage.sources.is_empty()
            && lineage.sources.iter().all(|column| column.column == envelope::EVENT_DATE)
    });
    if !is_event_date {
        mistakes.push(
            source
                .file
                .error_for(partition, "days of events are replaced by the day of the events")
                .with_hint("select event_date under this name, or use `load: upsert` with a key"),
        );
    }
}

//! What the Delta log says about the values in a file.

use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::project::contract::envelope;

/// Columns whose bounds help to leave out whole files; identifiers that are spread at random do
/// not.
const BOUNDED_COLUMNS: &[&str] = &[
    envelope::EVENT_TIME,
    envelope::PLAYER_ID,
    envelope::GAME,
    envelope::PLATFORM,
    envelope::COUNTRY,
    envelope::APP_VERSION,
    envelope::RECEIVED_AT,
];

/// Longest text that is kept as a bound; a cut maximum would not be one.
const MAX_TEXT_BYTES: usize = 64;

/// Lowest and highest value of a column.
enum Bounds {
    Micros(i64, i64),
    Text(String, String),
}

/// The statistics of a file, as the JSON of an Add action.
pub(super) fn delta_statistics(metadata: &ParquetMetaData) -> String {
    let (mut lowest, mut highest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let schema = metadata.file_metadata().schema_descr();
    for (index, column) in schema.columns().iter().enumerate() {
        let name = column.name();
        let statistics: Option<Vec<&Statistics>> =
            metadata.row_groups().iter().map(|group| group.column(index).statistics()).collect();
        let Some(statistics) = statistics else { continue };
        let null_count: Option<u64> =
            statistics.iter().map(|statistics| statistics.null_count_opt()).sum();
        if let Some(count) = null_count {
            nulls.insert(name.to_owned(), json!(count));
        }
        if !BOUNDED_COLUMNS.contains(&name) {
            continue;
        }
        match bounds(&statistics) {
            Some(Bounds::Micros(low, high)) => {
                // Delta keeps milliseconds: round outwards.
                let bounds = (
                    timestamp(low.div_euclid(1000)),
                    timestamp(high.div_euclid(1000).saturating_add(1)),
                );
                if let (Some(low), Some(high)) = bounds {
                    lowest.insert(name.to_owned(), low);
                    highest.insert(name.to_owned(), high);
                }
            }
            Some(Bounds::Text(low, high)) => {
                lowest.insert(name.to_owned(), Value::String(low));
                highest.insert(name.to_owned(), Value::String(high));
            }
            None => {}
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": lowest,
        "maxValues": highest,
        "nullCount": nulls,
    })
    .to_string()
}

/// The bounds over all row groups, unless one has none.
fn bounds(statistics: &[&Statistics]) -> Option<Bounds> {
    let mut all: Option<Bounds> = None;
    for statistics in statistics {
        let group = group_bounds(statistics)?;
        all = Some(match (all, group) {
            (None, group) => group,
            (Some(Bounds::Micros(low, high)), Bounds::Micros(other_low, other_high)) => {
                Bounds::Micros(low.min(other_low), high.max(other_high))
            }
            (Some(Bounds::Text(low, high)), Bounds::Text(other_low, other_high)) => {
                Bounds::Text(low.min(other_low), high.max(other_high))
            }
            _ => return None,
        });
    }
    all
}

fn group_bounds(statistics: &Statistics) -> Option<Bounds> {
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match statistics {
        Statistics::Int64(values) => Some(Bounds::Micros(*values.min_opt()?, *values.max_opt()?)),
        Statistics::ByteArray(values) => {
            let (low, high) =
                (values.min_opt()?.as_utf8().ok()?, values.max_opt()?.as_utf8().ok()?);
            (low.len().max(high.len()) <= MAX_TEXT_BYTES)
                .then(|| Bounds::Text(low.to_owned(), high.to_owned()))
        }
        _ => None,
    }
}

fn timestamp(millis: i64) -> Option<Value> {
    let time = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(Value::String(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}

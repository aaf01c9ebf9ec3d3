//! How the archive's Parquet files are written.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use crate::project::contract::envelope;

/// Rows of a row group. Rows are sorted by player, so that a player's rows lie in one or two groups
/// and there in a few pages, which the page index finds. The group is what is held in memory when
/// writing, and what the readers share among their threads.
const ROWS_PER_GROUP: usize = 256 * 1024;

/// Level of zstd: beyond it files shrink by some percent for a multiple of the time.
const ZSTD_LEVEL: i32 = 3;

/// Identifiers that are looked up one by one and are no more than some thousands in a row group.
/// A filter on `event_id`, with as many values as rows, would be some percent of the file.
const BLOOM_FILTERS: &[&str] = &[envelope::PLAYER_ID, envelope::SESSION_ID];

/// Numbers that differ from row to row, but not by much.
const DELTA_ENCODED: &[&str] =
    &[envelope::EVENT_TIME, envelope::RECEIVED_AT, envelope::SOURCE_OFFSET];

/// The properties of files with this schema.
pub(super) fn writer_properties(
    schema: &SchemaDescriptor,
) -> Result<WriterProperties, ParquetError> {
    let path = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("questlake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(sorting_columns(schema))
        // Each value once, in no order: neither a dictionary nor bounds of pages are of any use.
        .set_column_dictionary_enabled(path(envelope::EVENT_ID), false)
        .set_column_statistics_enabled(path(envelope::EVENT_ID), EnabledStatistics::Chunk);
    for name in BLOOM_FILTERS {
        properties = properties
            .set_column_bloom_filter_fpp(path(name), 0.01)
            .set_column_bloom_filter_max_ndv(path(name), ROWS_PER_GROUP as u64);
    }
    for name in DELTA_ENCODED {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

fn sorting_columns(schema: &SchemaDescriptor) -> Option<Vec<SortingColumn>> {
    [envelope::PLAYER_ID, envelope::EVENT_TIME]
        .iter()
        .map(|name| {
            let index = schema.columns().iter().position(|column| column.name() == *name)?;
            let column_idx = i32::try_from(index).ok()?;
            Some(SortingColumn { column_idx, descending: false, nulls_first: false })
        })
        .collect()
}

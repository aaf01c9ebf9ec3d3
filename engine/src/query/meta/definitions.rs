//! Names, columns and descriptions of the tables in `meta`.

use arrow::datatypes::DataType;

use crate::project::contract::timestamp_type;
use crate::query::tables::ExtraTable;

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaTable {
    Partitions,
    Segments,
    Sections,
    Models,
    Runs,
    Checks,
    Tables,
    Columns,
    Queries,
}

impl MetaTable {
    pub(super) const ALL: [Self; 9] = [
        Self::Partitions,
        Self::Segments,
        Self::Sections,
        Self::Models,
        Self::Runs,
        Self::Checks,
        Self::Tables,
        Self::Columns,
        Self::Queries,
    ];
}

/// Name of the table that is read in pages.
pub(super) const QUARANTINE: &str = "quarantine";

/// Its column with the bytes of a record.
pub(super) const RAW: &str = "raw";

pub(super) fn definition(table: MetaTable) -> ExtraTable {
    let (text, number, flag) = (DataType::Utf8, DataType::Int64, DataType::Boolean);
    let time = timestamp_type();
    match table {
        MetaTable::Partitions => ExtraTable::new(
            "partitions",
            "Where each partition stands: consumed = landed + duplicates + quarantined.",
            vec![
                ("topic", text, false, "Topic, file or queue"),
                ("partition", DataType::Int32, false, "Partition of the topic"),
                ("epoch", number.clone(), false, "Raised by each claim"),
                ("next_offset", number.clone(), false, "First offset that is not committed"),
                ("consumed", number.clone(), false, "Records read"),
                ("landed", number.clone(), false, "Rows landed"),
                ("duplicates", number.clone(), false, "True duplicates, dropped"),
                ("quarantined", number, false, "Records in quarantine"),
                ("updated_at", time, true, "Time of the latest commit"),
            ],
        ),
        MetaTable::Segments => ExtraTable::new(
            "segments",
            "The sealed segments in landing, in commit order.",
            vec![
                ("sequence", number.clone(), false, "Number of the commit"),
                ("name", text, false, "Name in the landing store"),
                ("bytes", number.clone(), false, "Size of the file"),
                ("event_types", number.clone(), false, "Event types in it"),
                ("rows", number, false, "Rows in it"),
            ],
        ),
        MetaTable::Sections => ExtraTable::new(
            "sections",
            "Landed rows by segment, event type and day.",
            vec![
                ("sequence", number.clone(), false, "Number of the commit"),
                ("event_type", text.clone(), false, "Event type"),
                ("event_date", DataType::Date32, false, "UTC day of the events"),
                ("rows", number, false, "Rows"),
                ("contract_version", text, false, "Version of the contract that decoded them"),
            ],
        ),
        MetaTable::Models => ExtraTable::new(
            "models",
            "How far each model is.",
            vec![
                ("model", text.clone(), false, "The model"),
                ("layer", text.clone(), false, "dimension, fact or mart"),
                ("strategy", text, false, "How it gets its rows"),
                ("ledger_sequence", number.clone(), true, "Commit up to which it has read"),
                ("behind_commits", number.clone(), false, "Commits that it has still to read"),
                ("stale_days", number, false, "Days that have to be rebuilt"),
                ("definition_changed", flag, false, "Whether its SQL has changed since"),
                ("updated_at", time, true, "Time of its latest load"),
            ],
        ),
        MetaTable::Runs => ExtraTable::new(
            "runs",
            "The latest runs of the models.",
            vec![
                ("started_at", time.clone(), false, "When it began"),
                ("finished_at", time, false, "When it ended"),
                ("model", text.clone(), false, "The model"),
                ("state", text.clone(), false, "loaded, up to date, failed or skipped"),
                ("mode", text.clone(), false, "How it was loaded"),
                ("rows", number, false, "Rows staged"),
                ("error", text, true, "Why it failed"),
            ],
        ),
        MetaTable::Checks => ExtraTable::new(
            "checks",
            "What the checks of the latest runs have found.",
            vec![
                ("run", time.clone(), false, "When the run began that it is a part of"),
                ("finished_at", time, false, "When the run ended"),
                ("check", text.clone(), false, "Name of the check"),
                ("model", text.clone(), true, "The model whose rows it is about, if it is one"),
                ("severity", text.clone(), false, "error or warn"),
                ("status", text.clone(), false, "passed, failed, broken or skipped"),
                ("rows", number.clone(), false, "Rows that are wrong"),
                ("sample", text.clone(), true, "The first of them, one per line"),
                ("detail", text.clone(), true, "Why it is broken or was skipped"),
                ("description", text.clone(), true, "What is wrong with such rows"),
                ("file", text, false, "Where it is written"),
                ("milliseconds", number, false, "How long it took"),
            ],
        ),
        MetaTable::Tables => ExtraTable::new(
            "tables",
            "Every table that a query can name.",
            vec![
                ("table_schema", text.clone(), false, "events, star, hot or meta"),
                ("table_name", text.clone(), false, "Name in the schema"),
                ("columns", number, false, "Number of columns"),
                ("description", text, true, "What it holds"),
            ],
        ),
        MetaTable::Columns => ExtraTable::new(
            "columns",
            "Every column of these tables: contracts, models and the fixed tables.",
            vec![
                ("table_schema", text.clone(), false, "events, star, hot or meta"),
                ("table_name", text.clone(), false, "Table"),
                ("position", number, false, "Place in the table, from 1"),
                ("column_name", text.clone(), false, "Name"),
                ("data_type", text.clone(), false, "Type"),
                ("is_nullable", flag, false, "Whether it may be NULL"),
                ("description", text, true, "What it means"),
            ],
        ),
        MetaTable::Queries => ExtraTable::new(
            "queries",
            "The saved queries of the project, one row per parameter.",
            vec![
                ("query", text.clone(), false, "Name"),
                ("title", text.clone(), false, "Title"),
                ("description", text.clone(), true, "What it answers"),
                ("parameter", text.clone(), true, "Parameter, NULL if it has none"),
                ("parameter_type", text.clone(), true, "Its type"),
                ("parameter_default", text.clone(), true, "Its default, NULL if it needs a value"),
                ("parameter_description", text, true, "What it means"),
            ],
        ),
    }
}

pub(super) fn quarantine_definition() -> ExtraTable {
    let (text, number) = (DataType::Utf8, DataType::Int64);
    ExtraTable::new(
        QUARANTINE,
        "Records that did not fit their contract.",
        vec![
            ("id", number.clone(), false, "Number of the record"),
            ("state", text.clone(), false, "open or replayed"),
            ("reason", text.clone(), false, "Code of the reason"),
            ("detail", text.clone(), false, "What is wrong"),
            ("event_type", text.clone(), true, "Event type, if it could be read"),
            ("contract_version", text.clone(), true, "Version of the contract that refused it"),
            ("quarantined_at", timestamp_type(), false, "When it was quarantined"),
            ("attempts", number.clone(), false, "How often a replay was tried"),
            ("source_topic", text, false, "Physical key: topic"),
            ("source_partition", DataType::Int32, false, "Physical key: partition"),
            ("source_offset", number, false, "Physical key: offset"),
            (RAW, DataType::Binary, false, "The bytes as they came"),
        ],
    )
}

//! Looks into the stores past the binary: what is there, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::buffer::Buffer;
use arrow::datatypes::Date32Type;
use questlake_engine::stores::landing::segment::{Section, decode_section, read_directory};
use questlake_ingest::simulate::Accounting;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use crate::dataset::{Dataset, write_truth};
use crate::sandbox::Sandbox;

/// What became of the lines that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Each line was read once.
    Once,
    /// Lines whose answer did not come were sent again.
    Again,
}

/// Asserts that every event of the data set is in every store exactly once, that the accounts are
/// exact, and that the marts equal the truth. The star schema must be up to date.
pub(crate) fn assert_exactly_once(sandbox: &Sandbox, dataset: &Dataset, sent: Sent, what: &str) {
    let found = accounting(sandbox);
    let expected = dataset.truth.accounting;
    match sent {
        Sent::Once => assert_eq!(found, expected, "accounting, {what}"),
        Sent::Again => {
            assert_eq!(found.landed, expected.landed, "landed, {what}");
            assert!(found.duplicates >= expected.duplicates, "{found:?}, {what}");
            assert!(found.quarantined >= expected.quarantined, "{found:?}, {what}");
            assert_eq!(found.lines, found.landed + found.duplicates + found.quarantined, "{what}");
        }
    }
    assert_same_keys(hot_keys(sandbox), &dataset.keys.events, "hot store", what);
    assert_same_keys(event_keys(sandbox), &dataset.keys.events, "events.envelope", what);
    let counted = true_days(dataset);
    assert_eq!(ledger_days(sandbox), counted, "rows by type and day in the ledger, {what}");
    // Past every query: what is in landing, and how much must be in the archive.
    let landed = landed_keys(sandbox);
    let archived = number(sandbox, "SELECT coalesce(sum(\"rows\"), 0) FROM meta_archive_days");
    assert_eq!(landed.len() as u64 + archived as u64, expected.landed, "both places, {what}");
    let in_landing: BTreeSet<String> = landed.iter().cloned().collect();
    assert!(in_landing.is_subset(&dataset.keys.events), "landing, {what}");
    assert_same_keys(landed, &in_landing, "landing", what);
    for (table, key, expected) in [
        ("fact_purchase", "event_id", &dataset.keys.purchases),
        ("fact_ad_impression", "event_id", &dataset.keys.ad_impressions),
        ("fact_session", "session_id", &dataset.keys.sessions),
        ("dim_player", "player_id", &dataset.keys.players),
    ] {
        assert_same_keys(column(sandbox, table, key), expected, table, what);
    }
    let events = number(sandbox, "SELECT sum(events) FROM dim_player");
    assert_eq!(events as u64, expected.landed, "sum of dim_player.events, {what}");
    let events = number(sandbox, "SELECT sum(events) FROM fact_player_day");
    assert_eq!(events as u64, expected.landed, "sum of fact_player_day.events, {what}");

    let mut truth = dataset.truth.clone();
    truth.accounting = found;
    let truth = write_truth(sandbox, &truth);
    let verified = sandbox.run(&["verify".as_ref(), "--truth".as_ref(), truth.as_os_str()]);
    assert!(verified.status.success(), "{what}: {verified:#?}");
}

pub(crate) fn assert_same_keys(
    found: Vec<String>,
    expected: &BTreeSet<String>,
    place: &str,
    what: &str,
) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for key in &found {
        *times.entry(key).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).take(5).collect();
    assert!(twice.is_empty(), "{place}: there several times: {twice:?}, {what}");
    let lost: Vec<_> =
        expected.iter().filter(|key| !times.contains_key(key.as_str())).take(5).collect();
    assert!(lost.is_empty(), "{place}: missing, among others: {lost:?}, {what}");
    let foreign: Vec<_> = times.keys().filter(|key| !expected.contains(**key)).take(5).collect();
    assert!(foreign.is_empty(), "{place}: nobody sent, among others: {foreign:?}, {what}");
}

/// The totals of all partitions.
pub(crate) fn accounting(sandbox: &Sandbox) -> Accounting {
    warehouse(sandbox)
        .query_row(
            "SELECT coalesce(sum(consumed), 0), coalesce(sum(landed), 0), \
             coalesce(sum(duplicates), 0), coalesce(sum(quarantined), 0) FROM meta_partitions",
            [],
            |row| {
                Ok(Accounting {
                    lines: row.get(0)?,
                    landed: row.get(1)?,
                    duplicates: row.get(2)?,
                    quarantined: row.get(3)?,
                })
            },
        )
        .unwrap()
}

/// The warehouse's database, for reading.
pub(crate) fn warehouse(sandbox: &Sandbox) -> Connection {
    open(&sandbox.data().join("warehouse.db"))
}

fn open(path: &Path) -> Connection {
    // A write-ahead log that was left behind can only be read by who may write.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    connection
}

/// One number from the warehouse.
pub(crate) fn number(sandbox: &Sandbox, sql: &str) -> i64 {
    warehouse(sandbox).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Texts of one column of a table, in any order.
fn column(sandbox: &Sandbox, table: &str, column: &str) -> Vec<String> {
    texts(sandbox, &format!("SELECT {column} FROM {table}"))
}

/// Texts that a query of the warehouse's database gives.
fn texts(sandbox: &Sandbox, sql: &str) -> Vec<String> {
    let connection = warehouse(sandbox);
    let mut query = connection.prepare(sql).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Identifiers of the documents in the hot store.
pub(crate) fn hot_keys(sandbox: &Sandbox) -> Vec<String> {
    let connection = open(&sandbox.data().join("hot.db"));
    let mut query = connection.prepare("SELECT event_id FROM documents").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Identifiers of all events, wherever they lie.
fn event_keys(sandbox: &Sandbox) -> Vec<String> {
    let rows = sandbox.query("SELECT event_id FROM events.envelope");
    rows.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
}

/// Identifiers of the rows in the segments that the ledger lists and that are not in the archive.
pub(crate) fn landed_keys(sandbox: &Sandbox) -> Vec<String> {
    let mut keys = Vec::new();
    for name in
        texts(sandbox, "SELECT name FROM meta_segments WHERE archived_at IS NULL ORDER BY sequence")
    {
        let file = fs::read(sandbox.data().join("landing").join(&name)).unwrap();
        for section in read_directory(&file).unwrap() {
            keys.extend(section_keys(&file, &section));
        }
    }
    keys
}

fn section_keys(file: &[u8], section: &Section) -> Vec<String> {
    let range = section.offset as usize..(section.offset + section.length) as usize;
    // Arrow wants its buffers aligned, as the store gives them.
    let bytes = Buffer::from_slice_ref(&file[range]);
    let mut keys = Vec::new();
    for batch in decode_section(&bytes, section, None).unwrap() {
        let ids = batch.column_by_name("event_id").unwrap().as_string::<i32>();
        keys.extend(ids.iter().map(|id| id.unwrap().to_owned()));
        let days = batch.column_by_name("event_date").unwrap().as_primitive::<Date32Type>();
        assert!(days.values().iter().all(|day| section.rows_by_date.contains_key(day)));
    }
    keys
}

/// The segments that the ledger lists, in commit order; some may be in the archive too.
pub(crate) fn segment_names(sandbox: &Sandbox) -> Vec<String> {
    texts(sandbox, "SELECT name FROM meta_segments ORDER BY sequence")
}

/// Rows by event type and day, such as `2026-01-31`; sorted.
pub(crate) type DayCounts = Vec<(String, String, u64)>;

/// Rows by event type and day as the simulator counts them.
pub(crate) fn true_days(dataset: &Dataset) -> DayCounts {
    let counts = dataset.truth.events.iter();
    counts.map(|count| (count.event_type.clone(), count.event_date.clone(), count.rows)).collect()
}

/// Rows by event type and day as the ledger counts them at one instant, in landing and archive.
pub(crate) fn ledger_days(sandbox: &Sandbox) -> DayCounts {
    let connection = warehouse(sandbox);
    let mut query = connection
        .prepare(
            "SELECT event_type, date(event_date * 86400, 'unixepoch'), sum(\"rows\") FROM ( \
             SELECT event_type, event_date, \"rows\" FROM meta_section_days \
             JOIN meta_segments USING (sequence) WHERE archived_at IS NULL UNION ALL \
             SELECT event_type, event_date, \"rows\" FROM meta_archive_days) \
             GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Rows by event type and day as queries count them, in `events.envelope` and in the tables of the
/// types alike. Fails if an event is there twice.
pub(crate) fn queried_days(sandbox: &Sandbox) -> DayCounts {
    let whole = day_counts(&sandbox.query(
        "SELECT event_type, CAST(event_date AS VARCHAR) AS day, count(*) AS found, \
         count(DISTINCT event_id) AS events FROM events.envelope GROUP BY 1, 2 ORDER BY 1, 2",
    ));
    let types: BTreeSet<&str> = whole.iter().map(|(event_type, ..)| event_type.as_str()).collect();
    if !types.is_empty() {
        let parts: Vec<String> = types
            .iter()
            .map(|name| {
                format!(
                    "SELECT '{name}' AS event_type, CAST(event_date AS VARCHAR) AS day, \
                     count(*) AS found, count(DISTINCT event_id) AS events \
                     FROM events.{name} GROUP BY 2"
                )
            })
            .collect();
        let sql = format!("{} ORDER BY 1, 2", parts.join(" UNION ALL "));
        assert_eq!(day_counts(&sandbox.query(&sql)), whole, "events.<type> and events.envelope");
    }
    whole
}

fn day_counts(rows: &[serde_json::Value]) -> DayCounts {
    let counts = rows.iter().map(|row| {
        assert_eq!(row["found"], row["events"], "an event is there several times: {row}");
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("event_type"), text("day"), row["found"].as_u64().unwrap())
    });
    counts.collect()
}

/// Files below a folder of the data folder whose names end so, sorted.
pub(crate) fn files_below(sandbox: &Sandbox, folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect_files(&sandbox.data().join(folder), &mut files);
    files.retain(|path| path.to_str().unwrap().ends_with(ending));
    files.sort();
    files
}

/// The data files of the archive, also those that no version of a table has any more.
pub(crate) fn archive_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = files_below(sandbox, "archive", ".parquet");
    files.retain(|path| !path.to_str().unwrap().contains("_delta_log"));
    files
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// A table of the star schema: its rows as texts, sorted.
pub(crate) type Rows = Vec<Vec<String>>;

/// Every table of the star schema, without the columns that say when events arrived if these are
/// to be left out.
pub(crate) fn star_tables(sandbox: &Sandbox, with_arrival: bool) -> BTreeMap<String, Rows> {
    let connection = warehouse(sandbox);
    let names: Vec<String> = connection
        .prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name NOT LIKE 'meta\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let tables = names.into_iter().map(|name| {
        let rows = table_rows(&connection, &name, with_arrival);
        (name, rows)
    });
    tables.collect()
}

fn table_rows(connection: &Connection, table: &str, with_arrival: bool) -> Rows {
    let mut query = connection.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let columns: Vec<usize> = query
        .column_names()
        .iter()
        .enumerate()
        .filter(|(_, name)| with_arrival || **name != "last_received_at")
        .map(|(index, _)| index)
        .collect();
    let mut rows: Rows = query
        .query_map([], |row| columns.iter().map(|index| Ok(cell_text(&row.get(*index)?))).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    rows.sort();
    rows
}

/// A cell as text. Twelve digits of a number that is not whole: the order in which a sum is made
/// shows in the last ones.
pub(crate) fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:.12e}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:02x?}"),
    }
}

/// Asserts that two installations have the same star schema.
pub(crate) fn assert_same_tables(
    left: &BTreeMap<String, Rows>,
    right: &BTreeMap<String, Rows>,
    what: &str,
) {
    let names = |tables: &BTreeMap<String, Rows>| tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(left), names(right), "{what}");
    for (name, rows) in left {
        assert!(!rows.is_empty(), "{name} has no rows, {what}");
        let others = &right[name];
        let here: Vec<_> = rows.iter().filter(|row| others.binary_search(row).is_err()).collect();
        let there: Vec<_> = others.iter().filter(|row| rows.binary_search(row).is_err()).collect();
        assert!(
            here.is_empty() && there.is_empty() && rows.len() == others.len(),
            "{name} differs, {what}: {} and {} rows; only in the first: {:?}; only in the second: \
             {:?}",
            rows.len(),
            others.len(),
            &here[..here.len().min(3)],
            &there[..there.len().min(3)],
        );
    }
}

//! What every warehouse does.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use questlake_engine::stores::error::StoreErrorKind;
use questlake_engine::stores::warehouse::{
    CheckRecord, Combine, LoadMode, ModelProgress, Preview, Publication, RunRecord, TableColumn,
    TableDefinition, TableDifference, Warehouse, Watch,
};

pub(crate) fn column(name: &str, data_type: DataType, combine: Combine) -> TableColumn {
    TableColumn { name: name.to_owned(), data_type, combine, comment: Some("what it is".into()) }
}

pub(crate) fn table() -> TableDefinition {
    TableDefinition {
        name: "fact_day".to_owned(),
        columns: vec![
            column("player_id", DataType::Utf8, Combine::Replace),
            column("day", DataType::Date32, Combine::Min),
            column("events", DataType::Int64, Combine::Sum),
            column("revenue", DataType::Decimal128(12, 2), Combine::Sum),
            column("platform", DataType::Utf8, Combine::First("day".to_owned())),
        ],
        key: vec!["player_id".to_owned()],
        partition: Some("day".to_owned()),
        comment: None,
    }
}

pub(crate) type Row = (&'static str, i32, i64, Option<i128>, Option<&'static str>);

fn rows(rows: &[Row]) -> RecordBatch {
    let revenue = Decimal128Array::from_iter(rows.iter().map(|row| row.3));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(revenue.with_precision_and_scale(12, 2).unwrap()),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.4))),
    ];
    RecordBatch::try_new(table().schema(), columns).unwrap()
}

pub(crate) fn publication(mode: LoadMode, expected: Option<i64>, sequence: i64) -> Publication {
    Publication {
        mode,
        expected,
        progress: ModelProgress {
            model: "fact_day".to_owned(),
            ledger_sequence: sequence,
            definition_hash: u64::MAX,
            updated_at: 1,
        },
        mended_through: 0,
        watches: vec![
            Watch {
                consumer: "mart".to_owned(),
                used_columns: vec!["day".to_owned(), "platform".to_owned()],
                date_columns: vec!["day".to_owned()],
                exact: true,
            },
            Watch {
                consumer: "total".to_owned(),
                used_columns: vec!["events".to_owned()],
                date_columns: Vec::new(),
                exact: false,
            },
        ],
    }
}

pub(crate) async fn load(
    warehouse: &dyn Warehouse,
    staged: &[Row],
    publication: Publication,
) -> Result<u64, questlake_engine::stores::error::StoreError> {
    let mut load = warehouse.begin_load(&table(), &publication.mode).await?;
    if !staged.is_empty() {
        load.write(rows(staged)).await?;
    }
    Ok(load.publish(publication).await?.rows_staged)
}

pub(crate) async fn select(warehouse: &dyn Warehouse, condition: &str) -> String {
    let session = SessionContext::new();
    session.register_table("t", warehouse.table(&table())).unwrap();
    let sql =
        format!("SELECT player_id, day, events, revenue, platform FROM t {condition} ORDER BY 1");
    let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
    lines_of(&batches).join("\n")
}

fn lines_of(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    text.lines()
        .skip(3)
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
        .collect()
}

/// Stale days of a consumer so far, `None` for all of it.
async fn stale(warehouse: &dyn Warehouse, consumer: &str) -> BTreeSet<Option<i32>> {
    let marks = warehouse.stale_marks().await.unwrap();
    marks.iter().filter(|mark| mark.consumer == consumer).map(|mark| mark.day).collect()
}

pub(crate) async fn suite(warehouse: &dyn Warehouse) {
    let none = BTreeSet::new();
    warehouse.prepare(&[table()], &none).await.unwrap();
    assert_eq!(warehouse.prepare(&[table()], &none).await.unwrap(), Vec::<String>::new());
    loads_combine(warehouse).await;
    filters_are_exact(warehouse).await;
    loads_are_fenced(warehouse).await;
    bad_rows_are_named(warehouse).await;
    partitions_are_replaced(warehouse).await;
    appends_are_marked(warehouse).await;
    previews_show_what_will_be(warehouse).await;
    runs_are_remembered(warehouse).await;
    checks_are_remembered(warehouse).await;
    columns_are_added(warehouse).await;
    tables_are_made_anew(warehouse).await;
    let _lock = warehouse.lock("pipeline").await.unwrap();
    assert!(warehouse.lock("pipeline").await.is_err());
    warehouse.lock("archive").await.unwrap();
}

async fn loads_combine(warehouse: &dyn Warehouse) {
    assert_eq!(warehouse.latest_partition(&table()).await.unwrap(), None);
    let first: [Row; 2] = [("a", 100, 2, Some(10), Some("ios")), ("b", 101, 1, None, Some("web"))];
    let loaded = load(warehouse, &first, publication(LoadMode::Append, None, 1)).await.unwrap();
    assert_eq!(loaded, 2);
    // Before a first load there is nothing to compare with.
    assert_eq!(stale(warehouse, "mart").await, [None].into());
    assert_eq!(stale(warehouse, "total").await, [None].into());
    // `a` is joined by an earlier day, `b` by a later one, and 0.10 + 0.20 is 0.30.
    let second: [Row; 3] = [
        ("a", 98, 3, Some(20), Some("android")),
        ("b", 105, 1, Some(5), Some("ios")),
        ("c", 103, 1, None, None),
    ];
    load(warehouse, &second, publication(LoadMode::Upsert, Some(1), 2)).await.unwrap();
    let expected = "a 1970-04-09 5 0.30 android\nb 1970-04-12 2 0.05 web\nc 1970-04-14 1";
    assert_eq!(select(warehouse, "").await, expected);
    assert_eq!(warehouse.latest_partition(&table()).await.unwrap(), Some(103));
    // Old and new day of `a`, the day of `c`; `b` has changed in nothing that the mart reads. The
    // latest day went from 101 to 103, so 101 is over and on 102 nothing happened.
    let mut days = stale(warehouse, "mart").await;
    days.remove(&None);
    assert_eq!(days, [98, 100, 101, 102, 103].map(Some).into());
}

async fn filters_are_exact(warehouse: &dyn Warehouse) {
    for (condition, expected) in [
        ("WHERE day = DATE '1970-04-09'", "a 1970-04-09 5 0.30 android"),
        ("WHERE day IN (DATE '1970-04-14', DATE '2000-01-01')", "c 1970-04-14 1"),
        ("WHERE events > 1 AND platform <> 'android'", "b 1970-04-12 2 0.05 web"),
        ("WHERE platform IS NULL", "c 1970-04-14 1"),
        ("WHERE revenue >= 0.30", "a 1970-04-09 5 0.30 android"),
        (
            "WHERE platform LIKE 'w%' OR events = 5 LIMIT 5",
            "a 1970-04-09 5 0.30 android\nb 1970-04-12 2 0.05 web",
        ),
    ] {
        let condition = condition.replace(" LIMIT 5", "");
        assert_eq!(select(warehouse, &condition).await, expected, "{condition}");
    }
}

async fn loads_are_fenced(warehouse: &dyn Warehouse) {
    let before = select(warehouse, "").await;
    let late =
        load(warehouse, &[("z", 1, 1, None, None)], publication(LoadMode::Upsert, Some(1), 3));
    assert!(late.await.unwrap_err().is_fenced());
    // A load that is dropped leaves nothing behind.
    let mut dropped = warehouse.begin_load(&table(), &LoadMode::Upsert).await.unwrap();
    dropped.write(rows(&[("z", 1, 1, None, None)])).await.unwrap();
    drop(dropped);
    assert_eq!(select(warehouse, "").await, before);
    let progress = warehouse.progress().await.unwrap();
    assert_eq!(progress.len(), 1);
    assert_eq!((progress[0].ledger_sequence, progress[0].definition_hash), (2, u64::MAX));
}

/// A row may be refused when it is staged or when it is published.
async fn bad_rows_are_named(warehouse: &dyn Warehouse) {
    let before = select(warehouse, "").await;
    let twice: [Row; 2] = [("q", 1, 1, None, None), ("q", 2, 1, None, None)];
    let modes = [
        LoadMode::Upsert,
        LoadMode::Append,
        LoadMode::ReplacePartitions([1, 2].into()),
        LoadMode::ReplaceAll,
    ];
    for mode in modes {
        let refused = load(warehouse, &twice, publication(mode.clone(), Some(2), 3)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::InvalidData, "{mode:?}: {error}");
        assert!(error.to_string().contains("player_id = q"), "{mode:?}: {error}");
    }
    assert_eq!(select(warehouse, "").await, before);
    assert_eq!(warehouse.progress().await.unwrap()[0].ledger_sequence, 2);
}

/// Appended rows mark their days, and those that have passed without any.
async fn appends_are_marked(warehouse: &dyn Warehouse) {
    let first: [Row; 1] = [("a", 100, 1, None, Some("ios"))];
    load(warehouse, &first, publication(LoadMode::ReplaceAll, None, 1)).await.unwrap();
    forget_marks(warehouse).await;
    let more: [Row; 2] = [("b", 98, 1, None, None), ("c", 103, 1, None, None)];
    load(warehouse, &more, publication(LoadMode::Append, Some(1), 2)).await.unwrap();
    assert_eq!(stale(warehouse, "mart").await, [98, 100, 101, 102, 103].map(Some).into());
    assert_eq!(stale(warehouse, "total").await, [None].into());
    forget_marks(warehouse).await;
    load(warehouse, &[], publication(LoadMode::Append, Some(2), 3)).await.unwrap();
    assert_eq!(stale(warehouse, "mart").await, BTreeSet::new());
    assert_eq!(stale(warehouse, "total").await, BTreeSet::new());
    load(warehouse, &[], publication(LoadMode::ReplaceAll, Some(3), 4)).await.unwrap();
    forget_marks(warehouse).await;
    load(warehouse, &first, publication(LoadMode::ReplaceAll, Some(4), 5)).await.unwrap();
    assert_eq!(stale(warehouse, "mart").await, [Some(100)].into(), "of a table that was empty");
    let expected = "a 1970-04-11 1  ios";
    assert_eq!(select(warehouse, "").await, expected);
    warehouse.forget_models_except(&[]).await.unwrap();
    load(warehouse, &[], publication(LoadMode::ReplaceAll, None, 1)).await.unwrap();
    warehouse.forget_models_except(&[]).await.unwrap();
}

/// Publishes both consumers as having mended all that is stale.
async fn forget_marks(warehouse: &dyn Warehouse) {
    let marks = warehouse.stale_marks().await.unwrap();
    let mended_through = marks.last().map_or(0, |mark| mark.sequence);
    for consumer in ["mart", "total"] {
        let progress = warehouse.progress().await.unwrap();
        let known = progress.iter().find(|progress| progress.model == consumer);
        let mut mended = publication(
            LoadMode::ReplacePartitions(BTreeSet::new()),
            known.map(|known| known.ledger_sequence),
            1,
        );
        mended.progress.model = consumer.to_owned();
        mended.mended_through = mended_through;
        mended.watches.clear();
        load(warehouse, &[], mended).await.unwrap();
    }
    assert_eq!(warehouse.stale_marks().await.unwrap(), []);
}

/// The rows of a load before it is published, with those of these days that stay.
async fn preview(
    warehouse: &dyn Warehouse,
    staged: &[Row],
    mode: LoadMode,
    days: &[i32],
) -> (Vec<String>, Box<dyn questlake_engine::stores::warehouse::Load>) {
    let mut load = warehouse.begin_load(&table(), &mode).await.unwrap();
    for row in staged {
        load.write(rows(std::slice::from_ref(row))).await.unwrap();
    }
    let columns = ["player_id", "day", "events", "revenue", "platform"].map(str::to_owned).to_vec();
    let preview = Preview { mode, columns, days: days.iter().copied().collect() };
    let (sender, mut receiver) =
        tokio::sync::mpsc::channel::<datafusion::common::Result<RecordBatch>>(1);
    let taking = async {
        let mut batches: Vec<RecordBatch> = Vec::new();
        while let Some(batch) = receiver.recv().await {
            batches.push(batch.unwrap());
        }
        batches
    };
    let (sent, batches) = tokio::join!(load.preview(&preview, sender), taking);
    sent.unwrap();
    let mut lines = lines_of(&batches);
    lines.sort();
    (lines, load)
}

async fn previews_show_what_will_be(warehouse: &dyn Warehouse) {
    let there: [Row; 3] = [
        ("a", 100, 2, Some(10), Some("ios")),
        ("b", 101, 1, None, Some("web")),
        ("c", 101, 5, None, None),
    ];
    let all = publication(LoadMode::ReplaceAll, None, 1);
    // Into a table that is empty.
    let (seen, filled) = preview(warehouse, &there, LoadMode::ReplaceAll, &[100, 101]).await;
    assert_eq!(seen, ["a 1970-04-11 2 0.10 ios", "b 1970-04-12 1  web", "c 1970-04-12 5"]);
    filled.publish(all).await.unwrap();

    // Merged, and with what stays of a day.
    let merged: [Row; 2] = [("a", 98, 3, Some(20), Some("android")), ("d", 105, 1, None, None)];
    let (seen, upserted) = preview(warehouse, &merged, LoadMode::Upsert, &[101]).await;
    let will_be =
        ["a 1970-04-09 5 0.30 android", "b 1970-04-12 1  web", "c 1970-04-12 5", "d 1970-04-16 1"];
    assert_eq!(seen, will_be);
    let before = select(warehouse, "").await;
    assert!(before.starts_with("a 1970-04-11 2"), "nobody else sees it: {before}");
    upserted.publish(publication(LoadMode::Upsert, Some(1), 2)).await.unwrap();
    assert_eq!(select(warehouse, "").await, will_be.join("\n"), "and it is so");
    let (seen, dropped) = preview(warehouse, &merged, LoadMode::Upsert, &[]).await;
    assert_eq!(seen, ["a 1970-04-09 8 0.50 android", "d 1970-04-16 2"]);
    drop(dropped);

    // Added, with what is there of a day, and by themselves.
    let added: [Row; 1] = [("e", 101, 1, None, None)];
    let (seen, dropped) = preview(warehouse, &added, LoadMode::Append, &[101]).await;
    assert_eq!(seen, ["b 1970-04-12 1  web", "c 1970-04-12 5", "e 1970-04-12 1"]);
    drop(dropped);
    let (seen, appended) = preview(warehouse, &added, LoadMode::Append, &[]).await;
    assert_eq!(seen, ["e 1970-04-12 1"]);
    appended.publish(publication(LoadMode::Append, Some(2), 3)).await.unwrap();
    assert_eq!(select(warehouse, "WHERE player_id = 'e'").await, "e 1970-04-12 1");

    // In place of others.
    let mode = LoadMode::ReplacePartitions([101].into());
    let put: [Row; 1] = [("f", 101, 7, None, None)];
    let (seen, dropped) = preview(warehouse, &put, mode, &[98, 101]).await;
    assert_eq!(seen, ["a 1970-04-09 5 0.30 android", "f 1970-04-12 7"]);
    drop(dropped);
    let (seen, dropped) = preview(warehouse, &put, LoadMode::ReplaceAll, &[98, 101]).await;
    assert_eq!(seen, ["f 1970-04-12 7"]);
    drop(dropped);
    assert!(select(warehouse, "").await.starts_with(will_be[0]));
    load(warehouse, &[], publication(LoadMode::ReplaceAll, Some(3), 4)).await.unwrap();
    warehouse.forget_models_except(&[]).await.unwrap();
}

async fn checks_are_remembered(warehouse: &dyn Warehouse) {
    let check = |name: &str, model: Option<&str>, status: &str, finished_at| CheckRecord {
        run: 1_767_225_600_123,
        finished_at,
        name: name.to_owned(),
        model: model.map(str::to_owned),
        severity: "error".to_owned(),
        status: status.to_owned(),
        rows: 3,
        sample: Some("a = 1\nb\u{e4} = 2".to_owned()),
        detail: None,
        description: Some("Wrong.".to_owned()),
        file: "sql/checks/x.sql".to_owned(),
        millis: 17,
    };
    let first = [
        check("x", None, "failed", 1000),
        check("key", Some("fact_day"), "passed", 1000),
        check("y", Some("fact_day"), "failed", 1000),
    ];
    warehouse.record_checks(&first, 0).await.unwrap();
    let second = [
        check("x", None, "skipped", 2000),
        check("y", Some("fact_day"), "passed", 2000),
        check("y", Some("fact_other"), "broken", 2000),
    ];
    warehouse.record_checks(&second, 0).await.unwrap();
    assert_eq!(warehouse.checks(1).await.unwrap(), [second[2].clone()]);
    assert_eq!(warehouse.checks(100).await.unwrap().len(), 6);
    let latest = [&first[1], &second[1], &second[2], &first[0]].map(Clone::clone);
    assert_eq!(warehouse.latest_checks().await.unwrap(), latest);
    // What is old goes, but for what is the latest of its check.
    let third = [check("y", Some("fact_day"), "failed", 9000)];
    warehouse.record_checks(&third, 5000).await.unwrap();
    let kept: Vec<(i64, String)> = warehouse
        .checks(100)
        .await
        .unwrap()
        .into_iter()
        .map(|check| (check.finished_at, check.name))
        .collect();
    let expected = [(9000, "y"), (2000, "y"), (1000, "key"), (1000, "x")];
    assert_eq!(kept, expected.map(|(time, name)| (time, name.to_owned())));
}

async fn runs_are_remembered(warehouse: &dyn Warehouse) {
    let run = |model: &str, error: Option<&str>| RunRecord {
        started_at: 1_767_225_600_123,
        finished_at: 1_767_225_601_456,
        model: model.to_owned(),
        state: "loaded".to_owned(),
        mode: "upsert".to_owned(),
        rows: 7,
        error: error.map(str::to_owned),
    };
    let both = [run("first", None), run("second", Some("why"))];
    warehouse.record_runs(&both).await.unwrap();
    let [first, second] = both;
    assert_eq!(warehouse.runs(2).await.unwrap(), [second, first]);
    assert_eq!(warehouse.runs(1).await.unwrap().len(), 1);
}

async fn partitions_are_replaced(warehouse: &dyn Warehouse) {
    let mode = LoadMode::ReplacePartitions([98, 103].into());
    let staged: [Row; 1] = [("d", 98, 9, None, Some("web"))];
    load(warehouse, &staged, publication(mode, Some(2), 2)).await.unwrap();
    assert_eq!(select(warehouse, "").await, "b 1970-04-12 2 0.05 web\nd 1970-04-09 9  web");
    load(warehouse, &[], publication(LoadMode::ReplaceAll, Some(2), 4)).await.unwrap();
    assert_eq!(select(warehouse, "").await, "");
    warehouse.forget_models_except(&[]).await.unwrap();
    assert_eq!(warehouse.progress().await.unwrap(), []);
}

async fn columns_are_added(warehouse: &dyn Warehouse) {
    let mut wider = table();
    wider.columns.push(column("country", DataType::Utf8, Combine::Replace));
    let none = BTreeSet::new();
    let changes = warehouse.prepare(std::slice::from_ref(&wider), &none).await.unwrap();
    assert_eq!(changes, ["added column fact_day.country"]);
    wider.columns[2].data_type = DataType::Float64;
    let error = warehouse.prepare(&[wider.clone()], &none).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Incompatible);
    assert!(error.to_string().contains("--full-refresh"), "{error}");
    warehouse.prepare(&[wider], &["fact_day".to_owned()].into()).await.unwrap();
}

/// A table with other columns takes the place of the old one: who reads only what both have is told
/// of the days that changed.
async fn tables_are_made_anew(warehouse: &dyn Warehouse) {
    warehouse.prepare(&[table()], &["fact_day".to_owned()].into()).await.unwrap();
    let first: [Row; 2] = [("a", 100, 1, None, Some("ios")), ("b", 101, 1, None, None)];
    load(warehouse, &first, publication(LoadMode::ReplaceAll, None, 1)).await.unwrap();
    forget_marks(warehouse).await;
    assert_eq!(warehouse.difference(&table()).await.unwrap(), Some(TableDifference::default()));
    assert_eq!(
        warehouse.estimate_rows(&table(), None).await.unwrap().map(|rows| rows > 0),
        Some(true)
    );
    assert!(warehouse.estimate_rows(&table(), Some((100, 100))).await.unwrap().is_some());
    let missing = TableDefinition { name: "no_such_table".to_owned(), ..table() };
    assert_eq!(warehouse.difference(&missing).await.unwrap(), None);
    assert_eq!(warehouse.estimate_rows(&missing, None).await.unwrap(), None);

    // In the middle, so that it cannot be added to the table as it is.
    let mut wider = table();
    wider.columns.insert(2, column("level", DataType::Int64, Combine::Replace));
    let difference = warehouse.difference(&wider).await.unwrap().unwrap();
    assert!(difference.only_adds());
    assert_eq!(difference.columns[0].name, "level");
    assert_eq!(difference.columns[0].before, None);
    let mut published = publication(LoadMode::ReplaceAll, Some(1), 2);
    published.watches.push(Watch {
        consumer: "levels".to_owned(),
        used_columns: vec!["level".to_owned()],
        date_columns: vec!["day".to_owned()],
        exact: true,
    });
    // `a` is as it was, `b` has another platform, and no row has another number of events.
    let rows = [("a", 100, 7, 1, None, Some("ios")), ("b", 101, 8, 1, None, Some("web"))];
    load_wider(warehouse, &wider, &rows, published).await;
    assert_eq!(stale(warehouse, "mart").await, [Some(101)].into());
    assert_eq!(stale(warehouse, "total").await, BTreeSet::new());
    assert_eq!(stale(warehouse, "levels").await, [None].into(), "nothing to compare with");
    let expected = "a 1970-04-11 1  ios\nb 1970-04-12 1  web";
    assert_eq!(select(warehouse, "").await, expected);

    // Back again, with another type of what the mart reads.
    let mut other = wider.clone();
    other.columns.remove(2);
    other.columns[4] = column("platform", DataType::Int64, Combine::Replace);
    let difference = warehouse.difference(&other).await.unwrap().unwrap();
    let changed: Vec<&str> = difference.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(changed, ["platform", "level"]);
    assert!(!difference.only_adds() && !difference.key_changes);
    warehouse.prepare(&[other], &["fact_day".to_owned()].into()).await.unwrap();
    warehouse.forget_models_except(&[]).await.unwrap();
}

type WiderRow = (&'static str, i32, i64, i64, Option<i128>, Option<&'static str>);

async fn load_wider(
    warehouse: &dyn Warehouse,
    table: &TableDefinition,
    rows: &[WiderRow],
    publication: Publication,
) {
    let revenue = Decimal128Array::from_iter(rows.iter().map(|row| row.4));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3))),
        Arc::new(revenue.with_precision_and_scale(12, 2).unwrap()),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.5))),
    ];
    let staged = RecordBatch::try_new(table.schema(), columns).unwrap();
    let mut load = warehouse.begin_load(table, &publication.mode).await.unwrap();
    load.write(staged).await.unwrap();
    load.publish(publication).await.unwrap();
}

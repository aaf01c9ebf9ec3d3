//! What the archive promises, wherever it lies. Each promise is kept by an archive of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

use super::testing::{DAY, all_rows, by_event, contract, rows, session, stream};
use super::{Archive, ArchiveTable, DayDigests, digest_rows};
use crate::catalog::events::envelope_schema;
use crate::project::contract::EventContract;
use crate::stores::error::StoreErrorKind;

fn digest(batches: &[&RecordBatch]) -> DayDigests {
    let mut digests = DayDigests::new();
    for batch in batches {
        digest_rows(batch, &mut digests).unwrap();
    }
    digests
}

/// A table with these parts of one day, each appended by itself.
async fn table_of(archive: &Archive, contract: &EventContract, parts: i64) -> ArchiveTable {
    let mut table = archive.table(contract).await.unwrap();
    for part in 0..parts {
        let rows = rows(contract, DAY, part * 100..part * 100 + 100);
        table.append(stream(vec![rows]), part + 1).await.unwrap();
    }
    table
}

/// Rows of a text, so that batches may be cut differently.
fn text(rows: &RecordBatch) -> String {
    pretty_format_batches(std::slice::from_ref(rows)).unwrap().to_string()
}

pub(super) async fn what_is_appended_is_read(archive: Archive) {
    let contract = contract("purchase", true);
    let (first, second) = (rows(&contract, DAY, 0..1000), rows(&contract, DAY + 1, 1000..1500));
    let mut table = archive.table(&contract).await.unwrap();
    assert_eq!(table.through().await.unwrap(), 0);
    let digests = table.append(stream(vec![first.clone(), second.clone()]), 7).await.unwrap();
    assert_eq!(digests, digest(&[&first, &second]));
    assert_eq!(table.through().await.unwrap(), 7);

    let files = table.files(None).unwrap();
    assert_eq!(
        files.iter().map(|file| (file.day, file.rows)).collect::<Vec<_>>(),
        [(DAY, 1000), (DAY + 1, 500)]
    );
    assert!(files[0].path.starts_with("event_date=2026-01-31/part-"), "{}", files[0].path);
    assert!(files.iter().all(|file| file.checksum.is_some()));
    let one_day = table.files(Some(&BTreeSet::from([DAY + 1]))).unwrap();
    assert_eq!(one_day, files[1..]);

    let expected = by_event(&concat_batches(&contract.schema, [&first, &second]).unwrap());
    let found = all_rows(&archive, &table, &contract.schema).await;
    assert_eq!(found.schema(), contract.schema);
    assert_eq!(text(&found), text(&expected));
    let days = BTreeSet::from([DAY, DAY + 1]);
    assert_eq!(table.digest_days(&days).await.unwrap(), digests);

    // Another process sees the same.
    let other = archive.existing_table("purchase", None).await.unwrap().unwrap();
    assert_eq!((other.version(), other.through().await.unwrap()), (table.version(), 7));
    assert_eq!(other.files(None).unwrap(), files);
    assert!(archive.has_table("purchase").await.unwrap());
    assert!(!archive.has_table("session_start").await.unwrap());
    assert!(archive.existing_table("level_end", None).await.unwrap().is_none());
}

pub(super) async fn a_part_of_the_ledger_is_archived_once(archive: Archive) {
    let contract = contract("purchase", false);
    let mut table = table_of(&archive, &contract, 1).await;
    let mut late = archive.table(&contract).await.unwrap();
    let again = rows(&contract, DAY, 0..100);
    let refused = table.append(stream(vec![again.clone()]), 1).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Fenced);
    // Neither does a process that has not seen the other's commit.
    table.append(stream(vec![rows(&contract, DAY, 100..200)]), 2).await.unwrap();
    let refused = late.append(stream(vec![again]), 2).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Fenced);
    late.refresh().await.unwrap();
    let rows: u64 = late.files(None).unwrap().iter().map(|file| file.rows).sum();
    assert_eq!(rows, 200);
}

pub(super) async fn of_two_that_commit_at_once_one_does(archive: Archive) {
    let contract = contract("purchase", false);
    let mut first = archive.table(&contract).await.unwrap();
    let mut second = archive.table(&contract).await.unwrap();
    let (ours, theirs) = tokio::join!(
        first.append(stream(vec![rows(&contract, DAY, 0..100)]), 1),
        second.append(stream(vec![rows(&contract, DAY, 100..200)]), 1),
    );
    let refused = match (ours, theirs) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("one of them has to be refused: {both:?}"),
    };
    assert_eq!(refused.kind, StoreErrorKind::Fenced, "{refused}");
    let table = archive.existing_table("purchase", None).await.unwrap().unwrap();
    let rows: u64 = table.files(None).unwrap().iter().map(|file| file.rows).sum();
    assert_eq!((rows, table.through().await.unwrap()), (100, 1));
}

pub(super) async fn a_part_without_rows_moves_the_table_on(archive: Archive) {
    let contract = contract("purchase", false);
    let mut table = table_of(&archive, &contract, 1).await;
    let none = rows(&contract, DAY, 0..0);
    assert!(table.append(stream(vec![none]), 9).await.unwrap().is_empty());
    assert_eq!(table.through().await.unwrap(), 9);
    assert_eq!(table.files(None).unwrap().len(), 1);
}

pub(super) async fn unsorted_rows_are_refused(archive: Archive) {
    let contract = contract("purchase", false);
    let mut table = archive.table(&contract).await.unwrap();
    let (today, tomorrow) = (rows(&contract, DAY, 0..10), rows(&contract, DAY + 1, 10..20));
    let refused = table.append(stream(vec![tomorrow, today]), 1).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Internal);
    assert!(table.files(None).unwrap().is_empty());
}

pub(super) async fn a_new_column_is_null_in_older_files(archive: Archive) {
    let (older, newer) = (contract("purchase", false), contract("purchase", true));
    table_of(&archive, &older, 1).await;
    let mut table = archive.table(&newer).await.unwrap();
    table.append(stream(vec![rows(&newer, DAY, 100..150)]), 2).await.unwrap();
    let found = all_rows(&archive, &table, &newer.schema).await;
    assert_eq!(found.num_rows(), 150);
    assert_eq!(found.column_by_name("level").unwrap().null_count(), 100);
    // And it stays so when files are merged.
    table.optimize(&SessionContext::new().state()).await.unwrap();
    assert_eq!(table.files(None).unwrap().len(), 1);
    assert_eq!(text(&all_rows(&archive, &table, &newer.schema).await), text(&found));
    // A contract without the column can still append.
    let mut table = archive.table(&older).await.unwrap();
    table.append(stream(vec![rows(&older, DAY, 150..160)]), 3).await.unwrap();
    let found = all_rows(&archive, &table, &newer.schema).await;
    assert_eq!(found.column_by_name("level").unwrap().null_count(), 110);
}

pub(super) async fn damage_is_found(archive: Archive) {
    let contract = contract("purchase", false);
    let table = table_of(&archive, &contract, 1).await;
    let location = table.files(None).unwrap().remove(0).location;
    let whole = archive.store.get(&location).await.unwrap().bytes().await.unwrap().to_vec();
    let days = BTreeSet::from([DAY]);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut swapped = whole.clone();
    swapped.swap(10, whole.len() / 3);
    let cut = whole[..whole.len() - 1].to_vec();
    for damaged in [flipped, swapped, cut, Vec::new()] {
        if damaged == whole {
            continue;
        }
        archive.store.put(&location, damaged.into()).await.unwrap();
        let error = table.digest_days(&days).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    }
    archive.store.delete(&location).await.unwrap();
    let error = table.digest_days(&days).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    archive.store.put(&location, whole.into()).await.unwrap();
    assert!(table.digest_days(&days).await.is_ok());
}

pub(super) async fn new_files_are_verified(archive: Archive) {
    let contract = contract("purchase", false);
    let table = archive.table(&contract).await.unwrap();
    let rows = stream(vec![rows(&contract, DAY, 0..100)]);
    let mut files = table.write_files(rows, u64::MAX).await.unwrap();
    assert!(table.verify(&files).await.is_ok());
    // As if one event less had been meant.
    files[0].digest.rows -= 1;
    let error = table.verify(&files).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
}

pub(super) async fn small_files_become_one(archive: Archive) {
    let contract = contract("purchase", false);
    let mut table = table_of(&archive, &contract, 5).await;
    let before = all_rows(&archive, &table, &contract.schema).await;
    let days = BTreeSet::from([DAY]);
    let digests = table.digest_days(&days).await.unwrap();
    let earlier = archive.existing_table("purchase", Some(table.version())).await;
    let earlier = earlier.unwrap().unwrap();

    let report = table.optimize(&SessionContext::new().state()).await.unwrap();
    assert_eq!((report.files_before, report.files_after, report.rows), (5, 1, 500));
    assert_eq!(table.files(None).unwrap().len(), 1);
    assert_eq!(table.digest_days(&days).await.unwrap(), digests);
    assert_eq!(table.through().await.unwrap(), 5);
    assert_eq!(text(&all_rows(&archive, &table, &contract.schema).await), text(&before));
    // A query that began earlier still reads what it has begun with.
    assert_eq!(earlier.files(None).unwrap().len(), 5);
    assert_eq!(text(&all_rows(&archive, &earlier, &contract.schema).await), text(&before));
    // There is nothing left to do.
    let report = table.optimize(&SessionContext::new().state()).await.unwrap();
    assert_eq!(report.files_before, 0);
}

pub(super) async fn merging_meets_appends_and_other_merges(archive: Archive) {
    let contract = contract("purchase", false);
    let mut first = table_of(&archive, &contract, 3).await;
    let mut second = archive.table(&contract).await.unwrap();
    let group = first.next_group().unwrap().unwrap();
    // Rows that come in between are kept.
    second.append(stream(vec![rows(&contract, DAY, 300..400)]), 4).await.unwrap();
    let session = SessionContext::new().state();
    let report = first.merge_group(&group, &session).await.unwrap().unwrap();
    assert_eq!((report.files_before, report.files_after), (3, 1));
    assert_eq!(first.files(None).unwrap().len(), 2);
    // Files that another has merged in between are not merged again.
    let group = first.next_group().unwrap().unwrap();
    second.optimize(&session).await.unwrap();
    assert!(first.merge_group(&group, &session).await.unwrap().is_none());
    let rows: u64 = first.files(None).unwrap().iter().map(|file| file.rows).sum();
    assert_eq!(rows, 400);
}

pub(super) async fn large_days_are_cut_into_files(mut archive: Archive) {
    archive.target_bytes = 1;
    let contract = contract("purchase", false);
    let mut table = archive.table(&contract).await.unwrap();
    // One file for each batch, as each is beyond the target.
    let all = rows(&contract, DAY, 0..1000);
    let batches = vec![all.slice(0, 400), all.slice(400, 400), all.slice(800, 200)];
    let digests = table.append(stream(batches), 1).await.unwrap();
    assert_eq!(digests, digest(&[&all]));
    assert_eq!(table.files(None).unwrap().len(), 3);
    assert_eq!(all_rows(&archive, &table, &contract.schema).await.num_rows(), 1000);
}

/// Larger than what is sent in one request.
pub(super) async fn a_large_file_appears_as_a_whole(archive: Archive) {
    let file = archive.root.clone().join("large");
    let bytes: Vec<u8> = (0..25_u32 << 20).map(|index| (index % 251) as u8).collect();
    let (first, second) = bytes.split_at(15 << 20);
    let mut writer = BufWriter::new(Arc::clone(&archive.store), file.clone());
    writer.write_all(first).await.unwrap();
    assert!(archive.store.head(&file).await.is_err(), "it must not be seen before it is whole");
    writer.write_all(second).await.unwrap();
    writer.shutdown().await.unwrap();
    let read = archive.store.get(&file).await.unwrap().bytes().await.unwrap();
    assert!(read == bytes);
}

pub(super) async fn vacuum_removes_what_nobody_needs(archive: Archive) {
    let contract = contract("purchase", false);
    let mut table = table_of(&archive, &contract, 3).await;
    // A crash before the commit leaves a file, another one during the writing of a file.
    let lost = stream(vec![rows(&contract, DAY, 300..400)]);
    table.write_files(lost, u64::MAX).await.unwrap();
    let half = table.root().clone().join("event_date=2026-01-31").join(".half.tmp");
    archive.store.put(&half, "half".into()).await.unwrap();
    table.optimize(&SessionContext::new().state()).await.unwrap();
    let before = text(&all_rows(&archive, &table, &contract.schema).await);

    // All is recent.
    let hour = Duration::from_secs(3600);
    let report = table.vacuum(hour, false).await.unwrap();
    assert_eq!(report.files_removed, 0);
    // Timestamps are whole milliseconds; wait until the last one is over.
    let end = crate::clock::now_millis();
    while crate::clock::now_millis() <= end + 1 {
        std::thread::yield_now();
    }
    let dry = table.vacuum(Duration::ZERO, true).await.unwrap();
    assert_eq!((dry.files_removed, dry.files_kept), (5, 1));
    let report = table.vacuum(Duration::ZERO, false).await.unwrap();
    assert_eq!(report, dry);
    let again = table.vacuum(Duration::ZERO, false).await.unwrap();
    assert_eq!((again.files_removed, again.files_kept), (0, 1));
    assert_eq!(text(&all_rows(&archive, &table, &contract.schema).await), before);
    let reopened = archive.existing_table("purchase", None).await.unwrap().unwrap();
    assert_eq!(reopened.through().await.unwrap(), 3);
}

pub(super) async fn the_log_is_summed_up(archive: Archive) {
    let contract = contract("purchase", false);
    let table = table_of(&archive, &contract, 12).await;
    let log = table.root().clone().join("_delta_log");
    let checkpoint = log.clone().join("00000000000000000010.checkpoint.parquet");
    assert!(archive.store.head(&checkpoint).await.is_ok());
    // Readers need no more than the checkpoint and what came after it.
    for version in 0..10 {
        let entry = log.clone().join(format!("{version:020}.json"));
        archive.store.delete(&entry).await.unwrap();
    }
    let reopened = archive.existing_table("purchase", None).await.unwrap().unwrap();
    assert_eq!(reopened.version(), 12);
    assert_eq!(reopened.through().await.unwrap(), 12);
    assert_eq!(reopened.files(None).unwrap(), table.files(None).unwrap());
}

pub(super) async fn conditions_reach_the_files(archive: Archive) {
    let contract = contract("purchase", true);
    let mut table = archive.table(&contract).await.unwrap();
    let (first, second) = (rows(&contract, DAY, 0..700), rows(&contract, DAY + 1, 700..1400));
    table.append(stream(vec![first, second]), 1).await.unwrap();
    let session = session(&archive, table.files(None).unwrap(), &contract.schema);
    for (condition, expected) in [
        ("player_id = 'player-3'", 200),
        ("player_id = 'nobody'", 0),
        ("session_id = 'session-12' AND event_date = DATE '2026-01-31'", 15),
        ("event_date > DATE '2026-01-31'", 700),
        ("event_date = DATE '2026-01-31' AND player_id IN ('player-0', 'player-1')", 200),
        ("price >= 9.985", 1),
        ("level IS NULL", 0),
        ("source_topic = 'events'", 1400),
        ("true", 1400),
    ] {
        let sql = format!("SELECT count(*) AS events FROM events WHERE {condition}");
        let found = session.sql(&sql).await.unwrap().collect().await.unwrap();
        let count = found[0].column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, expected, "{condition}");
    }
    let sql = "SELECT event_date, event_id FROM events WHERE player_id = 'player-3'";
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let plan = displayable(plan.as_ref()).indent(false).to_string();
    assert!(plan.contains("predicate=player_id"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
}

pub(super) async fn the_envelope_spans_event_types(archive: Archive) {
    let (purchase, login) = (contract("purchase", true), contract("login", false));
    let mut files = table_of(&archive, &purchase, 1).await.files(None).unwrap();
    files.extend(table_of(&archive, &login, 2).await.files(None).unwrap());
    let session = session(&archive, files, &envelope_schema());
    let sql = "SELECT event_type, count(*) AS events, min(event_date) AS first_day
               FROM events WHERE player_id <> 'player-0' GROUP BY event_type ORDER BY event_type";
    let found = session.sql(sql).await.unwrap().collect().await.unwrap();
    let found = concat_batches(&found[0].schema(), &found).unwrap();
    assert_eq!(found.column(0).as_string::<i32>().value(0), "login");
    assert_eq!(found.column(1).as_primitive::<Int64Type>().values().to_vec(), [171, 85]);
    let all = session.table("events").await.unwrap();
    assert_eq!(Arc::clone(all.schema().inner()), envelope_schema());
}

//! Archives and events for the tests beside the code.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::prelude::SessionContext;

use super::{Archive, ArchiveFile, ArchiveScan, ArchiveTable, archive_scan};
use crate::project::contract::{
    ColumnType, ContractColumn, EventContract, envelope, landed_schema,
};
use crate::settings::StoreUrl;

/// 2026-01-31.
pub(super) const DAY: i32 = 20_484;

/// An archive in a local folder of its own.
pub(super) fn local_archive() -> (tempfile::TempDir, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::File(folder.path().join("archive"));
    let archive = Archive::open(&url, folder.path()).unwrap();
    (folder, archive)
}

/// An archive in a folder of its own on HDFS, and the local folder for what it has still to send.
pub(super) fn hdfs_archive() -> (tempfile::TempDir, Archive) {
    let variable = "QUESTLAKE_TEST_HDFS_URL";
    let missing = |_| {
        format!(
            "{variable} is not set: run `make services`, then take the variables of \
             `scripts/services.sh env`"
        )
    };
    let cluster = std::env::var(variable).map_err(missing).unwrap();
    let url = format!("{cluster}/questlake-test/{}/archive", uuid::Uuid::new_v4());
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&StoreUrl::hdfs(&url).unwrap(), folder.path()).unwrap();
    (folder, archive)
}

/// An archive in a folder of its own in a bucket.
pub(super) fn s3_archive() -> (tempfile::TempDir, Archive) {
    let variable = "QUESTLAKE_TEST_S3_URL";
    let missing = |_| {
        format!(
            "{variable} is not set: run `make services`, then take the variables of \
             `scripts/services.sh env`"
        )
    };
    let bucket = std::env::var(variable).map_err(missing).unwrap();
    let (bucket, options) = bucket.split_once('?').unwrap();
    let url = format!("{bucket}/{}/archive?{options}", uuid::Uuid::new_v4());
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(&StoreUrl::s3(&url).unwrap(), folder.path()).unwrap();
    (folder, archive)
}

/// A contract with the columns `price` and, if asked for, `level`.
pub(super) fn contract(event_type: &str, with_level: bool) -> EventContract {
    let column = |name: &str, column_type: ColumnType, nullable: bool| ContractColumn {
        name: name.to_owned(),
        column_type,
        nullable,
        comment: None,
        line: 1,
        column: 1,
    };
    let mut columns = vec![column("price", ColumnType::Decimal { precision: 12, scale: 2 }, false)];
    if with_level {
        columns.push(column("level", ColumnType::Int32, true));
    }
    let schema = landed_schema(&columns);
    EventContract {
        event_type: event_type.to_owned(),
        comment: None,
        columns,
        checks: Vec::new(),
        version: 1,
        file: format!("sql/events/{event_type}.sql"),
        schema,
    }
}

/// One event for each number: of one of seven players, at a second of the day of its own.
pub(super) fn rows(
    contract: &EventContract,
    day: i32,
    numbers: std::ops::Range<i64>,
) -> RecordBatch {
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_by_key(|number| (number % 7, *number));
    let text = |prefix: &str, modulus: i64| -> ArrayRef {
        let values = numbers.iter().map(|number| format!("{prefix}{}", number % modulus));
        Arc::new(StringArray::from_iter_values(values))
    };
    let times = || -> ArrayRef {
        let start = i64::from(day) * 86_400;
        let times = numbers.iter().map(|number| (start + number % 86_400) * 1_000_000 + 1);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = contract
        .schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            envelope::EVENT_ID => text("event-", i64::MAX),
            envelope::PLAYER_ID => text("player-", 7),
            envelope::SESSION_ID => text("session-", 49),
            envelope::EVENT_TIME | envelope::RECEIVED_AT => times(),
            envelope::EVENT_DATE => Arc::new(Date32Array::from(vec![day; numbers.len()])),
            envelope::SOURCE_TOPIC => {
                let topics: DictionaryArray<Int32Type> =
                    numbers.iter().map(|_| Some("events")).collect();
                Arc::new(topics)
            }
            envelope::SOURCE_PARTITION => Arc::new(Int32Array::from(vec![0; numbers.len()])),
            envelope::SOURCE_OFFSET => Arc::new(Int64Array::from(numbers.clone())),
            "price" => {
                let prices = numbers.iter().map(|number| i128::from(number % 1000));
                let prices = Decimal128Array::from_iter_values(prices);
                Arc::new(prices.with_precision_and_scale(12, 2).unwrap())
            }
            "level" => Arc::new(Int32Array::from_iter_values(
                numbers.iter().map(|number| i32::try_from(number % 50).unwrap()),
            )),
            _ => text("x", 3),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(&contract.schema), columns).unwrap()
}

/// These batches as a stream.
pub(super) fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    Box::pin(MemoryStream::try_new(batches, schema, None).unwrap())
}

/// The files as a table that SQL reads.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) archive: Archive,
    pub(super) files: Vec<ArchiveFile>,
    pub(super) schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Scanned {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let groups = vec![self.files.clone()];
        let schema = &self.schema;
        let scan =
            ArchiveScan { schema, groups, projection, limit, filter_rows: true, sorted: false };
        archive_scan(&self.archive, scan, session.runtime_env())
    }
}

/// A session in which the files are the table `events`.
pub(super) fn session(
    archive: &Archive,
    files: Vec<ArchiveFile>,
    schema: &SchemaRef,
) -> SessionContext {
    let session = SessionContext::new();
    let table = Scanned { archive: archive.clone(), files, schema: Arc::clone(schema) };
    session.register_table("events", Arc::new(table)).unwrap();
    session
}

/// All rows of a table with this schema, by event.
pub(super) async fn all_rows(
    archive: &Archive,
    table: &ArchiveTable,
    schema: &SchemaRef,
) -> RecordBatch {
    let session = session(archive, table.files(None).unwrap(), schema);
    let batches = session.sql("SELECT * FROM events").await.unwrap().collect().await.unwrap();
    by_event(&concat_batches(schema, &batches).unwrap())
}

/// The rows in the order of their events' identifiers.
pub(super) fn by_event(rows: &RecordBatch) -> RecordBatch {
    let ids = rows.column_by_name(envelope::EVENT_ID).unwrap();
    assert_eq!(ids.data_type(), &DataType::Utf8);
    let order = sort_to_indices(ids, None, None).unwrap();
    take_record_batch(rows, &order).unwrap()
}

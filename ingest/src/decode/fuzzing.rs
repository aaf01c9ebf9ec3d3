//! Entry for fuzz targets: what must hold for any bytes whatsoever.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use questlake_engine::project::contract::{
    ColumnType, ContractColumn, EventContract, landed_schema,
};

use serde::de::IgnoredAny;

use super::{
    DecodeLimits, DecodedBatch, Decoder, RawRecords, RecordSpan, RejectReason, Rejection,
    decode_parallel, split_lines,
};

/// Noon of 2026-06-01, UTC, in microseconds: when the fuzzed records are said to arrive.
pub const RECEIVED_AT: i64 = 1_780_315_200_000_000;

/// The contracts that [`fuzz_decode`] decodes by: `typed` has a column of every type, `strict` has
/// columns that must not be null, `bare` has no columns.
pub fn contracts() -> Vec<Arc<EventContract>> {
    let typed = [
        ("a_boolean", ColumnType::Boolean),
        ("a_smallint", ColumnType::Int16),
        ("an_integer", ColumnType::Int32),
        ("a_bigint", ColumnType::Int64),
        ("a_double", ColumnType::Float64),
        ("a_decimal", ColumnType::Decimal { precision: 10, scale: 2 }),
        ("a_wide_decimal", ColumnType::Decimal { precision: 38, scale: 10 }),
        ("a_text", ColumnType::Text { max_chars: None }),
        ("a_varchar", ColumnType::Text { max_chars: Some(8) }),
        ("a_timestamp", ColumnType::Timestamp),
        ("a_date", ColumnType::Date),
        ("a_json", ColumnType::Json),
    ];
    let strict = [
        ("item_id", ColumnType::Text { max_chars: Some(64) }),
        ("price_usd", ColumnType::Decimal { precision: 10, scale: 2 }),
        ("quantity", ColumnType::Int32),
    ];
    vec![
        contract("typed", &typed, true),
        contract("strict", &strict, false),
        contract("bare", &[], true),
    ]
}

/// A contract of the given columns, all nullable or none.
fn contract(
    event_type: &str,
    columns: &[(&str, ColumnType)],
    nullable: bool,
) -> Arc<EventContract> {
    let columns: Vec<ContractColumn> = columns
        .iter()
        .map(|(name, column_type)| ContractColumn {
            name: (*name).to_owned(),
            column_type: *column_type,
            nullable,
            comment: None,
            line: 1,
            column: 1,
        })
        .collect();
    Arc::new(EventContract {
        event_type: event_type.to_owned(),
        comment: None,
        schema: landed_schema(&columns),
        columns,
        checks: Vec::new(),
        version: 1,
        file: format!("sql/events/{event_type}.sql"),
    })
}

/// Decodes any bytes as lines of records, and asserts what must hold: each record is one row or
/// one rejection; a record's fate is the same alone, after other records, and in another thread's
/// part; rows have their contract's schema; and a record is refused as broken exactly if another
/// JSON parser finds it broken too.
///
/// # Panics
///
/// When one of these does not hold: a defect of the decoder.
pub fn fuzz_decode(data: &[u8]) {
    let records = split_lines(data, 0, 0);
    let raw = RawRecords { topic: "fuzz".into(), data: Bytes::copy_from_slice(data), records };
    let mut decoder = Decoder::new(contracts(), DecodeLimits::default());
    let together = decoder.decode(&raw, RECEIVED_AT);
    let fates = fates(&raw, &together);

    // The decoder has learned from these records by now; that must not change what it gives.
    let again = decoder.decode(&raw, RECEIVED_AT);
    assert_eq!(fates, self::fates(&raw, &again), "a second pass differs");

    let mut pair = [
        Decoder::new(contracts(), DecodeLimits::default()),
        Decoder::new(contracts(), DecodeLimits::default()),
    ];
    let mut parted = DecodedBatch::default();
    for part in decode_parallel(&mut pair, &raw, RECEIVED_AT) {
        parted.tables.extend(part.tables);
        parted.rejected.extend(part.rejected);
    }
    assert_eq!(fates, self::fates(&raw, &parted), "two threads differ");

    for (index, span) in raw.records.iter().enumerate() {
        let alone = check_one(raw.record_bytes(index).unwrap_or_default(), *span);
        assert_eq!(alone, fates[index], "record {index} differs when it is alone");
    }
    assert_agreement(&raw, &together);
}

/// Asserts that the records refused as broken are those that `serde_json` cannot read.
fn assert_agreement(raw: &RawRecords, decoded: &DecodedBatch) {
    let mut reasons = vec![None; raw.records.len()];
    for rejection in &decoded.rejected {
        reasons[rejection.record as usize] = Some(rejection.reason);
    }
    for (index, reason) in reasons.into_iter().enumerate() {
        if matches!(reason, Some(RejectReason::TooDeep | RejectReason::RecordTooLong)) {
            continue;
        }
        let is_broken =
            matches!(reason, Some(RejectReason::MalformedJson | RejectReason::InvalidUtf8));
        let record = raw.record_bytes(index).unwrap_or_default();
        let is_readable = std::str::from_utf8(record)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        assert_eq!(is_broken, !is_readable, "record {index}: {reason:?}");
    }
}

/// Decodes one record on its own and gives its fate as text, for comparison with [`fuzz_decode`].
pub fn check_one(record: &[u8], span: RecordSpan) -> String {
    let raw = RawRecords {
        topic: "fuzz".into(),
        data: Bytes::copy_from_slice(record),
        records: vec![RecordSpan { start: 0, length: record.len() as u32, ..span }],
    };
    let mut decoder = Decoder::new(contracts(), DecodeLimits::default());
    fates(&raw, &decoder.decode(&raw, RECEIVED_AT)).swap_remove(0)
}

/// What became of each record, as text that tells different rows and rejections apart.
pub(super) fn fates(raw: &RawRecords, decoded: &DecodedBatch) -> Vec<String> {
    let mut fates = vec![String::new(); raw.records.len()];
    let mut set = |record: u32, fate: String| {
        let slot = &mut fates[record as usize];
        assert!(slot.is_empty(), "record {record} is there twice: {slot} and {fate}");
        *slot = fate;
    };
    for table in &decoded.tables {
        assert_eq!(table.batch.schema(), table.contract.schema);
        assert_eq!(table.batch.num_rows(), table.records.len());
        assert!(table.records.is_sorted());
        for (row, record) in table.records.iter().enumerate() {
            set(*record, format!("{}: {}", table.contract.event_type, row_text(&table.batch, row)));
        }
    }
    for rejection in &decoded.rejected {
        let Rejection { record, reason, detail, event_type } = rejection;
        set(*record, format!("{reason}: {detail} ({event_type:?})"));
    }
    for (record, fate) in fates.iter().enumerate() {
        assert!(!fate.is_empty(), "record {record} is lost");
    }
    fates
}

/// All values of a row.
fn row_text(batch: &RecordBatch, row: usize) -> String {
    batch.columns().iter().map(|column| format!("{:?}\n", column.slice(row, 1))).collect()
}

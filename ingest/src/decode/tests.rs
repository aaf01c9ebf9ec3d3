//! The decoder's rules by example; laws over arbitrary inputs are in `properties`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;

use super::fuzzing::{RECEIVED_AT, contracts, fuzz_decode};
use super::{
    DecodeLimits, DecodedBatch, Decoder, RawRecords, RecordSpan, RejectReason, Rejection,
    decode_parallel,
};

mod properties;

/// Records one behind the other, without anything between them.
pub(super) fn raw<T: AsRef<[u8]>>(records: &[T]) -> RawRecords {
    let mut data = Vec::new();
    let mut spans = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let (start, length) = (data.len() as u32, record.as_ref().len() as u32);
        spans.push(RecordSpan { start, length, partition: 4, offset: 100 + index as i64 });
        data.extend_from_slice(record.as_ref());
    }
    RawRecords { topic: "events".into(), data: Bytes::from(data), records: spans }
}

fn decode<T: AsRef<[u8]>>(records: &[T]) -> DecodedBatch {
    Decoder::new(contracts(), DecodeLimits::default()).decode(&raw(records), RECEIVED_AT)
}

/// The only row of a batch of one record.
fn row(record: &str) -> RecordBatch {
    let mut decoded = decode(&[record]);
    assert_eq!(decoded.rejected, [], "{record}");
    decoded.tables.remove(0).batch
}

fn rejection(record: impl AsRef<[u8]>) -> Rejection {
    let mut decoded = decode(&[record.as_ref()]);
    assert_eq!(decoded.rejected.len(), 1, "{}", String::from_utf8_lossy(record.as_ref()));
    assert!(decoded.tables.is_empty());
    decoded.rejected.remove(0)
}

fn reason(record: impl AsRef<[u8]>) -> RejectReason {
    rejection(record).reason
}

/// An event with the given envelope fields besides the required ones, and properties.
fn event(event_type: &str, more: &str, properties: &str) -> String {
    format!(
        r#"{{"event_id":"e1","event_type":"{event_type}","event_time":"2026-06-01T11:59:58.125Z","player_id":"p1"{more},"properties":{properties}}}"#
    )
}

/// Value of a column in the first row as text; `None` if it is null.
fn value(batch: &RecordBatch, column: &str) -> Option<String> {
    let array = batch.column_by_name(column).unwrap();
    if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return (!times.is_null(0)).then(|| times.value(0).to_string());
    }
    (!array.is_null(0)).then(|| array_value_to_string(array, 0).unwrap())
}

fn typed(property: &str) -> RecordBatch {
    row(&event("typed", "", &format!("{{{property}}}")))
}

fn typed_reason(property: &str) -> RejectReason {
    reason(event("typed", "", &format!("{{{property}}}")))
}

#[test]
fn a_row_has_its_envelope_and_its_physical_key() {
    let more =
        r#","session_id":"s1","game":"g","platform":"ios","country":"de","app_version":"1.0""#;
    let batch = row(&event("bare", more, "{}"));
    for (column, expected) in [
        ("event_id", "e1"),
        ("event_time", "1780315198125000"),
        ("player_id", "p1"),
        ("session_id", "s1"),
        ("game", "g"),
        ("platform", "ios"),
        ("country", "DE"),
        ("app_version", "1.0"),
        ("received_at", "1780315200000000"),
        ("event_date", "2026-06-01"),
        ("source_topic", "events"),
        ("source_partition", "4"),
        ("source_offset", "100"),
    ] {
        assert_eq!(value(&batch, column).as_deref(), Some(expected), "{column}");
    }
    assert_eq!(value(&batch, "extra"), None);
}

#[test]
fn optional_fields_may_be_absent_null_or_empty() {
    let nulls =
        r#","session_id":null,"game":null,"platform":null,"country":null,"app_version":null"#;
    let empty = nulls.replace("null", "\"\"");
    for record in
        [event("bare", nulls, "null"), event("bare", "", "{}"), event("bare", &empty, "{}")]
    {
        let batch = row(&record);
        for column in ["session_id", "game", "platform", "country", "app_version", "extra"] {
            assert_eq!(value(&batch, column), None, "{column}");
        }
    }
}

#[test]
fn tables_come_in_contract_order_with_their_records() {
    let decoded = decode(&[
        event("bare", "", "{}"),
        event("typed", "", "{}"),
        "broken".to_owned(),
        event("bare", "", "{}"),
        event("strict", "", "{}"),
    ]);
    let tables: Vec<_> = decoded
        .tables
        .iter()
        .map(|table| (table.contract.event_type.as_str(), table.records.as_slice()))
        .collect();
    assert_eq!(tables, [("typed", [1].as_slice()), ("bare", &[0, 3])]);
    let rejected: Vec<u32> = decoded.rejected.iter().map(|rejection| rejection.record).collect();
    assert_eq!(rejected, [2, 4]);
    assert_eq!(decoded.rows(), 3);
}

#[test]
fn every_type_is_read_exactly() {
    let batch = typed(
        r#""a_boolean":true,"a_smallint":-32768,"an_integer":2147483647,"a_bigint":9223372036854775807,
        "a_double":0.1,"a_decimal":-12.3,"a_wide_decimal":1234567890123456789012345678.0123456789,
        "a_text":"é\u00e9\n","a_varchar":"éééééééé","a_timestamp":1700000000000.5,
        "a_date":"1969-12-31","a_json":{"b": [1, 2.50]}"#,
    );
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert!(column("a_boolean").as_boolean().value(0));
    assert_eq!(column("a_smallint").as_primitive::<Int16Type>().value(0), i16::MIN);
    assert_eq!(column("an_integer").as_primitive::<Int32Type>().value(0), i32::MAX);
    assert_eq!(column("a_bigint").as_primitive::<Int64Type>().value(0), i64::MAX);
    assert_eq!(column("a_double").as_primitive::<Float64Type>().value(0), 0.1);
    assert_eq!(column("a_decimal").as_primitive::<Decimal128Type>().value(0), -1230);
    let wide = column("a_wide_decimal").as_primitive::<Decimal128Type>().value(0);
    assert_eq!(wide, 12_345_678_901_234_567_890_123_456_780_123_456_789);
    assert_eq!(column("a_text").as_string::<i32>().value(0), "éé\n");
    assert_eq!(column("a_varchar").as_string::<i32>().value(0), "éééééééé");
    let timestamp = column("a_timestamp").as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(timestamp, 1_700_000_000_000_500);
    assert_eq!(column("a_date").as_primitive::<Date32Type>().value(0), -1);
    assert_eq!(column("a_json").as_string::<i32>().value(0), r#"{"b": [1, 2.50]}"#);
}

#[test]
fn numbers_may_be_written_in_any_way_that_is_exact() {
    for (property, expected) in [
        (r#""an_integer":5.0"#, "5"),
        (r#""an_integer":1e3"#, "1000"),
        (r#""an_integer":-0"#, "0"),
        (r#""a_decimal":"12.30""#, "12.30"),
        (r#""a_decimal":"1.5e1""#, "15.00"),
        (r#""a_decimal":1.500000"#, "1.50"),
        (r#""a_decimal":1e-2"#, "0.01"),
        (r#""a_double":1E5"#, "100000.0"),
    ] {
        let column = property.split('"').nth(1).unwrap();
        assert_eq!(value(&typed(property), column).as_deref(), Some(expected), "{property}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_with_their_reason() {
    use RejectReason::*;
    for (property, expected) in [
        (r#""a_smallint":32768"#, NumberOutOfRange),
        (r#""an_integer":2147483648"#, NumberOutOfRange),
        (r#""an_integer":1.5"#, NumberOutOfRange),
        (r#""a_bigint":9223372036854775808"#, NumberOutOfRange),
        (r#""a_bigint":"5""#, WrongType),
        (r#""a_decimal":1.005"#, NumberOutOfRange),
        (r#""a_decimal":123456789"#, NumberOutOfRange),
        (r#""a_decimal":"1,5""#, WrongType),
        (r#""a_decimal":" 1""#, WrongType),
        (r#""a_double":1e999"#, NumberOutOfRange),
        (r#""a_double":"1""#, WrongType),
        (r#""a_boolean":1"#, WrongType),
        (r#""a_boolean":"true""#, WrongType),
        (r#""a_text":5"#, WrongType),
        (r#""a_varchar":"ééééééééé""#, ValueTooLong),
        (r#""a_text":"\ud800""#, LoneSurrogate),
        (r#""a_text":"\u0000""#, NulCharacter),
        (r#""a_json":["\u0000"]"#, NulCharacter),
        (r#""a_json":{"a":1,"\u0061":2}"#, DuplicateKey),
        (r#""a_json":{"\udc00":1}"#, LoneSurrogate),
        (r#""a_timestamp":"2026-02-30T00:00:00Z""#, InvalidTimestamp),
        (r#""a_timestamp":1e30"#, InvalidTimestamp),
        (r#""a_timestamp":true"#, WrongType),
        (r#""a_date":"2026-1-1""#, InvalidTimestamp),
        (r#""a_date":20260101"#, WrongType),
        (r#""a_text":NaN"#, MalformedJson),
        (r#""an_integer":05"#, MalformedJson),
        (r#""an_integer":5,"#, MalformedJson),
        (r#""a_text":"a","a_text":"a""#, DuplicateKey),
        (r#""a_text":null,"a_te\u0078t":"a""#, DuplicateKey),
        (r#""unknown":1,"unknown":1"#, DuplicateKey),
        (r#""unknown":1 "a_text":"a""#, MalformedJson),
        (r#""$envelope":1"#, ReservedKey),
    ] {
        assert_eq!(typed_reason(property), expected, "{property}");
    }
}

#[test]
fn columns_that_are_not_null_must_be_there() {
    let complete = r#"{"item_id":"sword","price_usd":4.99,"quantity":1}"#;
    assert_eq!(value(&row(&event("strict", "", complete)), "price_usd").as_deref(), Some("4.99"));
    let missing = rejection(event("strict", "", r#"{"item_id":"sword","quantity":1}"#));
    assert_eq!(missing.reason, RejectReason::MissingField);
    assert!(missing.detail.contains("properties.price_usd"), "{}", missing.detail);
    let null = event("strict", "", r#"{"item_id":null,"price_usd":4.99,"quantity":1}"#);
    assert_eq!(reason(null), RejectReason::NullNotAllowed);
    assert_eq!(reason(event("strict", "", "null")), RejectReason::MissingField);
    assert_eq!(reason(event("strict", "", "[]")), RejectReason::WrongType);
}

#[test]
fn the_envelope_is_checked() {
    use RejectReason::*;
    let envelope = |fields: &str| format!("{{{fields}}}");
    let (id, kind, time, player) =
        (r#""event_id":"e""#, r#""event_type":"bare""#, r#""event_time":0"#, r#""player_id":"p""#);
    assert_eq!(decode(&[envelope(&[id, kind, time, player].join(","))]).rejected, []);
    for (fields, expected) in [
        ([kind, time, player].join(","), MissingField),
        ([id, time, player].join(","), MissingField),
        ([id, kind, player].join(","), MissingField),
        ([id, kind, time].join(","), MissingField),
        ([id, kind, time, player, player].join(","), DuplicateKey),
        ([id, kind, time, r#""player_id":"""#].join(","), EmptyValue),
        ([id, kind, time, r#""player_id":null"#].join(","), NullNotAllowed),
        ([id, kind, time, r#""player_id":7"#].join(","), WrongType),
        ([id, r#""event_type":"Bare""#, time, player].join(","), UnknownEventType),
        ([id, r#""event_type":null"#, time, player].join(","), NullNotAllowed),
        ([id, kind, r#""event_time":null"#, player].join(","), NullNotAllowed),
        ([id, kind, r#""event_time":-1"#, player].join(","), InvalidTimestamp),
        ([id, kind, r#""event_time":"1969-12-31T23:59:59Z""#, player].join(","), InvalidTimestamp),
        ([id, kind, r#""event_time":"yesterday""#, player].join(","), InvalidTimestamp),
        ([id, kind, r#""event_time":"2099-01-01T00:00:00Z""#, player].join(","), FutureEvent),
        ([id, kind, time, player, r#""country":"DEU""#].join(","), InvalidCountry),
        ([id, kind, time, player, r#""country":"é""#].join(","), InvalidCountry),
        ([id, kind, time, player, r#""game":1"#].join(","), WrongType),
        (
            [id, kind, time, &format!(r#""player_id":"{}""#, "x".repeat(513))].join(","),
            ValueTooLong,
        ),
    ] {
        assert_eq!(reason(envelope(&fields)), expected, "{fields}");
    }
    let longest = format!(r#""player_id":"{}""#, "x".repeat(512));
    assert_eq!(decode(&[envelope(&[id, kind, time, &longest].join(","))]).rejected, []);
}

#[test]
fn an_event_may_be_a_day_early_but_not_more() {
    let at = |micros: i64| {
        let (millis, rest) = (micros / 1000, micros % 1000);
        let record = format!(
            r#"{{"event_id":"e","event_type":"bare","event_time":{millis}.{rest:03},"player_id":"p"}}"#
        );
        decode(&[record]).rejected.first().map(|rejection| rejection.reason)
    };
    let day = 86_400_000_000;
    assert_eq!(at(RECEIVED_AT + day), None);
    assert_eq!(at(RECEIVED_AT + day + 1), Some(RejectReason::FutureEvent));
}

#[test]
fn fields_may_come_in_any_order() {
    let record = r#" { "properties" : {"a_text":"x","b":2} , "player_id" : "p1" , "other":[1 ],
        "event_time":1780315198125,"event_type":"typed","event_id":"e1" } "#;
    let batch = row(record);
    assert_eq!(value(&batch, "a_text").as_deref(), Some("x"));
    assert_eq!(value(&batch, "extra").as_deref(), Some(r#"{"$envelope":{"other":[1 ]},"b":2}"#));
    assert_eq!(value(&batch, "event_time").as_deref(), Some("1780315198125000"));
}

#[test]
fn senders_of_different_styles_share_a_batch() {
    let dense = event("typed", r#","game":"g""#, r#"{"a_text":"x","an_integer":5}"#);
    let spaced = dense.replace("\":", "\": ").replace(",\"", ", \"");
    let lavish = dense.replace("\":", "\" :\r\n\t ").replace(",\"", " ,\n\"");
    let sparse = event("typed", "", r#"{"an_integer":5,"a_text":"x"}"#);
    let records = [&dense, &spaced, &dense, &lavish, &spaced, &sparse, &lavish, &dense];
    let decoded = decode(&records);
    assert_eq!(decoded.rejected, []);
    let batch = &decoded.tables[0].batch;
    for row in 0..records.len() {
        let row = batch.slice(row, 1);
        assert_eq!(value(&row, "a_text").as_deref(), Some("x"));
        assert_eq!(value(&row, "an_integer").as_deref(), Some("5"));
    }
}

#[test]
fn unknown_fields_are_kept_as_they_came() {
    let properties = r#"{"z":1.50,"a_text":"x","\u0061\"":{"k": null}}"#;
    let batch = row(&event("typed", r#","trace":"t","span":{}"#, properties));
    assert_eq!(
        value(&batch, "extra").as_deref(),
        Some(r#"{"$envelope":{"trace":"t","span":{}},"z":1.50,"\u0061\"":{"k": null}}"#)
    );
    let batch = row(&event("bare", "", r#"{"z":[]}"#));
    assert_eq!(value(&batch, "extra").as_deref(), Some(r#"{"z":[]}"#));
}

#[test]
fn unknown_fields_are_bounded() {
    let properties = |count: usize| {
        let fields: Vec<String> = (0..count).map(|index| format!("\"k{index}\":0")).collect();
        event("bare", "", &format!("{{{}}}", fields.join(",")))
    };
    assert_eq!(decode(&[properties(1000)]).rejected, []);
    assert_eq!(reason(properties(1001)), RejectReason::TooManyFields);
}

#[test]
fn broken_records_are_told_from_wrong_ones() {
    use RejectReason::*;
    assert_eq!(reason(""), MalformedJson);
    assert_eq!(reason("  "), MalformedJson);
    assert_eq!(reason("[1]"), NotAnObject);
    assert_eq!(reason("[1"), MalformedJson);
    assert_eq!(reason("7"), NotAnObject);
    assert_eq!(reason("{} {}"), MalformedJson);
    assert_eq!(reason("{}"), MissingField);
    assert_eq!(reason(b"{\"a\":\"\xff\"}"), InvalidUtf8);
    let wrong_and_broken = event("typed", "", r#"{"an_integer":"x"}"#);
    assert_eq!(reason(&wrong_and_broken), WrongType);
    assert_eq!(reason(&wrong_and_broken[..wrong_and_broken.len() - 1]), MalformedJson);
    assert_eq!(reason("{\"a\":".repeat(200) + "1" + &"}".repeat(200)), TooDeep);
    assert_eq!(reason(vec![b' '; (1 << 20) + 1]), RecordTooLong);
}

#[test]
fn nesting_counts_from_the_record_itself() {
    let nested = |depth: usize| {
        let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        decode(&[event("typed", "", &format!("{{\"a_json\":{json}}}"))])
    };
    assert_eq!(nested(126).rejected, []);
    assert_eq!(nested(127).rejected[0].reason, RejectReason::TooDeep);
}

#[test]
fn the_event_type_of_a_rejection_is_found_wherever_it_stands() {
    let record = r#"{"event_id":7,"a":{"event_type":"no"},"event_type":"typed"}"#;
    let rejection = rejection(record);
    assert_eq!(rejection.event_type.as_deref(), Some("typed"));
    assert_eq!(rejection.reason, RejectReason::WrongType);
    assert_eq!(self::rejection("{\"event_type\":\"bare\"").event_type.as_deref(), Some("bare"));
}

#[test]
fn details_are_for_a_person() {
    let detail = |record: String| rejection(record).detail;
    let wrong = event("strict", "", r#"{"price_usd":"abc"}"#);
    let at = wrong.find("\"abc\"").unwrap();
    assert_eq!(
        detail(wrong),
        format!(
            "properties.price_usd: expected a DECIMAL(10,2), found the string \"abc\" at byte {at}"
        )
    );
    assert_eq!(
        detail(event("typd", "", "{}")),
        "no contract describes the event type \"typd\"; did you mean typed?"
    );
    let long = detail(event("typed", "", &format!(r#"{{"an_integer":"{}"}}"#, "x".repeat(9999))));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn characters_cut_at_a_record_boundary_are_not_utf8() {
    // Together the two are valid UTF-8, alone neither is.
    let decoded = decode(&[b"\"\xC3".as_slice(), b"\xA9\""]);
    let reasons: Vec<_> = decoded.rejected.iter().map(|rejection| rejection.reason).collect();
    assert_eq!(reasons, [RejectReason::InvalidUtf8; 2]);
}

#[test]
fn a_record_never_continues_in_the_next_one() {
    let good = event("bare", "", "{}");
    for cut in 1..good.len() {
        let decoded = decode(&[&good[..cut], &good[cut..], &good]);
        assert_eq!(decoded.rejected.len(), 2, "cut at {cut}");
        assert_eq!(decoded.tables[0].records, [2]);
    }
}

#[test]
fn spans_outside_of_the_data_are_rejected() {
    let mut raw = raw(&[event("bare", "", "{}")]);
    let start = raw.records[0].start;
    raw.records.push(RecordSpan { start: start + 10, ..raw.records[0] });
    raw.records.push(RecordSpan { start: u32::MAX, length: u32::MAX, partition: 0, offset: 0 });
    let decoded = Decoder::new(contracts(), DecodeLimits::default()).decode(&raw, RECEIVED_AT);
    assert_eq!(decoded.rows(), 1);
    assert_eq!(decoded.rejected.len(), 2);
    assert_eq!(raw.record_bytes(2), None);
}

#[test]
fn threads_share_a_batch() {
    let records: Vec<String> =
        (0..100).map(|index| event(["bare", "typed", "nope"][index % 3], "", "{}")).collect();
    let raw = raw(&records);
    for count in [0, 1, 2, 3, 200] {
        let mut decoders: Vec<Decoder> =
            (0..count).map(|_| Decoder::new(contracts(), DecodeLimits::default())).collect();
        let parts = decode_parallel(&mut decoders, &raw, RECEIVED_AT);
        assert_eq!(parts.len(), count.max(1));
        let mut seen: Vec<u32> = Vec::new();
        for part in &parts {
            seen.extend(part.tables.iter().flat_map(|table| &table.records));
            seen.extend(part.rejected.iter().map(|rejection| rejection.record));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<u32>>());
    }
}

#[test]
fn hostile_records_take_linear_time() {
    // Each is near the limit of a record; quadratic work on one would take minutes.
    let keys = |count: usize| -> String {
        let keys: Vec<String> = (0..count).map(|index| format!("\"{index:06}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    let records = [
        event("typed", "", &keys(80_000)),
        event("typed", "", &format!("{{\"a_json\":{}}}", keys(80_000))),
        event("typed", "", &format!("{{\"a_json\":{}", "[".repeat(1_000_000))),
        event("typed", "", &format!("{{\"a_decimal\":{}}}", "9".repeat(1_000_000))),
        event("typed", "", &format!("{{\"a_double\":{}.5}}", "9".repeat(1_000_000))),
        event("typed", "", &format!("{{\"a_text\":\"{}\"}}", "\\u00e9".repeat(170_000))),
        event("typed", "", &format!("{{\"a_json\":{}}}", "{\"a\":".repeat(100_000))),
    ];
    let decoded = decode(&records);
    assert_eq!(decoded.rows() + decoded.rejected.len(), records.len());
    assert_eq!(decoded.tables[0].records, [1, 5]);
}

#[test]
fn the_fuzzing_entry_accepts_good_and_bad_lines() {
    let lines = [event("typed", "", "{\"a_double\":1}"), "{".to_owned(), event("bare", "", "{}")];
    fuzz_decode(lines.join("\n").as_bytes());
    fuzz_decode(b"\xff\n{\"event_type\":\"\\ud800\"}");
    fuzz_decode(b"");
}

#[test]
fn the_schema_is_the_contracts_own() {
    let decoded = decode(&[event("typed", "", "{}")]);
    let table = &decoded.tables[0];
    assert!(Arc::ptr_eq(&table.batch.schema(), &table.contract.schema));
}

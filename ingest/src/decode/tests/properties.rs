//! Laws that hold for any input.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use super::super::fuzzing::{RECEIVED_AT, contracts, fates, fuzz_decode};
use super::super::{DecodeLimits, Decoder};
use super::{event, raw};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_260_601),
        ..ProptestConfig::default()
    }
}

/// Pieces of JSON, good and bad, that make records when they are put together.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\t",
        "\"",
        "\\",
        "\"a\"",
        "\"event_id\":\"e\"",
        "\"event_type\":\"typed\"",
        "\"event_type\":\"bare\"",
        "\"event_time\":0",
        "\"player_id\":\"p\"",
        "\"properties\":{",
        "\"a_double\":",
        "\"a_json\":",
        "\"a_text\":",
        "\"a_decimal\":",
        "\"an_integer\":",
        "\"a_timestamp\":",
        "\"country\":\"de\"",
        "0",
        "-1",
        "01",
        "1.5",
        "1.",
        "1e5",
        "1e",
        "1e999",
        "true",
        "false",
        "null",
        "nul",
        "\"\\n\"",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"\\x\"",
        "\"é\"",
        "\u{1}",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A change to one record.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Delete(Index),
    Truncate(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let insert = prop_oneof![prop::collection::vec(any::<u8>(), 1..4), pieces()];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        (any::<Index>(), insert).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        any::<Index>().prop_map(Mutation::Delete),
        any::<Index>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(record: &mut Vec<u8>, mutation: &Mutation) {
    if record.is_empty() {
        return;
    }
    match mutation {
        Mutation::Flip(at, byte) => {
            let at = at.index(record.len());
            record[at] = *byte;
        }
        Mutation::Insert(at, bytes) => {
            let at = at.index(record.len() + 1);
            record.splice(at..at, bytes.iter().copied());
        }
        Mutation::Delete(at) => {
            record.remove(at.index(record.len()));
        }
        Mutation::Truncate(at) => record.truncate(at.index(record.len())),
    }
}

fn good_records() -> Vec<Vec<u8>> {
    let all = r#"{"a_boolean":true,"a_smallint":-5,"an_integer":70000,"a_bigint":5000000000,
        "a_double":0.25,"a_decimal":"12.30","a_wide_decimal":1e10,"a_text":"J\u00fcrgen \ud83d\ude00",
        "a_varchar":"über","a_timestamp":"2026-05-31T23:59:59.999999+02:00","a_date":"2000-02-29",
        "a_json":{"k":[1,{"k":null}]},"unknown":[{}]}"#;
    let purchase = r#"{"item_id":"sword_of_dawn","price_usd":4.99,"quantity":1}"#;
    let more = r#","session_id":"s1","platform":"ios","country":"DE","trace":"t""#;
    [
        event("typed", more, all),
        event("strict", "", purchase),
        event("bare", more, "{}"),
        event("typed", "", r#"{"an_integer":null}"#),
        event("strict", more, purchase),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What becomes of the records, decoded one behind the other in one batch.
fn fates_of(records: &[Vec<u8>]) -> Vec<String> {
    let raw = raw(records);
    let mut decoder = Decoder::new(contracts(), DecodeLimits::default());
    fates(&raw, &decoder.decode(&raw, RECEIVED_AT))
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn arbitrary_bytes_keep_the_invariants(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_decode(&data);
    }

    #[test]
    fn pieces_of_json_keep_the_invariants(lines in prop::collection::vec(pieces(), 0..4)) {
        fuzz_decode(&lines.join(&b'\n'));
    }

    #[test]
    fn mutated_records_do_not_touch_their_neighbours(
        which in 0..5_usize,
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        let mut records = good_records();
        let before = fates_of(&records);
        for mutation in &mutations {
            mutate(&mut records[which], mutation);
        }
        let mut with = fates_of(&records);
        let mutated = with.remove(which);
        prop_assert!(!mutated.is_empty());
        let mut expected = before;
        expected.remove(which);
        prop_assert_eq!(with, expected);

        // The same record as a line, with all that the fuzzing entry asserts.
        let bytes = std::mem::take(&mut records[which]);
        fuzz_decode(&bytes);
    }

    #[test]
    fn values_of_every_type_come_back_exactly(
        events in prop::collection::vec(typed_event(), 1..5),
    ) {
        // Several events in one batch, since each is read by what was learned from the others.
        let records: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
        let decoded = Decoder::new(contracts(), DecodeLimits::default())
            .decode(&raw(&records), RECEIVED_AT);
        prop_assert_eq!(&decoded.rejected, &[]);
        let batch = &decoded.tables[0].batch;
        for (row, event) in events.iter().enumerate() {
            for (column, expected) in COLUMNS.iter().zip(&event.values) {
                let array = batch.column_by_name(column).unwrap().slice(row, 1);
                prop_assert_eq!(&stored(&array), expected, "{}", column);
            }
        }
    }

    #[test]
    fn json_columns_and_extra_hold_what_was_sent(sent in json_value()) {
        let record = event("typed", "", &format!("{{\"a_json\":{sent},\"other\":{sent}}}"));
        let decoded = Decoder::new(contracts(), DecodeLimits::default())
            .decode(&raw(&[&record]), RECEIVED_AT);
        prop_assert_eq!(&decoded.rejected, &[]);
        let batch = &decoded.tables[0].batch;
        let extra = batch.column_by_name("extra").unwrap().as_string::<i32>().value(0);
        prop_assert_eq!(extra, format!("{{\"other\":{sent}}}"));
        let json = batch.column_by_name("a_json").unwrap().as_string::<i32>();
        match sent.is_null() {
            true => prop_assert!(json.is_null(0)),
            false => prop_assert_eq!(json.value(0), sent.to_string()),
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let text = || any::<String>().prop_map(|text| text.replace('\0', ""));
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(text(), inner, 0..20)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

const COLUMNS: [&str; 11] = [
    "a_boolean",
    "a_smallint",
    "an_integer",
    "a_bigint",
    "a_double",
    "a_decimal",
    "a_wide_decimal",
    "a_text",
    "a_varchar",
    "a_timestamp",
    "a_date",
];

/// A value as it must be stored.
#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(u64),
    Text(String),
}

fn stored(array: &ArrayRef) -> Stored {
    use arrow::datatypes::DataType::*;
    if array.is_null(0) {
        return Stored::Null;
    }
    let integer = match array.data_type() {
        Boolean => return Stored::Boolean(array.as_boolean().value(0)),
        Utf8 => return Stored::Text(array.as_string::<i32>().value(0).to_owned()),
        Float64 => {
            return Stored::Float(array.as_primitive::<Float64Type>().value(0).to_bits());
        }
        Int16 => array.as_primitive::<Int16Type>().value(0).into(),
        Int32 => array.as_primitive::<Int32Type>().value(0).into(),
        Int64 => array.as_primitive::<Int64Type>().value(0).into(),
        Decimal128(..) => array.as_primitive::<Decimal128Type>().value(0),
        Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(0).into(),
        Date32 => array.as_primitive::<Date32Type>().value(0).into(),
        other => panic!("no column has type {other}"),
    };
    Stored::Integer(integer)
}

#[derive(Debug, Clone)]
struct TypedEvent {
    json: String,
    values: Vec<Stored>,
}

/// An event with any values in any order, and what its row must hold.
fn typed_event() -> impl Strategy<Value = TypedEvent> {
    let values = [
        any::<bool>().prop_map(|value| (value.to_string(), Stored::Boolean(value))).boxed(),
        any::<i16>().prop_map(|value| (value.to_string(), Stored::Integer(value.into()))).boxed(),
        any::<i32>().prop_map(|value| (value.to_string(), Stored::Integer(value.into()))).boxed(),
        any::<i64>().prop_map(|value| (value.to_string(), Stored::Integer(value.into()))).boxed(),
        any::<f64>()
            .prop_map(|value| (format!("{value:?}"), Stored::Float(value.to_bits())))
            .boxed(),
        decimal(10, 2).boxed(),
        decimal(38, 10).boxed(),
        text(0..60).boxed(),
        text(0..9).boxed(),
        timestamp().boxed(),
        date().boxed(),
    ];
    let optional = values.map(|value| {
        prop_oneof![
            4 => value.prop_map(|(json, stored)| (Some(json), stored)),
            1 => Just((Some("null".to_owned()), Stored::Null)),
            1 => Just((None, Stored::Null)),
        ]
    });
    let columns: Vec<usize> = (0..COLUMNS.len()).collect();
    let space = select(vec!["", "", " ", "\n", "\t \r\n"]);
    (optional.to_vec(), Just(columns).prop_shuffle(), space, any::<bool>()).prop_map(
        |(values, order, space, properties_first)| {
            let fields: Vec<String> = order
                .into_iter()
                .filter_map(|column| {
                    let json = values[column].0.as_ref()?;
                    Some(format!("{space}\"{}\"{space}:{space}{json}{space}", COLUMNS[column]))
                })
                .collect();
            let properties = format!("{{{space}{}}}", fields.join(","));
            let envelope = r#""event_id":"e","event_type":"typed","event_time":0,"player_id":"p""#;
            let json = match properties_first {
                true => format!("{{\"properties\":{properties},{space}{envelope}}}{space}"),
                false => format!("{space}{{{envelope},\"properties\":{properties}}}"),
            };
            TypedEvent { json, values: values.into_iter().map(|(_, stored)| stored).collect() }
        },
    )
}

fn decimal(precision: u32, scale: u32) -> impl Strategy<Value = (String, Stored)> {
    let bound = 10_i128.pow(precision);
    (1 - bound..bound, any::<bool>()).prop_map(move |(value, is_quoted)| {
        let unit = 10_u128.pow(scale);
        let magnitude = value.unsigned_abs();
        let sign = if value < 0 { "-" } else { "" };
        let (whole, fraction) = (magnitude / unit, magnitude % unit);
        let number = format!("{sign}{whole}.{fraction:0width$}", width = scale as usize);
        let json = if is_quoted { format!("\"{number}\"") } else { number };
        (json, Stored::Integer(value))
    })
}

fn text(chars: std::ops::Range<usize>) -> impl Strategy<Value = (String, Stored)> {
    let character = any::<char>().prop_filter("U+0000 is refused", |character| *character != '\0');
    let texts = prop::collection::vec(character, chars).prop_map(String::from_iter);
    (texts, any::<bool>()).prop_map(|(text, escape_all)| {
        let json = match escape_all {
            true => {
                let escapes: String =
                    text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{escapes}\"")
            }
            false => serde_json::Value::from(text.as_str()).to_string(),
        };
        (json, Stored::Text(text))
    })
}

fn timestamp() -> impl Strategy<Value = (String, Stored)> {
    // A day from either end, so that the offset stays within the years 1 to 9999.
    let micros = -62_135_510_400_000_000_i64..253_402_214_400_000_000;
    (micros, -1439..=1439_i32).prop_map(|(micros, offset_minutes)| {
        let offset = chrono::FixedOffset::east_opt(offset_minutes * 60).unwrap();
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&offset);
        (format!("\"{}\"", time.to_rfc3339()), Stored::Integer(micros.into()))
    })
}

fn date() -> impl Strategy<Value = (String, Stored)> {
    (-719_162..2_932_896_i32).prop_map(|days| {
        let date = chrono::NaiveDate::from_epoch_days(days).unwrap();
        (format!("\"{date}\""), Stored::Integer(days.into()))
    })
}

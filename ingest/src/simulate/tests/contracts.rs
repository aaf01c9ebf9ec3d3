//! The simulated events against the contract files of the bundled game, read in the simplest way:
//! one column a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{HEAVY, lines, options, run};
use crate::simulate::FaultRates;
use crate::simulate::event::EventType;

struct Column {
    data_type: String,
    required: bool,
    accepted: Option<Vec<String>>,
}

fn contract(event_type: &str) -> BTreeMap<String, Column> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/events");
    let text = std::fs::read_to_string(folder.join(format!("{event_type}.sql"))).unwrap();
    assert!(text.starts_with("-- "), "{event_type}: no description");
    assert!(text.contains(&format!("CREATE TABLE {event_type} (")), "{event_type}: other name");
    let mut columns = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        let (definition, comment) = line.split_once(" -- ").expect("a comment per column");
        assert!(!comment.trim().is_empty());
        let mut words = definition.split_whitespace();
        let name = words.next().unwrap().to_owned();
        let data_type = words.next().unwrap().trim_end_matches(',').to_owned();
        let accepted = definition
            .split_once(" IN (")
            .map(|(_, list)| list.split('\'').skip(1).step_by(2).map(str::to_owned).collect());
        let required = definition.contains("NOT NULL");
        columns.insert(name, Column { data_type, required, accepted });
    }
    columns
}

fn fits(column: &Column, value: &Value) -> bool {
    let whole = |least: i64, most: i64| {
        value.as_i64().is_some_and(|number| (least..=most).contains(&number))
    };
    let fits_type = match column.data_type.as_str() {
        "BOOLEAN" => value.is_boolean(),
        "SMALLINT" => whole(i16::MIN.into(), i16::MAX.into()),
        "INTEGER" => whole(i32::MIN.into(), i32::MAX.into()),
        "BIGINT" => whole(i64::MIN, i64::MAX),
        "DOUBLE" => value.is_f64(),
        "DECIMAL(10,2)" | "DECIMAL(12,6)" => {
            value.as_f64().is_some_and(|number| (0.0..1e6).contains(&number))
        }
        "TEXT" => value.is_string(),
        "TIMESTAMP" => {
            value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok())
        }
        "DATE" => value.as_str().is_some_and(|text| text.parse::<chrono::NaiveDate>().is_ok()),
        "JSON" => true,
        limited => {
            let limit = limited.strip_prefix("VARCHAR(").and_then(|rest| rest.strip_suffix(')'));
            let limit: usize = limit.unwrap_or_else(|| panic!("{limited}")).parse().unwrap();
            value.as_str().is_some_and(|text| text.chars().count() <= limit)
        }
    };
    let is_accepted = column
        .accepted
        .as_ref()
        .is_none_or(|accepted| accepted.iter().any(|text| Some(text.as_str()) == value.as_str()));
    fits_type && is_accepted
}

#[test]
fn every_event_fits_its_contract_and_every_column_is_used() {
    let contracts: BTreeMap<_, _> =
        EventType::NAMES.iter().map(|name| (*name, contract(name))).collect();
    let (output, _) = run(&options(800, 10, 4, FaultRates::default()));
    let mut used = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for line in lines(&output) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let event_type = event["event_type"].as_str().unwrap();
        let columns = &contracts[event_type];
        let properties = event["properties"].as_object().unwrap();
        for (name, value) in properties {
            let Some(column) = columns.get(name) else {
                unknown.insert(name.clone());
                continue;
            };
            assert!(fits(column, value), "{event_type}.{name}: {value}");
            used.insert((event_type.to_owned(), name.clone()));
        }
        for (name, column) in columns.iter().filter(|(_, column)| column.required) {
            assert!(properties.contains_key(name), "{event_type}.{name}: {}", column.data_type);
        }
    }
    assert_eq!(unknown, BTreeSet::from(["ab_bucket".into(), "debug".into()]));
    for (event_type, columns) in &contracts {
        for name in columns.keys() {
            let place = ((*event_type).to_owned(), name.clone());
            assert!(used.contains(&place), "{event_type}.{name} is never sent");
        }
    }
}

#[test]
fn there_are_no_other_contracts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/events");
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files, EventType::COUNT);
}

#[test]
fn valid_oddities_occur() {
    let (output, _) = run(&options(300, 6, 4, HEAVY));
    let has = |needle: &[u8]| output.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"{\"properties\":{"), "properties before event_type");
    assert!(has(b"\"event_time\":17"), "epoch milliseconds");
    assert!(has(b",\"sdk\":\"unity"), "an unknown field");
    assert!(has(b"\"country\":null"), "a null in the envelope");
    assert!(has(b"\\u00fc"), "an escape");
    assert!(has("さくら".as_bytes()), "a text in UTF-8");
}

//! What the API says is the truth, cell by cell.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{Client, dataset};

/// Relative tolerance of figures that are not whole, as in `questlake verify`.
const TOLERANCE: f64 = 1e-9;

fn is_same(kind: &str, told: &Value, truth: &Value) -> bool {
    if told.is_null() || truth.is_null() {
        return told == truth;
    }
    match kind {
        "share" | "number" => {
            let (told, truth) = (told.as_f64().unwrap(), truth.as_f64().unwrap());
            (told - truth).abs() <= TOLERANCE * truth.abs().max(1.0)
        }
        "timestamp" => told.as_str().unwrap().replace(".000000Z", "Z") == truth.as_str().unwrap(),
        _ => told == truth,
    }
}

#[test]
fn every_cell_of_every_mart_is_the_truth() {
    let truth = dataset().truth;
    let client = Client::new();
    let marts = client.get("/api/v1/marts").ok();
    let mut cells = 0;
    for mart in marts["marts"].as_array().unwrap() {
        let name = mart["name"].as_str().unwrap();
        let table = serde_json::to_value(&truth.tables[name]).unwrap();
        let key = table["key"].as_array().unwrap().len();
        let columns: Vec<(&str, &str)> = table["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| (column["name"].as_str().unwrap(), column["kind"].as_str().unwrap()))
            .collect();
        let filters = mart["filters"].as_array().unwrap().iter();
        let every: String =
            filters.map(|filter| format!("&{}=*", filter["column"].as_str().unwrap())).collect();
        let key_of = |row: &[Value]| json!(row[..key]).to_string();
        let mut expected: BTreeMap<String, Vec<Value>> = table["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().clone())
            .map(|row| (key_of(&row), row))
            .collect();
        let mut cursor = String::new();
        loop {
            let page = client.get(&format!("/api/v1/marts/{name}?limit=50000{every}{cursor}"));
            for row in page.rows() {
                let told: Vec<Value> = columns.iter().map(|(name, _)| row[*name].clone()).collect();
                let Some(truth) = expected.remove(&key_of(&told)) else {
                    panic!("{name} has a row that is not true: {told:?}");
                };
                for (((column, kind), told), truth) in columns.iter().zip(&told).zip(&truth) {
                    assert!(is_same(kind, told, truth), "{name}.{column}: {told}, not {truth}");
                    cells += 1;
                }
            }
            match page.json()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(expected.is_empty(), "{name} lacks {} rows", expected.len());
    }
    assert!(cells > 100_000, "{cells}");
}

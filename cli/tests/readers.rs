//! The archive opens in other programs, with the same rows.
//!
//! `scripts/readers.sh` installs them, as `make test` does by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/dataset.rs"]
mod dataset;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/inspect.rs"]
mod inspect;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "support/sandbox.rs"]
mod sandbox;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::datatypes::DataType;
use questlake_engine::project::contract::EventContract;
use serde_json::{Map, Value, json};

use dataset::Dataset;
use inspect::{archive_files, queried_days, true_days};
use sandbox::{Finished, Running, Sandbox, bundled_project};

/// Small data sets; but Python and Java want their files on a disk of some size.
const SANDBOXES_IN_MEMORY: bool = false;

/// Those that follow the log of a Delta table.
const DELTA_READERS: [&str; 3] = ["deltalake", "polars", "duckdb-delta"];

/// Those that read every Parquet file in a table's folder.
const PARQUET_READERS: [&str; 3] = ["duckdb-parquet", "pyarrow", "pyspark"];

/// The Python of the readers' environment.
fn python() -> PathBuf {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
    };
    let environment = cache.join("questlake/readers-venv");
    let wanted = fs::read(scripts_folder().join("requirements.txt")).unwrap();
    assert!(
        fs::read(environment.join("requirements.txt")).is_ok_and(|found| found == wanted),
        "the readers are not installed in {}, or are others than requirements.txt names; run \
         scripts/readers.sh (make test does it by itself)",
        environment.display()
    );
    environment.join("bin/python")
}

fn scripts_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers")
}

/// What kind of figures a column has.
fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 | DataType::Int32 | DataType::Int64 => "integer",
        DataType::Float64 => "double",
        DataType::Decimal128(..) => "decimal",
        DataType::Date32 => "date",
        DataType::Timestamp(..) => "timestamp",
        DataType::Utf8 | DataType::Dictionary(..) => "text",
        other => panic!("no reader is asked for columns of type {other}"),
    }
}

/// The query for the figures of a type's columns, which stand in `compare.py`.
fn figures_query(contract: &EventContract) -> String {
    let mut figures =
        vec!["count(*) AS rows".to_owned(), "count(DISTINCT event_id) AS events".to_owned()];
    for field in contract.schema.fields() {
        let name = field.name();
        let column = format!("\"{name}\"");
        let mut add = |sql: String, figure: &str| {
            figures.push(format!("{sql} AS \"{name}.{figure}\""));
        };
        add(format!("count({column})"), "values");
        let ends = match kind(field.data_type()) {
            "boolean" => {
                add(format!("sum(CAST({column} AS INT))"), "true");
                continue;
            }
            "integer" | "double" => {
                add(format!("sum({column})"), "sum");
                "{end}({column})"
            }
            "decimal" => {
                // As text: JSON's numbers have no fixed digits.
                add(format!("CAST(sum({column}) AS VARCHAR)"), "sum");
                "CAST({end}({column}) AS VARCHAR)"
            }
            "text" => {
                let text = format!("CAST({column} AS VARCHAR)");
                add(format!("sum(octet_length({text}))"), "bytes");
                "{end}(CAST({column} AS VARCHAR))"
            }
            "date" => "CAST({end}({column}) AS VARCHAR)",
            // Microseconds since 1970.
            _ => "CAST({end}({column}) AS BIGINT)",
        };
        for end in ["min", "max"] {
            add(ends.replace("{end}", end).replace("{column}", &column), end);
        }
    }
    format!("SELECT {} FROM events.{}", figures.join(", "), contract.event_type)
}

/// What every reader must find: for each event type its columns and their figures.
fn expected(sandbox: &Sandbox, contracts: &[std::sync::Arc<EventContract>]) -> Value {
    let mut types = Map::new();
    for contract in contracts {
        let row = sandbox.query(&figures_query(contract)).swap_remove(0);
        assert!(row["rows"].as_u64().unwrap() > 0, "no events of type {}", contract.event_type);
        let fields = contract.schema.fields().iter();
        let columns: Map<String, Value> =
            fields.map(|field| (field.name().clone(), kind(field.data_type()).into())).collect();
        types.insert(contract.event_type.clone(), json!({ "columns": columns, "figures": row }));
    }
    types.into()
}

/// Runs readers over the archive, each in a process of its own; they must agree with what
/// `questlake query` said.
fn compare(sandbox: &Sandbox, python: &Path, expected: &Path, readers: &[&str], rows: u64) {
    for reader in readers {
        compare_one(sandbox, python, expected, reader, rows);
    }
}

fn compare_one(sandbox: &Sandbox, python: &Path, expected: &Path, reader: &str, rows: u64) {
    let mut command = Command::new(python);
    command
        .arg(scripts_folder().join("compare.py"))
        .arg(sandbox.data().join("archive"))
        .arg(expected)
        .arg(reader)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let finished: Finished = Running::start(&mut command).finish();
    assert!(finished.status.success(), "{}", finished.text());
    let line = finished.stdout.lines().find(|line| line.starts_with(&format!("{reader}: ")));
    let line = line.unwrap_or_else(|| panic!("{reader} says nothing: {finished:#?}"));
    assert!(line.ends_with(&format!(", {rows} rows")), "{line}");
    eprintln!("{line}");
}

#[test]
fn other_programs_read_the_same_rows() {
    let python = python();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (project, _) =
        runtime.block_on(questlake_engine::project::load(&bundled_project())).unwrap();
    let dataset = Dataset::simulate(150, 8, 91);
    let sandbox = Sandbox::new();
    // Three portions with events of every day: the first two are put together, so that there are
    // replaced files that only the log excludes, and several files a day.
    for portion in 0..3 {
        let lines = dataset.lines.iter().skip(portion).step_by(3);
        let lines: Vec<u8> = lines.flatten().copied().collect();
        let file = sandbox.write(&format!("portion-{portion}.ndjson"), lines);
        sandbox.ingest(&[&file]);
        sandbox.etl();
        sandbox.archive(if portion == 1 { &["--optimize"] } else { &[] });
    }
    assert_eq!(queried_days(&sandbox), true_days(&dataset));
    let types: BTreeSet<_> = dataset.truth.events.iter().map(|count| &count.event_type).collect();
    let contracts: Vec<_> = project
        .contracts
        .iter()
        .filter(|contract| types.contains(&contract.event_type))
        .cloned()
        .collect();
    assert!(contracts.len() >= 10, "{types:?}");
    let figures = expected(&sandbox, &contracts).to_string();
    let figures = sandbox.write("expected.json", figures);
    let rows = dataset.truth.accounting.landed;
    compare(&sandbox, &python, &figures, &DELTA_READERS, rows);

    let before = archive_files(&sandbox).len();
    sandbox.archive(&["--vacuum", "--archive-vacuum-after", "0s"]);
    assert!(archive_files(&sandbox).len() < before);
    let all = [DELTA_READERS, PARQUET_READERS].concat();
    compare(&sandbox, &python, &figures, &all, rows);
}

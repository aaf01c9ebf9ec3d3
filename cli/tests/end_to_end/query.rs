//! Ad-hoc SQL: what it answers, what it refuses, and how it ends.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::dataset::Dataset;
use crate::inspect::number;
use crate::sandbox::{Running, Sandbox, bundled_project, copy_folder, wait_for};

/// A query that takes longer than anybody waits, in little memory.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 400000) AS a \
                       CROSS JOIN generate_series(1, 400000) AS b WHERE a.value * b.value = 7";

/// An installation with simulated events and an up-to-date star schema.
fn prepared(players: u32, days: u32, seed: u64) -> (Sandbox, Dataset) {
    let sandbox = Sandbox::new();
    let dataset = Dataset::simulate(players, days, seed);
    let events = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&events]);
    sandbox.etl();
    (sandbox, dataset)
}

/// The rows of a query.
fn rows(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["query"];
    all.extend(arguments);
    all.extend(["--format", "json"]);
    sandbox.succeed(&all).json().as_array().unwrap().clone()
}

/// The one value of a query.
fn value(sandbox: &Sandbox, sql: &str) -> Value {
    let found = rows(sandbox, &[sql]);
    assert_eq!(found.len(), 1, "{sql}");
    found[0].as_object().unwrap().values().next().unwrap().clone()
}

#[test]
fn every_format_gives_the_same_rows() {
    const SQL: &str = "SELECT player_id, cohort_date, first_event_at, events, display_name \
                       FROM dim_player ORDER BY player_id LIMIT 40";
    let (sandbox, _) = prepared(60, 4, 3);
    let json = rows(&sandbox, &[SQL]);
    assert_eq!(json.len(), 40);
    assert!(json[0]["first_event_at"].as_str().unwrap().ends_with('Z'), "{:?}", json[0]);

    let lines = sandbox.succeed(&["query", SQL, "--format", "ndjson"]).stdout;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, json);

    // A pipe gets CSV unless it asks for something else.
    let csv = sandbox.succeed(&["query", SQL]).stdout;
    let mut csv_lines = csv.lines();
    let heading = "player_id,cohort_date,first_event_at,events,display_name";
    assert_eq!(csv_lines.next(), Some(heading));
    let first = csv_lines.next().unwrap();
    assert!(first.starts_with(json[0]["player_id"].as_str().unwrap()), "{first}");

    let table = sandbox.succeed(&["query", SQL, "--format", "table"]);
    assert!(table.stdout.contains(json[39]["player_id"].as_str().unwrap()), "{table:#?}");
    assert!(table.stderr.contains("40 rows in"), "{table:#?}");

    let parquet = sandbox.path("x.parquet");
    sandbox.succeed(&["query", SQL, "--output", parquet.to_str().unwrap()]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&parquet).unwrap()).unwrap();
    let count: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(count, 40);

    let arrow = sandbox.path("x.arrow");
    sandbox.succeed(&["query", SQL, "-o", arrow.to_str().unwrap()]);
    let reader =
        arrow::ipc::reader::FileReader::try_new(File::open(&arrow).unwrap(), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 40);
    assert_eq!(batches[0].schema().field(4).name(), "display_name");

    // Money has the same digits everywhere.
    let sql = "SELECT sum(revenue_usd) AS usd FROM fact_purchase";
    let json = sandbox.succeed(&["query", sql, "--format", "ndjson"]).stdout;
    let csv = sandbox.succeed(&["query", sql, "--format", "csv"]).stdout;
    let usd = csv.lines().nth(1).unwrap();
    assert!(json.contains(&format!("\"usd\":{usd}}}")), "{json} {csv}");

    let file = sandbox.write("mine.sql", "-- title: Mine\nSELECT 7 AS seven\n");
    let file = file.to_str().unwrap();
    assert_eq!(sandbox.succeed(&["query", "-f", file]).stdout, "seven\n7\n");
    assert_eq!(sandbox.succeed(&["query", file]).stdout, "seven\n7\n");
    let piped = sandbox.run_with_input(&["query", "-"], b"SELECT 8 AS eight;");
    assert_eq!(piped.stdout, "eight\n8\n", "{piped:#?}");
}

#[test]
fn every_store_answers() {
    let (sandbox, dataset) = prepared(60, 4, 4);
    let truth = dataset.truth.accounting;
    let count = |sql: &str| value(&sandbox, sql).as_u64().unwrap();
    assert_eq!(count("SELECT count(*) FROM events.envelope"), truth.landed);
    assert_eq!(count("SELECT count(DISTINCT event_id) FROM hot.events"), truth.landed);
    assert_eq!(count("SELECT sum(landed) FROM meta.partitions"), truth.landed);
    assert_eq!(count("SELECT sum(rows) FROM meta.sections"), truth.landed);
    assert_eq!(count("SELECT count(*) FROM meta.quarantine"), truth.quarantined);
    assert!(count("SELECT count(*) FROM meta.runs WHERE state = 'loaded'") > 5);
    assert!(count("SELECT count(*) FROM meta.queries") >= 10);
    let described = "SELECT count(*) FROM meta.columns WHERE table_schema = 'events' \
                     AND table_name = 'purchase' AND description IS NOT NULL";
    assert!(count(described) > 15);

    // What the hot store leaves out itself, and what is left out above it, is the same.
    let player = value(&sandbox, "SELECT min(player_id) FROM dim_player");
    let player = player.as_str().unwrap();
    let of_player = |table: &str, column: &str| {
        count(&format!("SELECT count(*) FROM {table} WHERE {column} = '{player}'"))
    };
    let events = of_player("hot.events", "player_id");
    assert!(events > 0);
    assert_eq!(events, of_player("events.envelope", "player_id"));
    assert_eq!(events, of_player("hot.events", "concat(player_id, '')"));
    let purchases = "WHERE event_type = 'purchase' AND event_date >= '2026-01-02'";
    assert_eq!(
        count(&format!("SELECT count(*) FROM hot.events {purchases}")),
        count(&format!("SELECT count(*) FROM events.envelope {purchases}"))
    );
    let document = value(
        &sandbox,
        "SELECT document ->> 'event_type' FROM hot.events WHERE event_type = 'purchase' LIMIT 1",
    );
    assert_eq!(document, "purchase");

    // The parts of a union may have several types.
    let parts = "SELECT duration_ms AS amount FROM events.level_end UNION ALL \
                 SELECT amount FROM events.currency_earned";
    assert_eq!(
        count(&format!("SELECT count(*) FROM ({parts})")),
        rows(&sandbox, &[parts]).len() as u64
    );

    let tables = sandbox.succeed(&["query", "SHOW TABLES"]).stdout;
    assert!(tables.contains("fact_purchase") && tables.contains("hot"), "{tables}");
    let columns = sandbox.succeed(&["query", "DESCRIBE events.purchase"]).stdout;
    assert!(columns.contains("price_usd"), "{columns}");
    let plan = sandbox.succeed(&["query", "EXPLAIN SELECT count(*) FROM dim_player"]).stdout;
    assert!(plan.contains("StreamingTableExec"), "{plan}");
    let analyzed =
        ["query", "EXPLAIN ANALYZE SELECT count(*) FROM dim_player", "--format", "table"];
    assert!(sandbox.succeed(&analyzed).stdout.contains("output_rows"));
}

#[test]
fn queries_only_read() {
    let (sandbox, _) = prepared(20, 2, 5);
    let before = number(&sandbox, "SELECT count(*) FROM fact_ad_impression");
    let target = sandbox.path("stolen.csv");
    let copy = format!("COPY (SELECT * FROM dim_player) TO '{}'", target.display());
    let external = format!(
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{}'",
        sandbox.path("events.ndjson").display()
    );
    for attack in [
        "DROP TABLE star.fact_ad_impression",
        "DELETE FROM star.fact_ad_impression",
        "UPDATE star.fact_ad_impression SET revenue_usd = 0",
        "INSERT INTO star.fact_ad_impression SELECT * FROM star.fact_ad_impression",
        "TRUNCATE star.fact_ad_impression",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        &external,
        &copy,
        "EXPLAIN ANALYZE INSERT INTO star.fact_ad_impression SELECT * FROM star.fact_ad_impression",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "SELECT * FROM information_schema.df_settings",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT 1; DROP TABLE star.fact_ad_impression",
        "SELECT * INTO x FROM dim_player",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'events.ndjson'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x.parquet')",
    ] {
        let refused = sandbox.fail(&["query", attack]);
        assert!(refused.stderr.contains("query:1:"), "{attack}: {refused:#?}");
        assert!(refused.stdout.is_empty(), "{attack}: {refused:#?}");
    }
    assert!(!target.exists());
    assert_eq!(number(&sandbox, "SELECT count(*) FROM fact_ad_impression"), before);
}

#[test]
fn mistakes_are_told_with_place_and_nearest_name() {
    let sandbox = Sandbox::new();
    for (sql, place, hint) in [
        ("SELECT 1\nFROM fact_purchas", "query:2:6", "fact_purchase"),
        ("SELECT * FROM purchase", "query:1:15", "events.purchase"),
        ("SELECT player_id,\n  pric_usd FROM events.purchase", "query:2:3", "price_usd"),
        ("SELEC 1", "query:1:1", ""),
        ("SELECT count(* FROM dim_player", "query:1:", ""),
        ("SELECT date_trnc('day', first_event_at) FROM dim_player", "query:1:8", "date_trunc"),
    ] {
        let refused = sandbox.fail(&["query", sql]);
        assert!(refused.stderr.contains(place), "{sql}: {refused:#?}");
        assert!(refused.stderr.contains(hint), "{sql}: {refused:#?}");
        assert!(refused.stderr.contains(" | "), "the line itself: {refused:#?}");
    }
    let unknown = sandbox.refuse(&["query", "whalez"]);
    assert!(unknown.stderr.contains("did you mean `whales`?"), "{unknown:#?}");
    sandbox.refuse(&["query"]);
}

#[test]
fn parameters_are_typed_and_bound() {
    let (sandbox, _) = prepared(40, 3, 6);
    let file = sandbox.write(
        "find.sql",
        "-- param name: TEXT\n-- param least: DECIMAL(10,2) = 0\n-- param day: DATE = 2026-01-01\n\
         -- param most: INT = 5\n\
         SELECT $name AS name, $least AS least, $day AS day, player_id\n\
         FROM dim_player WHERE player_id = $name OR cohort_date >= $day LIMIT $most",
    );
    let file = file.to_str().unwrap();
    for text in ["x'; DROP TABLE star.dim_player; --", "' OR 1=1 --", "$least", "", "żółw 🐢"]
    {
        let parameter = format!("name={text}");
        let found = rows(&sandbox, &["-f", file, "-p", &parameter, "-p", "least=12.5"]);
        assert_eq!(found.len(), 5);
        assert_eq!(found[0]["name"], *text);
        assert_eq!(found[0]["least"].to_string(), "12.5");
        assert_eq!(found[0]["day"], "2026-01-01");
    }
    let nobody = "name=' OR 1=1 --";
    let future = ["-f", file, "-p", nobody, "-p", "day=2100-01-01"];
    assert!(rows(&sandbox, &future).is_empty(), "the text was read as SQL");

    let refuse = |arguments: &[&str], expected: &str| {
        let mut all = vec!["query", "-f", file];
        all.extend(arguments);
        let refused = sandbox.refuse(&all);
        assert!(refused.stderr.contains(expected), "{arguments:?}: {refused:#?}");
    };
    refuse(&[], "-p name=");
    refuse(&["-p", "name=x", "-p", "leest=1"], "did you mean `least`?");
    refuse(&["-p", "name=x", "-p", "least=1.005"], "DECIMAL(10,2)");
    refuse(&["-p", "name=x", "-p", "least=1 OR 1=1"], "DECIMAL(10,2)");
    refuse(&["-p", "name=x", "-p", "day=yesterday"], "2026-01-31");
    refuse(&["-p", "name=x", "-p", "most=1.5"], "whole number");
    refuse(&["-p", "name=x", "-p", "name=y"], "twice");
    refuse(&["-p", "name"], "NAME=VALUE");
    let undeclared = sandbox.fail(&["query", "SELECT $x"]);
    assert!(undeclared.stderr.contains("-- param x: TEXT"), "{undeclared:#?}");
}

#[test]
fn every_saved_query_answers() {
    let (sandbox, _) = prepared(400, 16, 8);
    let few: &[(&str, &[&str])] = &[
        ("ad_fatigue", &[]),
        ("cheat_suspects", &["min_score=1"]),
        ("churn_risk", &["factor=1", "min_days=2"]),
        ("cohort_comparison", &["days=5"]),
        ("crash_impact", &["within_days=3", "min_player_days=1"]),
        ("first_purchase_path", &["min_sessions=1"]),
        ("price_sensitivity", &["min_purchases=1"]),
        ("sources_and_sinks", &["currency=gems"]),
        ("whales", &["min_usd=5"]),
        ("where_players_quit", &["silence_days=3", "min_players=1"]),
    ];
    let listed = sandbox.succeed(&["query", "--list"]).stdout;
    let files = fs::read_dir(bundled_project().join("queries")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let known: Vec<&str> = few.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "each saved query is tested");
    for (name, parameters) in few {
        assert!(listed.contains(name), "{listed}");
        let mut arguments = vec![*name];
        for parameter in *parameters {
            arguments.extend(["-p", parameter]);
        }
        let found = rows(&sandbox, &arguments);
        assert!(!found.is_empty(), "{name} finds nothing");
        for row in &found {
            for (column, value) in row.as_object().unwrap() {
                let is_share = ["_rate", "share_", "retention_", "return_"]
                    .iter()
                    .any(|part| column.contains(part));
                if let (true, Some(share)) = (is_share, value.as_f64()) {
                    assert!((0.0..=1.0).contains(&share), "{name}: {column} in {row}");
                }
            }
        }
        // The defaults are values of their types.
        sandbox.succeed(&["query", name]);
    }
    let by_path = rows(&sandbox, &["queries/whales.sql", "-p", "min_usd=5"]);
    let whales = rows(&sandbox, &["whales", "-p", "min_usd=5"]);
    assert_eq!(by_path, whales);
    assert!(whales.iter().all(|row| row["paid_usd"].as_f64().unwrap() >= 5.0), "{whales:?}");
    assert!(rows(&sandbox, &["whales", "-p", "min_usd=10000000"]).is_empty());
}

#[test]
fn mistakes_in_saved_queries_are_found_with_the_project() {
    let sandbox = Sandbox::new();
    let project = sandbox.path("project");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    fs::create_dir(project.join("queries")).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(project.join(format!("queries/{name}.sql")), text).unwrap();
    };
    write("table", "-- title: T\nSELECT *\nFROM star.fact_purchas\n");
    write("column", "SELECT player_id,\n       pric_usd\nFROM events.purchase\n");
    write("drop", "-- Oh no.\nDROP TABLE star.dim_player\n");
    write("parameter", "-- param days: INT = 3\nSELECT $day\n");
    write("default", "-- param day: DATE = 'soon'\nSELECT $day\n");
    let text = sandbox.with_other_project(&project).fail(&["etl", "plan"]).text();
    for place in [
        "queries/table.sql:3:6",
        "queries/column.sql:2:8",
        "queries/drop.sql:2:1",
        "queries/parameter.sql:2:8",
        "queries/default.sql:1:10",
    ] {
        assert!(text.contains(place), "{place}: {text}");
    }
}

#[test]
fn limits_name_their_setting() {
    let sandbox = Sandbox::new();
    let started = Instant::now();
    let late = sandbox.fail(&["query", ENDLESS, "--query-timeout", "1s"]);
    assert!(late.stderr.contains("query.timeout (1s)"), "{late:#?}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

    let many = "SELECT value FROM generate_series(1, 100)";
    let output = sandbox.path("rows.csv");
    let arguments = ["query", many, "--query-max-rows", "10", "--output", output.to_str().unwrap()];
    let refused = sandbox.fail(&arguments);
    assert!(refused.stderr.contains("query.max_rows (10)"), "{refused:#?}");
    assert!(!output.exists(), "a part of the rows looks like all of them");
    let cut = ["query", many, "--query-max-rows", "10", "--format", "table"];
    let cut = sandbox.succeed(&cut);
    assert_eq!(cut.stdout.lines().count(), 12, "{cut:#?}");
    assert!(cut.stderr.contains("query.max_rows"), "{cut:#?}");
    let exact = ["query", many, "--query-max-rows", "100"];
    assert_eq!(sandbox.succeed(&exact).stdout.lines().count(), 101);
    let all = ["query", many, "--query-max-rows", "0"];
    assert_eq!(sandbox.succeed(&all).stdout.lines().count(), 101);

    // One list of all numbers cannot be spilled.
    let list = "SELECT array_length(array_agg(value)) FROM generate_series(1, 40000000)";
    let refused = sandbox.fail(&["query", list, "--query-memory-limit", "192MiB"]);
    assert!(refused.stderr.contains("query.memory_limit (192MiB)"), "{refused:#?}");
}

#[test]
fn what_does_not_fit_into_memory_is_spilled_and_exact() {
    let sandbox = Sandbox::new();
    let small = ["--query-memory-limit", "192MiB"];
    let check = |sql: &str, expected: &str| {
        let mut arguments = vec!["query", sql];
        arguments.extend(small);
        let found = sandbox.succeed(&arguments).stdout;
        assert_eq!(found.lines().nth(1), Some(expected), "{sql}");
    };
    check(
        "SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY value % 1000003, value) AS n \
         FROM generate_series(1, 4000000))",
        "8000002000000",
    );
    check(
        "SELECT count(*) FROM (SELECT value % 3000000 AS k, count(*) AS c \
         FROM generate_series(1, 6000000) GROUP BY 1) WHERE c = 2",
        "3000000",
    );
    check(
        "SELECT count(*) FROM generate_series(1, 3000000) AS a \
         JOIN generate_series(2, 3000001) AS b ON a.value = b.value",
        "2999999",
    );
    let spill = sandbox.data().join("spill");
    let left = fs::read_dir(spill).map(|files| files.count()).unwrap_or(0);
    assert_eq!(left, 0, "files were left behind");
}

#[test]
fn an_interrupt_cancels_within_a_second() {
    let sandbox = Sandbox::new();
    let output = sandbox.path("never.csv");
    let mut running = Running::start(&mut sandbox.command(&[
        "query",
        ENDLESS,
        "--output",
        output.to_str().unwrap(),
    ]));
    let folder = output.parent().unwrap().to_path_buf();
    let hidden = || {
        let mut files = fs::read_dir(&folder).unwrap().flatten();
        files.find(|file| file.file_name().to_string_lossy().starts_with(".never.csv"))
    };
    wait_for("the query to run", hidden);
    assert!(!running.has_ended());
    let interrupted = Instant::now();
    running.signal("INT");
    let finished = running.finish();
    let elapsed = interrupted.elapsed();
    assert_eq!(finished.status.code(), Some(130), "{finished:#?}");
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert!(finished.stderr.contains("cancelled"), "{finished:#?}");
    assert!(!output.exists() && hidden().is_none(), "files were left behind");
}

#[test]
fn a_shell_reads_a_pipe() {
    let (sandbox, _) = prepared(30, 2, 9);
    let include = sandbox.write("more.sql", "SELECT 5 AS five;\nSELECT 6\n  AS six;\n");
    let output = sandbox.path("shell.csv");
    let input = format!(
        "\\d events.purchase\nSELECT 'a;b' AS text; -- SELECT 0;\nSELECT nope;\nSELECT 2\n AS two;\n\
         \\x\nSELECT 3 AS three;\n\\x off\n\\format csv\nSELECT 4 AS four;\n\\i {}\n\
         \\o {}\nSELECT 7 AS seven;\nSELECT 8 AS eight;\n\\run whales min_usd=1\n\\df date_tr\n\
         \\dt hot\n\\saved\n\\unknown\n\\q\nSELECT 99 AS never;\n",
        include.display(),
        output.display()
    );
    let finished = sandbox.run_with_input(&["shell"], input.as_bytes());
    assert_eq!(finished.status.code(), Some(1), "something failed: {finished:#?}");
    let (stdout, stderr) = (&finished.stdout, &finished.stderr);
    for expected in
        ["price_usd", "a;b", "two", "─ row 1 ─", "four\n4", "five\n5", "six\n6", "eight\n8"]
    {
        assert!(stdout.contains(expected), "{expected}: {finished:#?}");
    }
    for expected in ["player_id,display_name", "date_trunc", "hot.events", "min_usd"] {
        assert!(stdout.contains(expected), "{expected}: {finished:#?}");
    }
    assert!(!stdout.contains("never") && !stdout.contains("seven"), "{finished:#?}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "seven\n7\n");
    assert!(stderr.contains("nope") && stderr.contains("\\unknown"), "{finished:#?}");
    let sound = sandbox.run_with_input(&["shell"], b"SELECT 1 AS one");
    assert!(sound.status.success(), "{sound:#?}");
    assert!(sound.stdout.contains("one"), "the last statement needs no semicolon: {sound:#?}");
}

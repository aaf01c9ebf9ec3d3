//! `questlake test`: unit tests of models, as files.

use std::fs;
use std::path::PathBuf;

use crate::sandbox::{Sandbox, bundled_project, copy_folder};

/// A project of one model over events and one over that.
fn small_project(sandbox: &Sandbox, tests: &str) -> PathBuf {
    let project = sandbox.path("project");
    let write = |name: &str, text: &str| {
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "sql/events/bought.sql",
        "-- Something was bought.\nCREATE TABLE bought (\n    price_usd DECIMAL(10,2) NOT NULL CHECK (price_usd >= 0),\n    item VARCHAR(8) NOT NULL\n);\n",
    );
    write(
        "sql/facts/fact_bought.sql",
        "-- load: append\n-- key: event_id\n-- partition: date\nSELECT event_id, event_date AS date, player_id, item, price_usd FROM events.bought\n",
    );
    write(
        "sql/marts/mart_bought.sql",
        "-- key: date\n-- partition: date\nSELECT date, count(DISTINCT player_id) AS payers, sum(price_usd) AS revenue_usd,\n       CAST(sum(price_usd) AS DOUBLE) / count(DISTINCT player_id) AS arppu\nFROM star.fact_bought GROUP BY date\n",
    );
    write("sql/tests/mart_bought.yaml", tests);
    project
}

fn run_on(tests: &str, arguments: &[&str]) -> crate::sandbox::Finished {
    let sandbox = Sandbox::new();
    let project = small_project(&sandbox, tests);
    sandbox.with_other_project(&project).run(&[&["test"], arguments].concat())
}

#[test]
fn every_model_of_the_bundled_game_has_tests_and_they_pass() {
    let sandbox = Sandbox::new();
    let report = sandbox.succeed(&["test", "--format", "json"]).json();
    assert_eq!(report["failed"], 0, "{report:#}");
    let tests = report["tests"].as_array().unwrap();
    for folder in ["dimensions", "facts", "marts"] {
        for entry in fs::read_dir(bundled_project().join("sql").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let model = path.file_stem().unwrap().to_str().unwrap();
            let has_test = tests.iter().any(|test| test["model"] == model);
            assert!(has_test, "{model} has no unit test");
        }
    }
    // Nothing is opened that a run would need.
    assert!(!sandbox.data().exists(), "the tests have made a data folder");
    let some = sandbox.succeed(&["test", "fact_session"]).stdout;
    assert!(some.contains("a session over midnight"), "{some}");
    assert!(!some.contains("mart_ltv"), "{some}");
    let none = sandbox.refuse(&["test", "no_such_test"]);
    assert!(none.text().contains("no test matches"), "{none:#?}");
}

#[test]
fn a_new_project_has_a_test_that_passes() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("new");
    sandbox.succeed(&["init".as_ref(), folder.as_os_str()]);
    let report = sandbox.with_other_project(&folder).succeed(&["test", "--format", "json"]).json();
    assert_eq!((&report["failed"], &report["passed"]), (&0.into(), &2.into()), "{report:#}");
}

#[test]
fn a_test_that_fails_shows_each_row_and_the_cells_that_differ() {
    let tests = "
- name: two payers
  given:
    star.fact_bought:
      - {player_id: ana, date: 2026-01-01, price_usd: 1.50}
      - {player_id: ben, date: 2026-01-01, price_usd: 2}
      - {player_id: ben, date: 2026-01-03, price_usd: 7}
  expect:
    - {date: 2026-01-01, payers: 3, revenue_usd: 3.50}
    - {date: 2026-01-02, payers: 1}
- name: this one holds
  given:
    star.fact_bought:
      - {player_id: ana, date: 2026-01-01, price_usd: 1}
  expect:
    - {date: 2026-01-01, payers: 1, revenue_usd: 1, arppu: 1}
";
    let finished = run_on(tests, &[]);
    assert_eq!(finished.status.code(), Some(1), "{finished:#?}");
    let text = &finished.stdout;
    assert!(text.contains("FAILED  mart_bought: two payers"), "{text}");
    assert!(text.contains("passed  mart_bought: this one holds"), "{text}");
    assert!(text.contains("1 of 2 tests failed"), "{text}");
    let line = |word: &str| {
        let found = text.lines().find(|line| line.starts_with(word));
        found.unwrap_or_else(|| panic!("no line `{word}` in {text}")).to_owned()
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&line("expected"))[1..], ["2026-01-01", "3", "≠", "3.50"]);
    assert_eq!(words(&line("found"))[1..4], ["2026-01-01", "2", "≠"]);
    assert_eq!(words(&line("missing"))[1..], ["2026-01-02", "1"]);
    assert_eq!(words(&line("unexpected"))[1..3], ["2026-01-03", "1"]);

    let report = run_on(tests, &["--format", "json", "two payers"]).json();
    let test = &report["tests"][0];
    assert_eq!(
        (&report["failed"], &test["state"], &test["line"]),
        (&1.into(), &"failed".into(), &2.into())
    );
    let kinds: Vec<&str> = test["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["differs", "missing", "unexpected"]);
    let cells = test["differences"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[0]["column"], "date");
    let differing: Vec<&serde_json::Value> =
        cells.iter().filter(|cell| cell["differs"] == true).collect();
    assert_eq!(differing.len(), 1, "{cells:?}");
    assert_eq!(
        (&differing[0]["column"], &differing[0]["expected"], &differing[0]["found"]),
        (&"payers".into(), &"3".into(), &"2".into())
    );
}

#[test]
fn columns_that_are_not_named_count_only_where_it_is_exact() {
    let test = |exact: &str| {
        format!(
            "- name: a row\n  given:\n    star.fact_bought:\n      - {{player_id: ana, date: 2026-01-01, price_usd: 1}}\n  {exact}\n  expect:\n    - {{date: 2026-01-01, payers: 1}}\n"
        )
    };
    assert!(run_on(&test("exact: false"), &[]).status.success());
    let finished = run_on(&test("exact: true"), &[]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stdout.contains("NULL ≠"), "{}", finished.stdout);
}

#[test]
fn sql_that_fails_on_the_rows_is_told() {
    let sandbox = Sandbox::new();
    let tests = "- name: nothing is divided\n  given:\n    star.fact_bought:\n      - {player_id: ana, date: 2026-01-01, price_usd: 0}\n  expect: []\n";
    let project = small_project(&sandbox, tests);
    let path = project.join("sql/marts/mart_bought.sql");
    let sql = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        sql.replace(
            "count(DISTINCT player_id) AS payers",
            "1 / CAST(sum(price_usd) AS BIGINT) AS payers",
        ),
    )
    .unwrap();
    let finished = sandbox.with_other_project(&project).fail(&["test"]);
    assert!(finished.stdout.contains("BROKEN"), "{finished:#?}");
    assert!(finished.stdout.to_lowercase().contains("divide by zero"), "{finished:#?}");
}

#[test]
fn mistakes_in_a_test_file_have_their_place_and_a_hint() {
    let tests = "\
- name: many mistakes
  given:
    star.fact_bougt:
      - {player_id: ana}
    star.fact_bought:
      - {player_id: ana, date: 2026-02-30, prise_usd: 1}
  expects: []
  expect:
    - {date: 2026-01-01, payers: many}
- name: no such model
  model: mart_bougth
  expect: []
- name: a contract would refuse it
  model: fact_bought
  given:
    events.bought:
      - {price_usd: -1}
      - {price_usd: 1.005, item: far too long}
  expect: []
";
    let finished = run_on(tests, &[]);
    assert_eq!(finished.status.code(), Some(1), "{finished:#?}");
    let text = &finished.stderr;
    for (place, what, hint) in [
        ("3:5", "no table `star.fact_bougt`", "did you mean `star.fact_bought`?"),
        ("6:32", "`2026-02-30` is not a day", ""),
        ("6:44", "no column `prise_usd`", "did you mean `price_usd`?"),
        ("7:3", "no `expects`", "did you mean `expect`?"),
        ("9:32", "`many` is not a whole number", ""),
        ("11:10", "no model `mart_bougth`", "did you mean `mart_bought`?"),
        ("17:9", "bought would not take this event", "sql/events/bought.sql"),
        ("18:21", "`1.005` is not a number", ""),
        ("18:34", "a text of at most 8 characters", ""),
    ] {
        let place = format!("sql/tests/mart_bought.yaml:{place}: error:");
        let at = text.find(&place).unwrap_or_else(|| panic!("nothing at {place} in\n{text}"));
        let told = &text[at..];
        let told = told.find("\nsql/tests/").map_or(told, |end| &told[..end]);
        assert!(told.contains(what), "{what} is not at {place}:\n{told}");
        assert!(told.contains(hint), "{hint} is not at {place}:\n{told}");
    }
}

#[test]
fn a_file_that_is_not_yaml_is_told_with_its_place() {
    let finished = run_on("- name: [unclosed\n  given: {\n", &[]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("sql/tests/mart_bought.yaml:"), "{finished:#?}");
    assert!(finished.stderr.contains("not YAML"), "{finished:#?}");
    let sandbox = Sandbox::new();
    let project = sandbox.path("copy");
    copy_folder(&bundled_project().join("sql"), &project.join("sql"));
    fs::remove_dir_all(project.join("sql/tests")).unwrap();
    let finished = sandbox.with_other_project(&project).succeed(&["test"]);
    assert!(finished.stdout.contains("no tests"), "{finished:#?}");
}

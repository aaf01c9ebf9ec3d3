//! Every mart equals what follows from the definitions, which are read a second time in plain
//! Python (`cli/tests/definitions`), from the lines that were sent.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{Days, Utc};
use serde_json::Value;

use crate::dataset::Dataset;
use crate::sandbox::{Finished, Running, Sandbox, bundled_project};

/// Python takes its time where others compile meanwhile.
const LONGEST_COMPARISON: Duration = Duration::from_secs(600);

/// The latest days of the odd events are to come.
const MAX_FUTURE_HOURS: &str = "240";

/// Columns that are numbers and belong to a key.
const NUMBERS_IN_KEYS: [&str; 2] = ["day_n", "step"];

/// Runs a program of the definitions' folder, or the folder itself.
fn python(program: &str, arguments: &[&OsStr]) -> Finished {
    let version = Command::new("python3")
        .args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"])
        .stdin(Stdio::null())
        .status();
    assert!(
        version.is_ok_and(|status| status.success()),
        "there is no python3 of version 3.8 or later on PATH; run `scripts/setup.sh test` (make \
         test does it by itself)"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(folder.join(program))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::start(&mut command).finish_within(LONGEST_COMPARISON)
}

/// Names of the marts that the project has.
fn mart_names() -> Vec<String> {
    let files = fs::read_dir(bundled_project().join("sql/marts")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// What the definitions are held against: the lines that were sent, and what became of them.
struct Comparison {
    /// The files lie in its folder.
    _sandbox: Sandbox,
    sent: PathBuf,
    landed: PathBuf,
    marts: PathBuf,
}

impl Comparison {
    /// Takes the lines in as so many files, runs the models after each, and writes what has landed
    /// and every mart.
    fn of(sandbox: Sandbox, parts: &[Vec<u8>]) -> Self {
        for (index, part) in parts.iter().enumerate() {
            let file = sandbox.write(&format!("part-{index}.ndjson"), part);
            sandbox.ingest(&[&file]);
            sandbox.etl();
        }
        let sent = sandbox.write("sent.ndjson", parts.concat());
        let (landed, marts) = (sandbox.path("landed.ndjson"), sandbox.path("marts"));
        export(&sandbox, "SELECT event_id, received_at FROM events.envelope", &landed);
        fs::create_dir(&marts).unwrap();
        for name in mart_names() {
            let file = marts.join(format!("{name}.ndjson"));
            export(&sandbox, &format!("SELECT * FROM star.{name}"), &file);
        }
        Self { _sandbox: sandbox, sent, landed, marts }
    }

    fn run(&self) -> Finished {
        let project = bundled_project();
        let arguments: [&OsStr; 10] = [
            "--project".as_ref(),
            project.as_ref(),
            "--sent".as_ref(),
            self.sent.as_ref(),
            "--landed".as_ref(),
            self.landed.as_ref(),
            "--marts".as_ref(),
            self.marts.as_ref(),
            "--max-future".as_ref(),
            MAX_FUTURE_HOURS.as_ref(),
        ];
        python("", &arguments)
    }

    /// Asserts that every cell of every mart follows from its definition, and that none is empty.
    fn assert_same(&self, what: &str) {
        let finished = self.run();
        assert!(finished.status.success(), "{what}:\n{}", finished.text());
        for name in mart_names() {
            let begin = format!("{name}: ");
            let line = finished.stdout.lines().find(|line| line.starts_with(&begin));
            let line = line.unwrap_or_else(|| panic!("{what}: {name}:\n{}", finished.text()));
            assert!(line.ends_with(" rows, same"), "{what}: {line}");
            assert!(!line.ends_with(": 0 rows, same"), "{what}: {line}");
        }
    }
}

fn export(sandbox: &Sandbox, sql: &str, file: &Path) {
    let file = file.to_str().unwrap();
    sandbox.succeed(&["query", "--query-max-rows", "0", "--output", file, sql]);
}

/// An installation that takes events of the next days.
fn sandbox_with_a_future() -> Sandbox {
    let limit = ("QUESTLAKE_INGEST_MAX_FUTURE", format!("{MAX_FUTURE_HOURS}h"));
    Sandbox::new().with_variables(&[limit])
}

/// Lines that no simulated player sends, about 84 days of which a week is to come.
fn odd_events(seed: u32, parts: usize) -> Vec<Vec<u8>> {
    let first_day = Utc::now().date_naive() - Days::new(76);
    let arguments = [seed.to_string(), first_day.to_string(), "84".to_owned(), "60".to_owned()];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    arguments.extend(ODDITIES_LEFT_OUT.map(OsStr::new));
    let made = python("oddities.py", &arguments);
    assert!(made.status.success(), "{}", made.text());
    let lines: Vec<&str> = made.stdout.split_inclusive('\n').collect();
    assert!(lines.len() > 1_000, "{} lines", lines.len());
    lines.chunks(lines.len().div_ceil(parts)).map(|part| part.concat().into_bytes()).collect()
}

/// What the star schema does not promise to tell apart.
const ODDITIES_LEFT_OUT: [&str; 2] = ["--plain-ties", "--short-sessions"];

#[test]
fn every_mart_of_a_game_with_all_faults_follows_from_its_definition() {
    let dataset = Dataset::simulate(300, 60, 51);
    let comparison = Comparison::of(sandbox_with_a_future(), &dataset.parts(3));
    comparison.assert_same("simulated events");
}

/// Many events at the same time, sessions and attempts without a beginning or an end, several
/// variants for a player, gaps and windows that end to the minute; and days that are not over.
#[test]
fn every_mart_of_odd_events_follows_from_its_definition() {
    for (seed, parts) in [(1, 1), (2, 4), (3, 9)] {
        let comparison = Comparison::of(sandbox_with_a_future(), &odd_events(seed, parts));
        comparison.assert_same(&format!("odd events, seed {seed}, {parts} parts"));
    }
}

#[test]
fn a_row_that_is_missing_and_a_cell_that_is_wrong_are_found_in_every_mart() {
    let comparison = Comparison::of(sandbox_with_a_future(), &odd_events(4, 1));
    comparison.assert_same("before");
    for name in mart_names() {
        let file = comparison.marts.join(format!("{name}.ndjson"));
        let content = fs::read_to_string(&file).unwrap();
        let mut rows: Vec<Value> =
            content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.remove(0);
        let row = rows[0].as_object_mut().unwrap();
        let (_, cell) = row
            .iter_mut()
            .find(|(name, cell)| cell.is_i64() && !NUMBERS_IN_KEYS.contains(&name.as_str()))
            .unwrap();
        *cell = (cell.as_i64().unwrap() + 1).into();
        let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&file, lines.concat()).unwrap();
    }
    let finished = comparison.run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    for name in mart_names() {
        let wrong = finished.stdout.lines().find(|line| line.starts_with(&format!("{name}: ")));
        assert!(wrong.is_some_and(|line| line.ends_with(" 2 differences")), "{}", finished.text());
    }
}

#[test]
fn the_python_reading_reckons_rightly_by_itself() {
    let finished = python("test_figures.py", &[]);
    assert!(finished.status.success(), "{}", finished.text());
    assert!(finished.stderr.contains("Ran "), "{}", finished.text());
}

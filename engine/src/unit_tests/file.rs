//! One test file: its tests, held against the project.

mod given;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;

pub(super) use self::given::CheckCache;
use self::given::Inputs;
use super::values::{column_type, typed};
use super::yaml::{self, Node, Value};
use super::{ExpectedRow, ModelTest};
use crate::models::{CompiledProject, Model};
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::source::{Located, SourceFile};

/// The keys of a test.
const KEYS: &[&str] = &["name", "description", "model", "given", "expect", "only", "exact"];

/// What tests of dbt and SQLMesh call them.
const FOREIGN: &[(&str, &str)] = &[
    ("columns", "name the columns in the expected rows: others are not compared"),
    ("expected", "write `expect:`"),
    ("input", "write `given:`"),
    ("inputs", "write `given:`"),
    ("outputs", "write `expect:` with the rows of the model"),
    ("overrides", "write `run.changed_dates:` under `given:`"),
    ("partial", "remove it: columns that are not named are not compared, unless `exact: true`"),
    ("query", "write `expect:` with the rows of the model"),
    ("rows", "write the rows themselves, as a list"),
    ("vars", "write `run.changed_dates:` under `given:`"),
];

/// Reads the tests of a file, and the mistakes in them. A test with a mistake is left out.
pub(super) fn read_tests(
    file: &SourceFile,
    project: &CompiledProject,
    checks: &CheckCache,
) -> (Vec<ModelTest>, Vec<Diagnostic>) {
    let root = match yaml::parse(file) {
        Ok(Some(root)) => root,
        Ok(None) => return (Vec::new(), Vec::new()),
        Err(diagnostic) => return (Vec::new(), vec![*diagnostic]),
    };
    let mut reader = Reader { file, project, checks, mistakes: Vec::new() };
    let mut tests: Vec<ModelTest> = Vec::new();
    let Value::List(items) = &root.value else {
        let message = format!("a test file is a list of tests, but this is {}", root.kind());
        reader.mistake(&root, message, "begin each test with `- name: …`");
        return (tests, reader.mistakes);
    };
    for item in items {
        let before = reader.mistakes.len();
        let test = reader.test(item);
        if reader.mistakes.len() > before {
            continue;
        }
        if let Some(test) = test {
            if let Some(other) = tests.iter().find(|other| {
                other.name.value == test.name.value && other.model.name() == test.model.name()
            }) {
                let message = format!("another test has this name, in line {}", other.name.line);
                reader.mistakes.push(file.error_for(&test.name, message));
                continue;
            }
            tests.push(test);
        }
    }
    (tests, reader.mistakes)
}

struct Reader<'a> {
    file: &'a SourceFile,
    project: &'a CompiledProject,
    checks: &'a CheckCache,
    mistakes: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn mistake(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.file.within_line(node.position);
        self.mistakes.push(self.file.error_at(place, node.length, message).with_hint(hint));
    }

    fn test(&mut self, item: &Node) -> Option<ModelTest> {
        let Value::Map(pairs) = &item.value else {
            let message = format!("a test is a mapping, but this is {}", item.kind());
            self.mistake(item, message, "begin each test with `- name: …`");
            return None;
        };
        for (key, _) in pairs {
            self.check_key(key);
        }
        let get =
            |name: &str| pairs.iter().find(|(key, _)| key.value == name).map(|(_, node)| node);
        let Some(name) = get("name") else {
            self.mistake(item, "the test has no `name`", "say what it shows: - name: …");
            return None;
        };
        let name = self.text(name)?;
        let description = get("description").and_then(|node| self.text(node));
        let model = self.model(item, get("model"))?;
        let exact = get("exact").and_then(|node| self.truth(node)).unwrap_or(false);
        let mut inputs = Inputs::new(self.file, self.project, &model, self.checks);
        match get("given").map(|node| (node, &node.value)) {
            Some((_, Value::Map(tables))) => {
                for (table, rows) in tables {
                    inputs.add(table, rows);
                }
            }
            // Nothing is given: every table is empty.
            Some((_, Value::Null)) | None => {}
            Some((node, _)) => {
                let message =
                    format!("`given` is a mapping from tables to rows, not {}", node.kind());
                self.mistake(node, message, "write `events.<type>:` and its rows below it");
            }
        }
        let (given, mistakes) = inputs.finish();
        self.mistakes.extend(mistakes);
        let only = get("only").map(|node| self.cells(node, &model)).unwrap_or_default();
        let Some(expect) = get("expect") else {
            let hint = "list the rows: expect: […]; `expect: []` where there is to be none";
            self.mistake(item, "the test has no `expect`", hint);
            return None;
        };
        let expected = self.expected(expect, &model, exact);
        Some(ModelTest {
            file: self.file.path().to_owned(),
            name,
            description: description.map(|text| text.value),
            model,
            given,
            only,
            expected,
        })
    }

    fn check_key(&mut self, key: &Located<String>) {
        if KEYS.contains(&key.value.as_str()) {
            return;
        }
        let diagnostic = self.file.error_for(key, format!("a test has no `{}`", key.value));
        let foreign = FOREIGN.iter().find(|(name, _)| *name == key.value);
        let diagnostic = match (foreign, nearest(&key.value, KEYS.iter().copied())) {
            (Some((_, hint)), _) => diagnostic.with_hint(*hint),
            (None, Some(name)) => diagnostic.with_nearest(Some(name)),
            (None, None) => diagnostic.with_hint(format!("it has {}", KEYS.join(", "))),
        };
        self.mistakes.push(diagnostic);
    }

    fn text(&mut self, node: &Node) -> Option<Located<String>> {
        match &node.value {
            Value::Scalar(text) => Some(node.locate(text.trim().to_owned())),
            _ => {
                let message = format!("this is to be a text, not {}", node.kind());
                self.mistake(node, message, "quote it if it has special characters");
                None
            }
        }
    }

    fn truth(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Scalar(text) if text == "true" => Some(true),
            Value::Scalar(text) if text == "false" => Some(false),
            _ => {
                self.mistake(node, "this is neither true nor false", "write `true` or `false`");
                None
            }
        }
    }

    /// The model that is named, or the one that the file is named for.
    fn model(&mut self, item: &Node, named: Option<&Node>) -> Option<Arc<Model>> {
        let Some(node) = named else {
            let stem = self.file.stem();
            let found = self.project.model(stem.rsplit_once('.').map_or(stem, |(stem, _)| stem));
            if found.is_none() {
                let hint = "write `model: …`, or name the file for its model";
                self.mistake(item, "the test has no `model`", hint);
            }
            return found.cloned();
        };
        let name = self.text(node)?;
        let short = name.value.strip_prefix("star.").unwrap_or(&name.value);
        let found = self.project.model(short).cloned();
        if found.is_none() {
            let known = self.project.models.iter().map(|model| model.name());
            let message = format!("there is no model `{short}`");
            let diagnostic = self.file.error_for(&name, message);
            self.mistakes.push(diagnostic.with_nearest(nearest(short, known)));
        }
        found
    }

    fn expected(&mut self, node: &Node, model: &Model, exact: bool) -> Vec<ExpectedRow> {
        let Value::List(rows) = &node.value else {
            let message = format!("`expect` is a list of rows, not {}", node.kind());
            self.mistake(node, message, "write each row as `- {column: value, …}`");
            return Vec::new();
        };
        let mut expected = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = self.cells(row, model);
            if exact {
                for (index, column) in model.table.columns.iter().enumerate() {
                    let null =
                        || ScalarValue::try_from(&column.data_type).unwrap_or(ScalarValue::Null);
                    cells.entry(index).or_insert_with(null);
                }
            }
            expected.push(ExpectedRow { cells });
        }
        expected
    }

    /// Columns of the model and their values.
    fn cells(&mut self, row: &Node, model: &Model) -> BTreeMap<usize, ScalarValue> {
        let mut cells = BTreeMap::new();
        let Value::Map(pairs) = &row.value else {
            let message = format!("a row is a mapping, but this is {}", row.kind());
            self.mistake(row, message, "write {column: value, …}");
            return cells;
        };
        let columns = &model.table.columns;
        for (key, node) in pairs {
            let Some(index) = columns.iter().position(|column| column.name == key.value) else {
                let message = format!("{} has no column `{}`", model.name(), key.value);
                let known = columns.iter().map(|column| column.name.as_str());
                let diagnostic = self.file.error_for(key, message);
                self.mistakes.push(diagnostic.with_nearest(nearest(&key.value, known)));
                continue;
            };
            match value(node, &columns[index].data_type) {
                Ok(value) => {
                    cells.insert(index, value);
                }
                Err(message) => {
                    let place = self.file.within_line(node.position);
                    self.mistakes.push(self.file.error_at(place, node.length, message));
                }
            }
        }
        cells
    }
}

/// A cell's value for a column of this type.
fn value(node: &Node, data_type: &arrow::datatypes::DataType) -> Result<ScalarValue, String> {
    match &node.value {
        Value::Null => Ok(ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null)),
        Value::Scalar(text) => typed(column_type(data_type), text),
        Value::List(_) | Value::Map(_) => Err(format!("a cell has one value, not {}", node.kind())),
    }
}

//! The rows that a test gives, by table.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;

use super::value;
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::{CHANGED_DATES, EVENTS, RUN, STAR};
use crate::models::{CompiledProject, Model};
use crate::project::checks::{CompiledCheck, compile_checks};
use crate::project::contract::{ColumnType, EventContract, envelope};
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::source::{Located, SourceFile};
use crate::unit_tests::Given;
use crate::unit_tests::rows::{Row, batch, envelope_batch, fill_envelope};
use crate::unit_tests::values::typed;
use crate::unit_tests::yaml::{Node, Value};

/// The contracts' constraints, each compiled when a test first gives such an event.
#[derive(Default)]
pub(in crate::unit_tests) struct CheckCache {
    compiled: RefCell<BTreeMap<String, Rc<Vec<CompiledCheck>>>>,
}

impl CheckCache {
    fn of(&self, contract: &EventContract) -> Rc<Vec<CompiledCheck>> {
        let mut compiled = self.compiled.borrow_mut();
        let checks = compiled
            .entry(contract.event_type.clone())
            // A constraint that cannot be compiled is a mistake of the project, told when it is read.
            .or_insert_with(|| Rc::new(compile_checks(contract).unwrap_or_default()));
        Rc::clone(checks)
    }
}

/// Gathers what a test gives.
pub(super) struct Inputs<'a> {
    file: &'a SourceFile,
    project: &'a CompiledProject,
    model: &'a Model,
    checks: &'a CheckCache,
    mistakes: Vec<Diagnostic>,
    given: Given,
    /// Every event, with its type, in the order of the file.
    events: Vec<(String, Row)>,
    changed_dates: Option<BTreeSet<i32>>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(
        file: &'a SourceFile,
        project: &'a CompiledProject,
        model: &'a Model,
        checks: &'a CheckCache,
    ) -> Self {
        Self {
            file,
            project,
            model,
            checks,
            mistakes: Vec::new(),
            given: Given::default(),
            events: Vec::new(),
            changed_dates: None,
        }
    }

    /// Takes the rows of one table.
    pub(super) fn add(&mut self, table: &Located<String>, rows: &Node) {
        let items = match &rows.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            _ => {
                let message =
                    format!("`{}` takes a list of rows, not {}", table.value, rows.kind());
                self.mistake_at(rows, message, "write each row as `- {column: value, …}`");
                return;
            }
        };
        match table.value.split_once('.') {
            Some((EVENTS, ENVELOPE_TABLE)) => self.add_envelope(table, items),
            Some((EVENTS, event_type)) => self.add_events(table, event_type, items),
            Some((STAR, name)) => self.add_star(table, name, items),
            Some((RUN, CHANGED_DATES)) => self.add_changed_dates(items),
            _ => self.unknown_table(table),
        }
    }

    /// The tables, with every event in the envelope, and the mistakes.
    pub(super) fn finish(mut self) -> (Given, Vec<Diagnostic>) {
        match envelope_batch(&self.events) {
            Ok(rows) => {
                self.given.events.insert(ENVELOPE_TABLE.to_owned(), rows);
            }
            Err(error) => {
                self.mistakes.push(Diagnostic::error(self.file.path(), error.to_string()))
            }
        }
        let days = self.changed_dates.take().unwrap_or_else(|| {
            let day = |row: &Row| match row.get(envelope::EVENT_DATE) {
                Some(ScalarValue::Date32(day)) => *day,
                _ => None,
            };
            self.events.iter().filter_map(|(_, row)| day(row)).collect()
        });
        self.given.changed_dates = days.into_iter().collect();
        (self.given, self.mistakes)
    }

    fn mistake_at(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.file.within_line(node.position);
        self.mistakes.push(self.file.error_at(place, node.length, message).with_hint(hint));
    }

    fn unknown_table(&mut self, table: &Located<String>) {
        let known = self.readable();
        let message = format!("there is no table `{}` that a test could give", table.value);
        let diagnostic = self.file.error_for(table, message);
        let hint = match nearest(&table.value, known.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("{} reads {}", self.model.name(), known.join(", ")),
        };
        self.mistakes.push(diagnostic.with_hint(hint));
    }

    /// The tables that the model reads.
    fn readable(&self) -> Vec<String> {
        let source = &self.model.source;
        let events = source.reads_events.iter().map(|read| format!("{EVENTS}.{}", read.value));
        let star = source.reads_star.iter().map(|read| format!("{STAR}.{}", read.value));
        let mut tables: Vec<String> = Vec::new();
        for table in events.chain(star) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        tables
    }

    /// Rows for a table that the model does not read would say nothing.
    fn check_read(&mut self, table: &Located<String>, is_read: bool) -> bool {
        if !is_read {
            let message = format!("{} does not read `{}`", self.model.name(), table.value);
            let hint = format!("it reads {}", self.readable().join(", "));
            self.mistakes.push(self.file.error_for(table, message).with_hint(hint));
        }
        is_read
    }

    fn add_events(&mut self, table: &Located<String>, event_type: &str, items: &[Node]) {
        let project = self.project;
        let Some(contract) =
            project.contracts.iter().find(|contract| contract.event_type == event_type)
        else {
            return self.unknown_table(table);
        };
        if !self.check_read(table, self.model.reads_event_type(event_type)) {
            return;
        }
        let mut rows: Vec<(Row, &Node)> = Vec::new();
        for item in items {
            let Some(mut row) = self.event(item, &contract.schema, Some(contract)) else {
                continue;
            };
            fill_envelope(&mut row, self.events.len() as i64 + 1);
            self.events.push((event_type.to_owned(), row.clone()));
            rows.push((row, item));
        }
        self.check_constraints(contract, &rows);
        let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
        match batch(&contract.schema, &rows) {
            Ok(rows) => {
                self.given.events.insert(event_type.to_owned(), rows);
            }
            Err(error) => self.mistakes.push(self.file.error_for(table, error.to_string())),
        }
    }

    fn add_envelope(&mut self, table: &Located<String>, items: &[Node]) {
        if !self.check_read(table, self.model.reads_event_type(ENVELOPE_TABLE)) {
            return;
        }
        for item in items {
            let Some(mut row) = self.event(item, &envelope_schema(), None) else { continue };
            fill_envelope(&mut row, self.events.len() as i64 + 1);
            self.events.push(("event".to_owned(), row));
        }
    }

    /// One event's row as it is written.
    fn event(
        &mut self,
        item: &Node,
        schema: &SchemaRef,
        contract: Option<&Arc<EventContract>>,
    ) -> Option<Row> {
        let before = self.mistakes.len();
        let row = self.row(item, schema, |name| {
            let contract = contract?;
            let column = contract.columns.iter().find(|column| column.name == name)?;
            Some(column.column_type)
        })?;
        if row.contains_key(envelope::EVENT_DATE) {
            self.mistake_at(
                item,
                "`event_date` is the day of `event_time`, and not given",
                "write event_time, such as 2026-01-01T12:00:00Z",
            );
        }
        (self.mistakes.len() == before).then_some(row)
    }

    fn add_star(&mut self, table: &Located<String>, name: &str, items: &[Node]) {
        let project = self.project;
        let Some(upstream) = project.model(name) else { return self.unknown_table(table) };
        let is_read = self.model.source.reads_star.iter().any(|read| read.value == name);
        if !self.check_read(table, is_read) {
            return;
        }
        let schema = upstream.table.schema();
        let mut rows: Vec<Row> = Vec::new();
        let mut keys: BTreeSet<String> = BTreeSet::new();
        for item in items {
            let Some(mut row) = self.row(item, &schema, |_| None) else { continue };
            self.fill_key(item, upstream, &mut row, rows.len() + 1);
            let key: Vec<String> =
                upstream.table.key.iter().map(|key| format!("{:?}", row.get(key))).collect();
            if !key.is_empty() && !keys.insert(key.join(" ")) {
                let message = format!("{name} cannot have two rows with the same key");
                let hint = format!("its key is {}", upstream.table.key.join(", "));
                self.mistake_at(item, message, hint);
            }
            rows.push(row);
        }
        match batch(&schema, &rows) {
            Ok(rows) => {
                self.given.star.insert(name.to_owned(), rows);
            }
            Err(error) => self.mistakes.push(self.file.error_for(table, error.to_string())),
        }
    }

    /// Texts of a key that a row does not name are made up; what else is missing must be given.
    fn fill_key(&mut self, item: &Node, upstream: &Model, row: &mut Row, number: usize) {
        for key in &upstream.table.key {
            if row.get(key).is_some_and(|value| !value.is_null()) {
                continue;
            }
            let is_text =
                upstream.table.column(key).is_some_and(|key| key.data_type == DataType::Utf8);
            if is_text && !row.contains_key(key) {
                row.insert(key.clone(), ScalarValue::Utf8(Some(format!("{key}-{number}"))));
            } else {
                let message = format!("a row of {} needs its `{key}`", upstream.name());
                let hint = format!("its key is {}", upstream.table.key.join(", "));
                self.mistake_at(item, message, hint);
            }
        }
    }

    fn add_changed_dates(&mut self, items: &[Node]) {
        let mut days = BTreeSet::new();
        for item in items {
            let node = match &item.value {
                Value::Map(pairs) => match pairs.as_slice() {
                    [(key, node)] if key.value == "date" => node,
                    _ => item,
                },
                _ => item,
            };
            match value(node, &DataType::Date32) {
                Ok(ScalarValue::Date32(Some(day))) => {
                    days.insert(day);
                }
                Ok(_) => self.mistake_at(node, "a day is missing", "write it as 2026-01-31"),
                Err(message) => self.mistake_at(node, message, "write it as 2026-01-31"),
            }
        }
        self.changed_dates = Some(days);
    }

    /// A row as it is written. `precise` says what a column takes where its Arrow type does not.
    fn row(
        &mut self,
        item: &Node,
        schema: &SchemaRef,
        precise: impl Fn(&str) -> Option<ColumnType>,
    ) -> Option<Row> {
        let Value::Map(pairs) = &item.value else {
            let message = format!("a row is a mapping, but this is {}", item.kind());
            self.mistake_at(item, message, "write {column: value, …}");
            return None;
        };
        let mut row: BTreeMap<String, ScalarValue> = BTreeMap::new();
        for (key, node) in pairs {
            let Ok(field) = schema.field_with_name(&key.value) else {
                let known = schema.fields().iter().map(|field| field.name().as_str());
                let message = format!("there is no column `{}`", key.value);
                let nearest = nearest(&key.value, known.clone()).map(str::to_owned);
                let diagnostic = self.file.error_for(key, message);
                self.mistakes.push(match nearest {
                    Some(name) => diagnostic.with_nearest(Some(&name)),
                    None => {
                        let known: Vec<&str> = known.collect();
                        diagnostic.with_hint(format!("it has {}", known.join(", ")))
                    }
                });
                continue;
            };
            let read = match (&node.value, precise(&key.value)) {
                (Value::Scalar(text), Some(column_type)) => typed(column_type, text),
                (Value::Null, Some(_)) if !field.is_nullable() => {
                    Err(format!("`{}` is NOT NULL in its contract", key.value))
                }
                _ => value(node, field.data_type()),
            };
            match read {
                Ok(value) => {
                    row.insert(key.value.clone(), value);
                }
                Err(message) => {
                    let place = self.file.within_line(node.position);
                    self.mistakes.push(self.file.error_at(place, node.length, message));
                }
            }
        }
        Some(row)
    }

    /// An event that its contract would refuse cannot be there. Constraints on columns that a row
    /// does not name are let be: what stands there was made up.
    fn check_constraints(&mut self, contract: &EventContract, rows: &[(Row, &Node)]) {
        for check in self.checks.of(contract).iter() {
            let condition = check.constraint.condition.to_lowercase();
            let words: BTreeSet<&str> = condition
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                .collect();
            let columns: Vec<&str> = contract
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .filter(|name| words.contains(name))
                .collect();
            for (row, item) in rows {
                let Value::Map(pairs) = &item.value else { continue };
                let is_given = |name: &&str| pairs.iter().any(|(key, _)| key.value == **name);
                if !columns.iter().all(is_given) {
                    continue;
                }
                let Ok(rows) = batch(&contract.schema, std::slice::from_ref(row)) else { continue };
                let broken = check.broken_rows(&rows);
                if !broken.rows.is_empty() {
                    let why = broken.failures.get(&0).map(|why| format!(": {why}"));
                    let message = format!(
                        "{} would not take this event: CHECK ({}){}",
                        contract.event_type,
                        check.constraint.condition,
                        why.unwrap_or_default()
                    );
                    let place = self.file.within_line(item.position);
                    let mistake = self.file.error_at(place, item.length, message);
                    self.mistakes.push(mistake.with_hint(format!("see {}", contract.file)));
                }
            }
        }
    }
}

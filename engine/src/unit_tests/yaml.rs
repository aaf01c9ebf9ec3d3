//! YAML as a tree in which every value knows its place in the file.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::project::diagnostic::Diagnostic;
use crate::project::source::{Located, Position, SourceFile};

/// Most values in one file, those that aliases repeat included.
const MOST_NODES: usize = 200_000;

/// Deepest nesting: a test needs five levels.
const DEEPEST: usize = 16;

/// The key that takes the pairs of another mapping over.
const MERGE: &str = "<<";

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) position: Position,
    /// Number of characters, if it stands in one line; else 1.
    pub(super) length: u64,
    pub(super) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A text, number, truth value or date: which one, the column decides.
    Scalar(String),
    /// `null`, `~` or nothing.
    Null,
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Located<String>, Node)>),
}

impl Node {
    /// What kind of value it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Scalar(_) => "a single value",
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Something else that stands at the same place.
    pub(super) fn locate<T>(&self, value: T) -> Located<T> {
        let Position { line, column } = self.position;
        Located { value, line, column, length: self.length }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Scalar(_) | Value::Null => 1,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(pairs) => 1 + pairs.iter().map(|(_, value)| value.size()).sum::<usize>(),
        }
    }
}

/// The one document of a file; `None` if there is nothing in it.
pub(super) fn parse(file: &SourceFile) -> Result<Option<Node>, Box<Diagnostic>> {
    let mut tree = Tree { file, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0 };
    for event in Parser::new_from_str(file.text()) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let place = Position { line: marker.line() as u64, column: marker.col() as u64 + 1 };
            let message = format!("this is not YAML: {}", error.info());
            Box::new(file.error_at(file.within_line(place), 1, message))
        })?;
        tree.take(event, span)?;
    }
    Ok(tree.root)
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Located<String>>,
}

struct Tree<'a> {
    file: &'a SourceFile,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        let node = |value| {
            let one_line = span.start.line() == span.end.line();
            let length = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
            let position =
                Position { line: span.start.line() as u64, column: span.start.col() as u64 + 1 };
            Node { position, length: length.max(1) as u64, value }
        };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.add(node(value), anchor)
            }
            Event::SequenceStart(anchor, ..) => {
                self.begin(Node { length: 1, ..node(Value::List(Vec::new())) }, anchor)
            }
            Event::MappingStart(anchor, ..) => {
                self.begin(Node { length: 1, ..node(Value::Map(Vec::new())) }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                // Where it is wrong, it is wrong where it is written.
                Some(known) => self.add(known, 0),
                None => Err(self.mistake(&node(Value::Null), "this stands for nothing yet")),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.mistake(&node(Value::Null), "a file is one YAML document"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= DEEPEST {
            return Err(self.mistake(&node, "this is nested too deeply"));
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    /// A value is complete: it becomes a key, a part of what is open, or the whole.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += node.size();
        if self.nodes > MOST_NODES {
            return Err(self.mistake(&node, "the file has too many values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let begin = place(&parent.node);
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(pairs) => match parent.key.take() {
                Some(key) if key.value == MERGE => {
                    let Value::Map(others) = node.value else {
                        return Err(self.mistake(&node, "`<<` takes a mapping over"));
                    };
                    for (key, value) in others {
                        if !pairs.iter().any(|(known, _)| known.value == key.value) {
                            pairs.push((key, value));
                        }
                    }
                }
                Some(key) => {
                    // What is written here wins over what was taken over.
                    pairs.retain(|(known, _)| known.value != key.value);
                    pairs.push((key, node));
                }
                None => {
                    let Value::Scalar(name) = &node.value else {
                        return Err(self.mistake(&node, "a key must be a name"));
                    };
                    let key = node.locate(name.clone());
                    let repeated = pairs.iter().any(|(known, _)| {
                        known.value == key.value && (known.line, known.column) >= begin
                    });
                    if repeated {
                        let message = format!("`{}` stands here twice", key.value);
                        return Err(self.mistake(&node, message));
                    }
                    parent.key = Some(key);
                }
            },
            Value::Scalar(_) | Value::Null => {}
        }
        Ok(())
    }

    fn mistake(&self, node: &Node, message: impl Into<String>) -> Box<Diagnostic> {
        let place = self.file.within_line(node.position);
        Box::new(self.file.error_at(place, node.length, message))
    }
}

fn place(node: &Node) -> (u64, u64) {
    (node.position.line, node.position.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile::new("sql/tests/x.yaml", text)
    }

    fn scalar(node: &Node) -> &str {
        match &node.value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_know_their_places() {
        let root = parse(&file("- name: \"ä b\"\n  rows:\n    - {x: 12, y: ~, z: null}\n"));
        let root = root.unwrap().unwrap();
        let Value::List(tests) = &root.value else { panic!("{root:?}") };
        let Value::Map(test) = &tests[0].value else { panic!("{tests:?}") };
        assert_eq!((test[0].0.value.as_str(), test[0].0.line, test[0].0.column), ("name", 1, 3));
        assert_eq!(scalar(&test[0].1), "ä b");
        let Value::List(rows) = &test[1].1.value else { panic!("{test:?}") };
        let Value::Map(cells) = &rows[0].value else { panic!("{rows:?}") };
        let (x, value) = &cells[0];
        assert_eq!((x.line, x.column, value.position.column, value.length), (3, 8, 11, 2));
        assert!(matches!(cells[1].1.value, Value::Null));
        assert!(matches!(cells[2].1.value, Value::Null));
    }

    #[test]
    fn a_mapping_is_taken_over_and_what_is_written_wins() {
        let root = parse(&file("base: &base {a: 1, b: 2}\nrow: {<<: *base, b: 3}\n"));
        let root = root.unwrap().unwrap();
        let Value::Map(pairs) = &root.value else { panic!("{root:?}") };
        let Value::Map(row) = &pairs[1].1.value else { panic!("{pairs:?}") };
        let shown: Vec<(&str, &str)> =
            row.iter().map(|(key, value)| (key.value.as_str(), scalar(value))).collect();
        assert_eq!(shown, [("a", "1"), ("b", "3")]);
    }

    #[test]
    fn mistakes_have_a_place() {
        let place = |text: &str| {
            let diagnostic = parse(&file(text)).unwrap_err();
            (diagnostic.line, diagnostic.column, diagnostic.message)
        };
        let (line, _, message) = place("a: [1, 2\nb: 3\n");
        assert!(line >= 1 && message.contains("YAML"), "{line}: {message}");
        assert_eq!(place("a: 1\na: 2\n"), (2, 1, "`a` stands here twice".to_owned()));
        assert!(place("a: 1\n---\nb: 2\n").2.contains("one YAML document"));
        let deep = "[".repeat(40);
        assert!(place(&deep).2.contains("deep"));
        assert!(parse(&file("# nothing\n")).unwrap().is_none());
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            let items = vec![below; 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let message = parse(&file(&text)).unwrap_err().message;
        assert!(message.contains("too many values"), "{message}");
    }
}

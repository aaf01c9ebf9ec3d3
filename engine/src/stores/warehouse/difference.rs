//! How a table of the warehouse differs from what its model wants, and which of its columns a
//! rebuild can compare with their old values.

use arrow::datatypes::DataType;

use super::{TableDefinition, Watch};

/// A column that is added, removed or of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDifference {
    /// Its name.
    pub name: String,
    /// Its type in the warehouse; `None` if it is not there.
    pub before: Option<String>,
    /// Its type in the model; `None` if the model no longer has it.
    pub after: Option<String>,
}

/// How the warehouse's table differs from the model's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDifference {
    /// The columns that differ: the model's in its order, then those that are removed.
    pub columns: Vec<ColumnDifference>,
    /// Whether other columns identify a row.
    pub key_changes: bool,
}

impl TableDifference {
    /// Whether the table becomes the model's by adding nullable columns alone.
    pub fn only_adds(&self) -> bool {
        !self.key_changes && self.columns.iter().all(|column| column.before.is_none())
    }
}

/// A column as the warehouse has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) name: &'a str,
    pub(super) declared: &'a str,
    pub(super) in_key: bool,
}

/// Compares the model's table with the columns that are stored; `declare` gives a type's name in
/// the warehouse.
pub(super) fn difference(
    table: &TableDefinition,
    stored: &[Stored<'_>],
    declare: impl Fn(&DataType) -> String,
) -> TableDifference {
    let mut difference = TableDifference::default();
    for column in &table.columns {
        let after = declare(&column.data_type);
        let old = stored.iter().find(|old| old.name == column.name);
        difference.key_changes |=
            old.is_some_and(|old| old.in_key) != table.key.contains(&column.name);
        if old.is_none_or(|old| old.declared != after) {
            difference.columns.push(ColumnDifference {
                name: column.name.clone(),
                before: old.map(|old| old.declared.to_owned()),
                after: Some(after),
            });
        }
    }
    for old in stored {
        if table.column(old.name).is_none() {
            difference.key_changes |= old.in_key;
            difference.columns.push(ColumnDifference {
                name: old.name.to_owned(),
                before: Some(old.declared.to_owned()),
                after: None,
            });
        }
    }
    difference
}

/// The columns that a table which is made anew has in common with the old one; `None` if rows cannot
/// be paired because the key is another one, or there is none.
pub(super) fn kept_columns<'a>(
    table: &'a TableDefinition,
    difference: &TableDifference,
) -> Option<Vec<&'a str>> {
    if difference.key_changes || table.key.is_empty() {
        return None;
    }
    let differs = |name: &str| difference.columns.iter().any(|column| column.name == name);
    let names = table.columns.iter().map(|column| column.name.as_str());
    let kept: Vec<&str> = names.filter(|name| !differs(name)).collect();
    table.key.iter().all(|key| kept.contains(&key.as_str())).then_some(kept)
}

/// The watches of consumers whose every column can be compared, and those of the others.
pub(super) fn comparable(watches: &[Watch], kept: &[&str]) -> (Vec<Watch>, Vec<Watch>) {
    let is_kept = |watch: &Watch| {
        let mut columns = watch.used_columns.iter().chain(&watch.date_columns);
        columns.all(|column| kept.contains(&column.as_str()))
    };
    let (others, comparable): (Vec<Watch>, Vec<Watch>) =
        watches.iter().cloned().partition(|watch| {
            watches.iter().any(|other| other.consumer == watch.consumer && !is_kept(other))
        });
    (comparable, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::warehouse::{Combine, TableColumn};

    fn table(columns: &[(&str, DataType)]) -> TableDefinition {
        let column = |(name, data_type): &(&str, DataType)| TableColumn {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            combine: Combine::Replace,
            comment: None,
        };
        TableDefinition {
            name: "t".to_owned(),
            columns: columns.iter().map(column).collect(),
            key: vec!["id".to_owned()],
            partition: None,
            comment: None,
        }
    }

    fn declare(data_type: &DataType) -> String {
        if *data_type == DataType::Int64 { "BIGINT" } else { "TEXT" }.to_owned()
    }

    fn stored<'a>(columns: &[(&'a str, &'a str)]) -> Vec<Stored<'a>> {
        let column = |(name, declared): &(&'a str, &'a str)| Stored {
            name,
            declared,
            in_key: *name == "id",
        };
        columns.iter().map(column).collect()
    }

    fn watch(consumer: &str, columns: &[&str]) -> Watch {
        Watch {
            consumer: consumer.to_owned(),
            used_columns: columns.iter().map(ToString::to_string).collect(),
            date_columns: Vec::new(),
            exact: false,
        }
    }

    #[test]
    fn columns_are_added_removed_and_changed() {
        let wanted =
            table(&[("id", DataType::Utf8), ("a", DataType::Int64), ("c", DataType::Int64)]);
        let old = stored(&[("id", "TEXT"), ("a", "TEXT"), ("b", "TEXT")]);
        let found = difference(&wanted, &old, declare);
        let names: Vec<(&str, bool, bool)> = found
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.before.is_some(), column.after.is_some()))
            .collect();
        assert_eq!(names, [("a", true, true), ("c", false, true), ("b", true, false)]);
        assert!(!found.key_changes && !found.only_adds());
        assert_eq!(kept_columns(&wanted, &found), Some(vec!["id"]));

        let wanted = table(&[("id", DataType::Utf8), ("a", DataType::Utf8), ("x", DataType::Utf8)]);
        let found = difference(&wanted, &stored(&[("id", "TEXT"), ("a", "TEXT")]), declare);
        assert!(found.only_adds());
        let kept = kept_columns(&wanted, &found).unwrap();
        let watches = [watch("m", &["a"]), watch("n", &["a"]), watch("n", &["x"])];
        let (same, others) = comparable(&watches, &kept);
        assert_eq!(same, [watch("m", &["a"])]);
        assert_eq!(others.len(), 2);
    }

    #[test]
    fn rows_of_another_key_cannot_be_paired() {
        let mut wanted = table(&[("id", DataType::Utf8), ("a", DataType::Utf8)]);
        wanted.key.push("a".to_owned());
        let found = difference(&wanted, &stored(&[("id", "TEXT"), ("a", "TEXT")]), declare);
        assert!(found.key_changes && found.columns.is_empty());
        assert_eq!(kept_columns(&wanted, &found), None);
    }
}

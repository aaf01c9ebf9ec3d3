//! What a half-written word can become.

use std::collections::{BTreeMap, BTreeSet};

use questlake_engine::models::CompiledProject;
use questlake_engine::query::tables::{FunctionDescription, TableDescription};

use super::directives::DIRECTIVES;

const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ANALYZE",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CURRENT_DATE",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Every word that completion knows.
pub(super) struct Vocabulary {
    /// Columns by `schema.table`.
    columns: BTreeMap<String, Vec<String>>,
    functions: BTreeSet<String>,
    saved_queries: Vec<String>,
}

impl Vocabulary {
    pub(super) fn new(
        tables: &[TableDescription],
        functions: &[FunctionDescription],
        project: &CompiledProject,
    ) -> Self {
        let columns = tables
            .iter()
            .map(|table| {
                let names = table.columns.iter().map(|column| column.name.clone()).collect();
                (format!("{}.{}", table.schema, table.name), names)
            })
            .collect();
        Self {
            columns,
            functions: functions.iter().map(|function| function.name.clone()).collect(),
            saved_queries: project.queries.iter().map(|query| query.name().to_owned()).collect(),
        }
    }

    /// Where the word before `position` begins, and what it can become.
    pub(super) fn complete(&self, text: &str, position: usize) -> (usize, Vec<String>) {
        let before = text.get(..position).unwrap_or(text);
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let start = before
            .rfind(|c| !is_part(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        if before.trim_start().starts_with('\\') {
            return self.complete_directive(before, start, word);
        }
        if let Some((qualifier, prefix)) = word.rsplit_once('.') {
            let found = self.qualified(text, qualifier, prefix);
            return (start + qualifier.len() + 1, found);
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        let lower = word.to_lowercase();
        let mut found = BTreeSet::new();
        for table in self.tables_in(text) {
            let columns = self.columns.get(table).into_iter().flatten();
            found.extend(columns.filter(|name| name.starts_with(&lower)).cloned());
        }
        found.extend(self.table_names(&lower));
        found.extend(self.functions.iter().filter(|name| name.starts_with(&lower)).cloned());
        let mut found: Vec<String> = found.into_iter().collect();
        // Keywords come in the case that the word was begun in.
        let is_lower = word.chars().any(char::is_lowercase);
        for keyword in KEYWORDS.iter().filter(|word| word.to_lowercase().starts_with(&lower)) {
            let keyword = if is_lower { keyword.to_lowercase() } else { (*keyword).to_owned() };
            if !found.contains(&keyword) {
                found.push(keyword);
            }
        }
        (start, found)
    }

    fn complete_directive(&self, before: &str, start: usize, word: &str) -> (usize, Vec<String>) {
        let trimmed = before.trim_start();
        let Some((directive, _)) = trimmed.split_once(char::is_whitespace) else {
            let begin = before.len() - trimmed.len();
            let found = DIRECTIVES.iter().map(|(name, _, _)| (*name).to_owned());
            return (begin, found.filter(|name| name.starts_with(trimmed)).collect());
        };
        let found: Vec<String> = match directive {
            "\\d" => self.columns.keys().filter(|name| name.starts_with(word)).cloned().collect(),
            "\\run" => {
                self.saved_queries.iter().filter(|name| name.starts_with(word)).cloned().collect()
            }
            "\\df" => {
                self.functions.iter().filter(|name| name.starts_with(word)).cloned().collect()
            }
            "\\format" => ["table", "csv", "json", "ndjson"]
                .iter()
                .filter(|name| name.starts_with(word))
                .map(|name| (*name).to_owned())
                .collect(),
            _ => Vec::new(),
        };
        (start, found)
    }

    /// `events.pur…`: a table of a schema, or a column of a table that is named, also by an alias.
    fn qualified(&self, text: &str, qualifier: &str, prefix: &str) -> Vec<String> {
        let (qualifier, prefix) = (qualifier.to_lowercase(), prefix.to_lowercase());
        let schema = format!("{qualifier}.");
        let mut found: BTreeSet<String> = self
            .columns
            .keys()
            .filter_map(|name| name.strip_prefix(&schema))
            .filter(|name| name.starts_with(&prefix))
            .map(str::to_owned)
            .collect();
        for table in self.tables_in(text) {
            let bare = table.rsplit('.').next().unwrap_or(table);
            if bare != qualifier && table != qualifier && !has_alias(text, table, &qualifier) {
                continue;
            }
            let columns = self.columns.get(table).into_iter().flatten();
            found.extend(columns.filter(|name| name.starts_with(&prefix)).cloned());
        }
        found.into_iter().collect()
    }

    /// Names of tables that begin so: those of `star` without their schema too.
    fn table_names(&self, prefix: &str) -> Vec<String> {
        let mut names = Vec::new();
        for name in self.columns.keys() {
            if name.starts_with(prefix) {
                names.push(name.clone());
            }
            if let Some(bare) = name.strip_prefix("star.")
                && bare.starts_with(prefix)
            {
                names.push(bare.to_owned());
            }
        }
        names
    }

    /// The tables that a text names.
    fn tables_in(&self, text: &str) -> Vec<&str> {
        let words: BTreeSet<String> = words(text).map(str::to_lowercase).collect();
        self.columns
            .keys()
            .filter(|name| {
                words.contains(*name)
                    || name.strip_prefix("star.").is_some_and(|bare| words.contains(bare))
            })
            .map(String::as_str)
            .collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')))
        .filter(|word| !word.is_empty())
}

/// Whether the table is called `alias` in the text: `events.purchase p` or `… AS p`.
fn has_alias(text: &str, table: &str, alias: &str) -> bool {
    let words: Vec<String> = words(text).map(str::to_lowercase).collect();
    let is_table = |word: &str| word == table || table.strip_prefix("star.") == Some(word);
    words.windows(2).any(|pair| is_table(&pair[0]) && pair[1] == alias)
        || words
            .windows(3)
            .any(|three| is_table(&three[0]) && three[1] == "as" && three[2] == alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let columns = [
            ("events.purchase", vec!["price_usd", "player_id"]),
            ("star.dim_player", vec!["player_id", "cohort_date"]),
        ];
        Vocabulary {
            columns: columns
                .into_iter()
                .map(|(table, names)| {
                    (table.to_owned(), names.into_iter().map(str::to_owned).collect())
                })
                .collect(),
            functions: ["date_trunc", "sum"].map(str::to_owned).into_iter().collect(),
            saved_queries: vec!["whales".to_owned()],
        }
    }

    fn complete(text: &str) -> Vec<String> {
        vocabulary().complete(text, text.len()).1
    }

    #[test]
    fn words_become_what_fits() {
        assert_eq!(complete("sel"), ["select"]);
        assert_eq!(complete("SEL"), ["SELECT"]);
        assert_eq!(complete("SELECT date_t"), ["date_trunc"]);
        assert_eq!(complete("SELECT * FROM events.pur"), ["purchase"]);
        assert_eq!(complete("SELECT * FROM dim_"), ["dim_player"]);
        assert_eq!(complete("SELECT * FROM events.purchase p WHERE p.pri"), ["price_usd"]);
        assert_eq!(complete("SELECT * FROM events.purchase AS x WHERE x.pl"), ["player_id"]);
        assert!(complete("SELECT * FROM dim_player WHERE coh").contains(&"cohort_date".to_owned()));
    }

    #[test]
    fn the_place_is_that_of_the_word() {
        let text = "SELECT * FROM events.purchase WHERE pri";
        let before = vocabulary().complete(text, text.len());
        assert_eq!(before, (36, vec!["price_usd".to_owned()]));
        assert_eq!(vocabulary().complete("日本 sel", 10).0, 7);
    }

    #[test]
    fn directives_are_completed() {
        assert!(complete("\\d").contains(&"\\dt".to_owned()));
        assert_eq!(complete("\\run wh"), ["whales"]);
        assert_eq!(complete("\\d star."), ["star.dim_player"]);
    }
}

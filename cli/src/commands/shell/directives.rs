//! Directives: what the shell does besides SQL.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use questlake_engine::project::diagnostic::nearest;
use questlake_engine::query::tables::{TableDescription, functions};

use super::super::query::{by_name, list_saved, parse_parameter};
use super::{Flow, Shell};
use crate::error::CliError;
use crate::results::ResultFormat;
use crate::terminal::Style;
use crate::terminal::table::Column;

/// Each directive: its name, what follows it, what it does.
pub(super) const DIRECTIVES: &[(&str, &str, &str)] = &[
    ("\\?", "", "shows this"),
    ("\\d", "[TABLE]", "describes a table, or lists all of them"),
    ("\\dt", "[SCHEMA]", "lists tables"),
    ("\\df", "[TEXT]", "lists functions, those whose name has this text in it"),
    ("\\format", "[FORMAT]", "table, csv, json or ndjson"),
    ("\\i", "FILE", "runs the statements of a file"),
    ("\\o", "FILE", "writes the next result to a file, in the format of its name"),
    ("\\q", "", "ends the shell, as Ctrl-D does"),
    ("\\run", "NAME [PARAM=VALUE …]", "runs a saved query"),
    ("\\saved", "", "lists the saved queries with their parameters"),
    ("\\timing", "[on|off]", "shows the number of rows and the time after each result"),
    ("\\x", "[on|off]", "shows one line per value, as it does for rows wider than the terminal"),
];

impl Shell<'_> {
    /// Runs a directive, given without its backslash.
    pub(super) async fn run_directive(&mut self, text: &str) -> Result<Flow, CliError> {
        let (name, argument) = match text.split_once(char::is_whitespace) {
            Some((name, argument)) => (name, argument.trim().trim_end_matches(';').trim()),
            None => (text.trim_end_matches(';'), ""),
        };
        match name {
            "q" | "quit" | "exit" => return Ok(Flow::Quit),
            "?" | "h" | "help" => self.show_help()?,
            "d" if !argument.is_empty() => self.describe(argument)?,
            "d" | "dt" => self.list_tables(argument)?,
            "df" => self.list_functions(argument)?,
            "saved" => list_saved(self.app, &self.engine)?,
            "run" => self.run_saved(argument).await?,
            "timing" => {
                self.timing = switched(self.timing, argument)?;
                self.say(&format!("timing is {}", on_off(self.timing)));
            }
            "x" => {
                self.expanded = switched(self.expanded, argument)?;
                self.say(&format!("one line per value is {}", on_off(self.expanded)));
            }
            "format" => self.set_format(argument)?,
            "o" if argument.is_empty() => self.next_output = None,
            "o" => self.next_output = Some(PathBuf::from(argument)),
            "i" if argument.is_empty() => {
                return Err(CliError::Usage("\\i needs the name of a file".to_owned()));
            }
            "i" => return self.include(Path::new(argument)).await,
            unknown => {
                let names = DIRECTIVES.iter().map(|(name, _, _)| name.trim_start_matches('\\'));
                let hint = match nearest(unknown, names) {
                    Some(name) => format!("did you mean \\{name}?"),
                    None => "\\? shows those that there are".to_owned(),
                };
                return Err(CliError::Usage(format!("there is no directive \\{unknown}; {hint}")));
            }
        }
        Ok(Flow::GoOn)
    }

    /// A remark that is no result.
    fn say(&self, text: &str) {
        self.app.note(text);
    }

    fn show_help(&self) -> Result<(), CliError> {
        let columns = [Column::word("directive"), Column::text("does")];
        let rows: Vec<Vec<String>> = DIRECTIVES
            .iter()
            .map(|(name, argument, does)| {
                vec![format!("{name} {argument}").trim_end().to_owned(), (*does).to_owned()]
            })
            .collect();
        self.app.line(&self.app.output.table(&columns, &rows))?;
        self.app.line(&self.app.output.sentence(
            "Statements end with ; and may go over several lines. Tab completes, the arrow keys \
             bring back what was asked before. Ctrl-C clears the line, or cancels the query that \
             runs.",
        ))
    }

    fn describe(&self, wanted: &str) -> Result<(), CliError> {
        let wanted = wanted.to_lowercase();
        let full_name = |table: &TableDescription| format!("{}.{}", table.schema, table.name);
        let exact = self.tables.iter().find(|table| full_name(table) == wanted);
        let star =
            || self.tables.iter().find(|table| table.schema == "star" && table.name == wanted);
        let any = || self.tables.iter().find(|table| table.name == wanted);
        let Some(table) = exact.or_else(star).or_else(any) else {
            let names: Vec<String> = self.tables.iter().map(full_name).collect();
            let bare = self.tables.iter().map(|table| table.name.as_str());
            let near = nearest(&wanted, names.iter().map(String::as_str).chain(bare));
            let hint = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(CliError::Usage(format!("there is no table `{wanted}`{hint}")));
        };
        let app = self.app;
        app.line(&app.output.style(Style::Bold, &full_name(table)))?;
        if let Some(comment) = &table.comment {
            app.line(&app.output.sentence(comment))?;
        }
        let columns = [
            Column::word("column"),
            Column::word("type"),
            Column::word("null"),
            Column::text("what it means"),
        ];
        let rows: Vec<Vec<String>> = table
            .columns
            .iter()
            .map(|column| {
                vec![
                    column.name.clone(),
                    column.data_type.clone(),
                    if column.nullable { "yes" } else { "no" }.to_owned(),
                    column.comment.clone().unwrap_or_default(),
                ]
            })
            .collect();
        app.line(&app.output.table(&columns, &rows))
    }

    fn list_tables(&self, schema: &str) -> Result<(), CliError> {
        let columns =
            [Column::word("table"), Column::number("columns"), Column::text("what it holds")];
        let rows: Vec<Vec<String>> = self
            .tables
            .iter()
            .filter(|table| schema.is_empty() || table.schema == schema.trim_end_matches('.'))
            .map(|table| {
                vec![
                    format!("{}.{}", table.schema, table.name),
                    table.columns.len().to_string(),
                    table.comment.clone().unwrap_or_default(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Err(CliError::Usage(format!(
                "there is no schema `{schema}`; there are events, star, hot and meta"
            )));
        }
        self.app.line(&self.app.output.table(&columns, &rows))
    }

    fn list_functions(&self, pattern: &str) -> Result<(), CliError> {
        let pattern = pattern.to_lowercase();
        let columns =
            [Column::text("function"), Column::word("kind"), Column::text("what it gives")];
        let rows: Vec<Vec<String>> = functions(&self.engine.project)
            .into_iter()
            .filter(|function| function.name.contains(&pattern))
            .map(|function| {
                vec![
                    function.syntax.unwrap_or(function.name),
                    function.kind.to_owned(),
                    function.description.unwrap_or_default(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Err(CliError::Usage(format!("no function has `{pattern}` in its name")));
        }
        self.app.line(&self.app.output.table(&columns, &rows))
    }

    async fn run_saved(&mut self, argument: &str) -> Result<(), CliError> {
        let mut words = argument.splitn(2, char::is_whitespace);
        let name = words.next().unwrap_or_default();
        if name.is_empty() {
            return Err(CliError::Usage("\\run needs a name; \\saved lists them".to_owned()));
        }
        let mut given = Vec::new();
        for word in split_words(words.next().unwrap_or_default()) {
            let parameter = parse_parameter(&word)
                .map_err(|expected| CliError::Usage(format!("`{word}`: {expected}")))?;
            given.push(parameter);
        }
        let statement = self.engine.saved_query(name)?.statement.clone();
        self.run_statement(&statement, &by_name(&given)?).await
    }

    fn set_format(&mut self, argument: &str) -> Result<(), CliError> {
        if !argument.is_empty() {
            let format = ResultFormat::from_str(argument, true).map_err(|_| {
                CliError::Usage(format!("`{argument}` is not a format: table, csv, json, ndjson"))
            })?;
            if matches!(format, ResultFormat::Arrow | ResultFormat::Parquet) {
                return Err(CliError::Usage(
                    "this format is for files: \\o FILE.parquet, then the query".to_owned(),
                ));
            }
            self.format = format;
        }
        let shown = self.format.to_possible_value().map(|value| value.get_name().to_owned());
        self.say(&format!("the format is {}", shown.unwrap_or_default()));
        Ok(())
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn switched(current: bool, argument: &str) -> Result<bool, CliError> {
    match argument {
        "" => Ok(!current),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(CliError::Usage(format!("`{other}` is neither on nor off"))),
    }
}

/// Words between white space; quotes keep white space inside of a word.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut begun = false;
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                begun = true;
            }
            (None, space) if space.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (_, other) => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(split_words(" a=1  b='x y' c=\"\" "), ["a=1", "b=x y", "c="]);
        assert!(split_words("  ").is_empty());
    }

    #[test]
    fn switches_turn() {
        assert!(switched(false, "").unwrap());
        assert!(!switched(true, "off").unwrap());
        assert!(switched(true, "maybe").is_err());
    }
}

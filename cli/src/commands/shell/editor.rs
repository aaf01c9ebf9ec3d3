//! Lines from a terminal: edited, completed, remembered.

use std::borrow::Cow;
use std::path::PathBuf;

use questlake_engine::pipeline::Engine;
use questlake_engine::query::tables::{TableDescription, functions};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::completion::Vocabulary;
use super::input::is_whole;
use crate::error::CliError;

const PROMPT: &str = "questlake> ";

/// Statements that are remembered.
const HISTORY_LENGTH: usize = 10_000;

/// The terminal.
pub(super) struct LineEditor {
    editor: Editor<SqlHelper, FileHistory>,
    history: PathBuf,
}

impl LineEditor {
    /// Opens the terminal and the history, which only its owner can read.
    pub(super) fn open(
        engine: &Engine,
        tables: &[TableDescription],
        history: PathBuf,
    ) -> Result<Self, CliError> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY_LENGTH)?
            .history_ignore_space(true)
            .build();
        let mut editor = Editor::with_config(config)?;
        let vocabulary = Vocabulary::new(tables, &functions(&engine.project), &engine.project);
        editor.set_helper(Some(SqlHelper { vocabulary }));
        // There is no history the first time.
        let _ = editor.load_history(&history);
        Ok(Self { editor, history })
    }

    /// The next statement or directive, `None` at the end. Ctrl-C clears what is written.
    pub(super) fn read(&mut self) -> Result<Option<String>, CliError> {
        loop {
            match self.editor.readline(PROMPT) {
                Ok(text) => {
                    if !text.trim().is_empty() {
                        self.editor.add_history_entry(text.as_str())?;
                        // A history that cannot be kept is no reason not to answer.
                        let _ = self.editor.save_history(&self.history);
                    }
                    return Ok(Some(text));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct SqlHelper {
    vocabulary: Vocabulary,
}

impl Helper for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Highlighter for SqlHelper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m"))
    }
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = self.vocabulary.complete(line, position);
        let pairs = candidates
            .into_iter()
            .map(|text| Pair { display: text.clone(), replacement: text })
            .collect();
        Ok((start, pairs))
    }
}

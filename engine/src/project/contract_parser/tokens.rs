//! The tokens of a contract file, and the mistakes found in them.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, Whitespace,
};

use super::comments::Comment;
use crate::project::diagnostic::Diagnostic;
use crate::project::source::{Located, Position, SourceFile};

/// The dialect of contract files.
pub(super) const DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// After so many mistakes the rest of the file is hardly worth reading.
const MAX_MISTAKES: usize = 100;

/// The mistakes of one file.
pub(super) struct Mistakes<'a> {
    file: &'a SourceFile,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(file: &'a SourceFile) -> Self {
        Self { file, diagnostics: Vec::new() }
    }

    /// The file that the mistakes are in.
    pub(super) fn file(&self) -> &'a SourceFile {
        self.file
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_MISTAKES {
            self.diagnostics.push(diagnostic);
        }
    }

    /// A mistake of the file as a whole.
    pub(super) fn whole_file(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Diagnostic::error(self.file.path(), message).with_hint(hint));
    }

    /// A mistake at a token.
    pub(super) fn refuse(
        &mut self,
        token: &TokenWithSpan,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.refuse_at(&locate(token, ()), message, hint);
    }

    /// A mistake at a place.
    pub(super) fn refuse_at<T>(
        &mut self,
        place: &Located<T>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(self.file.error_for(place, message).with_hint(hint));
    }

    /// A mistake at the token that comes next, or at the end of the file.
    pub(super) fn at_next(
        &mut self,
        cursor: &TokenCursor<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        match cursor.peek() {
            Some(token) => self.refuse(token, message, hint),
            None => self.at_end(message, hint),
        }
    }

    /// A mistake at the end of the file's text.
    pub(super) fn at_end(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let position = self.file.position(self.file.text().trim_end().len());
        self.push(self.file.error_at(position, 1, message).with_hint(hint));
    }
}

/// The tokens of a file without space, and its comments.
pub(super) fn tokenize(
    file: &SourceFile,
    mistakes: &mut Mistakes<'_>,
) -> Option<(Vec<TokenWithSpan>, Vec<Comment>)> {
    let all = match Tokenizer::new(&DIALECT, file.text()).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            let end = file.position(file.text().len());
            let position = file.within_line(position(error.location).min(end));
            let message = format!("the text cannot be read as SQL: {}", error.message);
            let hint = "is a quotation mark or the end of a comment missing?";
            mistakes.push(file.error_at(position, 1, message).with_hint(hint));
            return None;
        }
    };
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    let mut comments = Vec::new();
    for token in all {
        let text = match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => comment,
            Token::Whitespace(Whitespace::MultiLineComment(comment)) => comment,
            Token::Whitespace(_) | Token::EOF => continue,
            _ => {
                tokens.push(token);
                continue;
            }
        };
        let last_end = tokens.last().map(|last| last.span.end.line);
        let start = position(token.span.start);
        comments.push(Comment::new(text, start, last_end == Some(start.line)));
    }
    Some((tokens, comments))
}

fn position(location: Location) -> Position {
    Position { line: location.line.max(1), column: location.column.max(1) }
}

/// Where in the file's text each of these tokens, which follow one another, stands.
pub(super) fn byte_ranges(file: &SourceFile, tokens: &[TokenWithSpan]) -> Vec<Range<usize>> {
    let Some(first) = tokens.first() else { return Vec::new() };
    let mut place = position(first.span.start);
    let mut offset = file.offset(place).unwrap_or(file.text().len());
    let mut characters = file.text()[offset..].chars();
    // Looking each place up by itself would count a long line's characters again and again.
    let mut offset_of = |wanted: Position| {
        while place < wanted {
            let Some(character) = characters.next() else { break };
            offset += character.len_utf8();
            match character {
                '\n' => place = Position { line: place.line + 1, column: 1 },
                _ => place.column += 1,
            }
        }
        offset
    };
    let ranges = tokens.iter().map(|token| {
        let start = offset_of(position(token.span.start));
        start..offset_of(position(token.span.end))
    });
    ranges.collect()
}

/// A value with the place of a token.
pub(super) fn locate<T>(token: &TokenWithSpan, value: T) -> Located<T> {
    let (start, end) = (token.span.start, token.span.end);
    let length = match start.line == end.line {
        true => end.column.saturating_sub(start.column).max(1),
        false => 1,
    };
    let Position { line, column } = position(start);
    Located { value, line, column, length }
}

/// The text of a word, quoted or not.
pub(super) fn word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) => Some(&word.value),
        _ => None,
    }
}

/// Whether the token is a word in quotes.
pub(super) fn is_quoted(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_some())
}

/// Whether the token is this keyword (given in capitals), in any case and without quotes.
pub(super) fn is_word(token: &TokenWithSpan, keyword: &str) -> bool {
    !is_quoted(token) && word(token).is_some_and(|word| word.eq_ignore_ascii_case(keyword))
}

/// Whether the token ends a statement.
pub(super) fn is_semicolon(token: &TokenWithSpan) -> bool {
    token.token == Token::SemiColon
}

/// How the token changes the depth of parentheses and brackets.
pub(super) fn depth_change(token: &TokenWithSpan) -> i32 {
    match token.token {
        Token::LParen | Token::LBracket | Token::LBrace => 1,
        Token::RParen | Token::RBracket | Token::RBrace => -1,
        _ => 0,
    }
}

/// A place in a list of tokens.
#[derive(Clone)]
pub(super) struct TokenCursor<'t> {
    tokens: &'t [TokenWithSpan],
    index: usize,
}

impl<'t> TokenCursor<'t> {
    pub(super) fn new(tokens: &'t [TokenWithSpan]) -> Self {
        Self { tokens, index: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.index)
    }

    pub(super) fn peek_second(&self) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.index + 1)
    }

    pub(super) fn next(&mut self) -> Option<&'t TokenWithSpan> {
        let token = self.tokens.get(self.index)?;
        self.index += 1;
        Some(token)
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.index = (self.index + count).min(self.tokens.len());
    }

    /// The tokens that are left.
    pub(super) fn rest(&self) -> &'t [TokenWithSpan] {
        &self.tokens[self.index..]
    }

    /// Where the token before this place ends.
    pub(super) fn previous_end(&self) -> Position {
        let previous = self.index.checked_sub(1).and_then(|index| self.tokens.get(index));
        previous.map_or(Position { line: 1, column: 1 }, |token| position(token.span.end))
    }

    pub(super) fn peek_words(&self, keywords: &[&str]) -> bool {
        let rest = self.rest();
        rest.len() >= keywords.len()
            && rest.iter().zip(keywords).all(|(token, keyword)| is_word(token, keyword))
    }

    /// Passes the keyword if it comes next.
    pub(super) fn take_word(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| is_word(token, keyword));
        self.index += usize::from(found);
        found
    }

    fn take_token(&mut self, wanted: &Token) -> bool {
        let found = self.peek().is_some_and(|token| token.token == *wanted);
        self.index += usize::from(found);
        found
    }

    pub(super) fn take_period(&mut self) -> bool {
        self.take_token(&Token::Period)
    }

    pub(super) fn take_equals(&mut self) -> bool {
        self.take_token(&Token::Eq)
    }

    pub(super) fn take_comma(&mut self) -> bool {
        self.take_token(&Token::Comma)
    }

    pub(super) fn at_left_parenthesis(&self) -> bool {
        self.peek().is_some_and(|token| token.token == Token::LParen)
    }

    /// Passes a text in single quotes.
    pub(super) fn take_string(&mut self) -> Option<&'t str> {
        match &self.peek()?.token {
            Token::SingleQuotedString(text) => {
                self.index += 1;
                Some(text)
            }
            _ => None,
        }
    }

    /// Passes a word, quoted or not.
    pub(super) fn next_identifier(&mut self) -> Option<&'t TokenWithSpan> {
        let token = self.peek().filter(|token| word(token).is_some())?;
        self.index += 1;
        Some(token)
    }

    /// Passes a parenthesis and all up to the one that closes it, and returns the tokens between
    /// them; `None` when none comes next, or it is never closed.
    pub(super) fn take_parenthesised(&mut self) -> Option<&'t [TokenWithSpan]> {
        if !self.at_left_parenthesis() {
            return None;
        }
        let mut depth = 0;
        for (offset, token) in self.rest().iter().enumerate() {
            depth += depth_change(token);
            if depth == 0 {
                let inner = &self.rest()[1..offset];
                self.index += offset + 1;
                return Some(inner);
            }
        }
        None
    }
}

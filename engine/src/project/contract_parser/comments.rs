//! Which comment of a contract file describes what.
//!
//! A column is described by the comment lines directly above it and by the comments behind its
//! tokens; a comment line directly below such a comment, beginning in the same column, continues
//! it. The event is described by the comment lines above `CREATE TABLE`.

use super::elements::{Element, SourceColumn};
use crate::project::source::Position;

/// One comment of a file.
#[derive(Debug)]
pub(super) struct Comment {
    start: Position,
    last_line: u64,
    /// Whether a token stands before it in its line.
    behind_token: bool,
    /// Its text, line by line, without marks and the space around them.
    lines: Vec<String>,
}

impl Comment {
    pub(super) fn new(text: &str, start: Position, behind_token: bool) -> Self {
        // The text of a line comment may include its line break.
        let text = text.trim_end_matches(['\n', '\r']);
        let lines: Vec<String> = text.split('\n').map(without_decoration).collect();
        let last_line = start.line + lines.len() as u64 - 1;
        Self { start, last_line, behind_token, lines }
    }
}

/// A comment's line without what only draws: rulers, and the stars at the edge of a block.
fn without_decoration(line: &str) -> String {
    let trimmed = line.trim();
    let text = trimmed.trim_start_matches('*').trim_start();
    match text.chars().all(|character| "-=*/ ".contains(character)) {
        true => String::new(),
        false => text.to_owned(),
    }
}

/// Gives every column the comments that describe it.
pub(super) fn attach(
    comments: &[Comment],
    columns: &mut [SourceColumn<'_>],
    elements: &[Element<'_>],
    end_of_columns: Position,
) {
    // Constraints have comments too; theirs describe no column, but must not go to another one.
    let mut starts: Vec<Position> = elements.iter().map(|element| element.start).collect();
    starts.extend(columns.iter().map(|column| column.start()));
    starts.sort_unstable();
    starts.dedup();
    let mut described: Vec<Vec<&Comment>> = starts.iter().map(|_| Vec::new()).collect();
    let block_ends = block_ends(comments);
    let mut previous: Option<(usize, &Comment)> = None;
    for (index, comment) in comments.iter().enumerate() {
        let continued = previous.filter(|(_, earlier)| {
            !comment.behind_token
                && comment.start.line == earlier.last_line + 1
                && comment.start.column == earlier.start.column
        });
        let owner = match continued {
            Some((owner, _)) => Some(owner),
            None if comment.start > end_of_columns => None,
            None if comment.behind_token => last_before(&starts, comment.start),
            None => below(&starts, comment.start, block_ends[index]),
        };
        previous = None;
        if let Some(owner) = owner {
            described[owner].push(comment);
            if comment.behind_token || continued.is_some() {
                previous = Some((owner, comment));
            }
        }
    }
    for column in columns {
        let Ok(index) = starts.binary_search(&column.start()) else { continue };
        let texts = described[index].iter().flat_map(|comment| &comment.lines);
        if let (None, Some(text)) = (&column.comment, joined(texts)) {
            column.comment = Some(text);
        }
    }
}

/// The last element that begins before a place.
fn last_before(starts: &[Position], place: Position) -> Option<usize> {
    starts.partition_point(|start| *start < place).checked_sub(1)
}

/// For each comment, the last line of the block of comment lines that it is part of.
fn block_ends(comments: &[Comment]) -> Vec<u64> {
    let mut ends: Vec<u64> = comments.iter().map(|comment| comment.last_line).collect();
    for index in (1..comments.len()).rev() {
        let continues = !comments[index].behind_token
            && comments[index].start.line == comments[index - 1].last_line + 1;
        if continues {
            ends[index - 1] = ends[index];
        }
    }
    ends
}

/// The element that stands directly below a block of comments.
fn below(starts: &[Position], comment_start: Position, block_end: u64) -> Option<usize> {
    let next = starts.partition_point(|start| *start < comment_start);
    // A block comment may also stand in the line of the element itself.
    (starts.get(next)?.line <= block_end + 1).then_some(next)
}

/// The text of the last block of comment lines above a line.
pub(super) fn above(comments: &[Comment], line: u64) -> Option<String> {
    let before: Vec<&Comment> =
        comments.iter().take_while(|comment| comment.last_line < line).collect();
    let mut block_start = before.len().checked_sub(1)?;
    while block_start > 0 && before[block_start - 1].last_line + 1 == before[block_start].start.line
    {
        block_start -= 1;
    }
    joined(before[block_start..].iter().flat_map(|comment| &comment.lines))
}

/// Lines made into running text; empty lines become line breaks between paragraphs.
fn joined<'a>(lines: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut text = String::new();
    let mut paragraph_ended = false;
    for line in lines {
        if line.is_empty() {
            paragraph_ended = true;
            continue;
        }
        if !text.is_empty() {
            text.push(if paragraph_ended { '\n' } else { ' ' });
        }
        paragraph_ended = false;
        text.push_str(line);
    }
    (!text.is_empty()).then_some(text)
}

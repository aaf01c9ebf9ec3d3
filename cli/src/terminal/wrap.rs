//! Text broken into lines that fit the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Breaks a text into lines of at most `width` columns: between words, and inside of a word only if
/// a line cannot hold it, then rather after a sign than between letters. A text of no words is one
/// empty line.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.is_empty());
        if line.width() + gap + word.width() <= width {
            if gap > 0 {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut rest = word;
        while rest.width() > width {
            let end = break_of(rest, width);
            // A single character may be wider than the line.
            if end == rest.len() {
                break;
            }
            lines.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        line.push_str(rest);
    }
    lines.push(line);
    lines
}

/// Byte offset at which a word that is wider than `width` is broken; never 0 for a word that is not
/// empty.
fn break_of(word: &str, width: usize) -> usize {
    let mut used = 0;
    let mut fitting = 0;
    let mut after_sign = 0;
    for (offset, character) in word.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width && fitting > 0 {
            break;
        }
        fitting = offset + character.len_utf8();
        if matches!(character, ':' | '/' | '_' | '-' | '.' | ',' | '(') {
            after_sign = fitting;
        }
    }
    // A sign near the beginning would leave most of the line empty.
    if after_sign * 2 >= fitting { after_sign } else { fitting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one", 7), ["one"]);
        assert_eq!(wrap("", 7), [""]);
    }

    #[test]
    fn long_words_end_after_a_sign() {
        assert_eq!(
            wrap("file:events.ndjson:fcd12f21f0233531/0", 20),
            ["file:events.ndjson:", "fcd12f21f0233531/0"]
        );
        assert_eq!(wrap("a abcdefgh", 3), ["a", "abc", "def", "gh"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
    }
}

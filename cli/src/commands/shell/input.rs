//! Where statements end: at `;`, outside of quotes and remarks.

/// Gathers lines until statements and directives are whole.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    pending: String,
}

impl Accumulator {
    /// Takes a line, with or without its line break; gives the statements that it ends.
    pub(super) fn add_line(&mut self, line: &str) -> Vec<String> {
        if is_blank(&self.pending) && is_directive(line) {
            self.pending.clear();
            return vec![line.trim().to_owned()];
        }
        self.pending.push_str(line);
        if !line.ends_with('\n') {
            self.pending.push('\n');
        }
        let mut statements = Vec::new();
        while let Some(end) = statement_end(&self.pending) {
            let rest = self.pending.split_off(end);
            let statement = std::mem::replace(&mut self.pending, rest);
            if !is_blank(&statement) {
                statements.push(statement);
            }
        }
        statements
    }

    /// What is left at the end of the input, though no `;` ends it.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.pending);
        if is_blank(&rest) { Vec::new() } else { vec![rest] }
    }
}

/// Whether Enter runs what is written: a directive, nothing, or statements that have ended.
pub(super) fn is_whole(text: &str) -> bool {
    if is_directive(text) {
        return true;
    }
    let mut rest = text;
    while let Some(end) = statement_end(rest) {
        rest = &rest[end..];
    }
    is_blank(rest)
}

/// The directive that somebody means who leaves its backslash out: a word that no statement consists
/// of.
pub(super) fn bare_directive(text: &str) -> Option<&str> {
    let word = text.trim().trim_end_matches(';').trim_end();
    ["help", "exit", "quit"].into_iter().find(|known| word.eq_ignore_ascii_case(known))
}

fn is_directive(line: &str) -> bool {
    line.trim_start().starts_with('\\') || bare_directive(line).is_some()
}

/// Whether there is nothing but white space, `;` and remarks.
fn is_blank(text: &str) -> bool {
    let mut blank = true;
    scan(text, |_, byte| {
        blank &= byte == b';' || byte.is_ascii_whitespace();
        true
    });
    blank
}

/// Byte offset just after the first `;` that ends a statement.
fn statement_end(text: &str) -> Option<usize> {
    let mut end = None;
    scan(text, |offset, byte| {
        if byte == b';' {
            end = Some(offset + 1);
        }
        end.is_none()
    });
    end
}

/// Visits the bytes outside of remarks and inside of no quotes, until `visit` returns false. A
/// quote's first byte is visited.
fn scan(text: &str, mut visit: impl FnMut(usize, u8) -> bool) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let length = if rest.starts_with(b"--") {
            find(rest, b"\n").map_or(rest.len(), |end| end + 1)
        } else if rest.starts_with(b"/*") {
            find(&rest[2..], b"*/").map_or(rest.len(), |end| end + 4)
        } else {
            if !visit(at, rest[0]) {
                return;
            }
            match rest[0] {
                // A doubled quote ends one text and begins the next, which comes to the same.
                quote @ (b'\'' | b'"') => {
                    find(&rest[1..], &[quote]).map_or(rest.len(), |end| end + 2)
                }
                _ => 1,
            }
        };
        at += length;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_outside_of_quotes_and_remarks() {
        let mut pending = Accumulator::default();
        assert!(pending.add_line("SELECT 'a;b', \"c;d\" -- not; here\n").is_empty());
        assert!(pending.add_line("/* nor; here */\n").is_empty());
        let ended = pending.add_line("FROM x; SELECT 2; SELECT\n");
        assert_eq!(ended.len(), 2);
        assert!(ended[0].trim_end().ends_with("FROM x;"), "{ended:?}");
        assert_eq!(pending.add_line("3;").len(), 1);
        assert!(pending.finish().is_empty());
    }

    #[test]
    fn directives_are_one_line() {
        let mut pending = Accumulator::default();
        assert_eq!(pending.add_line("\\d events.purchase\n"), ["\\d events.purchase"]);
        assert_eq!(pending.add_line("SELECT 1; -- a remark\n").len(), 1);
        assert_eq!(pending.add_line("\\x\n"), ["\\x"]);
        assert_eq!(pending.add_line("exit\n"), ["exit"]);
        assert_eq!(bare_directive("EXIT ;\n"), Some("exit"));
        assert_eq!(bare_directive("exit now"), None);
        pending.add_line("SELECT '\n");
        assert!(pending.add_line("\\not a directive\n").is_empty());
        assert_eq!(pending.finish().len(), 1);
    }

    #[test]
    fn enter_runs_what_is_whole() {
        for text in [
            "",
            "  ",
            "help",
            "Quit;",
            "\\d",
            "SELECT 1;",
            "SELECT 1; -- done",
            ";",
            "-- only a remark",
        ] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;", "/* ; "] {
            assert_eq!(is_whole(text), text.starts_with("/*"), "{text}");
        }
    }
}

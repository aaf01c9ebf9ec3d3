//! SQL as HTML: comments, words and texts told apart, tables linked to their pages.

use super::html::{escape, page_of};

/// Words that are set apart; names of functions are not among them.
const KEYWORDS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "constraint",
    "create",
    "cross",
    "date",
    "desc",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "filter",
    "first",
    "from",
    "full",
    "group",
    "grouping",
    "having",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "last",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "nulls",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "range",
    "right",
    "rows",
    "select",
    "sets",
    "table",
    "then",
    "timestamp",
    "true",
    "union",
    "unnest",
    "using",
    "values",
    "when",
    "where",
    "window",
    "with",
    "within",
];

/// A text of SQL as HTML. `is_table` says which names, such as `star.dim_player`, have a page.
pub(super) fn highlight(sql: &str, is_table: impl Fn(&str) -> bool) -> String {
    let mut html = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at(length);
        rest = after;
        if token.starts_with("--") {
            span(&mut html, "sql-comment", token);
        } else if first == '\'' {
            span(&mut html, "sql-text", token);
        } else if first.is_ascii_digit() {
            span(&mut html, "sql-number", token);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let lower = token.to_lowercase();
            if lower.contains('.') && is_table(&lower) {
                html.push_str(&format!(
                    "<a href=\"{}\">{}</a>",
                    escape(&page_of(&lower)),
                    escape(token)
                ));
            } else if KEYWORDS.contains(&lower.as_str()) {
                span(&mut html, "sql-word", token);
            } else {
                html.push_str(&escape(token));
            }
        } else {
            html.push_str(&escape(token));
        }
    }
    html
}

fn span(html: &mut String, class: &str, token: &str) {
    html.push_str(&format!("<span class=\"{class}\">{}</span>", escape(token)));
}

/// Bytes of the token at the beginning of the text.
fn token_length(text: &str, first: char) -> usize {
    let until = |end: &dyn Fn(char) -> bool| {
        text.char_indices().find(|(_, c)| end(*c)).map_or(text.len(), |(index, _)| index)
    };
    match first {
        '-' if text.starts_with("--") => until(&|c| c == '\n'),
        '\'' => text[1..].find('\'').map_or(text.len(), |end| end + 2),
        // With dots: a table has its schema before it.
        _ if first.is_ascii_alphabetic() || first == '_' => {
            until(&|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        }
        _ if first.is_ascii_digit() => until(&|c| !(c.is_ascii_digit() || c == '.')),
        _ => first.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stays_and_its_parts_are_told_apart() {
        let sql = "-- <b>\nSELECT 'it''s -- no comment', a.b, 1.5 FROM star.dim_x WHERE a < 'é'";
        let html = highlight(sql, |table| table == "star.dim_x");
        assert!(html.starts_with("<span class=\"sql-comment\">-- &lt;b&gt;</span>\n"), "{html}");
        assert!(html.contains("<span class=\"sql-word\">SELECT</span>"), "{html}");
        assert!(html.contains("<a href=\"model-dim_x.html\">star.dim_x</a>"), "{html}");
        assert!(html.contains(", a.b, <span class=\"sql-number\">1.5</span>"), "{html}");
        // Without its tags it is the text again.
        let mut text = String::new();
        let mut inside = false;
        for character in html.chars() {
            match character {
                '<' => inside = true,
                '>' => inside = false,
                other if !inside => text.push(other),
                _ => {}
            }
        }
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'");
        assert_eq!(text, sql);
    }

    #[test]
    fn what_does_not_end_ends_with_the_text() {
        assert_eq!(highlight("'open", |_| false), "<span class=\"sql-text\">&#39;open</span>");
    }
}

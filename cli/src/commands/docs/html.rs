//! HTML: escaped text, and the frame of every page.

use std::fmt::Write;

use questlake_engine::documentation::{Documentation, ModelDoc};

/// A text with everything escaped that HTML could take for its own, in content and attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The page of a table, such as `star.fact_purchase`.
pub(super) fn page_of(table: &str) -> String {
    match table.split_once('.') {
        Some(("events", name)) => format!("event-{name}.html"),
        Some((_, name)) => format!("model-{name}.html"),
        None => format!("model-{table}.html"),
    }
}

/// The page of a saved query.
pub(super) fn page_of_query(name: &str) -> String {
    format!("query-{name}.html")
}

/// A link to a table.
pub(super) fn table_link(table: &str) -> String {
    let shown = table.strip_prefix("star.").unwrap_or(table);
    format!("<a href=\"{}\"><code>{}</code></a>", escape(&page_of(table)), escape(shown))
}

/// A link to a column of a table.
pub(super) fn column_link(table: &str, column: &str) -> String {
    let shown = table.strip_prefix("star.").unwrap_or(table);
    format!(
        "<a href=\"{}#c-{}\"><code>{}.<wbr>{}</code></a>",
        escape(&page_of(table)),
        escape(column),
        escape(shown),
        escape(column)
    )
}

/// A whole page. `current` is its file, `body` is HTML.
pub(super) fn page(
    documentation: &Documentation,
    site: &str,
    current: &str,
    title: &str,
    body: &str,
) -> String {
    let navigation = navigation(documentation, current);
    let (site, title) = (escape(site), escape(title));
    format!(
        r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · {site}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script src="search.js" defer></script>
<script src="script.js" defer></script>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header class="top">
<a class="brand" href="index.html">{site}</a>
<div class="search" role="search">
<input id="search" type="search" placeholder="Search" autocomplete="off" spellcheck="false"
 aria-label="Search tables, columns and queries" role="combobox" aria-expanded="false" aria-controls="results" aria-autocomplete="list">
<ul id="results" role="listbox" aria-label="Results" hidden></ul>
</div>
</header>
<div class="frame">
<details class="side"><summary>Contents</summary>
<nav aria-label="Contents">
{navigation}</nav>
</details>
<main id="main" tabindex="-1">
{body}</main>
</div>
</body>
</html>
"##
    )
}

fn navigation(documentation: &Documentation, current: &str) -> String {
    let mut html = String::new();
    entry(&mut html, current, "index.html", "Overview");
    for (layer, heading) in [("mart", "Marts"), ("fact", "Facts"), ("dimension", "Dimensions")] {
        let mut models: Vec<&ModelDoc> =
            documentation.models.iter().filter(|model| model.layer == layer).collect();
        models.sort_by_key(|model| (model.label(), model.name.as_str()));
        let entries = models.iter().map(|model| (page_of(&model.name), model.label()));
        group(&mut html, current, heading, entries.collect());
    }
    let events = documentation.events.iter();
    let events = events.map(|event| (format!("event-{}.html", event.name), event.name.as_str()));
    group(&mut html, current, "Events", events.collect());
    let queries = documentation.queries.iter();
    let queries = queries.map(|query| (page_of_query(&query.name), query.title.as_str()));
    group(&mut html, current, "Saved queries", queries.collect());
    html
}

fn group(html: &mut String, current: &str, heading: &str, entries: Vec<(String, &str)>) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(html, "<h2>{heading}</h2>\n<ul>");
    for (page, name) in entries {
        html.push_str("<li>");
        entry(html, current, &page, name);
        html.push_str("</li>\n");
    }
    html.push_str("</ul>\n");
}

fn entry(html: &mut String, current: &str, page: &str, name: &str) {
    let here = if page == current { " aria-current=\"page\"" } else { "" };
    let _ = writeln!(html, "<a href=\"{}\"{here}>{}</a>", escape(page), escape(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_text_becomes_html() {
        let text = "<script>alert(\"it's\")</script> & more";
        let escaped = escape(text);
        assert_eq!(escaped, "&lt;script&gt;alert(&quot;it&#39;s&quot;)&lt;/script&gt; &amp; more");
        assert!(table_link("star.<b>").contains("&lt;b&gt;"));
    }

    #[test]
    fn tables_have_pages() {
        assert_eq!(page_of("events.purchase"), "event-purchase.html");
        assert_eq!(page_of("star.dim_player"), "model-dim_player.html");
    }
}

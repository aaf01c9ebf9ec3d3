//! Parts of pages: tables of columns, lists of tables, facts.

use std::fmt::Write;

use questlake_engine::documentation::{
    CheckDoc, ColumnDoc, ColumnRef, Documentation, EventDoc, ModelDoc, ParameterDoc, Reader,
    TestDoc,
};

use crate::commands::docs::html::{column_link, escape, page_of_query, table_link};

/// Sources that are shown at once; the others unfold.
const MOST_SOURCES: usize = 4;

/// Names and values.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut html = "<dl class=\"facts\">\n".to_owned();
    for (name, value) in facts {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>\n");
    html
}

/// What the colours of a drawing stand for.
pub(super) fn legend() -> String {
    let mut html = "<ul class=\"legend\">".to_owned();
    for (kind, name) in
        [("event", "events"), ("dimension", "dimensions"), ("fact", "facts"), ("mart", "marts")]
    {
        let _ = write!(html, "<li class=\"kind-{kind}\">{name}</li>");
    }
    html.push_str("</ul>\n");
    html
}

/// A link with what it leads to.
pub(super) struct Described<'a> {
    /// The page.
    pub(super) page: String,
    /// What people call it.
    pub(super) label: &'a str,
    /// The name of its table, where people call it otherwise.
    pub(super) table: Option<&'a str>,
    /// What it is.
    pub(super) description: Option<&'a str>,
}

/// Links with their descriptions.
pub(super) fn described(heading: &str, entries: Vec<Described<'_>>) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut html = format!("<section><h2>{heading}</h2>\n<dl class=\"list\">\n");
    for entry in entries {
        let table = entry.table.map(|name| format!(" <code>{}</code>", escape(name)));
        let _ = writeln!(
            html,
            "<div><dt><a href=\"{}\">{}</a>{}</dt><dd>{}</dd></div>",
            escape(&entry.page),
            escape(entry.label),
            table.unwrap_or_default(),
            escape(entry.description.unwrap_or("No description."))
        );
    }
    html.push_str("</dl></section>\n");
    html
}

/// Links to tables.
pub(super) fn tables(names: &[String]) -> String {
    if names.is_empty() {
        return "<p class=\"missing\">Nothing.</p>\n".to_owned();
    }
    let mut html = "<ul class=\"links\">\n".to_owned();
    for name in names {
        let _ = writeln!(html, "<li>{}</li>", table_link(name));
    }
    html.push_str("</ul>\n");
    html
}

/// Links to models and queries.
pub(super) fn readers(documentation: &Documentation, readers: &[Reader]) -> String {
    if readers.is_empty() {
        return "<p class=\"missing\">Nothing.</p>\n".to_owned();
    }
    let mut html = "<ul class=\"links\">\n".to_owned();
    for reader in readers {
        let link = match reader {
            Reader::Model(name) => table_link(&format!("star.{name}")),
            Reader::Query(name) => {
                let known = documentation.queries.iter().find(|query| query.name == *name);
                let title = known.map_or(name.as_str(), |query| query.title.as_str());
                format!(
                    "<a href=\"{}\">{}</a> <small>query</small>",
                    escape(&page_of_query(name)),
                    escape(title)
                )
            }
        };
        let _ = writeln!(html, "<li>{link}</li>");
    }
    html.push_str("</ul>\n");
    html
}

/// The beginning of a table whose rows become cards on a narrow screen.
fn table_head(id: &str, title: &str, headings: &[&str]) -> String {
    let cells: Vec<String> =
        headings.iter().map(|heading| format!("<th scope=\"col\">{heading}</th>")).collect();
    format!(
        "<section><h2 id=\"{id}\">{title}</h2>\n<table class=\"cards\">\n<thead><tr>{}</tr></thead>\n<tbody>\n",
        cells.concat()
    )
}

const TABLE_END: &str = "</tbody></table></section>\n";

/// The columns of a model.
pub(super) fn columns_of_model(model: &ModelDoc) -> String {
    let mut html = table_head("columns", "Columns", &["Column", "Type", "Meaning", "Made of"]);
    for column in &model.columns {
        let _ = writeln!(
            html,
            "<tr id=\"c-{id}\"><th scope=\"row\"><code>{name}</code>{badges}</th>\
             <td data-label=\"Type\"><div><code class=\"type\">{kind}</code></div></td>\
             <td data-label=\"Meaning\"><div>{meaning}</div></td>\
             <td data-label=\"Made of\"><div>{sources}</div></td></tr>",
            id = escape(&column.name),
            name = escape(&column.name),
            badges = badges(model, column),
            kind = escape(&column.column_type),
            meaning = meaning(column.description.as_deref()),
            sources = sources(column),
        );
    }
    html + TABLE_END
}

fn badges(model: &ModelDoc, column: &ColumnDoc) -> String {
    let mut html = String::new();
    if column.in_key {
        html.push_str(" <span class=\"badge\">key</span>");
    }
    if model.partition.as_ref() == Some(&column.name) {
        html.push_str(" <span class=\"badge\">partition</span>");
    }
    if let Some(combine) = &column.combine {
        let _ = write!(html, " <span class=\"badge quiet\">{}</span>", escape(combine));
    }
    html
}

fn meaning(text: Option<&str>) -> String {
    match text {
        Some(text) => escape(text),
        None => "<span class=\"missing\">—</span>".to_owned(),
    }
}

/// What a column is made of: its sources, and the columns of events behind them.
fn sources(column: &ColumnDoc) -> String {
    if column.sources.is_empty() {
        return "<span class=\"missing\">no column: a constant or a count</span>".to_owned();
    }
    let mut html = String::new();
    if column.is_copied && column.sources.len() == 1 {
        html.push_str("<small>copy of</small> ");
    }
    html.push_str(&links(&column.sources));
    if column.origins != column.sources {
        let _ = write!(
            html,
            "<details><summary>{} of events</summary>{}</details>",
            counted(column.origins.len(), "column"),
            links(&column.origins)
        );
    }
    html
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn links(columns: &[ColumnRef]) -> String {
    let all: Vec<String> =
        columns.iter().map(|column| column_link(&column.table, &column.column)).collect();
    if all.len() <= MOST_SOURCES + 1 {
        return all.join(", ");
    }
    let (first, rest) = all.split_at(MOST_SOURCES);
    format!(
        "{} <details class=\"more\"><summary>{} more</summary>{}</details>",
        first.join(", "),
        rest.len(),
        rest.join(", ")
    )
}

/// The columns of an event type: its own, then the envelope's.
pub(super) fn columns_of_event(event: &EventDoc) -> String {
    let mut html = table_head("columns", "Columns", &["Column", "Type", "Meaning", "Goes into"]);
    for column in &event.columns {
        let mut badges = String::new();
        if !column.is_nullable {
            badges.push_str(" <span class=\"badge\">not null</span>");
        }
        if column.in_envelope && event.file.is_some() {
            badges.push_str(" <span class=\"badge quiet\">envelope</span>");
        }
        let goes = match column.used_by.is_empty() {
            true => "<span class=\"missing\">—</span>".to_owned(),
            false => links(&column.used_by),
        };
        let _ = writeln!(
            html,
            "<tr id=\"c-{id}\"><th scope=\"row\"><code>{name}</code>{badges}</th>\
             <td data-label=\"Type\"><div><code class=\"type\">{kind}</code></div></td>\
             <td data-label=\"Meaning\"><div>{meaning}</div></td>\
             <td data-label=\"Goes into\"><div>{goes}</div></td></tr>",
            id = escape(&column.name),
            name = escape(&column.name),
            kind = escape(&column.column_type),
            meaning = meaning(column.description.as_deref()),
        );
    }
    html + TABLE_END
}

/// The parameters of a saved query.
pub(super) fn parameters(parameters: &[ParameterDoc]) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let headings = ["Parameter", "Type", "Default", "Meaning"];
    let mut html = table_head("parameters", "Parameters", &headings);
    for parameter in parameters {
        let default = match &parameter.default {
            Some(value) => format!("<code>{}</code>", escape(value)),
            None => "<span class=\"missing\">must be given</span>".to_owned(),
        };
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><code>{}</code></th><td data-label=\"Type\"><div><code class=\"type\">{}</code></div></td>\
             <td data-label=\"Default\"><div>{default}</div></td><td data-label=\"Meaning\"><div>{}</div></td></tr>",
            escape(&parameter.name),
            escape(&parameter.parameter_type),
            meaning(parameter.description.as_deref())
        );
    }
    html + TABLE_END
}

/// The unit tests of a model.
pub(super) fn tests(tests: &[TestDoc]) -> String {
    let mut html = "<section><h2 id=\"tests\">Unit tests</h2>\n".to_owned();
    if tests.is_empty() {
        html.push_str("<p class=\"missing\">The model has no unit tests.</p></section>\n");
        return html;
    }
    html.push_str("<ul class=\"tests\">\n");
    for test in tests {
        let _ = write!(
            html,
            "<li>{} <small>{}:{}</small>",
            escape(&test.name),
            escape(&test.file),
            test.line
        );
        if let Some(description) = &test.description {
            let _ = write!(html, "<br><small>{}</small>", escape(description));
        }
        html.push_str("</li>\n");
    }
    html.push_str("</ul></section>\n");
    html
}

/// The checks of a model's data.
pub(super) fn checks(checks: &[CheckDoc]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let mut html = "<section><h2 id=\"checks\">Checks</h2>\n<dl class=\"list\">\n".to_owned();
    for check in checks {
        let _ = writeln!(
            html,
            "<div><dt>{} <span class=\"badge\">{}</span></dt><dd>{}</dd></div>",
            escape(&check.name),
            escape(&check.severity),
            escape(check.description.as_deref().unwrap_or("No description."))
        );
    }
    html.push_str("</dl></section>\n");
    html
}

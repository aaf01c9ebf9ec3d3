//! The pages: an overview, and one of each model, event type and saved query.

mod parts;

use std::fmt::Write;

use questlake_engine::documentation::{Documentation, EventDoc, Lineage, ModelDoc, QueryDoc};
use serde_json::json;

use self::parts::{Described, columns_of_event, columns_of_model, described, readers, tables};
use super::html::{escape, page, page_of, page_of_query};
use super::sql::highlight;
use super::{column_graph, table_graph};
use crate::error::CliError;

/// Every page by its file's name.
pub(super) fn all(documentation: &Documentation, site: &str) -> Vec<(String, String)> {
    let lineage = documentation.lineage();
    let mut pages = Vec::new();
    let mut add = |file: String, title: &str, body: &str| {
        let html = page(documentation, site, &file, title, body);
        pages.push((file, html));
    };
    add("index.html".to_owned(), "Overview", &overview(documentation, &lineage, site));
    for model in &documentation.models {
        add(page_of(&model.name), model.label(), &model_page(documentation, &lineage, model));
    }
    for event in &documentation.events {
        let body = event_page(documentation, &lineage, event);
        add(format!("event-{}.html", event.name), &event.name, &body);
    }
    for query in &documentation.queries {
        add(page_of_query(&query.name), &query.title, &query_page(documentation, query));
    }
    pages
}

/// What the search box looks through: names, kinds, pages and descriptions.
pub(super) fn search_index(documentation: &Documentation) -> Result<String, CliError> {
    let mut entries = Vec::new();
    let mut add = |name: &str, kind: &str, page: String, text: Option<&str>| {
        entries.push(json!([name, kind, page, text.unwrap_or_default()]));
    };
    for model in &documentation.models {
        let page = page_of(&model.name);
        add(&model.name, model.layer, page.clone(), model.description.as_deref());
        if let Some(title) = &model.title {
            add(title, model.layer, page.clone(), model.description.as_deref());
        }
        for column in &model.columns {
            let name = format!("{}.{}", model.name, column.name);
            add(
                &name,
                "column",
                format!("{page}#c-{}", column.name),
                column.description.as_deref(),
            );
        }
    }
    for event in &documentation.events {
        let page = format!("event-{}.html", event.name);
        add(&event.name, "event", page.clone(), event.description.as_deref());
        for column in event.columns.iter().filter(|column| !column.in_envelope) {
            let name = format!("{}.{}", event.name, column.name);
            add(
                &name,
                "property",
                format!("{page}#c-{}", column.name),
                column.description.as_deref(),
            );
        }
    }
    for query in &documentation.queries {
        let page = page_of_query(&query.name);
        add(&query.title, "query", page, query.description.as_deref());
    }
    Ok(format!("const SEARCH = {};\n", serde_json::to_string(&entries)?))
}

fn overview(documentation: &Documentation, lineage: &Lineage, site: &str) -> String {
    let mut html = format!("<h1>{}</h1>\n", escape(site));
    let tests: usize = documentation.models.iter().map(|model| model.tests.len()).sum();
    let columns: usize = documentation.models.iter().map(|model| model.columns.len()).sum();
    let figures = [
        (documentation.models.len(), "models"),
        (columns, "columns"),
        (documentation.events.len().saturating_sub(1), "event types"),
        (documentation.queries.len(), "saved queries"),
        (tests, "unit tests"),
    ];
    html.push_str("<ul class=\"figures\">");
    for (count, noun) in figures {
        let _ = write!(html, "<li><b>{count}</b> {noun}</li>");
    }
    html.push_str("</ul>\n");
    html.push_str("<section><h2 id=\"lineage\">Lineage</h2>\n");
    html.push_str("<p class=\"hint\">From events on the left to marts on the right. Point at a table, \
                   or go to it with the Tab key, to see what it is made of and what is made of it.</p>\n");
    html.push_str(&parts::legend());
    html.push_str(&drawing(&table_graph::draw(lineage), "Lineage of all tables"));
    html.push_str("</section>\n");
    for (layer, heading) in [("mart", "Marts"), ("fact", "Facts"), ("dimension", "Dimensions")] {
        let mut models: Vec<&ModelDoc> =
            documentation.models.iter().filter(|model| model.layer == layer).collect();
        models.sort_by_key(|model| (model.label(), model.name.as_str()));
        let entries = models.iter().map(|model| Described {
            page: page_of(&model.name),
            label: model.label(),
            table: model.title.as_ref().map(|_| model.name.as_str()),
            description: model.description.as_deref(),
        });
        html.push_str(&described(heading, entries.collect()));
    }
    let events = documentation.events.iter().map(|event| Described {
        page: format!("event-{}.html", event.name),
        label: &event.name,
        table: None,
        description: event.description.as_deref(),
    });
    html.push_str(&described("Events", events.collect()));
    let queries = documentation.queries.iter().map(|query| Described {
        page: page_of_query(&query.name),
        label: &query.title,
        table: None,
        description: query.description.as_deref(),
    });
    html.push_str(&described("Saved queries", queries.collect()));
    html
}

fn model_page(documentation: &Documentation, lineage: &Lineage, model: &ModelDoc) -> String {
    let mut html = heading(model.label(), model.layer, model.description.as_deref());
    let mut facts: Vec<(&str, String)> = Vec::new();
    if model.title.is_some() {
        facts.push(("Table", format!("<code>star.{}</code>", escape(&model.name))));
    }
    facts.push(("Loaded by", escape(model.load)));
    if !model.key.is_empty() {
        let key: Vec<String> =
            model.key.iter().map(|key| format!("<code>{}</code>", escape(key))).collect();
        facts.push(("Key", key.join(", ")));
    }
    if let Some(partition) = &model.partition {
        facts.push(("Partition", format!("<code>{}</code>", escape(partition))));
    }
    if model.lookback_days > 0 {
        facts.push(("Looks back", days(model.lookback_days)));
    }
    if model.lookahead_days > 0 {
        facts.push(("Looks ahead", days(model.lookahead_days)));
    }
    facts.push(("File", format!("<code>{}</code>", escape(&model.file))));
    html.push_str(&parts::facts(&facts));
    let drawn = column_graph::draw(documentation, lineage, &format!("star.{}", model.name));
    html.push_str(&lineage_section(&drawn));
    html.push_str(&columns_of_model(model));
    html.push_str(
        "<section><h2 id=\"neighbours\">Reads and is read by</h2>\n<div class=\"pair\">\n",
    );
    let _ = write!(html, "<div><h3>Reads</h3>{}</div>", tables(&model.upstream));
    let _ = writeln!(
        html,
        "<div><h3>Is read by</h3>{}</div>\n</div></section>",
        readers(documentation, &model.downstream)
    );
    html.push_str(&parts::tests(&model.tests));
    html.push_str(&parts::checks(&model.checks));
    html.push_str(&sql_section(documentation, &model.sql));
    html
}

fn event_page(documentation: &Documentation, lineage: &Lineage, event: &EventDoc) -> String {
    let mut html = heading(&event.name, "event", event.description.as_deref());
    if let Some(file) = &event.file {
        html.push_str(&parts::facts(&[("File", format!("<code>{}</code>", escape(file)))]));
    }
    let drawn = column_graph::draw(documentation, lineage, &format!("events.{}", event.name));
    html.push_str(&lineage_section(&drawn));
    html.push_str(&columns_of_event(event));
    if !event.constraints.is_empty() {
        html.push_str("<section><h2 id=\"constraints\">Constraints</h2>\n<ul>\n");
        for constraint in &event.constraints {
            let _ = writeln!(html, "<li><code>{}</code></li>", escape(constraint));
        }
        html.push_str("</ul></section>\n");
    }
    let _ = writeln!(
        html,
        "<section><h2 id=\"readers\">Is read by</h2>\n{}</section>",
        readers(documentation, &event.downstream)
    );
    html
}

fn query_page(documentation: &Documentation, query: &QueryDoc) -> String {
    let mut html = heading(&query.title, "query", query.description.as_deref());
    let facts = [
        ("Run it with", format!("<code>questlake query {}</code>", escape(&query.name))),
        ("File", format!("<code>{}</code>", escape(&query.file))),
    ];
    html.push_str(&parts::facts(&facts));
    html.push_str(&parts::parameters(&query.parameters));
    let _ = writeln!(
        html,
        "<section><h2 id=\"reads\">Reads</h2>\n{}</section>",
        tables(&query.upstream)
    );
    html.push_str(&sql_section(documentation, &query.sql));
    html
}

fn heading(name: &str, kind: &str, description: Option<&str>) -> String {
    let description = match description {
        Some(text) => format!("<p class=\"lead\">{}</p>\n", escape(text)),
        None => "<p class=\"lead missing\">No description.</p>\n".to_owned(),
    };
    format!(
        "<h1>{} <span class=\"badge kind-{kind}\">{kind}</span></h1>\n{description}",
        escape(name)
    )
}

fn days(days: i32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn lineage_section(drawn: &str) -> String {
    if drawn.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2 id=\"lineage\">Lineage</h2>\n<p class=\"hint\">Point at a column to see where \
         it comes from and where it goes; click it, or press Enter, to keep that in view. A dashed \
         line stands for a table of which no column is handed on.</p>\n{}</section>\n",
        drawing(drawn, "Lineage of the columns")
    )
}

/// A drawing that is moved where it is wider than the page.
fn drawing(svg: &str, label: &str) -> String {
    format!(
        "<div class=\"drawing\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n{svg}</div>\n",
        escape(label)
    )
}

fn sql_section(documentation: &Documentation, sql: &str) -> String {
    let is_table = |name: &str| match name.split_once('.') {
        Some(("star", name)) => documentation.model(name).is_some(),
        Some(("events", name)) => documentation.event(name).is_some(),
        _ => false,
    };
    format!(
        "<section><h2 id=\"sql\">SQL</h2>\n<pre class=\"sql\" tabindex=\"0\"><code>{}</code></pre></section>\n",
        highlight(sql.trim_end(), is_table)
    )
}

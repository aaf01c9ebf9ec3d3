//! The neighbourhood of one table: what it reads and who reads it, down to columns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use questlake_engine::documentation::{ColumnRef, Documentation, Lineage};

use super::html::{escape, page_of};

/// Width of a character of the names.
const CHARACTER: f64 = 7.0;
/// Height of a column's row.
const ROW: f64 = 22.0;
/// Height of a table's heading.
const HEADING: f64 = 30.0;
/// Room below the last row.
const FOOT: f64 = 6.0;
/// Room between tables of a side.
const GAP: f64 = 18.0;
/// Room between the sides.
const BETWEEN: f64 = 110.0;
/// Room around the drawing.
const MARGIN: f64 = 8.0;

/// A table of the drawing.
struct Table<'a> {
    name: &'a str,
    kind: &'static str,
    columns: Vec<&'a str>,
    left: f64,
    top: f64,
    width: f64,
}

impl Table<'_> {
    fn height(&self) -> f64 {
        HEADING + self.columns.len() as f64 * ROW + FOOT
    }

    /// Middle of a column's row; of the heading for a table that gives no column.
    fn middle(&self, column: Option<&str>) -> f64 {
        let row = column.and_then(|name| self.columns.iter().position(|known| *known == name));
        match row {
            Some(row) => self.top + HEADING + (row as f64 + 0.5) * ROW,
            None => self.top + HEADING / 2.0,
        }
    }
}

/// Draws a table between what it reads and who reads it. Empty if it has no neighbours.
pub(super) fn draw(documentation: &Documentation, lineage: &Lineage, name: &str) -> String {
    let kinds: BTreeMap<&str, &'static str> =
        lineage.nodes.iter().map(|node| (node.table.as_str(), node.kind)).collect();
    let kind = |table: &str| kinds.get(table).copied().unwrap_or("event");
    let before = lineage.edges.iter().filter(|(_, to)| to == name).map(|(from, _)| from.as_str());
    let after = lineage.edges.iter().filter(|(from, _)| from == name).map(|(_, to)| to.as_str());
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (before.collect(), after.collect());
    if before.is_empty() && after.is_empty() {
        return String::new();
    }
    let into: Vec<&(ColumnRef, ColumnRef)> =
        lineage.column_edges.iter().filter(|(_, made)| made.table == name).collect();
    let out: Vec<&(ColumnRef, ColumnRef)> =
        lineage.column_edges.iter().filter(|(source, _)| source.table == name).collect();
    let centre_columns = columns_of(documentation, name);
    // A table with many unused columns, such as an event's envelope, shows those that are used.
    let centre_columns: Vec<&str> = match name.starts_with("events.") {
        true => {
            let used: BTreeSet<&str> =
                out.iter().map(|(source, _)| source.column.as_str()).collect();
            centre_columns.into_iter().filter(|column| used.contains(column)).collect()
        }
        false => centre_columns,
    };
    let centre = Table::new(name, kind(name), centre_columns);
    let mut left = side(&before, kind, &centre, |table, column| {
        into.iter()
            .filter(|(source, _)| {
                source.table == table && column.is_none_or(|c| source.column == c)
            })
            .map(|(source, made)| (source.column.as_str(), made.column.as_str()))
            .collect()
    });
    let mut right = side(&after, kind, &centre, |table, column| {
        out.iter()
            .filter(|(_, made)| made.table == table && column.is_none_or(|c| made.column == c))
            .map(|(source, made)| (made.column.as_str(), source.column.as_str()))
            .collect()
    });
    let mut centre = vec![centre];
    let height =
        [&left, &centre, &right].iter().map(|tables| side_height(tables)).fold(0.0, f64::max)
            + 2.0 * MARGIN;
    let mut at = MARGIN;
    for tables in [&mut left, &mut centre, &mut right] {
        if tables.is_empty() {
            continue;
        }
        let width = tables.iter().map(|table| table.width).fold(0.0, f64::max);
        let mut top = (height - side_height(tables)) / 2.0;
        for table in tables.iter_mut() {
            (table.left, table.top, table.width) = (at, top, width);
            top += table.height() + GAP;
        }
        at += width + BETWEEN;
    }
    let width = at - BETWEEN + MARGIN;
    let tables: Vec<&Table<'_>> = left.iter().chain(&centre).chain(&right).collect();
    let mut svg = format!(
        "<svg class=\"lineage columns\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"group\" \
         aria-label=\"Lineage of the columns of {}\">\n<g class=\"edges\" aria-hidden=\"true\">\n",
        escape(name)
    );
    for (source, made) in into.iter().chain(&out) {
        edge(&mut svg, &tables, source, made);
    }
    for (table, is_source) in
        before.iter().map(|table| (*table, true)).chain(after.iter().map(|table| (*table, false)))
    {
        let none = tables.iter().any(|known| known.name == table && known.columns.is_empty());
        if none {
            let (from, to) = if is_source { (table, name) } else { (name, table) };
            table_edge(&mut svg, &tables, from, to);
        }
    }
    svg.push_str("</g>\n");
    for table in &tables {
        draw_table(&mut svg, table, table.name == name);
    }
    svg.push_str("</svg>\n");
    svg
}

impl<'a> Table<'a> {
    fn new(name: &'a str, kind: &'static str, columns: Vec<&'a str>) -> Self {
        let longest = columns.iter().map(|column| column.chars().count()).max().unwrap_or(0);
        let heading = shown(name).chars().count();
        let width = (longest.max(heading + 1) as f64).mul_add(CHARACTER, 30.0);
        Self { name, kind, columns, left: 0.0, top: 0.0, width }
    }
}

/// The tables of one side with the columns that matter, in an order with few crossings. `links`
/// gives pairs of a column and the centre's column that it is linked to.
fn side<'a>(
    names: &BTreeSet<&'a str>,
    kind: impl Fn(&str) -> &'static str,
    centre: &Table<'_>,
    links: impl Fn(&str, Option<&str>) -> Vec<(&'a str, &'a str)>,
) -> Vec<Table<'a>> {
    let place = |linked: &[(&str, &str)]| {
        let rows = linked.iter().map(|(_, column)| centre.middle(Some(column)));
        rows.sum::<f64>() / linked.len().max(1) as f64
    };
    let mut tables: Vec<(f64, Table<'a>)> = names
        .iter()
        .map(|name| {
            let columns: BTreeSet<&str> =
                links(name, None).into_iter().map(|(column, _)| column).collect();
            let mut columns: Vec<(f64, &str)> = columns
                .into_iter()
                .map(|column| (place(&links(name, Some(column))), column))
                .collect();
            columns.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(right.1)));
            let columns = columns.into_iter().map(|(_, column)| column).collect();
            (place(&links(name, None)), Table::new(name, kind(name), columns))
        })
        .collect();
    tables.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.name.cmp(right.1.name)));
    tables.into_iter().map(|(_, table)| table).collect()
}

fn side_height(tables: &[Table<'_>]) -> f64 {
    let heights: f64 = tables.iter().map(Table::height).sum();
    heights + GAP * tables.len().saturating_sub(1) as f64
}

fn columns_of<'a>(documentation: &'a Documentation, table: &str) -> Vec<&'a str> {
    let (schema, name) = table.split_once('.').unwrap_or(("star", table));
    if schema == "events" {
        let event = documentation.event(name);
        let columns = event.map(|event| event.columns.as_slice()).unwrap_or_default();
        return columns.iter().map(|column| column.name.as_str()).collect();
    }
    let model = documentation.model(name);
    let columns = model.map(|model| model.columns.as_slice()).unwrap_or_default();
    columns.iter().map(|column| column.name.as_str()).collect()
}

fn edge(svg: &mut String, tables: &[&Table<'_>], source: &ColumnRef, made: &ColumnRef) {
    let find = |name: &str| tables.iter().find(|table| table.name == name);
    let (Some(from), Some(to)) = (find(&source.table), find(&made.table)) else { return };
    let start = (from.left + from.width, from.middle(Some(&source.column)));
    let end = (to.left, to.middle(Some(&made.column)));
    let _ = writeln!(
        svg,
        "<path d=\"{}\" data-from=\"{}\" data-to=\"{}\"/>",
        curve(start, end),
        escape(&id(source)),
        escape(&id(made))
    );
}

/// A table that is read without a column of it being handed on: for a condition or a count.
fn table_edge(svg: &mut String, tables: &[&Table<'_>], from: &str, to: &str) {
    let find = |name: &str| tables.iter().find(|table| table.name == name);
    let (Some(from), Some(to)) = (find(from), find(to)) else { return };
    let start = (from.left + from.width, from.middle(None));
    let end = (to.left, to.middle(None));
    let _ = writeln!(svg, "<path class=\"loose\" d=\"{}\"/>", curve(start, end));
}

fn curve(start: (f64, f64), end: (f64, f64)) -> String {
    let middle = (start.0 + end.0) / 2.0;
    format!(
        "M{:.1} {:.1}C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}",
        start.0, start.1, start.1, end.1, end.0, end.1
    )
}

fn draw_table(svg: &mut String, table: &Table<'_>, is_centre: bool) {
    let (x, y, width, height) = (table.left, table.top, table.width, table.height());
    let class = if is_centre { " centre" } else { "" };
    let _ = writeln!(
        svg,
        "<g class=\"table kind-{kind}{class}\">\
         <rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\"/>\
         <rect class=\"mark\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"4\" rx=\"2\"/>",
        kind = table.kind,
    );
    let heading = format!(
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        x + 12.0,
        y + 21.0,
        escape(shown(table.name))
    );
    if is_centre {
        let _ = writeln!(svg, "{heading}");
    } else {
        let _ = writeln!(svg, "<a href=\"{}\">{heading}</a>", escape(&page_of(table.name)));
    }
    for column in &table.columns {
        let middle = table.middle(Some(column));
        let reference = ColumnRef { table: table.name.to_owned(), column: (*column).to_owned() };
        let _ = writeln!(
            svg,
            "<g class=\"column\" tabindex=\"0\" role=\"button\" aria-pressed=\"false\" data-id=\"{}\">\
             <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" rx=\"3\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            escape(&id(&reference)),
            x + 4.0,
            middle - ROW / 2.0 + 1.0,
            width - 8.0,
            ROW - 2.0,
            x + 12.0,
            middle + 4.0,
            escape(column)
        );
    }
    svg.push_str("</g>\n");
}

fn id(column: &ColumnRef) -> String {
    format!("{}.{}", column.table, column.column)
}

fn shown(table: &str) -> &str {
    table.strip_prefix("star.").unwrap_or(table)
}

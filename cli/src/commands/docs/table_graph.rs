//! The lineage of a whole project: a drawing of its tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use questlake_engine::documentation::Lineage;

use super::graph::{Node, layout};
use super::html::{escape, page_of};

/// Width of a character of the names.
const CHARACTER: f64 = 7.3;
/// Height of a node.
const HEIGHT: f64 = 28.0;
/// Room between the ranks.
const BETWEEN: f64 = 64.0;
/// Room around the drawing.
const MARGIN: f64 = 8.0;

/// Draws the tables from left to right.
pub(super) fn draw(lineage: &Lineage) -> String {
    let places: BTreeMap<&str, usize> = lineage
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.table.as_str(), index))
        .collect();
    let edges: Vec<(usize, usize)> = lineage
        .edges
        .iter()
        .filter_map(|(from, to)| Some((*places.get(from.as_str())?, *places.get(to.as_str())?)))
        .collect();
    let nodes: Vec<Node> =
        lineage.nodes.iter().map(|node| Node { rank: node.rank, height: HEIGHT }).collect();
    let placed = layout(&nodes, &edges);
    let ranks = nodes.iter().map(|node| node.rank + 1).max().unwrap_or(0);
    // Each rank is as wide as its longest name.
    let mut widths = vec![0.0_f64; ranks];
    for node in &lineage.nodes {
        let width = shown(&node.table).chars().count() as f64 * CHARACTER + 28.0;
        widths[node.rank] = widths[node.rank].max(width);
    }
    let mut lefts = Vec::with_capacity(ranks);
    let mut at = MARGIN;
    for width in &widths {
        lefts.push(at);
        at += width + BETWEEN;
    }
    let width = (at - BETWEEN + MARGIN).max(2.0 * MARGIN);
    let height = placed.height + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg class=\"lineage tables\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"group\" aria-label=\"Lineage of the tables\">\n\
         <g class=\"edges\" aria-hidden=\"true\">\n"
    );
    for ((from, to), waypoints) in edges.iter().zip(&placed.waypoints) {
        let mut rank = nodes[*from].rank;
        let mut y = placed.middles[*from] + MARGIN;
        let mut path = format!("M{:.1} {y:.1}", lefts[rank] + widths[rank]);
        for next in waypoints.iter().chain([&placed.middles[*to]]) {
            let (start, end) = (lefts[rank] + widths[rank], lefts[rank + 1]);
            let (middle, next) = ((start + end) / 2.0, next + MARGIN);
            let _ = write!(path, "C{middle:.1} {y:.1} {middle:.1} {next:.1} {end:.1} {next:.1}");
            rank += 1;
            y = next;
            if rank < nodes[*to].rank {
                let _ = write!(path, "H{:.1}", lefts[rank] + widths[rank]);
            }
        }
        let (from, to) = (&lineage.nodes[*from].table, &lineage.nodes[*to].table);
        let (from, to) = (escape(from), escape(to));
        let _ = writeln!(svg, "<path d=\"{path}\" data-from=\"{from}\" data-to=\"{to}\"/>");
    }
    svg.push_str("</g>\n");
    for (node, middle) in lineage.nodes.iter().zip(&placed.middles) {
        let (x, y) = (lefts[node.rank], middle + MARGIN - HEIGHT / 2.0);
        let _ = writeln!(
            svg,
            "<a class=\"node kind-{kind}\" href=\"{page}\" data-id=\"{table}\">\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"5\"/>\
             <rect class=\"mark\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"5\" height=\"{HEIGHT}\" rx=\"2\"/>\
             <text x=\"{text:.1}\" y=\"{baseline:.1}\">{name}</text></a>",
            kind = node.kind,
            page = escape(&page_of(&node.table)),
            table = escape(&node.table),
            width = widths[node.rank],
            text = x + 15.0,
            baseline = y + HEIGHT / 2.0 + 4.0,
            name = escape(shown(&node.table)),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Models without their schema, events without theirs: the colour tells.
fn shown(table: &str) -> &str {
    table.split_once('.').map_or(table, |(_, name)| name)
}

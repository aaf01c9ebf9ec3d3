//! Places for the nodes of a graph that is drawn from left to right.
//!
//! Every node has a rank, its column in the drawing. Edges over several ranks pass through waypoints
//! in the ranks between, so that they do not run behind nodes. Nodes are ordered by where their
//! neighbours are, which leaves few crossings, and moved to the height of their neighbours.

use std::collections::BTreeMap;

/// Room between nodes of a rank.
const GAP: f64 = 10.0;

/// Height of a waypoint.
const WAYPOINT: f64 = 8.0;

/// Times that every rank is ordered anew, and moved.
const SWEEPS: usize = 12;

/// A node to be placed.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) rank: usize,
    pub(super) height: f64,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    /// Middle of each node, from the top.
    pub(super) middles: Vec<f64>,
    /// For each edge, the middles of its waypoints in the ranks between.
    pub(super) waypoints: Vec<Vec<f64>>,
    /// Height of the whole.
    pub(super) height: f64,
}

/// Places the nodes. Edges lead from a lower rank to a higher one.
pub(super) fn layout(nodes: &[Node], edges: &[(usize, usize)]) -> Layout {
    let mut all: Vec<Node> = nodes.to_vec();
    let mut links: Vec<(usize, usize)> = Vec::new();
    let mut paths: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    // Edges into the same node share their waypoints: a bundle is easier to follow than its strands.
    let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for &(from, to) in edges {
        let mut path = Vec::new();
        let mut last = from;
        for rank in nodes[from].rank + 1..nodes[to].rank {
            let waypoint = *shared.entry((from, rank)).or_insert_with(|| {
                all.push(Node { rank, height: WAYPOINT });
                all.len() - 1
            });
            links.push((last, waypoint));
            path.push(waypoint);
            last = waypoint;
        }
        links.push((last, to));
        paths.push(path);
    }
    links.sort_unstable();
    links.dedup();
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    for &(from, to) in &links {
        neighbours[from].push(to);
        neighbours[to].push(from);
    }
    let ranks = all.iter().map(|node| node.rank).max().map_or(0, |last| last + 1);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); ranks];
    for (index, node) in all.iter().enumerate() {
        columns[node.rank].push(index);
    }
    let mut middles = vec![0.0; all.len()];
    for column in &columns {
        stack(column, &all, &mut middles);
    }
    for sweep in 0..SWEEPS {
        let forward: Vec<usize> = (0..ranks).collect();
        let order: Vec<usize> =
            if sweep % 2 == 0 { forward } else { forward.into_iter().rev().collect() };
        for rank in order {
            let wanted: Vec<f64> = columns[rank]
                .iter()
                .map(|&node| {
                    let near = &neighbours[node];
                    if near.is_empty() {
                        return middles[node];
                    }
                    near.iter().map(|&other| middles[other]).sum::<f64>() / near.len() as f64
                })
                .collect();
            let mut sorted: Vec<(f64, usize)> =
                wanted.into_iter().zip(columns[rank].iter().copied()).collect();
            sorted.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            columns[rank] = sorted.iter().map(|(_, node)| *node).collect();
            spread(&sorted, &all, &mut middles);
        }
    }
    let top = all.iter().zip(&middles).map(|(node, middle)| middle - node.height / 2.0);
    let top = top.fold(f64::INFINITY, f64::min);
    let top = if top.is_finite() { top } else { 0.0 };
    for middle in &mut middles {
        *middle -= top;
    }
    let bottom = all.iter().zip(&middles).map(|(node, middle)| middle + node.height / 2.0);
    let height = bottom.fold(0.0, f64::max);
    let waypoints = paths
        .into_iter()
        .map(|path| path.into_iter().map(|waypoint| middles[waypoint]).collect())
        .collect();
    middles.truncate(nodes.len());
    Layout { middles, waypoints, height }
}

/// One below the other, the middle of all at 0.
fn stack(column: &[usize], nodes: &[Node], middles: &mut [f64]) {
    let total: f64 = column.iter().map(|&node| nodes[node].height + GAP).sum();
    let mut at = -total / 2.0;
    for &node in column {
        middles[node] = at + nodes[node].height / 2.0;
        at += nodes[node].height + GAP;
    }
}

/// As near to the wanted places as possible without overlaps: nodes that meet move as one block,
/// to the mean of what they want.
fn spread(sorted: &[(f64, usize)], nodes: &[Node], middles: &mut [f64]) {
    struct Block {
        first: usize,
        count: usize,
        /// Top that its nodes want on the average.
        top: f64,
        height: f64,
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (index, (wanted, node)) in sorted.iter().enumerate() {
        let height = nodes[*node].height + GAP;
        let top = wanted - nodes[*node].height / 2.0;
        let mut block = Block { first: index, count: 1, top, height };
        while let Some(above) = blocks.pop() {
            if above.top + above.height <= block.top {
                blocks.push(above);
                break;
            }
            let weight = (above.count + block.count) as f64;
            let wanted_by_below = block.top - above.height;
            block = Block {
                first: above.first,
                count: above.count + block.count,
                top: (above.top * above.count as f64 + wanted_by_below * block.count as f64)
                    / weight,
                height: above.height + block.height,
            };
        }
        blocks.push(block);
    }
    for block in blocks {
        let mut at = block.top;
        for (_, node) in &sorted[block.first..block.first + block.count] {
            middles[*node] = at + nodes[*node].height / 2.0;
            at += nodes[*node].height + GAP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(rank: usize) -> Node {
        Node { rank, height: 28.0 }
    }

    #[test]
    fn nodes_of_a_rank_do_not_overlap() {
        let nodes: Vec<Node> = (0..30).map(|index| node(index % 4)).collect();
        let edges: Vec<(usize, usize)> = (0..30)
            .flat_map(|from| (0..30).map(move |to| (from, to)))
            .filter(|(from, to)| from % 4 < to % 4 && (from * 7 + to) % 5 == 0)
            .collect();
        let layout = layout(&nodes, &edges);
        for (left, one) in nodes.iter().enumerate() {
            for (right, other) in nodes.iter().enumerate().skip(left + 1) {
                if one.rank == other.rank {
                    let apart = (layout.middles[left] - layout.middles[right]).abs();
                    assert!(apart >= 28.0 + GAP - 1e-6, "{left} and {right}: {apart}");
                }
            }
        }
        assert_eq!(layout.waypoints.len(), edges.len());
        for (path, (from, to)) in layout.waypoints.iter().zip(&edges) {
            assert_eq!(path.len(), nodes[*to].rank - nodes[*from].rank - 1);
        }
        assert!(layout.middles.iter().all(|middle| (0.0..=layout.height).contains(middle)));
    }

    #[test]
    fn a_chain_is_a_line() {
        let layout = layout(&[node(0), node(1), node(2)], &[(0, 1), (1, 2)]);
        assert!(layout.middles.iter().all(|middle| (middle - 14.0).abs() < 1e-6));
        let nothing = super::layout(&[], &[]);
        assert_eq!(nothing.height, 0.0);
    }
}

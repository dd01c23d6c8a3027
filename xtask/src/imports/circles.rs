//! Circles of imports.

use std::collections::BTreeSet;

use super::modules::Edges;

/// The nodes that import each other, directly or by way of others; each group once.
pub(super) fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let nodes: BTreeSet<&String> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for node in nodes.iter().copied().filter(|node| reached(edges, node).contains(*node)) {
        let from = reached(edges, node);
        let circle: Vec<String> = from.iter().filter(|other| reached(edges, other).contains(node)).map(|other| (*other).clone()).collect();
        if !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// All nodes, those first that import others, as far as there are no circles.
pub(super) fn in_order(edges: &Edges) -> Vec<String> {
    let nodes: BTreeSet<&String> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let mut nodes: Vec<(usize, &String)> = nodes.into_iter().map(|node| (reached(edges, node).len(), node)).collect();
    nodes.sort_by(|(one, name), (other, with)| other.cmp(one).then_with(|| name.cmp(with)));
    nodes.into_iter().map(|(_, node)| node.clone()).collect()
}

/// Everything that a node imports, directly or by way of others.
fn reached<'e>(edges: &'e Edges, node: &str) -> BTreeSet<&'e String> {
    let mut found: BTreeSet<&String> = BTreeSet::new();
    let mut open: Vec<&str> = vec![node];
    while let Some(node) = open.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| from == node) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

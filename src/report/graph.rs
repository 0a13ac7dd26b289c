//! A plan as a picture: text for Graphviz, or a page that needs nothing.
//!
//! It knows nodes and edges as plain text only, so that whatever has dependencies can be drawn.
#![allow(clippy::format_push_string)] // Pages are small, and `format!` reads better than `write!` here.

use std::collections::{BTreeMap, HashMap};

use super::terminal::brief;
use super::timeline::{escape, fill};
use crate::error::numbered;

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

const PAGE: &str = include_str!("graph.html");
/// Sizes of the picture, in pixels.
const BOX: (usize, usize) = (168, 30);
const STEP: (usize, usize) = (BOX.0 + 56, BOX.1 + 8);
const MARGIN: usize = 14;

/// The graph as a self-contained page: a lane a host, what comes first at the left.
pub fn html(title: &str, nodes: &[GraphNode], edges: &[(String, String)]) -> String {
    let roles = distinct(nodes.iter().map(|node| node.role.as_str()));
    let hues: HashMap<&str, u16> = roles.iter().enumerate().map(|(index, role)| (*role, hue(index))).collect();
    let places = Places::of(nodes, edges);
    let mut lanes = String::new();
    let mut picture = String::new();
    for (index, (host, top, height)) in places.lanes.iter().enumerate() {
        let name = if host.is_empty() { "milestones" } else { host };
        lanes += &format!("<div style=\"height:{height}px\">{}</div>", escape(name));
        if index % 2 == 1 {
            picture += &format!("<rect class=\"lane\" x=\"0\" y=\"{top}\" width=\"100%\" height=\"{height}\"/>\n");
        }
    }
    for (before, after) in &places.edges {
        let (from, to) = (places.at[*before], places.at[*after]);
        let (x1, y1, x2, y2) = (from.0 + BOX.0, from.1 + BOX.1 / 2, to.0, to.1 + BOX.1 / 2);
        let bend = (x2.saturating_sub(x1) / 2).clamp(20, 90);
        picture += &format!(
            "<path data-a=\"{before}\" data-b=\"{after}\" d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\"/>\n",
            x1 + bend,
            x2.saturating_sub(bend)
        );
    }
    for (index, node) in nodes.iter().enumerate() {
        let (x, y) = places.at[index];
        let (role, label) = (escape(&node.role), escape(&node.label));
        picture += &format!(
            "<g data-i=\"{index}\" data-r=\"{role}\" style=\"--h:{}\"><title>{label}\n{role} on {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"/><text class=\"r\" x=\"{}\" y=\"{}\">{role}</text><text x=\"{}\" y=\"{}\">{}</text></g>\n",
            hues.get(node.role.as_str()).copied().unwrap_or_default(),
            escape(&node.host),
            BOX.0,
            BOX.1,
            x + 7,
            y + 12,
            x + 7,
            y + 24,
            escape(&shortened(&brief(&node.label))),
        );
    }
    let legend: Vec<String> = roles
        .iter()
        .map(|role| format!("<button data-r=\"{0}\" style=\"--h:{1}\"><i></i>{0}</button>", escape(role), hues[role]))
        .collect();
    let hosts = places.lanes.iter().filter(|(host, ..)| !host.is_empty()).count();
    let line = format!(
        "{}, {}, {}",
        numbered(nodes.len(), "operation"),
        numbered(edges.len(), "edge"),
        numbered(hosts, "host")
    );
    fill(
        PAGE,
        &[
            ("title", escape(title)),
            ("line", line),
            ("legend", legend.concat()),
            ("lanes", lanes),
            ("width", places.size.0.to_string()),
            ("height", places.size.1.to_string()),
            ("picture", picture),
        ],
    )
}

fn shortened(label: &str) -> String {
    const ROOM: usize = 25;
    if label.chars().count() <= ROOM { label.to_owned() } else { label.chars().take(ROOM - 1).chain(['…']).collect() }
}

/// Where everything is drawn.
struct Places {
    at: Vec<(usize, usize)>,
    /// Host, top and height of each lane.
    lanes: Vec<(String, usize, usize)>,
    /// Edges by index; those to unknown nodes are left out.
    edges: Vec<(usize, usize)>,
    size: (usize, usize),
}

impl Places {
    fn of(nodes: &[GraphNode], edges: &[(String, String)]) -> Self {
        let index: HashMap<&str, usize> = nodes.iter().enumerate().map(|(i, node)| (node.id.as_str(), i)).collect();
        let edges: Vec<(usize, usize)> = edges
            .iter()
            .filter_map(|(before, after)| Some((*index.get(before.as_str())?, *index.get(after.as_str())?)))
            .collect();
        let depths = depths(nodes.len(), &edges);
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for &(from, to) in &edges {
            before[to].push(from);
        }
        let mut at = vec![(0, 0); nodes.len()];
        let (mut lanes, mut top, mut right) = (Vec::new(), 0, 0);
        for host in distinct(nodes.iter().map(|node| node.host.as_str())) {
            let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for i in (0..nodes.len()).filter(|&i| nodes[i].host == host) {
                columns.entry(depths[i]).or_default().push(i);
            }
            let (mut rows, mut row_of) = (1, HashMap::new());
            for (depth, column) in &columns {
                // Beside what they come after, so that edges are short and cross less.
                let mut wished: Vec<(usize, usize)> = Vec::new();
                for &i in column {
                    let near: Vec<usize> = before[i].iter().filter_map(|b| row_of.get(b).copied()).collect();
                    wished.push((near.iter().sum::<usize>().checked_div(near.len()).unwrap_or_default(), i));
                }
                wished.sort_unstable();
                let mut free = 0;
                for (wish, i) in wished {
                    let row = free.max(wish);
                    free = row + 1;
                    row_of.insert(i, row);
                    at[i] = (MARGIN + depth * STEP.0, top + MARGIN + row * STEP.1);
                    right = right.max(at[i].0 + BOX.0 + MARGIN);
                }
                rows = rows.max(free);
            }
            let height = rows * STEP.1 + 2 * MARGIN - (STEP.1 - BOX.1);
            lanes.push((host.to_owned(), top, height));
            top += height;
        }
        Self { at, lanes, edges, size: (right, top) }
    }
}

/// How many nodes come before each one on its longest path. Nodes of a cycle, which a plan cannot have, get 0.
fn depths(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut depths = vec![0; count];
    let mut waiting = vec![0_usize; count];
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); count];
    for &(from, to) in edges {
        waiting[to] += 1;
        after[from].push(to);
    }
    let mut free: Vec<usize> = (0..count).filter(|&i| waiting[i] == 0).collect();
    while let Some(i) = free.pop() {
        for &next in &after[i] {
            depths[next] = depths[next].max(depths[i] + 1);
            waiting[next] -= 1;
            if waiting[next] == 0 {
                free.push(next);
            }
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, host: &str, role: &str, label: &str) -> GraphNode {
        GraphNode { id: id.into(), host: host.into(), role: role.into(), label: label.into() }
    }

    #[test]
    fn dot_groups_by_host_and_quotes() {
        let nodes = [node("1", "a", "glance", "file \"x\""), node("2", "b", "glance", "container x")];
        let text = dot(&nodes, &[("1".into(), "2".into())]);
        assert!(text.contains("subgraph cluster_1 {\n    label=\"b\";"), "{text}");
        assert!(text.contains(r#""1" [label="glance\nfile \"x\"""#), "{text}");
        assert!(text.contains("\"1\" -> \"2\";\n"), "{text}");
    }

    #[test]
    fn what_comes_later_stands_further_right() {
        let nodes = [node("c", "a", "r", "c"), node("a", "a", "r", "a"), node("b", "b", "r", "b")];
        let edges = [("a".into(), "b".into()), ("b".into(), "c".into()), ("a".into(), "c".into())];
        let places = Places::of(&nodes, &edges);
        assert!(places.at[1].0 < places.at[2].0 && places.at[2].0 < places.at[0].0);
        assert_eq!(places.lanes.len(), 2);
        assert!(places.at[2].1 >= places.lanes[1].1);
        let circle = [("a".into(), "b".into()), ("b".into(), "a".into()), ("x".into(), "a".into())];
        assert_eq!(Places::of(&nodes, &circle).edges.len(), 2);
    }

    #[test]
    fn labels_are_no_markup() {
        let evil = "<script>alert(1)</script>";
        let page = html(evil, &[node(evil, evil, evil, evil)], &[]);
        assert!(!page.contains("<script>alert"));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
    }
}

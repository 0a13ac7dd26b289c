//! A phase's plan as nodes and edges, without a host having been asked.

use super::run::phase;
use super::{App, Loaded};
use crate::error::Result;
use crate::plan::Selection;
use crate::report::graph::GraphNode;

/// Nodes and edges (before, after) of a phase's plan.
///
/// # Errors
/// Input errors.
pub async fn graph(app: &App, name: &str) -> Result<(Vec<GraphNode>, Vec<(String, String)>)> {
    let loaded = Loaded::read(app).await?;
    let phase = phase(name)?;
    let limit = loaded.limit(app)?;
    let selection = Selection { hosts: app.options.limit.is_some().then_some(limit), ..loaded.tags(app)? };
    let plan = loaded.draft(&loaded.members())?.select(phase, &selection);
    let nodes = plan
        .nodes
        .iter()
        .map(|node| GraphNode {
            id: node.id.clone(),
            host: node.host.clone(),
            role: node.role.clone(),
            label: node.op.as_ref().map_or_else(|| node.id.clone(), |op| op.operation().subject()),
        })
        .collect();
    let edges = plan
        .nodes
        .iter()
        .flat_map(|node| node.after.iter().map(|other| (plan.nodes[*other].id.clone(), node.id.clone())))
        .collect();
    Ok((nodes, edges))
}

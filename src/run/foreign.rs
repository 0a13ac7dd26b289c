//! What a plan would take for its own though another deployment, or somebody, made it: told of all hosts together, before
//! anything is written.

use std::collections::BTreeMap;

use indexmap::IndexSet;

use super::context::RunContext;
use crate::error::{InputError, Kind};
use crate::op::View;
use crate::plan::Plan;

/// An error for each host of the plan that has something of a name of ours that is not of this site; none where the
/// operator wants all of it replaced. Goes by the looks alone.
pub fn foreign(plan: &Plan, context: &RunContext) -> Vec<InputError> {
    if context.shared.adopt {
        return Vec::new();
    }
    let mut found: BTreeMap<&str, IndexSet<String>> = BTreeMap::new();
    for node in &plan.nodes {
        let (Some(op), Some(me)) = (&node.op, context.peers.get(&node.host)) else { continue };
        let at = View { me: me.clone(), peers: context.peers.clone(), shared: context.shared.clone() };
        found.entry(&node.host).or_default().extend(op.operation().foreign(&at));
    }
    let refused = |(host, what): (&str, IndexSet<String>)| {
        let what: Vec<String> = what.into_iter().collect();
        let message = format!("{host}: not of this site, and in its way: {}", what.join(", "));
        let hint = "remove them if nobody needs them; with `--adopt` this site's own take their place";
        (!what.is_empty()).then(|| InputError::new(message).of(Kind::Foreign).hint(hint))
    };
    found.into_iter().filter_map(refused).collect()
}

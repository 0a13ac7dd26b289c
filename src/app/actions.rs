//! What the services of a site can be asked to do.

use super::Loaded;
use crate::error::{Error, Kind, Result};
use crate::op::Op;
use crate::plan::{Call, Node as Operation, Plan};
use crate::role::{Does, On};
use crate::source::Node;

/// An action that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The role.
    pub role: String,
    /// Its name.
    pub action: String,
    /// The command that does it, too.
    pub alias: Option<String>,
    /// One sentence.
    pub about: String,
    /// On which hosts it is done.
    pub on: On,
    /// Names of its arguments.
    pub arguments: Vec<String>,
    /// It loses data.
    pub loses_data: bool,
}

/// The actions of the enabled roles, or of one of them.
///
/// # Errors
/// A role that is not enabled.
pub fn offered(loaded: &Loaded, role: Option<&str>) -> Result<Vec<Offered>> {
    let mut roles = loaded.enabled()?;
    if let Some(name) = role {
        roles.retain(|role| role.name == name);
        if roles.is_empty() {
            let error = Error::input(format!("there is no enabled role `{name}`")).of(Kind::UnknownName);
            return Err(error.with_hint("`kolla do` lists the actions of all"));
        }
    }
    let all = roles.into_iter().flat_map(|role| role.actions.iter().map(move |(name, action)| (role, name, action)));
    let offered = all.map(|(role, name, action)| Offered {
        role: role.name.clone(),
        action: name.clone(),
        alias: action.alias.as_ref().and_then(Node::as_str).map(str::to_owned),
        about: action.about.clone(),
        on: action.on,
        arguments: action.arguments.iter().map(|(name, _)| name.clone()).collect(),
        loses_data: action.loses_data,
    });
    Ok(offered.collect())
}

/// Whether what is asked for loses data.
///
/// # Errors
/// It cannot be asked for so.
pub fn loses_data(loaded: &Loaded, call: &Call) -> Result<bool> {
    Ok(call.find(&loaded.roles)?.1.loses_data)
}

/// Whether what is asked for is done by one host for all.
///
/// # Errors
/// It cannot be asked for so.
pub(super) fn on_first(loaded: &Loaded, call: &Call) -> Result<bool> {
    let action = call.find(&loaded.roles)?.1;
    Ok(action.on == On::First && matches!(action.does, Does::Command(_)))
}

/// The part of an action's plan on the first host where its container runs; on the first one if it runs nowhere.
pub(super) fn first(mut plan: Plan, runs: impl Fn(&str, &str) -> bool) -> Plan {
    let able = |node: &&Operation| matches!(&node.op, Some(Op::Action(op)) if runs(&node.host, &op.container));
    let Some(host) = plan.nodes.iter().find(able).or(plan.nodes.first()).map(|node| node.host.clone()) else {
        return plan;
    };
    let begin = plan.nodes.iter().position(|node| node.host == host).unwrap_or_default();
    plan.nodes.retain(|node| node.host == host);
    for node in &mut plan.nodes {
        node.after = node.after.iter().filter_map(|other| other.checked_sub(begin)).collect();
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::action::Action;

    /// What is done where, on three hosts with two containers each.
    fn done(runs: impl Fn(&str, &str) -> bool) -> Vec<(String, Vec<usize>)> {
        let node = |index: usize| Operation {
            id: format!("n{index}"),
            host: format!("h{}", index / 2),
            role: "toy".into(),
            op: Some(Op::from(Action { container: format!("toy_{}", index % 2), ..Action::default() })),
            after: index.checked_sub(1).into_iter().collect(),
            gate: None,
        };
        let plan = first(Plan { nodes: (0..6).map(node).collect(), ..Plan::default() }, runs);
        plan.nodes.into_iter().map(|node| (node.id, node.after)).collect()
    }

    #[test]
    fn what_one_host_does_for_all_is_done_where_it_can_be() {
        let of = |first: usize| [(format!("n{first}"), vec![]), (format!("n{}", first + 1), vec![0])];
        assert_eq!(done(|_, _| true), of(0));
        assert_eq!(done(|host, _| host != "h0"), of(2));
        assert_eq!(done(|host, container| (host, container) == ("h2", "toy_1")), of(4));
        assert_eq!(done(|_, _| false), of(0));
    }
}

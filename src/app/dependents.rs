//! Who needs what a run takes away: a service is not stopped under the feet of others that run.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::Loaded;
use crate::error::{Error, InputError, Kind, Result, numbered};
use crate::host::ContainerState;
use crate::op::{Op, Want};
use crate::plan::{Plan, Selection};
use crate::role::Role;
use crate::run::connect::Connected;
use crate::run::event::{Event, Sink};

/// What is done about others that need what stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dependents {
    /// While some run, nothing is stopped.
    #[default]
    Refuse,
    /// They stop, or go, first, in order.
    Cascade,
    /// Nobody is asked, and what stops is killed.
    Abort,
}

/// Roles by name with the hosts on which they run.
type Running<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What runs of the site's roles.
fn running<'a>(whole: &'a Plan, connected: &Connected) -> Running<'a> {
    let mut running = Running::new();
    for node in &whole.nodes {
        let Some(Op::Container(container)) = &node.op else { continue };
        let look = connected.looks.get(&node.host);
        if look.and_then(|look| look.containers.get(&container.spec.name)).is_some_and(ContainerState::alive) {
            running.entry(&node.role).or_default().insert(&node.host);
        }
    }
    running
}

/// The roles that need one, each also by way of another.
fn needing<'a>(role: &str, enabled: &[&'a Role]) -> IndexSet<&'a str> {
    let mut found: IndexSet<&str> = IndexSet::new();
    loop {
        let before = found.len();
        for other in enabled.iter().filter(|other| other.name != role) {
            if other.needs.iter().any(|need| need == role || found.contains(need.as_str())) {
                found.insert(&other.name);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// By each role of which nothing would run any more: those that need it, and would go on running.
fn harmed<'a>(enabled: &[&'a Role], running: &Running<'_>, selection: &Selection) -> IndexMap<&'a str, Vec<&'a str>> {
    let selected = |host: &str| selection.hosts.as_ref().is_none_or(|hosts| hosts.contains(host));
    let stays = |role: &str| {
        running.get(role).is_some_and(|hosts| !selection.has(role) || hosts.iter().any(|host| !selected(host)))
    };
    let goes = |role: &&&Role| running.contains_key(role.name.as_str()) && !stays(&role.name);
    let mut harmed = IndexMap::new();
    for role in enabled.iter().filter(goes) {
        let others: Vec<&str> = needing(&role.name, enabled).into_iter().filter(|other| stays(other)).collect();
        if !others.is_empty() {
            harmed.insert(role.name.as_str(), others);
        }
    }
    harmed
}

/// Adds those that stop first to a selection, or refuses what would take a service away from others that run. Who only looks
/// is told.
pub(super) fn ordered(
    selection: &mut Selection,
    dependents: Dependents,
    (loaded, whole, connected): (&Loaded, &Plan, &Connected),
    (want, check): (Want, bool),
    sink: &dyn Sink,
) -> Result<()> {
    if dependents == Dependents::Abort {
        return Ok(());
    }
    let (enabled, running) = (loaded.enabled()?, running(whole, connected));
    if dependents == Dependents::Cascade && !selection.tags.is_empty() {
        let added: IndexSet<&str> = harmed(&enabled, &running, selection).into_values().flatten().collect();
        selection.tags.extend(added.into_iter().map(str::to_owned));
    }
    let errors: Vec<InputError> =
        harmed(&enabled, &running, selection).into_iter().map(|harmed| refused(harmed, want)).collect();
    tell(errors, check, sink)
}

/// Refuses a run; who only looks is told.
pub(super) fn tell(errors: Vec<InputError>, check: bool, sink: &dyn Sink) -> Result<()> {
    if !check && !errors.is_empty() {
        return Err(Error::Input(errors));
    }
    for error in errors {
        let message = format!("it would be refused: {}: {}", error.message, error.hint.as_deref().unwrap_or_default());
        sink.event(&Event::Warning { host: String::new(), message });
    }
    Ok(())
}

fn refused((role, others): (&str, Vec<&str>), want: Want) -> InputError {
    let cascade =
        if want == Want::Absent { "removes these first, with their data" } else { "stops these first, in order" };
    let (number, verb) = (numbered(others.len(), "role"), if others.len() == 1 { "needs" } else { "need" });
    InputError::new(format!("{number} that {verb} {role} would go on running without it: {}", others.join(", ")))
        .of(Kind::InUse)
        .hint(format!("`--cascade` {cascade}; `--abort` kills it under them"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Roles;

    fn roles() -> Roles {
        Roles::load(&[]).unwrap()
    }

    /// What a stop of these roles on these hosts takes from others, where all run on `a` and `b`.
    fn taken(tags: &[&str], hosts: Option<&[&str]>, down: &[&str]) -> Vec<String> {
        let roles = roles();
        let enabled: Vec<&Role> = roles.0.values().collect();
        let up = enabled.iter().map(|role| role.name.as_str()).filter(|name| !down.contains(name));
        let running: Running<'_> = up.map(|name| (name, BTreeSet::from(["a", "b"]))).collect();
        let selection = Selection {
            hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
            tags: tags.iter().map(ToString::to_string).collect(),
            skip_tags: Vec::new(),
        };
        let found = harmed(&enabled, &running, &selection);
        found.into_iter().map(|(role, others)| format!("{role}: {}", others.join(" "))).collect()
    }

    #[test]
    fn what_others_need_is_told_with_them() {
        assert_eq!(taken(&["placement"], None, &[]), ["placement: nova"]);
        // Also by way of another, and what stops with it is not harmed.
        assert_eq!(taken(&["openvswitch", "neutron"], None, &[]), Vec::<String>::new());
        assert!(taken(&["mariadb"], None, &[])[0].contains("horizon"), "by way of Keystone");
        assert_eq!(taken(&["placement"], None, &["nova"]), Vec::<String>::new());
    }

    #[test]
    fn what_goes_on_elsewhere_is_missed_by_nobody() {
        assert_eq!(taken(&["placement"], Some(&["a"]), &[]), Vec::<String>::new());
        // It is gone, and who needs it runs on another host.
        assert_eq!(taken(&["placement"], Some(&["a", "b"]), &[]), ["placement: nova"]);
        assert_eq!(taken(&[], None, &[]), Vec::<String>::new());
    }

    #[test]
    fn with_those_that_need_it_nobody_is_harmed() {
        let all: Vec<String> = taken(&["rabbitmq"], None, &[]);
        let with = all[0].replace(':', "");
        assert_eq!(taken(&with.split(' ').collect::<Vec<_>>(), None, &[]), Vec::<String>::new());
    }
}

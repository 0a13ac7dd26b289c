//! What hosts have of this site that its plan does not know.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Result;
use crate::op::container::Container;
use crate::op::file_set::FileSet;
use crate::op::names::{self, ROLE_LABEL, SERVICE_LABEL, SETS, SITE_LABEL};
use crate::op::volume::Volume;
use crate::op::{Op, Want};
use crate::plan::{Node, Plan, Selection};
use crate::role::{Roles, Service};
use crate::run::connect::Connected;
use crate::run::event::{Event, Sink};

/// Where strays are looked for.
pub(super) struct Search<'a> {
    /// The plan of the whole site.
    pub(super) whole: &'a Plan,
    pub(super) connected: &'a Connected,
    /// The site's name.
    pub(super) site: &'a str,
    pub(super) selection: &'a Selection,
    /// What becomes of services.
    pub(super) want: Want,
}

impl Search<'_> {
    /// No role is left out.
    pub(super) fn all_roles(&self) -> bool {
        self.selection.tags.is_empty() && self.selection.skip_tags.is_empty()
    }

    /// Containers and sets of files of this site that its plan does not know, as operations that remove them. Of which role a
    /// set is nobody knows: it stays where only some roles are selected. What runs once may still be at it since a run that
    /// was killed, maybe in the middle of a migration: only what takes everything away ends that.
    pub(super) fn all(&self) -> Vec<Node> {
        let Self { whole, connected, site, selection, want } = self;
        let hosts = selection.hosts.as_ref();
        let all_roles = self.all_roles();
        let mut known: BTreeSet<(&str, String)> = BTreeSet::new();
        let mut once: BTreeSet<(&str, String)> = BTreeSet::new();
        let mut services: BTreeSet<(&str, &str)> = BTreeSet::new();
        for node in &whole.nodes {
            match &node.op {
                Some(Op::Container(container)) => {
                    let name = &container.spec.name;
                    known.extend(names::lasting(name).map(|name| (&*node.host, name)));
                    once.extend(names::passing(name).map(|name| (&*node.host, name)));
                }
                Some(Op::Task(task)) => drop(once.insert((&node.host, task.spec.name.clone()))),
                Some(Op::FileSet(set)) => drop(services.insert((&node.host, &set.service))),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for (host, look) in connected.looks.iter().filter(|(host, _)| hosts.is_none_or(|hosts| hosts.contains(*host))) {
            let mut containers = Vec::new();
            for state in look.containers.values() {
                let label = |name: &str| state.labels.get(name).cloned().unwrap_or_default();
                let (role, service) = (label(ROLE_LABEL), label(SERVICE_LABEL));
                let wanted = selection.has(&role) && label(SITE_LABEL) == *site;
                let id = (&**host, state.name.clone());
                let at_it = *want != Want::Absent && state.alive() && once.contains(&id);
                if wanted && !at_it && !known.contains(&id) {
                    let mut container = Container { role, service, want: Want::Absent, ..Container::default() };
                    container.spec.name.clone_from(&state.name);
                    containers.push(gone(host, container.role.clone(), container, Vec::new()));
                }
            }
            let (first, after) = (found.len(), containers.len());
            found.append(&mut containers);
            let sets: BTreeSet<&str> = look.files.keys().filter_map(|path| set_of(path)).collect();
            for service in sets.into_iter().filter(|service| all_roles && !services.contains(&(host, service))) {
                let set = FileSet { service: service.to_owned(), want: Want::Absent, ..FileSet::default() };
                found.push(gone(host, String::new(), set, (first..first + after).collect()));
            }
        }
        found
    }

    /// Volumes of this site that its plan does not know, as those of a role that was left out: what was in them goes with
    /// everything else, and only then. They come after what `found` removes from their hosts, which may use them.
    pub(super) async fn volumes(&self, found: &mut Vec<Node>) -> Result<()> {
        let Self { whole, connected, site, selection, .. } = self;
        let hosts = selection.hosts.as_ref();
        let known: BTreeSet<(&str, &str)> = whole
            .nodes
            .iter()
            .filter_map(|node| match &node.op {
                Some(Op::Volume(volume)) => Some((&*node.host, &*volume.name)),
                _ => None,
            })
            .collect();
        for (host, machine) in
            connected.machines.iter().filter(|(host, _)| hosts.is_none_or(|hosts| hosts.contains(*host)))
        {
            if !connected.looks.get(host).is_some_and(|look| look.facts.engine) {
                continue;
            }
            for name in machine.volumes(&format!("{SITE_LABEL}={site}")).await? {
                if !known.contains(&(host, &name)) {
                    let after = (0..found.len()).filter(|index| found[*index].host == *host).collect();
                    let volume = Volume { name, want: Want::Absent };
                    found.push(gone(host, String::new(), volume, after));
                }
            }
        }
        Ok(())
    }
}

/// The service of a path in its set of files.
fn set_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix(SETS)?.strip_prefix('/')?.split('/').next()?.rsplit_once('-')?.0)
}

fn gone(host: &str, role: String, op: impl Into<Op>, after: Vec<usize>) -> Node {
    let op = op.into();
    Node {
        id: format!("{host}/{}", op.operation().subject()),
        role,
        op: Some(op),
        host: host.into(),
        after,
        gate: None,
    }
}

/// The service of a stray, where what it starts outlives its container and its role can end that.
fn outlived<'a>(stray: &Container, roles: &'a Roles) -> Option<&'a Service> {
    let service = roles.0.get(&stray.role)?.services.get(&stray.service)?;
    (!service.before_remove.is_empty()).then_some(service)
}

/// Has what outlives strays ended with them.
pub(super) fn end_what_outlives(strays: &mut [Node], roles: &Roles) {
    for stray in strays {
        let Some(Op::Container(container)) = &mut stray.op else { continue };
        let Some(service) = outlived(container, roles) else { continue };
        Arc::make_mut(container).before_remove.clone_from(&service.before_remove);
    }
}

/// Warns of what outlives strays: who takes a host out of a group has not said that its guests may end.
pub(super) fn tell_what_outlives(strays: &[Node], roles: &Roles, sink: &dyn Sink) {
    for stray in strays {
        let Some(Op::Container(container)) = &stray.op else { continue };
        if outlived(container, roles).is_some() {
            let name = &container.spec.name;
            let message = format!("what container {name} started stays: move or end it; `kolla destroy` would end it");
            sink.event(&Event::Warning { host: stray.host.clone(), message });
        }
    }
}

/// Warns of containers that stay.
pub(super) fn tell_left_over(strays: &[Node], sink: &dyn Sink) {
    for stray in strays {
        let Some(op @ Op::Container(_)) = &stray.op else { continue };
        let message = format!("{} is left over: remove it with `kolla deploy --prune`", op.operation().subject());
        sink.event(&Event::Warning { host: stray.host.clone(), message });
    }
}

/// The same plan with nodes before its own; positions count from the start.
pub(super) fn put_before(plan: &mut Plan, first: Vec<Node>) {
    for node in &mut plan.nodes {
        for other in &mut node.after {
            *other += first.len();
        }
    }
    plan.nodes.splice(0..0, first);
}

/// The same plan with strays in it. Where other hosts go on with a service that a host has lost, its members have to know that
/// before: what is left of it goes after all that is done for its role. All else makes room first.
pub(super) fn put_around(plan: &mut Plan, mut strays: Vec<Node>) {
    let late = late(plan, &strays);
    let first = late.iter().filter(|late| !**late).count();
    let (mut sooner, mut later) = (0.., first + plan.nodes.len()..);
    let places: Vec<usize> = late.iter().filter_map(|late| if *late { later.next() } else { sooner.next() }).collect();
    for (stray, late) in strays.iter_mut().zip(&late) {
        stray.after = stray.after.iter().map(|other| places[*other]).collect();
        if *late && !stray.role.is_empty() {
            let of_role = plan.nodes.iter().enumerate().filter(|(_, node)| node.role == stray.role);
            stray.after.extend(of_role.map(|(index, _)| first + index));
        }
    }
    let (after, before): (Vec<_>, Vec<_>) = strays.into_iter().zip(late).partition(|(_, late)| *late);
    put_before(plan, before.into_iter().map(|(stray, _)| stray).collect());
    plan.nodes.extend(after.into_iter().map(|(stray, _)| stray));
}

/// Which of the strays are what a host has lost and other hosts go on with.
fn late(plan: &Plan, strays: &[Node]) -> Vec<bool> {
    let runs: BTreeSet<(&str, &str)> = plan
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Some(Op::Container(container)) => Some((&*container.service, &*node.host)),
            _ => None,
        })
        .collect();
    let goes_on = |service: &str| runs.iter().any(|(other, _)| *other == service);
    let mut late: Vec<bool> = Vec::with_capacity(strays.len());
    for stray in strays {
        late.push(match &stray.op {
            Some(Op::Container(container)) => {
                let service = &*container.service;
                goes_on(service) && !runs.contains(&(service, &*stray.host))
            }
            // Files go after their containers.
            _ => stray.after.iter().any(|container| late[*container]),
        });
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(host: &str, service: &str, want: Want) -> Node {
        let mut container = Container { role: "toys".into(), service: service.into(), want, ..Container::default() };
        container.spec.name = service.to_owned();
        gone(host, "toys".into(), container, Vec::new())
    }

    fn files(host: &str, service: &str, after: Vec<usize>) -> Node {
        gone(host, String::new(), FileSet { service: service.into(), ..FileSet::default() }, after)
    }

    #[test]
    fn a_host_that_leaves_a_group_is_cleared_after_the_others_know() {
        let mut plan = Plan { nodes: vec![container("c1", "toy", Want::Running)], ..Plan::default() };
        let strays = vec![
            container("c1", "old", Want::Absent),
            files("c1", "old", vec![0]),
            container("c2", "toy", Want::Absent),
            files("c2", "toy", vec![2]),
        ];
        put_around(&mut plan, strays);
        let told: Vec<(&str, &[usize])> = plan.nodes.iter().map(|node| (&*node.id, &*node.after)).collect();
        let expected: [(&str, &[usize]); 5] = [
            ("c1/container old", &[]),
            ("c1/files old", &[0]),
            ("c1/container toy", &[]),
            ("c2/container toy", &[2]),
            ("c2/files toy", &[3]),
        ];
        assert_eq!(told, expected);
    }
}

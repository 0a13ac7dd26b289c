//! The graph of everything a site wants.
//!
//! Edges: image, volume and files -> container; a role's files -> its steps -> its containers -> its later
//! steps; what a role needs -> its containers, and those of its steps that speak to it. Nothing else: late roles
//! pull images, write files and make their schemas while early ones start.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::builder::{Builder, Input};
use super::overrides::Searched;
use super::service::ServiceOnHost;
use super::{Gate, Plan, ordered};
use crate::error::{self, Error, InputError, Result};
use crate::op::cluster::{Cluster, Spec, Stage};
use crate::op::container::Container;
use crate::op::image::Image;
use crate::op::probe::Ready;
use crate::op::unused_images::UnusedImages;
use crate::op::volume::Volume;
use crate::op::word::HostContext;
use crate::op::{Kind, Op, Want, names};
use crate::role::{Action, Does, Role, Service};
use crate::source::Node;
use crate::template::values::Values;

/// A service on a host, and the nodes that make what its container needs.
type OnHostAfter = (ServiceOnHost, Vec<usize>);

pub(super) fn whole(input: &Input<'_>) -> Result<Plan> {
    let overrides = Searched::new(input.overrides);
    let (mut builder, enabled) = Builder::prepared(input, &overrides)?;
    let mut broken = super::rules::broken(input, &enabled);
    let doubts = std::mem::take(&mut broken.doubts);
    for role in &enabled {
        builder.host_items(role);
        builder.checks(role, &enabled);
        builder.role(role, &enabled);
    }
    builder.unused_images();
    let questions = enabled.iter().flat_map(|role| builder.questions(role, &enabled)).collect();
    let switched_off = builder.switched_off(&enabled);
    let lacking = builder.lacking();
    builder.errors.extend(lacking.into_iter().chain(switched_off));
    let (nodes, errors) = (std::mem::take(&mut builder.nodes), std::mem::take(&mut builder.errors));
    let set_up = std::mem::take(&mut builder.set_up);
    // On many hosts what it went by is large.
    drop(builder);
    let errors = super::hostless::errors(input, &enabled).into_iter().chain(broken.before(errors)).collect::<Vec<_>>();
    if !errors.is_empty() {
        return Err(Error::Input(errors));
    }
    let mut lookups = overrides.lookups();
    lookups.roles = enabled.iter().map(|role| role.name.clone()).collect();
    lookups.services = set_up;
    Ok(Plan { phase: String::new(), nodes: ordered(nodes)?, lookups, questions, doubts })
}

impl<'a> Builder<'a> {
    fn host_items(&mut self, role: &'a Role) {
        let mut previous: BTreeMap<String, usize> = BTreeMap::new();
        for item in &role.host {
            for host in self.hosts_of(&item.group) {
                let used_by = format!("role {} on {host}", role.name);
                let overrides = self.overrides;
                let op = self.values(role, &host, used_by, |values| {
                    if !values.flag(item.when.as_ref(), true) {
                        return None;
                    }
                    let files = super::service::host_files(&item.files, role, &host, overrides, values);
                    (item.word.means.resolve)(&item.written, &mut HostContext { values, role: &role.name, files })
                });
                if let Some(op) = op {
                    let after = previous.get(&host).copied();
                    // Whether a unit is missed it knows by itself.
                    let (key, on_create) = (op.operation().subject(), op.kind() != Kind::Unit);
                    let index = self.add(&host, &role.name, op, after);
                    if item.serial > 0 {
                        let at_once = item.serial as usize;
                        self.nodes[index].gate = Some(Gate { key, at_once, on_create, last: false });
                    }
                    previous.insert(host, index);
                }
            }
        }
    }

    fn role(&mut self, role: &'a Role, enabled: &[&'a Role]) {
        let needs = self.ready_of(role.before().map(String::as_str));
        let begin = self.milestone(&role.name, "begin", needs);
        let numbers = self.numbers(role);
        let mut files = Vec::new();
        let mut members = Vec::new();
        for service in role.services.values() {
            let mut containers = Vec::new();
            for mut on in self.service_on_hosts(role, service, &self.hosts_of(&service.group)) {
                let host = on.host.clone();
                let mut parts = vec![self.add(&host, &role.name, Image { reference: on.image.clone() }, [])];
                for name in &on.volumes {
                    let volume = Volume { name: name.clone(), want: Want::Running };
                    parts.push(self.add(&host, &role.name, volume, []));
                }
                // Once a file has it, it is known for good.
                let numbers = numbers.get(&host).cloned().unwrap_or_default();
                let set = self.add(&host, &role.name, std::mem::take(&mut on.files), numbers);
                files.push(set);
                parts.push(set);
                let ready = Ready { container: on.container.spec.name.clone(), probe: on.container.ready.clone() };
                self.add(&host, &role.name, ready, []);
                self.set_up.insert(service.name.clone());
                containers.push((on, parts));
            }
            members.push((service, containers));
        }
        let files = self.milestone(&role.name, "files", files);
        let before = self.steps(role, enabled, false, files);
        let before = self.milestone(&role.name, "prepared", [begin, before]);
        let (later, sooner): (Vec<_>, Vec<_>) = members.into_iter().partition(|(service, _)| service.after_steps);
        let running = self.containers(role, sooner, "running", before);
        let ready = self.steps(role, enabled, true, running);
        let ready = if later.is_empty() { ready } else { self.containers(role, later, "complete", ready) };
        self.ready.insert(role.name.clone(), ready);
    }

    /// On every host, whatever the plan has no image for: images of all enabled roles stay, also where none of their services is.
    fn unused_images(&mut self) {
        let images = self.nodes.iter().filter_map(|node| match &node.op {
            Some(Op::Image(image)) => Some(image.reference.clone()),
            _ => None,
        });
        let op = Op::from(UnusedImages { needed: images.collect() });
        for host in self.input.hosts {
            self.add(host, "", op.clone(), []);
        }
    }

    /// The containers of some services; the milestone after them.
    fn containers(
        &mut self,
        role: &'a Role,
        members: Vec<(&'a Service, Vec<OnHostAfter>)>,
        milestone: &str,
        before: usize,
    ) -> usize {
        let mut all = vec![before];
        for (service, containers) in members {
            let seeds = self.cluster(role, service, &containers, before);
            for (on, parts) in containers {
                let mut container = on.container;
                if seeds.is_some() {
                    container.takes_over_from = Some(names::seed(&service.container));
                }
                let after: Vec<usize> = parts.into_iter().chain([before]).chain(seeds).collect();
                let index = self.add(&on.host, &role.name, container, after);
                if service.rolling > 0 || service.cluster.is_some() {
                    self.nodes[index].gate = Some(Gate {
                        key: service.name.clone(),
                        at_once: (service.rolling as usize).max(1),
                        on_create: service.cluster.is_some(),
                        last: on.last,
                    });
                }
                all.push(index);
            }
        }
        self.milestone(&role.name, milestone, all)
    }

    /// The nodes that decide who starts a cluster; the milestone after them.
    fn cluster(
        &mut self,
        role: &'a Role,
        service: &'a Service,
        containers: &[OnHostAfter],
        before: usize,
    ) -> Option<usize> {
        let written = service.cluster.as_ref()?;
        let recovery = recovery(role, service).unwrap_or_default();
        let all: Vec<String> = self.input.site.group(&service.group).into_iter().map(str::to_owned).collect();
        let members: IndexMap<String, String> =
            all.into_iter().map(|host| (host.clone(), self.api_address(role, &host))).collect();
        // Whoever starts needs its own parts; whoever decides must see what all others decided.
        let mut last: Vec<usize> = containers.iter().flat_map(|(_, parts)| parts.clone()).chain([before]).collect();
        for stage in [Stage::Position, Stage::Seed] {
            let mut done = Vec::new();
            for (on, _) in containers {
                let host = &on.host;
                let used_by = format!("cluster of {} on {host}", service.name);
                let (spec, chosen) = self.values(role, host, used_by, |values| {
                    let spec = Spec::resolve(written, values);
                    let chosen = chosen(&spec.choice, &recovery, values);
                    (spec, chosen)
                });
                let op = Cluster {
                    stage,
                    spec,
                    members: members.clone(),
                    volume: on.volumes.first().cloned().unwrap_or_default(),
                    member: Container {
                        takes_over_from: Some(names::seed(&service.container)),
                        ..on.container.clone()
                    },
                    recover: false,
                    recovery: recovery.clone(),
                    chosen,
                };
                let after: Vec<usize> = match stage {
                    Stage::Position => last.clone(),
                    // One after the other: each sees what the ones before it started.
                    Stage::Seed => done.last().copied().into_iter().chain(last.clone()).collect(),
                };
                done.push(self.add(host, &role.name, op, after));
            }
            last = done;
        }
        Some(self.milestone(&role.name, &format!("{} formed", service.name), last))
    }
}

/// The command that recovers the cluster of a service.
fn recovery(role: &Role, service: &Service) -> Option<String> {
    let recovers = |action: &Action| matches!(action.does, Does::Recovers) && action.service == service.name;
    let (name, action) = role.actions.iter().find(|(_, action)| recovers(action))?;
    Some(match action.alias.as_ref().and_then(Node::as_str) {
        Some(alias) => format!("kolla {alias}"),
        None => format!("kolla do {} {name}", role.name),
    })
}

/// Whom the operator chose to start a cluster from, in this run: set for all runs, it would one day start an old one.
fn chosen(variable: &str, recovery: &str, values: &mut Values<'_>) -> Option<String> {
    let origin = values.scope.explain(variable).into_iter().next()?;
    let name = values.variable(variable);
    if name.is_empty() {
        return None;
    }
    if origin.layer == "-e" {
        return Some(name);
    }
    let error =
        InputError::new(format!("`{variable}` is set for all runs")).of(error::Kind::WrongValue).at(origin.place);
    let once = format!("remove it, and choose with `{recovery} -e {variable}={name}` when that is needed");
    values.note(error.hint(once));
    None
}

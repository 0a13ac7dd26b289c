//! The graph of everything a site wants.
//!
//! Edges: image, volume and files -> container; a role's files -> its steps -> its containers -> its later
//! steps; what a role needs -> its containers, and those of its steps that speak to it. Nothing else: late roles
//! pull images, write files and make their schemas while early ones start.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::overrides::Searched;
use super::service::ServiceOnHost;
use super::unmet_needs::UnmetNeeds;
use super::{Gate, Node, Overrides, Plan, ordered};
use crate::error::{self, Error, InputError, Result};
use crate::host::Facts;
use crate::op::container::Container;
use crate::op::database;
use crate::op::galera::{CHOICE, Galera, Stage};
use crate::op::image::Image;
use crate::op::probe::Ready;
use crate::op::sql::Sql;
use crate::op::volume::Volume;
use crate::op::word::HostContext;
use crate::op::{Class, Kind, Op, Want, names};
use crate::role::{Cluster, Role, Roles, Service};
use crate::site::Site;
use crate::source::Data;
use crate::template::values::Values;
use crate::template::{Scope, Scopes, Value};

/// All that a plan is made from.
pub struct Input<'a> {
    /// What the operator wrote.
    pub site: &'a Site,
    /// The roles.
    pub roles: &'a Roles,
    /// The variables of each host.
    pub scopes: &'a Scopes,
    /// The facts of each host that answered.
    pub facts: &'a BTreeMap<String, Facts>,
    /// The operator's files.
    pub overrides: &'a Overrides,
    /// Hosts to plan for: those that answered.
    pub hosts: &'a IndexSet<String>,
}

/// A service on a host, and the nodes that make what its container needs.
type OnHostAfter = (ServiceOnHost, Vec<usize>);

/// Operations of which two of one name would be one too few.
const TOLD_APART: [Class; 3] = [Class::Setting, Class::Program, Class::Container];

pub(super) struct Builder<'a> {
    pub(super) input: &'a Input<'a>,
    /// The operator's files.
    pub(super) overrides: &'a Searched<'a>,
    pub(super) errors: Vec<InputError>,
    pub(super) unmet_needs: UnmetNeeds<'a>,
    nodes: Vec<Node>,
    ids: BTreeMap<String, usize>,
    /// The milestone that says a role is ready.
    ready: BTreeMap<String, usize>,
    scopes: BTreeMap<String, Scope>,
    contents: HashSet<Arc<[u8]>>,
    /// Services that are on some host.
    set_up: BTreeSet<String>,
    /// The service that sends to all that have a `proxy`, and its role.
    pub(super) balancer: Option<(&'a Role, &'a Service)>,
}

pub(super) fn whole(input: &Input<'_>) -> Result<Plan> {
    let overrides = Searched::new(input.overrides);
    let (mut builder, enabled) = Builder::prepared(input, &overrides)?;
    let broken = super::rules::broken(input, &enabled);
    for role in &enabled {
        builder.host_items(role);
        builder.checks(role, &enabled);
        builder.role(role, &enabled);
    }
    let questions = enabled.iter().flat_map(|role| builder.questions(role, &enabled)).collect();
    let switched_off = builder.switched_off(&enabled);
    let lacking = builder.lacking();
    builder.errors.extend(lacking.into_iter().chain(switched_off));
    let (nodes, errors) = (std::mem::take(&mut builder.nodes), std::mem::take(&mut builder.errors));
    let set_up = std::mem::take(&mut builder.set_up);
    // On many hosts what it went by is large.
    drop(builder);
    let errors = broken.before(errors);
    if !errors.is_empty() {
        return Err(Error::Input(errors));
    }
    let mut lookups = overrides.lookups();
    lookups.roles = enabled.iter().map(|role| role.name.clone()).collect();
    lookups.services = set_up;
    Ok(Plan { phase: String::new(), nodes: ordered(nodes)?, lookups, questions })
}

impl<'a> Builder<'a> {
    /// One that knows what is enabled and what every host sees, and the enabled roles in order.
    pub(super) fn prepared(input: &'a Input<'a>, overrides: &'a Searched<'a>) -> Result<(Self, Vec<&'a Role>)> {
        let mut builder = Self {
            input,
            overrides,
            errors: Vec::new(),
            unmet_needs: UnmetNeeds::new(),
            nodes: Vec::new(),
            ids: BTreeMap::new(),
            ready: BTreeMap::new(),
            scopes: BTreeMap::new(),
            contents: HashSet::new(),
            set_up: BTreeSet::new(),
            balancer: None,
        };
        let mut enabled = Vec::new();
        for role in input.roles.ordered()? {
            if builder.enabled(role) {
                enabled.push(role);
            }
        }
        let mut services = enabled.iter().flat_map(|role| role.services.values().map(|service| (*role, service)));
        builder.balancer = services.find(|(_, service)| service.balancer.is_some());
        let proxies = builder.proxies(&enabled);
        for host in input.hosts {
            let scope = input.scopes.host(host).with(vec![("proxies".into(), proxies.clone())]);
            builder.scopes.insert(host.clone(), scope);
        }
        Ok((builder, enabled))
    }

    pub(super) fn scope(&self, host: &str) -> Scope {
        self.scopes.get(host).cloned().unwrap_or_else(|| self.input.scopes.host(host).clone())
    }

    /// Runs `read` with the eyes of a host on a role.
    pub(super) fn values<T>(
        &mut self,
        role: &'a Role,
        host: &str,
        used_by: String,
        read: impl FnOnce(&mut Values<'_>) -> T,
    ) -> T {
        let mut errors = std::mem::take(&mut self.errors);
        let result = self.values_noting(&mut errors, role, host, used_by, read);
        self.errors = errors;
        result
    }

    /// The same, for one of several threads: mistakes are added to `errors`.
    pub(super) fn values_noting<T>(
        &self,
        errors: &mut Vec<InputError>,
        role: &'a Role,
        host: &str,
        used_by: String,
        read: impl FnOnce(&mut Values<'_>) -> T,
    ) -> T {
        let scope = self.scope(host);
        read(&mut Values { scope: &scope, document: &role.document, used_by, errors })
    }

    /// Adds a node, or finds the one that is there already; `after` then counts for both.
    pub(super) fn add(
        &mut self,
        host: &str,
        role: &str,
        op: impl Into<Op>,
        after: impl IntoIterator<Item = usize>,
    ) -> usize {
        let mut op = op.into();
        self.share(&mut op);
        let id = format!("{host}/{}", op.operation().subject());
        let node =
            Node { id: id.clone(), host: host.into(), role: role.into(), op: Some(op), after: Vec::new(), gate: None };
        self.insert(id, node, after)
    }

    /// Files that several hosts have alike, as the list of all hosts, are kept once.
    fn share(&mut self, op: &mut Op) {
        let files = match op {
            Op::FileSet(set) => &mut *Arc::make_mut(set).files,
            Op::Unit(unit) => &mut *Arc::make_mut(unit).files,
            Op::HostFile(host) => std::slice::from_mut(&mut Arc::make_mut(host).file),
            _ => return,
        };
        for file in files {
            match self.contents.get(&file.content) {
                Some(known) => file.content.clone_from(known),
                None => drop(self.contents.insert(file.content.clone())),
            }
        }
    }

    fn milestone(&mut self, role: &str, name: &str, after: impl IntoIterator<Item = usize>) -> usize {
        let id = format!("{role}/{name}");
        let node =
            Node { id: id.clone(), host: String::new(), role: role.into(), op: None, after: Vec::new(), gate: None };
        self.insert(id, node, after)
    }

    fn insert(&mut self, id: String, node: Node, after: impl IntoIterator<Item = usize>) -> usize {
        let index = if let Some(&index) = self.ids.get(&id) {
            // Checks and lines of a file may be wanted by several roles; what is done must be told apart.
            let step = node.op.as_ref().is_some_and(|op| TOLD_APART.contains(&op.kind().class()));
            if step && self.nodes[index].op != node.op {
                let name = id.replacen('/', " ", 1);
                self.errors.push(
                    InputError::new(format!("there are two different operations `{name}`"))
                        .of(error::Kind::RoleRule)
                        .hint("give one of them another name, or another command"),
                );
            }
            index
        } else {
            self.nodes.push(node);
            self.ids.insert(id, self.nodes.len() - 1);
            self.nodes.len() - 1
        };
        for other in after {
            if other != index && !self.nodes[index].after.contains(&other) {
                self.nodes[index].after.push(other);
            }
        }
        index
    }

    fn enabled(&mut self, role: &'a Role) -> bool {
        let Some(host) = self.input.hosts.first() else { return false };
        let used_by = format!("role {}", role.name);
        self.values(role, host, used_by, |values| values.flag(role.enabled.as_ref(), true))
    }

    /// Hosts of a group that answered.
    pub(super) fn hosts_of(&self, group: &str) -> Vec<String> {
        let hosts = self.input.hosts;
        self.input.site.group(group).into_iter().filter(|host| hosts.contains(*host)).map(str::to_owned).collect()
    }

    /// What the load balancer offers: the `proxy` of every enabled service, with its members.
    fn proxies(&mut self, enabled: &[&'a Role]) -> Value {
        let mut proxies = Vec::new();
        for role in enabled {
            for service in role.services.values() {
                let Some(node) = &service.proxy else { continue };
                let hosts = self.hosts_of(&service.group);
                let Some(first) = hosts.first().cloned() else { continue };
                let used_by = format!("proxy of service {}", service.name);
                let proxy = self.values(role, &first, used_by, |values| values.value(node));
                // All members of the group, also those that do not answer now: they may be back any time.
                let all: Vec<String> = self.input.site.group(&service.group).into_iter().map(str::to_owned).collect();
                let members: Vec<serde_json::Value> = all
                    .iter()
                    .map(|host| serde_json::json!({ "name": host, "address": self.api_address(role, host) }))
                    .collect();
                let mut fields = serde_json::Map::new();
                fields.insert("name".into(), service.name.replace('-', "_").into());
                fields.insert("members".into(), members.into());
                match serde_json::to_value(&proxy) {
                    Ok(serde_json::Value::Object(given)) => fields.extend(given),
                    _ => self.errors.push(
                        InputError::new(format!("`proxy` of service {} must be a mapping", service.name))
                            .at(role.document.place(node)),
                    ),
                }
                proxies.push(serde_json::Value::Object(fields));
            }
        }
        Value::from(minijinja::value::Serde(proxies))
    }

    pub(super) fn api_address(&mut self, role: &'a Role, host: &str) -> String {
        self.values(role, host, format!("address of {host}"), |values| values.variable("api_address"))
    }

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

    /// The milestones that say that roles are ready.
    pub(super) fn ready_of<'n>(&self, roles: impl IntoIterator<Item = &'n str>) -> Vec<usize> {
        roles.into_iter().filter_map(|role| self.ready.get(role).copied()).collect()
    }

    fn role(&mut self, role: &'a Role, enabled: &[&'a Role]) {
        let needs = self.ready_of(role.needs.iter().map(String::as_str));
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
        let Some(Cluster::Galera { bootstrap }) = &service.cluster else { return None };
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
                let (first_start, sql, port, chosen) = self.values(role, host, used_by, |values| {
                    let sql = service.offers.get(database::OFFER.key.0);
                    let port = service.proxy.as_ref().and_then(|proxy| match &proxy.data {
                        Data::Map(map) => map.get("port"),
                        _ => None,
                    });
                    (
                        values.environment(bootstrap).into_iter().collect(),
                        sql.map(|node| Sql::offered(node, &service.container, values)).unwrap_or_default(),
                        port.map(|entry| values.port(&entry.value)),
                        chosen(values),
                    )
                });
                let op = Galera {
                    stage,
                    members: members.clone(),
                    port,
                    volume: on.volumes.first().cloned().unwrap_or_default(),
                    sql,
                    member: Container {
                        takes_over_from: Some(names::seed(&service.container)),
                        ..on.container.clone()
                    },
                    recover: false,
                    chosen,
                    first_start,
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

/// Whom the operator chose to start a cluster from, in this run: set for all runs, it would one day start an old one.
fn chosen(values: &mut Values<'_>) -> Option<String> {
    let origin = values.scope.explain(CHOICE).into_iter().next()?;
    let name = values.variable(CHOICE);
    if name.is_empty() {
        return None;
    }
    if origin.layer == "-e" {
        return Some(name);
    }
    let error = InputError::new(format!("`{CHOICE}` is set for all runs")).of(error::Kind::WrongValue).at(origin.place);
    let once = format!("remove it, and choose with `kolla mariadb-recovery -e {CHOICE}={name}` when that is needed");
    values.note(error.hint(once));
    None
}

//! The graph of a plan while it grows: nodes, the eyes of each host, and the mistakes that were found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap as FastMap, HashSet as FastSet};
use indexmap::IndexSet;

use super::overrides::Searched;
use super::{Node, Overrides};
use crate::error::{self, InputError, Place, Result};
use crate::host::Facts;
use crate::op::{Class, Op};
use crate::role::{Role, Roles, Service};
use crate::site::Site;
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

/// Operations of which two of one name would be one too few.
const TOLD_APART: [Class; 3] = [Class::Setting, Class::Program, Class::Container];

/// What no enabled role offers, by its place in the table of offers: where that showed first, and the roles that need it.
pub(super) type UnmetNeeds<'a> = BTreeMap<usize, (Place, IndexSet<&'a str>)>;

/// What a plan grows in, and what it is made of meanwhile.
pub(super) struct Builder<'a> {
    pub(super) input: &'a Input<'a>,
    /// The operator's files.
    pub(super) overrides: &'a Searched<'a>,
    pub(super) errors: Vec<InputError>,
    pub(super) unmet_needs: UnmetNeeds<'a>,
    pub(super) nodes: Vec<Node>,
    ids: FastMap<String, usize>,
    /// The milestone that says a role is ready.
    pub(super) ready: BTreeMap<String, usize>,
    scopes: FastMap<String, Scope>,
    contents: FastSet<Arc<[u8]>>,
    /// Services that are on some host.
    pub(super) set_up: BTreeSet<String>,
    /// The service that sends to all that have a `proxy`, and its role.
    pub(super) balancer: Option<(&'a Role, &'a Service)>,
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
            ids: FastMap::default(),
            ready: BTreeMap::new(),
            scopes: FastMap::default(),
            contents: FastSet::default(),
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

    pub(super) fn milestone(&mut self, role: &str, name: &str, after: impl IntoIterator<Item = usize>) -> usize {
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
                let Some(proxy) = self.values(role, &first, used_by, |values| values.some_value(node)) else {
                    continue;
                };
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

    /// The milestones that say that roles are ready.
    pub(super) fn ready_of<'n>(&self, roles: impl IntoIterator<Item = &'n str>) -> Vec<usize> {
        roles.into_iter().filter_map(|role| self.ready.get(role).copied()).collect()
    }
}

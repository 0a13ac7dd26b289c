//! What is done once a deployment, in the role's order.

use indexmap::IndexSet;

use super::build::Builder;
use super::service::image_reference;
use super::unmet_needs::Need;
use super::values::Values;
use crate::error::{InputError, Kind, nearest};
use crate::host::{ContainerSpec, ReadOnly};
use crate::op::Op;
use crate::op::catalog::{Catalog, Identity};
use crate::op::database::{Database, Sql};
use crate::op::exec::Exec;
use crate::op::image::Image;
use crate::op::message_queue::{Management, MessageQueue};
use crate::op::task::Task;
use crate::role::{Role, Service, Step, StepKind};
use crate::shell::Secret;
use crate::source::{Fields, Node};

impl<'a> Builder<'a> {
    /// The role's steps of one time, chained; the last one, or `after` where there are none. A step waits for those of the
    /// role's `needs` that it speaks to, not for all: schemas are made while other roles' containers start.
    pub(super) fn steps(&mut self, role: &'a Role, enabled: &[&'a Role], ready: bool, after: usize) -> usize {
        let mut last = after;
        for step in role.steps.iter().filter(|step| step.after_ready == ready) {
            if let Some((host, op)) = self.step(role, enabled, step) {
                let needs = self.ready_of(self.spoken_to(role, enabled, step));
                // A one-shot container may come before any other of its image.
                let image = match &op {
                    Op::Task(task) => {
                        let image = Op::from(Image { reference: task.spec.image.clone() });
                        Some(self.add(&host, &role.name, image, []))
                    }
                    _ => None,
                };
                last = self.add(&host, &role.name, op, [last].into_iter().chain(image).chain(needs));
            }
        }
        last
    }

    /// The roles that a step speaks to.
    fn spoken_to(&self, role: &'a Role, enabled: &[&'a Role], step: &'a Step) -> IndexSet<&'a str> {
        let mut roles: IndexSet<&str> = step.needs.iter().map(String::as_str).collect();
        let mut speaks_to = |need: Need| roles.extend(need.find(enabled).map(|(role, _)| role.name.as_str()));
        match &step.kind {
            StepKind::Database(_) => speaks_to(Need::Database),
            StepKind::MessageQueue(_) => speaks_to(Need::MessageQueue),
            // Its receipts are in the database.
            StepKind::Catalog(_) => [Need::Catalog, Need::Database].into_iter().for_each(speaks_to),
            // Its program reaches the database as the service does: through the load balancer, where that has it.
            StepKind::Task { .. } => {
                speaks_to(Need::Database);
                let behind = Need::Database.find(enabled).is_some_and(|(_, service)| service.proxy.is_some());
                roles.extend(self.balancer.filter(|_| behind).map(|(role, _)| role.name.as_str()));
            }
            // What it runs may speak to anything that its service does.
            StepKind::Exec { .. } => roles.extend(role.needs.iter().map(String::as_str)),
        }
        roles
    }

    fn step(&mut self, role: &'a Role, enabled: &[&'a Role], step: &'a Step) -> Option<(String, Op)> {
        // It runs on the first host that answers, of the service it talks to.
        let (at_role, service) = match &step.kind {
            // What Keystone knows is noted in the database.
            StepKind::Database(_) | StepKind::Catalog(_) => self.met(Need::Database, role, enabled, step)?,
            StepKind::MessageQueue(_) => self.met(Need::MessageQueue, role, enabled, step)?,
            StepKind::Task { service, .. } | StepKind::Exec { service, .. } => {
                let Some(found) = role.services.get(service) else {
                    self.errors.push(no_service(role, &step.node, service));
                    return None;
                };
                (role, found)
            }
        };
        let host = self.hosts_of(&service.group).first().cloned()?;
        let used_by = format!("step of role {} on {host}", role.name);
        let wanted = self.values(role, &host, used_by.clone(), |values| values.flag(step.when.as_ref(), true));
        if !wanted {
            return None;
        }
        let op = match &step.kind {
            StepKind::Database(node) => {
                let sql = self.values(at_role, &host, used_by.clone(), |values| sql(service, values));
                self.values(role, &host, used_by, |values| database(node, sql, values))
            }
            StepKind::MessageQueue(node) => {
                let management = self.values(at_role, &host, used_by.clone(), |values| management(service, values));
                self.values(role, &host, used_by, |values| message_queue(node, management, values))
            }
            StepKind::Catalog(node) => {
                let (keystone, service_of) = self.met(Need::Catalog, role, enabled, step)?;
                let sql = self.values(at_role, &host, used_by.clone(), |values| sql(service, values));
                let identity = self.values(keystone, &host, used_by.clone(), |values| identity(service_of, values));
                self.values(role, &host, used_by, |values| catalog(node, identity, sql, values))
            }
            StepKind::Exec { command, unless, .. } => self.values(role, &host, used_by, |values| {
                Op::from(Exec {
                    container: service.container.clone(),
                    command: values.words(command),
                    unless: ReadOnly::declared(values.words(unless)),
                })
            }),
            StepKind::Task { env, name, command, .. } => {
                let (sql_role, sql_service) = self.met(Need::Database, role, enabled, step)?;
                let sql = self.values(sql_role, &host, used_by.clone(), |values| sql(sql_service, values));
                let on = self.service_on_hosts(role, service, std::slice::from_ref(&host)).pop()?;
                self.values(role, &host, used_by, |values| {
                    let mut spec: ContainerSpec = on.container.spec;
                    spec.name = format!("{}_{name}", service.container);
                    spec.image = image_reference(service, values);
                    spec.env.extend(values.environment(env));
                    spec.command = command.as_ref().map(|node| with_files(values.words(node))).unwrap_or_default();
                    Op::from(Task { spec, sql })
                })
            }
        };
        Some((host, op))
    }

    /// The service that a step needs, and its role.
    fn met(
        &mut self,
        need: Need,
        role: &'a Role,
        enabled: &[&'a Role],
        step: &'a Step,
    ) -> Option<(&'a Role, &'a Service)> {
        let found = need.find(enabled);
        if found.is_none() {
            self.lack(role, &step.node, need);
        }
        found
    }
}

/// A command that finds the service's files in place, by the contract that all images honour.
fn with_files(words: Vec<String>) -> Vec<String> {
    let prepare = ["sh", "-c", "sudo -E kolla_set_configs && exec \"$@\"", "task"];
    prepare.map(str::to_owned).into_iter().chain(words).collect()
}

/// A role names a service that it does not have.
pub(super) fn no_service(role: &Role, node: &Node, service: &str) -> InputError {
    let names: Vec<&str> = role.services.keys().map(String::as_str).collect();
    let hint = match nearest(service, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "describe it under `services`".to_owned(),
        None => format!("name one of {}", names.join(", ")),
    };
    let place = role.document.place(node);
    InputError::new(format!("role {} has no service `{service}`", role.name)).of(Kind::UnknownName).at(place).hint(hint)
}

pub(super) fn sql(service: &Service, values: &mut Values<'_>) -> Sql {
    let argv = service.sql.as_ref().map(|node| values.words(node)).unwrap_or_default();
    Sql { container: service.container.clone(), argv }
}

fn management(service: &Service, values: &mut Values<'_>) -> Management {
    let empty = Node::bare(crate::source::Data::Null);
    let mut fields = Fields::of(values.document, service.management.as_ref().unwrap_or(&empty));
    let management = Management {
        container: service.container.clone(),
        address: fields.need("address").map(|node| values.text(node)).unwrap_or_default(),
        port: fields.need("port").map(|node| values.port(node)).unwrap_or_default(),
        user: fields.need("user").map(|node| values.text(node)).unwrap_or_default(),
        password: Secret::new(fields.need("password").map(|node| values.text(node)).unwrap_or_default()),
    };
    for error in fields.finish() {
        values.note(error);
    }
    management
}

pub(super) fn identity(service: &Service, values: &mut Values<'_>) -> Identity {
    let empty = Node::bare(crate::source::Data::Null);
    let mut fields = Fields::of(values.document, service.identity.as_ref().unwrap_or(&empty));
    let mut text = |values: &mut Values<'_>, key| fields.need(key).map(|node| values.text(node)).unwrap_or_default();
    let (address, user, project) = (text(values, "address"), text(values, "user"), text(values, "project"));
    let (region, password) = (text(values, "region"), text(values, "password"));
    let port = fields.need("port").map(|node| values.port(node)).unwrap_or_default();
    for error in fields.finish() {
        values.note(error);
    }
    Identity { address, port, user, project, region, password: Secret::new(password) }
}

fn catalog(node: &Node, identity: Identity, sql: Sql, values: &mut Values<'_>) -> Op {
    let mut fields = Fields::of(values.document, node);
    let mut text = |values: &mut Values<'_>, key| fields.take(key).map(|node| values.text(node)).unwrap_or_default();
    let (service, service_type) = (text(values, "service"), text(values, "type"));
    let user = text(values, "user");
    let password = Secret::new(text(values, "password"));
    let project = Some(text(values, "project")).filter(|name| !name.is_empty());
    let endpoints = ["internal", "public"].map(|interface| (interface.to_owned(), text(values, interface)));
    let roles = fields.take("roles").map_or_else(|| vec!["admin".to_owned()], |node| values.words(node));
    if !service.is_empty() && service_type.is_empty() {
        fields.against(node, "a service in the catalog has a `type`, as `image`");
    }
    if service.is_empty() && user.is_empty() {
        fields.against(node, "a catalog step names a `service`, a `user` or both");
    }
    for error in fields.finish() {
        values.note(error);
    }
    let catalog = Catalog {
        service,
        service_type,
        endpoints: endpoints.into_iter().filter(|(_, url)| !url.is_empty()).collect(),
        user,
        project: project.unwrap_or_else(|| "service".to_owned()),
        roles,
        identity,
        sql,
        ..Catalog::default()
    };
    catalog.with_password(password).into()
}

fn database(node: &Node, sql: Sql, values: &mut Values<'_>) -> Op {
    let mut fields = Fields::of(values.document, node);
    let name = fields.take("name").map(|node| values.text(node)).unwrap_or_default();
    let user = fields.need("user").map(|node| values.text(node)).unwrap_or_default();
    let password = fields.need("password").map(|node| values.text(node)).unwrap_or_default();
    let grants = fields.take("grants").map(|node| values.text(node)).unwrap_or_default();
    for error in fields.finish() {
        values.note(error);
    }
    Database::new(name, user, grants, Secret::new(password), sql).into()
}

fn message_queue(node: &Node, management: Management, values: &mut Values<'_>) -> Op {
    let mut fields = Fields::of(values.document, node);
    let vhost = fields.take("vhost").map_or_else(|| "/".to_owned(), |node| values.text(node));
    let user = fields.need("user").map(|node| values.text(node)).unwrap_or_default();
    let password = fields.need("password").map(|node| values.text(node)).unwrap_or_default();
    let tags = fields.take("tags").map(|node| values.words(node)).unwrap_or_default();
    for error in fields.finish() {
        values.note(error);
    }
    MessageQueue::new(vhost, user, tags, Secret::new(password), management).into()
}

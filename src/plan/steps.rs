//! What is done once a deployment, in the role's order.

use indexmap::IndexSet;

use super::builder::Builder;
use super::instance::Instance;
use crate::error::{InputError, Kind, nearest};
use crate::host::ContainerSpec;
use crate::op::Op;
use crate::op::image::Image;
use crate::op::word::{At, Offer, Offered, StepContext, WaitsFor};
use crate::role::{On, Role, Service, Step};
use crate::source::Node;
use crate::template::Values;

impl<'a> Builder<'a> {
    /// The role's steps of one time, chained; the last one, or `after` where there are none. A step waits for those of the
    /// role's `needs` that it speaks to, not for all: schemas are made while other roles' containers start.
    pub(super) fn steps(&mut self, role: &'a Role, enabled: &[&'a Role], ready: bool, after: usize) -> usize {
        let mut last = after;
        for step in role.steps.iter().filter(|step| step.after_ready == ready) {
            for (host, op) in self.step(role, enabled, step).unwrap_or_default() {
                let needs = self.ready_of(self.waits_for(role, enabled, step));
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

    /// The roles that a step waits for.
    fn waits_for(&self, role: &'a Role, enabled: &[&'a Role], step: &'a Step) -> IndexSet<&'a str> {
        let mut roles: IndexSet<&str> = step.needs.iter().map(String::as_str).collect();
        let word = &step.word.means;
        if word.waits_for == WaitsFor::Needs {
            roles.extend(role.needs.iter().map(String::as_str));
        }
        for (role, service) in word.uses.iter().filter_map(|offer| offered_by(offer, enabled)) {
            roles.insert(&role.name);
            let balanced = word.waits_for == WaitsFor::OffersAsService && service.proxy.is_some();
            roles.extend(self.balancer.filter(|_| balanced).map(|(role, _)| role.name.as_str()));
        }
        roles
    }

    /// What a step becomes on each host where it is done.
    fn step(&mut self, role: &'a Role, enabled: &[&'a Role], step: &'a Step) -> Option<Vec<(String, Op)>> {
        let word = &step.word.means;
        let service = match word.at {
            At::Offer(offer) => self.met(offer, role, enabled, step)?.1,
            At::Service | At::Container => {
                let name = step.service()?;
                let Some(found) = role.services.get(name) else {
                    self.errors.push(no_service(role, &step.node, name));
                    return None;
                };
                found
            }
        };
        let mut offers = Vec::new();
        let mut found = Vec::new();
        for host in self.hosts_of(&service.group) {
            let used_by = format!("step of role {} on {host}", role.name);
            if !self.values(role, &host, used_by.clone(), |values| values.flag(step.when.as_ref(), true)) {
                if step.on == On::First {
                    break;
                }
                continue;
            }
            // One that is not wanted needs nothing.
            if offers.is_empty() {
                for offer in word.uses {
                    offers.push((offer.key.0, self.met(offer, role, enabled, step)?));
                }
            }
            let container = match word.at {
                At::Container => {
                    Some(self.service_on_hosts(role, service, std::slice::from_ref(&host)).pop()?.container.spec)
                }
                _ => None,
            };
            let ops = self.values(role, &host, used_by, |values| {
                if let Some(container) = container {
                    return vec![operation(step, &offers, container, values)];
                }
                let instances = Instance::all(service, values);
                let op = |instance: &Instance<'_>| {
                    let container = ContainerSpec { name: instance.container.clone(), ..ContainerSpec::default() };
                    instance.with(values, |values| operation(step, &offers, container, values))
                };
                instances.iter().map(op).collect()
            });
            found.extend(ops.into_iter().map(|op| (host.clone(), op)));
            if step.on == On::First && !found.is_empty() {
                found.truncate(1);
                break;
            }
        }
        Some(found)
    }

    /// The service that offers what a step uses, and its role; that there is none is noted.
    fn met(
        &mut self,
        offer: &Offer,
        role: &'a Role,
        enabled: &[&'a Role],
        step: &'a Step,
    ) -> Option<(&'a Role, &'a Service)> {
        let found = offered_by(offer, enabled);
        if found.is_none() {
            self.unmet(role, &step.node, offer);
        }
        found
    }
}

/// What a step becomes in a container.
fn operation(
    step: &Step,
    offers: &[(&'static str, (&Role, &Service))],
    container: ContainerSpec,
    values: &mut Values<'_>,
) -> Op {
    let offered: Vec<Offered<'_>> = offers
        .iter()
        .filter_map(|(key, (role, service))| {
            let node = service.offers.get(key)?;
            Some(Offered { key, document: &role.document, node, container: &service.container })
        })
        .collect();
    let mut context = StepContext { values, offered: &offered, container, before: !step.after_ready };
    (step.word.means.resolve)(&step.written, &mut context)
}

/// The service that offers this, and its role.
pub(super) fn offered_by<'a>(offer: &Offer, roles: &[&'a Role]) -> Option<(&'a Role, &'a Service)> {
    let offers = |role: &&'a Role| role.services.values().find(|service| service.offers.contains_key(offer.key.0));
    roles.iter().find_map(|role| offers(role).map(|service| (*role, service)))
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

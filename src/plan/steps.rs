//! What is done once a deployment, in the role's order.

use indexmap::IndexSet;

use super::builder::Builder;
use crate::error::{InputError, Kind, nearest};
use crate::host::ContainerSpec;
use crate::op::Op;
use crate::op::image::Image;
use crate::op::word::{At, Offer, Offered, StepContext, WaitsFor};
use crate::role::{Role, Service, Step};
use crate::source::Node;

impl<'a> Builder<'a> {
    /// The role's steps of one time, chained; the last one, or `after` where there are none. A step waits for those of the
    /// role's `needs` that it speaks to, not for all: schemas are made while other roles' containers start.
    pub(super) fn steps(&mut self, role: &'a Role, enabled: &[&'a Role], ready: bool, after: usize) -> usize {
        let mut last = after;
        for step in role.steps.iter().filter(|step| step.after_ready == ready) {
            if let Some((host, op)) = self.step(role, enabled, step) {
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

    fn step(&mut self, role: &'a Role, enabled: &[&'a Role], step: &'a Step) -> Option<(String, Op)> {
        let word = &step.word.means;
        // It is done on the first host that answers.
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
        let host = self.hosts_of(&service.group).first().cloned()?;
        let used_by = format!("step of role {} on {host}", role.name);
        if !self.values(role, &host, used_by.clone(), |values| values.flag(step.when.as_ref(), true)) {
            return None;
        }
        // One that is not wanted needs nothing.
        let mut offers = Vec::new();
        for offer in word.uses {
            offers.push((offer.key.0, self.met(offer, role, enabled, step)?));
        }
        let container = match word.at {
            At::Container => self.service_on_hosts(role, service, std::slice::from_ref(&host)).pop()?.container.spec,
            _ => ContainerSpec { name: service.container.clone(), ..ContainerSpec::default() },
        };
        let offered: Vec<Offered<'_>> = offers
            .into_iter()
            .filter_map(|(key, (role, service))| {
                Some(Offered {
                    key,
                    document: &role.document,
                    node: service.offers.get(key)?,
                    container: &service.container,
                })
            })
            .collect();
        let op = self.values(role, &host, used_by, |values| {
            (word.resolve)(&step.written, &mut StepContext { values, offered: &offered, container })
        });
        Some((host, op))
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

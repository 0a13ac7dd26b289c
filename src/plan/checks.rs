//! What must hold before a deployment: each role's checks on the hosts they are for.

use indexmap::{IndexMap, IndexSet};

use super::builder::Builder;
use super::image;
use crate::op::check::{CheckContext, Condition, Knows, Names};
use crate::role::{Role, Service};
use crate::template::Values;

/// An enabled service.
struct Place<'a> {
    role: &'a Role,
    service: &'a Service,
    /// Where it is.
    hosts: IndexSet<String>,
    /// Its image, if it is the same on all of them.
    image: Option<String>,
}

impl<'a> Builder<'a> {
    pub(super) fn checks(&mut self, role: &'a Role, enabled: &[&'a Role]) {
        for check in &role.checks {
            let group =
                check.group.clone().or_else(|| role.services.values().next().map(|service| service.group.clone()));
            let group = group.unwrap_or_else(|| "baremetal".into());
            let hosts = self.hosts_of(&group);
            let Condition { knows, resolve } = &check.word.means;
            let names = if *knows == Knows::Names { self.names(role, &hosts) } else { Names::default() };
            let places = if *knows == Knows::Images { self.places(enabled) } else { Vec::new() };
            for host in &hosts {
                let images = self.images_on(&places, host);
                let used_by = format!("check {} on {host}", check.word.key.0);
                let op = self.values(role, host, used_by, |values| {
                    let wanted = values.flag(check.when.as_ref(), true);
                    wanted.then(|| resolve(&check.written, &mut CheckContext { values, names: &names, images }))
                });
                if let Some(op) = op {
                    self.add(host, &role.name, op, []);
                }
            }
        }
    }

    /// Addresses by the host's own name, which is what its services are known by.
    fn names(&mut self, role: &'a Role, hosts: &[String]) -> Names {
        let names: IndexMap<String, String> = hosts
            .iter()
            .map(|host| {
                let name =
                    self.input.facts.get(host).map(|facts| facts.hostname.clone()).filter(|name| !name.is_empty());
                (name.unwrap_or_else(|| host.clone()), self.api_address(role, host))
            })
            .collect();
        names.into()
    }

    /// Every enabled service with the hosts it is on.
    fn places(&mut self, enabled: &[&'a Role]) -> Vec<Place<'a>> {
        let services = enabled.iter().flat_map(|role| role.services.values().map(move |service| (*role, service)));
        let places = services.map(|(role, service)| {
            let hosts = self.hosts_of(&service.group);
            let image = self.common_image(role, service, &hosts);
            Place { role, service, hosts: hosts.into_iter().collect(), image }
        });
        places.collect()
    }

    fn images_on(&mut self, places: &[Place<'a>], host: &str) -> Vec<String> {
        let mut images = IndexSet::new();
        for Place { role, service, image, .. } in places.iter().filter(|place| place.hosts.contains(host)) {
            if let Some(image) = image {
                images.insert(image.clone());
                continue;
            }
            let used_by = format!("service {} on {host}", service.name);
            let read = |values: &mut Values<'_>| image::reference(role, service, values);
            images.insert(self.values(role, host, used_by, read));
        }
        images.into_iter().collect()
    }
}

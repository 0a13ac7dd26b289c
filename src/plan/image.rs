//! Which image a service runs, by Kolla's variables.

use super::builder::Builder;
use crate::role::{Part, Role, Rule, Service};
use crate::template::{Scope, Values};

/// Where images are: before the name of each, in place of the registry and the namespace.
const URL: &str = "docker_image_url";

/// The operator's variables for the image of a service.
pub(super) fn names(role: &Role, service: &Service) -> Vec<String> {
    let own = ["image_full", "image", "tag"].map(|what| service.variable(what));
    own.into_iter().chain([tag_of(role), URL.to_owned()]).collect()
}

fn tag_of(role: &Role) -> String {
    format!("{}_tag", role.name.replace('-', "_"))
}

/// `registry/namespace/prefix-image:tag`, each part by Kolla's variables, or the service's own.
pub(super) fn reference(role: &Role, service: &Service, values: &mut Values<'_>) -> String {
    if let Some(full) = said(&service.variable("image_full"), Part::Full, values) {
        return full;
    }
    let image = said(&service.variable("image"), Part::Image, values).unwrap_or_else(|| {
        let prefix = values.variable("docker_image_name_prefix");
        let image = service.image.as_ref().map_or_else(|| service.name.clone(), |node| values.text(node));
        let place = said(URL, Part::Place, values).unwrap_or_else(|| {
            let parts = [values.variable("docker_registry"), values.variable("docker_namespace")];
            parts.iter().filter(|part| !part.is_empty()).flat_map(|part| [part.as_str(), "/"]).collect()
        });
        format!("{place}{prefix}{image}")
    });
    let own = said(&service.variable("tag"), Part::Tag, values).or_else(|| said(&tag_of(role), Part::Tag, values));
    let tag = own.unwrap_or_else(|| values.variable("openstack_tag"));
    format!("{image}:{tag}")
}

impl<'a> Builder<'a> {
    /// The same where all these hosts have one, and several containers of a host, too.
    pub(super) fn common_image(&mut self, role: &'a Role, service: &Service, hosts: &[String]) -> Option<String> {
        let host = hosts.first().filter(|_| service.each.is_none())?;
        let used_by = format!("service {} on {host}", service.name);
        let read = |values: &mut Values<'_>| Scope::reaching(|| reference(role, service, values));
        let (found, everywhere) = self.values(role, host, used_by, read);
        everywhere.then_some(found)
    }
}

/// A variable's value, where the operator sets it; an error where it is no such part of a name.
fn said(name: &str, part: Part, values: &mut Values<'_>) -> Option<String> {
    if !values.scope.has(name) {
        return None;
    }
    let value = values.variable(name);
    if let Some(error) = Rule::Image(part).broken(name, &value) {
        let place = values.scope.written(name).map(|written| written.document.place(&written.node));
        values.note(crate::error::InputError { place, ..error });
    }
    Some(value)
}

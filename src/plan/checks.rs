//! What must hold before a deployment: each role's checks on the hosts they are for.

use indexmap::{IndexMap, IndexSet};

use super::build::Builder;
use super::service::image_reference;
use super::values::{Values, items};
use crate::op::check::{Check as CheckOp, Names};
use crate::role::{Check, Role, Service};
use crate::source::{Fields, Node};

impl<'a> Builder<'a> {
    pub(super) fn checks(&mut self, role: &'a Role, enabled: &[&'a Role]) {
        for check in &role.checks {
            let group =
                check.group.clone().or_else(|| role.services.values().next().map(|service| service.group.clone()));
            let group = group.unwrap_or_else(|| "baremetal".into());
            let hosts = self.hosts_of(&group);
            let names = if matches!(check.kind.as_str(), "hostnames_resolve" | "peers_reachable") {
                self.names(role, &hosts)
            } else {
                Names::default()
            };
            let places = if check.kind == "images_present" { self.places(enabled) } else { Vec::new() };
            for host in &hosts {
                let images = self.images_on(&places, host);
                let used_by = format!("check {} on {host}", check.kind);
                let found = self.values(role, host, used_by, |values| {
                    if values.flag(check.when.as_ref(), true) {
                        operations(check, &names, images, values)
                    } else {
                        Vec::new()
                    }
                });
                for op in found {
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
    fn places(&self, enabled: &[&'a Role]) -> Vec<(&'a Role, &'a Service, IndexSet<String>)> {
        let services = enabled.iter().flat_map(|role| role.services.values().map(move |service| (*role, service)));
        services.map(|(role, service)| (role, service, self.hosts_of(&service.group).into_iter().collect())).collect()
    }

    fn images_on(&mut self, places: &[(&'a Role, &'a Service, IndexSet<String>)], host: &str) -> Vec<String> {
        let mut images = IndexSet::new();
        for (role, service, _) in places.iter().filter(|(_, _, hosts)| hosts.contains(host)) {
            let used_by = format!("service {} on {host}", service.name);
            let read = |values: &mut Values<'_>| image_reference(service, values);
            images.insert(self.values(role, host, used_by, read));
        }
        images.into_iter().collect()
    }
}

fn whole(node: &Node, values: &mut Values<'_>) -> u64 {
    let number = values.number(node);
    u64::try_from(number).unwrap_or_else(|_| {
        values.fail(node, format!("`{number}` is less than nothing"));
        0
    })
}

fn operations(check: &Check, names: &Names, images: Vec<String>, values: &mut Values<'_>) -> Vec<CheckOp> {
    let argument = &check.argument;
    vec![match check.kind.as_str() {
        "clock" => CheckOp::Clock { within_ms: values.number(argument) },
        "disk_free" => CheckOp::DiskFree { mib: whole(argument, values) },
        "engine" => CheckOp::Engine { at_least: values.text(argument) },
        "hostnames_resolve" => CheckOp::HostnamesResolve { names: names.clone() },
        "images_present" => CheckOp::ImagesPresent { references: images },
        "interface" => CheckOp::Interface {
            variable: argument.as_str().unwrap_or_default().to_owned(),
            name: values.variable(argument.as_str().unwrap_or_default()),
        },
        "memory" => CheckOp::Memory { mib: whole(argument, values) },
        "open_files" => CheckOp::OpenFiles { at_least: whole(argument, values) },
        "os" => CheckOp::Os { supported: values.list(argument) },
        "peers_reachable" => {
            let ports = items(argument).into_iter().map(|node| values.port(node)).collect();
            CheckOp::PeersReachable { names: names.clone(), ports }
        }
        "port_free" => {
            let document = values.document;
            let mut fields = Fields::of(document, argument);
            let port = fields.need("port").map(|node| values.port(node)).unwrap_or_default();
            let container = fields.need("container").map(|node| values.text(node)).unwrap_or_default();
            for error in fields.finish() {
                values.note(error);
            }
            CheckOp::PortFree { port, container }
        }
        "systemd" => CheckOp::Systemd {},
        "vip" => {
            let document = values.document;
            let mut fields = Fields::of(document, argument);
            let address = fields.need("address").map(|node| values.text(node)).unwrap_or_default();
            let interface = fields.need("interface").map(|node| values.text(node)).unwrap_or_default();
            for error in fields.finish() {
                values.note(error);
            }
            CheckOp::Vip { address, interface }
        }
        _ => return Vec::new(),
    }]
}

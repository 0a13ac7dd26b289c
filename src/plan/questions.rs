//! What `kolla status` asks of a cloud beyond its containers: each role's questions, for the hosts they are for.

use super::builder::Builder;
use super::instance::Instance;
use super::steps::{no_service, offered_by};
use crate::host::ReadOnly;
use crate::op::api::{Identity, Listing};
use crate::op::catalog;
use crate::role::{Role, Service, StatusItem, StatusKind};

/// A question, and what makes its answer a good one.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The role.
    pub role: String,
    /// What it is about, as `cluster`.
    pub about: String,
    /// What is asked.
    pub ask: Asked,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// A program in a container.
    Exec {
        /// The host.
        host: String,
        /// The container.
        container: String,
        /// The program.
        program: ReadOnly,
        /// What the answer matches where all is well; anything where it is absent.
        expect: Option<String>,
        /// What must be the same in the answers of all hosts.
        same: Option<String>,
        /// The number in it that all hosts must reach.
        reaches: Option<String>,
    },
    /// An address that exactly one host holds.
    Address(String),
    /// What an API lists.
    Api(Box<Identity>, Listing),
}

impl<'a> Builder<'a> {
    /// The role's questions.
    pub(super) fn questions(&mut self, role: &'a Role, enabled: &[&'a Role]) -> Vec<Question> {
        role.status.iter().flat_map(|item| self.question(role, enabled, item)).collect()
    }

    fn question(&mut self, role: &'a Role, enabled: &[&'a Role], item: &'a StatusItem) -> Vec<Question> {
        if let StatusKind::Exec { service, .. } = &item.kind {
            let Some(service) = role.services.get(service) else {
                self.errors.push(no_service(role, &item.node, service));
                return Vec::new();
            };
            let hosts = self.hosts_of(&service.group);
            return hosts.iter().flat_map(|host| self.of_containers(role, item, service, host)).collect();
        }
        let host = self.input.hosts.first().cloned();
        host.and_then(|host| self.question_on(role, enabled, item, &host)).into_iter().collect()
    }

    /// A question for each container of a service on a host.
    fn of_containers(
        &mut self,
        role: &'a Role,
        item: &'a StatusItem,
        service: &'a Service,
        host: &str,
    ) -> Vec<Question> {
        let StatusKind::Exec { command, expect, same, reaches, .. } = &item.kind else { return Vec::new() };
        let used_by = format!("status of role {} on {host}", role.name);
        self.values(role, host, used_by, |values| {
            let mut questions = Vec::new();
            for instance in Instance::all(service, values) {
                questions.extend(instance.with(values, |values| {
                    let ask = Asked::Exec {
                        host: host.to_owned(),
                        container: instance.container.clone(),
                        program: ReadOnly::declared(values.words(command)),
                        expect: expect.as_ref().and_then(|node| values.pattern(node)),
                        same: same.as_ref().and_then(|node| values.pattern(node)),
                        reaches: reaches.as_ref().and_then(|node| values.pattern(node)),
                    };
                    let wanted = values.flag(item.when.as_ref(), true);
                    wanted.then(|| Question { role: role.name.clone(), about: values.text(&item.about), ask })
                }));
            }
            questions
        })
    }

    fn question_on(
        &mut self,
        role: &'a Role,
        enabled: &[&'a Role],
        item: &'a StatusItem,
        host: &str,
    ) -> Option<Question> {
        let used_by = format!("status of role {} on {host}", role.name);
        let ask = match &item.kind {
            StatusKind::Exec { .. } => return None,
            StatusKind::Address(node) => self.values(role, host, used_by.clone(), |values| {
                values.flag(item.when.as_ref(), true).then(|| Asked::Address(values.text(node)))
            })?,
            StatusKind::Api(node) => {
                let Some((offering, service)) = offered_by(&catalog::OFFER, enabled) else {
                    self.unmet(role, &item.node, &catalog::OFFER);
                    return None;
                };
                let written = service.offers.get(catalog::OFFER.key.0)?;
                let identity = self.values(offering, host, used_by.clone(), |values| {
                    Identity::offered(written, &service.container, values)
                });
                self.values(role, host, used_by.clone(), |values| {
                    let wanted = values.flag(item.when.as_ref(), true);
                    wanted.then(|| Asked::Api(Box::new(identity), Listing::resolve(node, values)))
                })?
            }
        };
        let about = self.values(role, host, used_by, |values| values.text(&item.about));
        Some(Question { role: role.name.clone(), about, ask })
    }
}

//! What `kolla status` asks of a cloud beyond its containers: each role's questions, for the hosts they are for.

use super::builder::Builder;
use super::instance::Instance;
use super::place::Place;
use super::steps::{no_service, offered_by};
use crate::op::api::{Identity, Listing};
use crate::op::catalog;
use crate::role::{Program, Role, Service, StatusItem, StatusKind};
use crate::source::Node;
use crate::template::Value;

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
        /// Which.
        place: Place,
        /// What the answer matches where all is well; anything where it is absent.
        expect: Option<String>,
        /// What must be the same in the answers of all hosts.
        same: Option<String>,
        /// The number in it that all hosts must reach.
        reaches: Option<String>,
    },
    /// Rows of a table: the same wherever it is asked.
    Table(Vec<Place>),
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
        if let StatusKind::Table(program) = &item.kind {
            let places = self.places_of(role, program, item.when.as_ref(), &[]);
            let host = places.first().map(|place| place.host.clone());
            let about = host.map(|host| self.about(role, item, &host));
            let of = |about| Question { role: role.name.clone(), about, ask: Asked::Table(places) };
            return about.map(of).into_iter().collect();
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
                        place: instance.place(host, command, values),
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
            StatusKind::Exec { .. } | StatusKind::Table(_) => return None,
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
        Some(Question { role: role.name.clone(), about: self.about(role, item, host), ask })
    }

    fn about(&mut self, role: &'a Role, item: &'a StatusItem, host: &str) -> String {
        let used_by = format!("status of role {} on {host}", role.name);
        self.values(role, host, used_by, |values| values.text(&item.about))
    }

    /// Where a program may be run whose answer is the same everywhere; `with` are further variables of its command.
    pub(super) fn places_of(
        &mut self,
        role: &'a Role,
        program: &'a Program,
        when: Option<&'a Node>,
        with: &[(String, Value)],
    ) -> Vec<Place> {
        let Some(service) = role.services.get(&program.service) else {
            self.errors.push(no_service(role, &program.node, &program.service));
            return Vec::new();
        };
        let hosts = self.hosts_of(&service.group);
        let on = |host: &String| {
            let used_by = format!("role {} on {host}", role.name);
            self.values(role, host, used_by, |values| {
                values.with(with.to_vec(), |values| {
                    let instance = Instance::all(service, values).into_iter().next()?;
                    let wanted = values.flag(when, true);
                    wanted.then(|| instance.with(values, |values| instance.place(host, &program.command, values)))
                })
            })
        };
        hosts.iter().filter_map(on).collect()
    }
}

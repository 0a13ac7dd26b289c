//! Secrets that a deployment cannot change, because others know what runs by them: a user of the database, of the message
//! queue or of Keystone has one password, and the services that log in with it change theirs one after the other.
//!
//! Which these are follows from the plan: what a step gives to a user, or a cluster is made with, and what the files of
//! services hold. Roles name the rest (`fixed:`). Other secrets, as the key of the dashboard's sessions, are configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use crate::error::{InputError, Kind, Place};
use crate::host::Look;
use crate::op::Op;
use crate::op::fixed::{Held, noted};
use crate::role::Roles;
use crate::shell::Mask;
use crate::site::Site;
use crate::template::Scope;

/// Hosts of a service that keep a note: one that is lost takes not all of them with it.
const KEEPERS: usize = 3;

/// Secrets of a plan that no deployment can change.
#[derive(Debug, Default)]
pub struct Fixed {
    /// Their values, and where they are set, by their names.
    secrets: BTreeMap<String, (String, Place)>,
    /// What hosts are to note of them.
    held: Vec<(String, Held)>,
}

impl Fixed {
    /// Those of a whole plan, with the values that one host sees.
    pub fn of(whole: &Plan, site: &Site, roles: &Roles, scope: &Scope) -> Self {
        let given: BTreeSet<&str> =
            whole.nodes.iter().filter_map(|node| node.op.as_ref()).flat_map(|op| op.operation().secrets()).collect();
        let named: BTreeSet<&str> = roles.0.values().flat_map(|role| &role.fixed).map(String::as_str).collect();
        let secrets: BTreeMap<String, (String, Place)> = site
            .passwords()
            .into_iter()
            .filter_map(|password| {
                let value = scope.get(&password.name).ok()?;
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let fixed = given.contains(&*value) || named.contains(&*password.name);
                (fixed && !value.is_empty()).then_some((password.name, (value, password.place)))
            })
            .collect();
        let masks: Vec<(&str, &str, Mask)> =
            secrets.iter().map(|(name, (value, _))| (&**name, &**value, Mask::new([value.clone()]))).collect();
        let mut keepers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut held = Vec::new();
        for node in &whole.nodes {
            let Some(Op::FileSet(set)) = &node.op else { continue };
            // One whose containers come after the steps takes over what these change, and is made to be logged in until then.
            let service = roles.0.get(&node.role).and_then(|role| role.services.get(&set.service));
            if service.is_some_and(|service| service.after_steps) {
                continue;
            }
            let keeper = keepers.entry(&set.service).or_default();
            *keeper += 1;
            if *keeper > KEEPERS {
                continue;
            }
            for (name, value, mask) in &masks {
                if set.files.iter().any(|file| mask.hides(&String::from_utf8_lossy(&file.content))) {
                    held.push((node.host.clone(), Held::new(&set.service, name, value)));
                }
            }
        }
        Self { secrets, held }
    }

    /// Those that have another value than the services which a plan is for were deployed with. Where nothing is noted, as
    /// before a first deployment and on a host that was wiped, nothing is known to have changed.
    pub fn changed<'a>(&self, plan: &Plan, looks: impl Iterator<Item = (&'a String, &'a Look)>) -> Vec<InputError> {
        let services = services(plan);
        let mut found: BTreeMap<String, InputError> = BTreeMap::new();
        for (host, look) in looks {
            for (was, since) in noted(look).filter(|(was, _)| services.contains(&*was.service)) {
                let Some((value, place)) = self.secrets.get(&was.variable) else { continue };
                if Held::new(&was.service, &was.variable, value) == was {
                    continue;
                }
                let Held { service, variable, .. } = was;
                found.entry(variable.clone()).or_insert_with(|| {
                    InputError::new(format!(
                        "`{variable}` is not the one that {service} on {host} was deployed with (since {since}), and a \
                         deployment cannot change it"
                    ))
                    .of(Kind::FixedSecret)
                    .at(place.clone())
                    .hint(format!("put its old value back into {}", place.file.display()))
                });
            }
        }
        found.into_values().collect()
    }

    /// What hosts are to note after a plan was carried out, by their names.
    pub fn to_note(&self, plan: &Plan) -> BTreeMap<String, Vec<Held>> {
        let done: BTreeSet<(&str, &str)> = plan
            .nodes
            .iter()
            .filter_map(|node| match &node.op {
                Some(Op::FileSet(set)) => Some((&*node.host, &*set.service)),
                _ => None,
            })
            .collect();
        let mut by_host: BTreeMap<String, Vec<Held>> = BTreeMap::new();
        for (host, held) in self.held.iter().filter(|(host, held)| done.contains(&(&**host, &*held.service))) {
            by_host.entry(host.clone()).or_default().push(held.clone());
        }
        by_host
    }
}

/// Services whose files a plan writes.
fn services(plan: &Plan) -> BTreeSet<&str> {
    let sets = plan.nodes.iter().filter_map(|node| match &node.op {
        Some(Op::FileSet(set)) => Some(&*set.service),
        _ => None,
    });
    sets.collect()
}

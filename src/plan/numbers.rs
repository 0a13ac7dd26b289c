//! Numbers that stay with hosts: who has which, and which one a new host gets.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::builder::Builder;
use crate::error::{InputError, Kind};
use crate::op::number::Number;
use crate::role::{Role, Roles};
use crate::site::Site;
use crate::template::Scopes;

/// The variables of a site's hosts with their facts, and with the numbers that roles give them.
pub fn scopes(roles: &Roles, site: &Site, mut facts: IndexMap<String, Json>) -> Scopes {
    let mut wanted = roles.0.values().flat_map(|role| role.numbers.values());
    if wanted.all(|number| site.group(&number.group).is_empty()) {
        return site.scopes(facts);
    }
    for (host, numbers) in given(roles, site, &facts) {
        if let Some(facts) = facts.get_mut(&host) {
            facts["numbers"] = json!(numbers);
        }
    }
    site.scopes(facts)
}

/// Numbers by host and variable: those that the operator wrote, those that hosts keep, and for a host without one the lowest
/// that nobody has. While a host of the group is not known, nobody gets a new one: it may be that host's.
fn given(roles: &Roles, site: &Site, facts: &IndexMap<String, Json>) -> BTreeMap<String, BTreeMap<String, u32>> {
    // On many hosts they take long.
    let scopes = LazyCell::new(|| site.scopes(facts.clone()));
    let mut given: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for (name, number) in roles.0.values().flat_map(|role| &role.numbers) {
        let mut without = Vec::new();
        let mut taken = BTreeSet::new();
        let mut all_known = true;
        let by_operator = site.sets(name);
        for host in site.group(&number.group) {
            let known = facts.get(host);
            all_known &= known.is_some();
            let kept =
                known.and_then(|facts| facts["numbers"][name].as_u64()).and_then(|kept| u32::try_from(kept).ok());
            match by_operator.then(|| written(&scopes, host, name)).flatten().or(kept) {
                Some(number) => {
                    taken.insert(number);
                    given.entry(host.to_owned()).or_default().insert(name.clone(), number);
                }
                None => without.push(host),
            }
        }
        let free = (number.from..).filter(|number| !taken.contains(number));
        for (host, number) in without.into_iter().zip(free).filter(|_| all_known) {
            given.entry(host.to_owned()).or_default().insert(name.clone(), number);
        }
    }
    given
}

/// The number that the operator wrote for a host.
fn written(scopes: &Scopes, host: &str, name: &str) -> Option<u32> {
    let scope = scopes.host(host);
    let origin = scope.explain(name).into_iter().next()?;
    let value = scope.get(name).ok().filter(|_| !origin.layer.starts_with("role "))?;
    u32::try_from(value).ok()
}

impl<'a> Builder<'a> {
    /// The nodes that keep a role's numbers, by host.
    pub(super) fn numbers(&mut self, role: &'a Role) -> BTreeMap<String, Vec<usize>> {
        let mut nodes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (name, number) in &role.numbers {
            let mut of: BTreeMap<u32, String> = BTreeMap::new();
            for host in self.hosts_of(&number.group) {
                let used_by = format!("number of role {} on {host}", role.name);
                let found = self.values(role, &host, used_by, |values| values.number_of(name));
                let Some(number) = found else { continue };
                if let Some(other) = of.insert(number, host.clone()) {
                    let message = format!("`{name}` is {number} on {other} and on {host}");
                    let hint = "each host has one of its own; set it in the inventory where one was copied";
                    self.errors.push(InputError::new(message).of(Kind::WrongValue).hint(hint));
                }
                let op = Number { name: name.clone(), number, ..Number::default() };
                nodes.entry(host.clone()).or_default().push(self.add(&host, &role.name, op, []));
            }
        }
        nodes
    }
}

//! What steps and questions need of other roles' services, and what is said where no enabled role has it: once for all
//! that need it.

use std::collections::BTreeMap;

use indexmap::IndexSet;

use super::builder::Builder;
use super::steps::offered_by;
use crate::error::{InputError, Kind, Place};
use crate::op::word::Offer;
use crate::op::words::OFFERS;
use crate::role::Role;
use crate::source::Node;
use crate::template::values::variable_of;

impl<'a> Builder<'a> {
    /// Notes what an enabled role needs at a node and no enabled role offers.
    pub(super) fn unmet(&mut self, role: &'a Role, node: &Node, offer: &Offer) {
        let Some(at) = OFFERS.iter().position(|known| known.key.0 == offer.key.0) else { return };
        let unmet = self.unmet_needs.entry(at).or_insert_with(|| (role.document.place(node), IndexSet::new()));
        unmet.1.insert(&role.name);
    }

    /// An error for each need that is not met, and none of them any more.
    pub(super) fn lacking(&mut self) -> Vec<InputError> {
        let unmet = std::mem::take(&mut self.unmet_needs);
        unmet.into_iter().map(|(at, (place, roles))| self.lacking_one(OFFERS[at], place, &roles)).collect()
    }

    fn lacking_one(&self, offer: &Offer, place: Place, roles: &IndexSet<&str>) -> InputError {
        let (what, key) = (offer.what, offer.key.0);
        let verb = if roles.len() == 1 { "needs" } else { "need" };
        let roles: Vec<&str> = roles.iter().copied().collect();
        let message = format!("no enabled role has a {what}, which {} {verb}", roles.join(", "));
        let all: Vec<&Role> = self.input.roles.0.values().collect();
        let hint = match offered_by(offer, &all) {
            None => format!("add a role that has one: its service has the key `{key}`"),
            Some((role, _)) => {
                format!("enable {}, which has one{}", role.name, self.switch(role))
            }
        };
        InputError::new(message).of(Kind::RoleRule).at(place).hint(hint)
    }

    /// Where a role is switched off, as the end of a hint.
    fn switch(&self, role: &Role) -> String {
        let switch = role.enabled.as_ref().and_then(variable_of);
        let set = switch.zip(self.input.hosts.first()).and_then(|(name, host)| {
            let origin = self.scope(host).explain(name).into_iter().next()?;
            let default = origin.layer.starts_with("role ");
            let here = if default { "is off by default".into() } else { format!("is set at {}", origin.place) };
            Some(format!(": `{name}` {here}"))
        });
        set.unwrap_or_default()
    }

    /// The operator has said where its like is that is not deployed here.
    fn is_elsewhere(&self, role: &Role) -> bool {
        let origin = role.elsewhere.as_ref().zip(self.input.hosts.first()).and_then(|(name, host)| {
            let origin = self.scope(host).explain(name).into_iter().next()?;
            Some(!origin.layer.starts_with("role ") && !origin.text.trim().is_empty())
        });
        origin.unwrap_or(false)
    }

    /// An error for each role that is switched off though enabled ones need it. Told beside what is lacking: where that is
    /// of such a role, it is enough. Services go without a load balancer, whose address may be a host's own.
    pub(super) fn switched_off(&self, enabled: &[&'a Role]) -> Vec<InputError> {
        let all: Vec<&Role> = self.input.roles.0.values().collect();
        let told: Vec<&str> =
            self.unmet_needs.keys().filter_map(|at| Some(offered_by(OFFERS[*at], &all)?.0.name.as_str())).collect();
        let mut missing: BTreeMap<&str, (Place, IndexSet<&str>)> = BTreeMap::new();
        for role in enabled {
            for need in &role.needs {
                let Some(other) = self.input.roles.0.get(need) else { continue };
                let balances = other.services.values().any(|service| service.balancer.is_some());
                if !balances
                    && !self.is_elsewhere(other)
                    && !told.contains(&need.as_str())
                    && !enabled.iter().any(|role| role.name == *need)
                {
                    let lack = missing.entry(need).or_insert_with(|| (role.needs_place(need), IndexSet::new()));
                    lack.1.insert(&role.name);
                }
            }
        }
        let error = |(need, (place, roles)): (&str, (Place, IndexSet<&str>))| {
            let verb = if roles.len() == 1 { "needs" } else { "need" };
            let roles: Vec<&str> = roles.into_iter().collect();
            let message = format!("role {need} is not enabled, which {} {verb}", roles.join(", "));
            let other = self.input.roles.0.get(need);
            let switch = other.map(|role| self.switch(role)).unwrap_or_default();
            let elsewhere = other.and_then(|role| role.elsewhere.as_ref());
            let elsewhere = elsewhere.map(|name| format!("; or say with `{name}` where there is one"));
            let hint = format!("enable {need}{switch}{}", elsewhere.unwrap_or_default());
            InputError::new(message).of(Kind::RoleRule).at(place).hint(hint)
        };
        missing.into_iter().map(error).collect()
    }
}

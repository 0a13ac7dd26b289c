//! Roles that are enabled and that no host is for: most often a group of the inventory has another name than Kolla's.

use std::collections::BTreeMap;

use super::Input;
use crate::error::{InputError, Kind, Place};
use crate::role::Role;

/// An error for each set of groups that lack hosts, with the roles that are nowhere for it: those that others need, or all
/// where no role has a host.
pub(super) fn errors(input: &Input<'_>, enabled: &[&Role]) -> Vec<InputError> {
    let site = input.site;
    let groups = |role: &Role| role.services.values().map(|service| service.group.clone()).collect::<Vec<_>>();
    let with_services = enabled.iter().filter(|role| !role.services.is_empty());
    let (placed, nowhere): (Vec<&Role>, Vec<&Role>) =
        with_services.partition(|role| groups(role).iter().any(|group| !site.group(group).is_empty()));
    let needed = |role: &&&Role| placed.is_empty() || placed.iter().any(|other| other.needs.contains(&role.name));
    let mut lacking: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for role in nowhere.iter().filter(needed) {
        let mut fill: Vec<String> = groups(role).iter().flat_map(|group| site.groups_to_fill(group)).collect();
        fill.sort_unstable();
        fill.dedup();
        lacking.entry(fill).or_default().push(&role.name);
    }
    // Hosts in the fewer groups are enough.
    let sets: Vec<Vec<String>> = lacking.keys().cloned().collect();
    let smaller = |set: &[String]| {
        let within = |other: &&Vec<String>| other.len() < set.len() && other.iter().all(|group| set.contains(group));
        sets.iter().find(within).cloned()
    };
    let mut errors: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for (groups, roles) in lacking {
        errors.entry(smaller(&groups).unwrap_or(groups)).or_default().extend(roles);
    }
    errors.into_iter().map(|(groups, roles)| error(input, &groups, &roles)).collect()
}

fn error(input: &Input<'_>, groups: &[String], roles: &[&str]) -> InputError {
    let named = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let known = input.site.group_names();
    let (there, missing): (Vec<&str>, Vec<&str>) =
        groups.iter().map(String::as_str).partition(|group| known.contains(group));
    let mut why = Vec::new();
    if !missing.is_empty() {
        why.push(format!("the inventory has no group {}", named(&missing)));
    }
    if !there.is_empty() {
        why.push(format!("no host is in {}", named(&there)));
    }
    let message = format!("no host is for {}: {}", roles.join(", "), why.join(", and "));
    let strange = input.site.strange_groups();
    let hint = if strange.is_empty() {
        "list hosts in it, or switch off what is not to be deployed".to_owned()
    } else {
        format!(
            "Kolla knows no group {}: give its hosts to a group of Kolla's",
            named(&strange[..strange.len().min(5)])
        )
    };
    let mut error = InputError::new(message).of(Kind::Inventory).hint(hint);
    error.place = input.site.inventory.as_ref().map(Place::file);
    error
}

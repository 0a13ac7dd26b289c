//! What inventories come to: hosts, groups, and the variables written beside them. Knows no format.

use std::collections::HashSet;

use indexmap::{IndexMap, IndexSet};

use crate::error::{InputError, Kind, Place};
use crate::source::Data;
use crate::template::Sourced;

/// The group of all hosts.
pub(super) const ALL: &str = "all";

/// The group of hosts that are in no other one.
pub(super) const UNGROUPED: &str = "ungrouped";

/// A group as the inventories describe it.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Hosts listed in it itself.
    pub(super) hosts: IndexSet<String>,
    /// Groups listed in it, and where.
    pub(super) children: IndexMap<String, Option<Place>>,
    /// Its variables.
    pub(super) vars: IndexMap<String, Sourced>,
    /// `ansible_group_priority`: of groups of the same depth, the higher one wins.
    pub(super) priority: i64,
}

/// Inventories, merged in the order they were read.
#[derive(Debug, Clone)]
pub(super) struct Inventory {
    /// Hosts in the order they first appear, with the variables written beside them.
    pub(super) hosts: IndexMap<String, IndexMap<String, Sourced>>,
    /// Groups in the order they first appear; `all` and `ungrouped` are always there.
    pub(super) groups: IndexMap<String, Group>,
}

impl Default for Group {
    fn default() -> Self {
        Self { hosts: IndexSet::new(), children: IndexMap::new(), vars: IndexMap::new(), priority: 1 }
    }
}

impl Default for Inventory {
    fn default() -> Self {
        let mut inventory = Self { hosts: IndexMap::new(), groups: IndexMap::new() };
        inventory.add_child(ALL, UNGROUPED, None);
        inventory.group(UNGROUPED);
        inventory
    }
}

impl Inventory {
    /// The group of that name, made where there is none.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Puts a group under another one.
    pub(super) fn add_child(&mut self, parent: &str, child: &str, place: Option<Place>) {
        self.group(parent).children.entry(child.to_owned()).or_insert(place);
    }

    /// Puts a host into a group. The port counts only where the host is new.
    pub(super) fn add_host(&mut self, group: &str, name: &str, port: Option<Sourced>) {
        if !self.hosts.contains_key(name) {
            let port = port.filter(|port| port.node.data != Data::Int(0));
            self.hosts
                .insert(name.to_owned(), port.map(|port| ("ansible_port".to_owned(), port)).into_iter().collect());
        }
        self.group(group).hosts.insert(name.to_owned());
    }

    /// Sets a variable of the group of that name or, where there is none, of the host.
    ///
    /// # Errors
    /// A priority that is no whole number.
    pub(super) fn set(&mut self, name: &str, key: &str, value: Sourced) -> Result<(), InputError> {
        if let Some(group) = self.groups.get_mut(name) {
            if key == "ansible_group_priority" {
                group.priority = match &value.node.data {
                    Data::Int(priority) => Some(*priority),
                    Data::Bool(priority) => Some(i64::from(*priority)),
                    Data::Str(text) => text.trim().parse().ok(),
                    _ => None,
                }
                .ok_or_else(|| {
                    InputError::new(format!("`{key}` of group `{name}` must be a whole number"))
                        .at(value.document.place(&value.node))
                })?;
            } else {
                group.vars.insert(key.to_owned(), value);
            }
        } else {
            self.hosts.entry(name.to_owned()).or_default().insert(key.to_owned(), value);
        }
        Ok(())
    }

    /// Brings all groups under `all`, and under `ungrouped` exactly the hosts of no other group.
    pub(super) fn reconcile(&mut self) {
        let below: HashSet<String> = self.groups.values().flat_map(|group| group.children.keys().cloned()).collect();
        let top: Vec<String> =
            self.groups.keys().filter(|name| *name != ALL && !below.contains(*name)).cloned().collect();
        for name in top {
            self.add_child(ALL, &name, None);
        }
        let others = self.groups.iter().filter(|(name, _)| ![ALL, UNGROUPED].contains(&name.as_str()));
        let grouped: HashSet<String> = others.flat_map(|(_, group)| group.hosts.iter().cloned()).collect();
        let lonely: Vec<String> = self.hosts.keys().filter(|host| !grouped.contains(*host)).cloned().collect();
        let ungrouped = self.group(UNGROUPED);
        ungrouped.hosts.retain(|host| !grouped.contains(host));
        ungrouped.hosts.extend(lonely);
    }

    /// Groups that contain themselves.
    pub(super) fn check(&self) -> Option<InputError> {
        let (path, place) = self.groups.keys().find_map(|name| self.cycle(name))?;
        let error = InputError::new(format!("groups contain each other: {}", path.join(" -> "))).of(Kind::Cycle);
        // One cycle has as many beginnings as members; one message is enough.
        Some(match place {
            Some(place) => error.at(place),
            None => error,
        })
    }

    /// The way from a group back to itself, and where its last step stands.
    fn cycle(&self, start: &str) -> Option<(Vec<String>, Option<Place>)> {
        let mut seen = IndexSet::new();
        let mut next = vec![vec![start.to_owned()]];
        while let Some(path) = next.pop() {
            let Some(group) = path.last().and_then(|last| self.groups.get(last)) else { continue };
            for (child, place) in &group.children {
                let mut path = path.clone();
                path.push(child.clone());
                if child == start {
                    return Some((path, place.clone()));
                }
                if seen.insert(child.clone()) {
                    next.push(path);
                }
            }
        }
        None
    }
}

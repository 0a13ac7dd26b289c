//! What inventories come to: hosts, groups, and the variables written beside them. Knows no format.

use std::collections::{HashSet, VecDeque};

use indexmap::{IndexMap, IndexSet};

use crate::error::{InputError, Kind, Place};
use crate::source::{Data, Node};
use crate::template::Sourced;

/// The group of all hosts.
pub(super) const ALL: &str = "all";

/// The group of hosts that are in no other one.
pub(super) const UNGROUPED: &str = "ungrouped";

/// Hosts beyond which an inventory is a mistake: a range has a digit too many.
pub(super) const MOST_HOSTS: usize = 20_000;

/// Bytes of all variables that ranges give to their hosts.
const MOST_GIVEN: usize = 16 << 20;

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
    /// Bytes of the variables that ranges gave to their hosts.
    given: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self { hosts: IndexSet::new(), children: IndexMap::new(), vars: IndexMap::new(), priority: 1 }
    }
}

impl Default for Inventory {
    fn default() -> Self {
        let mut inventory = Self { hosts: IndexMap::new(), groups: IndexMap::new(), given: 0 };
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

    /// Takes note of hosts that one line names, and of the variables that each of them gets.
    ///
    /// # Errors
    /// The message and hint where that is more than an inventory can hold: a short line with a range may say much.
    pub(super) fn make_room<'n>(
        &mut self,
        hosts: &[String],
        vars: impl Iterator<Item = &'n Node>,
    ) -> Result<(), (String, &'static str)> {
        if hosts.len() < 2 {
            return Ok(());
        }
        let new = hosts.iter().filter(|name| !self.hosts.contains_key(*name)).count();
        if self.hosts.len() + new > MOST_HOSTS {
            return Err((
                format!("the inventory has more than {MOST_HOSTS} hosts"),
                "correct the bounds of this range",
            ));
        }
        let given = self.given.saturating_add(hosts.len().saturating_mul(vars.map(weight).sum()));
        if given > MOST_GIVEN {
            let message =
                format!("the variables that ranges give to their hosts take more than {} MiB", MOST_GIVEN >> 20);
            return Err((message, "write them once, for a group of these hosts"));
        }
        // What was refused does not count against what follows.
        self.given = given;
        Ok(())
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

    /// The groups listed in each group, all by their index.
    pub(super) fn children(&self) -> Vec<Vec<usize>> {
        let children =
            |group: &Group| group.children.keys().filter_map(|child| self.groups.get_index_of(child)).collect();
        self.groups.values().map(children).collect()
    }

    /// The groups by their index, parents before children; without those that contain themselves, and all below these.
    pub(super) fn downwards(children: &[Vec<usize>]) -> Vec<usize> {
        let mut parents = vec![0_usize; children.len()];
        children.iter().flatten().for_each(|child| parents[*child] += 1);
        let mut next: VecDeque<usize> = (0..parents.len()).filter(|group| parents[*group] == 0).collect();
        let mut order = Vec::new();
        while let Some(group) = next.pop_front() {
            order.push(group);
            for child in &children[group] {
                parents[*child] -= 1;
                if parents[*child] == 0 {
                    next.push_back(*child);
                }
            }
        }
        order
    }

    /// Groups that contain themselves. One cycle has as many beginnings as members; one message is enough.
    pub(super) fn check(&self) -> Option<InputError> {
        let children = self.children();
        let fine: HashSet<usize> = Self::downwards(&children).into_iter().collect();
        let left = || (0..children.len()).filter(|group| !fine.contains(group));
        // Each of them has a parent among them, so the way up comes back to where it was.
        let mut parents: IndexMap<usize, usize> = left().map(|group| (group, group)).collect();
        for group in left() {
            for child in &children[group] {
                parents.entry(*child).and_modify(|parent| *parent = group);
            }
        }
        let mut way = IndexSet::new();
        let mut at = left().next()?;
        while way.insert(at) {
            at = *parents.get(&at)?;
        }
        let mut cycle: Vec<usize> = way.into_iter().skip_while(|group| *group != at).collect();
        cycle.reverse();
        let first = cycle.iter().enumerate().min_by_key(|(_, group)| **group).map_or(0, |(index, _)| index);
        cycle.rotate_left(first);
        let names: Vec<&str> =
            cycle.iter().filter_map(|group| self.groups.get_index(*group)).map(|(name, _)| name.as_str()).collect();
        let (start, end) = (names.first()?, names.last()?);
        let error =
            InputError::new(format!("groups contain each other: {} -> {start}", names.join(" -> "))).of(Kind::Cycle);
        Some(match self.groups.get(*end).and_then(|group| group.children.get(*start)).cloned().flatten() {
            Some(place) => error.at(place),
            None => error,
        })
    }
}

/// About how many bytes a value takes.
fn weight(node: &Node) -> usize {
    64 + match &node.data {
        Data::Str(text) => text.len(),
        Data::Seq(items) => items.iter().map(weight).sum(),
        Data::Map(map) => map.iter().map(|(key, entry)| key.len() + weight(&entry.value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(edges: &[(&str, &str)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (parent, child) in edges {
            inventory.add_child(parent, child, None);
            inventory.group(child);
        }
        inventory.reconcile();
        inventory
    }

    #[test]
    fn a_cycle_is_found_wherever_it_is() {
        let cycle = |edges: &[(&str, &str)]| inventory(edges).check().map(|error| error.message);
        assert_eq!(cycle(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
        assert_eq!(cycle(&[("a", "a")]).unwrap(), "groups contain each other: a -> a");
        let below_and_above = [("top", "b"), ("c", "b"), ("b", "a"), ("a", "c"), ("c", "low"), ("low", "lower")];
        assert_eq!(cycle(&below_and_above).unwrap(), "groups contain each other: b -> a -> c -> b");
    }

    #[test]
    fn groups_stand_below_each_other_as_deep_as_anybody_likes() {
        let names: Vec<String> = (0..20_000).map(|number| format!("g{number}")).collect();
        let edges: Vec<_> = names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        let inventory = inventory(&edges);
        assert_eq!(inventory.check(), None);
        assert_eq!(Inventory::downwards(&inventory.children()).len(), 20_002);
    }
}

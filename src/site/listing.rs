//! Inventories as `ansible-inventory` shows them. Nothing is deployed from this: there, variables that an inventory
//! has for a group are below all files in `group_vars/`, those for `all` included.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::files::Beside;
use super::groups::Groups;
use super::inventory::{ALL, Inventory};
use super::pattern;
use super::vault::VaultKeys;
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::source::{Data, Node};
use crate::template::Sourced;

/// Names that are Ansible's own, never an inventory's.
const INTERNAL: &[&str] = &[
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

/// Bytes of the longest graph: a group that is in several others is drawn in each.
const LONGEST_GRAPH: usize = 16 << 20;

/// Inventories and the variables beside them, without the rest of a site.
#[derive(Debug)]
pub struct Listing {
    inventory: Inventory,
    groups: Groups,
    group_vars: Beside,
    host_vars: Beside,
}

impl Listing {
    /// Reads inventories, in order.
    ///
    /// # Errors
    /// All input errors of all files together.
    pub fn read(inventories: &[PathBuf], keys: &VaultKeys) -> Result<Self> {
        let mut errors = Vec::new();
        let (inventory, group_vars, host_vars) = super::inventories(inventories, keys, &mut errors);
        if !errors.is_empty() {
            return Err(Error::Input(errors));
        }
        let groups = Groups::new(&inventory);
        Ok(Self { inventory, groups, group_vars, host_vars })
    }

    /// Names of all hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.inventory.hosts.keys().map(String::as_str)
    }

    /// Names of all groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.names()
    }

    /// Groups, their hosts and children, and the variables of hosts, for the hosts that a limit selects.
    ///
    /// # Errors
    /// A limit that selects nothing.
    pub fn list(&self, limit: &[String]) -> Result<Value> {
        let hosts = pattern::select(&self.groups, limit).map_err(Error::Input)?;
        let mut listed = Map::new();
        for (name, group) in &self.inventory.groups {
            let mut shown = Map::new();
            let own: Vec<&String> = group.hosts.iter().filter(|host| hosts.contains(*host)).collect();
            if name != ALL && !own.is_empty() {
                shown.insert("hosts".into(), json!(own));
            }
            if !group.children.is_empty() {
                shown.insert("children".into(), group.children.keys().map(String::as_str).collect());
            }
            if !shown.is_empty() {
                listed.insert(name.clone(), shown.into());
            }
        }
        let vars = hosts.iter().map(|host| (host.clone(), self.vars(host))).filter(|(_, vars)| *vars != json!({}));
        let vars: Map<String, Value> = vars.collect();
        listed.insert("_meta".into(), json!({ "hostvars": vars, "profile": "inventory_legacy" }));
        listed.sort_keys();
        Ok(listed.into())
    }

    /// The variables of the one host that a pattern matches.
    ///
    /// # Errors
    /// Another number of hosts.
    pub fn host(&self, host: &str) -> Result<Value> {
        let found = self.matching(host)?;
        match found.first() {
            Some(name) if found.len() == 1 => Ok(self.vars(name)),
            _ => Err(Error::input(format!("`{host}` matches {}", crate::error::numbered(found.len(), "host")))
                .of(Kind::UnknownName)
                .with_hint("name one host")),
        }
    }

    /// The groups below one, and their hosts, as a tree.
    ///
    /// # Errors
    /// A group that is not there, and a graph that nobody could read.
    pub fn graph(&self, group: &str) -> Result<String> {
        if !self.inventory.groups.contains_key(group) {
            let error = InputError::new(format!("there is no group `{group}` in the inventory")).of(Kind::UnknownName);
            return Err(match nearest(group, self.groups.names()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`kolla inventory --graph` shows all groups"),
            }
            .into());
        }
        let mut text = String::new();
        if self.draw(group, 0, &mut text).is_none() {
            let message = format!("the graph of `{group}` is longer than {} MiB", LONGEST_GRAPH >> 20);
            return Err(Error::input(message).with_hint("name a group below it: `kolla inventory --graph GROUP`"));
        }
        Ok(text)
    }

    /// Draws a group; nothing where the text gets too long.
    fn draw(&self, name: &str, depth: usize, text: &mut String) -> Option<()> {
        let line = |parts: [&str; 3], depth: usize, text: &mut String| {
            if !text.is_empty() {
                text.push('\n');
            }
            text.extend(std::iter::repeat_n("  |", depth));
            text.push_str(if depth > 0 { "--" } else { "" });
            text.extend(parts);
            (text.len() <= LONGEST_GRAPH).then_some(())
        };
        let Some(group) = self.inventory.groups.get(name) else { return Some(()) };
        line(["@", name, ":"], depth, text)?;
        for child in group.children.keys() {
            self.draw(child, depth + 1, text)?;
        }
        for host in group.hosts.iter().filter(|_| name != ALL) {
            line(["", host, ""], depth + 1, text)?;
        }
        Some(())
    }

    /// The hosts that a pattern matches, in its order.
    ///
    /// # Errors
    /// Unknown names.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>> {
        let found = pattern::matching(&self.groups, &[pattern.to_owned()]).map_err(Error::Input)?;
        Ok(found.into_iter().collect())
    }

    /// The hosts that a limit selects, in the order of `all`.
    ///
    /// # Errors
    /// Unknown names, and a limit that selects nothing.
    pub fn select(&self, limit: &str) -> Result<Vec<String>> {
        let found = pattern::select(&self.groups, &[limit.to_owned()]).map_err(Error::Input)?;
        Ok(found.into_iter().collect())
    }

    fn vars(&self, host: &str) -> Value {
        let mut vars = Map::new();
        let groups = self.groups.ranked(host);
        let inline = |name: &str| self.inventory.groups.get(name).into_iter().flat_map(|group| &group.vars);
        let mut set = |(name, sourced): (&String, &Sourced)| drop(vars.insert(name.clone(), shown(&sourced.node)));
        [ALL].into_iter().chain(groups.iter().copied()).flat_map(inline).for_each(&mut set);
        for names in [&[ALL][..], &groups[..]] {
            for base in &self.group_vars.0 {
                let layers = names.iter().filter_map(|name| base.get(*name)).flatten();
                layers.flat_map(|layer| &layer.vars).for_each(&mut set);
            }
        }
        self.inventory.hosts.get(host).into_iter().flatten().for_each(&mut set);
        let layers = self.host_vars.0.iter().filter_map(|base| base.get(host)).flatten();
        layers.flat_map(|layer| &layer.vars).for_each(&mut set);
        vars.retain(|name, _| !INTERNAL.contains(&name.as_str()));
        vars.sort_keys();
        vars.into()
    }
}

/// A value as `ansible-inventory` shows it: texts that are no templates are marked.
fn shown(node: &Node) -> Value {
    match &node.data {
        Data::Str(text) if node.verbatim => json!({ "__ansible_unsafe": text }),
        Data::Seq(items) => items.iter().map(shown).collect(),
        Data::Map(map) => {
            map.iter().map(|(key, entry)| (key.clone(), shown(&entry.value))).collect::<Map<_, _>>().into()
        }
        _ => node.to_json(),
    }
}

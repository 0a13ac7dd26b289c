//! Which variables lead to which: what words name, and what the values of those mention in turn.

use std::collections::HashSet;
use std::sync::Arc;

use super::Site;
use super::passwords::Password;
use crate::source::{Data, Node};
use crate::template::{Layer, words_of};

impl Site {
    /// The site's secrets, as the file of passwords has them, with the value that `-e` gives.
    pub fn passwords(&self) -> Vec<Password> {
        let top = &self.layers.top;
        let names = top.iter().filter(|layer| layer.secret).flat_map(|layer| layer.vars.keys());
        let winner = |name: &String| top.iter().rev().find_map(|layer| layer.vars.get(name));
        names.filter_map(|name| Some(Password::judge(name, winner(name)?))).collect()
    }

    /// Names of secrets that Kolla's services have, as far as roles for them are built in.
    pub fn known_passwords() -> Vec<&'static str> {
        let names = include_str!("../../etc/passwords.yml").lines().filter_map(|line| Some(line.split_once(':')?.0));
        names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).collect()
    }

    /// Some file or `-e` sets the variable, or a role has a value for it.
    pub fn sets(&self, name: &str) -> bool {
        self.all_layers().any(|layer| layer.vars.contains_key(name))
    }

    /// What the operator's own variables mention.
    pub fn mentioned(&self) -> HashSet<&str> {
        let mut found = HashSet::new();
        let own = self.layers.globals.iter().chain(self.layers.hosts.values().flatten()).chain(&self.layers.top);
        own.flat_map(|layer| layer.vars.values()).for_each(|sourced| words(&sourced.node, &mut found));
        found
    }

    /// Names that some words lead to: themselves, and those in the values of variables among them.
    pub fn reached<'a>(&'a self, from: impl IntoIterator<Item = &'a str>) -> HashSet<&'a str> {
        let mut found: HashSet<&str> = from.into_iter().collect();
        let mut next: Vec<&str> = found.iter().copied().collect();
        while let Some(name) = next.pop() {
            let mut more = HashSet::new();
            for sourced in self.all_layers().filter_map(|layer| layer.vars.get(name)) {
                words(&sourced.node, &mut more);
            }
            next.extend(more.into_iter().filter(|word| found.insert(word)));
        }
        found
    }

    fn all_layers(&self) -> impl Iterator<Item = &Arc<Layer>> {
        let layers = &self.layers;
        layers.roles.iter().chain(&layers.globals).chain(layers.hosts.values().flatten()).chain(&layers.top)
    }
}

/// The words of templates in a value.
pub(super) fn words<'a>(node: &'a Node, found: &mut HashSet<&'a str>) {
    match &node.data {
        Data::Str(text) if text.contains('{') => found.extend(words_of(text)),
        Data::Seq(items) => items.iter().for_each(|item| words(item, found)),
        Data::Map(map) => map.values().for_each(|entry| words(&entry.value, found)),
        _ => {}
    }
}

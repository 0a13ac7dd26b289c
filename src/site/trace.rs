//! Which variables are read, and which an operator sets: found from what is written alone, nothing is evaluated.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::Site;
use crate::error::Place;
use crate::source::Data;
use crate::template::{Layer, Mentions, Sourced};

/// All values of a site by name. Each file is gone through once, however many hosts it is for.
#[derive(Debug)]
pub struct Trace<'a> {
    values: HashMap<&'a str, Vec<&'a Sourced>>,
    set: IndexMap<&'a str, Vec<&'a Sourced>>,
}

/// What is read.
#[derive(Debug, Default)]
pub struct Read {
    names: HashSet<String>,
    /// Starts and ends of names that are put together.
    starts: Vec<String>,
    ends: Vec<String>,
}

impl Read {
    /// Something reads the variable, whether it is set or not.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
            || self.starts.iter().any(|start| name.starts_with(start.as_str()))
            || self.ends.iter().any(|end| name.ends_with(end.as_str()))
    }

    /// A text has the whole name, not only a part of it.
    pub fn names_itself(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names themselves.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl<'a> Trace<'a> {
    /// The values that roles have, whatever a site sets.
    pub fn of_roles(site: &'a Site) -> Self {
        let mut trace = Self { values: HashMap::new(), set: IndexMap::new() };
        for layer in &site.layers.roles {
            trace.add(layer, false);
        }
        trace
    }

    /// The values of a site.
    pub fn of(site: &'a Site) -> Self {
        let layers = &site.layers;
        let mut trace = Self::of_roles(site);
        let mut seen = HashSet::new();
        for layer in layers.globals.iter().chain(layers.hosts.values().flatten()).chain(&layers.top) {
            if seen.insert(Arc::as_ptr(layer)) {
                trace.add(layer, !layer.secret);
            }
        }
        trace
    }

    fn add(&mut self, layer: &'a Layer, set: bool) {
        for (name, sourced) in &layer.vars {
            self.values.entry(name).or_default().push(sourced);
            if set {
                self.set.entry(name).or_default().push(sourced);
            }
        }
    }

    /// What the operator sets outside of the file of passwords: all values of each name, in the order of the files.
    pub fn set(&self) -> impl Iterator<Item = (&'a str, &[&'a Sourced])> {
        self.set.iter().map(|(name, values)| (*name, values.as_slice()))
    }

    /// A role has a value for the variable, or some file.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// What is read where some texts are: what they name, and what the values of those name in turn.
    pub fn read(&self, roots: impl IntoIterator<Item = Mentions>) -> Read {
        let mut read = Read::default();
        let mut looked = HashSet::new();
        let mut next: Vec<Mentions> = roots.into_iter().collect();
        while let Some(mentions) = next.pop() {
            for name in mentions.names {
                // That others name its values is a reason to look again, once.
                let by_name = mentions.by_name && looked.insert(name.clone());
                let known = !read.names.insert(name.clone());
                if known && !by_name {
                    continue;
                }
                match (name.strip_prefix('*'), name.strip_suffix('*')) {
                    (Some(end), _) => self.matching(&mut read.ends, end, |name| name.ends_with(end), &mut next),
                    (_, Some(start)) => {
                        self.matching(&mut read.starts, start, |name| name.starts_with(start), &mut next);
                    }
                    _ => {}
                }
                for sourced in self.values.get(name.as_str()).into_iter().flatten() {
                    let texts = sourced.node.texts();
                    if by_name {
                        next.extend(texts.iter().filter_map(|text| self.as_name(text)));
                    }
                    if !known {
                        next.extend(texts.into_iter().map(Mentions::of_text));
                    }
                }
            }
        }
        read
    }

    /// Notes a part of names, and what all names with it lead to.
    fn matching(&self, parts: &mut Vec<String>, part: &str, fits: impl Fn(&str) -> bool, next: &mut Vec<Mentions>) {
        if !parts.iter().any(|known| known == part) {
            parts.push(part.to_owned());
            let names = self.values.keys().filter(|name| fits(name)).map(|name| (*name).to_owned());
            next.push(Mentions::names(names));
        }
    }

    fn as_name(&self, text: &str) -> Option<Mentions> {
        self.values.contains_key(text).then(|| Mentions::names([text.to_owned()]))
    }
}

/// Where a variable is set: at its name, as far as the file has it at its top.
pub fn place_of(name: &str, sourced: &Sourced) -> Place {
    let document = &sourced.document;
    let (line, column) = match &document.root.data {
        Data::Map(map) => map.get(name).filter(|entry| entry.value.line == sourced.node.line),
        _ => None,
    }
    .map_or((sourced.node.line, sourced.node.column), |entry| (entry.line, entry.column));
    document.at(line, column)
}

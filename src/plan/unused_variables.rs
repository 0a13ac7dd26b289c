//! Variables that are set and that nothing reads: misspelt, of another release, or of what is not supported here. Where
//! Kolla-Ansible ignores them, they are told.
//!
//! What is read is found from the roles' own files, the operator's, and the values that those name in turn.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexSet;

use super::asks::{Asked, Asks};
use super::overrides::Overrides;
use super::reads;
use crate::error::{InputError, Kind, Names, Place, numbered};
use crate::role::Roles;
use crate::site::{READ_HERE, Read, Site, Trace, misspelt, place_of, upstream};
use crate::template::{Mentions, Sourced, is_name};

/// How many of a kind are named where only a word is to be said.
const NAMED: usize = 5;

/// A variable that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedVariable {
    /// Its name.
    pub name: String,
    /// Why.
    pub fault: Fault,
    /// Where it is first set.
    pub place: Place,
    /// In how many more places.
    pub more: usize,
}

/// Why nothing reads a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nobody knows the name; most likely another one is meant, which may not be supported either.
    Unknown {
        /// The other one.
        near: String,
        /// That one is read.
        read: bool,
    },
    /// It has another name.
    Renamed {
        /// The other one.
        to: String,
        /// That one is read.
        read: bool,
        /// It is this program that calls it so, not upstream.
        here: bool,
    },
    /// Kolla-Ansible has it, and its value asks for nothing, or for what is done anyway.
    Met {
        /// What it is about, as `cinder`.
        topic: &'static str,
    },
    /// Kolla-Ansible has it, and its value changes no more than how a service does its work.
    Unsupported {
        /// What it is about.
        topic: &'static str,
    },
    /// Kolla-Ansible has it, and its value asks for another service, backend, data path or protection than is deployed.
    Refused {
        /// What it is about.
        topic: &'static str,
        /// The value.
        value: String,
        /// What holds here, where that is known.
        done: Option<String>,
        /// Where the value stands.
        place: Place,
    },
    /// It is no name that an expression can have.
    Unnamed,
    /// Nothing is known of it.
    Unread,
}

impl Fault {
    /// Its name for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::Renamed { .. } => "renamed",
            Self::Met { .. } => "met",
            Self::Unsupported { .. } => "unsupported",
            Self::Refused { .. } => "refused",
            Self::Unnamed => "unnamed",
            Self::Unread => "unread",
        }
    }
}

/// All variables of a site that nothing reads, in the order of its files.
#[derive(Debug, Clone, Default)]
pub struct UnusedVariables(pub Vec<UnusedVariable>);

impl UnusedVariables {
    /// Those of a site, with the values that its hosts have as far as they are not made of facts.
    pub fn of(site: &Site, roles: &Roles, overrides: &Overrides) -> Self {
        let trace = Trace::of(site);
        let of_roles: Vec<Mentions> = roles.0.values().flat_map(reads::by_role).chain([reads::by_program()]).collect();
        let by_roles = Trace::of_roles(site).read(of_roles.iter().cloned());
        let read = trace.read(of_roles.into_iter().chain(reads::by_overrides(overrides)));
        let known = LazyCell::new(|| Known::of(&trace, &read));
        let asks = LazyCell::new(|| Asks::of(site));
        let fault = |name: &str| {
            if by_roles.names_itself(name) || name.starts_with("ansible_") && misspelt(name).is_none() {
                // Ansible's own are many; what is certain is a slip in one that says how a host is reached.
                return None;
            }
            let meant = upstream::here(name).or_else(|| upstream::renamed(name)).unwrap_or(name);
            let topic = upstream::topic(meant).filter(|_| !by_roles.names_itself(meant));
            let fault = match topic.map(|topic| (topic, asks.most(name, meant))) {
                // What only the operator's own files read has an effect there, but asks for the same.
                Some((topic, Asked::Refused { value, done, place })) => {
                    return Some(Fault::Refused { topic, value, done, place });
                }
                _ if read.has(name) => return None,
                Some((topic, Asked::Met)) => Fault::Met { topic },
                Some((topic, Asked::Unsupported)) if meant == name => Fault::Unsupported { topic },
                _ => known.fault(name),
            };
            Some(fault)
        };
        let faults = trace.set().filter_map(|(name, values)| Some((name, values, fault(name)?)));
        let faults: Vec<(&str, &[&Sourced], Fault)> = faults.collect();
        // What only an unsupported variable names is told by telling of that one.
        let of_upstream = faults.iter().map(|(name, ..)| *name).filter(|name| is_upstream(name));
        let named = trace.read([Mentions::names(of_upstream.map(str::to_owned))]);
        let unused = faults.into_iter().filter_map(|(name, values, fault)| {
            let (first, rest) = values.split_first()?;
            let told = fault == Fault::Unread && named.has(name);
            let place = match &fault {
                Fault::Refused { place, .. } => place.clone(),
                _ => place_of(name, first),
            };
            (!told).then(|| UnusedVariable { name: name.into(), fault, place, more: rest.len() })
        });
        let mut unused: Vec<UnusedVariable> = unused.collect();
        let files: IndexSet<PathBuf> = unused.iter().map(|variable| variable.place.file.clone()).collect();
        unused.sort_by_key(|variable| (files.get_index_of(&variable.place.file), variable.place.line));
        Self(unused)
    }

    /// All of them, a warning a name that is to be written otherwise, one a topic that is not supported.
    pub fn warnings(&self) -> Vec<InputError> {
        let mut warnings: Vec<InputError> = self.misnamed().map(UnusedVariable::word).collect();
        for (topic, unused) in self.unsupported() {
            warnings.push(of_unread(format!("not supported here, for {topic}: {}", listed(&unused))));
        }
        let unread = self.unread();
        if !unread.is_empty() {
            warnings.push(of_unread(format!("nothing reads {}", listed(&unread))));
        }
        warnings
    }

    /// The same in a few words, for who wants to do something else.
    pub fn brief(&self) -> Vec<InputError> {
        let hint = "`kolla validate` lists them";
        let mut warnings: Vec<InputError> = self.misnamed().map(UnusedVariable::word).collect();
        if warnings.len() > NAMED {
            let more = warnings.split_off(NAMED).len();
            warnings.push(of_unread(format!("{} of a wrong name: {hint}", numbered(more, "more variable"))));
        }
        let topics = self.unsupported();
        let count: usize = topics.values().map(Vec::len).sum();
        if count > NAMED {
            let mut sizes: Vec<(&str, usize)> = topics.iter().map(|(topic, all)| (*topic, all.len())).collect();
            sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
            let named = sizes.iter().take(NAMED).map(|(topic, size)| format!("{topic} ({size})"));
            let named = named.collect::<Vec<_>>().join(", ");
            let more = match sizes.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            warnings.push(of_unread(format!("{count} variables are not supported here, for {named}{more}: {hint}")));
        } else {
            let all: Vec<&UnusedVariable> = topics.into_values().flatten().collect();
            warnings.extend((count > 0).then(|| of_unread(format!("not supported here: {}", listed(&all)))));
        }
        let unread = self.unread();
        match unread.len().saturating_sub(NAMED) {
            _ if unread.is_empty() => {}
            0 => warnings.push(of_unread(format!("nothing reads {}", listed(&unread)))),
            more => {
                let named = listed(&unread[..NAMED]);
                let more = numbered(more, "more variable");
                warnings.push(of_unread(format!("nothing reads {named}, and {more}: {hint}")));
            }
        }
        warnings
    }

    /// Each of them at its place, without those that ask for nothing and those that are refused.
    pub fn each(&self) -> Vec<InputError> {
        let told = |fault: &Fault| !matches!(fault, Fault::Met { .. } | Fault::Refused { .. });
        self.0.iter().filter(|variable| told(&variable.fault)).map(UnusedVariable::told).collect()
    }

    /// An error for each variable that asks for what is not there.
    pub fn refused(&self) -> Vec<InputError> {
        let refused = self.0.iter().filter(|variable| matches!(variable.fault, Fault::Refused { .. }));
        refused.map(|variable| InputError { kind: Kind::UnmetRequest, ..variable.told() }).collect()
    }

    fn misnamed(&self) -> impl Iterator<Item = &UnusedVariable> {
        let unknown = self.0.iter().filter(|variable| matches!(variable.fault, Fault::Unknown { .. }));
        let others = |variable: &&UnusedVariable| matches!(variable.fault, Fault::Renamed { .. } | Fault::Unnamed);
        unknown.chain(self.0.iter().filter(others))
    }

    fn unsupported(&self) -> BTreeMap<&'static str, Vec<&UnusedVariable>> {
        let mut topics: BTreeMap<&str, Vec<&UnusedVariable>> = BTreeMap::new();
        for variable in &self.0 {
            if let Fault::Unsupported { topic } = variable.fault {
                topics.entry(topic).or_default().push(variable);
            }
        }
        topics
    }

    fn unread(&self) -> Vec<&UnusedVariable> {
        self.0.iter().filter(|variable| variable.fault == Fault::Unread).collect()
    }
}

impl UnusedVariable {
    /// What is wrong, without its place, and what to do.
    fn said(&self) -> (String, String) {
        let name = &self.name;
        match &self.fault {
            Fault::Unknown { near, read: true } => {
                (format!("unknown variable `{name}`"), format!("did you mean `{near}`?"))
            }
            Fault::Unknown { near, read: false } => {
                (format!("unknown variable `{name}`"), format!("did you mean `{near}`? It is not supported here"))
            }
            Fault::Renamed { to, here: true, .. } => {
                (format!("`{name}` is called `{to}` here"), format!("write `{to}`"))
            }
            Fault::Renamed { to, read: true, .. } => {
                (format!("`{name}` is called `{to}` today"), format!("write `{to}`"))
            }
            Fault::Renamed { to, .. } => {
                (format!("`{name}` is called `{to}` today, which is not supported here"), "remove it".into())
            }
            Fault::Unsupported { topic } | Fault::Met { topic } => {
                (format!("`{name}`, which Kolla-Ansible has for {topic}, is not supported here"), "remove it".into())
            }
            Fault::Refused { value, done: Some(done), .. } => (
                format!("`{name}: {value}` asks for what is not supported here"),
                format!("set it to `{done}`, which holds here, or remove it"),
            ),
            Fault::Refused { topic, value, done: None, .. } => (
                format!("`{name}: {value}` asks for what is not supported here: Kolla-Ansible has it for {topic}"),
                "remove it".into(),
            ),
            Fault::Unnamed => {
                let hint = match name
                    .split('.')
                    .rev()
                    .map(str::to_owned)
                    .reduce(|inner, outer| format!("{outer}: {{{inner}}}"))
                {
                    Some(nested) if nested != *name => {
                        let nested = nested.replacen('}', ": ...}", 1);
                        format!("a dot does not nest; write `{nested}`")
                    }
                    _ => "use letters, digits and underscores, a letter first".into(),
                };
                (format!("`{name}` is not a variable name: no expression can read it"), hint)
            }
            Fault::Unread => (
                format!("nothing reads the variable `{name}`"),
                "remove it, or use it in a file of config/ or in a variable that a role reads".into(),
            ),
        }
    }

    /// In one line; as a warning it shows no hint.
    fn word(&self) -> InputError {
        let (mut message, hint) = self.said();
        if self.more > 0 {
            message = format!("{message}, set in {}, too", numbered(self.more, "more place"));
        }
        if matches!(self.fault, Fault::Unknown { .. } | Fault::Unnamed) {
            message = format!("{message}; {hint}");
        }
        of_unread(message).at(Place { excerpt: None, ..self.place.clone() })
    }

    fn told(&self) -> InputError {
        let (message, hint) = self.said();
        // Its line has the value, too, which may be a secret, and in an inventory those of other variables.
        let place = Place { excerpt: None, ..self.place.clone() };
        InputError::new(message).of(Kind::UnreadVariable).at(place).hint(hint)
    }

    fn others(&self) -> String {
        if self.more == 0 { String::new() } else { format!(" and {} more", self.more) }
    }
}

/// A word on variables that nothing reads.
fn of_unread(message: String) -> InputError {
    InputError::new(message).of(Kind::UnreadVariable)
}

/// Names with their places; a file is named once for those that follow each other in it.
fn listed(unused: &[&UnusedVariable]) -> String {
    let mut file = None;
    let one = |variable: &&UnusedVariable| {
        let mut place = Place { column: 0, ..variable.place.clone() };
        let same = file.replace(place.file.clone()) == Some(place.file.clone());
        if same {
            place.file.clear();
        }
        format!("`{}` ({place}{})", variable.name, variable.others())
    };
    unused.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn is_upstream(name: &str) -> bool {
    upstream::topic(name).is_some() || upstream::renamed(name).is_some()
}

/// What is known of names.
struct Known<'a> {
    read: &'a Read,
    /// What may be meant by another name.
    names: Names<'a>,
}

impl<'a> Known<'a> {
    fn of(trace: &Trace<'_>, read: &'a Read) -> Self {
        let own = |name: &&'a str| trace.has(name) || READ_HERE.contains(name) || upstream::topic(name).is_some();
        let mut names: Vec<&'a str> = read.names().filter(own).collect();
        names.extend(upstream::names().map(|name| -> &'a str { name }));
        Self { read, names: Names::of(names) }
    }

    fn fault(&self, name: &str) -> Fault {
        if let Some(near) = misspelt(name) {
            return Fault::Unknown { near: near.to_owned(), read: true };
        }
        if let Some(to) = upstream::here(name) {
            return Fault::Renamed { to: to.to_owned(), read: true, here: true };
        }
        if let Some(to) = upstream::renamed(name) {
            return Fault::Renamed { to: to.to_owned(), read: self.read.has(to), here: false };
        }
        // A slip leaves most of a name as it is; a short one is soon like another.
        let limit = (1 + name.len() / 8).min(3);
        match self.names.nearest(name, limit) {
            Some(near) => {
                // That one may have another name itself.
                let near = upstream::here(near).or_else(|| upstream::renamed(near)).unwrap_or(near);
                Fault::Unknown { near: near.to_owned(), read: self.read.has(near) }
            }
            None if !is_name(name) => Fault::Unnamed,
            None => Fault::Unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Roles;

    #[test]
    fn names_of_our_own_stand_for_those_of_upstream() {
        let roles = Roles::load(&[]).unwrap();
        let layers = roles.layers();
        let has = |name: &str| layers.iter().any(|layer| layer.vars.contains_key(name));
        let successors: Vec<_> = upstream::successors().collect();
        assert!(!successors.is_empty());
        for (old, new) in successors {
            assert!(has(new) && !has(old) && upstream::topic(old).is_some(), "{old}: {new}");
        }
        assert_eq!(upstream::topic("enable_cinder"), Some("cinder"));
    }
}

//! What Kolla-Ansible calls its variables, and what those of them mean here that no role has: for those who come from there.
//! Each table is read when it is first asked for: a site that sets nothing but what roles read needs only the shortest.

mod asks;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

pub use asks::{Ask, ask};
pub use values::defaults;

/// Names, made from upstream's packages by tests/oracle/globals.py.
static TOPICS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let names = include_str!("names.yml");
    let names: HashMap<&str, String> = serde_yaml::from_str(names).unwrap_or_default();
    let names: &'static HashMap<&str, String> = Box::leak(Box::new(names));
    names.iter().flat_map(|(topic, names)| names.split(' ').map(|name| (name, *topic))).collect()
});

static RENAMED: LazyLock<Renamed> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("renamed.yml")).unwrap_or_default());

#[derive(Debug, Default, Deserialize)]
struct Renamed {
    renamed: HashMap<String, String>,
    here: HashMap<String, String>,
}

/// Files, by why nothing here reads them.
static FILES: LazyLock<BTreeMap<String, Vec<String>>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("files.yml")).unwrap_or_default());

/// Patterns of paths of files that upstream reads in the operator's folder and nothing here does, each with why.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().flat_map(|(why, paths)| paths.iter().map(|path| (path.as_str(), why.as_str())))
}

/// Upstream has something of this name, as `cinder`.
pub fn is_topic(name: &str) -> bool {
    TOPICS.values().any(|topic| *topic == name)
}

/// What a variable of upstream's is about, as `cinder`; none of a name that it does not know.
pub fn topic(name: &str) -> Option<&'static str> {
    TOPICS.get(name).copied()
}

/// What upstream calls a variable today, of which the name is an old one.
pub fn renamed(name: &str) -> Option<&'static str> {
    RENAMED.renamed.get(name).map(String::as_str)
}

/// What this program calls a variable of upstream's.
pub fn here(name: &str) -> Option<&'static str> {
    RENAMED.here.get(name).map(String::as_str)
}

/// Every name of upstream's with what it is about, without those that have another name today.
fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOPICS.iter().map(|(name, topic)| (*name, *topic))
}

/// All names of upstream's, the old ones too.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOPICS.keys().copied().chain(RENAMED.renamed.keys().map(String::as_str))
}

/// What names of upstream's became here, first the old name.
pub fn successors() -> impl Iterator<Item = (&'static str, &'static str)> {
    RENAMED.here.iter().map(|(old, new)| (old.as_str(), new.as_str()))
}

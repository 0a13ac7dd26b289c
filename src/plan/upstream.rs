//! What Kolla-Ansible calls its variables: names only, for those who come from there.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Made from upstream's package by tests/oracle/globals.py. Read when it is first asked for: a site that sets nothing but
/// what is read never needs it.
static DATA: LazyLock<Data> = LazyLock::new(|| serde_yaml::from_str(include_str!("upstream.yml")).unwrap_or_default());

static TOPICS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let names = |(topic, names): (&'static String, &'static String)| names.split(' ').map(move |name| (name, &**topic));
    DATA.known.iter().flat_map(names).collect()
});

#[derive(Debug, Default, Deserialize)]
struct Data {
    renamed: HashMap<String, String>,
    here: HashMap<String, String>,
    known: HashMap<String, String>,
}

/// What a variable of upstream's is about, as `cinder`; none of a name that it does not know.
pub(super) fn topic(name: &str) -> Option<&'static str> {
    TOPICS.get(name).copied()
}

/// What upstream calls a variable today, of which the name is an old one.
pub(super) fn renamed(name: &str) -> Option<&'static str> {
    DATA.renamed.get(name).map(String::as_str)
}

/// What this program calls a variable of upstream's.
pub(super) fn here(name: &str) -> Option<&'static str> {
    DATA.here.get(name).map(String::as_str)
}

/// All names of upstream's, the old ones too.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TOPICS.keys().copied().chain(DATA.renamed.keys().map(String::as_str))
}

/// What names of upstream's became, today or here.
#[cfg(test)]
pub(super) fn successors() -> impl Iterator<Item = (&'static str, &'static str)> {
    DATA.here.iter().map(|(old, new)| (old.as_str(), new.as_str()))
}

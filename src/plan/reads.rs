//! Which variables are read by whom: what a role says, the operator's files say, and the program asks for. It does not
//! depend on what is enabled; [`Trace`](crate::site::Trace) follows it through values.

use super::overrides::Overrides;
use super::{image, settings};
use crate::op::cluster;
use crate::role::{Merge, Role, Source};
use crate::site::{CONNECTION, READ_HERE};
use crate::source::{Data, Shape};
use crate::template::Mentions;

/// What the program reads itself, and to connect to hosts.
pub fn by_program() -> Mentions {
    Mentions::names(READ_HERE.iter().chain(CONNECTION).map(|name| (*name).to_owned()))
}

/// What a role reads: what its file says outside of its own variables, whose values count only where they are read, and
/// the templates that its files are made of.
pub fn by_role(role: &Role) -> Vec<Mentions> {
    let Data::Map(map) = &role.document.root.data else { return Vec::new() };
    let values = map.iter().filter(|(key, _)| *key != "vars").map(|(_, entry)| &entry.value);
    let mut found: Vec<Mentions> = values.flat_map(|node| node.texts()).map(Mentions::of_text).collect();
    for spec in role.files() {
        if let Source::Templates(names) = &spec.source {
            let templates = names.iter().filter_map(|name| role.templates.get(name));
            found.extend(templates.map(|(path, text)| Mentions::of_file(path, text, spec.merge != Merge::Replace)));
        }
    }
    let mut names: Vec<String> = Vec::new();
    for service in role.services.values() {
        names.extend(settings::names(role, service));
        names.extend(image::names(role, service));
    }
    let clusters = role.services.values().filter_map(|service| service.cluster.as_ref());
    names.extend(clusters.filter_map(cluster::Spec::choice).map(str::to_owned));
    let variables = role.checks.iter().filter(|check| matches!(check.word.key.1, Shape::Variable));
    names.extend(variables.filter_map(|check| check.written.as_str().map(str::to_owned)));
    found.push(Mentions::names(names));
    found
}

/// What the operator's files in config/ read.
pub fn by_overrides(overrides: &Overrides) -> impl Iterator<Item = Mentions> {
    let files = overrides.files.values();
    files.filter_map(|file| Some(Mentions::of_file(&file.path, file.text.as_deref()?, false)))
}

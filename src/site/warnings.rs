//! What deserves a word but stops nothing: values that lose where Kolla-Ansible lets them win, files of nobody.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::Layers;
use super::groups::{COARSE, Groups, parents, tree};
use crate::error::{InputError, Kind, Names, Place};
use crate::template::{Layer, Sourced};

/// Groups that newer inventories of Kolla-Ansible's have under other names than those of its services here.
const WRITTEN_OTHERWISE: &[&str] = &["kolla_logs", "kolla_toolbox"];

/// How many groups or hosts of the same fault are named.
const NAMED: usize = 8;

/// All warnings of a site.
pub(super) fn of(
    layers: &Layers,
    groups: &Groups,
    group_vars: &IndexMap<String, Vec<Arc<Layer>>>,
    host_vars: &IndexMap<String, Vec<Arc<Layer>>>,
    passwords: &Path,
) -> Vec<InputError> {
    let mut warnings = Vec::new();
    let specific = distinct(layers.hosts.values().flatten());
    shadowed(layers, &specific, &mut warnings);
    let group_known = |name: &str| groups.names().any(|group| group == name);
    // As in `[mariadb]` with a line `control`, which makes it a host.
    for name in layers.hosts.keys().filter(|name| group_known(name)) {
        let message =
            format!("`{name}` is a group and also a host; a section that lists groups is called `[NAME:children]`");
        warnings.push(InputError::new(message).of(Kind::UnknownName));
    }
    // Without its group a service runs nowhere, and nothing else would say so.
    let missing = |name: &&str| !group_known(name);
    let unserved = |name: &&str| !COARSE.contains(name) && !WRITTEN_OTHERWISE.contains(name) && parents(name).is_none();
    for name in groups.names().filter(unserved) {
        // Short ones, as `prod`, are names of an operator's own.
        let services = tree().map(|(name, _)| name).filter(|_| name.len() > 5);
        if let Some(near) = slip(name, COARSE.iter().copied().chain(services).filter(missing)) {
            let message = format!("no service runs on the inventory's group `{name}`; did you mean `{near}`?");
            warnings.push(InputError::new(message).of(Kind::UnknownName));
        }
    }
    let (services, others): (Vec<_>, Vec<_>) =
        group_vars.iter().filter(|(name, _)| !group_known(name)).partition(|(name, _)| parents(name).is_some());
    let sections = ["; add a section for it to the inventory", "; add sections for them to the inventory"];
    warnings.extend(strangers("group", &services, sections, &[]));
    let names: Vec<&str> = groups.names().collect();
    warnings.extend(strangers("group", &others, [""; 2], &names));
    let unknown: Vec<_> = host_vars.iter().filter(|(name, _)| !layers.hosts.contains_key(*name)).collect();
    let names: Vec<&str> = layers.hosts.keys().map(String::as_str).collect();
    warnings.extend(strangers("host", &unknown, [""; 2], &names));
    if std::fs::metadata(passwords).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        let file = passwords.display();
        let message = format!("{file} can be read by others: run `chmod 600 {file}`");
        warnings.push(InputError::new(message).of(Kind::OpenSecrets));
    }
    warnings
}

fn distinct<'a>(layers: impl Iterator<Item = &'a Arc<Layer>>) -> Vec<&'a Arc<Layer>> {
    let mut seen = HashSet::new();
    layers.filter(|layer| seen.insert(Arc::as_ptr(layer))).collect()
}

/// The name that is written with a slip or, where it is long, two.
fn slip<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    Names::of(names).nearest(name, 1 + usize::from(name.len() >= 12))
}

/// Files of variables for groups or hosts that are not there: those of a slip one by one, all others in one line, with what
/// helps one or many of them.
fn strangers(
    what: &str,
    unknown: &[(&String, &Vec<Arc<Layer>>)],
    [one, many]: [&str; 2],
    names: &[&str],
) -> Vec<InputError> {
    let warning = |message: String, place: Option<PathBuf>| {
        let warning = InputError::new(message).of(Kind::UnreadFile);
        InputError { place: place.map(Place::file), ..warning }
    };
    let (mut warnings, mut rest) = (Vec::new(), Vec::new());
    for (name, files) in unknown {
        let sourced = files.first().and_then(|layer| layer.vars.values().next());
        let file = sourced.map(|sourced| sourced.document.file());
        match slip(name, names.iter().copied()) {
            Some(near) => {
                let message = format!("the inventory has no {what} `{name}`; did you mean `{near}`?");
                warnings.push(warning(message, file));
            }
            None => rest.push((format!("`{name}`"), file)),
        }
    }
    let folder = format!("{what}_vars");
    let tree = |file: &PathBuf| {
        file.ancestors().find(|path| path.file_name().is_some_and(|name| name == folder.as_str())).map(Path::to_owned)
    };
    match rest.as_slice() {
        [] => {}
        [(name, file)] => warnings.push(warning(format!("the inventory has no {what} {name}{one}"), file.clone())),
        [(_, first), ..] => {
            let names = rest.iter().take(NAMED).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            let more = rest.len().checked_sub(NAMED).filter(|more| *more > 0);
            let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
            let message = format!("the inventory has no {what}s {names}{more}{many}");
            warnings.push(warning(message, first.as_ref().and_then(tree)));
        }
    }
    warnings
}

fn at(sourced: &Sourced) -> Place {
    sourced.document.place(&sourced.node)
}

/// A place without its column, inside of a sentence.
fn line(sourced: &Sourced) -> Place {
    Place { column: 0, ..at(sourced) }
}

/// Values of globals.yml under a more specific one, which there is no mistake here, but another value than before
/// for who comes from Kolla-Ansible.
fn shadowed(layers: &Layers, specific: &[&Arc<Layer>], warnings: &mut Vec<InputError>) {
    for (name, global) in layers.globals.iter().flat_map(|layer| &layer.vars) {
        let over: Vec<_> = specific
            .iter()
            .filter_map(|layer| Some((layer, layer.vars.get(name)?)))
            .filter(|(_, own)| own.node.to_json() != global.node.to_json())
            .collect();
        if let Some((layer, own)) = over.first() {
            let more = match over.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            let message = format!(
                "`{name}` is set in {} and for {} in {}{more}: the more specific one wins, unlike in Kolla-Ansible",
                line(global),
                layer.name,
                line(own),
            );
            warnings.push(InputError::new(message).of(Kind::Shadowed));
        }
    }
}

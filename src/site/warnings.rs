//! What deserves a word but stops nothing: values that lose where Kolla-Ansible lets them win, files of nobody.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::Layers;
use super::groups::{COARSE, Groups, parents, tree};
use crate::error::{InputError, Kind, Place, nearest};
use crate::template::{Layer, Sourced};

/// Ansible's variables that ask for a login with a password, which is not offered.
const PASSWORD_LOGIN: &[&str] =
    &["ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass"];

/// Groups that newer inventories of Kolla-Ansible's have under other names than those of its services here.
const WRITTEN_OTHERWISE: &[&str] = &["kolla_logs", "kolla_toolbox"];

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
    for layer in &specific {
        for (name, sourced) in layer.vars.iter().filter(|(name, _)| PASSWORD_LOGIN.contains(&name.as_str())) {
            let message = format!("`{name}` is not used: logins are by key, sudo without a password");
            warnings.push(InputError::new(message).of(Kind::UnreadVariable).at(at(sourced)));
        }
    }
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
        // Short ones, as `prod`, and `nova1` are names of an operator's own.
        let numbered = parents(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-')).is_some();
        let services = tree().map(|(name, _)| name).filter(|_| name.len() > 5 && !numbered);
        if let Some(near) = nearest(name, COARSE.iter().copied().chain(services).filter(missing)) {
            let message = format!("no service runs on the inventory's group `{name}`; did you mean `{near}`?");
            warnings.push(InputError::new(message).of(Kind::UnknownName));
        }
    }
    for (name, files) in group_vars.iter().filter(|(name, _)| !group_known(name)) {
        let near = nearest(name, groups.names()).map(|near| format!("; did you mean `{near}`?"));
        let why = if parents(name).is_some() {
            "; add a section for the group to the inventory".to_owned()
        } else {
            near.unwrap_or_default()
        };
        warnings.push(stranger(files, format!("the inventory has no group `{name}`{why}")));
    }
    for (name, files) in host_vars.iter().filter(|(name, _)| !layers.hosts.contains_key(*name)) {
        let near = nearest(name, layers.hosts.keys().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        warnings.push(stranger(files, format!("the inventory has no host `{name}`{near}")));
    }
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

/// A file of variables for a group or host that is not there.
fn stranger(layers: &[Arc<Layer>], message: String) -> InputError {
    let warning = InputError::new(message).of(Kind::UnreadFile);
    match layers.first().and_then(|layer| layer.vars.values().next()) {
        Some(sourced) => warning.at(Place::file(sourced.document.file())),
        None => warning,
    }
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

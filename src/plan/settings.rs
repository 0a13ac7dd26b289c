//! What the operator says of any container, by Kolla's names: its limits and its further volumes.

use minijinja::value::ValueKind;

use super::instance::Instance;
use crate::error::{InputError, Kind};
use crate::host::ContainerSpec;
use crate::op::container::limits::Dimensions;
use crate::role::{Role, Service};
use crate::source::Data;
use crate::template::values::text_of;
use crate::template::{Sourced, Value, Values};

/// Kolla's limit of open files for every container.
const OPEN_FILES: i64 = 1_048_576;

/// What may stand behind the path of a volume.
const OPTIONS: [&str; 11] =
    ["ro", "rw", "z", "Z", "shared", "rshared", "slave", "rslave", "private", "rprivate", "nocopy"];

/// The operator's variables for the containers of a service.
pub(super) fn names(role: &Role, service: &Service) -> Vec<String> {
    let own = ["dimensions", "extra_volumes"].map(|what| service.variable(what));
    own.into_iter().chain([extra_volumes_of(role)]).collect()
}

fn extra_volumes_of(role: &Role) -> String {
    format!("{}_extra_volumes", role.name.replace('-', "_"))
}

/// Sets the limits: those of the role, as far as the host goes, and over them the operator's.
pub(super) fn limit(spec: &mut ContainerSpec, service: &Service, open_files: u64, values: &mut Values<'_>) {
    spec.ulimits.insert("nofile".to_owned(), (OPEN_FILES, OPEN_FILES));
    if let Some(node) = &service.limits.dimensions
        && let Some(value) = values.some_value(node)
    {
        Dimensions { name: "dimensions", value, node, document: values.document }.apply(spec, values);
    }
    if let (Some((soft, hard)), Ok(most @ 1..)) = (spec.ulimits.get_mut("nofile"), i64::try_from(open_files)) {
        let cap = |limit: i64| if limit < 0 { most } else { limit.min(most) };
        (*soft, *hard) = (cap(*soft), cap(*hard));
    }
    let name = service.variable("dimensions");
    let named = [&*name, "default_container_dimensions"].into_iter().find(|name| values.scope.has(name));
    if let Some((name, value, written)) = named.and_then(|name| said(name, values)) {
        Dimensions { name, value, node: &written.node, document: &written.document }.apply(spec, values);
    }
}

/// Adds the operator's volumes: those for the service, else for its role, else for all.
pub(super) fn extra_volumes(role: &Role, instance: &Instance<'_>, values: &mut Values<'_>, mounts: &mut Vec<String>) {
    let service = instance.service;
    let candidates = [service.variable("extra_volumes"), extra_volumes_of(role), "default_extra_volumes".into()];
    let set = candidates.iter().find(|name| values.scope.has(name));
    let Some((name, value, written)) = set.and_then(|name| said(name, values)) else { return };
    if value.is_none() {
        return;
    }
    let Some(list) = value.try_iter().ok().filter(|_| value.kind() == ValueKind::Seq) else {
        let error = InputError::new(format!("`{name}` must be a list: `{value}`"));
        return values.note(error.at(written.document.place(&written.node)));
    };
    for (index, volume) in list.map(|item| text_of(&item)).enumerate() {
        let volume = volume.trim();
        if volume.is_empty() || mounts.iter().any(|mount| mount == volume) {
            continue;
        }
        let error = match target(volume) {
            None => InputError::new(format!("`{volume}` of `{name}` is no volume"))
                .hint("write `FOLDER_OR_NAME:PATH` or `FOLDER_OR_NAME:PATH:ro`; folders and paths begin with `/`"),
            Some(path) => {
                let tmpfs = service.limits.tmpfs.iter().find(|entry| same(entry.split(':').next(), path));
                let Some(known) = mounts.iter().find(|mount| same(mount.split(':').nth(1), path)).or(tmpfs) else {
                    mounts.push(volume.to_owned());
                    continue;
                };
                InputError::new(format!(
                    "service {} has `{known}`, so `{volume}` of `{name}` has no place",
                    instance.name
                ))
                .hint("choose another path in the container, or leave it out")
                .of(Kind::WrongValue)
            }
        };
        let node = match &written.node.data {
            Data::Seq(items) => items.get(index).unwrap_or(&written.node),
            _ => &written.node,
        };
        values.note(error.at(written.document.place(node)));
    }
}

/// A variable's value, and where it is written.
fn said<'a, 'v>(name: &'a str, values: &mut Values<'v>) -> Option<(&'a str, Value, &'v Sourced)> {
    let scope = values.scope;
    let value = scope.get(name).map_err(|error| values.note(error)).ok()?;
    Some((name, value, scope.written(name)?))
}

fn same(mount: Option<&str>, path: &str) -> bool {
    mount.is_some_and(|mount| mount.trim_end_matches('/') == path.trim_end_matches('/'))
}

/// The path in the container, if a text is a volume.
fn target(volume: &str) -> Option<&str> {
    let mut parts = volume.split(':');
    let (source, path, options) = (parts.next()?, parts.next()?, parts.next());
    let letters = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let named = source.starts_with(|c: char| c.is_ascii_alphanumeric()) && letters(source);
    let known = options.is_none_or(|options| options.split(',').all(|option| OPTIONS.contains(&option)));
    (parts.next().is_none() && (source.starts_with('/') || named) && path.starts_with('/') && known).then_some(path)
}

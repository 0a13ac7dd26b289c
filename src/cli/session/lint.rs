//! A role by itself: planned for a site made up for it, and looked through for what nothing reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use indexmap::IndexSet;

use super::Validated;
use super::load::Loaded;
use super::passwords::Reader;
use crate::cli::Invocation;
use crate::error::{Error, InputError, Kind, Place, Result};
use crate::plan::Overrides;
use crate::role::{HostKind, Role, Roles, Source};
use crate::site::{Site, SiteOptions};
use crate::source::{Data, Entry, Node};

/// The host of the made-up site.
const HOST: &str = "host01";
/// Groups that roles put things on beside those of their services.
const GROUPS: [&str; 6] = ["control", "network", "compute", "storage", "monitoring", "baremetal"];
/// How names of secrets end.
const SECRETS: [&str; 6] = ["_password", "_secret", "_key", "_token", "_cookie", "_uuid"];
/// Ends of names that the program itself reads, of any service.
const OF_IMAGES: [&str; 2] = ["_tag", "_image_full"];

/// Checks the role in a folder with the built-in ones around it, on a made-up host that is in all groups.
///
/// # Errors
/// Mistakes in what the role says; those in what is made of it are among what is found.
pub async fn lint(at: &Invocation, folder: &Path) -> Result<Validated> {
    let (roles, name) = Roles::with(folder)?;
    let Some(role) = roles.0.get(&name) else { return Err(Error::input(format!("there is no role `{name}`"))) };
    let mut warnings = unread_templates(role, folder);
    warnings.extend(unread_variables(role, &roles));
    let made_up = tempfile::tempdir().map_err(|error| Error::local("make a folder for a site", error))?;
    let site = site(at, made_up.path(), role, &roles).await?;
    let loaded = Loaded { roles, site, overrides: Overrides::default() };
    let problem = loaded.draft(&IndexSet::from([HOST.to_owned()])).err();
    Ok(Validated { hosts: 1, roles: vec![name], variables: Vec::new(), warnings, problem })
}

/// Templates that no file is made of, nor any other template mentions.
fn unread_templates(role: &Role, folder: &Path) -> Vec<InputError> {
    let of_services = role.services.values().flat_map(|service| &service.files);
    let of_hosts = role.host.iter().flat_map(|item| match &item.kind {
        HostKind::File(spec) => std::slice::from_ref(&**spec),
        HostKind::Unit { files, .. } => files,
        _ => &[],
    });
    let mut used = BTreeSet::new();
    for spec in of_services.chain(of_hosts) {
        if let Source::Templates(names) = &spec.source {
            used.extend(names.iter().map(String::as_str));
        }
    }
    let own = role.templates.iter().filter(|(_, (path, _))| path.starts_with(folder));
    own.filter(|(name, _)| role.name != "site" && !used.contains(name.as_str()))
        .map(|(name, (path, _))| {
            let message = format!("no file is made of the template `{name}`");
            InputError::new(message)
                .of(Kind::UnreadFile)
                .at(Place::file(path))
                .hint("name it as a file's `template`, or remove it")
        })
        .collect()
}

/// Variables that neither this role nor another one reads.
fn unread_variables(role: &Role, roles: &Roles) -> Vec<InputError> {
    let read: BTreeSet<&str> = roles.0.values().flat_map(|role| Reader::of(role).words).collect();
    let unread = |(name, entry): (&String, &Entry)| {
        let known = read.contains(name.as_str()) || OF_IMAGES.iter().any(|end| name.ends_with(end));
        let place = role.document.at(entry.line, entry.column);
        let warning = InputError::new(format!("nothing reads the variable `{name}`")).of(Kind::UnreadVariable);
        (!known).then(|| warning.at(place).hint("use it, or remove it"))
    };
    // What `site` has is for all, the program itself included.
    match top(role, "vars").map(|node| &node.data) {
        Some(Data::Map(vars)) if role.name != "site" => vars.iter().filter_map(unread).collect(),
        _ => Vec::new(),
    }
}

fn top<'a>(role: &'a Role, key: &str) -> Option<&'a Node> {
    match &role.document.root.data {
        Data::Map(map) => map.get(key).map(|entry| &entry.value),
        _ => None,
    }
}

/// A site on which the role is enabled, in a folder that is there for as long as it is read.
async fn site(at: &Invocation, folder: &Path, role: &Role, roles: &Roles) -> Result<Site> {
    let groups = roles.0.values().flat_map(|role| role.services.values().map(|service| service.group.as_str()));
    let mut inventory = String::new();
    for group in groups.chain(GROUPS).collect::<BTreeSet<_>>() {
        let _ = writeln!(inventory, "[{group}]\n{HOST} ansible_connection=local");
    }
    let mut globals = BTreeMap::from([("kolla_internal_vip_address", "192.0.2.2")]);
    let enabled = role.enabled.as_ref().and_then(Node::as_str);
    let variable = enabled.and_then(|text| text.trim().strip_prefix("{{")?.strip_suffix("}}")).map(str::trim);
    let variable = variable.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    globals.extend(variable.map(|name| (name, "true")));
    let set: BTreeSet<String> = roles.layers().into_iter().flat_map(|layer| layer.vars.into_keys()).collect();
    let reader = Reader::of(role);
    let own = reader.words.iter().copied().filter(|word| SECRETS.iter().any(|end| word.ends_with(end)));
    let secrets: BTreeSet<&str> =
        own.chain(Site::known_passwords()).filter(|name| !set.contains(*name) && !globals.contains_key(name)).collect();
    let files = [
        ("inventory", inventory),
        ("globals.yml", lines(globals.iter().map(|(name, value)| (*name, *value)))),
        ("passwords.yml", lines(secrets.iter().map(|name| (*name, "a-secret-of-nobody")))),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| Error::local(format!("write {}", path.display()), error))?;
    }
    let options = SiteOptions {
        config_dir: folder.to_owned(),
        inventories: vec![folder.join("inventory")],
        extra_vars: at.global.extra_vars.clone(),
        user: at.environment.user.clone(),
        environment: at.environment.variables.clone(),
        vault: super::vault::keys(at).await?.clone(),
        ..SiteOptions::default()
    };
    Site::load(&options, roles.layers())
}

fn lines<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    values.fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}: {value}");
        text
    })
}

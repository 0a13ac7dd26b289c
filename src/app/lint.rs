//! A role by itself: planned for a site made up for it, and looked through for what nothing reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use indexmap::IndexSet;

use super::validate::Validated;
use super::{App, Loaded};
use crate::error::{Error, InputError, Kind, Place, Result};
use crate::examples;
use crate::plan::{Overrides, reads};
use crate::role::{Role, Roles, Source};
use crate::site::{Site, SiteOptions, Trace};
use crate::source::{Data, Entry, Node};
use crate::template::Mentions;

/// The host of the made-up site.
const HOST: &str = "host01";
/// Groups that roles put things on beside those of their services.
const GROUPS: [&str; 6] = ["control", "network", "compute", "storage", "monitoring", "baremetal"];
/// How names of secrets end.
const SECRETS: [&str; 6] = ["_password", "_secret", "_key", "_token", "_cookie", "_uuid"];

/// Checks the role in a folder with the built-in ones around it, on a made-up host that is in all groups.
///
/// # Errors
/// Mistakes in what the role says; those in what is made of it are among what is found.
pub async fn lint(app: &App, folder: &Path) -> Result<Validated> {
    let (roles, name) = Roles::with(folder)?;
    let Some(role) = roles.0.get(&name) else { return Err(Error::input(format!("there is no role `{name}`"))) };
    let made_up = tempfile::tempdir().map_err(|error| Error::local("make a folder for a site", error))?;
    let site = site(app, made_up.path(), role, &roles).await?;
    let mut warnings = unread_templates(role, folder);
    warnings.extend(unread_variables(role, &roles, &site));
    // It is looked through whatever it is that enables it.
    let wanted = Role { enabled: None, ..role.clone() };
    let mut roles = roles;
    roles.0.insert(name.clone(), wanted);
    let loaded = Loaded::of(roles, site, Overrides::default());
    let problem = loaded.draft(&IndexSet::from([HOST.to_owned()])).err();
    Ok(Validated { hosts: 1, roles: vec![name], variables: Vec::new(), warnings, problem })
}

/// Templates that no file is made of.
fn unread_templates(role: &Role, folder: &Path) -> Vec<InputError> {
    let mut used = BTreeSet::new();
    for spec in role.files() {
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
fn unread_variables(role: &Role, roles: &Roles, site: &Site) -> Vec<InputError> {
    let read = Trace::of(site).read(roles.0.values().flat_map(reads::by_role).chain([reads::by_program()]));
    let unread = |(name, entry): (&String, &Entry)| {
        let place = role.document.at(entry.line, entry.column);
        let warning = InputError::new(format!("nothing reads the variable `{name}`")).of(Kind::UnreadVariable);
        (!read.has(name)).then(|| warning.at(place).hint("use it, or remove it"))
    };
    // What `site` has is for all.
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

/// The role is wanted where the variable is true.
fn enables(role: &Role, name: &str) -> bool {
    let text = role.enabled.as_ref().and_then(Node::as_str);
    text.is_some_and(|text| Mentions::of_text(text).names.iter().any(|other| other == name))
}

/// A site on which the role is enabled, in a folder that is there for as long as it is read.
async fn site(app: &App, folder: &Path, role: &Role, roles: &Roles) -> Result<Site> {
    let groups = roles.0.values().flat_map(|role| role.services.values().map(|service| service.group.as_str()));
    let mut inventory = String::new();
    for group in groups.chain(GROUPS).collect::<BTreeSet<_>>() {
        let _ = writeln!(inventory, "[{group}]\n{HOST} ansible_connection=local");
    }
    let mut globals = BTreeMap::from([("kolla_internal_vip_address", "192.0.2.2")]);
    // What it says of itself where it is enabled; what it says of others stays as they have it.
    if let Some(Data::Map(vars)) = top(role, "vars").map(|node| &node.data) {
        let flags = vars.keys().filter(|name| name.starts_with("enable_") && enables(role, name));
        globals.extend(flags.map(|name| (name.as_str(), "true")));
    }
    let set: BTreeSet<String> = roles.layers().into_iter().flat_map(|layer| layer.vars.into_keys()).collect();
    let of_vars = top(role, "vars").map(Node::texts).unwrap_or_default();
    let own = reads::by_role(role).into_iter().chain(of_vars.into_iter().map(Mentions::of_text));
    let own: Vec<String> = own.flat_map(|mentions| mentions.names).collect();
    let own = own.iter().map(String::as_str).filter(|name| SECRETS.iter().any(|end| name.ends_with(end)));
    let secrets = own
        .chain(examples::secrets().map(|name| -> &str { name }))
        .filter(|name| !set.contains(*name) && !globals.contains_key(name));
    let secrets: BTreeSet<&str> = secrets.collect();
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
        extra_vars: app.options.extra_vars.clone(),
        user: app.control.user.clone(),
        environment: app.control.variables.clone(),
        vault: app.vault_keys().await?.clone(),
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

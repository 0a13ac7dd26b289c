//! Commands that actions have beside `kolla do`: those that Kolla-Ansible has for the same.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{Action, Role};
use crate::error::{InputError, Kind};

/// The program's own commands, which no action can have; a test of the command line compares them.
pub const COMMANDS: &[&str] = &[
    "apply",
    "bootstrap-servers",
    "build",
    "check",
    "config",
    "deploy",
    "destroy",
    "do",
    "docs",
    "exec",
    "genconfig",
    "genpwd",
    "graph",
    "history",
    "init-runonce",
    "inventory",
    "lab",
    "logs",
    "mergepwd",
    "passwords",
    "plan",
    "post-deploy",
    "prechecks",
    "prune-images",
    "pull",
    "quickstart",
    "reconfigure",
    "registry",
    "status",
    "stop",
    "validate",
    "vars",
];

/// An action that has a command.
#[derive(Debug, Clone, Copy)]
pub struct Alias<'a> {
    /// The command.
    pub name: &'a str,
    /// The role.
    pub role: &'a Role,
    /// The action's name.
    pub action: &'a str,
    /// What it does.
    pub means: &'a Action,
}

/// Those of some roles.
pub(super) fn all(roles: &IndexMap<String, Role>) -> impl Iterator<Item = Alias<'_>> {
    let all = roles.values().flat_map(|role| role.actions.iter().map(move |(name, means)| (role, name, means)));
    all.filter_map(|(role, action, means)| {
        let name = means.alias.as_ref()?.as_str()?;
        Some(Alias { name, role, action, means })
    })
}

/// Commands that cannot be typed, and those that mean something already.
pub(super) fn clashes(roles: &IndexMap<String, Role>) -> Vec<InputError> {
    let mut taken: BTreeMap<&str, String> =
        COMMANDS.iter().map(|name| (*name, "it is a command of kolla itself".to_owned())).collect();
    let mut errors = Vec::new();
    for Alias { name, role, action, means } in all(roles) {
        let place = || role.document.place(means.alias.as_ref().unwrap_or(&means.node));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            let error = InputError::new(format!("`{name}` is no name of a command")).of(Kind::WrongValue).at(place());
            errors.push(error.hint("use lower-case letters, digits and hyphens"));
        } else if let Some(why) = taken.get(name) {
            let message = format!("action {action} of role {} cannot have the alias `{name}`: {why}", role.name);
            errors.push(InputError::new(message).of(Kind::RoleRule).at(place()).hint("choose another alias"));
        } else {
            taken.insert(name, format!("action {action} of role {} has it", role.name));
        }
    }
    errors
}

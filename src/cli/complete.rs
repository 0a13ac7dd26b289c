//! What a shell offers where the cursor stands: commands and options, which the parser knows, and names of the site.
//!
//! The scripts of `kolla docs completions` ask this program at each key, so that they know the hosts of the inventory that is
//! named on the line. What cannot be read offers nothing: an error would only disturb the line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::environment::Environment;
use super::{Cli, order, paths, topics};
use crate::error::{Error, Result};
use crate::plan::phase::PHASES;
use crate::role::{Action, Role, Roles, Source};
use crate::site::{Listing, VaultKeys};

/// By what a shell says that it asks.
const ASKED: &str = "KOLLA_COMPLETE";

/// Answers a shell, if one asks: the exit code then.
pub(super) fn answered(arguments: &[OsString], parser: impl Fn() -> Command) -> Option<u8> {
    let current = std::env::current_dir().ok();
    match CompleteEnv::with_factory(parser).var(ASKED).try_complete(arguments, current.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(0),
        Err(error) => {
            let _ = error.print();
            Some(2)
        }
    }
}

/// The script that makes a shell ask.
///
/// # Errors
/// None that can be met: the shells that are offered are those that there is a script for.
pub(super) fn script(shell: &str) -> Result<Vec<u8>> {
    let mut script = Vec::new();
    let failed = |why: &str| Error::local(format!("make the script for {shell}"), why);
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| failed("there is none"))?;
    let written = completer.write_registration(ASKED, "kolla", "kolla", "kolla", &mut script);
    written.map_err(|error| failed(&error.to_string()))?;
    if shell == "zsh" {
        script = on_first_key(&String::from_utf8_lossy(&script)).into_bytes();
    }
    Ok(script)
}

/// A script for zsh that, put into a folder of completions, also answers the key at which it is read: clap's own only says
/// then who is to be asked from the next one on.
fn on_first_key(script: &str) -> String {
    let Some((before, asked)) = script.trim_end().rsplit_once("compdef ") else { return script.to_owned() };
    let completer = asked.split(' ').next().unwrap_or_default();
    format!("{before}if [[ $funcstack[1] == _kolla ]]; then\n    {completer} \"$@\"\nelse\n    compdef {asked}\nfi\n")
}

/// The command line on which is completed.
pub(super) struct Line {
    words: Vec<String>,
    inventories: Vec<PathBuf>,
    pub(super) role_folders: Vec<PathBuf>,
}

impl Line {
    /// The shell gives it behind a `--`.
    pub(super) fn read() -> Self {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
        Self::of(words.map(|word| word.to_string_lossy().into_owned()).collect(), &Environment::read())
    }

    pub(super) fn of(words: Vec<String>, environment: &Environment) -> Self {
        let given = |long: &str, short: &str| -> Vec<PathBuf> {
            let mut found = Vec::new();
            for (index, word) in words.iter().enumerate() {
                let value = match word.strip_prefix(long) {
                    Some("") => words.get(index + 1).map(String::as_str),
                    Some(rest) => rest.strip_prefix('='),
                    None if !short.is_empty() && word == short => words.get(index + 1).map(String::as_str),
                    None => None,
                };
                // The shell has not expanded it yet.
                found.extend(value.map(|path| match path.strip_prefix("~/") {
                    Some(rest) => environment.home.join(rest),
                    None => PathBuf::from(path),
                }));
            }
            found
        };
        let configdir = paths::configdir(given("--configdir", "").pop().as_deref(), environment);
        let inventories = paths::inventories(&given("--inventory", "-i"), &configdir);
        let role_folders = paths::role_folders(&given("--roles", ""), &configdir);
        Self { words, inventories, role_folders }
    }

    fn listing(&self) -> Option<Listing> {
        Listing::read(&self.inventories, &VaultKeys::default()).ok()
    }

    pub(super) fn roles(&self) -> Roles {
        Roles::parsed(&self.role_folders).map(|(roles, _)| roles).unwrap_or_default()
    }

    /// The role and the action that it asks for, and what follows them.
    fn asked<'a>(&self, roles: &'a Roles) -> (Option<&'a Role>, Option<&'a Action>, Vec<String>) {
        let root = Cli::command();
        let mut words = self.words.clone();
        if let Some(at) = order::no_options(&root, &words).get(1).copied()
            && let Some(alias) = roles.aliases().find(|alias| alias.name == words[at])
        {
            words.splice(at..=at, ["do", &alias.role.name, alias.action].map(str::to_owned));
        }
        let plain = order::no_options(&root, &words);
        let mut words = plain.into_iter().skip(2).map(|at| words[at].clone());
        let role = words.next().and_then(|name| roles.0.get(&name));
        let action = words.next().and_then(|name| role?.actions.get(&name));
        (role, action, words.collect())
    }
}

fn candidate(name: &str, about: &str) -> CompletionCandidate {
    CompletionCandidate::new(name).help((!about.is_empty()).then(|| StyledStr::from(about.to_owned())))
}

fn hosts_of(listing: &Listing) -> impl Iterator<Item = CompletionCandidate> {
    listing.hosts().map(|name| candidate(name, ""))
}

fn groups_of(listing: &Listing) -> impl Iterator<Item = CompletionCandidate> {
    listing.groups().map(|name| candidate(name, "group"))
}

/// Hosts of the inventory.
pub(super) fn hosts() -> Vec<CompletionCandidate> {
    Line::read().listing().iter().flat_map(hosts_of).collect()
}

/// Groups of the inventory.
pub(super) fn groups() -> Vec<CompletionCandidate> {
    Line::read().listing().iter().flat_map(groups_of).collect()
}

/// Hosts and groups behind the last sign of a pattern.
pub(super) fn patterns(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let sign = current.rfind([',', ':', '!', '&']).map_or(0, |at| at + 1);
    let (before, begun) = current.split_at(sign);
    let listing = Line::read().listing();
    let names = listing.iter().flat_map(|listing| hosts_of(listing).chain(groups_of(listing)));
    let fitting = names.filter(|name| name.get_value().to_string_lossy().starts_with(begun));
    fitting.map(|name| name.add_prefix(before)).collect()
}

/// All roles.
pub(super) fn roles() -> Vec<CompletionCandidate> {
    Line::read().roles().0.values().map(|role| candidate(&role.name, &role.about)).collect()
}

/// The roles that have actions.
pub(super) fn roles_with_actions() -> Vec<CompletionCandidate> {
    let roles = Line::read().roles();
    let roles = roles.0.values().filter(|role| !role.actions.is_empty());
    roles.map(|role| candidate(&role.name, &role.about)).collect()
}

/// The actions of the role that stands on the line.
pub(super) fn actions() -> Vec<CompletionCandidate> {
    let line = Line::read();
    let roles = line.roles();
    let actions = line.asked(&roles).0.into_iter().flat_map(|role| &role.actions);
    actions.map(|(name, action)| candidate(name, &action.about)).collect()
}

/// The arguments of the action that stands on the line, without those that it has already.
pub(super) fn arguments() -> Vec<CompletionCandidate> {
    let line = Line::read();
    let roles = line.roles();
    let (_, action, given) = line.asked(&roles);
    // The last word is the one that is being written. To bash, `=` is a word of its own.
    let given: Vec<&str> = given.iter().rev().skip(1).filter_map(|word| word.split('=').next()).collect();
    let names = action.into_iter().flat_map(|action| &action.arguments).map(|(name, _)| name.as_str());
    names.filter(|name| !given.contains(name)).map(|name| candidate(&format!("{name}="), "")).collect()
}

/// The services of all roles.
pub(super) fn services() -> Vec<CompletionCandidate> {
    let roles = Line::read().roles();
    let services = roles.0.values().flat_map(|role| role.services.keys().map(|name| candidate(name, &role.about)));
    services.collect()
}

/// The files of the service that stands on the line.
pub(super) fn files() -> Vec<CompletionCandidate> {
    let line = Line::read();
    let roles = line.roles();
    let mut services = roles.0.values().flat_map(|role| role.services.values());
    let Some(service) = services.find(|service| line.words.contains(&service.name)) else { return Vec::new() };
    let mut names = Vec::new();
    for spec in &service.files {
        match (&spec.source, spec.to.rsplit('/').next()) {
            (Source::Given(given), Some("")) => names.extend(given.iter().map(String::as_str)),
            (_, name) => names.extend(name),
        }
    }
    names.extend(service.command.as_ref().map(|_| "config.json"));
    names.into_iter().map(|name| candidate(name, "")).collect()
}

/// Phases that there can be a plan of.
pub(super) fn phases() -> Vec<CompletionCandidate> {
    PHASES.iter().map(|phase| candidate(phase.name, "")).collect()
}

/// What there is documentation of.
pub(super) fn topics() -> Vec<CompletionCandidate> {
    topics::topics().into_iter().map(|topic| candidate(topic, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zsh_is_answered_at_the_first_key() {
        let script = String::from_utf8(script("zsh").unwrap()).unwrap();
        let asked = "_clap_dynamic_completer_kolla";
        assert!(script.starts_with("#compdef kolla\n") && script.contains(&format!("function {asked}() {{")));
        let end = format!("_kolla ]]; then\n    {asked} \"$@\"\nelse\n    compdef {asked} kolla\nfi\n");
        assert!(script.ends_with(&end), "{script}");
    }

    #[test]
    fn the_line_says_which_site_is_meant() {
        let environment = Environment { home: "/home/o".into(), ..Environment::default() };
        let words = "kolla -i a --inventory=~/b config --configdir ~/k c1 --roles r".split(' ').map(str::to_owned);
        let line = Line::of(words.collect(), &environment);
        assert_eq!(line.inventories, ["a", "/home/o/b"].map(PathBuf::from));
        assert_eq!(line.role_folders, [PathBuf::from("r")]);
        let words = "kolla config --configdir ~/k".split(' ').map(str::to_owned);
        let line = Line::of(words.collect(), &environment);
        assert_eq!(line.inventories, [PathBuf::from("/home/o/k/inventory")]);
    }

    #[test]
    fn every_shell_that_is_offered_has_a_script() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            assert!(String::from_utf8(script(shell).unwrap()).unwrap().contains("kolla"), "{shell}");
        }
    }
}

//! Commands that roles bring: `kolla ALIAS ...` is `kolla do ROLE ACTION ...`.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command as Parser, CommandFactory, FromArgMatches};

use super::actions::{Do, How};
use super::{Cli, Command, Global};
use crate::error::Error;
use crate::role::{self, Roles};

/// One of them.
struct Alias {
    name: String,
    role: String,
    action: String,
    about: String,
}

impl Alias {
    fn of(alias: role::Alias<'_>) -> Self {
        let (name, role, action) = (alias.name.to_owned(), alias.role.name.clone(), alias.action.to_owned());
        Self { name, role, action, about: alias.means.about.trim_end_matches('.').to_owned() }
    }

    fn parser(&self) -> Parser {
        let Self { name, role, action, about } = self;
        let long = format!("{about}\n\nThe same as `kolla do {role} {action}`.");
        How::augment_args(Parser::new(name.clone())).about(about.clone()).long_about(long)
    }
}

/// The commands that roles bring.
#[derive(Default)]
pub(super) struct Aliases {
    known: Vec<Alias>,
    /// Why some may be missing.
    pub(super) problem: Option<Error>,
}

impl Aliases {
    /// Those of the built-in roles, and of the roles in these folders.
    pub(super) fn read(folders: &[PathBuf]) -> Self {
        match Roles::parsed(folders) {
            Ok((roles, errors)) => {
                Self { problem: (!errors.is_empty()).then_some(Error::Input(errors)), ..Self::of(&roles) }
            }
            Err(error) => Self { problem: Some(error), ..Self::read(&[]) },
        }
    }

    /// Those of these roles.
    pub(super) fn of(roles: &Roles) -> Self {
        // What clashes is told as a mistake of its role, and must not disturb the parser.
        let mut known: Vec<Alias> = roles.aliases().map(Alias::of).collect();
        known.retain(|alias| !role::COMMANDS.contains(&alias.name.as_str()));
        known.sort_by(|one, other| one.name.cmp(&other.name));
        known.dedup_by(|one, other| one.name == other.name);
        Self { known, problem: None }
    }

    /// The parser of the whole command line.
    pub(super) fn parser(&self) -> Parser {
        Cli::command().subcommands(self.known.iter().map(Alias::parser))
    }

    /// What was parsed.
    ///
    /// # Errors
    /// None that the parser has not found.
    pub(super) fn read_matches(&self, matches: &ArgMatches) -> Result<Cli, clap::Error> {
        let known = |name: &str| self.known.iter().find(|alias| alias.name == name);
        let given = matches.subcommand().and_then(|(name, given)| Some((known(name)?, given)));
        let Some((alias, given)) = given else { return Cli::from_arg_matches(matches) };
        let (role, action) = (Some(alias.role.clone()), Some(alias.action.clone()));
        let command = Command::Do(Do { role, action, how: How::from_arg_matches(given)? });
        Ok(Cli { global: Global::from_arg_matches(matches)?, command })
    }
}

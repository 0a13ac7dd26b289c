//! `kolla docs`: documentation that is in the program itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::{ArgValueCandidates, Shell};

use super::aliases::Aliases;
use super::topics::{text, topics};
use super::{Exit, Invocation, complete};
use crate::error::{Error, Result};
use crate::role::{Roles, schema};

/// Prints a topic of the documentation, or lists the topics.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Docs {
    /// The topic, for example `role`; without it, the topics are listed
    #[arg(add = ArgValueCandidates::new(complete::topics))]
    pub topic: Option<String>,
    #[command(subcommand)]
    made: Option<Made>,
}

#[derive(Debug, Subcommand)]
enum Made {
    /// Write a man page for each command
    Man {
        /// The folder to write to
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print a JSON schema with which editors check and complete a file
    Schema {
        /// The file that the schema describes
        of: SchemaOf,
    },
    /// Print a shell script that completes commands, options and names of the site
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// globals.yml, with the variables of all roles.
    Globals,
    /// role.yml.
    Role,
}

impl Docs {
    pub(super) fn run(self, at: &Invocation) -> Result<Exit> {
        match (self.made, self.topic) {
            (Some(Made::Man { dir }), _) => {
                let failed = |error| Error::local(format!("write man pages to {}", dir.display()), error);
                std::fs::create_dir_all(&dir).map_err(failed)?;
                let parser = Aliases::read(&at.app.options.roles).parser();
                clap_mangen::generate_to(parser, &dir).map_err(failed)?;
            }
            (Some(Made::Schema { of }), _) => {
                let schema = match of {
                    SchemaOf::Globals => schema::globals(&Roles::load(&at.app.options.roles)?),
                    SchemaOf::Role => schema::role()?,
                };
                at.screen.out(&format!("{schema:#}"));
            }
            (Some(Made::Completions { shell }), _) => {
                at.screen.raw(&complete::script(&shell.to_string())?);
            }
            (None, None) => at.screen.out(&topics().join("\n")),
            (None, Some(topic)) => at.screen.out(text(&topic)?),
        }
        Ok(Exit::DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_man_page() {
        let dir = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Aliases::read(&[]).parser(), dir.path()).unwrap();
        for page in ["kolla.1", "kolla-deploy.1", "kolla-lab-up.1"] {
            let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
    }
}

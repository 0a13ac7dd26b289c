//! `kolla docs`: documentation that is in the program itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand, ValueEnum, ValueHint};
use clap_complete::{ArgValueCandidates, Shell};
use include_dir::{Dir, include_dir};

use super::{Cli, Exit, Invocation, complete, session};
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::role::schema;

static DOCS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs");

/// Prints a topic, or lists them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Docs {
    /// The topic, as `role`; without one, all are listed
    #[arg(add = ArgValueCandidates::new(complete::topics))]
    pub topic: Option<String>,
    #[command(subcommand)]
    made: Option<Made>,
}

#[derive(Debug, Subcommand)]
enum Made {
    /// Write man pages, one a command
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print a JSON schema, by which editors check and complete a file
    Schema {
        /// The file it is of
        of: SchemaOf,
    },
    /// Print a script that completes commands, options and names of the site
    Completions {
        /// The shell it is for
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
                clap_mangen::generate_to(Cli::command(), &dir).map_err(failed)?;
            }
            (Some(Made::Schema { of }), _) => {
                let schema = match of {
                    SchemaOf::Globals => schema::globals(&session::roles(&at.global, &at.environment)?),
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

pub(super) fn topics() -> Vec<&'static str> {
    let mut topics: Vec<&str> =
        DOCS.files().filter_map(|file| file.path().file_stem()).filter_map(|stem| stem.to_str()).collect();
    topics.sort_unstable();
    topics
}

fn text(topic: &str) -> Result<&'static str> {
    let named = |file: &&include_dir::File<'_>| file.path().file_stem().is_some_and(|stem| stem == topic);
    DOCS.files().find(named).and_then(include_dir::File::contents_utf8).ok_or_else(|| {
        let hint = match nearest(topic, topics()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("topics: {}", topics().join(", ")),
        };
        InputError::new(format!("no documentation of `{topic}`")).of(Kind::UnknownName).hint(hint).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_by_name() {
        assert!(text("events").unwrap().contains("took_ms"));
        assert!(text("role").unwrap().contains("services:"));
        let Error::Input(errors) = text("evetns").unwrap_err() else { panic!() };
        assert_eq!(errors[0].hint.as_deref(), Some("did you mean `events`?"));
    }

    #[test]
    fn every_command_has_a_man_page() {
        let dir = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), dir.path()).unwrap();
        for page in ["kolla.1", "kolla-deploy.1", "kolla-lab-up.1"] {
            let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
    }
}

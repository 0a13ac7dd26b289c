//! The phases: commands that walk the plan and may change hosts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{Exit, Invocation, session};
use crate::error::{InputError, Kind, Result};
use crate::plan::Saved;
use crate::run::event::Summary;

/// The word that commands which lose data want to hear.
const SURE: &str = "--yes-i-really-really-mean-it";

/// Commands that are phases.
#[derive(Debug, Subcommand)]
pub enum PhaseCommand {
    /// Prepare bare hosts: container engine, kernel parameters, time, names
    BootstrapServers,
    /// Check that hosts can be deployed to; tells all failures of all hosts at once
    Prechecks,
    /// Pull the images that the hosts need
    Pull,
    /// Write the configuration of all services, without restarting any
    Genconfig(Genconfig),
    /// Deploy all services, and bring those that differ to what the site says
    Deploy,
    /// Write configuration and replace the containers that it concerns, one after the other
    Reconfigure,
    /// Compare the hosts with the site and change nothing
    Check,
    /// Stop all services, keep their data
    Stop(Stop),
    /// Remove all services and their data from the hosts
    Destroy(Destroy),
    /// Bring a database cluster back of which all nodes went down
    MariadbRecovery,
}

/// `kolla genconfig`.
#[derive(Debug, Args)]
pub struct Genconfig {
    /// Write the files to this folder here, a folder a host, and connect to none
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// `kolla stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Services go down: say that this is meant
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
}

/// `kolla destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// All data is lost: say that this is meant
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
    /// Also remove the images
    #[arg(long)]
    pub include_images: bool,
}

/// What a phase is asked for beside the options of every command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The phase's name, as on the command line.
    pub phase: String,
    /// Change nothing: `--check`, or a phase that never does.
    pub check: bool,
    /// `genconfig --dir`.
    pub dir: Option<PathBuf>,
    /// `destroy --include-images`.
    pub include_images: bool,
    /// `plan --save`.
    pub save: Option<PathBuf>,
    /// `apply`: what it may change, and from which state.
    pub saved: Option<Saved>,
}

impl PhaseCommand {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let request = self.request(at)?;
        let summary = session::phase(at, &request).await?;
        Ok(exit(summary, request.check && at.global.exit_code, at.stop.is_cancelled()))
    }

    fn request(self, at: &Invocation) -> Result<Request> {
        let mut request = Request { check: at.global.check, ..Request::default() };
        let name = match self {
            Self::BootstrapServers => "bootstrap-servers",
            Self::Prechecks => "prechecks",
            Self::Pull => "pull",
            Self::Genconfig(options) => {
                request.dir = options.dir;
                "genconfig"
            }
            Self::Deploy => "deploy",
            Self::Reconfigure => "reconfigure",
            Self::Check => {
                request.check = true;
                "check"
            }
            Self::Stop(options) => {
                meant("stop", options.yes_i_really_really_mean_it || at.global.check, "stops every service")?;
                "stop"
            }
            Self::Destroy(options) => {
                meant(
                    "destroy",
                    options.yes_i_really_really_mean_it || at.global.check,
                    "removes every service and all data",
                )?;
                request.include_images = options.include_images;
                "destroy"
            }
            Self::MariadbRecovery => "mariadb-recovery",
        };
        name.clone_into(&mut request.phase);
        Ok(request)
    }
}

/// Refuses unless it was said that this is meant.
fn meant(command: &str, said: bool, effect: &str) -> Result<()> {
    if said {
        return Ok(());
    }
    let hint = format!("add `{SURE}` to do it, or `--check` to see what it would do");
    Err(InputError::new(format!("`kolla {command}` {effect} on the hosts it is limited to"))
        .of(Kind::Usage)
        .hint(hint)
        .into())
}

/// The exit code of a walk.
pub(super) fn exit(summary: Summary, changes_matter: bool, interrupted: bool) -> Exit {
    match summary {
        _ if interrupted => Exit::INTERRUPTED,
        Summary { failed: 1.., .. } => Exit::FAILED,
        Summary { changed: 1.., .. } if changes_matter => Exit::CHANGES,
        _ => Exit::DONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Environment;
    use crate::report::{Screen, text};

    fn at(check: bool) -> Invocation {
        let (screen, _, _) = Screen::captured();
        let global = crate::cli::Global { check, ..Default::default() };
        let stop = tokio_util::sync::CancellationToken::new();
        Invocation {
            environment: Environment::default(),
            global,
            screen,
            stop,
            vault: session::Vault::default(),
            command_line: "kolla".into(),
        }
    }

    #[test]
    fn data_is_lost_only_when_that_is_meant() {
        let destroy = |yes_i_really_really_mean_it| {
            PhaseCommand::Destroy(Destroy { yes_i_really_really_mean_it, include_images: true })
        };
        let refused = destroy(false).request(&at(false)).unwrap_err();
        assert_eq!(
            text::error(&refused, false),
            "\
error: `kolla destroy` removes every service and all data on the hosts it is limited to
hint: add `--yes-i-really-really-mean-it` to do it, or `--check` to see what it would do
"
        );
        assert_eq!(refused.exit_code(), 2);
        assert!(destroy(true).request(&at(false)).unwrap().include_images);
        assert!(destroy(false).request(&at(true)).unwrap().check);
    }

    #[test]
    fn exit_codes_tell_how_a_walk_ended() {
        let summary = |changed, failed| Summary { changed, failed, ..Summary::default() };
        assert_eq!(exit(summary(1, 0), false, false), Exit(0));
        assert_eq!(exit(summary(1, 0), true, false), Exit(3));
        assert_eq!(exit(summary(0, 0), true, false), Exit(0));
        assert_eq!(exit(summary(1, 1), true, false), Exit(1));
        assert_eq!(exit(summary(1, 1), true, true), Exit(130));
    }
}

//! The phases: commands that walk the plan and may change hosts.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use serde_json::json;

use super::reporting::{Warnings, reported};
use super::{Exit, Invocation};
use crate::app::dependents::Dependents;
use crate::app::run::{Request, phase, run};
use crate::app::{self, Loaded};
use crate::error::{InputError, Kind, Result};
use crate::run::event::Summary;

/// The word that commands which lose data want to hear.
const SURE: &str = "--yes-i-really-really-mean-it";

/// Commands that are phases.
#[derive(Debug, Subcommand)]
pub enum PhaseCommand {
    /// Prepare hosts: container engine, kernel parameters, time synchronisation, /etc/hosts
    BootstrapServers,
    /// Check whether the hosts are ready for a deployment; report all failures at once
    Prechecks,
    /// Pull the images that each host needs
    Pull,
    /// Remove images of Kolla that neither a container nor the site needs
    ///
    /// `--check` shows them, and how much space they take. Images of all enabled roles stay, also those that no container
    /// uses yet.
    PruneImages(PruneImages),
    /// Write the configuration of all services without restarting them
    Genconfig(Genconfig),
    /// Deploy all services; change only what differs from the site
    ///
    /// Keeps the old container of a service until the new one is ready, and restores it if the new one fails. Running the
    /// command again resumes a run that was killed.
    Deploy,
    /// Write the configuration, then reload or replace only the containers that it changes
    Reconfigure,
    /// Ask every service whether it is ready; change nothing
    ///
    /// Runs the readiness probe of each container. `kolla deploy --check --diff` shows what differs from the site.
    Check,
    /// Stop all services and keep their data
    Stop(Stop),
    /// Remove all services and their data from the hosts
    Destroy(Destroy),
}

/// `kolla prune-images`.
#[derive(Debug, Args)]
pub struct PruneImages {
    /// Confirm that the images are removed
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
}

/// `kolla genconfig`.
#[derive(Debug, Args)]
pub struct Genconfig {
    /// Write the files to this local folder, one subfolder per host, without connecting to any host
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// `kolla stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Confirm that all services go down; not needed with `--tags`
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
    /// First stop, in order, the roles that need those of `--tags`, instead of refusing while they run
    #[arg(long, conflicts_with = "abort")]
    pub cascade: bool,
    /// Kill containers at once, whoever needs them
    #[arg(long)]
    pub abort: bool,
}

/// `kolla destroy`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Destroy {
    /// Confirm that all data is lost
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
    /// Also remove the images
    #[arg(long)]
    pub include_images: bool,
    /// First remove, with all their data, the roles that need those of `--tags`, instead of refusing while they run
    #[arg(long, conflicts_with = "abort")]
    pub cascade: bool,
    /// Kill containers at once, whoever needs them
    #[arg(long)]
    pub abort: bool,
}

fn dependents(cascade: bool, abort: bool) -> Dependents {
    match (cascade, abort) {
        (_, true) => Dependents::Abort,
        (true, _) => Dependents::Cascade,
        _ => Dependents::Refuse,
    }
}

impl PhaseCommand {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        if let Self::Genconfig(Genconfig { dir: Some(dir) }) = &self {
            return genconfig(at, dir).await;
        }
        walk(at, &self.request(at)?).await
    }

    fn request(self, at: &Invocation) -> Result<Request> {
        let check = at.global.check;
        let name = match &self {
            Self::BootstrapServers => "bootstrap-servers",
            Self::Prechecks => "prechecks",
            Self::Pull => "pull",
            Self::PruneImages(options) => {
                let said = options.yes_i_really_really_mean_it || check;
                meant("prune-images", said, "removes images from the hosts it is limited to")?;
                "prune-images"
            }
            Self::Genconfig(_) => "genconfig",
            Self::Deploy => "deploy",
            Self::Reconfigure => "reconfigure",
            Self::Check => "check",
            Self::Stop(options) => {
                let said = options.yes_i_really_really_mean_it || check || !at.global.tags.is_empty();
                meant("stop", said, "stops every service on the hosts it is limited to")?;
                "stop"
            }
            Self::Destroy(options) => {
                let said = options.yes_i_really_really_mean_it || check;
                meant("destroy", said, "removes every service and all data on the hosts it is limited to")?;
                "destroy"
            }
        };
        let dependents = match &self {
            Self::Stop(Stop { cascade, abort, .. }) | Self::Destroy(Destroy { cascade, abort, .. }) => {
                dependents(*cascade, *abort)
            }
            _ => Dependents::default(),
        };
        Ok(Request {
            dependents,
            check: check || matches!(self, Self::Check),
            include_images: matches!(self, Self::Destroy(Destroy { include_images: true, .. })),
            ..Request::of(phase(name)?)
        })
    }
}

/// Runs a phase, told and recorded; its exit code.
pub(super) async fn walk(at: &Invocation, request: &Request) -> Result<Exit> {
    Ok(at.exit(summary(at, request).await?, request.check))
}

/// Runs a phase, told and recorded.
pub(super) async fn summary(at: &Invocation, request: &Request) -> Result<Summary> {
    let loaded = Loaded::read(&at.app).await?;
    reported(at, &loaded, request.check, async |listeners| run(&at.app, &loaded, request, listeners).await).await
}

/// Writes the files of all services here.
async fn genconfig(at: &Invocation, dir: &Path) -> Result<Exit> {
    let loaded = Loaded::read(&at.app).await?;
    let summary = app::genconfig::genconfig(&at.app, &loaded, dir, &Warnings(at.screen.clone()))?;
    let Summary { changed, same, .. } = summary;
    at.answer(
        || json!({ "folder": dir, "changed": changed, "same": same }),
        || format!("{}: changed {changed}, same {same}", dir.display()),
    );
    Ok(at.exit(summary, at.global.check))
}

/// Refuses unless it was said that this is meant.
pub(super) fn meant(command: &str, said: bool, effect: &str) -> Result<()> {
    if said {
        return Ok(());
    }
    let hint = format!("add `{SURE}` to do it, or `--check` to see what it would do");
    Err(InputError::new(format!("`kolla {command}` {effect}")).of(Kind::Usage).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Environment;
    use crate::report::{Screen, text};

    fn at(check: bool) -> Invocation {
        let global = crate::cli::Global { check, ..Default::default() };
        Invocation::new(Environment::default(), global, Screen::captured().0, "kolla".into())
    }

    #[test]
    fn data_is_lost_only_when_that_is_meant() {
        let destroy = |yes_i_really_really_mean_it| {
            PhaseCommand::Destroy(Destroy {
                yes_i_really_really_mean_it,
                include_images: true,
                cascade: false,
                abort: false,
            })
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
}

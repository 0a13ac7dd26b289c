//! `kolla plan`: what a phase would change, to be read before a change window.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::ArgValueCandidates;

use super::phases::walk;
use super::{Exit, Invocation, complete};
use crate::app::run::{Request, phase};
use crate::error::Result;

/// Connects to the hosts and shows what a command would change on them.
#[derive(Debug, Args)]
pub struct Plan {
    /// The phase: a command such as `deploy` or `reconfigure`
    #[arg(default_value = "deploy", add = ArgValueCandidates::new(complete::phases))]
    pub phase: String,
    /// Save the plan to this file for `kolla apply`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save: Option<PathBuf>,
}

impl Plan {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let request = Request { check: true, save: self.save, ..Request::of(phase(&self.phase)?) };
        let exit = walk(at, &request).await?;
        if let Some(file) = &request.save {
            at.screen.err(&format!("saved to {}", file.display()));
        }
        Ok(exit)
    }
}

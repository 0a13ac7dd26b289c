//! `kolla apply`: does what was reviewed, and nothing else.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::phases::walk;
use super::{Exit, Invocation};
use crate::app::run::{Request, phase};
use crate::app::saved::saved_plan;
use crate::error::Result;

/// Changes what a saved plan says, if hosts and registry are as they were. Limit and tags are to be given as they were.
///
/// Looks at everything again first, and refuses, before anything is changed, what is neither as it was when the plan was
/// saved nor as the plan makes it. So a run that was killed is resumed by the same command.
#[derive(Debug, Args)]
pub struct Apply {
    /// What `kolla plan --save` wrote
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

impl Apply {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let saved = saved_plan(&self.file)?;
        let phase = phase(&saved.phase)?;
        walk(at, &Request { check: at.global.check, saved: Some(saved), ..Request::of(phase) }).await
    }
}

//! `kolla apply`: does what was reviewed, and nothing else.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::phases::walk;
use super::{Exit, Invocation};
use crate::app::run::{Request, phase};
use crate::app::saved::saved_plan;
use crate::error::Result;

/// Carries out a saved plan.
#[derive(Debug, Args)]
pub struct Apply {
    /// The file that `kolla plan --save` wrote
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

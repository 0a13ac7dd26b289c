//! `kolla apply`: does what was reviewed, and nothing else.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::phases::{Request, exit};
use super::{Exit, Invocation, session};
use crate::error::{InputError, Kind, Result};
use crate::op::Want;
use crate::plan::phase::named;

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
        let saved = session::saved_plan(&self.file)?;
        // What a recovery finds out decides what it does.
        let applies = |phase: &crate::plan::Phase| phase.want == Want::Running && !phase.looks && !phase.recover;
        if !named(&saved.phase).is_some_and(applies) {
            return Err(InputError::new(format!("a saved plan of `{}` cannot be applied", saved.phase))
                .of(Kind::SavedPlan)
                .hint(format!("run `kolla {}` itself", saved.phase))
                .into());
        }
        let request =
            Request { phase: saved.phase.clone(), check: at.global.check, saved: Some(saved), ..Request::default() };
        let summary = session::phase(at, &request).await?;
        Ok(exit(summary, request.check && at.global.exit_code, at.stop.is_cancelled()))
    }
}

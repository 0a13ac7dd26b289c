//! `kolla apply`: does what was reviewed, and nothing else.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::phases::{Request, exit};
use super::{Exit, Invocation, session};
use crate::error::{Error, InputError, Kind, Result};
use crate::op::Want;
use crate::plan::Plan;
use crate::plan::phase::named;

/// Makes the plan anew and walks it, unless it differs from the saved one. Limit and tags are to be given as they were.
#[derive(Debug, Args)]
pub struct Apply {
    /// What `kolla plan --save` wrote
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

impl Apply {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let saved = read(&self.file)?;
        if named(&saved.phase).is_none_or(|phase| phase.want != Want::Running || phase.looks) {
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

fn read(file: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::local(format!("read the plan {}", file.display()), error))?;
    serde_json::from_str(&text).map_err(|error| {
        InputError::new(format!("{} is no plan: {error}", file.display()))
            .of(Kind::Syntax)
            .hint("`kolla plan --save FILE` writes one")
            .into()
    })
}

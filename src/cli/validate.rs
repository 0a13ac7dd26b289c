//! `kolla validate`: all that can be known to be wrong before a host is connected to.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::lint::lint;
use crate::app::validate::validate;
use crate::error::{Result, numbered};
use crate::report::json::finding;

/// Checks the inventory, variables, roles and templates of the site, or one role by itself.
#[derive(Debug, Args)]
pub struct Validate {
    /// Check only the role in this folder, without a site
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub role: Option<PathBuf>,
}

impl Validate {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let found = match &self.role {
            Some(folder) => lint(&at.app, folder).await?,
            None => validate(&at.app, at.global.json()).await?,
        };
        for warning in &found.warnings {
            if at.global.json() {
                at.screen.json(finding(warning, "warning"));
            } else {
                at.warn(&warning.in_a_line());
            }
        }
        if let Some(problem) = found.problem {
            return Err(problem);
        }
        let warnings = found.warnings.len();
        let looked_at = match &self.role {
            Some(_) => format!("role {}", found.roles.join(", ")),
            None => format!("{}, {}", numbered(found.hosts, "host"), numbered(found.roles.len(), "role")),
        };
        at.answer(
            || json!({ "event": "valid", "hosts": found.hosts, "roles": found.roles, "variables": found.variables, "warnings": warnings }),
            || match warnings {
                0 => format!("valid: {looked_at}"),
                _ => format!("valid: {looked_at}, {}", numbered(warnings, "warning")),
            },
        );
        Ok(Exit::DONE)
    }
}

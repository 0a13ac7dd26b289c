//! `kolla validate`: all that can be known to be wrong before a host is connected to.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation, session};
use crate::error::{Result, numbered};

/// Loads the site and its roles and says what is wrong with them.
#[derive(Debug, Args)]
pub struct Validate {}

impl Validate {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let found = session::validate(at).await?;
        if !at.global.json() {
            for warning in &found.warnings {
                at.warn(warning);
            }
        }
        at.answer(
            || json!(found),
            || {
                let mut text =
                    format!("valid: {}, {}", numbered(found.hosts, "host"), numbered(found.roles.len(), "role"));
                if !found.warnings.is_empty() {
                    text = format!("{text}, {}", numbered(found.warnings.len(), "warning"));
                }
                text
            },
        );
        Ok(Exit::DONE)
    }
}

//! `kolla genpwd`: secrets for what has none.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::passwords;
use crate::error::{Result, numbered};

/// Generates a secret for each empty entry of the file that `-p/--passwords` names.
#[derive(Debug, Args)]
pub struct Genpwd {}

impl Genpwd {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let file = &at.app.options.passwords;
        let filled = passwords::genpwd(&at.app, file, at.global.check).await?;
        let told = match filled {
            0 => format!("{}: nothing was empty", file.display()),
            filled => {
                let fills = if at.global.check { "would fill" } else { "filled" };
                format!("{}: {fills} {}", file.display(), numbered(filled, "empty secret"))
            }
        };
        at.answer(|| json!({ "file": file, "filled": filled }), || told);
        Ok(Exit::DONE)
    }
}

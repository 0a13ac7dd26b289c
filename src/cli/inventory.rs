//! `kolla inventory`: what the inventory files come to.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation, session};
use crate::error::Result;
use crate::report::Table;

/// Lists hosts, their addresses and groups.
#[derive(Debug, Args)]
pub struct Inventory {}

impl Inventory {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let hosts = session::inventory(at).await?;
        let text = || {
            let mut table = Table::new(["host", "address", "groups"]);
            for host in &hosts {
                table.row([host.name.clone(), host.address.clone(), host.groups.join(" ")]);
            }
            table.render()
        };
        at.answer(|| json!(hosts), text);
        Ok(Exit::DONE)
    }
}

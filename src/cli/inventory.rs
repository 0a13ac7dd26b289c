//! `kolla inventory`: what the inventories come to.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde::Serialize;
use serde_json::json;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{Exit, Invocation, complete};
use crate::app::inventory::{inventory, listing};
use crate::error::Result;
use crate::report::Table;

/// Lists hosts, their addresses and groups.
#[derive(Debug, Args)]
pub struct Inventory {
    /// Print groups, hosts and their variables as `ansible-inventory --list` does
    #[arg(long, group = "form")]
    pub list: bool,

    /// Print the inventory variables of a host as `ansible-inventory --host` does; `kolla vars` shows all variables
    #[arg(long, group = "form", value_name = "HOST", add = ArgValueCandidates::new(complete::hosts))]
    pub host: Option<String>,

    /// Draw the tree of a group, or of all groups, as `ansible-inventory --graph` does
    #[arg(long, group = "form", value_name = "GROUP", num_args = 0..=1, default_missing_value = "all")]
    #[arg(add = ArgValueCandidates::new(complete::groups))]
    pub graph: Option<String>,
}

impl Inventory {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        if self.list {
            let limit: Vec<String> = at.global.limit.iter().cloned().collect();
            at.screen.out(&pretty(&listing(&at.app).await?.list(&limit)?));
        } else if let Some(host) = &self.host {
            at.screen.out(&pretty(&listing(&at.app).await?.host(host)?));
        } else if let Some(group) = &self.graph {
            at.screen.out(&listing(&at.app).await?.graph(group)?);
        } else {
            let hosts = inventory(&at.app).await?;
            let text = || {
                let mut table = Table::new(["host", "address", "groups"]);
                for host in &hosts {
                    table.row([host.name.clone(), host.address.clone(), host.groups.join(" ")]);
                }
                table.render()
            };
            at.answer(|| json!(hosts), text);
        }
        Ok(Exit::DONE)
    }
}

/// JSON with Ansible's indentation.
fn pretty(value: &serde_json::Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => value.to_string(),
    }
}

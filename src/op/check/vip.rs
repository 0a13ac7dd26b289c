//! A virtual address can be used.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Check, CheckContext, Condition, Knows, Verdict, fails, untried};
use crate::error::Result;
use crate::host::Reach;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::{Fields, Keys, Node, Shape};

/// The check `vip`.
pub const CHECK: Word<Condition> = Word {
    key: (
        "vip",
        Shape::Keys(&Keys::new(&[("address", Shape::Text), ("interface", Shape::Text)], &["address", "interface"])),
    ),
    means: Condition { knows: Knows::Nothing, resolve },
};

fn resolve(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let mut fields = Fields::of(context.values.document, node);
    let [address, interface] = ["address", "interface"].map(|key| context.values.text_at(&mut fields, key));
    Check::from(Vip { address, interface })
}

/// The address is in the interface's network and nobody else has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vip {
    /// The address.
    pub address: String,
    /// The interface.
    pub interface: String,
}

#[async_trait]
impl Verdict for Vip {
    fn subject(&self) -> String {
        format!("check address {}", self.address)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let Self { address, interface } = self;
        let Ok(wanted) = address.parse::<IpAddr>() else {
            return fails(format!("`{address}` is no address"), "correct `kolla_internal_vip_address`");
        };
        let networks = at.me.look(|look| {
            let found = look.facts.interfaces.get(interface);
            found.map(|found| found.ipv4.iter().chain(&found.ipv6).cloned().collect::<Vec<_>>()).unwrap_or_default()
        });
        let within = |text: &String| text.parse::<IpNet>().is_ok_and(|network| network.contains(&wanted));
        if !networks.iter().any(within) {
            return fails(
                format!("{address} is not in the network of `{interface}` ({})", networks.join(" ")),
                "choose a free address of that network",
            );
        }
        let ours = at.peers.values().any(|peer| {
            peer.look(|look| {
                let mut all = look.facts.interfaces.values().flat_map(|found| found.ipv4.iter().chain(&found.ipv6));
                all.any(|text| text.split('/').next() == Some(address))
            })
        });
        if ours {
            return Ok(Diff::Same("held by one of our hosts".into()));
        }
        match at.host().reach(address, 22, Duration::from_secs(2)).await? {
            Reach::TimedOut => Ok(Diff::Same("free".into())),
            Reach::Open | Reach::Refused => {
                fails(format!("another machine answers at {address}"), "choose a free address")
            }
            Reach::Unknown => Ok(untried()),
        }
    }
}

//! Other hosts can be reached.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, CheckContext, Condition, Knows, Names, Verdict, fails, untried};
use crate::error::Result;
use crate::host::Reach;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::{Node, Shape};
use crate::template::values::items;

/// The check `peers_reachable`.
pub const CHECK: Word<Condition> =
    Word { key: ("peers_reachable", Shape::Some(&Shape::Text)), means: Condition { knows: Knows::Names, resolve } };

fn resolve(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let ports = items(node).into_iter().map(|node| context.values.port(node)).collect();
    Check::from(PeersReachable { names: context.names.clone(), ports })
}

/// All these hosts answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeersReachable {
    /// Addresses by host name.
    pub names: Names,
    /// A port on which something listens or nothing does: both say reachable.
    pub ports: Vec<u16>,
}

#[async_trait]
impl Verdict for PeersReachable {
    fn subject(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        format!("check reach of ports {}", ports.join(" "))
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mut blocked = Vec::new();
        let others = self.names.iter().filter(|(name, _)| *name != at.host().name());
        let asks = others.flat_map(|(name, address)| {
            self.ports.iter().map(move |port| async move {
                (format!("{name} ({address}:{port})"), at.host().reach(address, *port, Duration::from_secs(3)).await)
            })
        });
        for (what, reach) in futures_util::future::join_all(asks).await {
            match reach? {
                Reach::Open | Reach::Refused => {}
                Reach::TimedOut => blocked.push(what),
                Reach::Unknown => return Ok(untried()),
            }
        }
        if blocked.is_empty() {
            return Ok(Diff::Same("all other hosts answer".into()));
        }
        fails(format!("no answer from {}", blocked.join(", ")), "open these ports between the hosts")
    }
}

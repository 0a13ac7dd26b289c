//! A member behind the load balancer is ready once that sends to it: the next one may only then be stopped.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::host::ContainerState;
use crate::op::{Peer, View};

/// How long a load balancer may take to notice: a few of its own checks.
const NOTICES: Duration = Duration::from_secs(30);

/// What the load balancers know a container as, and how they are asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balanced {
    /// The container of a load balancer, on whatever hosts it runs.
    pub container: String,
    /// Words of a program in it that prints `BACKEND,SERVER,STATUS` lines.
    pub ask: Vec<String>,
    /// The backend.
    pub backend: String,
    /// The member of it.
    pub server: String,
    /// The container that tells the load balancers whether to send to it; while that does not run they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
}

impl Balanced {
    /// Waits until every load balancer that runs and knows this member sends to it.
    pub(super) async fn wait(&self, at: &View) -> Result<()> {
        let judged = |name: &String| at.me.container(name).as_ref().is_some_and(ContainerState::running);
        if !self.judge.as_ref().is_none_or(judged) {
            return Ok(());
        }
        let end = Instant::now() + NOTICES;
        for (name, peer) in at.peers.iter() {
            while let Some(status) = self.not_yet(peer).await {
                if Instant::now() > end {
                    let (server, container) = (&self.server, &self.container);
                    return Err(Error::operation(format!("{container} on {name} does not send to {server} yet"))
                        .because(format!("{server} of {} is {status}", self.backend))
                        .with_hint("see what its check asks, and run this again"));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// The status that a load balancer has of this member, unless it sends to it or has nothing to say.
    async fn not_yet(&self, peer: &Peer) -> Option<String> {
        if !peer.container(&self.container).as_ref().is_some_and(ContainerState::running) {
            return None;
        }
        let Ok(output) = peer.host.probe(&self.container, &self.ask, &[]).await else {
            // It is being replaced itself, or its host is gone: it sends to nobody.
            return None;
        };
        let text = output.text();
        let mut lines = text.lines().map(|line| line.splitn(3, ',').collect::<Vec<_>>());
        lines.find_map(|fields| match fields[..] {
            [backend, server, status] if backend == self.backend && server == self.server => {
                (!status.starts_with("UP")).then(|| status.to_owned())
            }
            _ => None,
        })
    }
}

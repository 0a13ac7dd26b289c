//! A member behind the load balancer is ready once that sends to it: the next one may only then be stopped.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::host::{ContainerState, ReadOnly, Remote};
use crate::op::retry::pause;
use crate::op::{Peer, View};

/// How long requests under way may take before a member stops; what serves them has its own patience after that.
const DRAINS: Duration = Duration::from_secs(10);
/// How long a load balancer may take to notice: a few of its own checks.
const NOTICES: Duration = Duration::from_secs(30);
/// How long it may take to tell one of them something.
const LISTENS: Duration = Duration::from_mins(1);

/// What the load balancers know a container as, and how they are asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balanced {
    /// The container of a load balancer, on whatever hosts it runs.
    pub container: String,
    /// Words of a program in it that prints `BACKEND,SERVER,SESSIONS,STATUS` lines.
    pub ask: ReadOnly,
    /// Words of a program in it that takes a backend, a server and `drain` or `ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tell: Vec<String>,
    /// It has other members, whose turn it can be while this one is away.
    pub others: bool,
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
    pub(super) async fn wait(&self, at: &View, host: &Remote) -> Result<()> {
        self.tell(at, host, "ready").await;
        let judged = |name: &String| at.me.container(name).as_ref().is_some_and(ContainerState::running);
        if !self.judge.as_ref().is_none_or(judged) {
            return Ok(());
        }
        let begin = Instant::now();
        for (name, peer) in at.peers.iter() {
            loop {
                let asked = Instant::now();
                let Some(Member { status, .. }) = self.on(peer).await.filter(|member| !member.up()) else { break };
                if begin.elapsed() > NOTICES {
                    let (server, container) = (&self.server, &self.container);
                    return Err(Error::operation(format!("{container} on {name} does not send to {server} yet"))
                        .because(format!("{server} of {} is {status}", self.backend))
                        .with_hint("see what its check asks, and run this again"));
                }
                tokio::time::sleep(pause(begin.elapsed(), asked.elapsed())).await;
            }
        }
        Ok(())
    }

    /// Before this member stops: the load balancers send new requests to the others, and those under way come to their
    /// end, for a while. One that has no others goes on as it is.
    pub(super) async fn drain(&self, at: &View, host: &Remote) {
        let begin = Instant::now();
        self.tell(at, host, "drain").await;
        for peer in at.peers.values() {
            loop {
                let asked = Instant::now();
                let sends = self.on(peer).await.is_some_and(|member| member.sessions > 0);
                if !sends || begin.elapsed() >= DRAINS {
                    break;
                }
                tokio::time::sleep(pause(begin.elapsed(), asked.elapsed())).await;
            }
        }
    }

    /// Best effort: what a load balancer was told is gone when it is itself replaced, or its host is.
    pub(super) async fn tell(&self, at: &View, host: &Remote, state: &str) {
        if self.tell.is_empty() || !self.others {
            return;
        }
        let words = [&self.backend, &self.server, state].map(str::to_owned);
        let argv: Vec<String> = self.tell.iter().cloned().chain(words).collect();
        let run_one = at.peers.iter().filter(|(_, peer)| self.runs_on(peer));
        for balancer in run_one.filter_map(|(name, _)| host.peer(name)) {
            let told = balancer.act().exec(&self.container, "", &argv, &[]);
            let _ = tokio::time::timeout(LISTENS, told).await;
        }
    }

    fn runs_on(&self, peer: &Peer) -> bool {
        peer.container(&self.container).as_ref().is_some_and(ContainerState::running)
    }

    /// What a load balancer says of this member; none where it has nothing to say.
    async fn on(&self, peer: &Peer) -> Option<Member> {
        if !self.runs_on(peer) {
            return None;
        }
        // One that is being replaced itself, or whose host is gone, sends to nobody.
        let text = peer.host.probe(&self.container, &self.ask).await.ok()?.text();
        let mut lines = text.lines().map(|line| line.splitn(4, ',').collect::<Vec<_>>());
        lines.find_map(|fields| match fields[..] {
            [backend, server, sessions, status] if backend == self.backend && server == self.server => {
                Some(Member { sessions: sessions.parse().unwrap_or(0), status: status.to_owned() })
            }
            _ => None,
        })
    }
}

/// A member as a load balancer sees it.
struct Member {
    sessions: u64,
    status: String,
}

impl Member {
    fn up(&self) -> bool {
        self.status.starts_with("UP")
    }
}

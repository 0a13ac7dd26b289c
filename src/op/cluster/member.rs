//! What each member of a cluster says: from its containers, the program in them, and the files that it left.

use futures_util::future::try_join_all;

use super::decision::{Member, Position};
use super::{Cluster, STOPS};
use crate::error::Result;
use crate::host::{ContainerState, Reach};
use crate::op::container::told_to_stop;
use crate::op::{Peer, View, names};

/// How long a member that cannot be asked gets to accept a connection.
const ACCEPTS: std::time::Duration = std::time::Duration::from_secs(3);

impl Cluster {
    /// All members' words.
    ///
    /// # Errors
    /// When a connected host does not answer.
    pub(super) async fn members(&self, at: &View) -> Result<Vec<(String, Member)>> {
        try_join_all(self.members.keys().map(|name| self.word(name, at))).await
    }

    async fn word(&self, name: &str, at: &View) -> Result<(String, Member)> {
        let member = match askable(name, at) {
            Some(peer) => self.member(peer, at).await?,
            None => self.seen_by_others(name, at).await,
        };
        Ok((name.to_owned(), member))
    }

    /// Its containers that run or will: the seed's and its own, also under the name that one has while it is replaced.
    pub(super) fn containers(&self, peer: &Peer) -> Vec<ContainerState> {
        let own = self.container();
        let names = [self.seed_name(), own.to_owned(), names::previous(own)];
        names.iter().filter_map(|name| peer.container(name)).filter(ContainerState::alive).collect()
    }

    async fn member(&self, peer: &Peer, at: &View) -> Result<Member> {
        let containers = self.containers(peer);
        if containers.is_empty() {
            return self.at_rest(peer, at).await;
        }
        // One whose stop was ordered is about to end, unless it goes on for longer than any stop takes.
        let ends = |state: &ContainerState| {
            let stop = format!("stop of {} on {}", state.id, peer.host.name());
            told_to_stop(state, peer) && at.shared.since(&stop, "ordered").elapsed() < STOPS
        };
        if containers.iter().any(ends) {
            return Ok(Member::Stopping);
        }
        let mut word = Member::Starting;
        for state in containers.iter().filter(|state| state.running()) {
            match self.said(peer, &state.name).await {
                serving @ Member::Serving { .. } => return Ok(serving),
                Member::Starting => {}
                other => word = other,
            }
        }
        Ok(word)
    }

    async fn said(&self, peer: &Peer, container: &str) -> Member {
        match peer.host.probe(container, &self.spec.running.exec).await {
            Ok(output) if output.code == 0 => self.spec.running.parse(&output.text()),
            _ => Member::Starting,
        }
    }

    /// Of one that cannot be asked: whether others see that it serves.
    async fn seen_by_others(&self, name: &str, at: &View) -> Member {
        let Some(address) = self.members.get(name) else { return Member::Silent };
        for peer in self.members.keys().filter_map(|other| askable(other, at)) {
            if matches!(peer.host.reach(address, self.spec.port, ACCEPTS).await, Ok(Reach::Open)) {
                return Member::Alive;
            }
        }
        Member::Silent
    }

    pub(super) fn saved_path(&self, peer: &Peer, file: &str) -> String {
        let root = peer.look(|look| look.facts.engine_root.clone());
        let root = if root.is_empty() { "/var/lib/docker".to_owned() } else { root };
        format!("{root}/volumes/{}/_data/{file}", self.volume)
    }

    /// What one that does not run left.
    pub(super) async fn at_rest(&self, peer: &Peer, at: &View) -> Result<Member> {
        let stopped = &self.spec.stopped;
        let text = peer.host.read(&self.saved_path(peer, &stopped.file)).await?;
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let data = peer.host.read(&self.saved_path(peer, &stopped.data)).await?.is_some();
        Ok(stopped.parse(text.as_deref(), data, self.found(peer, at)))
    }

    /// How far the data of one that crashed got, as found out in this run.
    fn found(&self, peer: &Peer, at: &View) -> Option<Position> {
        let (cluster, seqno) = at.shared.position(&self.member_name(peer.host.name()))?;
        Some(Position { cluster, seqno })
    }
}

/// A member's host, if it and its engine answer: without the engine nobody can tell what runs.
fn askable<'a>(name: &str, at: &'a View) -> Option<&'a Peer> {
    at.peers.get(name).filter(|peer| peer.look(|look| look.facts.engine))
}

//! What each member of a Galera cluster says: from its containers, its client, and the files that it left.

use futures_util::future::try_join_all;

use super::decision::{Member, Position};
use super::{Galera, STOPS};
use crate::error::Result;
use crate::host::{ContainerState, Reach};
use crate::op::container::told_to_stop;
use crate::op::{Peer, View, names};

/// How long a member that cannot be asked gets to accept a connection.
const ACCEPTS: std::time::Duration = std::time::Duration::from_secs(3);
/// Answered by a server in any state, once it accepts connections.
const QUESTION: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('wsrep_cluster_status', 'wsrep_cluster_state_uuid', 'wsrep_cluster_size');";

impl Galera {
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
        let own = &self.sql.container;
        let names = [self.seed_name(), own.clone(), names::previous(own)];
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
        match peer.host.probe(container, &self.sql.question(QUESTION)).await {
            Ok(output) if output.code == 0 => parse_status(&output.text()),
            _ => Member::Starting,
        }
    }

    /// Of one that cannot be asked: whether others see its database.
    async fn seen_by_others(&self, name: &str, at: &View) -> Member {
        let (Some(address), Some(port)) = (self.members.get(name), self.port) else { return Member::Silent };
        for peer in self.members.keys().filter_map(|other| askable(other, at)) {
            if matches!(peer.host.reach(address, port, ACCEPTS).await, Ok(Reach::Open)) {
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
        let state = peer.host.read(&self.saved_path(peer, "grastate.dat")).await?;
        let state = state.map(|text| parse_state(&String::from_utf8_lossy(&text)));
        if let Some(State { position, last }) = &state
            && !position.cluster.is_empty()
        {
            let position = position.clone();
            return Ok(if position.seqno >= 0 {
                Member::Stopped { position, last: *last }
            } else {
                Member::Crashed { cluster: position.cluster, found: found(peer, at) }
            });
        }
        // Every data folder of MariaDB has this one.
        let data = peer.host.read(&self.saved_path(peer, "aria_log_control")).await?.is_some();
        Ok(match state {
            _ if !data => Member::Empty,
            None => Member::Bare,
            // Galera takes the cluster's name out of its file while tables are changed or a copy is taken.
            Some(_) => Member::Crashed { cluster: String::new(), found: found(peer, at) },
        })
    }
}

/// A member's host, if it and its engine answer: without the engine nobody can tell what runs.
fn askable<'a>(name: &str, at: &'a View) -> Option<&'a Peer> {
    at.peers.get(name).filter(|peer| peer.look(|look| look.facts.engine))
}

/// How far the data of one that crashed got, as found out in this run.
fn found(peer: &Peer, at: &View) -> Option<Position> {
    at.shared.position(peer.host.name()).and_then(|text| parse_position(&text))
}

/// What Galera's own file says.
struct State {
    position: Position,
    last: bool,
}

/// The UUID of a cluster; empty where it stands for none.
fn cluster(uuid: &str) -> String {
    if uuid.chars().all(|c| matches!(c, '0' | '-')) { String::new() } else { uuid.to_owned() }
}

fn parse_state(text: &str) -> State {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().strip_prefix(':').map(str::trim))
            .unwrap_or_default()
    };
    let seqno = value("seqno").parse().unwrap_or(-1);
    State { position: Position { cluster: cluster(value("uuid")), seqno }, last: value("safe_to_bootstrap") == "1" }
}

/// As `--wsrep-recover` prints it: `UUID:SEQNO`, with a GTID behind it in some versions.
pub(super) fn parse_position(text: &str) -> Option<Position> {
    let (uuid, seqno) = text.trim().split(',').next()?.rsplit_once(':')?;
    Some(Position { cluster: cluster(uuid), seqno: seqno.parse().ok()? })
}

fn parse_status(text: &str) -> Member {
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t')).unwrap_or_default();
    let cluster = cluster(value("wsrep_cluster_state_uuid"));
    if value("wsrep_cluster_status") == "Primary" {
        Member::Serving { cluster, size: value("wsrep_cluster_size").parse().unwrap_or(0) }
    } else {
        Member::Outside { cluster }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galeras_file_is_read() {
        let State { position, last } =
            parse_state("# GALERA saved state\nversion: 2.1\nuuid:    a-b\nseqno:   42\nsafe_to_bootstrap: 1\n");
        assert_eq!((position, last), (Position { cluster: "a-b".into(), seqno: 42 }, true));
        for none in ["", "uuid:    00000000-0000-0000-0000-000000000000\nseqno:   -1\nsafe_to_bootstrap: 0\n"] {
            assert_eq!(parse_state(none).position, Position { cluster: String::new(), seqno: -1 });
        }
    }

    #[test]
    fn a_position_may_have_a_gtid_behind_it() {
        let position = Position { cluster: "a-b".into(), seqno: 42 };
        assert_eq!(parse_position(" a-b:42"), Some(position.clone()));
        assert_eq!(parse_position("a-b:42,0-1-7"), Some(position));
        assert_eq!(parse_position("00000000-0000-0000-0000-000000000000:-1").unwrap().cluster, "");
        assert_eq!(parse_position("nobody knows"), None);
    }

    #[test]
    fn only_a_majority_serves() {
        let said = "wsrep_cluster_size\t2\nwsrep_cluster_state_uuid\ta-b\nwsrep_cluster_status\t";
        let cluster = "a-b".to_owned();
        assert_eq!(parse_status(&format!("{said}Primary")), Member::Serving { cluster: cluster.clone(), size: 2 });
        for status in ["non-Primary", "Disconnected", ""] {
            assert_eq!(parse_status(&format!("{said}{status}")), Member::Outside { cluster: cluster.clone() });
        }
    }
}

//! Who starts a Galera cluster, and when nobody may.
//!
//! Every member has one of these operations; all of them see the same members and come to the same decision,
//! so only one acts. It starts a *seed*: a second container of the same files and volume that forms a new
//! cluster. The members' own containers then join one after the other, the seed's host last: it stops the
//! seed once the others hold the data. Whatever was interrupted, what runs and what the volumes say is
//! enough to decide again.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::container::{Container, stop, told_to_stop};
use super::database::Sql;
use super::files::run;
use super::task::run_once;
use super::{Diff, Operation, Peer, Tell, View};
use crate::error::{Error, Result};
use crate::host::{ContainerSpec, ContainerState, Remote};
use crate::shell::quote;

/// Seconds a member gets to stop in order.
const STOP_TIMEOUT: u32 = 60;
/// How long a stop is waited for that somebody else ordered: longer than any gets.
const STOPS: Duration = Duration::from_mins(3);

/// What one member's operation is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Finds out how far the member's data got, for a recovery.
    Position,
    /// Starts the seed if it is this member's turn.
    #[default]
    Seed,
}

/// The decision at one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Galera {
    /// What is to be done.
    pub stage: Stage,
    /// Inventory names of the members, in order.
    pub members: Vec<String>,
    /// Volume with the data.
    pub volume: String,
    /// The member's own container and its client.
    pub sql: Sql,
    /// The seed on this host: as the member's own container, but for its name.
    pub seed: Container,
    /// After a crash of all: go by the positions found, instead of refusing.
    pub recover: bool,
    /// The member to start from, chosen by the operator.
    pub forced: Option<String>,
    /// Secret environment of the first start.
    #[serde(skip)]
    pub first_start: BTreeMap<String, String>,
}

/// How far a member's data got.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    cluster: String,
    seqno: i64,
}

/// What a member's volume says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Saved {
    /// No data.
    Nothing,
    /// Data that was never part of a cluster: restored from a backup, or of a first start that was killed.
    Bare,
    /// Stopped in order; `last` where it was the last one to stop.
    Clean { position: Position, last: bool },
    /// Ended otherwise: only the database itself knows.
    Unclean,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Up(String),
    Start { host: String, new: bool, why: String },
}

impl Galera {
    fn seed_name(&self) -> &str {
        &self.seed.spec.name
    }

    /// It runs, and goes on running.
    fn runs(&self, peer: &Peer) -> bool {
        [self.sql.container.as_str(), self.seed_name()]
            .iter()
            .filter_map(|name| peer.container(name))
            .any(|state| state.running() && !told_to_stop(&state, peer))
    }

    /// A run that was killed had ordered stops: what they leave in the volumes counts, once they have ended. False where
    /// one goes on running: its stop never reached the engine.
    async fn until_stopped(&self, at: &View) -> Result<bool> {
        let end = Instant::now() + STOPS;
        for peer in self.members.iter().filter_map(|name| at.peers.get(name)) {
            let stops = || {
                [self.sql.container.as_str(), self.seed_name()]
                    .iter()
                    .filter_map(|name| peer.container(name))
                    .any(|state| told_to_stop(&state, peer))
            };
            while stops() {
                if Instant::now() > end {
                    return Ok(false);
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                peer.refresh_containers().await?;
            }
        }
        Ok(true)
    }

    fn saved_path(&self, peer: &Peer, file: &str) -> String {
        let root = peer.look(|look| look.facts.engine_root.clone());
        let root = if root.is_empty() { "/var/lib/docker".to_owned() } else { root };
        format!("{root}/volumes/{}/_data/{file}", self.volume)
    }

    async fn saved(&self, peer: &Peer) -> Result<Saved> {
        let Some(text) = peer.host.read(&self.saved_path(peer, "grastate.dat")).await? else {
            // Every data folder of MariaDB has this one.
            let bare = peer.host.read(&self.saved_path(peer, "aria_log_control")).await?.is_some();
            return Ok(if bare { Saved::Bare } else { Saved::Nothing });
        };
        Ok(parse_saved(&String::from_utf8_lossy(&text)))
    }

    /// A running member that is part of a cluster with a majority.
    async fn primary(&self, at: &View) -> Result<Option<String>> {
        for name in &self.members {
            let Some(peer) = at.peers.get(name).filter(|peer| self.runs(peer)) else { continue };
            let seed = peer.container(self.seed_name()).is_some_and(|state| state.running());
            let container = if seed { self.seed_name().to_owned() } else { self.sql.container.clone() };
            let sql = Sql { container, argv: self.sql.argv.clone() };
            let question = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status';";
            // One that is just starting does not answer: that is not a no for the others.
            if let Ok(rows) = sql.rows(&peer.host, question).await
                && rows.iter().flatten().any(|cell| cell == "Primary")
            {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    async fn decide(&self, at: &View) -> Result<Decision> {
        let running =
            self.members.iter().filter(|name| at.peers.get(*name).is_some_and(|peer| self.runs(peer))).count();
        let marked_up = self.members.iter().all(|name| {
            at.peers.get(name).is_some_and(|peer| {
                let running = |state: &ContainerState| state.running() && !told_to_stop(state, peer);
                peer.container(&self.sql.container).is_some_and(|state| running(&state) && !state.unhealthy())
            })
        });
        // Nothing to decide, and nothing to ask, in the everyday case.
        if marked_up && !self.recover {
            return Ok(Decision::Up("all members run".into()));
        }
        if running > 0 {
            if let Some(host) = self.primary(at).await? {
                return Ok(Decision::Up(format!("{host} is in a cluster with a majority")));
            }
            if !self.recover {
                return Err(Error::operation("MariaDB runs, but no member is in a cluster with a majority")
                    .with_hint("wait a minute if a member has just started; else run `kolla mariadb-recovery`"));
            }
        }
        if !self.until_stopped(at).await? {
            // Its own turn brings that in order.
            return Ok(Decision::Up("a member that was told to stop goes on".into()));
        }
        let away: Vec<&str> =
            self.members.iter().filter(|name| !at.peers.contains_key(*name)).map(String::as_str).collect();
        // Left in globals.yml after a recovery it must not decide who starts after an ordinary stop.
        if let Some(forced) = self.forced.as_ref().filter(|_| self.recover || !away.is_empty()) {
            if !self.members.contains(forced) {
                return Err(Error::operation(format!(
                    "`mariadb_recover_inventory_name` is `{forced}`, which is no member"
                ))
                .with_hint(format!("members: {}", self.members.join(", "))));
            }
            return Ok(Decision::Start { host: forced.clone(), new: false, why: "chosen by the operator".into() });
        }
        if !away.is_empty() {
            return Err(Error::operation(format!(
                "cannot tell which MariaDB has the newest data: {} not connected",
                away.join(", ")
            ))
            .with_hint("bring the host back, or choose with `-e mariadb_recover_inventory_name=HOST`"));
        }
        if self.recover { self.decide_by_position(at) } else { self.decide_by_saved(at).await }
    }

    async fn decide_by_saved(&self, at: &View) -> Result<Decision> {
        let mut saved = Vec::new();
        for name in &self.members {
            if let Some(peer) = at.peers.get(name) {
                saved.push((name.clone(), self.saved(peer).await?));
            }
        }
        from_saved(&saved)
    }

    fn decide_by_position(&self, at: &View) -> Result<Decision> {
        let mut found = Vec::new();
        for name in &self.members {
            // One that was not asked may have the newest data.
            let Some(text) = at.shared.position(name) else {
                return Err(Error::operation(format!("nobody asked {name} how far its data got"))
                    .with_hint("run `kolla mariadb-recovery` without `--limit`"));
            };
            found.push((name.clone(), parse_position(&text)));
        }
        from_positions(&found)
    }

    async fn find_position(&self, at: &View, host: &Remote, tell: &Tell) -> Result<()> {
        for name in [self.sql.container.as_str(), self.seed_name()] {
            if host.containers().await?.contains_key(name) {
                stop(name, STOP_TIMEOUT, at, host).await?;
            }
        }
        host.act().remove(self.seed_name()).await?;
        at.me.refresh_containers().await?;
        let position = match self.saved(&at.me).await? {
            Saved::Nothing | Saved::Bare => String::new(),
            Saved::Clean { position, .. } if position.seqno >= 0 => format!("{}:{}", position.cluster, position.seqno),
            Saved::Clean { .. } | Saved::Unclean => {
                let spec = ContainerSpec {
                    name: format!("{}_position", self.sql.container),
                    env: [
                        ("KOLLA_CONFIG_STRATEGY".to_owned(), "COPY_ALWAYS".to_owned()),
                        ("BOOTSTRAP_ARGS".to_owned(), "--wsrep-recover --skip-log-error".to_owned()),
                    ]
                    .into(),
                    ..self.seed.spec.clone()
                };
                let log = run_once(&spec, at, host, tell).await?;
                let found = log.iter().rev().find_map(|line| line.split_once("Recovered position:"));
                let Some((_, position)) = found else {
                    return Err(Error::operation("MariaDB did not tell its position")
                        .because(log.last().cloned().unwrap_or_default()));
                };
                position.trim().split(',').next().unwrap_or_default().to_owned()
            }
        };
        at.shared.note_position(host.name(), position);
        Ok(())
    }

    async fn start(&self, new: bool, at: &View, host: &Remote, tell: &Tell) -> Result<()> {
        if new {
            let mut env = self.seed.spec.env.clone();
            env.shift_remove("BOOTSTRAP_ARGS");
            env.insert("KOLLA_BOOTSTRAP".into(), String::new());
            env.extend(self.first_start.clone());
            let spec =
                ContainerSpec { name: format!("{}_bootstrap", self.sql.container), env, ..self.seed.spec.clone() };
            run_once(&spec, at, host, tell).await?;
        } else {
            let path = quote(&self.saved_path(&at.me, "grastate.dat"));
            run(host, &format!("sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' {path} && sync {path}")).await?;
        }
        stop(&self.sql.container, STOP_TIMEOUT, at, host).await.or_else(missing_is_fine)?;
        self.seed.apply(&Diff::Create(Vec::new()), at, host, tell).await
    }
}

fn missing_is_fine(error: Error) -> Result<()> {
    match &error {
        Error::Host(host) if matches!(host.cause, crate::error::HostCause::Engine { status: 404, .. }) => Ok(()),
        _ => Err(error),
    }
}

fn parse_saved(text: &str) -> Saved {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().strip_prefix(':').map(|rest| rest.trim().to_owned()))
    };
    let seqno = value("seqno").and_then(|text| text.parse().ok()).unwrap_or(-1);
    let cluster = value("uuid").unwrap_or_default();
    let last = value("safe_to_bootstrap").as_deref() == Some("1");
    if seqno < 0 && !last {
        return if cluster.starts_with("00000000") { Saved::Nothing } else { Saved::Unclean };
    }
    Saved::Clean { position: Position { cluster, seqno }, last }
}

fn parse_position(text: &str) -> Option<Position> {
    let (cluster, seqno) = text.trim().rsplit_once(':')?;
    Some(Position { cluster: cluster.to_owned(), seqno: seqno.parse().ok()? })
}

/// Who starts when nothing runs and nothing crashed.
fn from_saved(saved: &[(String, Saved)]) -> Result<Decision> {
    if saved.iter().all(|(_, saved)| matches!(saved, Saved::Nothing | Saved::Bare)) {
        let (first, _) = saved.first().ok_or_else(|| Error::operation("MariaDB has no members"))?;
        let bare: Vec<&str> =
            saved.iter().filter(|(_, saved)| *saved == Saved::Bare).map(|(name, _)| name.as_str()).collect();
        // Where there is data already, the first start only completes it.
        return match bare[..] {
            [] => Ok(Decision::Start { host: first.clone(), new: true, why: "no member has data".into() }),
            [one] => Ok(Decision::Start { host: one.into(), new: true, why: "it alone has data".into() }),
            _ => Err(Error::operation(format!("several members have data of no cluster: {}", bare.join(", ")))
                .with_hint("keep the volume of the one that is right, and remove those of the others")),
        };
    }
    let mut last: Vec<(&String, i64)> = saved
        .iter()
        .filter_map(|(name, saved)| match saved {
            Saved::Clean { position, last: true } => Some((name, position.seqno)),
            _ => None,
        })
        .collect();
    last.sort_by_key(|(_, seqno)| -seqno);
    if let Some((name, _)) = last.first() {
        return Ok(Decision::Start { host: (*name).clone(), new: false, why: "it stopped last".into() });
    }
    // One that was only about to join when all were stopped keeps the others from knowing who was last. Where each
    // that has data stopped in order, how far they got is known exactly.
    if saved.iter().all(|(_, saved)| *saved != Saved::Unclean) {
        let found: Vec<(String, Option<Position>)> = saved
            .iter()
            .map(|(name, saved)| match saved {
                Saved::Clean { position, .. } => (name.clone(), Some(position.clone())),
                Saved::Nothing | Saved::Bare | Saved::Unclean => (name.clone(), None),
            })
            .collect();
        return from_positions(&found);
    }
    Err(Error::operation("all members of MariaDB ended without being stopped in order")
        .with_hint("run `kolla mariadb-recovery`: it starts from the member with the newest data"))
}

/// Who starts after a crash of all: the one whose data got furthest, if they are of one cluster.
fn from_positions(found: &[(String, Option<Position>)]) -> Result<Decision> {
    let known: Vec<(&String, &Position)> =
        found.iter().filter_map(|(name, position)| Some((name, position.as_ref()?))).collect();
    let real: Vec<&(&String, &Position)> =
        known.iter().filter(|(_, position)| !position.cluster.starts_with("00000000")).collect();
    let Some(best) = real.iter().rev().max_by_key(|(_, position)| position.seqno) else {
        return Err(Error::operation("no member of MariaDB has data to recover from")
            .with_hint("restore a backup, or run `kolla deploy` where there never was any data"));
    };
    if real.iter().any(|(_, position)| position.cluster != best.1.cluster) {
        let all: Vec<String> =
            real.iter().map(|(name, position)| format!("{name} {}:{}", position.cluster, position.seqno)).collect();
        return Err(Error::operation(format!("the members' data are of different clusters: {}", all.join(", ")))
            .with_hint("choose the one to keep with `-e mariadb_recover_inventory_name=HOST`"));
    }
    Ok(Decision::Start { host: best.0.clone(), new: false, why: format!("its data got furthest, to {}", best.1.seqno) })
}

#[async_trait]
impl Operation for Galera {
    fn subject(&self) -> String {
        match self.stage {
            Stage::Position => format!("galera position of {}", self.sql.container),
            Stage::Seed => format!("galera seed of {}", self.sql.container),
        }
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if self.stage == Stage::Position {
            return Ok(match self.primary(at).await? {
                Some(host) => Diff::Same(format!("{host} is in a cluster with a majority")),
                None => Diff::Run("no member is in a cluster with a majority".into()),
            });
        }
        Ok(match self.decide(at).await? {
            Decision::Up(why) => Diff::Same(why),
            Decision::Start { host, why, .. } if host == at.host().name() => {
                Diff::Run(format!("starts the cluster: {why}"))
            }
            Decision::Start { host, why, .. } => Diff::Same(format!("{host} starts the cluster: {why}")),
        })
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, tell: &Tell) -> Result<()> {
        if self.stage == Stage::Position {
            return self.find_position(at, host, tell).await;
        }
        match self.decide(at).await? {
            Decision::Start { new, .. } => self.start(new, at, host, tell).await,
            Decision::Up(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(text: &str) -> Saved {
        parse_saved(text)
    }

    fn position(seqno: i64) -> Position {
        Position { cluster: "a".into(), seqno }
    }

    #[test]
    fn grastate_is_read() {
        let clean = "# GALERA saved state\nversion: 2.1\nuuid:    a-b\nseqno:   42\nsafe_to_bootstrap: 1\n";
        let position = Position { cluster: "a-b".into(), seqno: 42 };
        assert_eq!(saved(clean), Saved::Clean { position, last: true });
        assert_eq!(saved("uuid: a-b\nseqno: -1\nsafe_to_bootstrap: 0\n"), Saved::Unclean);
    }

    #[test]
    fn a_new_cluster_is_started_only_where_nobody_has_data() {
        let nobody = [("a".to_owned(), Saved::Nothing), ("b".to_owned(), Saved::Nothing)];
        assert!(matches!(from_saved(&nobody), Ok(Decision::Start { host, new: true, .. }) if host == "a"));
        let one = [("a".to_owned(), Saved::Nothing), ("b".to_owned(), Saved::Unclean)];
        assert!(from_saved(&one).is_err());
        let restored = [("a".to_owned(), Saved::Nothing), ("b".to_owned(), Saved::Bare)];
        assert!(matches!(from_saved(&restored), Ok(Decision::Start { host, new: true, .. }) if host == "b"));
        assert!(from_saved(&[("a".to_owned(), Saved::Bare), ("b".to_owned(), Saved::Bare)]).is_err());
    }

    #[test]
    fn the_last_one_to_stop_starts() {
        let stopped = |seqno, last| Saved::Clean { position: Position { cluster: "a".into(), seqno }, last };
        let all = [("a".to_owned(), stopped(5, false)), ("b".to_owned(), stopped(6, true))];
        assert!(matches!(from_saved(&all), Ok(Decision::Start { host, new: false, .. }) if host == "b"));
    }

    #[test]
    fn where_nobody_was_last_the_furthest_that_stopped_in_order_starts() {
        let stopped = |seqno| Saved::Clean { position: Position { cluster: "a".into(), seqno }, last: false };
        let all = [("a".to_owned(), Saved::Nothing), ("b".to_owned(), stopped(572)), ("c".to_owned(), stopped(573))];
        assert!(matches!(from_saved(&all), Ok(Decision::Start { host, new: false, .. }) if host == "c"));
        let crashed = [("a".to_owned(), Saved::Unclean), ("b".to_owned(), stopped(572))];
        assert!(from_saved(&crashed).is_err());
    }

    #[test]
    fn a_recovery_takes_the_furthest_and_refuses_two_clusters() {
        let found = [("a".to_owned(), Some(position(5))), ("b".to_owned(), Some(position(9))), ("c".to_owned(), None)];
        assert!(matches!(from_positions(&found), Ok(Decision::Start { host, .. }) if host == "b"));
        let other = Some(Position { cluster: "z".into(), seqno: 7 });
        assert!(from_positions(&[("a".to_owned(), Some(position(5))), ("b".to_owned(), other)]).is_err());
    }
}

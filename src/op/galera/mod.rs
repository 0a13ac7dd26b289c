//! The operation behind a Galera cluster: each member has it, all see the same members and come to the same decision,
//! so only one acts. It starts a *seed*: a second container of the same files and volume that forms a new cluster. The
//! members' own containers then join one after the other, the seed's host last: it stops the seed once the others hold
//! the data. Whatever was interrupted, what runs and what the volumes say is enough to decide again.

mod decision;
mod member;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::decision::{Case, Decision, History, Member, Undecided, decide};
use super::container::{Container, stop, told_to_stop};
use super::file::run;
use super::sql::Sql;
use super::task::run_once;
use super::{Attribute, Attributes, Diff, Operation, ProgressSink, View, Want, names};
use crate::error::{Error, Result};
use crate::host::Remote;
use crate::shell::join;

/// The variable by which the operator chooses for a run who starts.
pub const CHOICE: &str = "mariadb_recover_inventory_name";

/// Seconds a member gets to stop in order.
const STOP_TIMEOUT: u32 = 60;
/// How long a stop is waited for that somebody else ordered: longer than any gets.
const STOPS: Duration = Duration::from_mins(3);
/// How long members that run may take to find each other: after a power cut of all they do so by themselves.
const FORMS: Duration = Duration::from_mins(2);
/// The same beside a cluster that serves, and in a recovery: one that was started just now is soon in.
const JOINS: Duration = Duration::from_secs(30);

/// How a member finds the cluster that it is to be in.
const UP: &str = "up";
const DOWN: &str = "down";
const OUTSIDE: &str = "up without this member";

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
    /// The members by their inventory names, in order, with the addresses at which others reach them.
    pub members: IndexMap<String, String>,
    /// The port at which a member's database serves.
    pub port: Option<u16>,
    /// Volume with the data.
    pub volume: String,
    /// The member's own container and its client.
    pub sql: Sql,
    /// The member's own container.
    pub member: Container,
    /// A recovery: members are stopped and asked how far their data got, where that has to be known.
    pub recover: bool,
    /// The member to start from, chosen by the operator for this run.
    pub chosen: Option<String>,
    /// Secret environment of the first start.
    #[serde(skip)]
    pub first_start: BTreeMap<String, String>,
}

impl Galera {
    fn seed_name(&self) -> String {
        names::seed(&self.sql.container)
    }

    /// As the member's own container, but that it forms a new cluster.
    fn seed(&self) -> Container {
        let mut seed =
            Container { before_replace: None, takes_over_from: None, want: Want::Running, ..self.member.clone() };
        seed.spec.name = self.seed_name();
        seed.spec.restart = false;
        seed.spec.env.insert("BOOTSTRAP_ARGS".into(), "--wsrep-new-cluster".into());
        seed
    }

    /// The everyday case, in which nobody is asked: all members run, and nothing is wanted of this one.
    async fn nothing_to_decide(&self, at: &View) -> bool {
        let runs = |name: &String| {
            let own = at.peers.get(name).and_then(|peer| Some((peer, peer.container(&self.sql.container)?)));
            own.is_some_and(|(peer, state)| state.running() && !told_to_stop(&state, peer) && !state.unhealthy())
        };
        !self.recover
            && self.members.keys().all(runs)
            && matches!(self.member.diff(at).await, Ok(diff) if !diff.differs())
    }

    /// How long members that run have been as they are, as far as this run has seen.
    fn unchanged(&self, at: &View, members: &[(String, Member)]) -> Duration {
        let since = members.iter().filter_map(|(name, member)| {
            let since = at.shared.since(&format!("{} of {name}", self.sql.container), member.state());
            (!member.state().is_empty()).then_some(since)
        });
        since.max().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Asks all and decides; with patience for what may settle by itself, which all members share.
    async fn decide(&self, at: &View, patient: bool) -> Result<Decision> {
        let begin = Instant::now();
        loop {
            let members = self.members(at).await?;
            let took = begin.elapsed().max(self.unchanged(at, &members));
            let some = |wanted: fn(&Member) -> bool| members.iter().any(|(_, member)| wanted(member));
            let limit = if some(|member| *member == Member::Stopping) {
                STOPS
            } else if self.recover || some(|member| matches!(member, Member::Serving { .. })) {
                JOINS
            } else {
                FORMS
            };
            let chosen = self.chosen.as_deref();
            let waited = !patient || took >= limit;
            match decide(&Case { members: &members, recover: self.recover, chosen, waited }) {
                Ok(decision) => return Ok(decision),
                Err(Undecided::Refused { why, hint }) => return Err(Error::operation(why).with_hint(hint)),
                Err(Undecided::NotYet) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
            for peer in self.members.keys().filter_map(|name| at.peers.get(name)) {
                peer.refresh_containers().await?;
            }
        }
    }

    /// What the decision means for this member: what it has to do, and whether there is a cluster with it in it.
    async fn outcome(&self, at: &View, patient: bool) -> Result<(Diff, Attributes)> {
        let cluster = |now: Option<&str>| {
            let attribute = Attribute { before: now.map(str::to_owned), after: UP.to_owned() };
            Attributes::from([("cluster".to_owned(), attribute)])
        };
        if self.nothing_to_decide(at).await {
            return Ok((Diff::Same("all members run".into()), cluster(Some(UP))));
        }
        let decision = self.decide(at, patient).await;
        let me = at.host().name();
        let named = |names: &[String]| names.iter().any(|name| name == me);
        if self.stage == Stage::Position {
            return Ok(match decision {
                Ok(Decision::Ask { whom, why }) if named(&whom) => {
                    let position = Attribute::new("", "known");
                    (Diff::Run(why), Attributes::from([("position".to_owned(), position)]))
                }
                Ok(Decision::Join { why, .. }) => (Diff::Same(why), Attributes::new()),
                // What is refused, the seed's decision tells once.
                _ => (Diff::Same("it need not be asked".into()), Attributes::new()),
            });
        }
        Ok(match decision? {
            Decision::Join { why, again } if named(&again) => {
                let why = format!("starts again, to join: {why}, and this one is not");
                (Diff::Run(why), cluster(Some(OUTSIDE)))
            }
            Decision::Join { why, .. } => (Diff::Same(why), cluster(Some(UP))),
            Decision::Start { host, why, .. } if host == me => {
                (Diff::Run(format!("starts the cluster: {why}")), cluster(Some(DOWN)))
            }
            // It joins once that one has started it: until then nobody can tell.
            Decision::Start { host, why, .. } => {
                (Diff::Same(format!("{host} starts the cluster: {why}")), cluster(None))
            }
            Decision::Ask { whom, .. } => {
                return Err(Error::operation(format!("nobody asked {} how far its data got", whom.join(", ")))
                    .with_hint("run `kolla mariadb-recovery` without `--limit`"));
            }
        })
    }

    /// Stops the member, the seed as well, and finds out how far its data got.
    async fn find_position(&self, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        self.stop_all(at, host).await?;
        if !matches!(self.at_rest(&at.me, at).await?, Member::Crashed { found: None, .. }) {
            return Ok(());
        }
        let mut spec = self.seed().spec;
        spec.name = names::position(&self.sql.container);
        spec.env.insert("KOLLA_CONFIG_STRATEGY".into(), "COPY_ALWAYS".into());
        spec.env.insert("BOOTSTRAP_ARGS".into(), "--wsrep-recover --skip-log-error".into());
        let hint =
            || format!("mend what its log says, or choose who starts with `kolla mariadb-recovery -e {CHOICE}=HOST`");
        let log = run_once(&spec, at, host, sink).await.map_err(|error| error.with_hint(hint()))?;
        let found = log.iter().rev().find_map(|line| line.split_once("Recovered position:"));
        let found = found.filter(|(_, position)| member::parse_position(position).is_some());
        let Some((_, position)) = found else {
            return Err(Error::operation("MariaDB did not tell its position")
                .because(log.last().cloned().unwrap_or_default())
                .with_hint(hint()));
        };
        at.shared.note_position(host.name(), position.trim().to_owned());
        Ok(())
    }

    async fn stop_all(&self, at: &View, host: &Remote) -> Result<()> {
        for state in self.containers(&at.me) {
            stop(&state.name, STOP_TIMEOUT, at, host).await?;
        }
        host.act().remove(&self.seed_name()).await?;
        at.me.refresh_containers().await
    }

    async fn start(&self, history: History, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        let seed = self.seed();
        let path = |file: &str| self.saved_path(&at.me, file);
        self.stop_all(at, host).await?;
        match history {
            History::First => {
                let mut spec = seed.spec.clone();
                spec.name = names::bootstrap(&self.sql.container);
                spec.env.shift_remove("BOOTSTRAP_ARGS");
                spec.env.insert("KOLLA_BOOTSTRAP".into(), String::new());
                spec.env.extend(self.first_start.clone());
                run_once(&spec, at, host, sink).await?;
            }
            History::Continued => {}
            History::Forked => {
                let files = [path("grastate.dat"), path("gvwstate.dat")];
                run(host, &format!("rm -f {}", join(&files))).await?;
            }
        }
        // Galera itself refuses another one, and did not see what the decision is made from.
        let state = path("grastate.dat");
        if host.read(&state).await?.is_some() {
            let state = crate::shell::quote(&state);
            run(host, &format!("sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' {state} && sync {state}"))
                .await?;
        }
        seed.apply(&Diff::Create(Vec::new()), at, host, sink).await
    }

    /// A member that is outside of the cluster that serves starts again, and joins it.
    async fn join_again(&self, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        self.stop_all(at, host).await?;
        // One that was a seed has a container of its own made afterwards.
        match at.me.container(&self.sql.container) {
            Some(_) => self.member.apply(&Diff::Start, at, host, sink).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Operation for Galera {
    fn subject(&self) -> String {
        match self.stage {
            Stage::Position => format!("galera position of {}", self.sql.container),
            Stage::Seed => format!("galera seed of {}", self.sql.container),
        }
    }

    fn secrets(&self) -> Vec<&str> {
        self.first_start.values().map(String::as_str).collect()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        Ok(self.outcome(at, true).await?.0)
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        Ok(self.outcome(at, false).await?.1)
    }

    /// What was seen may have changed by now: it is decided again.
    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        let named = |names: &[String]| names.iter().any(|name| name == host.name());
        match (self.stage, self.decide(at, false).await?) {
            (Stage::Position, Decision::Ask { whom, .. }) if named(&whom) => self.find_position(at, host, sink).await,
            (Stage::Seed, Decision::Start { host: first, history, .. }) if first == host.name() => {
                self.start(history, at, host, sink).await
            }
            (Stage::Seed, Decision::Join { again, .. }) if named(&again) => self.join_again(at, host, sink).await,
            _ => Ok(()),
        }
    }
}

//! The operation behind a cluster whose members cannot start alone: each member has it, all see the same members and come to the same decision,
//! so only one acts. It starts a *seed*: a second container of the same files and volume that forms a new cluster. The
//! members' own containers then join one after the other, the seed's host last: it stops the seed once the others hold
//! the data. Whatever was interrupted, what runs and what the volumes say is enough to decide again.

mod decision;
mod member;
mod spec;

use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::decision::{Case, Decision, History, Member, Position, Undecided, Words, decide};
use self::spec::Edit;
pub use self::spec::{KEYS, Spec};
use super::container::{Container, stop, told_to_stop};
use super::file::run;
use super::task::run_once;
use super::{Attribute, Attributes, Diff, Operation, ProgressSink, View, Want, names};
use crate::error::{Error, Result};
use crate::host::{ContainerSpec, Remote};
use crate::shell::{join, quote};

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
pub struct Cluster {
    /// What is to be done.
    pub stage: Stage,
    /// What the role says of it.
    pub spec: Spec,
    /// The members by their inventory names, in order, with the addresses at which others reach them.
    pub members: IndexMap<String, String>,
    /// Volume with the data.
    pub volume: String,
    /// The member's own container.
    pub member: Container,
    /// A recovery: members are stopped and asked how far their data got, where that has to be known.
    pub recover: bool,
    /// The command that recovers it.
    pub recovery: String,
    /// The member to start from, chosen by the operator for this run.
    pub chosen: Option<String>,
}

impl Cluster {
    /// The member's own container.
    fn container(&self) -> &str {
        &self.member.spec.name
    }

    fn seed_name(&self) -> String {
        names::seed(self.container())
    }

    /// As the member's own container, under another name, and with more in its environment.
    fn like_member(&self, name: String, environment: &IndexMap<String, String>) -> ContainerSpec {
        let mut spec = ContainerSpec { name, restart: false, ..self.member.spec.clone() };
        spec.env.extend(environment.clone());
        spec
    }

    /// The one that forms a new cluster.
    fn seed(&self) -> Container {
        let spec = self.like_member(self.seed_name(), &self.spec.start);
        Container { spec, before_replace: None, takes_over_from: None, want: Want::Running, ..self.member.clone() }
    }

    fn words(&self) -> Words<'_> {
        Words { service: &self.member.service, recovery: &self.recovery, choice: &self.spec.choice }
    }

    /// The everyday case, in which nobody is asked: all members run, and nothing is wanted of this one.
    async fn nothing_to_decide(&self, at: &View) -> bool {
        let runs = |name: &String| {
            let own = at.peers.get(name).and_then(|peer| Some((peer, peer.container(self.container())?)));
            own.is_some_and(|(peer, state)| state.running() && !told_to_stop(&state, peer) && !state.unhealthy())
        };
        !self.recover
            && self.members.keys().all(runs)
            && matches!(self.member.diff(at).await, Ok(diff) if !diff.differs())
    }

    /// How long members that run have been as they are, as far as this run has seen.
    fn unchanged(&self, at: &View, members: &[(String, Member)]) -> Duration {
        let since = members.iter().filter_map(|(name, member)| {
            let since = at.shared.since(&self.member_name(name), member.state());
            (!member.state().is_empty()).then_some(since)
        });
        since.max().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// One of its members, among those of all clusters.
    fn member_name(&self, host: &str) -> String {
        format!("{} of {host}", self.container())
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
            match decide(&Case { words: self.words(), members: &members, recover: self.recover, chosen, waited }) {
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
                    .with_hint(format!("run `{}` without `--limit`", self.recovery)));
            }
        })
    }

    /// Stops the member, the seed as well, and finds out how far its data got.
    async fn find_position(&self, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        self.stop_all(at, host).await?;
        if !matches!(self.at_rest(&at.me, at).await?, Member::Crashed { found: None, .. }) {
            return Ok(());
        }
        let mut spec = self.like_member(names::position(self.container()), &self.spec.crashed.env);
        spec.env.insert("KOLLA_CONFIG_STRATEGY".into(), "COPY_ALWAYS".into());
        let (recovery, choice) = (&self.recovery, &self.spec.choice);
        let hint = || format!("mend what its log says, or choose who starts with `{recovery} -e {choice}=HOST`");
        let log = run_once(&spec, at, host, sink).await.map_err(|error| error.with_hint(hint()))?;
        let Some(Position { cluster, seqno }) = self.spec.crashed.parse(&log) else {
            return Err(Error::operation(format!("{} did not tell its position", self.member.service))
                .because(log.last().cloned().unwrap_or_default())
                .with_hint(hint()));
        };
        at.shared.note_position(&self.member_name(host.name()), cluster, seqno);
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
        self.stop_all(at, host).await?;
        match history {
            History::First => {
                let spec = self.like_member(names::bootstrap(self.container()), &self.spec.bootstrap);
                run_once(&spec, at, host, sink).await?;
            }
            History::Continued => {}
            History::Forked if self.spec.new_history.is_empty() => {}
            History::Forked => {
                let files: Vec<String> =
                    self.spec.new_history.iter().map(|file| self.saved_path(&at.me, file)).collect();
                run(host, &format!("rm -f {}", join(&files))).await?;
            }
        }
        if let Some(edit) = &self.spec.allow {
            self.allow(edit, at, host).await?;
        }
        self.seed().apply(&Diff::Create(Vec::new()), at, host, sink).await
    }

    /// Changes the member's file so that its program starts alone: it did not see what the decision is made from.
    async fn allow(&self, edit: &Edit, at: &View, host: &Remote) -> Result<()> {
        let path = self.saved_path(&at.me, &edit.file);
        let Some(text) = host.read(&path).await? else { return Ok(()) };
        let text = edit.of(&String::from_utf8_lossy(&text));
        let (new, path, text) = (quote(&format!("{path}.new")), quote(&path), quote(&text));
        let script = format!("cp -p {path} {new} && printf %s {text} > {new} && sync {new} && mv -f {new} {path}");
        run(host, &script).await.map(drop)
    }

    /// A member that is outside of the cluster that serves starts again, and joins it.
    async fn join_again(&self, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        self.stop_all(at, host).await?;
        // One that was a seed has a container of its own made afterwards.
        match at.me.container(self.container()) {
            Some(_) => self.member.apply(&Diff::Start, at, host, sink).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Operation for Cluster {
    fn subject(&self) -> String {
        match self.stage {
            Stage::Position => format!("cluster position of {}", self.container()),
            Stage::Seed => format!("cluster seed of {}", self.container()),
        }
    }

    fn secrets(&self) -> Vec<&str> {
        self.spec.bootstrap.values().map(String::as_str).collect()
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
